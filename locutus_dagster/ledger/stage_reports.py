"""The stage in figures, and held against manifests.

What belongs here: questions for reports, which the database answers for a hundred thousand studies
at once. What does not: what is due (`stage.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, case, exists, func, select

from locutus_dagster.ledger.connection import LedgerConnection
from locutus_dagster.ledger.schema import Accession, Manifest, ManifestRow, StageStudy
from locutus_dagster.ledger.stage_records import StageCount

__all__ = ["StageReports", "same_accession"]


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
