"""Counting and listing the rows of a workspace, and selecting by how they stand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import update

from locutus_dagster.ledger import Ledger, State, WorkItem
from locutus_dagster.ledger.overview import OPEN, FailureCount, ManifestCount
from locutus_dagster.ledger.resolutions import ResolutionRecord, ResolveCommand
from locutus_dagster.ledger.schema import Accession, Event, Manifest, ManifestRow, now
from locutus_dagster.ledger.selection import Selection, Standing
from locutus_dagster_tests.ledger.rows import LEGAL_WALK, add_items

HOUR = timedelta(hours=1)


def walk(ledger: Ledger, item: WorkItem, *states: State, **values: object) -> None:
    """Move an accession through states; `values` belong to the last of them."""
    for state in states[:-1]:
        ledger.record_state(item.accession_id, state)
    ledger.record_state(item.accession_id, states[-1], **values)  # type: ignore[arg-type]


def add_row(ledger: Ledger, manifest: str, **values: object) -> int:
    """A further row of a manifest, with whatever a test is about."""
    with ledger.session() as session:
        found = session.query(Manifest).filter_by(name=manifest).one()
        number = session.query(ManifestRow).filter_by(manifest_id=found.id).count() + 1
        row = ManifestRow(
            **{
                "manifest_id": found.id,
                "workspace": found.workspace,
                "row_number": number,
                "line": number + 1,
                "extra": {},
                **values,
            }
        )
        session.add(row)
        session.flush()
        return row.id


def keys(items: Sequence[WorkItem]) -> list[str]:
    return [item.partition_key for item in items]


def listed(ledger: Ledger, selection: Selection) -> list[str | None]:
    return [row.partition_key for row in ledger.listing("ws", selection)]


def test_the_states_the_rejected_and_the_duplicates_of_a_manifest_add_up_to_its_rows(
    ledger: Ledger,
) -> None:
    items = add_items(ledger, "A", "B", "C", "D", name="one")
    add_row(ledger, "one", rejected="empty", rejected_column="ACCESSION_NUM")
    add_row(ledger, "one", accession_id=items[0].accession_id, duplicate_of=items[0].row_id)
    walk(ledger, items[0], *LEGAL_WALK)
    walk(ledger, items[1], *LEGAL_WALK)
    walk(ledger, items[2], State.PENDING)
    ledger.note_changed(items[1].row_id, "subject")
    assert ledger.claim(items[2].accession_id, "w", 60)
    (found,) = ledger.counts("ws")
    assert found == ManifestCount(
        "one",
        6,
        {State.LOADED: 1, State.PENDING: 1, State.DELIVERED: 2},
        rejected=1,
        duplicates=1,
        in_hand=1,
        changed=1,
    )
    assert sum(found.states.values()) + found.rejected + found.duplicates == found.rows


def test_manifests_are_counted_in_the_order_they_were_loaded_empty_ones_too(
    ledger: Ledger,
) -> None:
    add_items(ledger, "A", name="zebra")
    add_items(ledger, name="none")
    add_items(ledger, "B", name="ape")
    add_items(ledger, "A", name="other", workspace="other")
    assert [(one.manifest, one.rows) for one in ledger.counts("ws")] == [
        ("zebra", 1),
        ("none", 0),
        ("ape", 1),
    ]
    assert [one.manifest for one in ledger.counts("ws", Selection(manifests=("ape",)))] == ["ape"]
    assert ledger.counts("nosuch") == []


def test_a_filter_leaves_out_rows_that_belong_to_no_accession_and_manifests_without_any(
    ledger: Ledger,
) -> None:
    items = add_items(ledger, "A", "B", name="one")
    add_items(ledger, "C", name="two")
    add_row(ledger, "one", rejected="empty")
    add_row(ledger, "one", accession_id=items[0].accession_id, duplicate_of=items[0].row_id)
    walk(ledger, items[0], State.PENDING)
    pending = Selection(states=frozenset({State.PENDING}))
    (found,) = ledger.counts("ws", pending)
    assert found == ManifestCount("one", 1, {State.PENDING: 1})
    assert listed(ledger, pending) == [items[0].partition_key]


def test_a_claim_that_has_ended_counts_as_in_nobody_s_hand(ledger: Ledger) -> None:
    (item,) = add_items(ledger, "A")
    assert ledger.claim(item.accession_id, "w", 60)
    assert [one.in_hand for one in ledger.counts("ws")] == [1]
    assert ledger.claim(item.accession_id, "w", -60)
    assert [one.in_hand for one in ledger.counts("ws")] == [0]


def test_failures_are_grouped_by_phase_and_reason_each_accession_once(ledger: Ledger) -> None:
    items = add_items(ledger, "A", "B", "C", "D")
    for item, phase, reason in zip(
        items, (4, 4, 5, 5), ("no room", "no room", "no room", "gone"), strict=True
    ):
        walk(ledger, item, State.FAILED, phase=phase, reason=reason)
    again = add_items(ledger, name="again")
    assert again == []
    add_row(ledger, "again", accession_id=items[0].accession_id, partition_key="again~000001")
    assert ledger.failures("ws") == [
        FailureCount(4, "no room", 2),
        FailureCount(5, "gone", 1),
        FailureCount(5, "no room", 1),
    ]
    assert ledger.failures("ws", Selection(manifests=("again",))) == [FailureCount(4, "no room", 1)]
    assert ledger.accessions_in("ws", frozenset({State.FAILED})) == 4


def test_the_pace_counts_what_was_delivered_and_settled_within_the_stretch_of_time(
    ledger: Ledger,
) -> None:
    items = add_items(ledger, "A", "B", "C", name="one")
    assert ledger.pace("ws", HOUR).seconds == 0
    walk(ledger, items[0], *LEGAL_WALK)
    walk(ledger, items[1], State.PENDING)
    walk(ledger, items[1], State.PENDING)  # looked at again: it was not open any more
    walk(ledger, items[2], *LEGAL_WALK)
    with ledger.session() as session:
        session.execute(
            update(Event)
            .where(Event.accession_id == items[2].accession_id)
            .values(at=now() - 1.5 * HOUR)
        )
        session.execute(
            update(Event)
            .where(Event.accession_id == items[0].accession_id)
            .values(at=now() - HOUR / 2)
        )
    pace = ledger.pace("ws", HOUR)
    assert (pace.delivered, pace.settled) == (1, 2)
    assert 1790 < pace.seconds < 1900
    assert ledger.pace("ws", 3 * HOUR).delivered == 2
    assert ledger.pace("ws", HOUR, Selection(subjects=("S2",))).settled == 1
    assert ledger.pace("ws", HOUR, Selection(manifests=("nosuch",))).settled == 0
    assert ledger.pace("other", HOUR).settled == 0


def test_open_accessions_are_those_that_a_run_has_still_to_come_to(ledger: Ledger) -> None:
    items = add_items(ledger, "A", "B", "C", name="one")
    walk(ledger, items[0], State.EXTRACTED)
    walk(ledger, items[1], State.PENDING)
    add_items(ledger, name="two")
    add_row(ledger, "two", accession_id=items[0].accession_id, partition_key="two~000001")
    assert ledger.accessions_in("ws", OPEN) == 2  # one of them in two manifests


def test_a_list_has_every_row_of_every_manifest_in_order_whatever_the_size_of_a_page(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = add_items(ledger, *"ABCDE", name="one")
    second = add_items(ledger, *"FG", name="two")
    add_row(ledger, "one", rejected="empty", rejected_column="SUBJECT_ID")
    walk(ledger, first[1], State.FAILED, phase=4, reason="no room")
    whole = list(ledger.listing("ws"))
    assert [row.partition_key for row in whole] == [*keys(first), None, *keys(second)]
    assert (whole[1].state, whole[1].phase, whole[1].reason) == (State.FAILED, 4, "no room")
    assert (whole[5].rejected, whole[5].rejected_column, whole[5].reason) == (
        True,
        "SUBJECT_ID",
        "empty",
    )
    assert (whole[5].manifest, whole[5].line, whole[5].state) == ("one", 7, None)
    for size in (1, 2, 3, 6):
        monkeypatch.setattr("locutus_dagster.ledger.overview._PAGE", size)
        assert list(ledger.listing("ws")) == whole
    assert listed(ledger, Selection(manifests=("two",))) == keys(second)


def test_a_listed_row_knows_the_resolution_that_stands_and_who_works_at_it(ledger: Ledger) -> None:
    (item,) = add_items(ledger, "SECRET-1")
    assert ledger.claim(item.accession_id, "w", 60)
    for command in (ResolveCommand.MERGE, ResolveCommand.RESEND):
        ledger.resolve(item.accession_id, ResolutionRecord(command))
    (row,) = ledger.listing("ws")
    assert row.command is ResolveCommand.RESEND
    assert row.in_hand
    assert row.accession_number == "SECRET-1"
    assert "SECRET" not in repr(row)


# -- selecting by how accessions stand ---------------------------------------------------------


def stand(ledger: Ledger) -> dict[str, WorkItem]:
    """Five accessions: delivered, delivered and changed, failed in phases 4 and 5, loaded."""
    items = add_items(ledger, "A", "B", "C", "D", "E", name="one")
    walk(ledger, items[0], *LEGAL_WALK)
    walk(ledger, items[1], *LEGAL_WALK)
    ledger.note_changed(items[1].row_id, "policy")
    walk(ledger, items[2], State.FAILED, phase=4, reason="x")
    walk(ledger, items[3], State.FAILED, phase=5, reason="x")
    return dict(zip("ABCDE", items, strict=True))


FAILED = frozenset({State.FAILED})
DELIVERED = frozenset({State.DELIVERED})
WAYS = {
    "C": Selection(states=FAILED, phases=frozenset({4})),
    "ABC": Selection(states=FAILED | DELIVERED, phases=frozenset({4})),
    "ABCE": Selection(phases=frozenset({4})),
    "B": Selection(changed=True),
    "BCD": Selection(any_of=(Standing(FAILED), Standing(changed=True))),
    "A": Selection(states=DELIVERED, none_of=(Standing(changed=True),)),
    "ACDE": Selection(none_of=(Standing(changed=True),)),
    "BE": Selection(any_of=(Standing(changed=True), Standing(frozenset({State.LOADED})))),
    "AE": Selection(none_of=(Standing(FAILED), Standing(DELIVERED, changed=True))),
    "D": Selection(any_of=(Standing(FAILED, frozenset({5})),)),
    "": Selection(states=frozenset()),
}


@pytest.mark.parametrize("expected", WAYS)
def test_what_is_selected_listed_and_counted_is_the_same(ledger: Ledger, expected: str) -> None:
    items = stand(ledger)
    wanted = [items[number].partition_key for number in expected]
    assert keys(ledger.select("ws", WAYS[expected])) == wanted
    assert listed(ledger, WAYS[expected]) == wanted
    assert sum(one.rows for one in ledger.counts("ws", WAYS[expected])) == len(wanted)


def test_a_failure_without_a_phase_is_selected_as_one_of_the_first(ledger: Ledger) -> None:
    (item,) = add_items(ledger, "A")
    walk(ledger, item, State.FAILED, reason="x")
    for phase, found in ((2, 1), (3, 0)):
        selection = Selection(states=FAILED, phases=frozenset({phase}))
        assert len(ledger.select("ws", selection)) == found
    assert ledger.failures("ws") == [FailureCount(2, "x", 1)]


def test_what_is_in_hand_is_selected_and_everything_else_by_its_negation(ledger: Ledger) -> None:
    free, ended, held = add_items(ledger, "A", "B", "C")
    ledger.claim(ended.accession_id, "w", -60)
    ledger.claim(held.accession_id, "w", 60)
    at_work = Standing(in_hand=True)
    assert keys(ledger.select("ws", Selection(any_of=(at_work,)))) == [held.partition_key]
    assert keys(ledger.select("ws", Selection(none_of=(at_work,)))) == [
        free.partition_key,
        ended.partition_key,
    ]


def test_an_accession_of_several_rows_comes_once_and_each_row_that_has_changed(
    ledger: Ledger,
) -> None:
    (first,) = add_items(ledger, "A", name="one")
    add_items(ledger, name="two")
    second = add_row(
        ledger, "two", accession_id=first.accession_id, partition_key="two~000001", subject_id="T"
    )
    walk(ledger, first, *LEGAL_WALK)
    assert keys(ledger.select("ws", Selection())) == [first.partition_key]
    with ledger.session() as session:
        session.get_one(Accession, first.accession_id).row_id = second
    assert keys(ledger.select("ws", Selection())) == ["two~000001"]
    ledger.note_changed(first.row_id, "subject")
    both = Selection(any_of=(Standing(DELIVERED), Standing(changed=True)))
    assert keys(ledger.select("ws", both)) == [first.partition_key, "two~000001"]
    assert keys(ledger.select("ws", Selection(none_of=(Standing(changed=True),)))) == ["two~000001"]
