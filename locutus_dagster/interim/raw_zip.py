"""The raw zip: a study as the source gave it, under names that identify nobody.

What belongs here: the zip's writer. What does not: where it lies (`store.py`) and who reads it.
"""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterable
from typing import BinaryIO

__all__ = ["RawZipWriter"]

# Members carry no time of their own: the same study gives the same bytes.
_MEMBER_DATE = (1980, 1, 1, 0, 0, 0)


class RawZipWriter:
    """An `InstanceSink` that stores instances in a zip under names that identify nobody.

    Members are stored, not deflated: they live for seconds, and the next phase maps them into
    memory as they lie. Safe to call from several threads; one instance is written at a time.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._zip = zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True)
        self._lock = threading.Lock()
        self.instances = 0
        self.size = 0  # bytes of the instances

    def add(self, data: bytes | Iterable[bytes]) -> None:
        """Store one instance: a Part 10 byte string, or its chunks in order."""
        chunks = (data,) if isinstance(data, bytes | bytearray | memoryview) else data
        with self._lock:
            info = zipfile.ZipInfo(f"{self.instances + 1:06d}.dcm", _MEMBER_DATE)
            info.external_attr = 0o600 << 16
            with self._zip.open(info, "w", force_zip64=True) as member:
                for chunk in chunks:
                    member.write(chunk)
                    self.size += len(chunk)
            self.instances += 1

    def close(self) -> None:
        """Write the zip's directory; without it the file is no zip."""
        self._zip.close()
