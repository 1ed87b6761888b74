"""Loading a manifest into the ledger: once, whole, and the same the second time.

What belongs here: the manifest's name, and the one transaction that writes manifest, rows and
accessions. What does not: the file's format (`reading.py`), what becomes of each row
(`comparing.py`), and telling Dagster about the partitions (`defs/partitions.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.orm import Session

from locutus_dagster.identifying_text import holds_a_number
from locutus_dagster.ledger.schema import Accession, Manifest, ManifestRow, Workspace, now
from locutus_dagster.ledger.selection import point_at_first_rows
from locutus_dagster.ledger.states import State
from locutus_dagster.ledger.store import Ledger
from locutus_dagster.manifests.arriving import ARRIVED
from locutus_dagster.manifests.bulk import among, in_pieces, insert_rows, refresh_figures
from locutus_dagster.manifests.comparing import Comparison, compare, partition_key
from locutus_dagster.manifests.reading import (
    ACCESSION_COLUMN,
    MANIFEST_COLUMNS,
    ManifestError,
    ManifestFile,
    RejectedRow,
    Row,
    read_manifest,
)
from locutus_dagster.manifests.report import LoadReport

__all__ = ["load_manifest", "partition_key"]

_ROWS: Table = ManifestRow.__table__  # type: ignore[assignment]
_ACCESSIONS: Table = Accession.__table__  # type: ignore[assignment]
# Rows after which the database is to look at its tables anew, before anybody asks.
_MANY = 1000
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$")


def load_manifest(
    ledger: Ledger | None,
    path: Path,
    *,
    workspace: str,
    name: str | None = None,
    allow_duplicates: bool = False,
    dry_run: bool = False,
) -> LoadReport:
    """Read the manifest at `path` and write it into the ledger, in one transaction.

    The same file again changes nothing and reports the same, but for two things that are asked
    for in this way: rows that were refused because their subject had been recalled are accepted
    once that recall is lifted, and with `allow_duplicates` duplicates within the manifest get the
    partitions that they did not get before.

    Args:
        ledger: None, with `dry_run` only, where there is none yet: the file is judged alone.
        name: the manifest's name; by default the file's name without its ending.
        allow_duplicates: rows whose accession an earlier row names are processed again.
        dry_run: write nothing, and report what would happen.

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

    def held_against(session: Session | None) -> Comparison:
        found = compare(session, manifest, workspace, chosen, allow_duplicates=allow_duplicates)
        if found.manifest_id is None:
            _check_name(chosen, manifest)
        return found

    if dry_run:
        if ledger is None:
            found = held_against(None)
        else:
            with ledger.session(reads_only=True) as session:
                found = held_against(session)
    else:
        if ledger is None:
            raise ValueError("without a ledger there are only dry runs")
        ledger.ensure_workspace(workspace)
        with ledger.session() as session:
            # One load of a workspace at a time: another process may be at the same file, or at
            # one that names the same accessions.
            session.get_one(Workspace, workspace, with_for_update={"key_share": True})
            found = held_against(session)
            _write(session, manifest, workspace, chosen, found)
            if len(found.accepted) >= _MANY:
                refresh_figures(session)
    before = {stored.partition_key for stored in found.stored.values()}
    return LoadReport(
        workspace=workspace,
        manifest=chosen,
        file_name=manifest.file_name,
        new=found.manifest_id is None,
        partition_keys=tuple(found.keys.values()),
        rejected=tuple(found.rejected),
        duplicates=tuple(found.duplicates),
        accepted=len(found.accepted) + found.kept,
        added=sum(key not in before for key in found.keys.values()),
        dry_run=dry_run,
    )


def _check_name(name: str, manifest: ManifestFile) -> None:
    """Refuse a new manifest a name that is not its own to have.

    Raises:
        ManifestError: it holds an accession number of its rows, or is one that watching gives.
    """
    if holds_a_number(name, (row.accession_number for row in manifest.rows)):
        raise ManifestError(
            "The manifest's name holds an accession number of its rows.",
            "Give one that identifies nobody with --name: it becomes part of partition keys, and "
            "Dagster keeps these.",
        )
    if name.lower().startswith(ARRIVED):
        raise ManifestError(
            f"The manifest's name begins with '{ARRIVED}'.",
            "Studies that arrive by themselves are kept in manifests of such names. Give another "
            "with --name.",
        )


def _write(
    session: Session, manifest: ManifestFile, workspace: str, name: str, found: Comparison
) -> None:
    if found.manifest_id is None:
        record = Manifest(
            workspace=workspace,
            name=name,
            sha256=manifest.sha256,
            columns={"columns": list(manifest.columns)},
        )
        session.add(record)
        session.flush()
        ids = _accession_ids(session, workspace, found.accepted, found.accession_ids)
        common = {"manifest_id": record.id, "workspace": workspace}
        rows: Iterable[dict[str, Any]] = chain(
            (_values(row, found.keys, ids) for row in found.accepted),
            (_rejected_values(row) for row in found.rejected),
        )
        insert_rows(session, _ROWS, rows, common)
        # Afterwards, because each names the row that it repeats.
        first = _row_ids(session, record.id, found.repeated)
        rows = (_values(row, found.keys, ids, first) for row in found.repeated)
        insert_rows(session, _ROWS, rows, common)
        point_at_first_rows(session, record.id)
        return
    unsettled = found.unsettled
    ids = _accession_ids(session, workspace, unsettled, found.accession_ids)
    first = {number: stored.identity for number, stored in found.stored.items()}
    changed = update(_ROWS).where(_ROWS.c.id == bindparam("which"))
    for some in in_pieces(unsettled):
        values = [_values(row, found.keys, ids, first) for row in some]
        which = [{"which": found.stored[row.number].identity} for row in some]
        session.execute(
            changed.values({column: bindparam(f"new_{column}") for column in values[0]}),
            [
                {**here, **{f"new_{column}": value for column, value in one.items()}}
                for here, one in zip(which, values, strict=True)
            ],
        )
    point_at_first_rows(session, found.manifest_id)


def _values(
    row: Row,
    keys: Mapping[int, str],
    ids: Mapping[str, int],
    first: Mapping[int, int] | None = None,
) -> dict[str, Any]:
    """The columns of a row that is not rejected; `first` has the ledger's ids by row number."""
    return {
        "row_number": row.number,
        "line": row.line,
        "partition_key": keys.get(row.number),
        "accession_id": ids[row.accession_number],
        "subject_id": row.subject_id,
        "imaging_type": row.imaging_type,
        "age": row.age,
        "anatomical_position": row.anatomical_position,
        "deid_qc_status": row.deid_qc_status,
        "resolve_via": row.resolve_via,
        "extra": row.extra,
        "rejected": "",
        "rejected_column": "",
        "duplicate_of": first[row.duplicate_of] if first and row.duplicate_of else None,
    }


def _rejected_values(row: RejectedRow) -> dict[str, Any]:
    subject, imaging_type, age, position, accession, qc, _ = (
        row.values.get(column, "") for column in MANIFEST_COLUMNS
    )
    extra = {k: v for k, v in row.values.items() if k not in MANIFEST_COLUMNS}
    return {
        "row_number": row.number,
        "line": row.line,
        "partition_key": None,
        "accession_id": None,
        "subject_id": subject,
        "imaging_type": imaging_type,
        "age": age,
        "anatomical_position": position,
        "deid_qc_status": qc,
        "resolve_via": "",
        # A rejected row belongs to no accession, and commands nothing; what its columns said is
        # kept beside it.
        "extra": {**extra, ACCESSION_COLUMN: accession},
        "rejected": row.reason,
        "rejected_column": row.column,
        "duplicate_of": None,
    }


def _accession_ids(
    session: Session, workspace: str, rows: Sequence[Row], known: Mapping[str, int]
) -> dict[str, int]:
    """The ids of the accessions that rows name; those that the workspace lacks are added."""
    missing = list(dict.fromkeys(n for row in rows if (n := row.accession_number) not in known))
    new = ({"accession_number": number} for number in missing)
    common = {"workspace": workspace, "state": State.LOADED.value, "updated_at": now()}
    insert_rows(session, _ACCESSIONS, new, common)
    ids = dict(known)
    for chunk in in_pieces(missing):
        statement = select(Accession.accession_number, Accession.id).where(
            Accession.workspace == workspace, Accession.accession_number.in_(among(session, chunk))
        )
        ids.update((number, identity) for number, identity in session.execute(statement))
    return ids


def _row_ids(session: Session, manifest_id: int, repeated: Sequence[Row]) -> dict[int, int]:
    """The ledger's ids of the rows that others repeat, by number."""
    if not repeated:
        return {}
    rows = session.execute(
        select(ManifestRow.row_number, ManifestRow.id).where(ManifestRow.manifest_id == manifest_id)
    )
    return {row.row_number: row.id for row in rows}
