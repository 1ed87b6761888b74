"""Damage done to good files: what a bad disk, a cut connection or a careless program makes of them.

What belongs here: changes of bytes, with and without knowledge of where headers are, and the good
files to begin with. What does not: files that were hostile from the start (`hostile.py`).
"""

from __future__ import annotations

import io
import random
import struct
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from locutus_dagster.deid import Policy
from locutus_dagster.deid.bouncers import bounce
from locutus_dagster.deid.encoding.part10 import open_instance
from locutus_dagster.deid.faults import UnreadableError
from locutus_dagster.deid.standard.dictionary import LONG_VRS, SHORT_VRS, VR_OF
from locutus_dagster_tests.deid.wire import ACCESSION, ID, NAME, PHYSICIAN

__all__ = ["MUTATIONS", "PYDICOM_FILES", "mutated", "planted_copies", "seeds"]

PYDICOM_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
_VRS = (
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR "
    b"US UT UV ?? \0\0"
).split()
_SHORT_VRS, _LONG_VRS = (tuple(one) for one in (SHORT_VRS, LONG_VRS))
_TAGS = sorted(VR_OF)
_INK = b"\\\x1b\0 ^=-+.0129Zz\xe4\xff\n"
#: Values that are wrong wherever they stand, or should stand somewhere else.
_GRAFTS = (
    NAME, b"seen by " + PHYSICIAN, ID, ACCESSION + b"\\1.2.3", NAME.upper() * 20, b"", b"\0\0",
    b"20240102", b"ISO_IR 192", b"\\ISO 2022 IR 87 ", b"\x1b$B;3ED\x1b(B", b"1.2.3.4.5.6.7.8 ",
    b"YES ", b"\\" * 50, b"9" * 40, NAME.decode().encode("utf-16-le"), b"\xff" * 30,
)  # fmt: skip
_LENGTHS = (0, 1, 2, 8, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_MARKS = tuple(struct.pack("<HHL", 0xFFFE, n, length) for n in (0xE000, 0xE00D, 0xE0DD)
               for length in (0, 0xFFFFFFFF))  # fmt: skip

Mutation = Callable[[random.Random, bytearray, bytes], None]


def _flip(draw: random.Random, content: bytearray, other: bytes) -> None:
    for _ in range(draw.choice((1, 1, 2, 8, 40))):
        content[_place(draw, content)] ^= 1 << draw.randrange(8)


def _overwrite(draw: random.Random, content: bytearray, other: bytes) -> None:
    at = _place(draw, content)
    content[at : at + draw.choice((1, 2, 4, 16))] = draw.randbytes(draw.choice((1, 2, 4, 16)))


def _truncate(draw: random.Random, content: bytearray, other: bytes) -> None:
    del content[_place(draw, content) :]


def _delete(draw: random.Random, content: bytearray, other: bytes) -> None:
    at = _place(draw, content)
    del content[at : at + draw.choice((1, 2, 4, 8, 100, 2000))]


def _insert(draw: random.Random, content: bytearray, other: bytes) -> None:
    at = _place(draw, content)
    content[at:at] = draw.choice((draw.randbytes(draw.randint(1, 9)), bytes(draw.randint(1, 64))))


def _mark(draw: random.Random, content: bytearray, other: bytes) -> None:
    at = _place(draw, content)
    content[at : at + draw.choice((0, 8))] = draw.choice(_MARKS)


def _length(draw: random.Random, content: bytearray, other: bytes) -> None:
    at = draw.choice(_headers(content) or [_place(draw, content)])
    length = draw.choice((*_LENGTHS, draw.randrange(1 << 16)))
    size = draw.choice((2, 4))
    content[at + 6 : at + 6 + size] = struct.pack("<L", length)[:size]


def _vr(draw: random.Random, content: bytearray, other: bytes) -> None:
    at = draw.choice(_headers(content) or [_place(draw, content)])
    content[at + 4 : at + 6] = draw.choice(_VRS)


def _tag(draw: random.Random, content: bytearray, other: bytes) -> None:
    headers = _headers(content)
    at = draw.choice(headers or [_place(draw, content)])
    tags = [bytes(content[one : one + 4]) for one in headers] or [b"\x10\0\x10\0"]
    content[at : at + 4] = draw.choice((draw.choice(tags), draw.randbytes(4), b"\x09\0\x10\0"))


def _rename(draw: random.Random, content: bytearray, other: bytes) -> None:
    """Say that a value belongs to another attribute of the standard."""
    at = draw.choice(_headers(content) or [_place(draw, content)])
    tag = draw.choice(_TAGS)
    content[at : at + 4] = struct.pack("<HH", tag >> 16, tag & 0xFFFF)


def _retype(draw: random.Random, content: bytearray, other: bytes) -> None:
    """Say that a value is of another VR, with a header of the same size."""
    values = [(start, value) for start, value, _ in _values(content)]
    if values:
        at, value = draw.choice(values)
        vrs = _SHORT_VRS if value - at == 8 else _LONG_VRS
        content[at + 4 : at + 6] = draw.choice(vrs)


def _graft(draw: random.Random, content: bytearray, other: bytes) -> None:
    """Put another value into an attribute, and say its length."""
    values = _values(content)
    if values:
        start, value, end = draw.choice(values)
        new = draw.choice(_GRAFTS)
        size = 2 if value - start == 8 and content[start + 4 : start + 6] in _SHORT_VRS else 4
        content[value - size : end] = struct.pack("<L", len(new))[:size] + new


def _scribble(draw: random.Random, content: bytearray, other: bytes) -> None:
    """Change bytes inside of values alone."""
    values = [one for one in _values(content) if one[1] < one[2]]
    for _ in range(draw.choice((1, 3, 20))):
        if values:
            _, value, end = draw.choice(values)
            content[draw.randrange(value, min(end, value + 64))] = draw.choice(_INK)


def _repeat(draw: random.Random, content: bytearray, other: bytes) -> None:
    begin = _place(draw, content)
    piece = content[begin : begin + draw.choice((8, 60, 500))]
    content[begin:begin] = piece * draw.choice((1, 2, 20))


def _splice(draw: random.Random, content: bytearray, other: bytes) -> None:
    at = draw.choice(_headers(content) or [_place(draw, content)])
    from_ = draw.choice(_headers(bytearray(other)) or [len(other) // 2])
    if draw.random() < 0.5:
        content[at:] = other[from_:]
    else:
        content[at:at] = other[from_ : from_ + draw.choice((40, 400, 4000))]


MUTATIONS: dict[str, Mutation] = {
    function.__name__.strip("_"): function
    for function in (
        _flip, _overwrite, _truncate, _delete, _insert, _mark, _length, _vr, _tag, _repeat, _splice,
        _rename, _retype, _graft, _scribble
    )
}  # fmt: skip

#: These leave most files readable.
_READABLE = ["rename", "retype", "graft", "scribble"]


def mutated(draw: random.Random, content: bytes, other: bytes) -> bytes:
    """Return a file with one to three kinds of damage.

    Args:
        draw: chance; the same seed does the same damage.
        content: the file.
        other: a file to take pieces from.
    """
    result = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 3))):
        if len(result) > 140:
            names = list(MUTATIONS) if draw.random() < 0.4 else _READABLE
            MUTATIONS[draw.choice(names)](draw, result, other)
    return bytes(result)


def _place(draw: random.Random, content: bytearray) -> int:
    """Return a place, mostly one before the pixels, seldom one in the preamble."""
    end = content.rfind(b"\xe0\x7f\x10\0")
    if end < 200 or draw.random() < 0.1:
        end = len(content)
    return draw.randrange(132 if draw.random() < 0.97 and end > 140 else 0, max(1, end))


def _headers(content: bytearray) -> list[int]:
    """Return where the headers of elements are, at all depths."""
    return [start for start, _, _ in _values(content)]


def _values(content: bytearray) -> list[tuple[int, int, int]]:
    """Return start, start of value and end of all plain elements, none of an unreadable file."""
    try:
        instance = open_instance(bytes(content))
    except UnreadableError:
        return []
    if len(instance.buf) != len(content):
        return []  # was deflated
    found: list[tuple[int, int, int]] = []
    levels = [instance.elements]
    while levels:
        for _, _, start, value, end, items in levels.pop():
            if items is None:
                found.append((start, value, end))
            levels.extend(items or ())
    return sorted(found)


def planted_copies(content: bytes) -> tuple[bytes, bytes]:
    """Return two instances of one series with the identifiers that `wire.PLANTED` lists.

    They keep the file's encoding.

    Raises:
        Exception: pydicom cannot read or write it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(io.BytesIO(content))
        ds.PatientName, ds.PatientID = NAME.decode(), ID.decode()
        ds.AccessionNumber, ds.ReferringPhysicianName = ACCESSION.decode(), PHYSICIAN.decode()
        ds.PatientBirthDate = "19571231"
        ds.ImageComments = f"seen by {PHYSICIAN.decode()}"
        inner = Dataset()
        inner.PatientName, inner.AccessionNumber = NAME.decode(), ACCESSION.decode()
        inner.OperatorsName = PHYSICIAN.decode()
        ds.AnatomicRegionSequence = [inner]
        first, second = io.BytesIO(), io.BytesIO()
        ds.save_as(first)
        ds.SOPInstanceUID = "1.2.826.0.1.3680043.10.9417.71.9"
        ds.save_as(second)
        return first.getvalue(), second.getvalue()


def seeds(folders: Iterable[Path], largest: int, policy: Policy) -> Iterator[tuple[bytes, bytes]]:
    """Yield two planted copies of each file below some folders that is delivered as it is.

    Args:
        folders: where to look.
        largest: files of more bytes are left out.
        policy: which a file has to pass; pydicom has to read and write it, too.
    """
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.stat().st_size <= largest:
                with suppress(Exception):
                    copies = planted_copies(path.read_bytes())
                    if not bounce(open_instance(copies[0]), policy):
                        yield copies
