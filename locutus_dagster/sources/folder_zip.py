"""DICOM files inside a zip file, read where they are.

What belongs here: which members a zip file has, whether it is fit to be read, and reading one.
What does not: remembering them (`folder_index.py`), and handing them out (`folder.py`).

Nothing is unpacked to a disk, so a member's name leads nowhere, whatever it is. A zip file inside
a zip file is not entered.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import closing
from typing import IO, NamedTuple

from locutus_dagster.sources.folder_dicomdir import Listing, read_listing
from locutus_dagster.sources.folder_headers import (
    DICOM,
    DICOMDIR,
    OTHER,
    UNREADABLE,
    Header,
    read_header,
)

__all__ = ["Member", "UnreadableZipError", "ZipArchive", "is_zip_name"]

_MIB = 1024 * 1024
_CHUNK = _MIB
_HEAD = 64 * 1024
_LONG_HEAD = 64 * _MIB
"""Where reading a header, or a DICOMDIR, ends at the latest, so that no member fills the memory."""
_MOST_RATIO = 200
_SURELY_FINE = 256 * _MIB
"""What is below this size is read, however well it was compressed."""
_ENCRYPTED = 0x1


class UnreadableZipError(Exception):
    """A zip file, or a member, that cannot be read; it says why, and names nothing."""


class Member(NamedTuple):
    """One file in a zip file; `offset` tells members of one name apart."""

    name: bytes
    offset: int
    size: int
    crc: int

    def path_in(self, zip_path: bytes) -> bytes:
        """What the index calls it; see `folder_database.py`."""
        return b"%s\0%s\0%d" % (zip_path, self.name, self.offset)

    def directory_in(self, zip_path: bytes) -> bytes:
        """What the index calls the folder it lies in."""
        return b"%s\0%s" % (zip_path, self.name.rpartition(b"/")[0])


class ZipArchive:
    """An open zip file.

    Args:
        file: it is closed by `close`.

    Raises:
        UnreadableZipError: it is damaged, or would grow beyond all measure.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._zip: zipfile.ZipFile | None = None
        trouble = "it is damaged"
        try:
            size = file.seek(0, io.SEEK_END)
            self._zip = zipfile.ZipFile(file)
            infos = [info for info in self._zip.infolist() if not info.is_dir()]
            trouble = _fault(infos, size)
        except Exception:  # noqa: BLE001 - a damaged file may make zipfile raise anything
            trouble = trouble or "it is damaged"
        if trouble:
            self.close()
            raise UnreadableZipError(trouble)
        self._infos = {(_name(info), info.header_offset): info for info in infos}

    def close(self) -> None:
        """Close the file."""
        if self._zip is not None:
            self._zip.close()
        self._file.close()

    def members(self) -> list[Member]:
        """Its files in the order of their names."""
        return sorted(
            Member(name, offset, info.file_size, info.CRC)
            for (name, offset), info in self._infos.items()
        )

    def header(self, member: Member) -> tuple[Header, Listing]:
        """What a member says, and what it lists if it is a DICOMDIR."""
        try:
            with closing(self._opened(member.name, member.offset)) as stream:
                head = stream.read(_HEAD)
                header = read_header(io.BytesIO(head))
                cut = member.size > len(head)
                if cut and _wants_more(header):
                    head += stream.read(_LONG_HEAD - len(head))
                    header = read_header(io.BytesIO(head))
        except Exception:  # noqa: BLE001 - encrypted, damaged, or packed in an unknown way
            return Header(UNREADABLE), frozenset()
        if header.kind != DICOMDIR:
            return header, frozenset()
        listing = read_listing(io.BytesIO(head)) if member.size == len(head) else None
        return (Header(UNREADABLE), frozenset()) if listing is None else (header, listing)

    def chunks(self, path: bytes, size: int) -> Iterator[bytes]:
        """A member's bytes, by the path that the index has; ends normally only if all are there.

        Raises:
            UnreadableZipError: the member is not there, or damaged.
        """
        _, name, offset = path.split(b"\0")
        arrived = 0
        failed = False
        try:
            with closing(self._opened(name, int(offset))) as stream:
                while chunk := stream.read(_CHUNK):
                    arrived += len(chunk)
                    yield chunk
        except Exception:  # noqa: BLE001 - whatever zipfile raises, the member cannot be read
            failed = True
        if failed or arrived != size:
            raise UnreadableZipError("it is damaged")

    def _opened(self, name: bytes, offset: int) -> IO[bytes]:
        if self._zip is None:
            raise UnreadableZipError("it is closed")
        return self._zip.open(self._infos[name, offset])


def is_zip_name(name: bytes) -> bool:
    """Whether a file calls itself a zip file. Others are not entered, as documents are zips too."""
    return name[-4:].lower() == b".zip"


def _name(info: zipfile.ZipInfo) -> bytes:
    return info.filename.encode("utf-8", "surrogateescape").replace(b"\0", b"")


def _fault(infos: list[zipfile.ZipInfo], size: int) -> str:
    """Why the whole zip file must not be read, "" if it may.

    Members that share their bytes, and contents that are hundreds of times their packed size, are
    how small files are made to fill memories and disks.
    """
    if sum(info.compress_size for info in infos) > size:
        return "its members overlap"
    unpacked = sum(info.file_size for info in infos)
    if unpacked > max(_SURELY_FINE, _MOST_RATIO * size):
        return "it would grow beyond all measure"
    if infos and all(info.flag_bits & _ENCRYPTED for info in infos):
        return "it is encrypted"
    return ""


def _wants_more(header: Header) -> bool:
    """Whether a header that was cut may say more further on."""
    if header.kind == DICOM:
        return not (header.accession and header.study_uid and header.series_uid)
    return header.kind != OTHER
