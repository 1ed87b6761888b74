"""Raw zips that somebody made to break a reader of zips.

What belongs here: zips written byte by byte, with any lie in their directories. What does not: what
is inside of their members (`hostile.py`).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from locutus_dagster_tests.deid.wire import LE, extended

__all__ = ["ZIPS", "Member", "zip_of"]

STORED, DEFLATED = 0, 8
_MOST = 0xFFFFFFFF
_ZIP64 = 0xFFFFFFFFFFFFFFFF


@dataclass(frozen=True)
class Member:
    """A member of a zip, and what is said about it.

    Attributes:
        content: what it is.
        name: as the directory and its own header have it.
        method: 0 stored, 8 deflated, anything else for a lie.
        size, packed, crc, offset: what the directory says; None for the truth.
        extra: of the directory, such as a zip64 field.
        flags: bit 0 is encryption.
        shared: whether there is no header of its own, but that of the member before.
    """

    content: bytes
    name: bytes = b"one.dcm"
    method: int = STORED
    size: int | None = None
    packed: int | None = None
    crc: int | None = None
    offset: int | None = None
    extra: bytes = b""
    flags: int = 0
    shared: bool = False


def zip_of(members: list[Member], *, entries: int | None = None, comment: bytes = b"") -> bytes:
    """Return a zip; `entries` is what its end says about their number."""
    body: list[bytes] = []
    directory: list[bytes] = []
    length = at = 0
    for member in members:
        data = member.content
        if member.method == DEFLATED:
            packer = zlib.compressobj(9, zlib.DEFLATED, -15)
            data = packer.compress(data) + packer.flush()
        crc = zlib.crc32(member.content) if member.crc is None else member.crc
        size = len(member.content) if member.size is None else member.size
        packed = len(data) if member.packed is None else member.packed
        said = struct.pack("<HHHHHLLL", 20, member.flags, member.method, 0, 0, crc, packed, size)
        if not member.shared:
            at = length
            body.append(
                b"PK\3\4" + said + struct.pack("<HH", len(member.name), 0) + member.name + data
            )
            length += len(body[-1])
        offset = at if member.offset is None else member.offset
        names = struct.pack("<HHHHHLL", len(member.name), len(member.extra), 0, 0, 0, 0, offset)
        head = b"PK\1\2" + struct.pack("<H", 20) + said + names
        directory.append(head + member.name + member.extra)
    listed = b"".join(directory)
    number = min(len(members) if entries is None else entries, 0xFFFF)
    end = struct.pack("<HHHHLLH", 0, 0, number, number, len(listed), length, len(comment))
    return b"".join(body) + listed + b"PK\5\6" + end + comment


def _image(number: int = 1) -> bytes:
    return extended(LE, {}, number=number)


def _with_good_one(*members: Member) -> bytes:
    return zip_of([Member(_image()), *members])


def _zip64(*numbers: int) -> bytes:
    return struct.pack(f"<HH{len(numbers)}Q", 1, 8 * len(numbers), *numbers)


def _bomb(size: int) -> bytes:
    """Zeros behind the start of a file, so that nobody gives up at once."""
    return _image(2) + bytes(size)


_NAMES = [
    *(b"", b"\0", b"\0/", b"/", b"dir/", b"../../etc/passwd", b"C:\\con", b"\x1b[2Jx\r\n"),
    *(b"\xff\xfe" * 9, b"a" * 65_000, b"one.dcm", b"one.dcm", "\u202egpj.mcd".encode()),
]

#: Name -> what makes such a zip.
ZIPS: dict[str, Callable[[], bytes]] = {
    "a bomb": lambda: _with_good_one(Member(_bomb(60 << 20), method=DEFLATED)),
    "a bomb that says it is small": lambda: _with_good_one(
        Member(_bomb(60 << 20), method=DEFLATED, size=1000)
    ),
    "a member that says it is huge": lambda: _with_good_one(
        Member(_image(2), size=0xFFFFFFF0), Member(_image(3), method=DEFLATED, size=0xFFFFFFF0)
    ),
    "packed sizes beyond the end": lambda: _with_good_one(
        Member(_image(2), packed=0x7FFFFFFF), Member(_image(3), method=DEFLATED, packed=0x7FFFFFFF)
    ),
    "sizes of nothing": lambda: _with_good_one(
        Member(_image(2), size=0, packed=0),
        Member(_image(3), method=DEFLATED, size=0),
        Member(b""),
        Member(b"", method=DEFLATED),
    ),
    "wrong checksums": lambda: _with_good_one(
        Member(_image(2), crc=1), Member(_image(3), method=DEFLATED, crc=1)
    ),
    "encrypted and unknown": lambda: _with_good_one(
        Member(_image(2), flags=1), Member(_image(3), method=99), Member(_image(4), method=9)
    ),
    "offsets beyond the end": lambda: _with_good_one(
        Member(_image(2), offset=0x7FFFFFFF), Member(_image(3), offset=_MOST), Member(b"", offset=3)
    ),
    "zip64 extremes": lambda: _with_good_one(
        Member(_image(2), size=_MOST, packed=_MOST, extra=_zip64(_ZIP64, _ZIP64)),
        Member(_image(3), size=_MOST, packed=_MOST, extra=_zip64(1 << 62, 1 << 62)),
        Member(_image(4), offset=_MOST, extra=_zip64(1 << 63)),
        Member(_image(5), size=_MOST, packed=_MOST, extra=_zip64(0, 0)),
    ),
    "a zip64 field that is cut off": lambda: _with_good_one(
        Member(_image(2), size=_MOST, extra=b"\1\0\x10\0\0\0")
    ),
    "names of all sorts": lambda: zip_of(
        [Member(_image(number), name=name) for number, name in enumerate(_NAMES)]
    ),
    "thousands of members": lambda: zip_of(
        [Member(b"", name=b"%06d" % number) for number in range(20_000)]
    ),
    "thousands of members on the same bytes": lambda: zip_of(
        [Member(_image() + bytes(200_000), name=b"1")]
        + [Member(_image() + bytes(200_000), name=b"%d" % n, shared=True) for n in range(2, 400)]
    ),
    "more entries than there are": lambda: zip_of([Member(_image())], entries=0xFFFF),
    "a directory in the comment": lambda: zip_of([Member(_image())], comment=zip_of([])),
    "another zip in front": lambda: zip_of([Member(_image(2))]) + zip_of([Member(_image())]),
    "rubbish in front": lambda: b"PK\3\4" * 5000 + zip_of([Member(_image())]),
}
