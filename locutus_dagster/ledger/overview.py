"""The ledger at a glance: how many rows stand how, why some failed, how fast it goes, and the rows.

What belongs here: counting, which the database does, and listing in pages. What does not: one
accession with all that is known of it (`lookup.py`), items of work (`selection.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    func,
    literal,
    select,
)

from locutus_dagster.ledger.claims import clock
from locutus_dagster.ledger.connection import LedgerConnection
from locutus_dagster.ledger.resolutions import ResolveCommand
from locutus_dagster.ledger.schema import Accession, Event, Manifest, ManifestRow, Workspace
from locutus_dagster.ledger.selection import Selection, conditions, in_hand, standing_command
from locutus_dagster.ledger.states import Phase, State

__all__ = ["OPEN", "FailureCount", "ListedRow", "ManifestCount", "Overview", "Pace"]

#: A run has still to come to these, or stands in the middle of them.
OPEN = frozenset({State.LOADED, State.REQUESTED, State.EXTRACTED, State.DEIDENTIFIED})

_PAGE = 5000  # rows; the transaction of a page is over before anything is printed
_REJECTED, _DUPLICATE = "rejected", "duplicate"
_ALL = Selection()


@dataclass(frozen=True)
class ManifestCount:
    """How a manifest's rows stand.

    Attributes:
        rows: all that were counted; the states, the rejected and the duplicates add up to it.
        states: rows by the state of their accession; states that do not occur are left out.
        duplicates: rows without a partition of their own, because an earlier one names the same
            accession.
        in_hand: rows whose accession a worker has in hand; they are among the states too.
        changed: rows that differ from the delivery that stands; they are among the states too.
        on_deck: rows whose accession is marked for a batch that has not come to it; likewise.
    """

    manifest: str
    rows: int = 0
    states: dict[State, int] = field(default_factory=dict)
    rejected: int = 0
    duplicates: int = 0
    in_hand: int = 0
    changed: int = 0
    on_deck: int = 0


@dataclass(frozen=True)
class FailureCount:
    """How many accessions failed in the same phase for the same reason."""

    phase: int
    reason: str
    accessions: int


@dataclass(frozen=True)
class Pace:
    """What happened in a stretch of time.

    Attributes:
        delivered: deliveries.
        settled: accessions that were open and are so no more: delivered, pending, failed, ….
        seconds: from the first thing that happened in the stretch until now; 0 when nothing did.
    """

    delivered: int = 0
    settled: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class ListedRow:
    """One row of a manifest, with as much as a line of a list says.

    Attributes:
        partition_key: None for a row that was rejected or is a duplicate.
        accession_number: None for a rejected row, which belongs to no accession.
        state: None likewise.
        reason: why it failed, or why it was rejected.
    """

    manifest: str
    row_number: int
    line: int
    partition_key: str | None
    accession_number: str | None = field(repr=False)
    state: State | None
    phase: int | None
    reason: str
    label: str
    changed: str
    command: ResolveCommand | None
    in_hand: bool
    on_deck: bool
    rejected: bool
    rejected_column: str


class Overview(LedgerConnection):
    """Counts and lists; of a selection where one is given."""

    def workspaces(self) -> list[str]:
        """The names of all workspaces, by name."""
        with self.session(reads_only=True) as session:
            return list(session.scalars(select(Workspace.name).order_by(Workspace.name)))

    def counts(self, workspace: str, selection: Selection = _ALL) -> list[ManifestCount]:
        """How the rows stand, manifest by manifest, in the order in which they were loaded.

        Rejected rows and duplicates are counted as long as nothing but manifests is selected:
        no accession can tell whether they were meant. Manifests without any row that is meant
        are left out, unless all are.
        """
        with self.session(reads_only=True) as session:
            at = clock(session)
            kind = case(
                (ManifestRow.rejected != "", literal(_REJECTED)),
                (ManifestRow.partition_key.is_(None), literal(_DUPLICATE)),
                else_=Accession.state,
            )
            whole = and_(kind != _REJECTED, kind != _DUPLICATE)
            rows = session.execute(
                _rows(
                    workspace,
                    selection,
                    at,
                    Manifest.name,
                    kind,
                    func.count(ManifestRow.id),
                    _count_if(and_(whole, in_hand(at))),
                    _count_if(and_(whole, ManifestRow.changed != "")),
                    _count_if(and_(whole, Accession.on_deck)),
                )
                .group_by(Manifest.id, Manifest.name, kind)
                .order_by(Manifest.id)
            ).all()
            found = {
                name: _manifest_count(name, list(group))
                for name, group in groupby(rows, key=itemgetter(0))
            }
            names = list(found)
            if _by_manifest_alone(selection):
                every = select(Manifest.name).where(Manifest.workspace == workspace)
                if selection.manifests:
                    every = every.where(Manifest.name.in_(selection.manifests))
                names = list(session.scalars(every.order_by(Manifest.id)))
        return [found.get(name) or ManifestCount(name) for name in names]

    def accessions_in(
        self, workspace: str, states: frozenset[State], selection: Selection = _ALL
    ) -> int:
        """How many accessions, each counted once, of a selection stand in one of `states`."""
        with self.session(reads_only=True) as session:
            statement = _rows(
                workspace, selection, clock(session), func.count(Accession.id.distinct())
            ).where(Accession.state.in_([state.value for state in states]))
            return session.scalar(statement) or 0

    def failures(self, workspace: str, selection: Selection = _ALL) -> list[FailureCount]:
        """Why accessions failed, each counted once, the most frequent reason first."""
        phase = func.coalesce(Accession.phase, int(Phase.PREPARE))
        number = func.count(Accession.id.distinct())
        with self.session(reads_only=True) as session:
            statement = (
                _rows(workspace, selection, clock(session), phase, Accession.reason, number)
                .where(Accession.state == State.FAILED.value)
                .group_by(phase, Accession.reason)
                .order_by(number.desc(), phase, Accession.reason)
            )
            return [FailureCount(*row) for row in session.execute(statement)]

    def pace(
        self,
        workspace: str,
        window: timedelta,
        selection: Selection = _ALL,
    ) -> Pace:
        """How much was done in the last stretch of time, by the history."""
        still_open = [state.value for state in OPEN]
        settled = and_(Event.before.in_(still_open), Event.after.not_in(still_open))
        with self.session(reads_only=True) as session:
            at = clock(session)
            statement = (
                select(
                    _count_if(Event.after == State.DELIVERED.value),
                    _count_if(settled),
                    func.min(Event.at),
                )
                .join(Accession, Accession.id == Event.accession_id)
                .where(Accession.workspace == workspace, Event.at >= at - window)
            )
            if not selection.everything:
                # Found first and once: with a table's figures out of date, PostgreSQL would look
                # for the selection anew at each event.
                meant = _rows(workspace, selection, at, Accession.id).distinct().cte("meant")
                meant = meant.prefix_with("MATERIALIZED", dialect="postgresql")
                statement = statement.where(Accession.id.in_(select(meant.c.id)))
            delivered, done, first = cast(Any, session.execute(statement).one())
        if first is None:
            return Pace()
        return Pace(int(delivered), int(done), max((at - first).total_seconds(), 0.0))

    def listing(self, workspace: str, selection: Selection = _ALL) -> Iterator[ListedRow]:
        """The rows, in the order of their manifests, rejected ones and duplicates as in `counts`.

        Read page by page, each as it stands when it is read.
        """
        manifests = select(Manifest.id).where(Manifest.workspace == workspace).order_by(Manifest.id)
        if selection.manifests:
            manifests = manifests.where(Manifest.name.in_(selection.manifests))
        with self.session(reads_only=True) as session:
            identities = list(session.scalars(manifests))
        for identity in identities:
            last = 0
            while True:
                with self.session(reads_only=True) as session:
                    statement = _listed(workspace, identity, selection, clock(session), last)
                    page = session.connection().execute(statement).all()
                yield from map(_listed_row, page)
                if len(page) < _PAGE:
                    break
                last = page[-1][1]


def _rows(
    workspace: str, selection: Selection, at: datetime, *columns: ColumnElement[Any] | Any
) -> Select[Any]:
    """A question about rows of manifests, with their accessions where they have one."""
    statement = (
        select(*columns)
        .select_from(ManifestRow)
        .join(Manifest, Manifest.id == ManifestRow.manifest_id)
        .join(Accession, Accession.id == ManifestRow.accession_id, isouter=True)
        .where(ManifestRow.workspace == workspace, *conditions(selection, at))
    )
    if not _by_manifest_alone(selection):
        statement = statement.where(ManifestRow.partition_key.is_not(None))
    return statement


def _by_manifest_alone(selection: Selection) -> bool:
    return selection == Selection(manifests=selection.manifests)


def _count_if(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _manifest_count(name: str, rows: list[Any]) -> ManifestCount:
    by_kind = {kind: int(number) for _, kind, number, *_ in rows}
    return ManifestCount(
        name,
        sum(by_kind.values()),
        {state: by_kind[state.value] for state in State if state.value in by_kind},
        by_kind.get(_REJECTED, 0),
        by_kind.get(_DUPLICATE, 0),
        sum(int(row[3]) for row in rows),
        sum(int(row[4]) for row in rows),
        sum(int(row[5]) for row in rows),
    )


def _listed(
    workspace: str, manifest_id: int, selection: Selection, at: datetime, last: int
) -> Select[Any]:
    """A page of a manifest's rows; its own rows stand in an index in the order of their numbers."""
    return (
        _rows(
            workspace,
            selection,
            at,
            Manifest.name,
            ManifestRow.row_number,
            ManifestRow.line,
            ManifestRow.partition_key,
            Accession.accession_number,
            Accession.state,
            Accession.phase,
            case((ManifestRow.rejected != "", ManifestRow.rejected), else_=Accession.reason),
            Accession.label,
            ManifestRow.changed,
            standing_command(),
            case((in_hand(at), 1), else_=0),
            Accession.on_deck,
            ManifestRow.rejected != "",
            ManifestRow.rejected_column,
        )
        .where(ManifestRow.manifest_id == manifest_id, ManifestRow.row_number > last)
        .order_by(ManifestRow.row_number)
        .limit(_PAGE)
    )


def _listed_row(row: Any) -> ListedRow:
    manifest, row_number, line, key, number, state, phase, reason, label, *rest = row
    changed, command, busy, on_deck, rejected, column = rest
    return ListedRow(
        manifest,
        row_number,
        line,
        key,
        number,
        _STATES.get(state),
        phase,
        reason or "",
        label or "",
        changed,
        ResolveCommand(command) if command else None,
        bool(busy),
        bool(on_deck),
        bool(rejected),
        column,
    )


_STATES = {state.value: state for state in State}
