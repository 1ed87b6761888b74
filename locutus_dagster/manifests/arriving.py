"""Rows for studies that no manifest asked for: a manifest for each day, which grows.

What belongs here: writing such rows, whole or not at all. What does not: which studies get one,
and whose they are (`pipeline/watching.py`).

A row is judged as one in a file would be. An accession that any row of the workspace names gets no
second one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from locutus_dagster.ledger.fingerprints import digest
from locutus_dagster.ledger.recalls import recalled_subjects
from locutus_dagster.ledger.schema import Accession, Manifest, ManifestRow, Workspace
from locutus_dagster.ledger.states import State
from locutus_dagster.ledger.store import Ledger
from locutus_dagster.manifests.comparing import RECALLED, partition_key
from locutus_dagster.manifests.reading import (
    MANIFEST_COLUMNS,
    SUBJECT_COLUMN,
    ManifestError,
    fault_of_values,
)

__all__ = ["ARRIVED", "Added", "ArrivedRow", "add_arrivals", "arrived_name", "subject_fault"]

#: How the names of these manifests begin.
ARRIVED = "arrived-"


@dataclass(frozen=True)
class ArrivedRow:
    """What a manifest would say of a study that has arrived."""

    accession_number: str = field(repr=False)
    subject_id: str
    imaging_type: str = ""
    age: str = ""
    anatomical_position: str = ""

    @property
    def values(self) -> dict[str, str]:
        """The cells by column name."""
        cells = (self.subject_id, self.imaging_type, self.age, self.anatomical_position)
        return dict(zip(MANIFEST_COLUMNS, (*cells, self.accession_number, "", ""), strict=True))


@dataclass(frozen=True)
class Added:
    """What became of a row.

    Attributes:
        partition_key: of the row that names the accession, new or not; empty when it was refused.
        refused: why, free of identifiers; empty when it was not.
    """

    partition_key: str = ""
    refused: str = ""


def arrived_name(day: date) -> str:
    """The name of the manifest of a day."""
    return f"{ARRIVED}{day.isoformat()}"


def subject_fault(subject_id: str) -> str:
    """Why something cannot be a subject ID, free of values; empty when it can."""
    fault = fault_of_values(ArrivedRow("-", subject_id).values)
    return fault[1] if fault and fault[0] == SUBJECT_COLUMN else ""


def add_arrivals(
    ledger: Ledger, workspace: str, name: str, rows: Sequence[ArrivedRow]
) -> list[Added]:
    """Append rows to the manifest `name`, in one transaction; says what became of each.

    Doing it again changes nothing and says the same.

    Raises:
        ManifestError: a manifest of that name was loaded from a file.
    """
    ledger.ensure_workspace(workspace)
    with ledger.session() as session:
        # As for loading a manifest: one at a time in a workspace.
        session.get_one(Workspace, workspace, with_for_update={"key_share": True})
        recalled = recalled_subjects(session, workspace)
        manifest = _manifest(session, workspace, name)
        return [_add(session, manifest, row, recalled) for row in rows]


def _manifest(session: Session, workspace: str, name: str) -> Manifest:
    """The manifest; one that is new is only added with its first row."""
    sha256 = digest("arrived", name)
    found = session.scalars(
        select(Manifest).where(Manifest.workspace == workspace, Manifest.name == name)
    ).first()
    if found is not None and found.sha256 != sha256:
        raise ManifestError(
            f"Workspace '{workspace}' has a manifest named '{name}' that was loaded from a file.",
            "That name is for studies that arrive by themselves: give files other names.",
        )
    columns = {"columns": list(MANIFEST_COLUMNS)}
    return found or Manifest(workspace=workspace, name=name, sha256=sha256, columns=columns)


def _add(session: Session, manifest: Manifest, row: ArrivedRow, recalled: set[str]) -> Added:
    known = session.scalars(
        select(Accession).where(
            Accession.workspace == manifest.workspace,
            Accession.accession_number == row.accession_number,
        )
    ).first()
    key = _key_of(session, known)
    if key:
        return Added(key)
    fault = fault_of_values(row.values)
    if fault:
        column, why = fault
        return Added(refused=f"no row can be made of it: {column}: {why}")
    if row.subject_id in recalled:
        return Added(refused=RECALLED)
    if manifest not in session:
        session.add(manifest)
        session.flush()
    if known is None:
        known = Accession(
            workspace=manifest.workspace,
            accession_number=row.accession_number,
            state=State.LOADED.value,
        )
        session.add(known)
        session.flush()
    last = session.scalar(
        select(func.max(ManifestRow.row_number)).where(ManifestRow.manifest_id == manifest.id)
    )
    number = (last or 0) + 1
    made = ManifestRow(
        manifest_id=manifest.id,
        workspace=manifest.workspace,
        row_number=number,
        line=number + 1,  # as if the header stood above it
        partition_key=partition_key(manifest.name, number),
        accession_id=known.id,
        subject_id=row.subject_id,
        imaging_type=row.imaging_type,
        age=row.age,
        anatomical_position=row.anatomical_position,
        extra={},
    )
    session.add(made)
    session.flush()
    known.row_id = made.id
    return Added(made.partition_key or "")


def _key_of(session: Session, accession: Accession | None) -> str:
    """The partition of the row that an accession is processed for; empty when there is none."""
    if accession is None or accession.row_id is None:
        return ""
    row = session.get(ManifestRow, accession.row_id)
    return (row.partition_key or "") if row else ""
