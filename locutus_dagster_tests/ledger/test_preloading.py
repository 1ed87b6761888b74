"""Marks of a batch: written in bulk, gone when somebody comes, and never over what has moved on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import insert, update

from locutus_dagster.ledger import Ledger, State, WorkItem
from locutus_dagster.ledger.preloading import Mark, Marked
from locutus_dagster.ledger.schema import Accession, Manifest, ManifestRow, now
from locutus_dagster.ledger.selection import Selection, Standing, point_at_first_rows
from locutus_dagster.ledger.states import IllegalTransitionError
from locutus_dagster.ledger.work import Attempt
from locutus_dagster_tests.ledger.rows import (
    CT,
    accession,
    add_items,
    bring_to,
    deidentify,
    extract,
    history,
    walk,
)
from locutus_dagster_tests.ledger.statements import counted_statements

LABEL = "batch-7"
RECORDABLE = (State.PENDING, State.AMBIGUOUS, State.WAITING, State.EXTRACTED, State.FAILED)


def marks(items: Sequence[WorkItem], **values: object) -> list[Mark]:
    return [
        replace(Mark(item.accession_id, item.row_id, item.state), **values)  # type: ignore[arg-type]
        for item in items
    ]


def again(ledger: Ledger, manifest: str) -> list[WorkItem]:
    return ledger.manifest_items("ws", manifest)


def test_a_mark_is_no_change_of_state_and_can_be_followed_by_its_label(ledger: Ledger) -> None:
    one, two = add_items(ledger, "A", "B", name="m")
    before = accession(ledger, one.accession_id).updated_at
    assert ledger.mark(marks([one]), LABEL) == Marked(1, 0)
    assert history(ledger, one.accession_id) == []
    assert accession(ledger, one.accession_id).updated_at == before
    found = ledger.select("ws", Selection(labels=(LABEL,)))
    assert [(item.accession_id, item.on_deck) for item in found] == [(one.accession_id, True)]
    assert ledger.select("ws", Selection(any_of=(Standing(on_deck=True),))) == found
    assert not again(ledger, "m")[1].on_deck
    listed = {row.row_number: row.on_deck for row in ledger.listing("ws")}
    assert listed == {1: True, 2: False}
    (counted,) = ledger.counts("ws")
    assert (counted.on_deck, counted.rows) == (1, 2)
    assert ledger.accession_record(one.accession_id).on_deck
    assert not ledger.accession_record(two.accession_id).on_deck
    assert [row.on_deck for row in ledger.summary_rows("ws")] == [True, False]
    assert {group.on_deck: group.rows for group in ledger.row_groups("ws")} == {True: 1, False: 1}


@pytest.mark.parametrize("state", RECORDABLE)
def test_a_mark_is_gone_as_soon_as_anything_is_recorded_and_its_label_stays(
    ledger: Ledger, state: State
) -> None:
    (item,) = add_items(ledger, "A", name="m")
    ledger.mark(marks([item]), LABEL)
    ledger.claim(item.accession_id, "worker", 60)
    assert again(ledger, "m")[0].on_deck  # a worker looks, and has recorded nothing yet
    ledger.record_state(item.accession_id, state, by=Attempt(owner="worker"))
    (now_,) = again(ledger, "m")
    assert (now_.on_deck, now_.label, now_.state) == (False, LABEL, state)
    assert ledger.events(item.accession_id)[-1].label == LABEL


def test_a_second_batch_takes_an_accession_over_and_the_same_one_again_writes_nothing(
    ledger: Ledger,
) -> None:
    items = add_items(ledger, "A", "B")
    ledger.mark(marks(items), LABEL)
    assert ledger.mark(marks(items), LABEL) == Marked(0, 2)
    assert ledger.mark(marks(items[:1]), "batch-8") == Marked(1, 0)
    assert [accession(ledger, item.accession_id).label for item in items] == ["batch-8", LABEL]


def test_a_marked_accession_is_processed_for_the_row_that_it_was_marked_for(
    ledger: Ledger,
) -> None:
    add_items(ledger, "A", name="old", subjects=["S-old"])
    (new,) = add_items(ledger, "A", name="new", subjects=["S-new"])
    assert [item.manifest for item in ledger.select("ws", Selection())] == ["old"]
    ledger.mark(marks([new]), LABEL)
    assert [item.subject_id for item in ledger.select("ws", Selection())] == ["S-new"]


def test_what_is_asked_for_again_leaves_an_event_and_its_interim_files_are_written_off(
    ledger: Ledger,
) -> None:
    items = add_items(ledger, "A", "B", "C", name="m")
    delivered = walk(ledger, items[0])
    for item in items[1:]:
        extract(ledger, item)
    deidentify(ledger, items[2], CT)
    steps = [len(history(ledger, item.accession_id)) for item in items]
    assert ledger.mark(marks(again(ledger, "m"), again=True, on_deck=True), LABEL) == Marked(3, 0)
    for item, count in zip(again(ledger, "m"), steps, strict=True):
        assert (item.state, item.on_deck, item.label) == (State.REQUESTED, True, LABEL)
        *_, last = ledger.events(item.accession_id)
        assert len(history(ledger, item.accession_id)) == count + 1
        assert (last.after, last.label, last.row_id) == (State.REQUESTED, LABEL, item.row_id)
        assert ledger.artifacts(item.accession_id) == []
    assert ledger.events(items[2].accession_id)[-1].before is State.DEIDENTIFIED
    assert ledger.standing(items[0].accession_id) == [delivered]  # until something takes its place


def test_a_preset_takes_the_accession_off_the_deck_and_keeps_what_it_is_not_to_touch(
    ledger: Ledger,
) -> None:
    items = add_items(ledger, "A", "B", name="m")
    ledger.mark(marks(items), LABEL)
    ledger.mark(
        [*marks(items[:1], again=True, on_deck=False), *marks(items[1:], on_deck=None)], "redo"
    )
    asked, kept = again(ledger, "m")
    assert (asked.state, asked.on_deck, asked.label) == (State.REQUESTED, False, "redo")
    assert (kept.state, kept.on_deck, kept.label) == (State.LOADED, True, "redo")


def test_what_has_moved_on_or_is_in_hand_is_left_and_said(ledger: Ledger) -> None:
    moved, busy, free, lapsed = items = add_items(ledger, "A", "B", "C", "D", name="m")
    ledger.record_state(moved.accession_id, State.PENDING)
    ledger.claim(busy.accession_id, "worker", 60)
    ledger.claim(lapsed.accession_id, "sleeper", 60)
    with ledger.session() as session:
        past = now() - timedelta(minutes=5)
        session.execute(
            update(Accession).where(Accession.id == lapsed.accession_id).values(claimed_until=past)
        )
    unknown = Mark(10**9, 1, State.LOADED)
    done = ledger.mark([*marks(items, again=True), unknown], LABEL)
    assert done == Marked(2, 0, (moved.accession_id, busy.accession_id, unknown.accession_id))
    states = [item.state for item in again(ledger, "m")]
    assert states == [State.PENDING, State.LOADED, State.REQUESTED, State.REQUESTED]
    assert [item.label for item in again(ledger, "m")] == ["", "", LABEL, LABEL]
    # Who has slept through the end of its claim can record nothing any more.
    assert not ledger.holds(lapsed.accession_id, "sleeper")
    assert accession(ledger, lapsed.accession_id).claimed_by is None
    assert free.accession_id not in done.left


def test_a_recalled_accession_can_never_be_asked_for_again_in_bulk(ledger: Ledger) -> None:
    items = add_items(ledger, "A", "B", name="m")
    bring_to(ledger, items[1], State.RECALLED)
    with pytest.raises(IllegalTransitionError):
        ledger.mark(marks(again(ledger, "m"), again=True), LABEL)
    assert [item.state for item in again(ledger, "m")] == [State.LOADED, State.RECALLED]
    assert [item.label for item in again(ledger, "m")] == ["", ""]


def test_many_are_marked_in_several_transactions_and_not_one_by_one(ledger: Ledger) -> None:
    _many(ledger, 12_000)
    items = ledger.select("ws", Selection())
    with counted_statements() as asked:
        done = ledger.mark(marks(items, again=True), LABEL)
    assert done == Marked(12_000, 0)
    (counted,) = ledger.counts("ws")
    assert (counted.states, counted.on_deck) == ({State.REQUESTED: 12_000}, 12_000)
    assert asked.statements < 1200


def _many(ledger: Ledger, number: int) -> None:
    ledger.ensure_workspace("ws")
    with ledger.session() as session:
        manifest = Manifest(workspace="ws", name="many", sha256="0" * 64, columns={})
        session.add(manifest)
        session.flush()
        common = {"workspace": "ws", "state": "delivered", "updated_at": now()}
        session.execute(
            insert(Accession),
            [{"id": n, "accession_number": f"N{n}", **common} for n in range(1, number + 1)],
        )
        session.execute(
            insert(ManifestRow),
            [
                {
                    "manifest_id": manifest.id,
                    "workspace": "ws",
                    "row_number": n,
                    "line": n + 1,
                    "partition_key": f"many~{n:06d}",
                    "accession_id": n,
                    "subject_id": "S",
                    "extra": {},
                }
                for n in range(1, number + 1)
            ],
        )
        point_at_first_rows(session, manifest.id)
