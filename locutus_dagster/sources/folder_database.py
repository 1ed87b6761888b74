"""The SQLite file behind the index of a folder: its tables, its lock, and who may open it.

What belongs here: opening, building anew, locking. What does not: what is written into it and
asked of it (`folder_index.py`).

A member of a zip file has a row like any other file. Its path is that of the zip file, a NUL, its
name in there, another NUL, and where it begins; its directory is the zip file's path, a NUL, and
its folder in there. No path of a file system holds a NUL, so the two kinds never meet.

The file is inside the privacy boundary: it holds accession numbers, the UIDs of studies and series,
and paths, in which anything may stand. So it is its owner's alone (mode 0600), as is a directory
that is made for it. Of a Patient ID it holds a digest with a salt of this file: to tell two
patients of a study apart takes no more. That spares a reader who has no use for the number; it
stops nobody who has the file from trying numbers.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from locutus_dagster.sources.base import SourceError
from locutus_dagster.sqlite_looking import connect_to_look

__all__ = ["IndexFile", "fact", "set_fact"]

_FORMAT = 3
"""Of the tables; a file of another format is built anew."""

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
    patient TEXT NOT NULL DEFAULT '',
    zip_size INTEGER NOT NULL DEFAULT 0,
    crc INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX files_by_accession ON files (accession);
CREATE INDEX files_by_study ON files (study_uid);
CREATE INDEX files_by_directory ON files (directory);
CREATE TABLE directories (path BLOB PRIMARY KEY, mtime_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE listed (dicomdir BLOB NOT NULL, study_uid TEXT NOT NULL, sop_uid TEXT NOT NULL);
CREATE INDEX listed_by_dicomdir ON listed (dicomdir);
CREATE INDEX listed_by_study ON listed (study_uid);
CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""


def fact(db: sqlite3.Connection, name: str) -> bytes | None:
    """What the file says about itself under this name."""
    row = db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return bytes(row[0]) if row else None


def set_fact(db: sqlite3.Connection, name: str, value: bytes) -> None:
    """Note something about the file itself."""
    db.execute("REPLACE INTO facts VALUES (?, ?)", (name, value))


class IndexFile:
    """The file of one index; opened when it is first used.

    Args:
        root: the tree that is indexed; an index of another one is built anew.
        path: the SQLite file; created readable for its owner only.
        look_only: the file is neither made nor changed; what it holds is copied into one that has
            no name and vanishes with its connection.
    """

    def __init__(self, root: bytes, path: Path, *, look_only: bool) -> None:
        self._root = root
        self._path = path.resolve()
        self._look_only = look_only
        self._connection: sqlite3.Connection | None = None

    @property
    def names(self) -> frozenset[bytes]:
        """The paths of the file and of those beside it, which are no part of a folder's content."""
        return frozenset(
            os.fsencode(f"{self._path}{ending}") for ending in ("", "-wal", "-shm", ".lock")
        )

    def close(self) -> None:
        """Close the SQLite file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def db(self) -> sqlite3.Connection:
        """The open database.

        Raises:
            SourceError: it cannot be opened.
        """
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
        return version == _FORMAT and fact(db, "root") == self._root

    def _build(self, db: sqlite3.Connection) -> None:
        """Start empty: a new file, an index of another format, or one of another root."""
        for table in ("files", "directories", "listed", "facts"):
            db.execute(f"DROP TABLE IF EXISTS {table}")
        db.executescript(_SCHEMA)
        set_fact(db, "root", self._root)
        set_fact(db, "patient_salt", secrets.token_bytes(16))
        db.execute(f"PRAGMA user_version = {_FORMAT}")
        db.commit()

    @contextmanager
    def locked(self) -> Iterator[sqlite3.Connection]:
        """Hold the lock of those who write; what is not committed inside is undone on an error.

        Raises:
            SourceError: the file cannot be opened or written.
        """
        db = self.db
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
