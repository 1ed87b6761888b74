"""The past of many accessions at once: how they moved between states, and what was done when.

What belongs here: questions about events whose answers are counts by stretches of time. What does
not: the history of one accession (`reading.py`), and which stretches a plot shows
(`summarizer/history.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Select,
    Subquery,
    bindparam,
    case,
    cast,
    extract,
    func,
    select,
)
from sqlalchemy.orm import Session

from locutus_dagster.ledger.claims import clock
from locutus_dagster.ledger.connection import LedgerConnection
from locutus_dagster.ledger.schema import Accession, Event, Manifest, ManifestRow
from locutus_dagster.ledger.selection import Selection, conditions
from locutus_dagster.ledger.states import State
from locutus_dagster.ledger.summary_records import Done, Scope, Shift

__all__ = ["SummaryPast", "among", "rows_with_accessions"]

_ENDED = Event.after.in_([State.DELIVERED.value, State.FAILED.value])


class SummaryPast(LedgerConnection):
    """Questions about what became of accessions, and when."""

    def first_named(self, scope: Scope) -> datetime | None:
        """When the first of the accessions was named; None where there is none."""
        with self.session(reads_only=True) as session:
            births = _births(session, scope)
            first: datetime | None = session.scalar(select(func.min(births.c.at)))
            return first

    def first_done(self, scope: Scope) -> datetime | None:
        """When the first of them was delivered, or failed; None where none was."""
        with self.session(reads_only=True) as session:
            statement = select(func.min(Event.at)).where(_of(session, scope, Event), _ENDED)
            return session.scalar(statement)

    def shifts(self, scope: Scope, width: timedelta) -> list[Shift]:
        """How the accessions moved between states, by stretches of time, oldest first.

        Adding them up gives how the accessions stand now.
        """
        with self.session(reads_only=True) as session:
            births = _births(session, scope)
            born = select(_stretch(session, births.c.at, width).label("stretch")).subquery()
            moved = (
                select(
                    _stretch(session, Event.at, width).label("stretch"),
                    Event.before.label("before"),
                    Event.after.label("after"),
                )
                .where(_of(session, scope, Event), Event.before != Event.after)
                .subquery()
            )
            found = [
                Shift(int(stretch), None, State.LOADED, int(number))
                for stretch, number in session.execute(
                    select(born.c.stretch, func.count()).group_by(born.c.stretch)
                )
            ]
            found += [
                Shift(int(stretch), State(before), State(after), int(number))
                for stretch, before, after, number in session.execute(
                    select(moved.c.stretch, moved.c.before, moved.c.after, func.count()).group_by(
                        *moved.c
                    )
                )
            ]
        return sorted(found, key=lambda one: one.stretch)

    def done(self, scope: Scope, width: timedelta) -> list[Done]:
        """How many accessions were delivered, and how many failed, by stretches of time."""
        with self.session(reads_only=True) as session:
            each = (
                select(
                    _stretch(session, Event.at, width).label("stretch"),
                    Event.after.label("after"),
                    Event.accession_id.label("accession_id"),
                )
                .where(_of(session, scope, Event), _ENDED)
                .subquery()
            )
            statement = select(
                each.c.stretch, each.c.after, func.count(each.c.accession_id.distinct())
            ).group_by(each.c.stretch, each.c.after)
            found = [
                Done(int(stretch), State(after), int(number))
                for stretch, after, number in session.execute(statement)
            ]
        return sorted(found, key=lambda one: one.stretch)


def rows_with_accessions(
    workspace: str, selection: Selection, at: datetime, *columns: Any
) -> Select[Any]:
    """A question about rows of manifests, with their accessions where they have one."""
    statement = (
        select(*columns)
        .select_from(ManifestRow)
        .join(Manifest, Manifest.id == ManifestRow.manifest_id)
        .join(Accession, Accession.id == ManifestRow.accession_id, isouter=True)
        .where(ManifestRow.workspace == workspace, *conditions(selection, at))
    )
    if selection != Selection(manifests=selection.manifests):
        # No accession can tell whether a rejected row or a duplicate was meant.
        statement = statement.where(ManifestRow.partition_key.is_not(None))
    return statement


def among(session: Session, values: Sequence[Any]) -> Select[Any]:
    """A question that answers with these values as text: one parameter, however many there are."""
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    each = func.json_array_elements_text if on_postgresql else func.json_each
    given = each(bindparam(None, values, type_=JSON)).table_valued("value")
    return select(given.c.value)


def _of(session: Session, scope: Scope, table: type[Event | ManifestRow]) -> Any:
    """Whether a row of a table is about an accession of the scope."""
    if scope.accession_ids is not None:
        numbers = among(session, scope.accession_ids)
        return table.accession_id.in_(select(cast(numbers.subquery().c.value, BigInteger)))
    if scope.selection.everything:
        meant = select(Accession.id).where(Accession.workspace == scope.workspace)
        return table.accession_id.in_(meant)
    meant = rows_with_accessions(scope.workspace, scope.selection, clock(session), Accession.id)
    return table.accession_id.in_(meant.where(Accession.id.is_not(None)))


def _births(session: Session, scope: Scope) -> Subquery:
    """When each accession was first named; never later than the first thing that became of it."""
    named = (
        select(ManifestRow.accession_id, func.min(Manifest.loaded_at).label("at"))
        .join(Manifest, Manifest.id == ManifestRow.manifest_id)
        .where(ManifestRow.workspace == scope.workspace, _of(session, scope, ManifestRow))
        .group_by(ManifestRow.accession_id)
        .subquery()
    )
    first = (
        select(Event.accession_id, func.min(Event.at).label("at"))
        .where(_of(session, scope, Event))
        .group_by(Event.accession_id)
        .subquery()
    )
    return (
        select(case((first.c.at < named.c.at, first.c.at), else_=named.c.at).label("at"))
        .select_from(named)
        .join(first, first.c.accession_id == named.c.accession_id, isouter=True)
        .subquery()
    )


def _stretch(session: Session, at: Any, width: timedelta) -> ColumnElement[int]:
    """The number of the stretch of time that a point in time lies in."""
    seconds: ColumnElement[Any] = extract("epoch", at)
    if session.get_bind().dialect.name == "postgresql":
        seconds = cast(func.floor(seconds), BigInteger)  # it has microseconds
    return seconds // int(width.total_seconds())
