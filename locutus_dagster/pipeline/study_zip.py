"""A study as a zip somewhere, handed to whoever asks for it.

What belongs here: the value that an IO manager returns. What does not: where the zip lies.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from locutus_dagster.durable_files import VerifyError

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

__all__ = ["StudyZip"]


@dataclass(frozen=True)
class StudyZip:
    """One partition's study. `size` is in bytes; `sha256` is the ledger's, if it has one."""

    partition_key: str
    uri: str
    sha256: str | None
    size: int
    opener: Callable[[], BinaryIO] = field(repr=False)

    def open(self) -> BinaryIO:
        """The zip as a stream."""
        return self.opener()

    def verify(self) -> None:
        """Read the whole zip and hold it against the ledger's checksum.

        Raises:
            VerifyError: these are not the bytes that were recorded.
        """
        if self.sha256 is None:
            raise VerifyError(f"No checksum of partition {self.partition_key} has been recorded.")
        hasher = hashlib.sha256()
        with self.open() as stream:
            while chunk := stream.read(1024 * 1024):
                hasher.update(chunk)
        if hasher.hexdigest() != self.sha256:
            raise VerifyError(
                f"The zip of partition {self.partition_key} has changed since it was recorded.",
                "Do not use it; look who else writes to that place.",
            )

    def members(self) -> Iterator[tuple[str, bytes]]:
        """Name and content of each instance, one in memory at a time."""
        with self.open() as stream, zipfile.ZipFile(stream) as archive:
            for name in archive.namelist():
                yield name, archive.read(name)

    def datasets(self) -> Iterator[FileDataset]:
        """Each instance as a pydicom dataset."""
        import pydicom

        for _, content in self.members():
            yield pydicom.dcmread(io.BytesIO(content))
