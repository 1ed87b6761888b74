"""What a report over whole manifests asks: rows with their deliveries, counts, and the past.

What belongs here: questions that the database answers for a hundred thousand rows at once. What
does not: the past (`summary_past.py`), the reference's words for the answers (`summarizer/`), and
one accession at a time (`lookup.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    func,
    select,
)
from sqlalchemy.orm import Session

from locutus_dagster.ledger.claims import clock
from locutus_dagster.ledger.resolutions import ResolveCommand
from locutus_dagster.ledger.schema import Accession, Delivery, Manifest, ManifestRow
from locutus_dagster.ledger.selection import Selection, in_hand, standing_command
from locutus_dagster.ledger.standing import MADE_FOR, STANDS, newest_standing, other_attributes
from locutus_dagster.ledger.states import State
from locutus_dagster.ledger.summary_past import SummaryPast, among, rows_with_accessions
from locutus_dagster.ledger.summary_records import RowGroup, StandingDelivery, SummaryRow

__all__ = ["Summaries"]

_PAGE = 5000  # rows, or values in one list
_ACCESSION_CELL = "ACCESSION_NUM"  # where loading keeps what a rejected row named
_ALL = Selection()
#: What an integer would not give back: letters, signs, blanks, leading zeros.
_WITH_TEXT = r"^0.|[^0-9]"


class Summaries(SummaryPast):
    """Questions over whole manifests."""

    def summary_rows(self, workspace: str, selection: Selection = _ALL) -> Iterator[SummaryRow]:
        """Every row, in the order of the manifests, page by page as it stands when it is read.

        Rejected rows and duplicates come as long as nothing but manifests is selected.
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
                    at = clock(session)
                    statement = (
                        rows_with_accessions(workspace, selection, at, *_columns(at))
                        .where(ManifestRow.manifest_id == identity, ManifestRow.row_number > last)
                        .order_by(ManifestRow.row_number)
                        .limit(_PAGE)
                    )
                    page = session.connection().execute(statement).all()
                    if not page:
                        break
                    named = select(ManifestRow.accession_id).where(
                        ManifestRow.manifest_id == identity,
                        ManifestRow.row_number.between(page[0].row_number, page[-1].row_number),
                    )
                    standing = _standing(session, named)
                yield from (_summary_row(row, standing) for row in page)
                last = page[-1].row_number

    def summary_rows_of(
        self, workspace: str, accession_numbers: Sequence[str]
    ) -> dict[str, SummaryRow]:
        """By accession number, the row that each of them is, or was last, processed for.

        Numbers that no manifest of the workspace names are left out.
        """
        found: dict[str, SummaryRow] = {}
        for some in _in_pieces(dict.fromkeys(accession_numbers)):
            with self.session(reads_only=True) as session:
                at = clock(session)
                meant = and_(
                    Accession.workspace == workspace,
                    Accession.accession_number.in_(among(session, some)),
                )
                statement = (
                    select(*_columns(at))
                    .select_from(Accession)
                    .join(ManifestRow, ManifestRow.id == Accession.row_id)
                    .join(Manifest, Manifest.id == ManifestRow.manifest_id)
                    .where(meant)
                )
                page = session.connection().execute(statement).all()
                standing = _standing(session, select(Accession.id).where(meant))
            rows = (_summary_row(row, standing) for row in page)
            found.update((row.accession_number, row) for row in rows)
        return found

    def row_groups(self, workspace: str, selection: Selection = _ALL) -> list[RowGroup]:
        """The same rows, counted by what a report tells of them."""
        newest = newest_standing(workspace)
        with self.session(reads_only=True) as session:
            at = clock(session)
            compared = MADE_FOR.id.is_not(None)
            each = (
                rows_with_accessions(
                    workspace,
                    selection,
                    at,
                    Accession.state.label("state"),
                    Accession.phase.label("phase"),
                    func.coalesce(Accession.reason, "").label("reason"),
                    func.coalesce(Accession.label, "").label("label"),
                    standing_command().label("command"),
                    _as_number(in_hand(at)).label("in_hand"),
                    _as_number(Accession.on_deck.is_(True)).label("on_deck"),
                    ManifestRow.changed.label("changed"),
                    ManifestRow.rejected.label("rejected"),
                    ManifestRow.rejected_column.label("rejected_column"),
                    _as_number(ManifestRow.duplicate_of.is_not(None)).label("duplicate"),
                    _as_number(compared).label("compared"),
                    _as_number(and_(compared, MADE_FOR.subject_id != ManifestRow.subject_id)).label(
                        "other_subject"
                    ),
                    _as_number(and_(compared, other_attributes())).label("other_attributes"),
                    _as_number(Accession.accession_number.regexp_match(_WITH_TEXT)).label(
                        "with_text"
                    ),
                )
                .join(newest, newest.c.accession_id == Accession.id, isouter=True)
                .join(Delivery, Delivery.id == newest.c.id, isouter=True)
                .join(MADE_FOR, MADE_FOR.id == Delivery.row_id, isouter=True)
                .subquery()
            )
            statement = select(*each.c, func.count()).group_by(*each.c)
            return [_row_group(row) for row in session.execute(statement)]

    def accessions_of_workspace(self, workspace: str) -> int:
        """How many accessions the workspace has, whatever manifest names them."""
        with self.session(reads_only=True) as session:
            statement = select(func.count(Accession.id)).where(Accession.workspace == workspace)
            return session.scalar(statement) or 0

    def identifiers_of_workspace(self, workspace: str) -> tuple[set[str], set[str]]:
        """Every accession number and every subject that a manifest of the workspace names."""
        cell = ManifestRow.extra[_ACCESSION_CELL].as_string()
        of_rows = ManifestRow.workspace == workspace
        with self.session(reads_only=True) as session:
            numbers = set(
                session.scalars(
                    select(Accession.accession_number).where(Accession.workspace == workspace)
                )
            )
            rejected = select(cell).where(of_rows, ManifestRow.rejected != "")
            numbers.update(number for number in session.scalars(rejected) if number)
            subjects = set(session.scalars(select(ManifestRow.subject_id).where(of_rows)))
        return numbers, subjects - {""}


def _columns(at: datetime) -> tuple[ColumnElement[Any] | Any, ...]:
    cell = ManifestRow.extra[_ACCESSION_CELL].as_string()
    return (
        Manifest.name,
        ManifestRow.row_number,
        ManifestRow.line,
        ManifestRow.partition_key,
        Accession.id.label("accession_id"),
        case((ManifestRow.rejected != "", cell), else_=Accession.accession_number),
        ManifestRow.subject_id,
        ManifestRow.imaging_type,
        ManifestRow.age,
        ManifestRow.anatomical_position,
        ManifestRow.deid_qc_status,
        ManifestRow.duplicate_of.is_not(None),
        ManifestRow.changed,
        ManifestRow.rejected,
        ManifestRow.rejected_column,
        Accession.state,
        Accession.phase,
        Accession.reason,
        Accession.label,
        standing_command(),
        _as_number(in_hand(at)),
        Accession.updated_at,
        Accession.instances,
        Accession.delivered,
        Accession.withheld,
        _as_number(Accession.row_id == ManifestRow.id),
        _as_number(Accession.on_deck.is_(True)),
    )


def _summary_row(row: Any, standing: dict[int, tuple[StandingDelivery, ...]]) -> SummaryRow:
    manifest, number, line, key, identity, accession, *rest = row
    subject, imaging_type, age, position, qc, duplicate, changed, rejected, column, *rest = rest
    state, phase, reason, label, command, busy, updated, instances, *rest = rest
    delivered, withheld, own, on_deck = rest
    return SummaryRow(
        manifest,
        number,
        line,
        key,
        identity,
        accession or "",
        (subject, imaging_type, age, position),
        qc,
        bool(duplicate),
        changed,
        rejected,
        column,
        _STATES.get(state),
        phase,
        reason or "",
        label or "",
        _COMMANDS.get(command),
        bool(busy),
        updated,
        instances,
        delivered,
        withheld,
        bool(own),
        standing.get(identity, ()),
        bool(on_deck),
    )


def _row_group(row: Any) -> RowGroup:
    state, phase, reason, label, command, busy, on_deck, *rest = row
    changed, rejected, column, *flags = rest
    duplicate, compared, other_subject, other_attributes, with_text, rows = flags
    return RowGroup(
        _STATES.get(state),
        phase,
        reason,
        label,
        _COMMANDS.get(command),
        bool(busy),
        changed,
        rejected,
        column,
        bool(duplicate),
        bool(compared),
        bool(other_subject),
        bool(other_attributes),
        bool(with_text),
        int(rows),
        bool(on_deck),
    )


_STATES = {state.value: state for state in State}
_COMMANDS = {command.value: command for command in ResolveCommand}


def _standing(session: Session, named: Select[Any]) -> dict[int, tuple[StandingDelivery, ...]]:
    """The deliveries that stand of the accessions that a question names."""
    statement = (
        select(
            Delivery.accession_id,
            Delivery.target,
            Delivery.uri,
            Delivery.delivered_at,
            MADE_FOR.id,
            MADE_FOR.subject_id,
            MADE_FOR.imaging_type,
            MADE_FOR.age,
            MADE_FOR.anatomical_position,
        )
        .join(MADE_FOR, MADE_FOR.id == Delivery.row_id, isouter=True)
        .where(Delivery.accession_id.in_(named), STANDS)
        .order_by(Delivery.id)
    )
    found: dict[int, list[StandingDelivery]] = defaultdict(list)
    for identity, target, uri, at, row_id, *attributes in session.connection().execute(statement):
        subject, imaging_type, age, position = attributes
        made_for = None if row_id is None else (subject, imaging_type, age, position)
        found[identity].append(StandingDelivery(target, uri, at, made_for))
    return {identity: tuple(some) for identity, some in found.items()}


def _as_number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """1 or 0, as both databases can group by them; NULL counts as no."""
    return case((condition, 1), else_=0)


def _in_pieces(values: Any) -> Iterator[list[Any]]:
    left = iter(values)
    while some := list(islice(left, _PAGE)):
        yield some
