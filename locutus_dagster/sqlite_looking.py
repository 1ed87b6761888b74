"""Reading an SQLite file without leaving a trace: no log, no index of one, no lock file.

What belongs here: choosing how such a file can be opened, and noticing that the choice holds no
more. What does not: what stands in the file (`ledger/`, `sources/folder_index.py`).

A file in WAL mode is at rest as long as no `-wal` lies beside it: then all of it is in the file
itself, and it can be read as if nobody could ever change it. Else the log has to be read with it,
by means of the index that the program which writes it keeps beside it.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

__all__ = ["LookingConnection", "connect_to_look"]

_PATIENCE = 60.0  # seconds that a reader waits for a writer
#: Inode, size and modification time of a file at rest; None where a log belongs to it.
_Lay = tuple[int, int, int] | None


class LookingConnection(sqlite3.Connection):
    """A connection that can read, and nothing else."""

    path: Path
    lay: _Lay

    @property
    def outdated(self) -> bool:
        """Whether the file was at rest when this was connected and has been changed since.

        The connection does not see the change, and may see half of it: connect again.
        """
        return self.lay is not None and _lay_of(self.path) != self.lay


def connect_to_look(path: Path, *, any_thread: bool = False) -> LookingConnection:
    """Open an existing SQLite file for reading only.

    Args:
        any_thread: threads may use the connection one after the other.

    Raises:
        sqlite3.Error: it cannot be read.
        FileNotFoundError: there is no such file.
    """
    lay = _lay_of(path)
    if lay is not None:
        return _connect(path, "mode=ro&immutable=1", lay, any_thread)
    with suppress(sqlite3.Error):  # the index of the log is not there
        return _connect(path, "mode=ro&readonly_shm=1", None, any_thread)
    return _connect(path, "mode=ro", None, any_thread)


def _lay_of(path: Path) -> _Lay:
    found = path.stat()
    if path.with_name(path.name + "-wal").exists():
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _connect(path: Path, how: str, lay: _Lay, any_thread: bool) -> LookingConnection:
    connection = sqlite3.connect(
        f"file:{quote(os.fspath(path))}?{how}",
        uri=True,
        timeout=_PATIENCE,
        check_same_thread=not any_thread,
        factory=LookingConnection,
    )
    try:
        connection.path, connection.lay = path, lay
        connection.execute("PRAGMA query_only=ON")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # now it is opened
    except BaseException:
        connection.close()
        raise
    return connection
