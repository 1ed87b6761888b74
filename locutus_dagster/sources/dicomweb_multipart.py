"""Reading the answer of WADO-RS: one instance in a message of several parts.

What belongs here: taking the one part out of `multipart/related`, unharmed, and seeing that the
message is whole. What does not: where its bytes come from (`dicomweb_download.py`).

`dicomweb-client` decodes such messages as well, but into parsed data sets, of which the stored
bytes cannot be had back, and it takes a message that was cut for a complete one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from locutus_dagster.sources.dicomweb_terms import TransientError

__all__ = ["boundary_of", "the_one_part"]

_MOST_HEADERS = 64 * 1024
_BOUNDARY = re.compile(r""";\s*boundary\s*=\s*(?:"([^"]{1,200})"|([^\s;"]{1,200}))""", re.I)
_LENGTH = re.compile(rb"(?:^|\r\n)content-length:[ \t]*(\d{1,18})[ \t]*(?:\r\n|$)", re.I)


def boundary_of(content_type: str) -> bytes | None:
    """The boundary of a message of several parts; None if it is none."""
    if not content_type.lower().lstrip().startswith("multipart/"):
        return None
    match = _BOUNDARY.search(content_type)
    if match is None:
        return None
    return (match[1] or match[2]).encode("latin-1", "replace")


def the_one_part(chunks: Iterator[bytes], boundary: bytes) -> Iterator[bytes]:
    """The content of the message's only part, in chunks; ends normally only if all is there.

    Raises:
        TransientError: the message was cut, has no part or several, or the part has not the
            length that its header gives.
    """
    reader = _Reader(chunks)
    delimiter = b"\r\n--" + boundary
    reader.put_back(b"\r\n")  # the first delimiter need not stand behind a line break
    for _ in reader.until(delimiter):
        pass  # a preamble, which means nothing
    if reader.line_end() == b"--":
        raise TransientError("the answer holds no instance")
    headers = b"".join(reader.until(b"\r\n\r\n", _MOST_HEADERS))
    announced = _LENGTH.search(headers)
    arrived = 0
    for chunk in reader.until(delimiter):
        arrived += len(chunk)
        yield chunk
    if announced is not None and int(announced[1]) != arrived:
        raise TransientError("its length is not the announced one")
    if reader.line_end() != b"--":
        raise TransientError("the answer holds more than one instance")


class _Reader:
    """Cuts a stream of chunks at given marks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._held = b""

    def put_back(self, data: bytes) -> None:
        self._held = data + self._held

    def until(self, mark: bytes, most: int | None = None) -> Iterator[bytes]:
        """What stands before `mark`; goes on behind it."""
        given = 0
        while (at := self._held.find(mark)) < 0:
            safe = len(self._held) - len(mark) + 1
            if safe > 0:
                given += safe
                if most is not None and given > most:
                    raise TransientError("what arrived is no message of WADO-RS")
                yield self._held[:safe]
                self._held = self._held[safe:]
            self._fill()
        if at:
            yield self._held[:at]
        self._held = self._held[at + len(mark) :]

    def line_end(self) -> bytes:
        """The two bytes behind a delimiter: `--` if it was the last one.

        A line break stays where it is, because a part may have no headers at all, only the empty
        line after them.
        """
        while True:
            self._held = self._held.lstrip(b" \t")
            if len(self._held) >= 2:
                break
            self._fill()
        if self._held[:2] not in (b"--", b"\r\n"):
            raise TransientError("what arrived is no message of WADO-RS")
        return self._held[:2]

    def _fill(self) -> None:
        chunk = next(self._chunks, None)
        if chunk is None:
            raise TransientError("the answer was cut")
        self._held += chunk
