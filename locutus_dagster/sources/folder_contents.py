"""What the index of a folder holds: the files of a study, and what could not be read.

What belongs here: questions to the index. What does not: filling it (`folder_index.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from locutus_dagster.sources.folder_database import IndexFile
from locutus_dagster.sources.folder_headers import DAMAGED, DICOM, OTHER, UNREADABLE

__all__ = ["FolderContents", "IndexedFile"]


class IndexedFile(NamedTuple):
    """One file of a study, as the index remembers it; `patient` is a digest.

    Of a member of a zip file, `size` and `crc` are its own, `mtime_ns` and `zip_size` those of the
    zip file. `zip_size` is 0 for any other file.
    """

    path: bytes
    directory: bytes
    size: int
    mtime_ns: int
    sop_uid: str
    series_uid: str
    sop_class: str
    modality: str
    patient: str
    zip_size: int
    crc: int

    @property
    def on_disk(self) -> bytes:
        """The path of the file, or of the zip file that it is in."""
        return self.path.partition(b"\0")[0]

    @property
    def size_on_disk(self) -> int:
        """The size of what is at `on_disk`."""
        return self.zip_size or self.size


_SELECT_FILES = (
    "SELECT path, directory, size, mtime_ns, sop_uid, series_uid, sop_class, modality, patient,"
    " zip_size, crc FROM files "
)


class FolderContents:
    """Questions to the index.

    Args:
        file: the open index.
    """

    def __init__(self, file: IndexFile) -> None:
        self._file = file

    def studies_of(self, accession: str) -> list[str]:
        """The study UIDs under an accession number; '' stands for files without one."""
        rows = self._file.db.execute(
            "SELECT DISTINCT study_uid FROM files WHERE kind = ? AND accession = ?"
            " ORDER BY study_uid",
            (DICOM, accession),
        )
        uids = [str(row[0]) for row in rows]
        # A file that is cut between its accession number and its study UID belongs to the one
        # study there is; `files_of` adds it.
        return [uid for uid in uids if uid] if len(uids) == 2 else uids

    def files_of(self, accession: str, study_uid: str) -> list[IndexedFile]:
        """The files of one study, ordered by SOP Instance UID and path.

        Files of the study that carry no accession number belong to it; those that carry another
        one do not. A DICOM file too damaged to say where it belongs is taken for part of the
        study if nothing else lies in its directory, so that it is withheld and counted there and
        not overlooked; among files of several studies it can be nobody's.
        """
        with_orphans = study_uid and len(self.studies_of(accession)) == 1
        rows = self._file.db.execute(
            _SELECT_FILES + "WHERE kind = :dicom AND ("
            " (study_uid = :study AND"
            "  (accession = :accession OR (accession = '' AND :study <> '')))"
            " OR (:orphans AND study_uid = '' AND accession = :accession)"
            ") ORDER BY sop_uid, path",
            {
                "dicom": DICOM,
                "study": study_uid,
                "accession": accession,
                "orphans": bool(with_orphans),
            },
        )
        files = [IndexedFile(*row) for row in rows]
        for directory in sorted({file.directory for file in files}):
            files += self._damaged_in(directory, study_uid)
        return files

    def _damaged_in(self, directory: bytes, study_uid: str) -> list[IndexedFile]:
        """The damaged DICOM files of a directory that holds one study only."""
        rows = self._file.db.execute(
            _SELECT_FILES  # noqa: S608 - constants
            + "WHERE directory = :directory AND kind = :damaged AND NOT EXISTS ("
            "  SELECT 1 FROM files WHERE directory = :directory AND kind = :dicom"
            "  AND study_uid NOT IN (:study, ''))"
            " ORDER BY path",
            {
                "directory": directory,
                "damaged": DAMAGED,
                "dicom": DICOM,
                "study": study_uid,
            },
        )
        return [IndexedFile(*row) for row in rows]

    def unreadable_beside(self, files: Iterable[IndexedFile]) -> int:
        """How many files that could not be opened lie in the directories of these files.

        A zip file has directories of its own: one that cannot be read concerns the loose files
        beside it, and no study inside another zip file.
        """
        return sum(
            self._count("directory = ? AND kind = ?", directory, UNREADABLE)
            for directory in {file.directory for file in files}
        )

    def missing_of(self, study_uid: str) -> int:
        """How many instances of the study a DICOMDIR lists that are not in the index."""
        row = self._file.db.execute(
            "SELECT COUNT(DISTINCT sop_uid) FROM listed WHERE study_uid = :study AND sop_uid NOT IN"
            " (SELECT sop_uid FROM files WHERE kind = :dicom AND study_uid = :study)",
            {"study": study_uid, "dicom": DICOM},
        ).fetchone()
        return int(row[0])

    def counts(self) -> dict[str, int]:
        """Files and studies, and what could not be attributed or read."""
        studies = self._file.db.execute(
            "SELECT COUNT(DISTINCT study_uid) FROM files WHERE kind = ? AND study_uid <> ''",
            (DICOM,),
        ).fetchone()
        return {
            "files": self._count("kind = ?", DICOM),
            "studies": int(studies[0]),
            "unattributed": self._count(
                "kind IN (?, ?) OR (kind = ? AND accession = '' AND study_uid NOT IN"
                " (SELECT study_uid FROM files WHERE accession <> ''))",
                OTHER,
                DAMAGED,
                DICOM,
            ),
            "unreadable": self._count("kind = ?", UNREADABLE),
        }

    def _count(self, condition: str, *values: object) -> int:
        statement = f"SELECT COUNT(*) FROM files WHERE {condition}"  # noqa: S608 - constants
        row = self._file.db.execute(statement, values).fetchone()
        return int(row[0])
