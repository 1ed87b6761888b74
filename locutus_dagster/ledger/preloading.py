"""Marking batches before they are processed: many accessions at once, with a label to follow.

What belongs here: writing marks, and asking for what is finished again, in transactions that each
hold some thousand accessions. What does not: which accessions, and what becomes of each
(`pipeline/preloading.py`).

A mark is no change of state and leaves no event. It is gone as soon as anything is recorded for
the accession (`store.move`), while the label stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, product
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, cast, insert, literal, select, update
from sqlalchemy.orm import Session

from locutus_dagster.ledger.claims import clock
from locutus_dagster.ledger.connection import LedgerConnection
from locutus_dagster.ledger.schema import Accession, Artifact, Event, ManifestRow, now
from locutus_dagster.ledger.states import State, check_transition
from locutus_dagster.ledger.summary_past import among

__all__ = ["Mark", "Marked", "Preloading"]

_AT_ONCE = 5000  # accessions in one transaction
_AGAIN = State.REQUESTED.value
_REASON = "marked for processing again"


@dataclass(frozen=True, slots=True)
class Mark:
    """What is to be written for one accession.

    Attributes:
        row_id: the row of a manifest that it is to be processed for.
        state: in which it has to stand, or else nothing is written.
        again: it is to be processed again, whatever has been made of it.
        on_deck: whether it is on deck then; None leaves that as it is.
    """

    accession_id: int
    row_id: int
    state: State
    again: bool = False
    on_deck: bool | None = True


@dataclass(frozen=True)
class Marked:
    """What became of marks.

    Attributes:
        written: accessions that something was written for.
        already: accessions that stood so before.
        left: identities of accessions that stand differently now, or that a worker has in hand.
    """

    written: int
    already: int
    left: tuple[int, ...] = ()


class Preloading(LedgerConnection):
    """Marking accessions for a batch."""

    def mark(self, marks: Iterable[Mark], label: str) -> Marked:
        """Write marks with the label of their batch, each accession's at most once.

        What an earlier transaction has written stays when a later one fails; the same marks again
        write the rest.
        """
        counts: Counter[str] = Counter()
        left: list[int] = []
        for some in _in_pieces(marks):
            with self.session() as session:
                written, already, not_these = _mark(session, some, label)
            counts["written"] += written
            counts["already"] += already
            left += not_these
        return Marked(counts["written"], counts["already"], tuple(left))


def _mark(session: Session, marks: Sequence[Mark], label: str) -> tuple[int, int, list[int]]:
    at = clock(session)
    found = {
        row.id: row
        for row in session.execute(
            select(
                Accession.id,
                Accession.state,
                Accession.label,
                Accession.on_deck,
                Accession.row_id,
                Accession.claimed_until,
            )
            .where(Accession.id.in_(_numbers(session, [mark.accession_id for mark in marks])))
            .order_by(Accession.id)
            .with_for_update()
        )
    }
    due: list[Mark] = []
    left: list[int] = []
    already = 0
    for mark in marks:
        row = found.get(mark.accession_id)
        if row is None or row.state != mark.state.value or _in_hand(row.claimed_until, at):
            left.append(mark.accession_id)
        elif _differs(row, mark, label):
            if mark.again:
                check_transition(mark.state, State.REQUESTED)
            due.append(mark)
        else:
            already += 1
    for again, on_deck in product((True, False), (True, False, None)):
        rows = [mark.row_id for mark in due if (mark.again, mark.on_deck) == (again, on_deck)]
        if rows:
            values: dict[str, Any] = {} if on_deck is None else {"on_deck": on_deck}
            if again:
                values |= _request(session, rows, label)
            session.execute(
                update(Accession)
                .where(*_of_rows(session, rows))
                .values(label=label, row_id=ManifestRow.id, **values)
                .execution_options(synchronize_session=False)
            )
    return len(due), already, left


def _differs(row: Any, mark: Mark, label: str) -> bool:
    return (
        mark.again
        or row.label != label
        or row.row_id != mark.row_id
        or (mark.on_deck is not None and row.on_deck is not mark.on_deck)
    )


def _in_hand(until: datetime | None, at: datetime) -> bool:
    return until is not None and until > at


def _request(session: Session, rows: Sequence[int], label: str) -> dict[str, Any]:
    """Ask for accessions again, as `Ledger.request_reprocessing` does for one.

    Returns:
        What has still to be written into them.
    """
    at = now()
    of_rows = _of_rows(session, rows)
    session.execute(
        insert(Event).from_select(
            ["accession_id", "at", "before", "after", "reason", "row_id", "generation", "label"],
            select(
                Accession.id,
                literal(at, Event.at.type),
                Accession.state,
                literal(_AGAIN),
                literal(_REASON),
                ManifestRow.id,
                Accession.generation,
                literal(label),
            ).where(*of_rows),
        )
    )
    session.execute(
        update(Artifact)
        .where(
            Artifact.accession_id == ManifestRow.accession_id,
            ManifestRow.id.in_(_numbers(session, rows)),
            Artifact.deleted_at.is_(None),
        )
        .values(deleted_at=at)
        .execution_options(synchronize_session=False)
    )
    return {
        "state": _AGAIN,
        "phase": None,
        "reason": _REASON,
        "run_id": None,
        "updated_at": at,
        # A worker whose claim has run out must not record what it made before this.
        "claimed_by": None,
        "claimed_until": None,
    }


def _of_rows(session: Session, rows: Sequence[int]) -> tuple[ColumnElement[bool], ...]:
    """The accessions that these rows of manifests name, one for each."""
    return (Accession.id == ManifestRow.accession_id, ManifestRow.id.in_(_numbers(session, rows)))


def _numbers(session: Session, values: Sequence[int]) -> Select[Any]:
    given = among(session, values).subquery()
    return select(cast(given.c.value, BigInteger))


def _in_pieces(marks: Iterable[Mark]) -> Iterator[list[Mark]]:
    left = iter(marks)
    while some := list(islice(left, _AT_ONCE)):
        yield some
