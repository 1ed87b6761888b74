"""A preflight reads what the ledger knows of many accessions at once, and learns the same by it."""

from __future__ import annotations

from locutus_dagster.ledger import Ledger, WorkItem
from locutus_dagster.ledger.resolutions import ResolutionRecord, ResolveCommand
from locutus_dagster.pipeline.preflight_ahead import LedgerAhead
from locutus_dagster_tests.ledger.rows import add_items, walk

_DECIDED = ResolutionRecord(ResolveCommand.MERGE)


def many(ledger: Ledger) -> list[WorkItem]:
    """Accessions with all that there may be to know of them, of two subjects and some more."""
    numbers = [f"ACC{n}" for n in range(30)]
    subjects = [f"S{n % 7}" for n in range(30)]
    items = add_items(ledger, *numbers, name="first", subjects=subjects)
    for n, item in enumerate(items):
        if n % 3:
            walk(ledger, item, uri=f"file:///share/{n}.zip")
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


def test_what_was_read_ahead_is_what_the_ledger_says(ledger: Ledger, monkeypatch: object) -> None:
    items = many(ledger)
    ahead = LedgerAhead(ledger, {items[4].accession_id})
    read = [(item, learned(ahead, item)) for item in ahead.reading(items)]
    assert [item for item, _ in read] == items
    for item, found in read:
        assert found == learned(ledger, item)
