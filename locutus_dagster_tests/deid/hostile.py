"""Files that somebody made to break a reader: one function each, for any encoding and size.

What belongs here: hostile data sets, most of them around a small image with planted identifiers.
What does not: hostile zips (`hostile_zips.py`), damage done to good files (`mutations.py`), what is
expected of the engine (`judging.py`).

Every function takes an encoding and a size in bytes that the file is to have, more or less.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import count, cycle, islice

from locutus_dagster_tests.deid.wire import (
    CT_IMAGE,
    ID,
    NAME,
    UNDEFINED,
    Wire,
    extended,
    image,
    instance,
)

__all__ = ["HOSTILE", "PRIVATE_CREATOR", "PRIVATE_ELEMENT", "PRIVATE_GROUP", "REPEATED"]

Hostile = Callable[[Wire, int], bytes]
HOSTILE: dict[str, Hostile] = {}

#: A private sequence that the tests' own policy keeps and cleans.
PRIVATE_CREATOR, PRIVATE_GROUP, PRIVATE_ELEMENT = b"ACME NEST ", 0x0029, 0x10
_PRIVATE_TAG = PRIVATE_GROUP << 16 | 0x1000 | PRIVATE_ELEMENT

_REFERENCE = 0x00082218  # Anatomic Region Sequence: kept, and cleaned inside
_SOURCE = 0x00082228  # Primary Anatomic Structure Sequence, as well
_CONTENT = 0x0040A730
_CONCEPT = 0x0040A043
_PIXELS = 0x7FE00010
_COMMENTS = 0x00204000  # Image Comments, LT: cleaned under Clean Descriptors
_TEXT = 0x0040A160  # Text Value, UT
_REPORT = "1.2.840.10008.5.1.4.1.1.88.33"


def _hostile(function: Hostile) -> Hostile:
    HOSTILE[function.__name__.strip("_").replace("_", " ")] = function
    return function


def _filled(pattern: bytes, size: int) -> bytes:
    whole = (pattern * (size // len(pattern) + 1))[:size]
    return whole + b" " * (len(whole) & 1)


# --- Nested too deep ------------------------------------------------------------------------------


@_hostile
def _nested_by_undefined_lengths(wire: Wire, size: int) -> bytes:
    return extended(wire, {_REFERENCE: wire.nested([_REFERENCE], size // 36)})


@_hostile
def _nested_by_defined_lengths(wire: Wire, size: int) -> bytes:
    return extended(wire, {_REFERENCE: wire.nested([_REFERENCE], size // 20, undefined=False)})


@_hostile
def _nested_in_un(wire: Wire, size: int) -> bytes:
    return extended(wire, {_REFERENCE: wire.nested([_REFERENCE], size // 36, vr="UN")})


@_hostile
def _nested_in_un_of_defined_length(wire: Wire, size: int) -> bytes:
    inner = Wire(False, True, wire.syntax)
    content = inner.item(inner.nested([_REFERENCE], size // 16, undefined=False))
    return extended(wire, {_REFERENCE: wire.element(_REFERENCE, "UN", content)})


@_hostile
def _nested_and_never_closed(wire: Wire, size: int) -> bytes:
    opening = wire.head(_REFERENCE, "SQ", UNDEFINED) + wire.head(0xFFFEE000, "", UNDEFINED)
    return extended(wire, {_REFERENCE: _filled(opening, size // len(opening) * len(opening))})


@_hostile
def _nested_in_private_un(wire: Wire, size: int) -> bytes:
    """Each level is a private sequence that a policy lists, written as UN of defined length."""
    inner = Wire(False, True, wire.syntax)
    slot = PRIVATE_GROUP << 16 | 0x10
    creator = inner.element(slot, "LO", PRIVATE_CREATOR)
    levels, length = size // (len(creator) + 16), 0
    pieces: list[bytes] = []
    for level in range(levels):
        head = wire if level == levels - 1 else inner
        if pieces:
            pieces.append(inner.head(0xFFFEE000, "", length))
            length += len(pieces[-1])
        pieces.append(head.head(_PRIVATE_TAG, "UN", length))
        length += len(pieces[-1])
        pieces.append(head.element(slot, "LO", PRIVATE_CREATOR))
        length += len(pieces[-1])
    return extended(wire, {slot: b"".join(reversed(pieces))})


@_hostile
def _nested_in_repeated_sequences(wire: Wire, size: int) -> bytes:
    """Each level is met twice on its own before it is put into the next one.

    The last time it is met under another character set, so that it has to be cleaned anew.
    """
    items: list[bytes] = []
    core = b""
    for _ in range(max(1, min(size // 2000, 4))):
        core = wire.nested([_REFERENCE], 50, undefined=False, core=core)
        items += [wire.item(core)] * 3
    items.append(wire.item(wire.element(0x00080005, "CS", b"ISO_IR 144") + core))
    return extended(wire, {_SOURCE: wire.sequence(_SOURCE, items)})


@_hostile
def _nested_content(wire: Wire, size: int) -> bytes:
    levels = min(size // 36, 60)
    return _report(wire, wire.nested([_CONTENT], levels, core=_content_item(wire, size)))


@_hostile
def _nested_content_inside_other_sequences(wire: Wire, size: int) -> bytes:
    wide = b"".join(wire.item(_content_item(wire, 40)) for _ in range(size // 120))
    core = wire.element(_CONTENT, "SQ", wide)
    return _report(wire, wire.nested([_CONTENT, _REFERENCE], 60, undefined=False, core=core))


# --- Too many of something ------------------------------------------------------------------------


@_hostile
def _empty_items(wire: Wire, size: int) -> bytes:
    return extended(wire, {_REFERENCE: wire.sequence(_REFERENCE, [wire.item()] * (size // 8))})


@_hostile
def _empty_items_in_un(wire: Wire, size: int) -> bytes:
    inner = Wire(False, True, wire.syntax)
    return extended(wire, {_REFERENCE: wire.open_sequence(_REFERENCE, [inner.item()] * (size // 8), "UN")})


@_hostile
def _tiny_elements(wire: Wire, size: int) -> bytes:
    tags = islice((g << 16 | n for g in range(0x0040, 0x4000, 2) for n in range(1, 0xFFFF)), size // 8)
    return instance(wire, image(wire) | {tag: wire.element(tag, "CS") for tag in tags})


@_hostile
def _tiny_private_elements(wire: Wire, size: int) -> bytes:
    more = {}
    for group in islice(count(0x0009, 2), max(1, size // 600_000)):
        for block in range(0x10, 0x100):
            more[group << 16 | block] = wire.element(group << 16 | block, "LO", PRIVATE_CREATOR)
    room = max(0, size - 18 * len(more)) // 8
    blocks = list(more)
    numbers = ((b >> 16 << 16 | (b & 0xFF) << 8 | n) for n in range(0x100) for b in blocks)
    return extended(wire, more | {tag: wire.element(tag, "CS") for tag in islice(numbers, room)})


@_hostile
def _tiny_unknown_sequences(wire: Wire, size: int) -> bytes:
    inner = Wire(False, True, wire.syntax)
    one = inner.item(inner.element(0x00080008, "CS") * 250)
    return extended(wire, {_REFERENCE: wire.sequence(_REFERENCE, [
        wire.item(wire.open_sequence(_REFERENCE, [one], "UN")) for _ in range(size // 2040)
    ])})


@_hostile
def _wide_content(wire: Wire, size: int) -> bytes:
    items = [_content_item(wire, 40, number) for number in range(size // 120)]
    return _report(wire, wire.sequence(_CONTENT, map(wire.item, items)))


@_hostile
def _content_by_reference(wire: Wire, size: int) -> bytes:
    reference = wire.element(0x0040DB73, "UL", struct.pack("<4L", 1, 1, 1, 1))
    item = wire.item(reference + _content_item(wire, 40))
    return _report(wire, wire.sequence(_CONTENT, [item] * (size // len(item))))


@_hostile
def _many_patients(wire: Wire, size: int) -> bytes:
    """Other names and numbers, all different, and a text that is full of numbers."""
    items = [
        wire.item(
            wire.element(0x00080050, "SH", b"%08d" % (7_000_000 + 7919 * n))
            + wire.element(0x00100010, "PN", b"Zwynd%05x^Hroth%05x" % (n, n))
        )
        for n in range(size // 140)
    ]
    text = b" ".join(b"%07d," % (7919 * n) for n in range(size // 40))
    more = {_REFERENCE: wire.sequence(_REFERENCE, items)}
    return _report(wire, wire.sequence(_CONTENT, [wire.item(_text_item(wire, text))]), more)


@_hostile
def _many_uids(wire: Wire, size: int) -> bytes:
    uids = (b"1.2.826.0.1.3680043.10.9417.%d.%d" % (n, n * 31) for n in count(1000))
    items = [
        wire.item(wire.element(0x00081155, "UI", uid + b"\0" * (len(uid) & 1)))
        for uid in islice(uids, size // 60)
    ]
    return extended(wire, {_REFERENCE: wire.sequence(_REFERENCE, items)})


@_hostile
def _names_inside_each_other(wire: Wire, size: int) -> bytes:
    """Every name is the end of the next one, and the text holds all of them at every letter."""
    items = [
        wire.item(wire.element(0x00100010, "PN", b"xy" * half))
        for half in range(3, min(500, int((size // 2) ** 0.5)))
    ]
    more = {_REFERENCE: wire.sequence(_REFERENCE, items)}
    text = _text_item(wire, _filled(b"xy", size // 2))
    return _report(wire, wire.sequence(_CONTENT, [wire.item(text)]), more)


# --- Lengths and sizes that lie -------------------------------------------------------------------


@_hostile
def _gigabytes_of_pixels_claimed(wire: Wire, size: int) -> bytes:
    claims = {tag: wire.short(tag, 0xFFFF) for tag in (0x00280010, 0x00280011, 0x00280002)}
    frames = wire.element(0x00280008, "IS", b"99999999999999999999")
    pixels = wire.element(_PIXELS, "OW", bytes(10))
    return extended(wire, {**claims, 0x00280008: frames, _PIXELS: pixels})


@_hostile
def _almost_undefined_lengths(wire: Wire, size: int) -> bytes:
    pixels = wire.element(_PIXELS, "OW", b"\1" * size, 0xFFFFFFFE)
    return extended(wire, {_PIXELS: pixels})


@_hostile
def _odd_lengths(wire: Wire, size: int) -> bytes:
    values = {tag: wire.element(tag, "LO", b"odd") for tag in (0x00081030, 0x0008103E, 0x00181030)}
    return extended(wire, {**values, _PIXELS: wire.element(_PIXELS, "OW", b"\1" * (size | 1))})


@_hostile
def _delimiters_in_odd_places(wire: Wire, size: int) -> bytes:
    loose = wire.item_end + wire.sequence_end
    inside = wire.open_sequence(_REFERENCE, [loose, wire.item(loose, UNDEFINED)])
    return extended(wire, {_REFERENCE: inside, _COMMENTS: loose * (size // 16)})


@_hostile
def _duplicates(wire: Wire, size: int) -> bytes:
    name = wire.element(0x00100010, "PN", NAME)
    return instance(wire, image(wire), *[name] * (size // len(name)))


@_hostile
def _descending_tags(wire: Wire, size: int) -> bytes:
    tags = sorted(image(wire).items(), reverse=True)
    return instance(wire, {}, wire.element(0x00080008, "CS"), *(one for _, one in tags))


@_hostile
def _broken_fragments(wire: Wire, size: int) -> bytes:
    items = [wire.item() for _ in range(size // 16)]
    pixels = wire.open_sequence(_PIXELS, [*items, wire.item(b"", 0x7FFFFFFE)], "OB")
    return extended(Wire(True, True, "1.2.840.10008.1.2.4.50"), {_PIXELS: pixels})


@_hostile
def _a_million_fragments(wire: Wire, size: int) -> bytes:
    jpeg = Wire(True, True, "1.2.840.10008.1.2.4.50")
    pixels = jpeg.open_sequence(_PIXELS, [jpeg.item()] * (size // 8), "OB")
    return extended(jpeg, {_PIXELS: pixels})


@_hostile
def _zeros(wire: Wire, size: int) -> bytes:
    return instance(wire, {_COMMENTS: wire.element(_COMMENTS, "LT")}, bytes(size), b"\1")


# --- Values ---------------------------------------------------------------------------------------


@_hostile
def _character_sets_without_end(wire: Wire, size: int) -> bytes:
    terms = b"ISO 2022 IR 87\\nonsense\\ISO 2022 IR 13\\\\"
    charset = wire.element(0x00080005, "CS", _filled(terms, min(size // 2, 0xFFF0)))
    items = [
        wire.item(
            wire.element(0x00080005, "CS", _filled(b"\\%d" % number + terms, 4000))
            + wire.element(0x00081155, "UI", b"1.2.%05d" % number)
        )
        for number in range(size // 8000)
    ]
    return extended(wire, {0x00080005: charset, _REFERENCE: wire.sequence(_REFERENCE, items)})


@_hostile
def _scripts_that_take_turns(wire: Wire, size: int) -> bytes:
    """Letters of two character sets, each of which can say only every second one."""
    text = _filled(b"1.1.2001 \x1b-L\xe4\x1b-F\xe4", size).replace(b"\xe4  ", b"\xe4 ")
    charset = wire.element(0x00080005, "CS", b"\\ISO 2022 IR 144\\ISO 2022 IR 126 ")
    content = wire.sequence(_CONTENT, [wire.item(_text_item(wire, text))])
    return _report(wire, content, {0x00080005: charset})


@_hostile
def _escapes_only(wire: Wire, size: int) -> bytes:
    charset = wire.element(0x00080005, "CS", b"\\ISO 2022 IR 87 ")
    content = wire.sequence(_CONTENT, [wire.item(_text_item(wire, _filled(b"\x1b$B", size)))])
    return _report(wire, content, {0x00080005: charset})


@_hostile
def _a_uid_of_backslashes(wire: Wire, size: int) -> bytes:
    value = _filled(b"1\\", min(size, 0xFFF0) if wire.explicit else size)
    frame = wire.element(0x00200052, "UI", value)
    return extended(wire, {0x00200052: frame, _REFERENCE: wire.element(_REFERENCE, "UI", value)})


@_hostile
def _uids_that_begin_alike(wire: Wire, size: int) -> bytes:
    begin = b"1.2.826.0.1.3680043.10.9417."
    items = [
        wire.item(wire.element(0x00081155, "UI", _filled(begin + b"1" * number, 30 + 2 * number)))
        for number in range(min(1000, int(size**0.5 / 2)))
    ]
    more = {_REFERENCE: wire.sequence(_REFERENCE, items)}
    text = _text_item(wire, _filled(begin + b"2 ", size // 2))
    return _report(wire, wire.sequence(_CONTENT, [wire.item(text)]), more)


@_hostile
def _a_name_of_thousands_of_parts(wire: Wire, size: int) -> bytes:
    parts = b"^".join(b"Zw%x" % number for number in range(min(size, 60_000) // 6))
    name = wire.element(0x00100010, "PN", _filled(parts, min(size, 60_000)))
    return extended(wire, {0x00100010: name})


_BROKEN_DATES = (
    b"20240230 2024 202401 2024.1.2 20240102-20240105 -20240105 20240102- 00000000 99999999 -- "
    b"20240102101112.123456+0130 20240102101112.123456&ZZXX 20240102-0500-0600 24:61:61 1 0 "
    b"20240102T101112Z 2024-01-02 0000-00-00 -1 1e308 2024010\xb2 20240102\x00\x00 today"
)


@_hostile
def _dates_in_every_broken_form(wire: Wire, size: int) -> bytes:
    dates = b"\\".join(islice(cycle(_BROKEN_DATES.split()), max(24, min(size, 60_000) // 14)))
    dates += b" " * (len(dates) & 1)
    tags = {0x00080020: "DA", 0x00080022: "DA", 0x0008002A: "DT", 0x00080030: "TM"}
    tags |= {0x00101010: "AS", 0x00080201: "SH", 0x0018A002: "DT", 0x00100030: "DA"}
    return extended(wire, {tag: wire.element(tag, vr, dates) for tag, vr in tags.items()})


#: What a pattern may stumble over if it stands in a text thousands of times.
REPEATED = (
    "a|A|aA|1|1.|1-|1 |-|_|_a|a_|a@|a.b@|http://|www.|Dr. A |Dr Nurse |patient: |12 Main |12 A B C |"
    "tel 1|0 0 |\\|(|()|<>|Zwyndlebert|zwyndlebert |H. Zwyndlebert, |1234 5678 |1/2/|2020|20200101|"
    "jan |1 jan |12:34 |4 hour |\xe9|\xdf|1.2.3.4|1.2.|::|a:b:|ff:|id #1 |mrn a |aged |95 y |D-1234 A|"
    "12, rue |\n|\x0c1|/home/|tr 1/1|b0,|T1w|0x0x|QZX883311|QZX-883311 |Mr. B. |nurse Dr. |van der "
).split("|")  # fmt: skip


@_hostile
def _texts_that_repeat(wire: Wire, size: int) -> bytes:
    items = [
        wire.item(_text_item(wire, _filled(pattern.encode("latin-1"), size // len(REPEATED))))
        for pattern in REPEATED
    ]
    return _report(wire, wire.sequence(_CONTENT, items))


@_hostile
def _a_long_description(wire: Wire, size: int) -> bytes:
    """Short words without end, in the longest text that an image can carry."""
    text = _filled(b"axial Dr. B " + ID + b" 1/2/2020 ", min(size, 0xFFF0) if wire.explicit else size)
    return extended(wire, {_COMMENTS: wire.element(_COMMENTS, "LT", text)})


@_hostile
def _values_in_small_pieces(wire: Wire, size: int) -> bytes:
    """A description of thousands of values of one letter."""
    text = _filled(b"a\\1\\", min(size, 0xFFF0) if wire.explicit else size)
    return extended(wire, {0x0008103E: wire.element(0x0008103E, "LO", text)})


@_hostile
def _values_all_different(wire: Wire, size: int) -> bytes:
    """Ever new values of attributes that are worked out and remembered."""
    items = [
        wire.item(wire.element(0x0008002A, "DT", b"2024010210%08d" % n)) for n in range(size // 32)
    ]
    return extended(wire, {_REFERENCE: wire.sequence(_REFERENCE, items)})


# --- Structured reports ---------------------------------------------------------------------------


def _content_item(wire: Wire, size: int, number: int = 0) -> bytes:
    text = b"%06d" % number + NAME + b" axial "
    return _text_item(wire, _filled(text, size))


def _text_item(wire: Wire, text: bytes) -> bytes:
    text += b" " * (len(text) & 1)
    return wire.element(0x0040A040, "CS", b"TEXT") + wire.element(_TEXT, "UT", text)


def _report(wire: Wire, content: bytes, more: dict[int, bytes] | None = None) -> bytes:
    elements = image(wire, sop_class=_REPORT)
    del elements[_PIXELS]
    concept = wire.sequence(_CONCEPT, [wire.item(wire.element(0x00080100, "SH", b"121144"))])
    return instance(wire, {**elements, _CONCEPT: concept, _CONTENT: content, **(more or {})})
