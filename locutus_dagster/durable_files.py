"""Writing files so that a crash leaves either the whole file or none.

What belongs here: the temporary name, fsync, rename and checksum of one file, and letting one
writer at a time at them. What does not: which files there are (`interim/`, `targets/`).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from locutus_dagster.errors import LocutusError

__all__ = ["PART_SUFFIX", "VerifyError", "alone_in", "atomic_file", "sha256_of", "sync_folder"]

PART_SUFFIX = ".part"
_CHUNK = 1024 * 1024


class VerifyError(LocutusError):
    """What was written does not read back as it was meant."""


@contextmanager
def atomic_file(path: Path, mode: int = 0o600, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Write `path` under a temporary name; on success fsync it and rename it into place.

    Args:
        durable: False leaves out the fsync, for a file that nobody trusts without holding it
            against a checksum: a power cut may cost the file, and then it is made again.

    On an exception the temporary file is removed and `path` stays as it was.
    """
    part = path.with_name(path.name + PART_SUFFIX)
    with suppress(FileNotFoundError):
        part.unlink()
    try:
        # Inside: an interrupt may come between any two lines.
        descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode)
        with os.fdopen(descriptor, "w+b") as stream:
            yield stream
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        part.replace(path)
        if durable:
            sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Let one process at a time at the files of a folder, of those that ask in this way.

    Raises:
        OSError: there is no such folder, or it cannot be looked at.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut, where the file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sha256_of(path: Path) -> tuple[str, int]:
    """The file's SHA-256 (64 hex characters) and its size in bytes, read from the disk."""
    hasher = hashlib.sha256()
    size = 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            hasher.update(chunk)
            size += len(chunk)
    return hasher.hexdigest(), size
