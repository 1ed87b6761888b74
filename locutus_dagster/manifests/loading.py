"""Loading a manifest into the ledger: once, whole, and the same the second time.

What belongs here: names, partition keys, and the one transaction that writes manifest, rows and
accessions. What does not: the file's format (`reading.py`), and telling Dagster about the
partitions (`defs/partitions.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from locutus_dagster.ledger.schema import Accession, Manifest, ManifestRow, Workspace
from locutus_dagster.ledger.states import State
from locutus_dagster.ledger.store import Ledger
from locutus_dagster.manifests.reading import (
    MANIFEST_COLUMNS,
    ManifestError,
    ManifestFile,
    RejectedRow,
    read_manifest,
)

__all__ = ["LoadReport", "load_manifest", "partition_key"]

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$")
_CHUNK = 400


@dataclass(frozen=True)
class LoadReport:
    """What loading a manifest did.

    Attributes:
        new: False when the same file had been loaded before, so that nothing changed.
        partition_keys: of the accepted rows, in the file's order.
        rejected: the rows that were not accepted, in the file's order.
        shared: how many accepted rows name an accession that another manifest named before.
    """

    workspace: str
    manifest: str
    file_name: str
    new: bool
    partition_keys: tuple[str, ...]
    rejected: tuple[RejectedRow, ...]
    shared: int

    @property
    def rows(self) -> int:
        """Data rows in the file: accepted and rejected."""
        return len(self.partition_keys) + len(self.rejected)


def partition_key(manifest: str, row_number: int) -> str:
    """The Dagster partition of a manifest's row: `<manifest>~<row>`, never an identifier.

    The row is padded so that keys sort in the manifest's order.
    """
    return f"{manifest}~{row_number:06d}"


def load_manifest(
    ledger: Ledger, path: Path, *, workspace: str, name: str | None = None
) -> LoadReport:
    """Read the manifest at `path` and write it into the ledger, in one transaction.

    Args:
        name: the manifest's name; by default the file's name without its ending.

    Raises:
        ManifestError: the file is no manifest, its name will not do, or another file has been
            loaded under that name.
    """
    chosen = name or path.stem
    if not _NAME.fullmatch(chosen):
        raise ManifestError(
            "The manifest's name will not do: use up to 60 letters, digits, dot, dash or "
            "underscore, the first a letter or digit.",
            "Give one with --name; it becomes part of partition keys, so it must identify nobody.",
        )
    manifest = read_manifest(path)
    keys = tuple(partition_key(chosen, row.number) for row in manifest.rows)
    ledger.ensure_workspace(workspace)
    with ledger.session() as session:
        # One load of a workspace at a time: another process may be at the same file.
        session.get_one(Workspace, workspace, with_for_update={"key_share": True})
        known = session.scalars(
            select(Manifest).where(Manifest.workspace == workspace, Manifest.name == chosen)
        ).first()
        if known is not None and known.sha256 != manifest.sha256:
            raise ManifestError(
                f"Workspace '{workspace}' already has a manifest named '{chosen}' with other "
                "content.",
                "Load this file under another --name; what has been loaded is never overwritten.",
            )
        shared = 0
        if known is None:
            shared = _write(session, manifest, workspace, chosen, keys)
    return LoadReport(
        workspace, chosen, manifest.file_name, known is None, keys, manifest.rejected, shared
    )


def _write(
    session: Session, manifest: ManifestFile, workspace: str, name: str, keys: Sequence[str]
) -> int:
    record = Manifest(
        workspace=workspace,
        name=name,
        sha256=manifest.sha256,
        columns={"columns": list(manifest.columns)},
    )
    session.add(record)
    session.flush()
    numbers = [row.accession_number for row in manifest.rows]
    before = _accession_ids(session, workspace, numbers)
    _add_accessions(session, workspace, [n for n in numbers if n not in before])
    ids = _accession_ids(session, workspace, numbers)
    common = {"manifest_id": record.id, "workspace": workspace}
    rows: list[dict[str, Any]] = [
        {
            **common,
            "row_number": row.number,
            "line": row.line,
            "partition_key": key,
            "accession_id": ids[row.accession_number],
            "subject_id": row.subject_id,
            "imaging_type": row.imaging_type,
            "age": row.age,
            "anatomical_position": row.anatomical_position,
            "deid_qc_status": row.deid_qc_status,
            "extra": row.extra,
            "rejected": "",
            "rejected_column": "",
        }
        for row, key in zip(manifest.rows, keys, strict=True)
    ]
    rows.extend(_rejected_values(common, row) for row in manifest.rejected)
    for chunk in _chunks(rows):
        session.execute(insert(ManifestRow), chunk)
    return len(before)


def _rejected_values(common: dict[str, Any], row: RejectedRow) -> dict[str, Any]:
    subject, imaging_type, age, position, accession, qc, _ = (
        row.values.get(column, "") for column in MANIFEST_COLUMNS
    )
    extra = {k: v for k, v in row.values.items() if k not in MANIFEST_COLUMNS}
    return {
        **common,
        "row_number": row.number,
        "line": row.line,
        "partition_key": None,
        "accession_id": None,
        "subject_id": subject,
        "imaging_type": imaging_type,
        "age": age,
        "anatomical_position": position,
        "deid_qc_status": qc,
        # A rejected row belongs to no accession; what its column said is kept beside it.
        "extra": {**extra, "ACCESSION_NUM": accession},
        "rejected": row.reason,
        "rejected_column": row.column,
    }


def _accession_ids(session: Session, workspace: str, numbers: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for chunk in _chunks(numbers):
        statement = select(Accession.accession_number, Accession.id).where(
            Accession.workspace == workspace, Accession.accession_number.in_(chunk)
        )
        found.update((number, identity) for number, identity in session.execute(statement))
    return found


def _add_accessions(session: Session, workspace: str, numbers: Sequence[str]) -> None:
    # Another process may load a manifest with the same accession at this moment: the unique key
    # decides, and both read the winner's id afterwards.
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(Accession).on_conflict_do_nothing(
        index_elements=["workspace", "accession_number"]
    )
    for chunk in _chunks(numbers):
        session.execute(
            statement,
            [
                {
                    "workspace": workspace,
                    "accession_number": number,
                    "state": State.LOADED.value,
                    "reason": "",
                }
                for number in chunk
            ],
        )


def _chunks(items: Sequence[Any]) -> Iterator[Any]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]
