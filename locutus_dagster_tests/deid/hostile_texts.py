"""Files that somebody made to break a reader by their values: texts, names, UIDs, reports.

What belongs here: hostile values in a data set that is in order otherwise, in any encoding. What
does not: hostile structure (`hostile.py`).

Every function takes an encoding and the size in bytes that the file is to have, more or less.
"""

from __future__ import annotations

import struct
from itertools import cycle, islice

from locutus_dagster_tests.deid.hostile import REFERENCE, Hostile, filled, hostile
from locutus_dagster_tests.deid.wire import ID, NAME, Wire, extended, image, instance

__all__ = ["TEXTS", "report", "text_item"]

_CONTENT = 0x0040A730
_CONCEPT = 0x0040A043
_PIXELS = 0x7FE00010
_COMMENTS = 0x00204000  # Image Comments, LT: cleaned under Clean Descriptors
_TEXT = 0x0040A160  # Text Value, UT
_REPORT = "1.2.840.10008.5.1.4.1.1.88.33"
#: The longest value of most VRs in explicit VR.
_SHORT = 0xFFF0

#: Name -> what makes such a file.
TEXTS: dict[str, Hostile] = {}


def report(wire: Wire, content: bytes, more: dict[int, bytes] | None = None) -> bytes:
    """Return a structured report with a content sequence, and with more elements."""
    elements = image(wire, sop_class=_REPORT)
    del elements[_PIXELS]
    concept = wire.sequence(_CONCEPT, [wire.item(wire.element(0x00080100, "SH", b"121144"))])
    return instance(wire, {**elements, _CONCEPT: concept, _CONTENT: content, **(more or {})})


def text_item(wire: Wire, text: bytes) -> bytes:
    """Return the elements of a content item."""
    text += b" " * (len(text) & 1)
    return wire.element(0x0040A040, "CS", b"TEXT") + wire.element(_TEXT, "UT", text)


def _named_item(wire: Wire, size: int, number: int = 0) -> bytes:
    return text_item(wire, filled(b"%06d" % number + NAME + b" axial ", size))


def _report_of(wire: Wire, text: bytes, more: dict[int, bytes] | None = None) -> bytes:
    content = wire.sequence(_CONTENT, [wire.item(text_item(wire, text))])
    return report(wire, content, more)


def _room(wire: Wire, size: int) -> int:
    """Return how long a value may be whose length has 16 bits in explicit VR."""
    return min(size, _SHORT) if wire.explicit else size


# --- Structured reports ---------------------------------------------------------------------------


@hostile(TEXTS)
def _nested_content(wire: Wire, size: int) -> bytes:
    levels = min(size // 36, 60)
    return report(wire, wire.nested([_CONTENT], levels, core=_named_item(wire, size)))


@hostile(TEXTS)
def _nested_content_inside_other_sequences(wire: Wire, size: int) -> bytes:
    wide = b"".join(wire.item(_named_item(wire, 40)) for _ in range(size // 120))
    core = wire.element(_CONTENT, "SQ", wide)
    return report(wire, wire.nested([_CONTENT, REFERENCE], 60, undefined=False, core=core))


@hostile(TEXTS)
def _wide_content(wire: Wire, size: int) -> bytes:
    items = [_named_item(wire, 40, number) for number in range(size // 120)]
    return report(wire, wire.sequence(_CONTENT, map(wire.item, items)))


@hostile(TEXTS)
def _content_by_reference(wire: Wire, size: int) -> bytes:
    reference = wire.element(0x0040DB73, "UL", struct.pack("<4L", 1, 1, 1, 1))
    item = wire.item(reference + _named_item(wire, 40))
    return report(wire, wire.sequence(_CONTENT, [item] * (size // len(item))))


# --- Too many identifiers -------------------------------------------------------------------------


@hostile(TEXTS)
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
    return _report_of(wire, text, {REFERENCE: wire.sequence(REFERENCE, items)})


@hostile(TEXTS)
def _names_inside_each_other(wire: Wire, size: int) -> bytes:
    """Every name is the end of the next one, and the text holds all of them at every letter."""
    items = [
        wire.item(wire.element(0x00100010, "PN", b"xy" * half))
        for half in range(3, min(500, int((size // 2) ** 0.5)))
    ]
    more = {REFERENCE: wire.sequence(REFERENCE, items)}
    return _report_of(wire, filled(b"xy", size // 2), more)


@hostile(TEXTS)
def _kept_text_of_names_inside_each_other(wire: Wire, size: int) -> bytes:
    return _kept_text(wire, size, 0x00100010, "PN", b"xy")


@hostile(TEXTS)
def _kept_text_of_numbers_inside_each_other(wire: Wire, size: int) -> bytes:
    return _kept_text(wire, size, 0x00100020, "LO", b"12")


def _kept_text(wire: Wire, size: int, tag: int, vr: str, pattern: bytes) -> bytes:
    """Return a file with a value that nobody cleans (Receive Coil Name), full of identifiers."""
    longest = min(280, int((size // 2) ** 0.5))
    items = [wire.item(wire.element(tag, vr, pattern * half)) for half in range(3, longest)]
    text = wire.element(0x00181250, "SH", filled(pattern, _room(wire, size // 2)))
    return extended(wire, {REFERENCE: wire.sequence(REFERENCE, items), 0x00181250: text})


@hostile(TEXTS)
def _character_sets_without_end(wire: Wire, size: int) -> bytes:
    terms = b"ISO 2022 IR 87\\nonsense\\ISO 2022 IR 13\\\\"
    charset = wire.element(0x00080005, "CS", filled(terms, _room(wire, size // 2)))
    items = [
        wire.item(
            wire.element(0x00080005, "CS", filled(b"\\%d" % number + terms, 4000))
            + wire.element(0x00081155, "UI", b"1.2.%05d" % number)
        )
        for number in range(size // 8000)
    ]
    return extended(wire, {0x00080005: charset, REFERENCE: wire.sequence(REFERENCE, items)})


@hostile(TEXTS)
def _scripts_that_take_turns(wire: Wire, size: int) -> bytes:
    """Letters of two character sets, each of which can say only every second one."""
    text = filled(b"1.1.2001 \x1b-L\xe4\x1b-F\xe4", size).replace(b"\xe4  ", b"\xe4 ")
    charset = wire.element(0x00080005, "CS", b"\\ISO 2022 IR 144\\ISO 2022 IR 126 ")
    return _report_of(wire, text, {0x00080005: charset})


@hostile(TEXTS)
def _escapes_only(wire: Wire, size: int) -> bytes:
    charset = wire.element(0x00080005, "CS", b"\\ISO 2022 IR 87 ")
    return _report_of(wire, filled(b"\x1b$B", size), {0x00080005: charset})


@hostile(TEXTS)
def _a_uid_of_backslashes(wire: Wire, size: int) -> bytes:
    value = filled(b"1\\", _room(wire, size))
    return extended(wire, {0x00200052: wire.element(0x00200052, "UI", value)})


@hostile(TEXTS)
def _uids_that_begin_alike(wire: Wire, size: int) -> bytes:
    begin = b"1.2.826.0.1.3680043.10.9417."
    items = [
        wire.item(wire.element(0x00081155, "UI", filled(begin + b"1" * number, 30 + 2 * number)))
        for number in range(min(1000, int(size**0.5 / 2)))
    ]
    more = {REFERENCE: wire.sequence(REFERENCE, items)}
    return _report_of(wire, filled(begin + b"2 ", size // 2), more)


@hostile(TEXTS)
def _a_name_of_thousands_of_parts(wire: Wire, size: int) -> bytes:
    parts = b"^".join(b"Zw%x" % number for number in range(_room(wire, size) // 6))
    name = filled(NAME + b"^" + parts, _room(wire, size))
    return extended(wire, {0x00100010: wire.element(0x00100010, "PN", name)})


# --- Values ---------------------------------------------------------------------------------------

_BROKEN_DATES = (
    b"20240230 2024 202401 2024.1.2 20240102-20240105 -20240105 20240102- 00000000 99999999 -- "
    b"20240102101112.123456+0130 20240102101112.123456&ZZXX 20240102-0500-0600 24:61:61 1 0 "
    b"20240102T101112Z 2024-01-02 0000-00-00 -1 1e308 2024010\xb2 20240102\x00\x00 today"
)


@hostile(TEXTS)
def _dates_in_every_broken_form(wire: Wire, size: int) -> bytes:
    dates = b"\\".join(islice(cycle(_BROKEN_DATES.split()), max(24, min(size, _SHORT) // 14)))
    dates += b" " * (len(dates) & 1)
    tags = {0x00080020: "DA", 0x00080022: "DA", 0x0008002A: "DT", 0x00080030: "TM"}
    tags |= {0x00101010: "AS", 0x00080201: "SH", 0x0018A002: "DT", 0x00100030: "DA"}
    return extended(wire, {tag: wire.element(tag, vr, dates) for tag, vr in tags.items()})


#: What a pattern may stumble over if it stands in a text thousands of times.
_REPEATED = (
    b"a|A|aA|1|1.|1-|1 |-|_|_a|a_|a@|a.b@|http://|www.|Dr. A |Dr Nurse |patient: |12 Main |"
    b"12 A B C |tel 1|0 0 |\\|(|()|<>|Zwyndlebert|zwyndlebert |H. Zwyndlebert, |1234 5678 |1/2/|"
    b"2020|20200101|jan |1 jan |12:34 |4 hour |\xe9|\xdf|1.2.3.4|1.2.|::|a:b:|ff:|id #1 |mrn a |"
    b"aged |95 y |D-1234 A|12, rue |\n|\x0c1|/home/|tr 1/1|b0,|T1w|0x0x|QZX883311|QZX-883311 |"
    b"Mr. B. |nurse Dr. |van der "
)


@hostile(TEXTS)
def _texts_that_repeat(wire: Wire, size: int) -> bytes:
    patterns = _REPEATED.split(b"|")
    texts = (filled(pattern, size // len(patterns)) for pattern in patterns)
    items = [wire.item(text_item(wire, text)) for text in texts]
    return report(wire, wire.sequence(_CONTENT, items))


@hostile(TEXTS)
def _a_long_description(wire: Wire, size: int) -> bytes:
    """Short words without end, in the longest text that an image can carry."""
    text = filled(b"axial Dr. B " + ID + b" 1/2/2020 ", _room(wire, size))
    return extended(wire, {_COMMENTS: wire.element(_COMMENTS, "LT", text)})


@hostile(TEXTS)
def _values_in_small_pieces(wire: Wire, size: int) -> bytes:
    """A description of thousands of values of one letter."""
    text = filled(b"a\\1\\", _room(wire, size))
    return extended(wire, {0x0008103E: wire.element(0x0008103E, "LO", text)})


@hostile(TEXTS)
def _values_all_different(wire: Wire, size: int) -> bytes:
    """Ever new values of attributes that are worked out and remembered."""
    dates = (wire.element(0x0008002A, "DT", b"2024010210%08d" % n) for n in range(size // 32))
    return extended(wire, {REFERENCE: wire.sequence(REFERENCE, map(wire.item, dates))})
