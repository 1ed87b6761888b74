"""What a DICOMDIR says that there should be beside it.

What belongs here: reading a DICOMDIR's records. What does not: finding the files it lists, which
are found by themselves (`folder_index.py`), and minding that one is missing (`folder.py`).

Instances are held against the index by their UIDs and not by the file names that the DICOMDIR
gives: a copy of a medium often has other letters, version numbers or folders than the medium had.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from locutus_dagster.sources.accession import unpadded
from locutus_dagster.sources.folder_headers import silent_pydicom

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["Listing", "read_listing"]

Listing = frozenset[tuple[str, str]]
"""Study Instance UID and SOP Instance UID of each instance."""

_FIRST = "OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity"
_NEXT = "OffsetOfTheNextDirectoryRecord"
_LOWER = "OffsetOfReferencedLowerLevelDirectoryEntity"
_INACTIVE = 0


def read_listing(file: BinaryIO) -> Listing | None:
    """The instances that a DICOMDIR lists; None if it cannot be read to its end."""
    import pydicom

    with silent_pydicom():
        try:
            file.seek(0)
            dicomdir = pydicom.dcmread(file)
            records = list(dicomdir.DirectoryRecordSequence)
            at = {int(getattr(one, "seq_item_tell", 0) or 0): one for one in records}
            first = int(dicomdir.get(_FIRST) or 0)
            # Copying a DICOMDIR element by element moves its records, but not their offsets.
            return _by_offsets(first, at) if first in at else frozenset(_in_order(records))
        except Exception:  # noqa: BLE001 - a damaged file may make the parser raise anything
            return None


def _by_offsets(first: int, at: dict[int, Dataset]) -> Listing | None:
    """Follow the records from parent to child; None if one leads to where none is."""
    listed: set[tuple[str, str]] = set()
    met: set[int] = set()
    pending = [(first, "")]
    while pending:
        offset, study_uid = pending.pop()
        if offset == 0 or offset in met:
            continue
        if offset not in at:
            return None
        met.add(offset)
        record = at[offset]
        pending.append((int(record.get(_NEXT) or 0), study_uid))
        if record.get("RecordInUseFlag") == _INACTIVE:
            continue
        study_uid = _study_of(record) or study_uid
        listed.update(_instance_of(record, study_uid))
        pending.append((int(record.get(_LOWER) or 0), study_uid))
    return frozenset(listed)


def _in_order(records: list[Dataset]) -> Iterator[tuple[str, str]]:
    """Take the records as they stand, which almost always is depth first."""
    study_uid = ""
    for record in records:
        if record.get("RecordInUseFlag") != _INACTIVE:
            if record.get("DirectoryRecordType") in ("PATIENT", "STUDY"):
                study_uid = _study_of(record)
            yield from _instance_of(record, study_uid)


def _study_of(record: Dataset) -> str:
    if record.get("DirectoryRecordType") != "STUDY":
        return ""
    return unpadded(str(record.get("StudyInstanceUID") or ""))


def _instance_of(record: Dataset, study_uid: str) -> Iterator[tuple[str, str]]:
    sop_uid = unpadded(str(record.get("ReferencedSOPInstanceUIDInFile") or ""))
    if study_uid and sop_uid:
        yield study_uid, sop_uid
