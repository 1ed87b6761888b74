"""Files as the file system has them.

What belongs here: opening one without being led elsewhere, and its time of change. What does not:
what stands in it (`folder_headers.py`).
"""

from __future__ import annotations

import io
import os
import stat

__all__ = ["mtime_ns", "open_regular"]

_LARGEST = 2**63 - 1


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
