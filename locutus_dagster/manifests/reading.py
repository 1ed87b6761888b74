"""Reading a manifest file: its header by name, every row judged, nothing dropped in silence.

What belongs here: the CSV format and what makes a row acceptable. What does not: the ledger
(`loading.py`). Messages name line and column, never a value: a value may be an identifier.

The format is the reference's: comma-separated, lines that are blank or begin with `#` are
comments, one header with seven columns, the last of which carries the format's version.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from locutus_dagster.errors import LocutusError

__all__ = [
    "MANIFEST_COLUMNS",
    "VERSION_COLUMN",
    "ManifestError",
    "ManifestFile",
    "RejectedRow",
    "Row",
    "read_manifest",
]

VERSION_COLUMN = "locutus_manifest_ver:locutus.onprem_dicom_deid_qc.2021march15"
_SUBJECT, _TYPE, _AGE, _POSITION, _ACCESSION, _QC = (
    "SUBJECT_ID",
    "IMAGING_TYPE",
    "AGE_AT_IMAGING_(DAYS)",
    "ANATOMICAL_POSITION",
    "ACCESSION_NUM",
    "DEID_QC_STATUS",
)
MANIFEST_COLUMNS = (_SUBJECT, _TYPE, _AGE, _POSITION, _ACCESSION, _QC, VERSION_COLUMN)
_MUST_BE_THERE = (_SUBJECT, _TYPE, _AGE, _POSITION, _ACCESSION)

# What an LO and a PN value may hold alike, and what a path may hold: printable ASCII without the
# characters that separate values, components, wildcards or folders (PS3.5 section 6.2).
_SUBJECT_ID = re.compile(r"^[A-Za-z0-9](?:[A-Za-z0-9._ +-]*[A-Za-z0-9._+-])?$")
_AGE_DAYS = re.compile(r"^[0-9]{1,5}(\.[0-9]+)?$")
_MAX_LENGTH = 64


class ManifestError(LocutusError):
    """The file as a whole cannot be read as a manifest; none of it was loaded."""


@dataclass(frozen=True)
class Row:
    """An acceptable data row. `number` counts data rows from 1, `line` the file's lines from 1."""

    number: int
    line: int
    subject_id: str
    imaging_type: str
    age: str
    anatomical_position: str
    accession_number: str = field(repr=False)
    deid_qc_status: str = ""
    extra: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class RejectedRow:
    """A data row that cannot be processed: where, in which column, why; and its values.

    `values` go into the ledger and nowhere else.
    """

    number: int
    line: int
    column: str
    reason: str
    values: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class ManifestFile:
    """A manifest as read: `columns` as the header wrote them, `sha256` over the file's bytes."""

    file_name: str
    sha256: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    rejected: tuple[RejectedRow, ...]


@dataclass(frozen=True)
class _Header:
    line: int
    columns: tuple[str, ...]
    places: dict[str, int]  # canonical column -> index


def read_manifest(path: Path) -> ManifestFile:
    """Read and judge a manifest.

    Raises:
        ManifestError: the file cannot be read, has no header, or a header that does not fit; the
            message lists every fault of the header.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ManifestError(
            f"{path.name}: cannot be read ({error.strerror}).", "Check the path and permissions."
        ) from None
    records = _records(content)
    header = _find_header(path.name, records)
    rows: list[Row] = []
    rejected: list[RejectedRow] = []
    first_line: dict[str, int] = {}
    for number, (line, fields) in enumerate(records, start=1):
        judged = _judge(number, line, fields, header)
        if isinstance(judged, Row):
            earlier = first_line.setdefault(judged.accession_number, line)
            if earlier != line:
                reason = f"the same accession as in line {earlier}"
                judged = RejectedRow(
                    number, line, _ACCESSION, reason, _values(list(fields), header)
                )
        if isinstance(judged, Row):
            rows.append(judged)
        else:
            rejected.append(judged)
    digest = hashlib.sha256(content).hexdigest()
    return ManifestFile(path.name, digest, header.columns, tuple(rows), tuple(rejected))


def _records(content: bytes) -> Iterator[tuple[int, list[str] | str]]:
    """Yield (line number, trimmed fields) for each line that is neither blank nor a comment.

    Each line is a record of its own: a quote that is never closed spoils its line and not the
    rest of the file. A line that is no CSV is yielded as it stands, a string.
    """
    # Bytes that are not UTF-8 become lone surrogates; `_judge` finds them and names the column.
    text = content.decode("utf-8-sig", errors="surrogateescape")
    for line, raw in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        try:
            reader = csv.reader([raw], strict=True, skipinitialspace=True)
            fields = [cell.strip() for cell in next(reader, [])]
        except csv.Error:
            if not raw.lstrip().startswith("#"):
                yield line, raw
            continue
        if not any(fields) or fields[0].startswith("#"):
            continue
        yield line, fields


def _find_header(name: str, records: Iterator[tuple[int, list[str] | str]]) -> _Header:
    expected = ",".join(MANIFEST_COLUMNS)
    line, fields = next(records, (0, ""))
    if isinstance(fields, str):
        where = f"{name}, line {line}" if line else name
        raise ManifestError(f"{where}: no header found.", f"The header must be: {expected}")
    canonical = {column.upper(): column for column in MANIFEST_COLUMNS}
    places: dict[str, int] = {}
    faults: list[str] = []
    for index, cell in enumerate(fields):
        column = canonical.get(cell.upper())
        if column is None:
            if cell.lower().startswith("locutus_manifest_ver:"):
                faults.append(f"column {index + 1} names another format version")
            continue
        if column in places:
            faults.append(f"column {index + 1} repeats {column}")
        places.setdefault(column, index)
    faults.extend(f"no column {column}" for column in MANIFEST_COLUMNS if column not in places)
    if faults:
        raise ManifestError(
            f"{name}, line {line}: the header does not fit: {'; '.join(faults)}.",
            f"The header must hold, in any order: {expected}",
        )
    return _Header(line, tuple(fields), places)


def _values(fields: list[str], header: _Header) -> dict[str, str]:
    """The cells by column name, as a database takes them."""
    clean = [_storable(cell) for cell in fields]
    named = {column: clean[place] for column, place in header.places.items() if place < len(clean)}
    known = set(header.places.values())
    for index, cell in enumerate(clean):
        if index not in known:
            name = header.columns[index] if index < len(header.columns) else ""
            if not name or name in named:
                name = f"{name} column {index + 1}".strip()
            named[name] = cell
    return named


def _storable(text: str) -> str:
    """`text` without what databases refuse: lone surrogates, and for PostgreSQL NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


def _judge(number: int, line: int, fields: list[str] | str, header: _Header) -> Row | RejectedRow:
    if isinstance(fields, str):
        kept = {"line": _storable(fields)}
        reason = "a quoted field does not end on its line, or not before a comma"
        return RejectedRow(number, line, "", reason, kept)
    values = _values(fields, header)

    def reject(column: str, reason: str) -> RejectedRow:
        return RejectedRow(number, line, column, reason, values)

    if len(fields) > len(header.columns):
        return reject(
            "",
            f"{len(fields)} fields under a header of {len(header.columns)}; "
            "a value that holds a comma must be quoted",
        )
    for column in _MUST_BE_THERE:
        if header.places[column] >= len(fields):
            return reject(column, f"only {len(fields)} fields; this column is missing")
    for index, cell in enumerate(fields):
        column = header.columns[index]
        if any("\ud800" <= char <= "\udfff" for char in cell):
            return reject(column, "not UTF-8 text")
        if any(char < " " or "\x7f" <= char <= "\x9f" for char in cell):
            return reject(column, "a control character")
    fault = _fault(values)
    if fault:
        return reject(*fault)
    return Row(
        number=number,
        line=line,
        subject_id=values[_SUBJECT],
        imaging_type=values[_TYPE],
        age=values[_AGE],
        anatomical_position=values[_POSITION],
        accession_number=values[_ACCESSION],
        deid_qc_status=values.get(_QC, ""),
        extra={name: value for name, value in values.items() if name not in MANIFEST_COLUMNS},
    )


def _fault(values: dict[str, str]) -> tuple[str, str] | None:
    """The first thing wrong with a row's values: (column, reason), or None."""
    subject, accession = values[_SUBJECT], values[_ACCESSION]
    if not subject:
        return _SUBJECT, "empty"
    if not accession:
        return _ACCESSION, "empty"
    for column in (_SUBJECT, _TYPE, _POSITION, _ACCESSION):
        if len(values[column]) > _MAX_LENGTH:
            return column, f"longer than {_MAX_LENGTH} characters"
    if not _SUBJECT_ID.match(subject):
        return _SUBJECT, "only letters, digits, space and . _ + - are allowed in a subject ID"
    if any(char in accession for char in "*?\\"):
        return _ACCESSION, "holds a wildcard (*, ?) or a backslash"
    if subject.casefold() == accession.casefold():
        return _SUBJECT, "is the accession number itself, which would identify the patient"
    if values[_AGE] and not _AGE_DAYS.match(values[_AGE]):
        return _AGE, "not a number of days"
    return None
