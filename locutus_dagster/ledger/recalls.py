"""Recalls: what must not be delivered any more, until it is lifted.

What belongs here: noting a recall, lifting it, the question whether one stands, and whom it is
about. What does not: removing what was delivered (`pipeline/recalling.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from locutus_dagster.ledger.connection import LedgerConnection
from locutus_dagster.ledger.reading import select_items
from locutus_dagster.ledger.schema import Accession, ManifestRow, Recall, Workspace, now
from locutus_dagster.ledger.work import WorkItem

__all__ = ["RecallRecord", "Recalls", "recalled_subjects"]

_IN_CHUNK = 500


@dataclass(frozen=True)
class RecallRecord:
    """A recall: of one accession, or of a whole subject.

    Attributes:
        subject_id: the research identity, None when one accession is recalled.
        reason: for people, free of identifiers.
    """

    identity: int
    workspace: str
    accession_id: int | None
    subject_id: str | None
    reason: str
    recalled_at: datetime
    lifted_at: datetime | None = None
    lifted_reason: str = ""


class Recalls(LedgerConnection):
    """What must not be delivered."""

    def recall(
        self,
        workspace: str,
        reason: str,
        *,
        accession_id: int | None = None,
        subject_id: str | None = None,
    ) -> None:
        """Note a recall of an accession or of a subject; one that stands already is kept."""
        with self.session() as session:
            # One at a time in a workspace: of two, one would stand on when the other is lifted.
            session.get_one(Workspace, workspace, with_for_update={"key_share": True})
            standing = select(Recall.id).where(
                Recall.workspace == workspace,
                Recall.accession_id == accession_id,
                Recall.subject_id == subject_id,
                Recall.lifted_at.is_(None),
            )
            if session.scalar(standing) is None:
                session.add(
                    Recall(
                        workspace=workspace,
                        accession_id=accession_id,
                        subject_id=subject_id,
                        reason=reason,
                    )
                )

    def lift_recall(self, identity: int, reason: str) -> None:
        """Note that a recall has been lifted."""
        with self.session() as session:
            row = session.get_one(Recall, identity, with_for_update=True)
            if row.lifted_at is None:
                row.lifted_at, row.lifted_reason = now(), reason

    def recall_of(self, workspace: str, accession_id: int, subject_id: str) -> RecallRecord | None:
        """The recall that stands for an accession or its subject, None when there is none."""
        with self.session(reads_only=True) as session:
            row = session.scalars(
                select(Recall)
                .where(
                    Recall.workspace == workspace,
                    or_(Recall.accession_id == accession_id, Recall.subject_id == subject_id),
                    Recall.lifted_at.is_(None),
                )
                .order_by(Recall.id)
                .limit(1)
            ).first()
            return _record(row) if row else None

    def recalls(self, workspace: str, *, standing_only: bool = False) -> list[RecallRecord]:
        """Every recall of a workspace, oldest first."""
        statement = select(Recall).where(Recall.workspace == workspace).order_by(Recall.id)
        if standing_only:
            statement = statement.where(Recall.lifted_at.is_(None))
        with self.session(reads_only=True) as session:
            return [_record(row) for row in session.scalars(statement)]

    def accessions_of_subject(self, workspace: str, subject_id: str) -> list[int]:
        """Every accession that any row of a manifest names for the subject.

        What was delivered for the subject is among them: a delivery is made for a row, and rows
        are never changed.
        """
        statement = (
            select(ManifestRow.accession_id)
            .where(
                ManifestRow.workspace == workspace,
                ManifestRow.subject_id == subject_id,
                ManifestRow.accession_id.is_not(None),
            )
            .distinct()
        )
        with self.session(reads_only=True) as session:
            return sorted(identity for identity in session.scalars(statement) if identity)

    def items_naming(self, workspace: str, accession_ids: Sequence[int]) -> list[WorkItem]:
        """Every row with a partition that names one of these accessions, in their order."""
        found: list[WorkItem] = []
        with self.session(reads_only=True) as session:
            for start in range(0, len(accession_ids), _IN_CHUNK):
                chunk = accession_ids[start : start + _IN_CHUNK]
                found += select_items(session, workspace, Accession.id.in_(chunk))
        return sorted(found, key=lambda item: item.row_id)


def recalled_subjects(session: Session, workspace: str) -> set[str]:
    """The subjects of a workspace for whom a recall stands."""
    return {
        subject
        for subject in session.scalars(
            select(Recall.subject_id).where(
                Recall.workspace == workspace,
                Recall.subject_id.is_not(None),
                Recall.lifted_at.is_(None),
            )
        )
        if subject is not None
    }


def _record(row: Recall) -> RecallRecord:
    return RecallRecord(
        row.id,
        row.workspace,
        row.accession_id,
        row.subject_id,
        row.reason,
        row.recalled_at,
        row.lifted_at,
        row.lifted_reason,
    )
