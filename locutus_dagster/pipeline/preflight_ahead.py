"""The ledger, asked about many items at once, for a preflight that asks it about each.

What belongs here: reading ahead, and answering from what was read. What does not: what the answers
mean (`deciding.py`, `forecasting.py`).

A question to the ledger takes a millisecond or so, and a finished accession takes four of them: of
a hundred thousand accessions these were most of a preflight.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from locutus_dagster.ledger import Ledger, State, WorkItem
from locutus_dagster.ledger.recalls import RecallRecord
from locutus_dagster.ledger.resolutions import ResolutionRecord
from locutus_dagster.ledger.work import DeliveryRecord

__all__ = ["LedgerAhead"]

_TOGETHER = 500


class LedgerAhead:
    """Answers as the ledger does; questions that nothing was read for go on to it.

    Args:
        decided: accessions about which a person's decision stands.
        together: how many items are read at a time; more than threads have in hand at a time.
    """

    def __init__(
        self, ledger: Ledger, decided: Collection[int], *, together: int = _TOGETHER
    ) -> None:
        self._ledger = ledger
        self._decided = decided
        self._together = together
        self._deliveries: dict[int, list[DeliveryRecord]] = {}
        self._recalled: dict[int | str | None, RecallRecord] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def reading(self, items: Iterable[WorkItem]) -> Iterator[WorkItem]:
        """The items, one by one, each after what there is to know of it has been read."""
        left = iter(items)
        before: dict[int, list[DeliveryRecord]] = {}
        while some := list(islice(left, self._together)):
            read = self._read(some)
            # Some of those before may still be looked at by other threads.
            self._deliveries = {**before, **read}
            before = read
            yield from some

    def _read(self, items: Sequence[WorkItem]) -> dict[int, list[DeliveryRecord]]:
        recalled: dict[int | str | None, RecallRecord] = {}
        for recall in self._ledger.recalls(items[0].workspace, standing_only=True):
            recalled.setdefault(
                recall.accession_id if recall.subject_id is None else recall.subject_id, recall
            )
        self._recalled = recalled
        delivered = {item.accession_id for item in items if item.state is State.DELIVERED}
        return self._ledger.deliveries_of(sorted(delivered))

    def recall_of(self, workspace: str, accession_id: int, subject_id: str) -> RecallRecord | None:
        """See `Recalls`."""
        found = [self._recalled.get(accession_id), self._recalled.get(subject_id)]
        return min(filter(None, found), key=lambda recall: recall.identity, default=None)

    def standing(self, accession_id: int) -> list[DeliveryRecord]:
        """See `Deliveries`."""
        return [record for record in self._all_of(accession_id) if record.stands]

    def row_was_delivered(self, accession_id: int, row_id: int) -> bool:
        """See `Deliveries`."""
        return any(record.row_id == row_id for record in self._all_of(accession_id))

    def _all_of(self, accession_id: int) -> list[DeliveryRecord]:
        known = self._deliveries.get(accession_id)
        return self._ledger.deliveries(accession_id) if known is None else known

    def resolution(self, accession_id: int) -> ResolutionRecord | None:
        """See `Resolutions`."""
        return self._ledger.resolution(accession_id) if accession_id in self._decided else None
