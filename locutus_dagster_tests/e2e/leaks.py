"""Searching what a run left behind for identifiers, independently of the engine's own search.

What belongs here: the forms that an identifier may take, and opening what a plain search does not
see into: zips, databases, compressed columns. What does not: which identifiers there are.

    search = IdentifierSearch(pacs.invented_identifiers)
    assert search.in_tree(folder) == []
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import ahocorasick_rs
import sqlalchemy
from sqlalchemy.pool import NullPool

__all__ = ["Finding", "IdentifierSearch"]

_SQLITE = b"SQLite format 3\0"
_ENCODINGS = ("utf-8", "latin-1", "cp1251", "utf-16-le", "utf-16-be")
# Pseudonymous UIDs and checksums hold long runs of digits, in which any date will turn up one day.
_LONG_NUMBER = 20


class Finding(NamedTuple):
    """Where an identifier was found."""

    place: str
    identifier: str


class IdentifierSearch:
    """Looks for identifiers in any case and in the forms that files and databases give them."""

    def __init__(self, identifiers: Iterable[str]) -> None:
        self._identifiers: list[str] = []
        patterns: list[bytes] = []
        for identifier in identifiers:
            for pattern in set(_forms(identifier)):
                self._identifiers.append(identifier)
                patterns.append(pattern)
        self._matcher = ahocorasick_rs.BytesAhoCorasick(patterns)

    def in_bytes(self, place: str, data: bytes) -> list[Finding]:
        """Search bytes, and if they are a zip or compressed, what is inside."""
        found = list(self._plain(place, data))
        if data.startswith(b"PK\x03\x04"):
            found += self._in_zip(place, data)
        elif inflated := _inflated(data):
            found += self._plain(f"{place}, inflated", inflated)
        return found

    def in_tree(self, root: Path, *, besides: Iterable[Path] = ()) -> list[Finding]:
        """Search every file below `root`, and the names of files and folders.

        Args:
            besides: files and folders to leave out.
        """
        left_out = set(besides)
        found = []
        for path in sorted(root.rglob("*")):
            if left_out & {path, *path.parents}:
                continue
            place = str(path.relative_to(root))
            found += self._plain(f"the name {place}", place.encode())
            if not path.is_file():
                continue
            data = path.read_bytes()
            found += self.in_bytes(place, data)
            if data.startswith(_SQLITE):
                found += self._in_sqlite(place, path)
        return sorted(set(found))

    def in_database(self, place: str, url: str) -> list[Finding]:
        """Search every column of every row of every table."""
        found = []
        engine = sqlalchemy.create_engine(url, poolclass=NullPool)
        quoted = engine.dialect.identifier_preparer.quote
        for table in sqlalchemy.inspect(engine).get_table_names():
            with engine.connect() as connection:
                query = sqlalchemy.text(f"SELECT * FROM {quoted(table)}")
                rows = connection.execute(query)
                columns = list(rows.keys())
                for row in rows:
                    for column, value in zip(columns, row, strict=True):
                        where = f"{place}, {table}.{column}"
                        found += self.in_bytes(where, _as_bytes(value))
        return sorted(set(found))

    def _plain(self, place: str, data: bytes) -> Iterator[Finding]:
        data = data.lower()
        for index, start, end in self._matcher.find_matches_as_indexes(data, overlapping=True):
            identifier = self._identifiers[index]
            if identifier.isdecimal() and _length_of_number(data, start, end) >= _LONG_NUMBER:
                continue
            yield Finding(place, identifier)

    def _in_zip(self, place: str, data: bytes) -> list[Finding]:
        found = []
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist():
                where = f"{place}, member {member.filename}"
                found += self._plain(where, member.filename.encode() + b"\n" + member.comment)
                found += self.in_bytes(where, archive.read(member))
        return found

    def _in_sqlite(self, place: str, path: Path) -> list[Finding]:
        """Search a copy: opening a database may change the files beside it."""
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "copy.db"
            shutil.copy(path, copy)
            wal = path.with_name(path.name + "-wal")
            if wal.exists():
                shutil.copy(wal, copy.with_name("copy.db-wal"))
            return self.in_database(place, f"sqlite:///{copy}")


def _forms(identifier: str) -> Iterator[bytes]:
    for text in {identifier, identifier.lower(), identifier.upper()}:
        for encoding in _ENCODINGS:
            with suppress(UnicodeEncodeError):
                yield text.encode(encoding).lower()
        yield json.dumps(text)[1:-1].encode().lower()  # how Dagster stores its events
        yield quote(text).encode().lower()  # how a URI has it
    with suppress(UnicodeEncodeError):
        # DICOM and Python change character sets at different places: the characters count.
        parts = identifier.encode("iso2022_jp").replace(b"\x1b(B", b"\x1b$B").split(b"\x1b$B")
        if len(longest := max(parts, key=len)) > 3:
            yield longest.lower()


def _inflated(data: bytes) -> bytes:
    """What zlib or gzip made smaller, as Dagster does with its snapshots; else nothing."""
    if not data.startswith((b"\x78", b"\x1f\x8b")):
        return b""
    with suppress(zlib.error):
        return zlib.decompress(data, wbits=47)
    return b""


def _as_bytes(value: object) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False).encode()
    return str(value).encode("utf-8", "replace")


def _length_of_number(data: bytes, start: int, end: int) -> int:
    while start and data[start - 1 : start].isdigit():
        start -= 1
    while data[end : end + 1].isdigit():
        end += 1
    return end - start
