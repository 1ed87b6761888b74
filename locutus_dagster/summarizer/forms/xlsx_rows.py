"""Rows of a workbook's sheet, written as they are read.

What belongs here: a sheet's XML (ECMA-376 part 1, 18.3.1). What does not: the rest of the workbook.

Text stands in the sheet itself (`inlineStr`), so that nothing is collected in memory, and nothing
that identifies is put down in a temporary file, as openpyxl does.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import islice
from typing import BinaryIO

from locutus_dagster.errors import LocutusError
from locutus_dagster.summarizer.forms.cells import is_formula, one_line_of_xml
from locutus_dagster.summarizer.forms.columns import Value

__all__ = ["Styles", "fill_sheet"]

_END = b"</sheetData>"
_DIMENSION = re.compile(rb"<dimension [^>]*/>")
_EPOCH = datetime(1899, 12, 30, tzinfo=timezone.utc)
_LONGEST = 32_000
_AT_ONCE = 500


@dataclass(frozen=True)
class Styles:
    """Numbers of the styles that a workbook has for a time, and for a text like a formula."""

    time: int
    text: int


def fill_sheet(
    frame: BinaryIO,
    stream: BinaryIO,
    number: int,
    rows: Iterable[Sequence[Value]],
    styles: Styles,
    most: int,
) -> None:
    """Copy a workbook, and put rows below those that one of its sheets has, which is its header.

    Args:
        frame: the workbook.
        stream: where to.
        number: of the sheet, from 1.
        most: rows, at most.
    """
    name = f"xl/worksheets/sheet{number}.xml"
    with (
        zipfile.ZipFile(frame) as source,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target,
    ):
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename != name:
                target.writestr(entry, content)
                continue
            above, found, below = _DIMENSION.sub(b"", content).partition(_END)
            if not found:
                raise LocutusError("The sheet has no place for rows.", "Report this as a bug.")
            filled = zipfile.ZipInfo(name, entry.date_time)
            filled.compress_type = zipfile.ZIP_DEFLATED
            with target.open(filled, "w", force_zip64=True) as sheet:
                sheet.write(above)
                written = _rows(islice(rows, most), styles)
                while some := "".join(islice(written, _AT_ONCE)):
                    sheet.write(some.encode("utf-8", "replace"))
                sheet.write(_END + below)


def _rows(rows: Iterable[Sequence[Value]], styles: Styles) -> Iterator[str]:
    letters: list[str] = []
    for number, values in enumerate(rows, start=2):
        while len(letters) < len(values):
            letters.append(_letter(len(letters)))
        cells = "".join(
            _cell(f"{letter}{number}", value, styles)
            for letter, value in zip(letters, values, strict=False)
            if value is not None and value != ""
        )
        yield f'<row r="{number}">{cells}</row>'


def _cell(place: str, value: Value, styles: Styles) -> str:
    if isinstance(value, str):
        text = value[:_LONGEST]
        if not text.isprintable():
            text = one_line_of_xml(text)
        style = f' s="{styles.text}"' if is_formula(text) else ""
        if "&" in text or "<" in text or ">" in text:
            text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        kept = "" if text == text.strip() else ' xml:space="preserve"'
        return f'<c r="{place}"{style} t="inlineStr"><is><t{kept}>{text}</t></is></c>'
    if isinstance(value, datetime):
        at = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        days = (at - _EPOCH).total_seconds() / 86400
        return f'<c r="{place}" s="{styles.time}"><v>{days:.10f}</v></c>'
    return f'<c r="{place}"><v>{value}</v></c>'


def _letter(column: int) -> str:
    """`A` for 0, `AA` for 26."""
    before, last = divmod(column, 26)
    return (_letter(before - 1) if before else "") + chr(ord("A") + last)
