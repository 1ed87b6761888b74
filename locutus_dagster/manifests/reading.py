"""Reading a manifest file: its header by name, every row judged, nothing dropped in silence.

What belongs here: the format and what makes a row acceptable. What does not: the ledger
(`comparing.py`, `loading.py`). Messages name line and column, never a value: a value may be an
identifier.

The format is the reference's: comma-separated, lines that are blank or begin with `#` are
comments, one header with seven columns, the last of which carries the format's version.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from locutus_dagster.errors import LocutusError
from locutus_dagster.identifying_text import REDACTED_ACCESSION, REDACTED_SUBJECT
from locutus_dagster.manifests.lines import fields_of, physical_lines
from locutus_dagster.manifests.resolve_via import COMMANDS, canonical_command

__all__ = [
    "ACCESSION_COLUMN",
    "MANIFEST_COLUMNS",
    "RESOLVER_VERSION_COLUMN",
    "RESOLVE_COLUMN",
    "SUBJECT_COLUMN",
    "VERSION_COLUMN",
    "Header",
    "ManifestError",
    "ManifestFile",
    "RejectedRow",
    "Row",
    "fault_of_values",
    "read_bytes",
    "read_header",
    "read_manifest",
]

VERSION_COLUMN = "locutus_manifest_ver:locutus.onprem_dicom_deid_qc.2021march15"
#: May stand in the place of the version column: the reference's manifests for its resolver.
RESOLVER_VERSION_COLUMN = "locutus_manifest_ver:locutus.onprem_dicom.resolve_multiuuids.2024oct22"
#: May stand anywhere, or be missing.
RESOLVE_COLUMN = "RESOLVE_VIA"
SUBJECT_COLUMN, ACCESSION_COLUMN = "SUBJECT_ID", "ACCESSION_NUM"
_TYPE, _AGE, _POSITION, _QC = (
    "IMAGING_TYPE",
    "AGE_AT_IMAGING_(DAYS)",
    "ANATOMICAL_POSITION",
    "DEID_QC_STATUS",
)
_MUST_BE_THERE = (SUBJECT_COLUMN, _TYPE, _AGE, _POSITION, ACCESSION_COLUMN)
MANIFEST_COLUMNS = (*_MUST_BE_THERE, _QC, VERSION_COLUMN)
_KNOWN = frozenset({*MANIFEST_COLUMNS, RESOLVE_COLUMN})

# What an LO and a PN value may hold alike, and what a path may hold: printable ASCII without the
# characters that separate values, components, wildcards or folders (PS3.5 section 6.2).
_SUBJECT_ID = re.compile(r"^[A-Za-z0-9](?:[A-Za-z0-9._ +-]*[A-Za-z0-9._+-])?$")
_AGE_DAYS = re.compile(r"^[0-9]{1,5}(\.[0-9]+)?$")
_NOT_UTF8 = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_ODD = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_WILDCARD = re.compile(r"[*?\\]")
_SEPARATOR = re.compile("[,;]")
_MAX_LENGTH = 64


class ManifestError(LocutusError):
    """The file as a whole cannot be read as a manifest; none of it was loaded."""


@dataclass(frozen=True)
class Row:
    """An acceptable data row.

    Attributes:
        number: counts data rows, from 1.
        line: counts the file's lines, from 1.
        resolve_via: a command for the case that there are several studies, as the ledger keeps it.
        extra: further columns.
        duplicate_of: number of the first row with the same accession, None for that row itself.
    """

    number: int
    line: int
    subject_id: str
    imaging_type: str
    age: str
    anatomical_position: str
    accession_number: str = field(repr=False)
    deid_qc_status: str = ""
    resolve_via: str = field(default="", repr=False)
    extra: dict[str, str] = field(default_factory=dict, repr=False)
    duplicate_of: int | None = None

    @property
    def attributes(self) -> tuple[str, str, str, str]:
        """Subject, imaging type, age, position."""
        return (self.subject_id, self.imaging_type, self.age, self.anatomical_position)

    @property
    def values(self) -> dict[str, str]:
        """The cells by column name."""
        known = (*self.attributes, self.accession_number, self.deid_qc_status)
        named = dict(zip(MANIFEST_COLUMNS, known, strict=False))
        if self.resolve_via:
            named[RESOLVE_COLUMN] = self.resolve_via
        return {**self.extra, **named}


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
    """A manifest as read.

    Attributes:
        sha256: over the file's bytes.
        columns: as the header wrote them.
        rows: acceptable, each with an accession of its own.
        duplicates: acceptable, but an earlier one of `rows` has the same accession.
    """

    file_name: str
    sha256: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    duplicates: tuple[Row, ...]
    rejected: tuple[RejectedRow, ...]


@dataclass(frozen=True)
class Header:
    """A header that fits.

    Attributes:
        columns: as the file wrote them.
        names: under which the value of each is kept; the canonical one where it is known.
    """

    line: int
    columns: tuple[str, ...]
    names: tuple[str, ...]

    def place(self, column: str) -> int:
        """Where a known column stands, from 0."""
        return self.names.index(column)


def read_manifest(path: Path) -> ManifestFile:
    """Read and judge a manifest.

    Raises:
        ManifestError: the file cannot be read, has no header, or a header that does not fit; the
            message lists every fault of the header.
    """
    content = read_bytes(path)
    _, lines = physical_lines(content)
    records = _records(lines)
    header = read_header(path.name, records)
    rows: list[Row] = []
    duplicates: list[Row] = []
    rejected: list[RejectedRow] = []
    first: dict[str, int] = {}
    for number, (line, fields) in enumerate(records, start=1):
        judged = _judge(number, line, fields, header, first)
        if isinstance(judged, RejectedRow):
            rejected.append(judged)
        elif judged.duplicate_of is not None:
            duplicates.append(judged)
        else:
            rows.append(judged)
            first[judged.accession_number] = number
    digest = hashlib.sha256(content).hexdigest()
    return ManifestFile(
        path.name, digest, header.columns, tuple(rows), tuple(duplicates), tuple(rejected)
    )


def read_bytes(path: Path) -> bytes:
    """The file's content.

    Raises:
        ManifestError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ManifestError(
            f"{path.name}: cannot be read ({error.strerror}).", "Check the path and permissions."
        ) from None


def _records(lines: Iterable[bytes]) -> Iterator[tuple[int, list[str] | str]]:
    """Yield (line number, fields) for each line that is neither blank nor a comment."""
    for number, line in enumerate(lines, start=1):
        fields = fields_of(line)
        if fields is not None:
            yield number, fields


def read_header(name: str, records: Iterator[tuple[int, list[str] | str]]) -> Header:
    """Take the header off the front of a file's records.

    Args:
        name: the file's, for messages.

    Raises:
        ManifestError: it does not fit; the message lists every fault.
    """
    expected = ",".join(MANIFEST_COLUMNS)
    line, fields = next(records, (0, ""))
    if isinstance(fields, str):
        where = f"{name}, line {line}" if line else name
        raise ManifestError(f"{where}: no header found.", f"The header must be: {expected}")
    canonical = {column.upper(): column for column in _KNOWN}
    canonical[RESOLVER_VERSION_COLUMN.upper()] = VERSION_COLUMN
    names: list[str] = []
    faults: list[str] = []
    for number, cell in enumerate(fields, start=1):
        column = canonical.get(cell.upper())
        if column is not None and column in names:
            faults.append(f"column {number} repeats {column}")
        if column is None and cell.lower().startswith("locutus_manifest_ver:"):
            faults.append(f"column {number} names another format version")
        names.append(column or _name_of(_storable(cell), number, names))
    faults.extend(f"no column {column}" for column in MANIFEST_COLUMNS if column not in names)
    if faults:
        raise ManifestError(
            f"{name}, line {line}: the header does not fit: {'; '.join(faults)}.",
            f"The header must hold, in any order: {expected}",
        )
    return Header(line, tuple(fields), tuple(names))


def _name_of(cell: str, number: int, taken: Collection[str]) -> str:
    """A name of its own for a further column."""
    name = cell or f"column {number}"
    while name in taken:
        name += f" column {number}"
    return name


def _values(fields: list[str], header: Header) -> dict[str, str]:
    """The cells by column name."""
    named = dict(zip(header.names, fields, strict=False))
    for index in range(len(header.names), len(fields)):
        named[_name_of("", index + 1, named)] = fields[index]
    return named


def _storable(text: str) -> str:
    """`text` without what databases refuse: lone surrogates, and for PostgreSQL NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


def _judge(
    number: int, line: int, fields: list[str] | str, header: Header, first: dict[str, int]
) -> Row | RejectedRow:
    """The row, or why it is none. `first` has the accepted accessions with their rows' numbers."""
    if isinstance(fields, str):
        kept = {"line": _storable(fields)}
        reason = "a quoted field does not end on its line, or not before a comma"
        return RejectedRow(number, line, "", reason, kept)
    values = _values(fields, header)
    fault = _fault_of_form(fields, header) or fault_of_values(values)
    if fault:
        kept = {name: _storable(value) for name, value in values.items()}
        return RejectedRow(number, line, *fault, kept)
    accession = values[ACCESSION_COLUMN]
    return Row(
        number=number,
        line=line,
        subject_id=values[SUBJECT_COLUMN],
        imaging_type=values[_TYPE],
        age=values[_AGE],
        anatomical_position=values[_POSITION],
        accession_number=accession,
        deid_qc_status=values.get(_QC, ""),
        resolve_via=canonical_command(values.get(RESOLVE_COLUMN, "")) or "",
        extra={name: value for name, value in values.items() if name not in _KNOWN},
        duplicate_of=first.get(accession),
    )


def _fault_of_form(fields: list[str], header: Header) -> tuple[str, str] | None:
    """Too many fields, too few, or characters that no text should have: (column, reason)."""
    if len(fields) > len(header.columns):
        return "", (
            f"{len(fields)} fields under a header of {len(header.columns)}; "
            "a value that holds a comma must be quoted"
        )
    if len(fields) < len(header.columns):
        for column in _MUST_BE_THERE:
            if header.place(column) >= len(fields):
                return column, f"only {len(fields)} fields; this column is missing"
    if _ODD.search("".join(fields)):
        for column, cell in zip(header.names, fields, strict=False):
            if _NOT_UTF8.search(cell):
                return column, "not UTF-8 text"
            if _CONTROL.search(cell):
                return column, "a control character"
    return None


def fault_of_values(values: dict[str, str]) -> tuple[str, str] | None:
    """The first thing wrong with a row's values: (column, reason), or None."""
    subject, accession = values[SUBJECT_COLUMN], values[ACCESSION_COLUMN]
    if not subject:
        return SUBJECT_COLUMN, "empty"
    if not accession:
        return ACCESSION_COLUMN, "empty"
    if accession == REDACTED_ACCESSION or subject == REDACTED_SUBJECT:
        return ACCESSION_COLUMN, "redacted; load a report that was written without redaction"
    for column in (SUBJECT_COLUMN, _TYPE, _POSITION, ACCESSION_COLUMN):
        if len(values[column]) > _MAX_LENGTH:
            return column, f"longer than {_MAX_LENGTH} characters"
    if not _SUBJECT_ID.match(subject):
        return SUBJECT_COLUMN, "only letters, digits, space and . _ + - are allowed in a subject ID"
    if _WILDCARD.search(accession):
        return ACCESSION_COLUMN, "holds a wildcard (*, ?) or a backslash"
    if _SEPARATOR.search(accession):
        return ACCESSION_COLUMN, "holds a comma or a semicolon; each accession needs its own row"
    if subject.casefold() == accession.casefold():
        return SUBJECT_COLUMN, "is the accession number itself, which would identify the patient"
    if values[_AGE] and not _AGE_DAYS.match(values[_AGE]):
        return _AGE, "not a number of days"
    if canonical_command(values.get(RESOLVE_COLUMN, "")) is None:
        return RESOLVE_COLUMN, f"not a command; write nothing or one of {', '.join(COMMANDS)}"
    return None
