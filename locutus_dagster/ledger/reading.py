"""Asking the ledger.

What belongs here: questions, each one read-only transaction. What does not: changes (`store.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from locutus_dagster.ledger.connection import LedgerConnection, LedgerError
from locutus_dagster.ledger.schema import (
    Accession,
    Artifact,
    DeidReport,
    Delivery,
    Disposition,
    Event,
    Manifest,
    ManifestRow,
    Workspace,
)
from locutus_dagster.ledger.states import State
from locutus_dagster.ledger.work import (
    ArtifactRecord,
    DeliveryRecord,
    DispositionCount,
    ReportRecord,
    WorkItem,
)

__all__ = ["LedgerReader"]

_IN_CHUNK = 500  # bound parameters in one statement: SQLite's old limit is 999


class LedgerReader(LedgerConnection):
    """The questions that are asked of the ledger."""

    def workspace_key_id(self, name: str) -> str | None:
        """The identifier of the secret that this workspace's pseudonyms were made with."""
        with self.session(reads_only=True) as session:
            workspace = session.get(Workspace, name)
            return workspace.key_id if workspace else None

    def work_items(self, workspace: str, partition_keys: Sequence[str]) -> list[WorkItem]:
        """The work items of `partition_keys`, in that order.

        Raises:
            LedgerError: a key is unknown (partition keys identify nobody and may be quoted).
        """
        found: dict[str, WorkItem] = {}
        with self.session(reads_only=True) as session:
            for start in range(0, len(partition_keys), _IN_CHUNK):
                chunk = partition_keys[start : start + _IN_CHUNK]
                for item in _select_items(session, workspace, ManifestRow.partition_key.in_(chunk)):
                    found[item.partition_key] = item
        missing = [key for key in partition_keys if key not in found]
        if missing:
            raise LedgerError(
                f"The ledger knows no manifest row for {len(missing)} partition(s) of workspace "
                f"'{workspace}', the first being {missing[0]}.",
                "Load the manifest with 'locutus load-manifest'; partitions are not made by hand.",
            )
        return [found[key] for key in partition_keys]

    def state_of(self, accession_id: int) -> State | None:
        """The state of an accession, or None when the ledger does not know it."""
        with self.session(reads_only=True) as session:
            accession = session.get(Accession, accession_id)
            return State(accession.state) if accession else None

    def manifest_items(self, workspace: str, manifest: str) -> list[WorkItem]:
        """The work items of one manifest, in the manifest's order."""
        with self.session(reads_only=True) as session:
            return _select_items(session, workspace, Manifest.name == manifest)

    def manifest_names(self, workspace: str) -> list[str]:
        """The names of the workspace's manifests, in the order they were loaded."""
        with self.session(reads_only=True) as session:
            statement = (
                select(Manifest.name).where(Manifest.workspace == workspace).order_by(Manifest.id)
            )
            return list(session.scalars(statement))

    def touched_by(self, run_id: str, states: Sequence[State] = tuple(State)) -> int:
        """How many accessions a run was the last to touch and left in one of `states`."""
        with self.session(reads_only=True) as session:
            statement = select(func.count()).where(
                Accession.run_id == run_id,
                Accession.state.in_([state.value for state in states]),
            )
            return session.scalar(statement) or 0

    def state_counts(self, workspace: str, manifest: str) -> dict[State, int]:
        """How many of a manifest's accepted rows stand in which state."""
        with self.session(reads_only=True) as session:
            statement = (
                select(Accession.state, func.count())
                .join(ManifestRow, ManifestRow.accession_id == Accession.id)
                .join(Manifest, Manifest.id == ManifestRow.manifest_id)
                .where(
                    Manifest.workspace == workspace,
                    Manifest.name == manifest,
                    ManifestRow.partition_key.is_not(None),
                )
                .group_by(Accession.state)
            )
            return {State(state): count for state, count in session.execute(statement)}

    def rejected_rows(self, workspace: str, manifest: str) -> list[ManifestRow]:
        """The rows of a manifest that were not accepted, in the file's order."""
        with self.session(reads_only=True) as session:
            statement = (
                select(ManifestRow)
                .join(Manifest, Manifest.id == ManifestRow.manifest_id)
                .where(
                    Manifest.workspace == workspace,
                    Manifest.name == manifest,
                    ManifestRow.rejected != "",
                )
                .order_by(ManifestRow.row_number)
            )
            return list(session.scalars(statement))

    def artifact(self, accession_id: int, kind: str) -> ArtifactRecord | None:
        """The accession's newest artifact of that kind that has not been deleted."""
        with self.session(reads_only=True) as session:
            row = session.scalars(
                select(Artifact)
                .where(
                    Artifact.accession_id == accession_id,
                    Artifact.kind == kind,
                    Artifact.deleted_at.is_(None),
                )
                .order_by(Artifact.id.desc())
                .limit(1)
            ).first()
            return _artifact_record(row) if row else None

    def deliveries(self, accession_id: int) -> list[DeliveryRecord]:
        """The accession's confirmed deliveries, oldest first."""
        with self.session(reads_only=True) as session:
            rows = session.scalars(
                select(Delivery).where(Delivery.accession_id == accession_id).order_by(Delivery.id)
            )
            return [
                DeliveryRecord(r.target, r.uri, r.sha256, r.size, r.instances, r.fingerprint)
                for r in rows
            ]

    def delivered_elsewhere(self, accession_id: int, target: str, uri: str) -> bool:
        """Whether another accession has already been delivered to `uri`."""
        with self.session(reads_only=True) as session:
            owner = session.scalar(
                select(Delivery.accession_id).where(Delivery.target == target, Delivery.uri == uri)
            )
            return owner is not None and owner != accession_id

    def dispositions(self, accession_id: int) -> list[DispositionCount]:
        """What became of the study's instances when it was last de-identified."""
        with self.session(reads_only=True) as session:
            rows = session.scalars(
                select(Disposition)
                .where(Disposition.accession_id == accession_id)
                .order_by(Disposition.id)
            )
            return [
                DispositionCount(r.sop_class, r.modality, r.disposition, r.reason, r.instances)
                for r in rows
            ]

    def withheld_by_reason(self, accession_ids: Sequence[int]) -> dict[str, int]:
        """How many instances of these accessions were withheld for which reason."""
        counts: dict[str, int] = {}
        with self.session(reads_only=True) as session:
            for start in range(0, len(accession_ids), _IN_CHUNK):
                statement = (
                    select(Disposition.reason, func.sum(Disposition.instances))
                    .where(
                        Disposition.accession_id.in_(accession_ids[start : start + _IN_CHUNK]),
                        Disposition.disposition == "withheld",
                    )
                    .group_by(Disposition.reason)
                )
                for reason, instances in session.execute(statement):
                    counts[reason] = counts.get(reason, 0) + int(instances)
        return dict(sorted(counts.items()))

    def deid_report(self, accession_id: int) -> ReportRecord | None:
        """What the engine reported of the study when it was last de-identified."""
        with self.session(reads_only=True) as session:
            row = session.get(DeidReport, accession_id)
            if row is None:
                return None
            return ReportRecord(
                row.policy_name,
                row.policy_fingerprint,
                row.key_id,
                row.engine_version,
                row.report,
                row.created_at,
            )

    def events(self, accession_id: int) -> list[Event]:
        """The accession's history, oldest first."""
        with self.session(reads_only=True) as session:
            return list(
                session.scalars(
                    select(Event).where(Event.accession_id == accession_id).order_by(Event.id)
                )
            )


def _select_items(session: Session, workspace: str, where: Any) -> list[WorkItem]:
    statement = (
        select(ManifestRow, Accession, Manifest.name)
        .join(Accession, Accession.id == ManifestRow.accession_id)
        .join(Manifest, Manifest.id == ManifestRow.manifest_id)
        .where(ManifestRow.workspace == workspace, ManifestRow.partition_key.is_not(None), where)
        .order_by(ManifestRow.manifest_id, ManifestRow.row_number)
    )
    return [
        WorkItem(
            workspace=workspace,
            partition_key=row.partition_key or "",
            manifest=name,
            row_number=row.row_number,
            accession_id=accession.id,
            accession_number=accession.accession_number,
            subject_id=row.subject_id,
            imaging_type=row.imaging_type,
            age=row.age,
            anatomical_position=row.anatomical_position,
            state=State(accession.state),
            phase=accession.phase,
            reason=accession.reason,
            instances=accession.instances,
            delivered=accession.delivered,
            withheld=accession.withheld,
            study_uid=accession.study_uid,
            study_token=accession.study_token,
            source_fingerprint=accession.source_fingerprint,
        )
        for row, accession, name in session.execute(statement)
    ]


def _artifact_record(row: Artifact) -> ArtifactRecord:
    return ArtifactRecord(
        row.kind, row.host, row.path, row.sha256, row.size, row.instances, row.fingerprint
    )
