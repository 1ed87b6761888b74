"""Asking the ledger.

What belongs here: questions, each one read-only transaction. What does not: changes (`store.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from locutus_dagster.ledger.connection import LedgerConnection, LedgerError
from locutus_dagster.ledger.schema import (
    Accession,
    Artifact,
    DeidReport,
    Disposition,
    Event,
    Manifest,
    ManifestRow,
    Retired,
    Workspace,
)
from locutus_dagster.ledger.states import State
from locutus_dagster.ledger.work import (
    ArtifactRecord,
    DispositionCount,
    EventRecord,
    ReportRecord,
    RetiredRecord,
    WorkItem,
)

__all__ = ["LedgerReader", "select_items"]

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
                for item in select_items(session, workspace, ManifestRow.partition_key.in_(chunk)):
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
            return select_items(session, workspace, Manifest.name == manifest)

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

    def rows_without_work(self, workspace: str, manifest: str) -> dict[str, int]:
        """How many rows of a manifest have no partition, by why: rejected, or a duplicate."""
        with self.session(reads_only=True) as session:
            statement = (
                select(ManifestRow.rejected != "", func.count())
                .join(Manifest, Manifest.id == ManifestRow.manifest_id)
                .where(
                    Manifest.workspace == workspace,
                    Manifest.name == manifest,
                    ManifestRow.partition_key.is_(None),
                )
                .group_by(ManifestRow.rejected != "")
            )
            found = {bool(rejected): count for rejected, count in session.execute(statement)}
        words = {"rejected": found.get(True, 0), "duplicates": found.get(False, 0)}
        return {word: count for word, count in words.items() if count}

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

    def dispositions(
        self, accession_id: int, generation: int | None = None
    ) -> list[DispositionCount]:
        """What became of the study's instances when it was last de-identified.

        Args:
            generation: a retired one; None for the one that counts.
        """
        with self.session(reads_only=True) as session:
            rows = session.scalars(
                select(Disposition)
                .join(Accession, Accession.id == Disposition.accession_id)
                .where(
                    Disposition.accession_id == accession_id,
                    Disposition.generation == (generation or Accession.generation),
                )
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
                    .join(Accession, Accession.id == Disposition.accession_id)
                    .where(
                        Disposition.generation == Accession.generation,
                        Disposition.accession_id.in_(accession_ids[start : start + _IN_CHUNK]),
                        Disposition.disposition == "withheld",
                    )
                    .group_by(Disposition.reason)
                )
                for reason, instances in session.execute(statement):
                    counts[reason] = counts.get(reason, 0) + int(instances)
        return dict(sorted(counts.items()))

    def deid_report(self, accession_id: int, generation: int | None = None) -> ReportRecord | None:
        """What the engine reported of the study when it was last de-identified.

        Args:
            generation: a retired one; None for the one that counts.
        """
        with self.session(reads_only=True) as session:
            row = session.scalars(
                select(DeidReport)
                .join(Accession, Accession.id == DeidReport.accession_id)
                .where(
                    DeidReport.accession_id == accession_id,
                    DeidReport.generation == (generation or Accession.generation),
                )
            ).first()
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

    def events(self, accession_id: int) -> list[EventRecord]:
        """The accession's history, oldest first."""
        with self.session(reads_only=True) as session:
            rows = session.scalars(
                select(Event).where(Event.accession_id == accession_id).order_by(Event.id)
            )
            return [
                EventRecord(
                    row.at,
                    State(row.before),
                    State(row.after),
                    row.phase,
                    row.reason,
                    row.run_id,
                    row.settings,
                    row.row_id,
                    row.generation,
                    row.label,
                )
                for row in rows
            ]

    def retired(self, accession_id: int) -> list[RetiredRecord]:
        """The accession's retired generations, oldest first."""
        with self.session(reads_only=True) as session:
            rows = session.scalars(
                select(Retired)
                .where(Retired.accession_id == accession_id)
                .order_by(Retired.generation)
            )
            return [
                RetiredRecord(
                    row.generation,
                    State(row.state),
                    row.phase,
                    row.reason,
                    row.why,
                    row.deleted,
                    row.row_id,
                    row.study_uid,
                    row.instances,
                    row.delivered,
                    row.withheld,
                    row.run_id,
                    row.retired_at,
                )
                for row in rows
            ]

    def artifacts(self, accession_id: int) -> list[ArtifactRecord]:
        """What the ledger believes to lie in an interim store, on whatever host."""
        with self.session(reads_only=True) as session:
            rows = session.scalars(
                select(Artifact)
                .where(Artifact.accession_id == accession_id, Artifact.deleted_at.is_(None))
                .order_by(Artifact.id)
            )
            return [_artifact_record(row) for row in rows]


def select_items(session: Session, workspace: str, *where: ColumnElement[bool]) -> list[WorkItem]:
    """The work items that meet every condition, in the order of their manifests.

    Conditions may speak of `ManifestRow`, `Accession` and `Manifest`. Columns are selected rather
    than entities, and of the connection, as the session would keep every row a second time: a
    hundred thousand are listed in a second or two.
    """
    statement = (
        select(*_ITEM_COLUMNS)
        .join(Accession, Accession.id == ManifestRow.accession_id)
        .join(Manifest, Manifest.id == ManifestRow.manifest_id)
        .where(ManifestRow.workspace == workspace, ManifestRow.partition_key.is_not(None), *where)
        .order_by(ManifestRow.manifest_id, ManifestRow.row_number)
    )
    return [_item(workspace, row) for row in session.connection().execute(statement)]


_ITEM_COLUMNS = (
    ManifestRow.partition_key,
    Manifest.name,
    ManifestRow.row_number,
    Accession.id,
    Accession.accession_number,
    ManifestRow.subject_id,
    ManifestRow.imaging_type,
    ManifestRow.age,
    ManifestRow.anatomical_position,
    Accession.state,
    Accession.phase,
    Accession.reason,
    Accession.instances,
    Accession.delivered,
    Accession.withheld,
    Accession.study_uid,
    Accession.study_token,
    Accession.source_fingerprint,
    ManifestRow.id,
    ManifestRow.line,
    Accession.row_id,
    Accession.generation,
    Accession.label,
    ManifestRow.changed,
    ManifestRow.duplicate_of,
    ManifestRow.resolve_via,
    Accession.updated_at,
    Accession.claimed_until,
    Accession.on_deck,
)


# By identity, because comparing columns makes a condition of them.
_STATE_AT, _DUPLICATE_AT = (
    next(at for at, column in enumerate(_ITEM_COLUMNS) if column is wanted)
    for wanted in (Accession.state, ManifestRow.duplicate_of)
)


def _item(workspace: str, row: Sequence[Any]) -> WorkItem:
    fields = list(row)
    fields[_STATE_AT] = _STATES[fields[_STATE_AT]]
    fields[_DUPLICATE_AT] = fields[_DUPLICATE_AT] is not None
    return WorkItem(workspace, *fields)  # in the order of its fields


_STATES = {state.value: state for state in State}


def _artifact_record(row: Artifact) -> ArtifactRecord:
    return ArtifactRecord(
        row.kind,
        row.host,
        row.path,
        row.sha256,
        row.size,
        row.instances,
        row.fingerprint,
        row.made_from,
    )
