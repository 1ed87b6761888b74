"""A preflight reads what the ledger knows of many accessions at once, and learns the same by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from locutus_dagster.ledger import Ledger, WorkItem
from locutus_dagster.ledger.resolutions import ResolutionRecord, ResolveCommand
from locutus_dagster.ledger.work import Attempt
from locutus_dagster.pipeline.preflight import preflight
from locutus_dagster.pipeline.preflight_ahead import LedgerAhead
from locutus_dagster_tests.ledger.rows import add_items, walk
from locutus_dagster_tests.pipeline.looking import CT, TellingSource, looking, study
from locutus_dagster_tests.pipeline.small_world import SmallWorld

_DECIDED = ResolutionRecord(ResolveCommand.MERGE)


def many(ledger: Ledger) -> list[WorkItem]:
    """Accessions with all that there may be to know of them, of two subjects and some more."""
    numbers = [f"ACC{n}" for n in range(30)]
    subjects = [f"S{n % 7}" for n in range(30)]
    items = add_items(ledger, *numbers, name="first", subjects=subjects)
    for n, item in enumerate(items):
        by = Attempt(row_id=item.row_id if n % 2 else None)
        if n % 3:
            walk(ledger, item, by=by, uri=f"file:///share/{n}.zip")
        if n % 6 == 1:  # delivered again: the first delivery is superseded
            ledger.request_reprocessing(item.accession_id, "again")
            walk(ledger, item, uri=f"file:///share/{n}-again.zip")
    items = add_items(ledger, *numbers[:5], name="second", subjects=subjects[:5])
    ledger.recall("ws", "of one", accession_id=items[2].accession_id)
    ledger.recall("ws", "of the subject later", subject_id="S2")
    ledger.recall("ws", "lifted", subject_id="S3")
    ledger.lift_recall(ledger.recalls("ws")[-1].identity, "a mistake")
    ledger.resolve(items[4].accession_id, _DECIDED)
    return [*ledger.manifest_items("ws", "first"), *ledger.manifest_items("ws", "second")]


def learned(ledger: Ledger | LedgerAhead, item: WorkItem) -> tuple[object, ...]:
    """What a preflight asks of an accession."""
    return (
        ledger.recall_of(item.workspace, item.accession_id, item.subject_id),
        ledger.standing(item.accession_id),
        ledger.row_was_delivered(item.accession_id, item.row_id),
        ledger.row_was_delivered(item.accession_id, 0),
        ledger.resolution(item.accession_id),
    )


@pytest.mark.parametrize("together", [4, 500])
def test_what_was_read_ahead_is_what_the_ledger_says(ledger: Ledger, together: int) -> None:
    items = many(ledger)
    ahead = LedgerAhead(ledger, {items[4].accession_id}, together=together)
    known = {item.row_id: learned(ledger, item) for item in items}
    in_hand: list[WorkItem] = []
    asked = 0
    for item in ahead.reading(items):
        in_hand = [*in_hand, item][-4:]  # other threads are still at those before
        for one in in_hand:
            assert learned(ahead, one) == known[one.row_id]
            asked += 1
    assert asked >= len(items) == 35


def test_a_preflight_of_more_accessions_asks_the_ledger_no_more_often(tmp_path: Path) -> None:
    world = SmallWorld.build(tmp_path / "w")
    numbers = [f"ACC{n}" for n in range(40)]
    for number in numbers:
        world.put_study(number)
    keys = world.load(*numbers)
    assert asked_for(world, keys[:4]) == asked_for(world, keys)
    world.run(keys[:20])
    assert asked_for(world, keys[:4]) == asked_for(world, keys)


def asked_for(world: SmallWorld, keys: list[str]) -> int:
    """How many statements a preflight of these partitions makes."""
    items = world.ledger.work_items("default", keys)
    source = TellingSource({item.accession_number: [study("a", {CT: 1})] for item in items})
    made: list[str] = []

    def note(*about: object) -> None:
        made.append(str(about[2]))

    with looking(world.settings, source) as parts:
        event.listen(Engine, "before_cursor_execute", note)
        try:
            assert len(list(preflight(items, parts, world.options()))) == len(keys)
        finally:
            event.remove(Engine, "before_cursor_execute", note)
    return len(made)
