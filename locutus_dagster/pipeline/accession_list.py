"""A file that lists accession numbers, as people keep one: a plain list, a CSV, a whole manifest.

What belongs here: the file's format. What does not: what is chosen by it (`choosing.py`), and
manifests to be loaded (`manifests/`). Messages name the file and its lines, never a number.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from locutus_dagster.errors import LocutusError

__all__ = ["AccessionListError", "read_accessions"]

_COLUMN = "ACCESSION_NUM"
_MOST_FAULTS = 10


class AccessionListError(LocutusError):
    """The file cannot be understood as a list of accession numbers; none of it is used."""


def read_accessions(path: Path) -> list[tuple[int, str]]:
    """The accession numbers of a file with their lines, in the file's order, repeated ones too.

    Raises:
        AccessionListError: it cannot be read, or says which of its lines cannot be understood.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise AccessionListError(
            f"{path.name}: cannot be read ({error.strerror}).", "Check the path and permissions."
        ) from None
    faults: list[str] = []
    found: list[tuple[int, str]] = []
    column: int | None = None
    first = True
    for line, cells, fault in _records(content):
        header = [cell.upper() for cell in cells]
        if first and not fault and _COLUMN in header:
            column = header.index(_COLUMN)
            if header.count(_COLUMN) > 1:
                fault = f"several columns {_COLUMN}"
        elif not fault and column is None and len(cells) > 1:
            fault = f"several values, and no header that names a column {_COLUMN}"
        elif not fault:
            place = column or 0
            # A row without a number is told as one that nobody knows, rather than dropped.
            found.append((line, cells[place] if place < len(cells) else ""))
        first = False
        if fault:
            faults.append(f"line {line}: {fault}")
    if faults:
        more = f"; and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
        raise AccessionListError(
            f"{path.name}, {'; '.join(faults[:_MOST_FAULTS])}{more}.",
            f"Write one accession number a line, or a CSV (UTF-8) with a column {_COLUMN}.",
        )
    if not found:
        raise AccessionListError(
            f"{path.name}: names no accession.", "An empty list would choose nothing at all."
        )
    return found


def _records(content: bytes) -> Iterator[tuple[int, list[str], str]]:
    """(line, trimmed cells, what is wrong) of each line that is neither blank nor a comment."""
    lines = re.split(rb"\r\n|\n|\r", content.removeprefix(b"\xef\xbb\xbf"))
    for number, raw in enumerate(lines, start=1):
        try:
            text = raw.decode("utf-8").strip()
        except UnicodeDecodeError:
            yield number, [], "not UTF-8 text"
            continue
        if not text or text.startswith("#"):
            continue
        if any(char < " " or "\x7f" <= char <= "\x9f" for char in text):
            yield number, [], "a control character"
            continue
        try:
            cells = [
                cell.strip()
                for cell in next(csv.reader([text], strict=True, skipinitialspace=True))
            ]
        except csv.Error:
            yield number, [], "a quoted value does not end on its line, or not before a comma"
            continue
        if any(cells) and not cells[0].startswith("#"):
            yield number, cells, ""
