"""One file: preamble, file meta information, transfer syntax, and the walked data set.

What belongs here: getting from the bytes of a file (PS3.10, or what is found in the wild) to an
`Instance`. What does not: whether the instance is wanted (`bouncers.py`), archives (`archive.py`).
"""

from __future__ import annotations

import operator
from bisect import bisect_left
from collections.abc import MutableMapping
from struct import Struct
from typing import TypeAlias

from locutus_dagster.deid.encoding.codec import (
    FRAGMENTS,
    PIXEL_DATA,
    Buffer,
    Element,
    Sharing,
    Walker,
)
from locutus_dagster.deid.encoding.inflate import inflate_bounded
from locutus_dagster.deid.faults import UnreadableError
from locutus_dagster.deid.standard.dictionary import LONG_VRS, SHORT_VRS, TRANSFER_SYNTAXES

__all__ = ["MAX_DEFLATED_DATA_SET", "PIXEL_TAGS", "Instance", "Sharings", "open_instance"]

#: Float Pixel Data, Double Float Pixel Data, Pixel Data.
PIXEL_TAGS = (0x7FE00008, 0x7FE00009, PIXEL_DATA)

#: A deflated data set may inflate to this many bytes; beyond, it is taken for a bomb.
MAX_DEFLATED_DATA_SET = 512 << 20
#: Some size of an element in memory, as tuple and numbers.
_ELEMENT_BYTES = 200

_IMPLICIT_LITTLE = "1.2.840.10008.1.2"
_EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
_EXPLICIT_BIG = "1.2.840.10008.1.2.2"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_NATIVE = {_IMPLICIT_LITTLE, _EXPLICIT_LITTLE, _EXPLICIT_BIG}
# Registered, but not a data set in explicit VR little endian in a file: deflated JPIP, MIME and
# XML encodings, real-time video, Papyrus.
_OTHER_ENCODINGS = ("1.2.840.10008.1.2.6", "1.2.840.10008.1.2.7", "1.2.840.10008.1.20")
_REFUSED = {"1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"}

Sharings: TypeAlias = MutableMapping[tuple[bool, bool], Sharing]

_META_HEAD = Struct("<HH2sH").unpack_from
_META_LENGTH = Struct("<L").unpack_from


class Instance:
    """A walked data set and what is needed to write it again.

    Attributes:
        buf: the bytes that the elements' offsets refer to.
        elements: the data set's elements, in ascending order of tag, no tag twice.
        tags: their tags.
        transfer_syntax: UID of the encoding to write, which is the one read, but for deflated
            data sets, which become Explicit VR Little Endian.
        explicit, little: the encoding.
    """

    __slots__ = (
        "_found",
        "buf",
        "count",
        "elements",
        "explicit",
        "little",
        "tags",
        "transfer_syntax",
    )

    def __init__(
        self,
        buf: Buffer,
        pos: int,
        transfer_syntax: str,
        *,
        explicit: bool,
        little: bool,
        sharing: Sharings | None = None,
        inflated: bool = False,
    ) -> None:
        self.buf = buf
        self.transfer_syntax = transfer_syntax
        self.explicit = explicit
        self.little = little
        one = None if sharing is None else sharing[explicit, little]
        walker = Walker(buf, explicit=explicit, little=little, sharing=one)
        self.elements = walker.data_set(pos, len(buf))
        #: Number of elements and items at all depths: what it costs to keep the instance. Bytes
        #: that are held for it alone cost as much as elements of that size.
        self.count = walker.walked + (len(buf) // _ELEMENT_BYTES if inflated else 0)
        self._found = {element[0]: element for element in self.elements}
        if len(self._found) != len(self.elements):
            raise UnreadableError("duplicate element")  # readers disagree about which one counts
        self.tags = sorted(self._found)
        if self.tags != list(self._found):  # elements that are inserted must land in order
            self.elements.sort(key=operator.itemgetter(0))
        pixels = self.find(PIXEL_DATA)
        if pixels is not None and (pixels[5] is FRAGMENTS) and not self.encapsulated:
            raise UnreadableError("encapsulated pixel data in a native transfer syntax")

    def __repr__(self) -> str:
        return f"Instance({len(self.elements)} elements, {self.transfer_syntax})"

    @property
    def encapsulated(self) -> bool:
        """Whether the transfer syntax holds pixel data in fragments."""
        return self.transfer_syntax not in _NATIVE

    @property
    def pixels_add_up(self) -> bool:
        """Whether native pixel data is as long as the attributes that describe it say.

        Bytes beyond that are no samples, and somebody may have put anything there.
        """
        pixels = self.find(PIXEL_DATA)
        if pixels is None:
            return False
        numbers = [self._number(tag) for tag in (0x00280010, 0x00280011, 0x00280002, 0x00280100)]
        rows, columns, samples, bits = numbers
        frames = self.text(0x00280008)
        count = int(frames) if frames.isdigit() and len(frames) < 9 else 1
        expected = (rows * columns * samples * bits * count + 7) // 8
        if self.text(0x00280004).endswith("_422"):
            expected = expected * 2 // 3
        return pixels[4] - pixels[3] == expected + expected % 2

    def _number(self, tag: int) -> int:
        """Return an unsigned short, 0 where there is none."""
        element = self.find(tag)
        if element is None or element[4] - element[3] != 2:
            return 0
        raw = bytes(self.buf[element[3] : element[4]])
        return int.from_bytes(raw, "little" if self.little else "big")

    def has_between(self, first: int, beyond: int) -> bool:
        """Whether there is a top-level element from one tag up to another."""
        at = bisect_left(self.tags, first)
        return at < len(self.tags) and self.tags[at] < beyond

    def find(self, tag: int) -> Element | None:
        """Return the top-level element of a tag."""
        return self._found.get(tag)

    def value(self, tag: int) -> bytes:
        """Return the raw value of a short top-level element without padding, b"" if absent."""
        element = self.find(tag)
        if element is None or element[5] is not None:
            return b""
        return bytes(self.buf[element[3] : min(element[4], element[3] + 1024)]).strip(b" \0")

    def text(self, tag: int) -> str:
        """Return a value as text; what is not ASCII becomes a replacement character."""
        return self.value(tag).decode("ascii", "replace")


def open_instance(data: Buffer, sharing: Sharings | None = None) -> Instance:
    """Walk one file.

    Accepted are Part 10 files, and files without preamble or without file meta information that
    start with group 0002 or 0008.

    Args:
        data: the file.
        sharing: remembers the sequences that a study repeats, by encoding (explicit VR, little
            endian), such as `defaultdict(Sharing)`.

    Raises:
        UnreadableError: the bytes are no DICOM file that the engine can vouch for.
    """
    pos = 132 if bytes(data[128:132]) == b"DICM" else 0
    transfer_syntax, pos = _read_meta(data, pos)
    if not transfer_syntax:
        transfer_syntax = _sniff(data, pos)
    if transfer_syntax == _IMPLICIT_LITTLE:
        return Instance(data, pos, transfer_syntax, explicit=False, little=True, sharing=sharing)
    if transfer_syntax == _EXPLICIT_BIG:
        return Instance(data, pos, transfer_syntax, explicit=True, little=False, sharing=sharing)
    if transfer_syntax == _DEFLATED:
        own = inflate_bounded(data[pos:], MAX_DEFLATED_DATA_SET)
        return Instance(
            own, 0, _EXPLICIT_LITTLE, explicit=True, little=True, sharing=sharing, inflated=True
        )
    if (
        transfer_syntax not in TRANSFER_SYNTAXES
        or transfer_syntax in _REFUSED
        or transfer_syntax.startswith(_OTHER_ENCODINGS)
    ):
        raise UnreadableError("unknown transfer syntax")
    return Instance(data, pos, transfer_syntax, explicit=True, little=True, sharing=sharing)


def _read_meta(data: Buffer, pos: int) -> tuple[str, int]:
    """Return the transfer syntax, "" if not given, and the offset behind group 0002.

    The group's own length is not trusted: the group ends where the next one starts.
    """
    transfer_syntax = ""
    while pos + 8 <= len(data):
        group, number, raw, length = _META_HEAD(data, pos)
        if group != 0x0002:
            return transfer_syntax, pos
        value = pos + 8
        if raw in LONG_VRS:
            value = pos + 12
            if value > len(data):
                break
            (length,) = _META_LENGTH(data, pos + 8)
        elif raw not in SHORT_VRS:
            raise UnreadableError("broken file meta information")
        pos = value + length
        if pos > len(data):
            break
        if number == 0x0010:
            transfer_syntax = bytes(data[value:pos]).strip(b" \0").decode("ascii", "replace")
    raise UnreadableError("truncated file meta information")


def _sniff(data: Buffer, pos: int) -> str:
    """Guess the encoding of a data set that nothing declares."""
    start = bytes(data[pos : pos + 6])
    named = start[4:6] in SHORT_VRS or start[4:6] in LONG_VRS
    if start[:2] == b"\x08\0":
        return _EXPLICIT_LITTLE if named else _IMPLICIT_LITTLE
    if start[:2] == b"\0\x08" and named:
        return _EXPLICIT_BIG
    raise UnreadableError("not DICOM")
