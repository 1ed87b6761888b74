"""Rooms for accessions in the scratch space: one at a time each, within a budget of bytes.

What belongs here: folders, locks, reservations and modes. What does not: what the files mean
(`pipeline/`), and how one file is written (`files.py`).

Everything is decided by the file system, so that it holds between worker processes, between runs
and across crashes: a room is locked with `flock`, which the kernel releases when its holder dies,
and a reservation is the number written into the lock file. No name here comes from a patient, an
accession number or the source.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from locutus_dagster.durable_files import PART_SUFFIX
from locutus_dagster.errors import LocutusError

__all__ = [
    "BUDGET",
    "LOCK",
    "InterimError",
    "InterimStore",
    "Room",
    "ScratchFullError",
    "ScratchTooSmallError",
    "accession_of",
]

#: Beside the zips of a room, and beside the folders of the workspaces. The latter is made with the
#: first reservation and never removed.
LOCK, BUDGET = ".lock", ".budget"
_ROOM = re.compile(r"a[0-9]{9,18}")
_POLL = 0.1  # seconds between two looks at a budget that is taken
_WAITS = -1  # in the place of a reservation: its holder waits for one


class InterimError(LocutusError):
    """The interim store cannot be used."""


class ScratchTooSmallError(InterimError):
    """One accession needs more than the whole budget allows."""


class ScratchFullError(InterimError):
    """What lies in the scratch space leaves no room, and nobody is at work who could make some."""


@dataclass(frozen=True)
class Room:
    """One accession's folder, locked by this process for as long as the claim lasts."""

    path: Path
    store: InterimStore
    descriptor: int

    @property
    def raw_zip(self) -> Path:
        """The study as the source gave it: identified."""
        return self.path / "raw.zip"

    @property
    def deidentified_zip(self) -> Path:
        """The study as it will be delivered."""
        return self.path / "deidentified.zip"

    def reserve(self, size: int) -> None:
        """Wait until `size` bytes fit into the budget beside everybody else's, and take them.

        A room reserves once for all it will hold, so rooms cannot wait for each other.

        Raises:
            ScratchTooSmallError: it would not fit even alone.
            ScratchFullError: it does not fit, and no other room is being worked in.
        """
        limit = self.store.limit
        if size > limit:
            raise ScratchTooSmallError(
                f"A study needs {size:,} bytes of scratch space and LOCUTUS_SCRATCH_LIMIT allows "
                f"{limit:,}.",
                "Raise LOCUTUS_SCRATCH_LIMIT, then run this accession again.",
            )
        while True:
            with self.store.budget_lock():
                taken, busy = self.store.usage(besides=self.path)
                fits = taken + size <= limit
                # Who gives up will leave, and perhaps make room: others may wait for that.
                _note(self.descriptor, size if fits else _WAITS if busy else 0)
            if fits:
                return
            if not busy:
                raise ScratchFullError(
                    f"Earlier accessions hold {taken:,} of {limit:,} bytes of scratch space, and "
                    f"{size:,} more are needed.",
                    "Run them again so that they finish, or raise LOCUTUS_SCRATCH_LIMIT.",
                )
            time.sleep(_POLL)

    def discard_parts(self) -> None:
        """Remove what a crash left half-written."""
        for part in self.path.glob(f"*{PART_SUFFIX}"):
            part.unlink()


class InterimStore:
    """The scratch space under `root` (mode 0700), holding at most `limit` bytes."""

    def __init__(self, root: Path, limit: int) -> None:
        self.root = root
        self.limit = limit

    def prepare(self) -> None:
        """Create the root, for its owner alone.

        Raises:
            InterimError: it cannot be created or written.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.root.chmod(0o700)
        except OSError as error:
            raise InterimError(
                f"The scratch folder {self.root} cannot be used ({error.strerror}).",
                "Set LOCUTUS_SCRATCH to a local folder that the user who runs Locutus may write.",
            ) from None

    def folder(self, workspace: str, accession_id: int) -> Path:
        """The folder of an accession, whether it exists or not."""
        return self.root / workspace / _room_name(accession_id)

    @contextmanager
    def claim(self, workspace: str, accession_id: int) -> Iterator[Room]:
        """Hold the accession's room; waits while another process holds it.

        At the end the folder is removed if it is empty.
        """
        self.prepare()
        path = self.folder(workspace, accession_id)
        with self._held(path, _lock_folder(path)) as room:
            yield room

    @contextmanager
    def claim_if_free(self, workspace: str, accession_id: int) -> Iterator[Room | None]:
        """Hold the accession's room like `claim`, if there is one and nobody holds it.

        Never waits, and makes nothing: None where it is held, or is no more.

        Raises:
            OSError: the room cannot be looked into.
        """
        path = self.folder(workspace, accession_id)
        descriptor = _lock_if_free(path)
        if descriptor is None:
            yield None
            return
        with self._held(path, descriptor) as room:
            yield room

    @contextmanager
    def _held(self, path: Path, descriptor: int) -> Iterator[Room]:
        _note(descriptor, 0)  # what a killed holder had reserved is free
        try:
            yield Room(path, self, descriptor)
        finally:
            if not _files(path):
                # Removed while locked: whoever waits for it finds that it is another file now.
                with suppress(OSError):
                    (path / LOCK).unlink()
                    path.rmdir()
            else:
                with suppress(OSError):
                    _note(descriptor, 0)
            os.close(descriptor)

    @contextmanager
    def budget_lock(self) -> Iterator[None]:
        """Let one process at a time look at the budget and change it."""
        descriptor = os.open(self.root / BUDGET, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def usage(self, besides: Path | None = None) -> tuple[int, bool]:
        """Bytes taken by all rooms but `besides`, and whether anybody is at work in one.

        A room being worked in counts with what it reserved, any other with what lies in it.
        """
        taken, busy = 0, False
        for path in self.rooms():
            if path == besides:
                continue
            lies = sum(_size(entry) for entry in _files(path))
            reserved = _reservation(path / LOCK)
            occupies = max(lies, reserved or 0)  # `_WAITS` is less than nothing
            # A holder that waits for room itself, or occupies nothing, will not make any.
            busy = busy or (reserved not in (None, _WAITS) and occupies > 0)
            taken += occupies
        return taken, busy

    def rooms(self) -> list[Path]:
        """Every room that exists; what else somebody has put there is none."""
        return sorted(path for path in self.root.glob("*/a*") if _is_room(path))

    def accessions(self, workspace: str) -> list[int]:
        """The accessions of a workspace that have a room."""
        rooms = sorted(path for path in (self.root / workspace).glob("a*") if _is_room(path))
        return [int(path.name[1:]) for path in rooms]

    def in_use(self, room: Path) -> bool:
        """Whether anybody holds a room at this moment."""
        return _reservation(room / LOCK) is not None

    def free_bytes(self) -> int:
        """What the file system under the root still has, in bytes."""
        return shutil.disk_usage(self.root).free


def accession_of(name: str) -> int | None:
    """The accession that a room of this name belongs to, None where no room is named like that."""
    if not _ROOM.fullmatch(name) or name != _room_name(int(name[1:])):
        return None
    return int(name[1:])


def _room_name(accession_id: int) -> str:
    return f"a{accession_id:09d}"


def _is_room(path: Path) -> bool:
    return accession_of(path.name) is not None and path.is_dir()


def _files(room: Path) -> list[Path]:
    try:
        return [entry for entry in room.iterdir() if entry.name != LOCK]
    except FileNotFoundError:  # its holder has removed it between two looks
        return []


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # it went away between two looks
        return 0


def _lock_folder(path: Path) -> int:
    while True:
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)  # `parents` would not give it the mode
            path.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(path / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        except (FileExistsError, FileNotFoundError):
            if path.is_file():
                raise
            continue  # its last holder has just removed the folder
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            if os.fstat(descriptor).st_ino == (path / LOCK).stat().st_ino:
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)


def _lock_if_free(path: Path) -> int | None:
    """Lock a folder that exists, None where another process holds it or it has just gone."""
    try:
        # A link in the place of the lock is not followed: it would lock something else.
        flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW
        descriptor = os.open(path / LOCK, flags, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino == (path / LOCK).stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _note(descriptor: int, reserved: int) -> None:
    os.pwrite(descriptor, f"{reserved:020d}".encode(), 0)


def _reservation(lock: Path) -> int | None:
    """The bytes that a room's holder has reserved, or `_WAITS`; None when nobody holds it."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.pread(descriptor, 20, 0) or b"0")
    finally:
        os.close(descriptor)
    return None
