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
from locutus_dagster_tests.deid.wire import ACCESSION, ID, NAME, PHYSICIAN

__all__ = ["MUTATIONS", "PYDICOM_FILES", "mutated", "planted_copy", "seeds"]

PYDICOM_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
_VRS = (
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR "
    b"US UT UV ?? \0\0"
).split()
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
        _flip, _overwrite, _truncate, _delete, _insert, _mark, _length, _vr, _tag, _repeat, _splice
    )
}  # fmt: skip


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
            draw.choice(list(MUTATIONS.values()))(draw, result, other)
    return bytes(result)


def _place(draw: random.Random, content: bytearray) -> int:
    """Return a place, mostly one before the pixels, seldom one in the preamble."""
    end = content.rfind(b"\xe0\x7f\x10\0")
    if end < 200 or draw.random() < 0.1:
        end = len(content)
    return draw.randrange(132 if draw.random() < 0.97 and end > 140 else 0, max(1, end))


def _headers(content: bytearray) -> list[int]:
    """Return where the headers of explicit VR seem to be; good enough to do damage."""
    places: list[int] = []
    for vr in _VRS[:34]:
        at = content.find(vr, 132)
        while at >= 0 and len(places) < 2000:
            if at >= 4 and content[at - 3] < 0x80:
                places.append(at - 4)
            at = content.find(vr, at + 2)
    return sorted(places)


def planted_copy(content: bytes) -> bytes:
    """Return a file with the identifiers that `wire.PLANTED` lists; it keeps its encoding.

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
        out = io.BytesIO()
        ds.save_as(out)
        return out.getvalue()


def seeds(folders: Iterable[Path], largest: int, policy: Policy) -> Iterator[bytes]:
    """Yield planted copies of the files below some folders that are delivered as they are.

    Args:
        folders: where to look.
        largest: files of more bytes are left out.
        policy: which a file has to pass; pydicom has to read and write it, too.
    """
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.stat().st_size <= largest:
                with suppress(Exception):
                    copy = planted_copy(path.read_bytes())
                    if not bounce(open_instance(copy), policy):
                        yield copy
