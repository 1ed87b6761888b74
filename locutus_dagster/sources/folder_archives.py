"""The zip files that a study's instances are read from, and what may be wrong with any file.

What belongs here: keeping zip files open while a study is handed out, and the errors that say what
happened. What does not: reading a zip file (`folder_zip.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from io import BufferedReader

from typing_extensions import Self

from locutus_dagster.sources.base import StudyChangedError, StudyIncompleteError
from locutus_dagster.sources.folder_contents import IndexedFile
from locutus_dagster.sources.folder_files import mtime_ns
from locutus_dagster.sources.folder_zip import UnreadableZipError, ZipArchive

__all__ = ["Archives", "changed", "damaged_zip"]

_OPEN_AT_MOST = 8


class Archives:
    """The zip files of one study, each opened once and closed at the end.

    Args:
        opened: opens what a file lies in.
    """

    def __init__(self, opened: Callable[[IndexedFile], BufferedReader]) -> None:
        self._opened = opened
        self._open: dict[bytes, ZipArchive] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def of(self, file: IndexedFile) -> ZipArchive:
        """The zip file that a member is in.

        Raises:
            StudyChangedError: it is not the one that the index knows.
            StudyIncompleteError: it cannot be read.
        """
        if file.on_disk not in self._open:
            if len(self._open) >= _OPEN_AT_MOST:
                self._open.pop(next(iter(self._open))).close()
            self._open[file.on_disk] = self._archive(file)
        return self._open[file.on_disk]

    def _archive(self, file: IndexedFile) -> ZipArchive:
        reader = self._opened(file)
        now = os.fstat(reader.fileno())
        if (now.st_size, mtime_ns(now)) != (file.zip_size, file.mtime_ns):
            reader.close()
            raise changed()
        try:
            return ZipArchive(reader)
        except UnreadableZipError:
            pass
        raise damaged_zip()


def changed() -> StudyChangedError:
    """The error for a study that is no longer the one that was found."""
    return StudyChangedError(
        "The study changed in the source folder since it was found.",
        "Run this accession again once the study is complete there.",
    )


def damaged_zip() -> StudyIncompleteError:
    """The error for an instance that its zip file does not give."""
    return StudyIncompleteError(
        "A file of the study cannot be read, because the zip file that it is in is damaged.",
        "Replace the zip file by a whole one, or take the damaged one away.",
    )
