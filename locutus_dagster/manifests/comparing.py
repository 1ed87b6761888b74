"""A manifest as read, held against the ledger: what becomes of each row.

What belongs here: questions to the ledger, and the decision about every row. Nothing is written
here, so that a dry run decides as loading does. What does not: whether a row is acceptable in
itself (`reading.py`), and writing (`loading.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from locutus_dagster.ledger.recalls import recalled_subjects
from locutus_dagster.ledger.schema import Accession, Manifest, ManifestRow, Workspace
from locutus_dagster.manifests.bulk import among, in_pieces
from locutus_dagster.manifests.reading import (
    ACCESSION_COLUMN,
    SUBJECT_COLUMN,
    ManifestError,
    ManifestFile,
    RejectedRow,
    Row,
)
from locutus_dagster.manifests.report import Duplicate, DuplicateKind

__all__ = ["RECALLED", "Comparison", "StoredRow", "compare", "partition_key"]

RECALLED = "the subject has been recalled; lift the recall first"


def partition_key(manifest: str, row_number: int) -> str:
    """The Dagster partition of a manifest's row: `<manifest>~<row>`, never an identifier.

    The row is padded so that keys sort in the manifest's order.
    """
    return f"{manifest}~{row_number:06d}"


@dataclass(frozen=True)
class StoredRow:
    """A row of a manifest that was loaded before, as the ledger has it."""

    identity: int
    partition_key: str | None
    rejected: bool


@dataclass(frozen=True)
class Comparison:
    """What becomes of the rows of a manifest.

    Attributes:
        manifest_id: of the manifest when it was loaded before.
        stored: its rows in the ledger, by number.
        accepted: in the file's order.
        repeated: duplicates within the manifest, in the file's order.
        keys: row number → partition key, of all rows that have one or are to get one.
        kept: how many rows the ledger has as accepted that would be rejected today.
        accession_ids: of accessions that the workspace has, by number.
        duplicates: as they are reported, in the file's order.
    """

    manifest_id: int | None
    stored: Mapping[int, StoredRow]
    accepted: Sequence[Row]
    repeated: Sequence[Row]
    rejected: Sequence[RejectedRow]
    keys: Mapping[int, str]
    kept: int
    accession_ids: Mapping[str, int] = field(repr=False)
    duplicates: Sequence[Duplicate] = ()

    @property
    def unsettled(self) -> list[Row]:
        """Rows of a manifest loaded before that the ledger does not have as they are now."""
        return [
            row
            for row in (*self.accepted, *self.repeated)
            if (before := self.stored[row.number]).rejected
            or before.partition_key != self.keys.get(row.number)
        ]


def compare(
    session: Session | None,
    manifest: ManifestFile,
    workspace: str,
    name: str,
    *,
    allow_duplicates: bool,
) -> Comparison:
    """Decide what becomes of each row.

    Args:
        session: None where there is no ledger yet.
        name: the manifest's.
        allow_duplicates: duplicates within the manifest get partitions of their own.

    Raises:
        ManifestError: another file has been loaded under that name.
    """
    manifest_id, stored = _stored(session, manifest, workspace, name)
    recalled = recalled_subjects(session, workspace) if session else set()
    accepted: list[Row] = []
    repeated: list[Row] = []
    rejected: list[RejectedRow] = []
    kept: list[int] = []
    for bad in manifest.rejected:
        # What the ledger has as accepted stays so, whatever a later version thinks of it.
        before = stored.get(bad.number)
        if before is None or before.rejected:
            rejected.append(bad)
        else:
            kept.append(bad.number)
    refused: dict[int, int] = {}
    for row in (*manifest.rows, *manifest.duplicates):
        before = stored.get(row.number)
        undecided = before is None or before.rejected
        if undecided and row.subject_id in recalled:
            rejected.append(_refused(row, SUBJECT_COLUMN, RECALLED))
            refused[row.number] = row.line
        elif undecided and row.duplicate_of in refused:
            reason = f"the same accession as in line {refused[row.duplicate_of]}, which is refused"
            rejected.append(_refused(row, ACCESSION_COLUMN, reason))
        else:
            (accepted if row.duplicate_of is None else repeated).append(row)
    rejected.sort(key=lambda bad: bad.line)

    keys = {number: found.partition_key for number, found in stored.items() if found.partition_key}
    wanted = [row for row in repeated if allow_duplicates and row.subject_id not in recalled]
    for row in (*accepted, *wanted):
        keys[row.number] = partition_key(name, row.number)

    ids: dict[str, int] = {}
    duplicates = list(_within(manifest, repeated))
    if session is not None:
        fresh = {row.number for row in accepted if not _is_settled(stored.get(row.number))}
        ids, elsewhere = _elsewhere(session, workspace, accepted, manifest_id, fresh)
        duplicates += elsewhere
        duplicates.sort(key=lambda one: (one.line, one.kind))
    return Comparison(
        manifest_id,
        stored,
        accepted,
        repeated,
        rejected,
        {number: keys[number] for number in sorted(keys)},
        len(kept),
        ids,
        duplicates,
    )


def _stored(
    session: Session | None, manifest: ManifestFile, workspace: str, name: str
) -> tuple[int | None, dict[int, StoredRow]]:
    """The manifest of this name in the ledger, with its rows by number."""
    if session is None:
        return None, {}
    known = session.execute(
        select(Manifest.id, Manifest.sha256).where(
            Manifest.workspace == workspace, Manifest.name == name
        )
    ).first()
    if known is None:
        return None, {}
    if known.sha256 != manifest.sha256:
        raise ManifestError(
            f"Workspace '{workspace}' already has a manifest named '{name}' with other content.",
            "Load this file under another --name; what has been loaded is never overwritten.",
        )
    rows = session.execute(
        select(
            ManifestRow.row_number,
            ManifestRow.id,
            ManifestRow.partition_key,
            ManifestRow.rejected != "",
        ).where(ManifestRow.manifest_id == known.id)
    )
    return known.id, {n: StoredRow(identity, key, bad) for n, identity, key, bad in rows}


def _is_settled(before: StoredRow | None) -> bool:
    return before is not None and not before.rejected


def _refused(row: Row, column: str, reason: str) -> RejectedRow:
    """A row that nothing in the file speaks against."""
    return RejectedRow(row.number, row.line, column, reason, row.values)


def _within(manifest: ManifestFile, repeated: Sequence[Row]) -> Iterator[Duplicate]:
    if not repeated:
        return
    first = {row.number: row for row in manifest.rows}
    for row in repeated:
        earlier = first[row.duplicate_of or 0]
        differ = row.attributes != earlier.attributes
        yield Duplicate(row.line, "manifest", f"line {earlier.line}", differ)


@dataclass
class _Places:
    """Where else an accession is named, for one row: the first place, and how many more."""

    first: str = ""
    more: int = 0
    differ: bool = False

    def add(self, place: str, differ: bool) -> None:
        self.more += bool(self.first)
        self.first = self.first or place
        self.differ |= differ

    def __str__(self) -> str:
        return self.first + (f" and {self.more} more" if self.more else "")


_NAMED = (
    Accession.workspace,
    Accession.accession_number,
    Accession.id,
    ManifestRow.manifest_id,
    ManifestRow.partition_key,
    ManifestRow.subject_id,
    ManifestRow.imaging_type,
    ManifestRow.age,
    ManifestRow.anatomical_position,
)


def _elsewhere(
    session: Session,
    workspace: str,
    rows: Sequence[Row],
    manifest_id: int | None,
    fresh: Collection[int],
) -> tuple[dict[str, int], list[Duplicate]]:
    """The ids of accessions that the workspace has, and the rows named elsewhere as well.

    A row that the ledger has already is held against manifests loaded before its own, so that
    loading a file again reports the same; one that is `fresh` against all.
    """
    workspaces = list(session.scalars(select(Workspace.name)))
    others = (ManifestRow.accession_id == Accession.id) & ManifestRow.partition_key.is_not(None)
    if manifest_id is not None:
        others &= ManifestRow.manifest_id != manifest_id
    ids: dict[str, int] = {}
    duplicates: list[Duplicate] = []
    for chunk in in_pieces(rows):
        mine = {row.accession_number: row for row in chunk}
        places: dict[tuple[int, DuplicateKind], _Places] = defaultdict(_Places)
        statement = (
            select(*_NAMED)
            .outerjoin(ManifestRow, others)
            # The workspaces are named although they are all of them: so the index is used.
            .where(
                Accession.workspace.in_(workspaces),
                Accession.accession_number.in_(among(session, list(mine))),
            )
            .order_by(ManifestRow.id)
        )
        for there, number, identity, theirs, key, *attributes in session.execute(statement):
            row = mine[number]
            if there == workspace:
                ids[number] = identity
            if key is None:
                continue
            if manifest_id is not None and theirs > manifest_id and row.number not in fresh:
                continue
            differ = tuple(attributes) != row.attributes
            if there == workspace:
                places[row.line, "manifests"].add(key, differ)
            else:
                places[row.line, "workspaces"].add(f"workspace {there}: {key}", differ)
        duplicates += (
            Duplicate(line, kind, str(found), found.differ)
            for (line, kind), found in places.items()
        )
    return ids, duplicates
