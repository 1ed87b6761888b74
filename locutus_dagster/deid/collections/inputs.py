"""Where the files of a collection come from: one DICOM file, a folder, or a zip.

What belongs here: finding the files, and getting their bytes without holding them all. What does
not: what is in them (`work.py`).

A file is known by its position only, because names identify: "Smith_John_CT.dcm". Positions count
from 1: those of a folder in the order of the sorted paths, those of a zip in its own order.

Files of a folder are mapped into memory when they are read, and go when nobody holds their bytes
any more. Each mapping holds an open file, of which a process may have so many only; when these run
out, files are read instead.
"""

from __future__ import annotations

import mmap
import os
import resource
import tempfile
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import BinaryIO, Protocol
from weakref import WeakSet

from locutus_dagster.deid.encoding.archive import RawZip
from locutus_dagster.deid.faults import DeidError, UnreadableError
from locutus_dagster.deid.study import Members

__all__ = ["Files", "Input", "InputKind", "ZipFiles", "input_kind", "open_input"]

#: A file of up to this many bytes is read: that is faster than mapping it.
_SMALL = 1 << 16
#: Open files that the process may need for other things.
_RESERVED = 64
#: Linux lets a process have 65,530 mappings.
_MOST_MAPS = 30_000


class InputKind(Enum):
    """What a collection is."""

    FILE = "file"
    FOLDER = "folder"
    ZIP = "zip"


class Input(Members, Protocol):
    """The files of a collection; a context manager.

    Attributes:
        links: number of symbolic links that were found and not followed.
    """

    links: int

    def __enter__(self) -> Input:  # noqa: PYI034 - typing.Self is younger than Python 3.10
        ...

    def __exit__(self, *_: object) -> None: ...


class Files:
    """Files on disk, as `Input`.

    Args:
        paths: the files.
        links: number of symbolic links that were found beside them.
    """

    def __init__(self, paths: Sequence[Path], links: int = 0) -> None:
        self._paths = paths
        self._maps: WeakSet[mmap.mmap] = WeakSet()
        self._most_maps = _room_for_maps()
        self.links = links

    def __repr__(self) -> str:
        return f"Files({len(self)} files)"

    def __enter__(self) -> Files:  # noqa: PYI034 - typing.Self is younger than Python 3.10
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open but what somebody still holds."""

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def size(self) -> int:
        """Size of all files that are still there, in bytes."""
        return sum(map(_size, self._paths))

    def read(self, index: int) -> memoryview:
        """Return a file's bytes, valid as long as they are held.

        Raises:
            UnreadableError: the file cannot be read.
        """
        try:
            with self._paths[index].open("rb") as stream:
                return self._view(stream)
        except (OSError, ValueError):
            raise UnreadableError("file cannot be read") from None

    def _view(self, stream: BinaryIO) -> memoryview:
        size = os.fstat(stream.fileno()).st_size
        if size <= _SMALL or len(self._maps) >= self._most_maps:
            return memoryview(stream.read())
        mapped = mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ)
        self._maps.add(mapped)
        return memoryview(mapped)


class ZipFiles(RawZip):
    """The members of a zip, as `Input`.

    What has to be inflated and does not fit into memory goes to the system's folder for temporary
    files, since nobody says that the zip's own folder can be written to.

    Args:
        path: the zip.

    Raises:
        DeidError: there is no readable zip.
    """

    def __init__(self, path: Path) -> None:
        try:
            super().__init__(path, Path(tempfile.gettempdir()))
        except DeidError:
            raise DeidError(
                "INPUT is not a readable zip file.",
                "Copy it once more, or unpack it with another program and give the folder.",
            ) from None
        self.links = 0

    def __enter__(self) -> ZipFiles:  # noqa: PYI034 - typing.Self is younger than Python 3.10
        return self


def input_kind(path: Path) -> InputKind:
    """Return what a collection is, by its content.

    Raises:
        DeidError: nothing is there, or it cannot be read.
    """
    try:
        if path.is_dir():
            return InputKind.FOLDER
        if not path.is_file():
            raise DeidError(
                "INPUT does not exist, or is no file and no folder.", "Look at its spelling."
            )
        with path.open("rb") as stream:
            start = stream.read(132)
    except OSError as error:
        raise _unreadable("INPUT", error) from None
    if start[128:] == b"DICM":  # whatever stands in its preamble
        return InputKind.FILE
    if start[:4] in (b"PK\3\4", b"PK\5\6") or path.suffix.lower() == ".zip":
        return InputKind.ZIP
    return InputKind.FILE


def open_input(path: Path) -> Input:
    """Return the files of a collection.

    Of a folder these are all regular files at any depth, without hidden ones and those in hidden
    folders. Symbolic links are not followed: they lead out of the folder, or to a file that is
    there anyway.

    Args:
        path: a DICOM file of any name, a folder, or a zip.

    Raises:
        DeidError: it cannot be read, or holds no files.
    """
    kind = input_kind(path)
    if kind is InputKind.ZIP:
        files: Input = ZipFiles(path)
    elif kind is InputKind.FOLDER:
        files = Files(*_below(path))
    else:
        files = Files([path])
    if not len(files):
        raise DeidError("INPUT holds no files.", "Look whether it is the right one.")
    return files


def _below(folder: Path) -> tuple[list[Path], int]:
    """Return the files below a folder by their sorted paths, and the number of links."""
    paths: list[Path] = []
    links = 0
    waiting = [folder.resolve()]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_symlink():
                        links += 1
                    elif entry.is_dir():
                        waiting.append(Path(entry.path))
                    elif entry.is_file():
                        paths.append(Path(entry.path))
        except OSError as error:
            # A folder that is left out without a word would be data that nobody misses.
            raise _unreadable("A folder in INPUT", error) from None
    return sorted(paths), links


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # reading it will say so


def _unreadable(what: str, error: OSError) -> DeidError:
    return DeidError(f"{what} cannot be read ({error.strerror}).", "Look at its permissions.")


def _room_for_maps() -> int:
    """Return how many files may be mapped at a time."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return _MOST_MAPS
    return max(0, min(limit - _RESERVED, _MOST_MAPS))
