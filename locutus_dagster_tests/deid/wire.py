"""DICOM written byte by byte, in any encoding, and with any lie in it that a test wants.

What belongs here: headers, items, nested sequences and whole files made with `struct` alone, so
that nothing stands in the way of an illegal length. What does not: what is hostile (`hostile.py`),
well-formed files (`builders.py`).

The names and numbers of the patient are fictitious, and so unusual that they stand in no output by
accident.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

__all__ = [
    "ACCESSION",
    "CT_IMAGE",
    "ID",
    "LE",
    "NAME",
    "PHYSICIAN",
    "PLANTED",
    "UNDEFINED",
    "WIRES",
    "Wire",
    "extended",
    "image",
    "instance",
]

NAME, ID, ACCESSION = b"Zwyndlebert^Hrothgarda", b"QZX883311", b"VKA990077X"
PHYSICIAN = b"Oxthwaite^Wulfhilda"
#: What must not stand in any output, in lower case.
PLANTED = (b"zwyndlebert", b"hrothgarda", b"qzx883311", b"vka990077x", b"oxthwaite", b"wulfhilda")

UNDEFINED = 0xFFFFFFFF
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
_LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
_STUDY, _SERIES = "1.2.826.0.1.3680043.10.9417.71.1", "1.2.826.0.1.3680043.10.9417.71.2"


class Wire:
    """Writes one encoding.

    Args:
        explicit: whether elements carry their VR.
        little: byte order.
        syntax: the transfer syntax to declare.
    """

    def __init__(self, explicit: bool, little: bool, syntax: str) -> None:
        self.explicit = explicit
        self.little = little
        self.syntax = syntax
        self._order = "<" if little else ">"

    def __repr__(self) -> str:
        return f"Wire({self.syntax})"

    def head(self, tag: int, vr: str, length: int) -> bytes:
        """Return an element's header; the length is cut to what the field can hold."""
        group, number = tag >> 16, tag & 0xFFFF
        if not self.explicit or group == 0xFFFE:
            return struct.pack(self._order + "HHL", group, number, length & UNDEFINED)
        if vr in _LONG:
            head = struct.pack(self._order + "HH2sH", group, number, vr.encode(), 0)
            return head + struct.pack(self._order + "L", length & UNDEFINED)
        return struct.pack(self._order + "HH2sH", group, number, vr.encode(), length & 0xFFFF)

    def element(self, tag: int, vr: str, value: bytes = b"", length: int | None = None) -> bytes:
        """Return an element, with a false length if wanted."""
        return self.head(tag, vr, len(value) if length is None else length) + value

    def short(self, tag: int, number: int) -> bytes:
        """Return an element of VR US."""
        return self.element(tag, "US", struct.pack(self._order + "H", number))

    def item(self, content: bytes = b"", length: int | None = None) -> bytes:
        """Return an item; one of undefined length is delimited."""
        head = self.element(0xFFFEE000, "", content, length)
        return head + self.item_end if length == UNDEFINED else head

    def sequence(self, tag: int, items: Iterable[bytes] = (), vr: str = "SQ") -> bytes:
        """Return a sequence of defined length."""
        return self.element(tag, vr, b"".join(items))

    def open_sequence(self, tag: int, items: Iterable[bytes] = (), vr: str = "SQ") -> bytes:
        """Return a sequence of undefined length, delimited."""
        return self.element(tag, vr, b"".join(items), UNDEFINED) + self.sequence_end

    @property
    def item_end(self) -> bytes:
        return self.head(0xFFFEE00D, "", 0)

    @property
    def sequence_end(self) -> bytes:
        return self.head(0xFFFEE0DD, "", 0)

    def nested(
        self,
        tags: list[int],
        levels: int,
        *,
        vr: str = "SQ",
        undefined: bool = True,
        core: bytes = b"",
    ) -> bytes:
        """Return sequences inside each other, each of one item, `tags` taking turns.

        The work grows with the levels alone, so that a hundred thousand are no problem.
        """
        if undefined:
            opening = (
                self.head(tags[n % len(tags)], vr, UNDEFINED) + self.head(0xFFFEE000, "", UNDEFINED)
                for n in range(levels)
            )
            return b"".join(opening) + core + (self.item_end + self.sequence_end) * levels
        item_size = len(self.head(0xFFFEE000, "", 0))
        pieces, length = [], len(core)
        for n in reversed(range(levels)):
            pieces.append(self.head(0xFFFEE000, "", length))
            length += item_size
            pieces.append(self.head(tags[n % len(tags)], vr, length))
            length += len(pieces[-1])
        return b"".join(reversed(pieces)) + core


LE = Wire(True, True, "1.2.840.10008.1.2.1")
#: The encodings that a data set can have; the last one is deflated as a whole.
WIRES = {
    "explicit": LE,
    "implicit": Wire(False, True, "1.2.840.10008.1.2"),
    "big endian": Wire(True, False, "1.2.840.10008.1.2.2"),
    "deflated": Wire(True, True, "1.2.840.10008.1.2.1.99"),
}


def image(wire: Wire, number: int = 1, sop_class: str = CT_IMAGE) -> dict[int, bytes]:
    """Return the elements of a small image with planted identifiers, by tag."""

    def text(tag: int, vr: str, value: bytes | str) -> bytes:
        raw = value.encode() if isinstance(value, str) else value
        return wire.element(tag, vr, raw + (b"\0" if vr == "UI" else b" ") * (len(raw) & 1))

    values: list[tuple[int, str, bytes | str]] = [
        (0x00080005, "CS", "ISO_IR 100"),
        (0x00080016, "UI", sop_class),
        (0x00080018, "UI", f"{_STUDY}.3.{number}"),
        (0x00080020, "DA", "20240102"),
        (0x00080050, "SH", ACCESSION),
        (0x00080060, "CS", "CT"),
        (0x00080090, "PN", PHYSICIAN),
        (0x00081030, "LO", b"Thorax " + NAME),
        (0x00100010, "PN", NAME),
        (0x00100020, "LO", ID),
        (0x00100030, "DA", "19571231"),
        (0x0020000D, "UI", _STUDY),
        (0x0020000E, "UI", _SERIES),
        (0x00280004, "CS", "MONOCHROME2"),
    ]
    elements = {tag: text(tag, vr, value) for tag, vr, value in values}
    for tag, size in ((0x00280010, 4), (0x00280011, 4), (0x00280100, 16), (0x00280101, 16)):
        elements[tag] = wire.short(tag, size)
    for tag, size in ((0x00280002, 1), (0x00280102, 15), (0x00280103, 0)):
        elements[tag] = wire.short(tag, size)
    elements[0x7FE00010] = wire.element(0x7FE00010, "OW", bytes(range(32)))
    return elements


def instance(wire: Wire, elements: dict[int, bytes], *tail: bytes) -> bytes:
    """Return a Part 10 file: elements in order of tags, then anything else as it is."""
    body = b"".join(elements[tag] for tag in sorted(elements)) + b"".join(tail)
    if wire.syntax == WIRES["deflated"].syntax:
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = packer.compress(body) + packer.flush()
    syntax = wire.syntax.encode()
    meta = LE.element(0x00020010, "UI", syntax + b"\0" * (len(syntax) & 1))
    length = LE.element(0x00020000, "UL", struct.pack("<L", len(meta)))
    return bytes(128) + b"DICM" + length + meta + body


def extended(wire: Wire, more: dict[int, bytes], *tail: bytes, number: int = 1) -> bytes:
    """Return the small image with more elements, or with others."""
    return instance(wire, {**image(wire, number), **more}, *tail)
