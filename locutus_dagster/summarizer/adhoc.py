"""A report about a file: a manifest that need not be loaded, or a mere list of accession numbers.

What belongs here: reading the file, and holding its rows against the ledger; nothing is written.
What does not: the words for a row (`lines.py`), and loading manifests (`manifests/`). Messages name
the file and its lines, never a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from locutus_dagster.ledger import Ledger, LedgerError
from locutus_dagster.manifests.lines import fields_of, physical_lines
from locutus_dagster.manifests.reading import (
    ACCESSION_COLUMN,
    MANIFEST_COLUMNS,
    Row,
    read_bytes,
    read_manifest,
)
from locutus_dagster.summarizer.lines import line_of_asked, line_of_unknown, line_of_unreadable
from locutus_dagster.summarizer.model import Line

__all__ = ["AdHoc", "SummaryFileError", "hold_against"]

_VERSION = "locutus_manifest_ver:"
_ODD = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
#: Subject, imaging type, age, position, accession number, QC status.
_CELLS = MANIFEST_COLUMNS[:6]


class SummaryFileError(LedgerError):
    """The file says nothing that could be asked of the ledger."""


@dataclass(frozen=True)
class AdHoc:
    """A file held against the ledger.

    Attributes:
        lines: one for each row, in the file's order.
        accession_ids: of the accessions that the ledger knows, each once.
        in_hand: accessions of them that a worker has in hand.
    """

    lines: tuple[Line, ...] = field(repr=False)
    accession_ids: tuple[int, ...] = field(repr=False)
    in_hand: int = 0


@dataclass(frozen=True)
class _Asked:
    """A row of the file: `row` where it is one of a manifest, `fault` where it cannot be used."""

    number: int
    line: int
    accession_number: str = field(repr=False)
    row: Row | None = field(default=None, repr=False)
    fault: tuple[str, str] | None = None
    cells: tuple[str, ...] = field(default=("",) * len(_CELLS), repr=False)


def hold_against(ledger: Ledger, workspace: str, path: Path) -> AdHoc:
    """What the ledger knows of each row of a file, in the file's order.

    A file whose header names a version of the manifest's format is read as a manifest, and its
    attributes are compared. Any other is a list: with a column ACCESSION_NUM, or of one accession
    number a line.

    Raises:
        ManifestError: it cannot be read, or the header of a manifest does not fit.
        SummaryFileError: it is neither a manifest nor a list, or has no rows.
    """
    rows = _asked(path)
    if not rows:
        raise SummaryFileError(f"{path.name}: has no rows.", "There is nothing to report about.")
    known = ledger.summary_rows_of(
        workspace, [one.accession_number for one in rows if one.fault is None]
    )
    seen: set[str] = set()
    lines = []
    for one in rows:
        if one.fault is not None:
            lines.append(line_of_unreadable(one.number, one.line, *one.fault, cells=one.cells))
            continue
        again = one.accession_number in seen
        seen.add(one.accession_number)
        found = known.get(one.accession_number)
        lines.append(
            line_of_unknown(one.number, one.accession_number, one.row, one.line, again)
            if found is None
            else line_of_asked(found, one.number, one.row, one.line, again)
        )
    return AdHoc(
        tuple(lines),
        tuple(row.accession_id for row in known.values() if row.accession_id is not None),
        sum(row.in_hand for row in known.values()),
    )


def _asked(path: Path) -> list[_Asked]:
    _, lines = physical_lines(read_bytes(path))
    first = next(filter(None, map(fields_of, lines)), None)
    if isinstance(first, list) and any(cell.lower().startswith(_VERSION) for cell in first):
        return _of_manifest(path)
    return list(_of_list(path, lines))


def _of_manifest(path: Path) -> list[_Asked]:
    read = read_manifest(path)
    rows = [
        _Asked(row.number, row.line, row.accession_number, row)
        for row in (*read.rows, *read.duplicates)
    ]
    rows += [
        _Asked(
            bad.number,
            bad.line,
            "",
            fault=(bad.column, bad.reason),
            cells=tuple(bad.values.get(column, "") for column in _CELLS),
        )
        for bad in read.rejected
    ]
    return sorted(rows, key=lambda one: one.number)


def _of_list(path: Path, lines: list[bytes]) -> Iterator[_Asked]:
    column: int | None = None
    number = 0
    first = True
    for place, raw in enumerate(lines, start=1):
        fields = fields_of(raw)
        if fields is None:
            continue
        header = [cell.upper() for cell in fields] if isinstance(fields, list) else []
        if first and ACCESSION_COLUMN in header:
            column, first = header.index(ACCESSION_COLUMN), False
            continue
        if first and len(header) > 1:
            raise SummaryFileError(
                f"{path.name}, line {place}: neither the header of a manifest nor of a list with a "
                f"column {ACCESSION_COLUMN}.",
                f"Give a manifest, a CSV with a column {ACCESSION_COLUMN}, or one accession number "
                "a line.",
            )
        first = False
        number += 1
        yield _of_record(number, place, fields, column)


def _of_record(number: int, line: int, fields: list[str] | str, column: int | None) -> _Asked:
    if isinstance(fields, str):
        fault = "a quoted field does not end on its line, or not before a comma"
        return _Asked(number, line, "", fault=("", fault))
    place = column or 0
    accession = fields[place] if place < len(fields) else ""
    if column is None and len(fields) > 1:
        return _Asked(number, line, "", fault=("", "several values, and no header that names them"))
    if not accession:
        return _Asked(number, line, "", fault=(ACCESSION_COLUMN, "empty"))
    if _ODD.search(accession):
        fault = "a control character, or not UTF-8 text"
        return _Asked(number, line, "", fault=(ACCESSION_COLUMN, fault))
    return _Asked(number, line, accession)
