"""Choosing accessions: each filter, several together, and the one row of several that is meant."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone

import pytest

from locutus_dagster.ledger import Ledger, State, WorkItem
from locutus_dagster.ledger.resolutions import ResolutionRecord, ResolveCommand
from locutus_dagster.ledger.selection import Selection, Standing
from locutus_dagster.ledger.work import Attempt
from locutus_dagster_tests.ledger.rows import add_items, bring_to, extract

EVERYTHING = Selection()


def keys(items: Iterable[WorkItem]) -> list[str]:
    return [item.partition_key for item in items]


def chosen(ledger: Ledger, selection: Selection, workspace: str = "ws") -> list[str]:
    return keys(ledger.select(workspace, selection))


@pytest.fixture
def items(ledger: Ledger) -> list[WorkItem]:
    """Two manifests: a~1 pending, a~2 failed, a~3 loaded, b~1 failed."""
    found = [
        *add_items(ledger, "A1", "A2", "A3", name="a", subjects=("S1", "S2", "S1")),
        *add_items(ledger, "B1", name="b", subjects=("S1",)),
    ]
    for item, state in zip(found, (State.PENDING, State.FAILED, None, State.FAILED), strict=True):
        if state is not None:
            bring_to(ledger, item, state)
    return found


# -- each filter ---------------------------------------------------------------------------------


def test_no_filter_gives_everything_of_the_workspace_in_the_manifests_order(
    ledger: Ledger, items: list[WorkItem]
) -> None:
    add_items(ledger, "A1", name="elsewhere", workspace="other")
    assert chosen(ledger, EVERYTHING) == keys(items)
    assert chosen(ledger, EVERYTHING, "other") == ["elsewhere~000001"]
    assert chosen(ledger, EVERYTHING, "unknown") == []
    assert EVERYTHING.everything
    assert not Selection(accession_numbers=()).everything


def test_what_is_chosen_is_what_the_ledger_holds(ledger: Ledger, items: list[WorkItem]) -> None:
    assert ledger.select("ws", EVERYTHING) == ledger.work_items("ws", keys(items))


def test_by_manifest(ledger: Ledger, items: list[WorkItem]) -> None:
    assert chosen(ledger, Selection(manifests=("b",))) == keys(items[3:])
    assert chosen(ledger, Selection(manifests=("b", "a"))) == keys(items)
    assert chosen(ledger, Selection(manifests=("unknown",))) == []


def test_by_state(ledger: Ledger, items: list[WorkItem]) -> None:
    failed = Selection(states=frozenset({State.FAILED}))
    assert chosen(ledger, failed) == keys([items[1], items[3]])
    either = Selection(states=frozenset({State.FAILED, State.LOADED}))
    assert chosen(ledger, either) == keys(items[1:])
    assert chosen(ledger, Selection(states=frozenset())) == []


def test_by_subject(ledger: Ledger, items: list[WorkItem]) -> None:
    assert chosen(ledger, Selection(subjects=("S2",))) == keys(items[1:2])
    assert chosen(ledger, Selection(subjects=("S1", "S9"))) == keys([items[0], items[2], items[3]])


def test_by_what_has_changed(ledger: Ledger, items: list[WorkItem]) -> None:
    assert chosen(ledger, Selection(changed=True)) == []
    ledger.note_changed(items[2].row_id, "policy")
    assert chosen(ledger, Selection(changed=True)) == keys(items[2:3])


def test_by_partition(ledger: Ledger, items: list[WorkItem]) -> None:
    asked = Selection(partition_keys=("b~000001", "a~000002", "a~000009", "a~000002"))
    assert chosen(ledger, asked) == keys([items[1], items[3]])


def test_by_accession_number_exactly(ledger: Ledger, items: list[WorkItem]) -> None:
    asked = Selection(accession_numbers=("B1", "A2", "a3", "A", " A1", "A2"))
    assert chosen(ledger, asked) == keys([items[1], items[3]])


def test_no_accession_number_gives_nothing(ledger: Ledger, items: list[WorkItem]) -> None:
    assert chosen(ledger, Selection(accession_numbers=())) == []
    assert chosen(ledger, Selection(accession_numbers=(), manifests=("a",))) == []
    assert chosen(ledger, Selection(accession_numbers=None)) == keys(items)


def test_by_the_time_of_the_last_change(ledger: Ledger, items: list[WorkItem]) -> None:
    time.sleep(0.01)
    since = datetime.now(timezone.utc)
    assert chosen(ledger, Selection(changed_since=since)) == []
    ledger.record_state(items[0].accession_id, State.FAILED)
    assert chosen(ledger, Selection(changed_since=since)) == keys(items[:1])


@pytest.mark.parametrize("hours", [-11, 0, 5.5, 14])
def test_a_time_is_the_same_moment_in_every_zone(
    ledger: Ledger, items: list[WorkItem], hours: float
) -> None:
    zone = timezone(timedelta(hours=hours))
    at = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)
    ledger.record_state(items[0].accession_id, State.FAILED, values={"updated_at": at})
    first = Selection(accession_numbers=("A1",), changed_since=at.astimezone(zone))
    later = Selection(
        accession_numbers=("A1",), changed_since=(at + timedelta(seconds=1)).astimezone(zone)
    )
    assert chosen(ledger, first) == keys(items[:1])
    assert chosen(ledger, later) == []


def test_by_the_phase_of_a_failure(ledger: Ledger, items: list[WorkItem]) -> None:
    ledger.record_state(items[1].accession_id, State.FAILED, phase=5)
    failed = frozenset({State.FAILED})
    assert chosen(ledger, Selection(states=failed, phases=frozenset({5}))) == keys(items[1:2])
    # A failure whose phase nobody knows is shown as one of phase 2.
    assert chosen(ledger, Selection(states=failed, phases=frozenset({2}))) == keys(items[3:])
    assert chosen(ledger, Selection(phases=frozenset({5}))) == keys(items[:3])


# -- several together ----------------------------------------------------------------------------


def test_filters_hold_together(ledger: Ledger, items: list[WorkItem]) -> None:
    failed = frozenset({State.FAILED})
    asked = Selection(manifests=("a",), states=failed)
    assert chosen(ledger, asked) == keys(items[1:2])
    asked = Selection(states=failed, subjects=("S1",))
    assert chosen(ledger, asked) == keys(items[3:])
    asked = Selection(accession_numbers=("A1", "A2", "A3"), states=failed, subjects=("S2",))
    assert chosen(ledger, asked) == keys(items[1:2])
    asked = Selection(accession_numbers=("A1",), manifests=("b",))
    assert chosen(ledger, asked) == []


def test_accession_numbers_and_partitions_hold_together(
    ledger: Ledger, items: list[WorkItem]
) -> None:
    asked = Selection(accession_numbers=("A1", "A2"), partition_keys=("a~000002", "a~000003"))
    assert chosen(ledger, asked) == keys(items[1:2])


def test_ways_of_standing_hold_one_or_another(ledger: Ledger, items: list[WorkItem]) -> None:
    pending = Standing(states=frozenset({State.PENDING}))
    failed = Standing(states=frozenset({State.FAILED}))
    asked = Selection(any_of=(pending, failed))
    assert chosen(ledger, asked) == keys([items[0], items[1], items[3]])
    assert chosen(ledger, Selection(none_of=(pending, failed))) == keys(items[2:3])
    both = Selection(any_of=(pending, failed), none_of=(pending,), manifests=("a",))
    assert chosen(ledger, both) == keys(items[1:2])


def test_by_the_decision_that_stands(ledger: Ledger, items: list[WorkItem]) -> None:
    for command in (ResolveCommand.MERGE, ResolveCommand.RESEND):
        ledger.resolve(items[0].accession_id, ResolutionRecord(command))
    ledger.resolve(items[1].accession_id, ResolutionRecord(ResolveCommand.MERGE))

    def of(*commands: ResolveCommand | None) -> list[str]:
        return chosen(ledger, Selection(any_of=(Standing(commands=frozenset(commands)),)))

    assert of(ResolveCommand.MERGE) == keys(items[1:2])
    assert of(ResolveCommand.RESEND) == keys(items[:1])
    assert of(None) == keys(items[2:])
    assert of(None, ResolveCommand.MERGE) == keys(items[1:])


def test_by_what_a_worker_has_in_hand_at_this_moment(ledger: Ledger, items: list[WorkItem]) -> None:
    ledger.claim(items[0].accession_id, "mine", 60)
    ledger.claim(items[1].accession_id, "dead", 0.01)
    time.sleep(0.03)
    held = Standing(in_hand=True)
    assert chosen(ledger, Selection(any_of=(held,))) == keys(items[:1])
    assert chosen(ledger, Selection(none_of=(held,))) == keys(items[1:])


# -- one row of several --------------------------------------------------------------------------


def test_an_accession_that_several_rows_name_comes_once_with_the_first_of_them(
    ledger: Ledger,
) -> None:
    first = add_items(ledger, "A1", "A2", name="first")
    add_items(ledger, "A2", "A3", name="second")
    assert chosen(ledger, EVERYTHING) == [*keys(first), "second~000002"]
    numbers = Selection(accession_numbers=("A2", "A3"))
    assert chosen(ledger, numbers) == ["first~000002", "second~000002"]


def test_an_accession_that_was_processed_comes_with_the_row_it_was_last_processed_for(
    ledger: Ledger,
) -> None:
    add_items(ledger, "A1", name="first")
    (second,) = add_items(ledger, "A1", name="second")
    add_items(ledger, "A1", name="third")
    extract(ledger, second, Attempt(row_id=second.row_id))
    assert chosen(ledger, EVERYTHING) == ["second~000001"]
    assert chosen(ledger, Selection(accession_numbers=("A1",))) == ["second~000001"]
    assert chosen(ledger, Selection(states=frozenset({State.EXTRACTED}))) == ["second~000001"]


def test_a_manifest_or_a_partition_that_is_named_gives_its_own_row(ledger: Ledger) -> None:
    (first,) = add_items(ledger, "A1", name="first")
    (second,) = add_items(ledger, "A1", name="second")
    extract(ledger, second, Attempt(row_id=second.row_id))
    assert chosen(ledger, Selection(manifests=("first",))) == keys([first])
    assert chosen(ledger, Selection(partition_keys=("first~000001",))) == keys([first])
    assert chosen(ledger, Selection(manifests=("first", "second"))) == keys([first, second])
    both = Selection(accession_numbers=("A1",), partition_keys=("first~000001",))
    assert chosen(ledger, both) == keys([first])


def test_rows_that_have_changed_come_each(ledger: Ledger) -> None:
    (first,) = add_items(ledger, "A1", name="first")
    (second,) = add_items(ledger, "A1", name="second")
    extract(ledger, first, Attempt(row_id=first.row_id))
    ledger.note_changed(second.row_id, "attributes")
    assert chosen(ledger, Selection(changed=True)) == keys([second])
    ledger.note_changed(first.row_id, "policy")
    assert chosen(ledger, Selection(changed=True)) == keys([first, second])


# -- many ------------------------------------------------------------------------------------------


def test_thousands_of_accession_numbers_are_chosen_in_the_manifests_order(ledger: Ledger) -> None:
    numbers = [f"ACC{number:05d}" for number in range(2000)]
    items = add_items(ledger, *numbers, name="big")
    asked = (*numbers[::-1], "nobody's")
    assert chosen(ledger, Selection(accession_numbers=asked)) == keys(items)
    by_key = Selection(partition_keys=tuple(keys(items))[::-1])
    assert chosen(ledger, by_key) == keys(items)
    both = Selection(accession_numbers=asked, partition_keys=tuple(keys(items))[500:1700])
    assert chosen(ledger, both) == keys(items)[500:1700]


def test_a_selection_does_not_show_accession_numbers() -> None:
    assert "4711" not in repr(Selection(accession_numbers=("4711",)))
