"""Where the results of a collection go: one file, a folder, or a zip.

What belongs here: choosing the kind, refusing to touch what is there, and writing so that either
everything is left or nothing. What does not: what is written.

Files have mode 0600 and folders 0700. A file or zip is written as "*.part" and renamed. A folder
fills up in a hidden folder within it, from which the studies are moved at the end: whoever looks
into it meanwhile sees no half study.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from locutus_dagster.deid.collections.inputs import InputKind
from locutus_dagster.deid.encoding.archive import write_zip
from locutus_dagster.deid.faults import DeidError
from locutus_dagster.deid.study import Delivered
from locutus_dagster.durable_files import PART_SUFFIX, atomic_file, sync_folder

__all__ = [
    "OutputKind",
    "Writer",
    "check_new_file",
    "check_output",
    "open_output",
    "output_kind",
    "whole_file",
]

#: Writes instances and returns how many these were.
Writer = Callable[[Iterable[Delivered]], int]

_STAGING = ".locutus-deid.part"


class OutputKind(Enum):
    """What is written."""

    FILE = "file"
    FOLDER = "folder"
    ZIP = "zip"


class _NothingWrittenError(Exception):
    """Nothing was delivered, so no file is to be left."""


def output_kind(path: Path, source: InputKind) -> OutputKind:
    """Return what to write: what ends with ".zip" is a zip, one file makes one file.

    Args:
        path: the output.
        source: what the input is.
    """
    if path.suffix.lower() == ".zip":
        return OutputKind.ZIP
    if source is InputKind.FILE and not path.is_dir():
        return OutputKind.FILE
    return OutputKind.FOLDER


def check_output(path: Path, kind: OutputKind, source: Path) -> None:
    """Make sure that writing overwrites nothing.

    Raises:
        DeidError: something is there, or the output would lie in the input.
    """
    if kind is not OutputKind.FOLDER:
        check_new_file(path, "OUTPUT", source)
        return
    _check_apart(path, "OUTPUT", source)
    _check_parent(path, "OUTPUT")
    try:
        if path.is_symlink() and not path.exists():
            raise DeidError("OUTPUT is a link that leads nowhere.", "Name another one.")
        if path.exists() and not path.is_dir():
            raise DeidError("OUTPUT exists and is no folder.", "Name another one.")
        if path.exists() and any(path.iterdir()):
            raise DeidError(
                "OUTPUT is not empty.", "Name a folder that is empty, or one to be made."
            )
    except OSError as error:
        raise _refused("OUTPUT", error) from None


def check_new_file(path: Path, what: str, source: Path) -> None:
    """Make sure that a file can be written without overwriting one.

    Args:
        path: the file.
        what: what it is called in a message.
        source: the input, in which it must not lie.

    Raises:
        DeidError: it cannot.
    """
    if os.path.lexists(path):
        raise DeidError(f"{what} exists already.", "Name another one, or move it away first.")
    _check_apart(path, what, source)
    _check_parent(path, what)


def _check_apart(path: Path, what: str, source: Path) -> None:
    """Whatever is written into the input would be input of the next run."""
    inside = path.resolve()
    outside = source.resolve()
    if inside == outside or outside in inside.parents:
        raise DeidError(f"{what} lies in INPUT.", "Name a place outside of it.")


def _check_parent(path: Path, what: str) -> None:
    if not path.absolute().parent.is_dir():
        raise DeidError(f"The folder in which {what} shall lie does not exist.", "Make it first.")


def open_output(
    path: Path, kind: OutputKind, *, expected_size: int, expected_members: int
) -> AbstractContextManager[Writer]:
    """Return a context in which instances can be written, once.

    When it is left with an exception, nothing is left behind; nor is a file or a zip of nothing.

    Args:
        path: the output, checked before.
        kind: what to write.
        expected_size: upper estimate of the bytes that are written.
        expected_members: upper estimate of the number of instances.

    Raises:
        DeidError: it cannot be written.
    """
    if kind is OutputKind.FOLDER:
        return _folder(path)
    if kind is OutputKind.FILE:
        return _file(path)
    return _zip(path, expected_size, expected_members)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file, mode 0600, that is there in the end or leaves nothing behind."""
    try:
        with atomic_file(path) as stream:
            yield stream
    except BaseException:
        # Ctrl-C may have come while the file was being opened, before anybody held it.
        with suppress(OSError):
            path.with_name(path.name + PART_SUFFIX).unlink()
        raise


@contextmanager
def _file(path: Path) -> Iterator[Writer]:
    count = 0
    with _told(), suppress(_NothingWrittenError), whole_file(path) as stream:

        def write(instances: Iterable[Delivered]) -> int:
            nonlocal count
            for one in instances:
                stream.writelines(one.parts)
                count += 1
            return count

        yield write
        if not count:
            raise _NothingWrittenError


@contextmanager
def _zip(path: Path, expected_size: int, expected_members: int) -> Iterator[Writer]:
    count = 0
    with _told(), suppress(_NothingWrittenError), whole_file(path) as stream:

        def write(instances: Iterable[Delivered]) -> int:
            nonlocal count

            def members() -> Iterator[tuple[str, list[bytes | memoryview]]]:
                nonlocal count
                for one in instances:
                    count += 1
                    yield one.name, one.parts

            write_zip(
                members(), stream, expected_size=expected_size, expected_members=expected_members
            )
            return count

        yield write
        if not count:
            raise _NothingWrittenError


@contextmanager
def _folder(path: Path) -> Iterator[Writer]:
    staging = path / _STAGING
    moved: list[Path] = []
    with _told():
        made = not path.is_dir()  # known before: Ctrl-C may come at any moment
        try:
            if made:
                path.mkdir(mode=0o700)
            staging.mkdir(mode=0o700)

            def write(instances: Iterable[Delivered]) -> int:
                count = 0
                for one in instances:
                    _write_below(staging, one)
                    count += 1
                return count

            yield write
            os.sync()  # once for all files, instead of once for each
            for study in sorted(staging.iterdir()):
                moved.append(path / study.name)
                study.rename(moved[-1])
            staging.rmdir()
            sync_folder(path)
            if made and not moved:
                path.rmdir()
        except BaseException:
            for leftover in (*moved, staging):
                shutil.rmtree(leftover, ignore_errors=True)
            if made:
                with suppress(OSError):
                    path.rmdir()
            raise


def _write_below(folder: Path, one: Delivered) -> None:
    *folders, name = one.name.split("/")
    for part in folders:
        folder = folder / part
        folder.mkdir(mode=0o700, exist_ok=True)
    with atomic_file(folder / name, durable=False) as stream:
        stream.writelines(one.parts)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _refused("OUTPUT", error) from None


def _refused(what: str, error: OSError) -> DeidError:
    return DeidError(
        f"{what} cannot be written ({error.strerror}).",
        "Look at the free space and the permissions there, and in the folder for temporary files.",
    )
