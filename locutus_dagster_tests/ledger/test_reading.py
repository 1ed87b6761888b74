"""What the ledger answers: workspaces, items of work, and counts."""

from __future__ import annotations

import pytest

from locutus_dagster.ledger import Ledger, LedgerError, State, WorkItem
from locutus_dagster.ledger.work import Attempt, DispositionCount
from locutus_dagster_tests.ledger.rows import (
    CT,
    LEGAL_WALK,
    SR,
    add_items,
    deidentify,
    extract,
)

LEFT = DispositionCount(CT.sop_class, "CT", "withheld", "identifier left in the output", 1)


@pytest.fixture
def item(ledger: Ledger) -> WorkItem:
    return add_items(ledger, "ACC1")[0]


# -- workspaces and work items ---------------------------------------------------------------


def test_registering_a_workspace_twice_is_harmless(ledger: Ledger) -> None:
    ledger.ensure_workspace("ws")
    ledger.set_workspace_key_id("ws", "first")
    ledger.ensure_workspace("ws")
    assert ledger.workspace_key_id("ws") == "first"


def test_a_workspace_keeps_its_first_key(ledger: Ledger) -> None:
    ledger.ensure_workspace("ws")
    assert ledger.workspace_key_id("ws") is None
    ledger.set_workspace_key_id("ws", "first")
    ledger.set_workspace_key_id("ws", "second")
    assert ledger.workspace_key_id("ws") == "first"
    assert ledger.workspace_key_id("another") is None


def test_a_key_is_followed_by_another_only_if_it_is_the_one_that_is_known(ledger: Ledger) -> None:
    ledger.ensure_workspace("ws")
    ledger.set_workspace_key_id("ws", "first")
    ledger.set_workspace_key_id("ws", "third", before="second")
    assert ledger.workspace_key_id("ws") == "first"
    ledger.set_workspace_key_id("ws", "second", before="first")
    assert ledger.workspace_key_id("ws") == "second"


def test_work_items_come_in_the_order_asked_for(ledger: Ledger) -> None:
    keys = [one.partition_key for one in add_items(ledger, *(f"ACC{n}" for n in range(600)))]
    asked = keys[::-1]
    assert [found.partition_key for found in ledger.work_items("ws", asked)] == asked


def test_an_unknown_partition_is_an_error_that_counts_and_names_the_first(
    ledger: Ledger, item: WorkItem
) -> None:
    with pytest.raises(LedgerError, match=r"2 partition\(s\) of workspace 'ws'.*being m~000009"):
        ledger.work_items("ws", [item.partition_key, "m~000009", "m~000010"])


def test_a_partition_of_another_workspace_is_unknown(ledger: Ledger, item: WorkItem) -> None:
    with pytest.raises(LedgerError, match="workspace 'other'"):
        ledger.work_items("other", [item.partition_key])


def test_a_work_item_does_not_show_its_accession_number(ledger: Ledger, item: WorkItem) -> None:
    assert item.accession_number == "ACC1"
    assert "ACC1" not in repr(item)


def test_the_state_of_an_accession_that_nobody_knows_is_none(ledger: Ledger) -> None:
    assert ledger.state_of(999_999) is None


def test_manifests_are_named_in_the_order_they_were_loaded(ledger: Ledger) -> None:
    for name in ("zebra", "ant", "mole"):
        add_items(ledger, f"ACC-{name}", name=name)
    assert ledger.manifest_names("ws") == ["zebra", "ant", "mole"]


# -- counting --------------------------------------------------------------------------------


def test_a_manifest_s_states_are_counted_over_its_own_rows(ledger: Ledger) -> None:
    items = add_items(ledger, "ACC1", "ACC2", "ACC3", name="one")
    add_items(ledger, "ACC4", name="two")
    ledger.record_state(items[0].accession_id, State.PENDING)
    for state in LEGAL_WALK:
        ledger.record_state(items[1].accession_id, state)
    assert ledger.state_counts("ws", "one") == {
        State.PENDING: 1,
        State.DELIVERED: 1,
        State.LOADED: 1,
    }
    assert ledger.state_counts("ws", "two") == {State.LOADED: 1}
    assert ledger.state_counts("other", "one") == {}


def test_a_run_is_counted_for_what_it_touched_last(ledger: Ledger) -> None:
    items = add_items(ledger, "ACC1", "ACC2", "ACC3")
    for one in items:
        ledger.record_state(one.accession_id, State.PENDING, by=Attempt("first"))
    ledger.record_state(items[0].accession_id, State.FAILED, by=Attempt("second"))
    assert ledger.touched_by("first") == 2
    assert ledger.touched_by("second") == 1
    assert ledger.touched_by("second", [State.PENDING]) == 0
    assert ledger.touched_by("first", [State.PENDING, State.FAILED]) == 2
    assert ledger.touched_by("nobody") == 0


def test_what_was_withheld_is_counted_by_reason_over_the_accessions_asked_for(
    ledger: Ledger,
) -> None:
    one, other, third = add_items(ledger, "ACC1", "ACC2", "ACC3")
    for each, counts in ((one, (CT, SR)), (other, (SR, LEFT)), (third, (LEFT,))):
        extract(ledger, each)
        deidentify(ledger, each, *counts)
    asked = [one.accession_id, other.accession_id]
    assert ledger.withheld_by_reason(asked) == {
        "identifier left in the output": 1,
        "structured report": 4,
    }
    assert ledger.withheld_by_reason([]) == {}
