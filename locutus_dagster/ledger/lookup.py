"""Looking one thing up: what an accession number, a partition or a subject stands for.

What belongs here: finding accessions by any of their names, and the facts that stand in their own
row and in the rows of manifests. What does not: their deliveries, history and the rest, which have
questions of their own (`reading.py`, `deliveries.py`), and counting (`overview.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import aliased

from locutus_dagster.ledger.claims import clock
from locutus_dagster.ledger.connection import LedgerConnection, LedgerError
from locutus_dagster.ledger.schema import Accession, Manifest, ManifestRow
from locutus_dagster.ledger.states import State

__all__ = ["AccessionRecord", "Found", "FoundBy", "Lookup", "RejectedRecord", "RowRecord"]

_IN_CHUNK = 500


class FoundBy(str, Enum):
    """Which of an accession's names it was found by."""

    ACCESSION = "accession number"
    PARTITION = "partition"
    SUBJECT = "subject"


@dataclass(frozen=True)
class Found:
    """An accession, and the names that led to it."""

    accession_id: int
    workspace: str
    by: tuple[FoundBy, ...]


@dataclass(frozen=True)
class AccessionRecord:
    """An accession's own facts, but for the source's handle of its study.

    Attributes:
        row_id: of the manifest's row that it is, or was last, processed for.
        claimed_by: the worker that has it in hand at this moment, None when none has.
        claimed_until: when that ends, unless the worker says again that it lives.
    """

    identity: int
    workspace: str
    accession_number: str = field(repr=False)
    state: State
    phase: int | None
    reason: str
    study_uid: str | None
    source_fingerprint: str | None
    instances: int | None
    delivered: int | None
    withheld: int | None
    run_id: str | None
    updated_at: datetime
    row_id: int | None
    generation: int
    label: str
    claimed_by: str | None
    claimed_until: datetime | None
    on_deck: bool


@dataclass(frozen=True)
class RowRecord:
    """A row of a manifest that names an accession.

    Attributes:
        partition_key: None for a duplicate that is not to be processed again.
        duplicate_of: number of the earlier row of the same manifest with the same accession.
        changed: kinds in which it differs from the delivery that stands, joined by ",".
    """

    row_id: int
    manifest: str
    loaded_at: datetime
    row_number: int
    line: int
    partition_key: str | None
    subject_id: str
    imaging_type: str
    age: str
    anatomical_position: str
    deid_qc_status: str
    resolve_via: str
    duplicate_of: int | None
    changed: str


@dataclass(frozen=True)
class RejectedRecord:
    """A row that was not accepted: where and why; never what stands in it."""

    workspace: str
    manifest: str
    row_number: int
    line: int
    column: str
    reason: str


class Lookup(LedgerConnection):
    """Finding accessions, and their facts."""

    def find(self, names: Sequence[str], workspaces: Sequence[str]) -> list[Found]:
        """The accessions of which one of `names` is the number, a partition or the subject.

        All of them are matched exactly; in the order in which manifests named them first.
        """
        by: dict[tuple[int, str], list[FoundBy]] = {}
        with self.session(reads_only=True) as session:
            number = select(Accession.id, Accession.workspace).where(
                Accession.workspace.in_(workspaces), Accession.accession_number.in_(names)
            )
            rows = select(ManifestRow.accession_id, ManifestRow.workspace).where(
                ManifestRow.workspace.in_(workspaces), ManifestRow.accession_id.is_not(None)
            )
            ways: tuple[tuple[FoundBy, Any], ...] = (
                (FoundBy.ACCESSION, number),
                (FoundBy.PARTITION, rows.where(ManifestRow.partition_key.in_(names))),
                (FoundBy.SUBJECT, rows.where(ManifestRow.subject_id.in_(names)).distinct()),
            )
            for way, statement in ways:
                for identity, workspace in session.execute(statement):
                    by.setdefault((identity, workspace), []).append(way)
        return [Found(*key, tuple(found_by)) for key, found_by in sorted(by.items())]

    def find_rejected(
        self, names: Sequence[str], workspaces: Sequence[str]
    ) -> list[RejectedRecord]:
        """The rejected rows whose accession number or subject is one of `names`."""
        number = ManifestRow.extra["ACCESSION_NUM"].as_string()
        statement = (
            select(
                ManifestRow.workspace,
                Manifest.name,
                ManifestRow.row_number,
                ManifestRow.line,
                ManifestRow.rejected_column,
                ManifestRow.rejected,
            )
            .join(Manifest, Manifest.id == ManifestRow.manifest_id)
            .where(
                ManifestRow.workspace.in_(workspaces),
                ManifestRow.rejected != "",
                or_(ManifestRow.subject_id.in_(names), number.in_(names)),
            )
            .order_by(ManifestRow.manifest_id, ManifestRow.row_number)
        )
        with self.session(reads_only=True) as session:
            return [RejectedRecord(*row) for row in session.execute(statement)]

    def accession_record(self, accession_id: int) -> AccessionRecord:
        """An accession's own facts.

        Raises:
            LedgerError: the ledger does not know it.
        """
        with self.session(reads_only=True) as session:
            row = session.get(Accession, accession_id)
            if row is None:
                raise LedgerError("The ledger does not know that accession.")
            until = row.claimed_until
            busy = until is not None and until > clock(session)
            return AccessionRecord(
                row.id,
                row.workspace,
                row.accession_number,
                State(row.state),
                row.phase,
                row.reason,
                row.study_uid,
                row.source_fingerprint,
                row.instances,
                row.delivered,
                row.withheld,
                row.run_id,
                row.updated_at,
                row.row_id,
                row.generation,
                row.label,
                row.claimed_by if busy else None,
                until if busy else None,
                row.on_deck,
            )

    def rows_of(self, accession_id: int) -> list[RowRecord]:
        """The rows of manifests that name an accession, in the order of their manifests."""
        earlier = aliased(ManifestRow)
        statement: Any = (
            select(
                ManifestRow.id,
                Manifest.name,
                Manifest.loaded_at,
                ManifestRow.row_number,
                ManifestRow.line,
                ManifestRow.partition_key,
                ManifestRow.subject_id,
                ManifestRow.imaging_type,
                ManifestRow.age,
                ManifestRow.anatomical_position,
                ManifestRow.deid_qc_status,
                ManifestRow.resolve_via,
                earlier.row_number,
                ManifestRow.changed,
            )
            .join(Manifest, Manifest.id == ManifestRow.manifest_id)
            .join(earlier, earlier.id == ManifestRow.duplicate_of, isouter=True)
            .where(ManifestRow.accession_id == accession_id)
            .order_by(ManifestRow.manifest_id, ManifestRow.row_number)
        )
        with self.session(reads_only=True) as session:
            return [RowRecord(*row) for row in session.execute(statement)]

    def known(self, workspace: str, kind: FoundBy, names: Sequence[str]) -> set[str]:
        """Those of `names` that are known in the workspace as names of that kind."""
        column, of_workspace = _NAMES[kind]
        known: set[str] = set()
        with self.session(reads_only=True) as session:
            for start in range(0, len(names), _IN_CHUNK):
                statement = select(column).where(
                    of_workspace == workspace, column.in_(names[start : start + _IN_CHUNK])
                )
                if kind is FoundBy.SUBJECT:
                    statement = statement.where(ManifestRow.accession_id.is_not(None)).distinct()
                known.update(session.scalars(statement))
        return known


_NAMES: dict[FoundBy, tuple[Any, Any]] = {
    FoundBy.ACCESSION: (Accession.accession_number, Accession.workspace),
    FoundBy.PARTITION: (ManifestRow.partition_key, ManifestRow.workspace),
    FoundBy.SUBJECT: (ManifestRow.subject_id, ManifestRow.workspace),
}
