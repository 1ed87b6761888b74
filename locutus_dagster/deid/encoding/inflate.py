"""Inflating with a bound, to memory.

What belongs here: decompression that a hostile stream cannot turn into an endless one. What does
not: zip archives (`archive.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from isal import isal_zlib

from locutus_dagster.deid.faults import UnreadableError

__all__ = ["inflate_bounded", "inflate_chunks"]

_CHUNK = 1 << 20
_DAMAGED: Any = isal_zlib.error  # isal's stubs do not say that it is an exception
_INPUT = 1 << 18
#: What is promised to be no larger than this is inflated in one go, which is a third faster.
_ONE_GO = 8 << 20


def inflate_chunks(data: bytes | memoryview, limit: int) -> Iterator[bytes]:
    """Yield the inflated bytes of a raw deflate stream, in pieces of about 1 MB if it is large.

    Raises:
        UnreadableError: the stream is damaged, incomplete, or inflates beyond `limit` bytes.
    """
    inflater = isal_zlib.decompressobj(wbits=-15)
    total = 0
    pending: bytes | memoryview = data
    step, most = (len(data), limit + 1) if limit <= _ONE_GO else (_INPUT, _CHUNK)
    while not inflater.eof:
        # One byte more than allowed tells a stream that ends there from one that goes on.
        room = min(most, limit - total + 1)
        try:
            chunk: bytes = inflater.decompress(pending[:step], room)
        except _DAMAGED:
            raise UnreadableError("damaged deflate stream") from None
        pending = pending[min(step, len(pending)) - len(inflater.unconsumed_tail) :]
        total += len(chunk)
        if total > limit:
            raise UnreadableError("inflates beyond the bound")
        if chunk:
            yield chunk
        elif not inflater.eof and not len(pending):
            raise UnreadableError("truncated deflate stream")


def inflate_bounded(data: bytes | memoryview, limit: int) -> memoryview:
    """Return the inflated bytes of a raw deflate stream of at most `limit` bytes.

    The pieces are never held twice.

    Raises:
        UnreadableError: as `inflate_chunks`.
    """
    inflated = bytearray()
    for chunk in inflate_chunks(data, limit):
        inflated += chunk
    return memoryview(inflated).toreadonly()
