"""Choosing accessions of a workspace by what the ledger knows of them.

What belongs here: the filter, and the question that it becomes. What does not: files and words of
a command line (`pipeline/choosing.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import ColumnElement, and_, false, func, not_, or_, select, update
from sqlalchemy.orm import Session

from locutus_dagster.ledger.claims import clock
from locutus_dagster.ledger.reading import LedgerReader, select_items
from locutus_dagster.ledger.resolutions import ResolveCommand
from locutus_dagster.ledger.schema import Accession, Manifest, ManifestRow, Resolution
from locutus_dagster.ledger.standing import differs_from_delivery
from locutus_dagster.ledger.states import Phase, State
from locutus_dagster.ledger.work import WorkItem

__all__ = [
    "Selecting",
    "Selection",
    "Standing",
    "conditions",
    "in_hand",
    "point_at_first_rows",
    "standing_command",
]

_IN_CHUNK = 500


@dataclass(frozen=True)
class Standing:
    """One way in which an accession may stand; what is None or False restricts nothing.

    Attributes:
        phases: of those that have failed; the other states are not restricted by it.
        commands: of the resolution that stands; a None among them: there is none.
        in_hand: only what a worker has in hand at this moment.
        changed: only rows that differ from the delivery that stands.
        on_deck: only what is marked for a batch that has not come to it.
    """

    states: frozenset[State] | None = None
    phases: frozenset[int] | None = None
    commands: frozenset[ResolveCommand | None] | None = None
    in_hand: bool = False
    changed: bool = False
    on_deck: bool = False


@dataclass(frozen=True)
class Selection:
    """Which accessions; what is empty or None restricts nothing.

    Attributes:
        manifests: names; then each of their rows is an item.
        states: of the accessions.
        phases: of those that have failed; the other states are not restricted by it.
        changed: only rows that differ from the delivery that stands.
        any_of: beside the restrictions above, one of these has to hold.
        none_of: and none of these.
        subjects: research identities, as manifests write them.
        accession_numbers: exact; None for all, an empty tuple for none.
        accession_lines: where the file that named the numbers has each of them; empty when no
            file did.
        changed_since: accessions whose state has changed at or after this time.
        partition_keys: exactly these.
        labels: of the batch that the accession was last marked for or processed in; exact.
    """

    manifests: tuple[str, ...] = ()
    states: frozenset[State] | None = None
    changed: bool = False
    subjects: tuple[str, ...] = ()
    accession_numbers: tuple[str, ...] | None = field(default=None, repr=False)
    changed_since: datetime | None = None
    partition_keys: tuple[str, ...] = ()
    phases: frozenset[int] | None = None
    any_of: tuple[Standing, ...] = ()
    none_of: tuple[Standing, ...] = ()
    accession_lines: tuple[int, ...] = field(default=(), repr=False)
    labels: tuple[str, ...] = ()

    @property
    def everything(self) -> bool:
        """Whether nothing is restricted."""
        return self == Selection()


class Selecting(LedgerReader):
    """Items of work by a filter."""

    def select(self, workspace: str, selection: Selection) -> list[WorkItem]:
        """The work items that the selection asks for, in the order of their manifests.

        Where no manifest or partition is named, an accession that several rows name comes once:
        with the row that it was last processed for, or else the first one. Rows that are asked for
        because they have changed come each.
        """
        each_once = None
        if not selection.manifests and not selection.partition_keys:
            each_once = ManifestRow.id == Accession.row_id
        found: list[WorkItem] = []
        pieces = list(_pieces_of(selection))
        with self.session(reads_only=True) as session:
            at = clock(session)
            for piece in pieces:
                where = conditions(piece, at, each_once=each_once)
                found += select_items(session, workspace, *where)
        if len(pieces) > 1:
            found.sort(key=lambda item: item.row_id)
        return found


def point_at_first_rows(session: Session, manifest_id: int) -> None:
    """Let accessions that no row has claimed yet point at the first one of a manifest.

    Within the transaction that has written the rows. Which row an accession comes with is then a
    plain join; found out when it is asked for, it took a database without statistics minutes.
    """
    first = (
        select(ManifestRow.accession_id, func.min(ManifestRow.id).label("row"))
        .where(ManifestRow.manifest_id == manifest_id, ManifestRow.partition_key.is_not(None))
        .group_by(ManifestRow.accession_id)
        .subquery()
    )
    session.execute(
        update(Accession)
        .where(Accession.id == first.c.accession_id, Accession.row_id.is_(None))
        .values(row_id=first.c.row)
        .execution_options(synchronize_session=False)
    )


def conditions(
    selection: Selection, at: datetime, *, each_once: ColumnElement[bool] | None = None
) -> list[ColumnElement[bool]]:
    """What the selection asks of `Manifest`, `ManifestRow` and `Accession`, joined.

    Args:
        at: the present moment, by the ledger's clock.
        each_once: holds for one row of each accession; None when every row may come.
    """
    where: list[ColumnElement[bool]] = []
    if selection.manifests:
        where.append(Manifest.name.in_(selection.manifests))
    if selection.subjects:
        where.append(ManifestRow.subject_id.in_(selection.subjects))
    if selection.accession_numbers is not None:
        where.append(Accession.accession_number.in_(selection.accession_numbers))
    if selection.partition_keys:
        where.append(ManifestRow.partition_key.in_(selection.partition_keys))
    if selection.labels:
        where.append(Accession.label.in_(selection.labels))
    if selection.changed_since is not None:
        where.append(Accession.updated_at >= selection.changed_since)
    common = Standing(selection.states, selection.phases, changed=selection.changed)
    where += _holds(common, at)
    if each_once is not None and not selection.changed and not selection.any_of:
        where.append(each_once)
    if selection.any_of:
        ways = []
        for one in selection.any_of:
            once = [] if each_once is None or one.changed or selection.changed else [each_once]
            ways.append(and_(*_holds(one, at), *once))
        where.append(or_(false(), *ways))
    if selection.none_of:
        where.append(not_(or_(*(and_(*_holds(one, at)) for one in selection.none_of))))
    return where


def in_hand(at: datetime) -> ColumnElement[bool]:
    """Whether a worker has the accession in hand at `at`; never NULL."""
    return and_(Accession.claimed_until.is_not(None), Accession.claimed_until > at)


def standing_command() -> ColumnElement[str]:
    """The command of the resolution that stands for the accession, empty when there is none."""
    newest = (
        select(Resolution.command)
        .where(Resolution.accession_id == Accession.id, Resolution.closed_at.is_(None))
        .order_by(Resolution.id.desc())
        .limit(1)
        .correlate(Accession)
        .scalar_subquery()
    )
    return func.coalesce(newest, "")


def _holds(one: Standing, at: datetime) -> list[ColumnElement[bool]]:
    """What a way of standing asks; of an accession's row none of it is NULL, so `not` works."""
    where: list[ColumnElement[bool]] = []
    if one.states is not None:
        where.append(Accession.state.in_([state.value for state in one.states]))
    if one.phases is not None:
        # A failure without a phase counts, and is shown, as one of the first.
        phase = func.coalesce(Accession.phase, int(Phase.PREPARE))
        where.append(or_(Accession.state != State.FAILED.value, phase.in_(one.phases)))
    if one.commands is not None:
        words = ["" if command is None else command.value for command in one.commands]
        where.append(standing_command().in_(words))
    if one.in_hand:
        where.append(in_hand(at))
    if one.changed:
        where.append(differs_from_delivery())
    if one.on_deck:
        where.append(Accession.on_deck.is_(True))
    return where


def _pieces_of(selection: Selection) -> Iterator[Selection]:
    """The selection in pieces whose lists a statement can carry."""
    for numbers in _pieces(selection.accession_numbers):
        for keys in _pieces(selection.partition_keys or None):
            yield replace(selection, accession_numbers=numbers, partition_keys=keys or ())


def _pieces(values: Sequence[str] | None) -> Iterator[tuple[str, ...] | None]:
    if values is None:
        yield None
        return
    unique = tuple(dict.fromkeys(values))
    for start in range(0, len(unique), _IN_CHUNK):
        yield unique[start : start + _IN_CHUNK]
