"""What a run would do about each accession of a selection, found out without doing any of it.

What belongs here: the items, and one record for each, in order, by several threads.
What does not: one item (`forecasting.py`), totals, warnings and the CSV (`preflight_report.py`).

Nothing is claimed, recorded, created or deleted, provided that the parts are made to look only.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

from locutus_dagster.ledger import Ledger, Phase, State, WorkItem
from locutus_dagster.ledger.fingerprints import changes
from locutus_dagster.ledger.selection import Selection
from locutus_dagster.pipeline.choosing import check_names, unknown_accessions
from locutus_dagster.pipeline.deciding import Do, Facts, decide
from locutus_dagster.pipeline.fingerprints import delivery_made_from, usable_key_ids
from locutus_dagster.pipeline.forecasting import Asides, Looker
from locutus_dagster.pipeline.foreseen import Foreseen, Would, decided
from locutus_dagster.pipeline.options import RunOptions
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.pipeline.picking import picked_up
from locutus_dagster.pipeline.preflight_ahead import LedgerAhead
from locutus_dagster.sources.base import StudySource

__all__ = ["Foreseen", "Would", "chosen", "preflight"]

_AHEAD = 4  # items for each thread that may be looked at before they are asked for


def chosen(
    parts: Parts, wanted: Selection | Sequence[WorkItem], options: RunOptions
) -> tuple[list[WorkItem], list[int]]:
    """What a run would go through, and lines of an accession file that the ledger cannot place.

    With what is asked for comes what the run would go on with beside it.

    Raises:
        ChoosingError: the selection names what the workspace does not know.
    """
    unknown: list[int] = []
    if isinstance(wanted, Selection):
        check_names(parts.ledger, parts.workspace, wanted)
        unknown = unknown_accessions(parts.ledger, parts.workspace, wanted)
        items = parts.ledger.select(parts.workspace, wanted)
    else:
        items = list(wanted)
    asked = [item.partition_key for item in items]
    further = picked_up(parts.ledger, parts.workspace, asked, options.sweep)
    return [*items, *parts.ledger.work_items(parts.workspace, further)], unknown


def preflight(
    items: Iterable[WorkItem],
    parts: Parts,
    options: RunOptions,
    *,
    threads: int = 4,
) -> Iterator[Foreseen]:
    """Say what a run with these options would do about each item, in the order of the items.

    Rows that name one accession are seen as a run sees them: when it comes to the second, it has
    processed the first.

    Args:
        parts: best made to look only (`build_parts`).
        threads: how many ask at a time, each with a source of its own; there is one only where
            the parts can make no further source.

    Raises:
        SourceUnavailableError: the source cannot be asked at all.
        LedgerError: the ledger cannot.
    """
    done: dict[int, WorkItem] = {}
    asides = Asides.of(parts)
    ahead = LedgerAhead(parts.ledger, asides.decided)
    parts = replace(parts, ledger=cast(Ledger, ahead))
    with _looking(parts, options, threads, asides) as look_at:
        for item, record in look_at(ahead.reading(items)):
            first = done.get(item.accession_id)
            if first is not None:
                record = _after(first, item, record, parts, options)
            elif record.works and not record.all_withheld:
                done[item.accession_id] = item
            yield record


@contextmanager
def _looking(
    parts: Parts, options: RunOptions, threads: int, asides: Asides
) -> Iterator[Callable[[Iterable[WorkItem]], Iterator[tuple[WorkItem, Foreseen]]]]:
    another_source = parts.another_source
    if another_source is None or threads <= 1:
        looker = Looker(parts, options, asides)
        yield lambda items: ((item, looker.foresee(item)) for item in items)
        return
    own = threading.local()
    made: list[StudySource] = []

    def foresee(item: WorkItem) -> Foreseen:
        if not hasattr(own, "looker"):
            source = another_source()
            made.append(source)
            own.looker = Looker(replace(parts, source=source), options, asides)
        found: Foreseen = own.looker.foresee(item)
        return found

    pool = ThreadPoolExecutor(threads, thread_name_prefix="preflight")

    def all_of(items: Iterable[WorkItem]) -> Iterator[tuple[WorkItem, Foreseen]]:
        ahead: deque[tuple[WorkItem, Future[Foreseen]]] = deque()
        for item in items:
            ahead.append((item, pool.submit(foresee, item)))
            if len(ahead) >= threads * _AHEAD:
                first, future = ahead.popleft()
                yield first, future.result()
        for first, future in ahead:
            yield first, future.result()

    try:
        yield all_of
    finally:
        pool.shutdown(cancel_futures=True)
        for source in made:
            source.close()


def _after(
    first: WorkItem, item: WorkItem, record: Foreseen, parts: Parts, options: RunOptions
) -> Foreseen:
    """What is foreseen for a row when an earlier one has had the accession processed."""
    if not record.works:
        return record
    key = usable_key_ids(parts)[-1]
    target = next(iter(parts.targets))  # which one makes no difference between two rows
    before, now = (delivery_made_from("", row, parts, key, target) for row in (first, item))
    delivered = replace(item, state=State.DELIVERED, updated_at=options.started_at)
    decision = decide(delivered, Facts(changed=changes(before, now)), options)
    if decision.do is Do.AGAIN:
        return replace(
            record,
            would=Would.AGAIN,
            why=decision.why,
            phase=Phase.EXTRACT,
            resumable=(),
            elsewhere=(),
        )
    return decided(item, decision)
