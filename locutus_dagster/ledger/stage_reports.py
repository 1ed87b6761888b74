"""The stage in figures, held against manifests, and what was asked for.

What belongs here: questions for reports, which the database answers for a hundred thousand studies
at once. What does not: what is due (`stage.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select

from locutus_dagster.ledger.connection import LedgerConnection
from locutus_dagster.ledger.schema import Accession, Event, Manifest, ManifestRow, StageStudy
from locutus_dagster.ledger.stage_records import StageCount

__all__ = ["LOST_AFTER", "StageReports", "answered", "same_accession"]

#: A request of which nothing was heard for so long is taken to be lost.
LOST_AFTER = timedelta(minutes=15)


class StageReports(LedgerConnection):
    """Questions about the whole stage."""

    def stage_unnamed(self, workspace: str) -> list[str]:
        """Accession numbers at the source that no manifest of the workspace names, sorted."""
        named = exists().where(same_accession()).correlate(StageStudy)
        statement = (
            select(StageStudy.accession_number)
            .where(
                StageStudy.workspace == workspace,
                StageStudy.gone_at.is_(None),
                StageStudy.accession_number != "",
                ~named,
            )
            .distinct()
        )
        with self.session(reads_only=True) as session:
            return sorted(session.scalars(statement))

    def stage_lacking(self, workspace: str, manifests: Sequence[str] = ()) -> list[str]:
        """Partition keys of rows whose accession the source does not have, in their order.

        Args:
            manifests: names; none for all of the workspace.
        """
        there = exists().where(same_accession(), StageStudy.gone_at.is_(None)).correlate(Accession)
        statement = (
            select(ManifestRow.partition_key)
            .join(Accession, Accession.id == ManifestRow.accession_id)
            .join(Manifest, Manifest.id == ManifestRow.manifest_id)
            .where(
                ManifestRow.workspace == workspace, ManifestRow.partition_key.is_not(None), ~there
            )
            .order_by(ManifestRow.manifest_id, ManifestRow.row_number)
        )
        if manifests:
            statement = statement.where(Manifest.name.in_(manifests))
        with self.session(reads_only=True) as session:
            return [key for key in session.scalars(statement) if key is not None]

    def stage_count(self, workspace: str) -> StageCount:
        """The stage in numbers."""
        present = StageStudy.gone_at.is_(None)
        counted = (
            present,
            and_(present, StageStudy.stable_since.is_(None)),
            and_(present, StageStudy.handled < StageStudy.revision),
            and_(present, StageStudy.asked_at.is_not(None)),
            and_(present, StageStudy.refused),
            and_(present, StageStudy.accession_number == ""),
            ~present,
        )
        sums = [func.coalesce(func.sum(case((one, 1), else_=0)), 0) for one in counted]
        with self.session(reads_only=True) as session:
            row = session.execute(select(*sums).where(StageStudy.workspace == workspace)).one()
            return StageCount(*(int(value) for value in row))

    def stage_outstanding(self, workspace: str) -> dict[str, datetime]:
        """Requests of which nothing was heard yet, by key, with the time of each."""
        statement = (
            select(StageStudy.asked_run, func.min(StageStudy.asked_at))
            .outerjoin(Accession, same_accession())
            .where(
                StageStudy.workspace == workspace,
                StageStudy.asked_at.is_not(None),
                ~answered(),
            )
            .group_by(StageStudy.asked_run)
        )
        with self.session(reads_only=True) as session:
            return {row[0]: row[1] for row in session.execute(statement) if row[1]}

    def stage_awaited(self, workspace: str, *, at: datetime, waiting: Collection[str] = ()) -> int:
        """Studies of whose request nothing was heard yet, or that were put off with their run.

        Args:
            waiting: keys of requests that are known to be in a queue, and so are not lost.
        """
        on_its_way = and_(
            StageStudy.asked_at.is_not(None),
            or_(StageStudy.asked_at > at - LOST_AFTER, StageStudy.asked_run.in_(list(waiting))),
            ~answered(),
        )
        broke_off = and_(
            StageStudy.asked_at.is_(None),
            StageStudy.asked_revision == StageStudy.revision,
            StageStudy.not_before > at,
        )
        statement = (
            select(func.count())
            .select_from(StageStudy)
            .outerjoin(Accession, same_accession())
            .where(
                StageStudy.workspace == workspace,
                StageStudy.gone_at.is_(None),
                StageStudy.handled < StageStudy.revision,
                or_(on_its_way, broke_off),
            )
        )
        with self.session(reads_only=True) as session:
            return int(session.scalar(statement) or 0)

    def stage_verdicts(self, workspace: str) -> dict[str, int]:
        """How many present studies were decided about in which words, the most frequent first."""
        statement = (
            select(StageStudy.verdict, func.count())
            .where(
                StageStudy.workspace == workspace,
                StageStudy.gone_at.is_(None),
                StageStudy.verdict != "",
            )
            .group_by(StageStudy.verdict)
        )
        with self.session(reads_only=True) as session:
            found = {row[0]: int(row[1]) for row in session.execute(statement)}
        return dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))


def same_accession() -> ColumnElement[bool]:
    """Whether an accession of the workspace has the number that a study carries."""
    return and_(
        Accession.workspace == StageStudy.workspace,
        Accession.accession_number == StageStudy.accession_number,
    )


def answered() -> ColumnElement[bool]:
    """Whether something has happened to the accession since a run was asked for."""
    return and_(
        StageStudy.asked_at.is_not(None),
        exists()
        .where(Event.accession_id == Accession.id, Event.id > StageStudy.asked_event)
        .correlate(Accession, StageStudy),
    )
