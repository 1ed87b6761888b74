"""The index of a folder of DICOM files: which file belongs to which accession number.

What belongs here: walking the tree, and having headers read, also those inside zip files. What does
not: the SQLite file that remembers (`folder_database.py`), asking it (`folder_contents.py`), and
handing studies out (`folder.py`).

A header is read once. A file is known by its relative path, size and modification time; as long as
those are the same, its row is, and so are the rows of a zip file's members. Several worker
processes may open one index at the same time: one walks at a time, behind a file lock, and whoever
waited for a walk that began after its own question takes that walk's result.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path

from locutus_dagster.sources.base import SourceUnavailableError
from locutus_dagster.sources.folder_contents import FolderContents
from locutus_dagster.sources.folder_database import IndexFile, fact, set_fact
from locutus_dagster.sources.folder_dicomdir import Listing, read_listing
from locutus_dagster.sources.folder_files import mtime_ns, open_regular
from locutus_dagster.sources.folder_headers import (
    DICOM,
    DICOMDIR,
    UNREADABLE,
    ZIP,
    Header,
    read_header,
)
from locutus_dagster.sources.folder_zip import UnreadableZipError, ZipArchive, is_zip_name
from locutus_dagster.sources.patient_digests import patient_digest

__all__ = ["FolderIndex"]

_COMMIT_EVERY = 500
_NO_LISTING: Listing = frozenset()


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
        self.contents = FolderContents(self._file)
        """What is in the index."""
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
            for (directory,) in gone:
                self._forget(db, *_paths_in(db, directory))
            set_fact(db, "walk_began", str(began).encode())
            db.commit()

    def refresh_directories(self, directories: Iterable[bytes]) -> None:
        """Bring the index up to date with these directories, not with those below them.

        A directory whose modification time is still the known one has lost and gained no entry,
        so it is not listed again; that its files did not change is for the caller to see. Of a
        folder inside a zip file, that is the directory that the zip file lies in.
        """
        with self._file.locked() as db:
            for directory in sorted({_on_disk(directory) for directory in directories}):
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
            self._forget(db, *known)
            return []
        except OSError:
            # What is known of it stays known, so that its studies fail and do not shrink.
            parent = os.path.dirname(directory)  # noqa: PTH120 - bytes
            self._put(db, directory, parent, 0, 0, Header(UNREADABLE))
            return self._known_below(db, directory)
        self._forget(db, directory)  # what it was before: a zip file, or a directory hidden from us
        db.execute("REPLACE INTO directories VALUES (?, ?)", (directory, modified))
        self._forget(db, *known)
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
        same = row is not None and row[1:3] == (now.st_size, mtime_ns(now))
        if row is not None and same and row[3] != UNREADABLE:
            return
        if row is not None and (row[3] == DICOMDIR or (is_zip_name(path) and not same)):
            self._forget(db, path)
        header, listing = self._read(db, path, now)
        self._put(db, path, directory, now.st_size, mtime_ns(now), header)
        self._put_listing(db, path, listing)
        if self.headers_read % _COMMIT_EVERY == 0:  # a long first walk that is cut goes on there
            db.commit()

    def _read(
        self, db: sqlite3.Connection, path: bytes, now: os.stat_result
    ) -> tuple[Header, Listing]:
        """What a file says, and lists if it is a DICOMDIR; indexes the members of a zip file."""
        try:
            with open_regular(self._full(path)) as file:
                self.headers_read += 1
                header = read_header(file)
                if header.kind == DICOMDIR:
                    listing = read_listing(file)
                    return (header, listing) if listing is not None else _UNREAD
                if header.kind == DICOM or not is_zip_name(path):
                    return header, _NO_LISTING
                self._index_members(db, path, now, ZipArchive(file))
                return Header(ZIP), _NO_LISTING
        except (OSError, UnreadableZipError):
            return _UNREAD

    def _index_members(
        self, db: sqlite3.Connection, path: bytes, now: os.stat_result, archive: ZipArchive
    ) -> None:
        """Index what is in a zip file, all of it in one transaction with the row of the file.

        What is known of a zip file that can no longer be opened stays known until it changes, so
        that its studies fail and do not vanish.
        """
        self._forget(db, path)
        for member in archive.members():
            header, listing = archive.header(member)
            inside = member.path_in(path)
            self._put(
                db,
                inside,
                member.directory_in(path),
                member.size,
                mtime_ns(now),
                header,
                zip_size=now.st_size,
                crc=member.crc,
            )
            self._put_listing(db, inside, listing)

    @staticmethod
    def _put_listing(db: sqlite3.Connection, dicomdir: bytes, listing: Listing) -> None:
        db.executemany("INSERT INTO listed VALUES (?, ?, ?)", [(dicomdir, *one) for one in listing])

    @staticmethod
    def _forget(db: sqlite3.Connection, *paths: bytes) -> None:
        """Drop files, with the members of those that are zip files, and what a DICOMDIR listed."""
        within = [(path, path + b"\0", path + b"\1") for path in paths]
        db.executemany("DELETE FROM files WHERE path = ?1 OR (path > ?2 AND path < ?3)", within)
        db.executemany(
            "DELETE FROM listed WHERE dicomdir = ?1 OR (dicomdir > ?2 AND dicomdir < ?3)", within
        )

    @staticmethod
    def _put(
        db: sqlite3.Connection,
        path: bytes,
        directory: bytes,
        size: int,
        mtime_ns: int,
        header: Header,
        *,
        zip_size: int = 0,
        crc: int = 0,
    ) -> None:
        salt = fact(db, "patient_salt") or b""
        db.execute(
            "REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
                zip_size,
                crc,
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

    # --- within --------------------------------------------------------------------------------

    def _full(self, path: bytes) -> bytes:
        return os.path.join(self._root, path)  # noqa: PTH118 - bytes

    def _under_root(self, path: bytes) -> Path:
        return Path(os.fsdecode(self._full(path)))


_UNREAD = (Header(UNREADABLE), _NO_LISTING)


def _paths_in(db: sqlite3.Connection, directory: bytes) -> list[bytes]:
    rows = db.execute("SELECT path FROM files WHERE directory = ?", (directory,))
    return [row[0] for row in rows]


def _on_disk(directory: bytes) -> bytes:
    """The directory itself, or the one with the zip file that it is in."""
    zip_path, inside, _ = directory.partition(b"\0")
    return os.path.dirname(zip_path) if inside else directory  # noqa: PTH120 - bytes
