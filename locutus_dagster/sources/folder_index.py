"""The index of a folder of DICOM files: which file belongs to which accession number.

What belongs here: walking the tree, reading headers, and asking what was read. What does not:
handing studies out (`folder.py`), the SQLite file that remembers (`folder_database.py`).

A header is read once. A file is known by its relative path, size and modification time; as long as
those are the same, its row is. Several worker processes may open one index at the same time: one
walks at a time, behind a file lock, and whoever waited for a walk that began after its own question
takes that walk's result.
"""

from __future__ import annotations

import io
import os
import sqlite3
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from locutus_dagster.sources.base import SourceUnavailableError
from locutus_dagster.sources.folder_database import IndexFile, fact, set_fact
from locutus_dagster.sources.folder_headers import DAMAGED, DICOM, OTHER, Header, read_header
from locutus_dagster.sources.patient_digests import patient_digest

__all__ = ["FolderIndex", "IndexedFile", "mtime_ns", "open_regular"]

_COMMIT_EVERY = 500
_LARGEST = 2**63 - 1

_UNREADABLE = "unreadable"


class IndexedFile(NamedTuple):
    """One file of a study, as the index remembers it; `patient` is a digest."""

    path: bytes
    directory: bytes
    size: int
    mtime_ns: int
    sop_uid: str
    series_uid: str
    sop_class: str
    modality: str
    patient: str


_SELECT_FILES = (
    "SELECT path, directory, size, mtime_ns, sop_uid, series_uid, sop_class, modality, patient"
    " FROM files "
)


class FolderIndex:
    """An SQLite file that knows the accession numbers of the DICOM files under `root`.

    Symbolic links are never followed: one that leaves the root must not be, and one that stays
    inside would count a file twice.

    Args:
        root: the tree; resolved by the caller.
        path: the SQLite file; see `IndexFile`.
        look_only: see `IndexFile`.
    """

    def __init__(self, root: Path, path: Path, *, look_only: bool = False) -> None:
        self._root = os.fsencode(root)
        self._file = IndexFile(self._root, path, look_only=look_only)
        self._own = self._file.names
        self.headers_read = 0
        """How many headers this object read itself; the measure of what the index spares."""

    def close(self) -> None:
        """Close the SQLite file."""
        self._file.close()

    # --- refreshing ----------------------------------------------------------------------------

    def refresh(self) -> None:
        """Bring the index up to date with the whole tree.

        Raises:
            SourceUnavailableError: the root cannot be listed, or is empty although the index knows
                files in it (a share that is not mounted looks like that).
        """
        asked = time.time_ns()
        with self._file.locked() as db:
            if int(fact(db, "walk_began") or 0) > asked:
                return
            began = time.time_ns()
            self._require_root(db)
            seen: set[bytes] = set()
            pending = [b""]
            while pending:
                directory = pending.pop()
                seen.add(directory)
                pending += self._scan(db, directory)
            gone = [row for row in db.execute("SELECT path FROM directories") if row[0] not in seen]
            db.executemany("DELETE FROM directories WHERE path = ?", gone)
            db.executemany("DELETE FROM files WHERE directory = ?", gone)
            set_fact(db, "walk_began", str(began).encode())
            db.commit()

    def refresh_directories(self, directories: Iterable[bytes]) -> None:
        """Bring the index up to date with these directories, not with those below them.

        A directory whose modification time is still the known one has lost and gained no entry,
        so it is not listed again; that its files did not change is for the caller to see.
        """
        with self._file.locked() as db:
            for directory in sorted(set(directories)):
                known = db.execute(
                    "SELECT mtime_ns FROM directories WHERE path = ?", (directory,)
                ).fetchone()
                try:
                    now = mtime_ns(self._under_root(directory).stat())
                except OSError:
                    now = -1
                if known is None or known[0] != now:
                    self._scan(db, directory)
            db.commit()

    def _scan(self, db: sqlite3.Connection, directory: bytes) -> list[bytes]:
        """Index the files in one directory; returns the directories below it."""
        known = {
            row[0]: row
            for row in db.execute(
                "SELECT path, size, mtime_ns, kind FROM files WHERE directory = ?", (directory,)
            )
        }
        below: list[bytes] = []
        try:
            modified = mtime_ns(self._under_root(directory).stat())
            with os.scandir(self._full(directory)) as entries:
                for entry in entries:
                    path = os.path.join(directory, entry.name)  # noqa: PTH118 - bytes
                    if entry.is_dir(follow_symlinks=False):
                        below.append(path)
                        known.pop(path, None)
                    elif entry.is_file(follow_symlinks=False) and entry.path not in self._own:
                        try:
                            self._index(
                                db, directory, path, entry.stat(follow_symlinks=False), known
                            )
                        except FileNotFoundError:
                            continue
        except (FileNotFoundError, NotADirectoryError):
            db.execute("DELETE FROM directories WHERE path = ?", (directory,))
            db.executemany("DELETE FROM files WHERE path = ?", [(path,) for path in known])
            return []
        except OSError:
            # What is known of it stays known, so that its studies fail and do not shrink.
            parent = os.path.dirname(directory)  # noqa: PTH120 - bytes
            self._put(db, directory, parent, 0, 0, Header(_UNREADABLE))
            return self._known_below(db, directory)
        db.execute("DELETE FROM files WHERE path = ?", (directory,))
        db.execute("REPLACE INTO directories VALUES (?, ?)", (directory, modified))
        db.executemany("DELETE FROM files WHERE path = ?", [(path,) for path in known])
        return below

    @staticmethod
    def _known_below(db: sqlite3.Connection, directory: bytes) -> list[bytes]:
        rows = db.execute("SELECT path FROM directories WHERE path <> ?", (directory,))
        return [row[0] for row in rows if os.path.dirname(row[0]) == directory]  # noqa: PTH120

    def _index(
        self,
        db: sqlite3.Connection,
        directory: bytes,
        path: bytes,
        now: os.stat_result,
        known: dict[bytes, tuple[bytes, int, int, str]],
    ) -> None:
        """Index one file, reading its header if it is new or changed; takes it out of `known`."""
        row = known.pop(path, None)
        if row is not None and row[1:3] == (now.st_size, mtime_ns(now)) and row[3] != _UNREADABLE:
            return
        header = self._read_header(path)
        self._put(db, path, directory, now.st_size, mtime_ns(now), header)
        if self.headers_read % _COMMIT_EVERY == 0:  # a long first walk that is cut goes on there
            db.commit()

    def _read_header(self, path: bytes) -> Header:
        try:
            with open_regular(self._full(path)) as file:
                self.headers_read += 1
                return read_header(file)
        except OSError:
            return Header(_UNREADABLE)

    @staticmethod
    def _put(
        db: sqlite3.Connection,
        path: bytes,
        directory: bytes,
        size: int,
        mtime_ns: int,
        header: Header,
    ) -> None:
        salt = fact(db, "patient_salt") or b""
        db.execute(
            "REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                path,
                directory,
                size,
                mtime_ns,
                header.kind,
                header.accession,
                header.study_uid,
                header.sop_uid,
                header.series_uid,
                header.sop_class,
                header.modality,
                patient_digest(header.patient_id, salt=salt),
            ),
        )

    def _require_root(self, db: sqlite3.Connection) -> None:
        try:
            with os.scandir(self._root) as entries:
                empty = next(entries, None) is None
        except OSError:
            raise SourceUnavailableError(
                f"The source folder {os.fsdecode(self._root)} cannot be read.",
                "Check that it exists, is mounted, and may be listed by this user.",
            ) from None
        if empty and db.execute("SELECT 1 FROM files LIMIT 1").fetchone():
            raise SourceUnavailableError(
                f"The source folder {os.fsdecode(self._root)} is empty, but it held files before.",
                "Check that it is mounted; if it was emptied on purpose, delete the index file.",
            )

    # --- asking --------------------------------------------------------------------------------

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
        """How many files that could not be opened lie in the directories of these files."""
        return sum(
            self._count("directory = ? AND kind = ?", directory, _UNREADABLE)
            for directory in {file.directory for file in files}
        )

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
            "unreadable": self._count("kind = ?", _UNREADABLE),
        }

    def _count(self, condition: str, *values: object) -> int:
        statement = f"SELECT COUNT(*) FROM files WHERE {condition}"  # noqa: S608 - constants
        row = self._file.db.execute(statement, values).fetchone()
        return int(row[0])

    def _full(self, path: bytes) -> bytes:
        return os.path.join(self._root, path)  # noqa: PTH118 - bytes

    def _under_root(self, path: bytes) -> Path:
        return Path(os.fsdecode(self._full(path)))


def mtime_ns(found: os.stat_result) -> int:
    """A modification time as the index has it: SQLite knows no number beyond the year 2262."""
    return max(-_LARGEST, min(found.st_mtime_ns, _LARGEST))


def open_regular(path: bytes) -> io.BufferedReader:
    """Open a regular file for reading; never a link, a pipe or a device that took its place."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise FileNotFoundError
    return _Nameless(io.FileIO(handle))


class _Nameless(io.BufferedReader):
    """A reader that does not know its file's name, so that no warning of pydicom can quote it."""

    name = ""
