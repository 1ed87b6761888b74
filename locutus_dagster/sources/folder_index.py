"""The index of a folder of DICOM files: which file belongs to which accession number.

What belongs here: walking the tree, reading headers, and the SQLite file that remembers them.
What does not: handing studies out (`folder.py`).

A header is read once. A file is known by its relative path, size and modification time; as long as
those are the same, its row is. Several worker processes may open one index at the same time: one
walks at a time, behind a file lock, and whoever waited for a walk that began after its own question
takes that walk's result.
"""

from __future__ import annotations

import fcntl
import io
import os
import secrets
import sqlite3
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from locutus_dagster.sources.base import SourceError, SourceUnavailableError
from locutus_dagster.sources.folder_headers import DAMAGED, DICOM, OTHER, Header, read_header
from locutus_dagster.sources.patient_digests import patient_digest
from locutus_dagster.sqlite_looking import connect_to_look

__all__ = ["FolderIndex", "IndexedFile", "open_regular"]

_FORMAT = 2
_COMMIT_EVERY = 500

_UNREADABLE = "unreadable"

_SCHEMA = """
CREATE TABLE files (
    path BLOB PRIMARY KEY,
    directory BLOB NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    kind TEXT NOT NULL,
    accession TEXT NOT NULL DEFAULT '',
    study_uid TEXT NOT NULL DEFAULT '',
    sop_uid TEXT NOT NULL DEFAULT '',
    series_uid TEXT NOT NULL DEFAULT '',
    sop_class TEXT NOT NULL DEFAULT '',
    modality TEXT NOT NULL DEFAULT '',
    patient TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX files_by_accession ON files (accession);
CREATE INDEX files_by_study ON files (study_uid);
CREATE INDEX files_by_directory ON files (directory);
CREATE TABLE directories (path BLOB PRIMARY KEY, mtime_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""


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


_FILE = ", ".join(IndexedFile._fields)


class FolderIndex:
    """An SQLite file that knows the accession numbers of the DICOM files under `root`.

    Symbolic links are never followed: one that leaves the root must not be, and one that stays
    inside would count a file twice.

    Args:
        root: the tree; resolved by the caller.
        path: the SQLite file; created readable for its owner only, as it holds identifiers.
        look_only: the file is neither made nor changed; what it holds is copied into one that has
            no name and vanishes with its connection.
    """

    def __init__(self, root: Path, path: Path, *, look_only: bool = False) -> None:
        self._look_only = look_only
        self._root = os.fsencode(root)
        self._path = path.resolve()
        self._own = {
            os.fsencode(f"{self._path}{ending}") for ending in ("", "-wal", "-shm", ".lock")
        }
        self._connection: sqlite3.Connection | None = None
        self.headers_read = 0
        """How many headers this object read itself; the measure of what the index spares."""

    def close(self) -> None:
        """Close the SQLite file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- refreshing ----------------------------------------------------------------------------

    def refresh(self) -> None:
        """Bring the index up to date with the whole tree.

        Raises:
            SourceUnavailableError: the root cannot be listed, or is empty although the index knows
                files in it (a share that is not mounted looks like that).
        """
        asked = time.time_ns()
        with self._locked() as db:
            if int(self._fact(db, "walk_began") or 0) > asked:
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
            self._set_fact(db, "walk_began", str(began).encode())
            db.commit()

    def refresh_directories(self, directories: Iterable[bytes]) -> None:
        """Bring the index up to date with these directories, not with those below them.

        A directory whose modification time is still the known one has lost and gained no entry,
        so it is not listed again; that its files did not change is for the caller to see.
        """
        with self._locked() as db:
            for directory in sorted(set(directories)):
                known = db.execute(
                    "SELECT mtime_ns FROM directories WHERE path = ?", (directory,)
                ).fetchone()
                try:
                    now = self._under_root(directory).stat().st_mtime_ns
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
            mtime_ns = self._under_root(directory).stat().st_mtime_ns
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
        db.execute("REPLACE INTO directories VALUES (?, ?)", (directory, mtime_ns))
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
        if row is not None and row[1:3] == (now.st_size, now.st_mtime_ns) and row[3] != _UNREADABLE:
            return
        header = self._read_header(path)
        self._put(db, path, directory, now.st_size, now.st_mtime_ns, header)
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
        salt = FolderIndex._fact(db, "patient_salt") or b""
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
        rows = self._db.execute(
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
        rows = self._db.execute(
            f"SELECT {_FILE} FROM files WHERE kind = :dicom AND ("
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
        rows = self._db.execute(
            f"SELECT {_FILE} FROM files"
            " WHERE directory = :directory AND kind = :damaged AND NOT EXISTS ("
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
        studies = self._db.execute(
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
        row = self._db.execute(statement, values).fetchone()
        return int(row[0])

    # --- the SQLite file -----------------------------------------------------------------------

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._connection = self._copy() if self._look_only else self._open()
            except (OSError, sqlite3.Error):
                raise SourceError(
                    "The index of the source folder cannot be opened.",
                    "Check that its directory may be written by this user; an index file that is"
                    " damaged may be deleted, it is built anew.",
                ) from None
        return self._connection

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        os.fchmod(handle, 0o600)
        os.close(handle)
        db = sqlite3.connect(self._path, timeout=60.0)
        try:
            with self._lock():
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = NORMAL")
                if not self._is_ours(db):
                    self._build(db)
        except BaseException:
            db.close()
            raise
        return db

    def _copy(self) -> sqlite3.Connection:
        db = sqlite3.connect("")
        try:
            with suppress(OSError, sqlite3.Error), closing(connect_to_look(self._path)) as known:
                known.backup(db)
            if not self._is_ours(db):
                self._build(db)
        except BaseException:
            db.close()
            raise
        return db

    def _is_ours(self, db: sqlite3.Connection) -> bool:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        return version == _FORMAT and self._fact(db, "root") == self._root

    def _build(self, db: sqlite3.Connection) -> None:
        """Start empty: a new file, an index of another format, or one of another root."""
        for table in ("files", "directories", "facts"):
            db.execute(f"DROP TABLE IF EXISTS {table}")
        db.executescript(_SCHEMA)
        self._set_fact(db, "root", self._root)
        self._set_fact(db, "patient_salt", secrets.token_bytes(16))
        db.execute(f"PRAGMA user_version = {_FORMAT}")
        db.commit()

    @staticmethod
    def _fact(db: sqlite3.Connection, name: str) -> bytes | None:
        row = db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return bytes(row[0]) if row else None

    @staticmethod
    def _set_fact(db: sqlite3.Connection, name: str, value: bytes) -> None:
        db.execute("REPLACE INTO facts VALUES (?, ?)", (name, value))

    @contextmanager
    def _locked(self) -> Iterator[sqlite3.Connection]:
        db = self._db
        with self._lock():
            try:
                yield db
            except sqlite3.Error:
                db.rollback()
                raise SourceError(
                    "The index of the source folder cannot be written.",
                    "Check the space left on its disk, and that no other program holds it.",
                ) from None
            except BaseException:
                db.rollback()
                raise

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Hold the lock beside the index; the kernel frees it should this process die."""
        if self._look_only:
            yield
            return
        handle = os.open(
            self._path.with_name(self._path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600
        )
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _full(self, path: bytes) -> bytes:
        return os.path.join(self._root, path)  # noqa: PTH118 - bytes

    def _under_root(self, path: bytes) -> Path:
        return Path(os.fsdecode(self._full(path)))


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
