"""Reading an object of Google Cloud Storage a range at a time.

What belongs here: the stream. What does not: how a range is asked for (`gcs.py`).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

__all__ = ["GcsReader"]

_ALL_AT_A_TIME = 4 * 1024**2


class GcsReader(io.RawIOBase):
    """A delivery as a stream that one may seek in; buffer it, for each read is a request.

    Args:
        read: the bytes from a start to an end, which is not part of them; all of them or an error.
        size: of the whole.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        super().__init__()
        self._read = read
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to another place."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`, or as much of it as there is."""
        view = memoryview(buffer).cast("B")
        end = min(self._position + len(view), self._size)
        if end <= self._position:
            return 0
        data = self._read(self._position, end)
        view[: len(data)] = data
        self._position = end
        return len(data)

    def readall(self) -> bytes:
        """The rest, without a request for each few bytes of it."""
        blocks = []
        while self._position < self._size:
            block = bytearray(min(_ALL_AT_A_TIME, self._size - self._position))
            self.readinto(block)
            blocks.append(bytes(block))
        return b"".join(blocks)
