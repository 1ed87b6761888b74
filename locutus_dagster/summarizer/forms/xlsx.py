"""A report as a workbook: overview, rows, failures.

What belongs here: the sheets. What does not: the columns (`columns.py`), and how the rows' sheet is
written without openpyxl, which takes a third of a minute for 100,000 of them (`xlsx_rows.py`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from locutus_dagster.summarizer.forms.cells import is_formula, one_line_of_xml
from locutus_dagster.summarizer.forms.columns import OUR_COLUMNS, Cells, reference_columns
from locutus_dagster.summarizer.forms.facts import head, pace_words, sections
from locutus_dagster.summarizer.forms.wording import count, utc
from locutus_dagster.summarizer.forms.xlsx_rows import Styles, fill_sheet
from locutus_dagster.summarizer.model import Summary

__all__ = ["MOST_ROWS", "write"]

#: What a sheet holds below its header.
MOST_ROWS = 1_048_575
_TIME_FORMAT = "yyyy-mm-dd hh:mm:ss"
_LONGEST = 32_000
_NARROW, _WIDE = 16.0, 34.0
_WIDE_COLUMNS = frozenset({"STATUS", "REASON", "TARGET", "TARGETS", "filename4local"})


def write(summary: Summary, stream: BinaryIO, beside: str = "") -> None:
    """Write the report; `beside` is the CSV that has the rows which no sheet can hold."""
    from openpyxl import Workbook
    from openpyxl.styles import Font

    book = Workbook()
    made = utc(summary.as_of).replace(tzinfo=None)
    book.properties.creator, book.properties.title = (
        "Locutus on Dagster",
        one_line_of_xml(summary.title),
    )
    book.properties.created = book.properties.modified = made
    bold, large = Font(bold=True), Font(bold=True, size=14)
    overview = book.active
    overview.title = "Overview"
    _overview(overview, summary, beside, bold, large)
    rows = book.create_sheet("Rows") if summary.detailed else None
    failures = book.create_sheet("Failures")
    _table(failures, ("PHASE", "REASON", "ACCESSIONS"), bold, (10.0, 90.0, 14.0))
    for one in summary.failures:
        failures.append([one.phase, None, one.accessions])
        _put(failures.cell(failures.max_row, 2), one.reason)
    failures.auto_filter.ref = f"A1:C{max(1, failures.max_row)}"
    if rows is None:
        book.save(stream)
        return

    columns = (*reference_columns(summary.as_of, loads_back=False), *OUR_COLUMNS)
    widths = [_WIDE if name in _WIDE_COLUMNS else _NARROW for name in columns]
    _table(rows, columns, bold, widths)
    last = min(len(summary.lines), MOST_ROWS) + 1
    rows.auto_filter.ref = f"A1:{rows.cell(1, len(columns)).column_letter}{last}"
    styles = _styles(rows)
    frame = io.BytesIO()
    book.save(frame)
    cells = Cells(summary, time=lambda at: at)
    values = ([*cells.of_reference(line), *cells.of_ours(line)] for line in summary.lines)
    fill_sheet(frame, stream, 2, values, styles, MOST_ROWS)


def _overview(sheet: Any, summary: Summary, beside: str, bold: Any, large: Any) -> None:
    for letter, width in {"A": 58.0, "B": 40.0, "C": 60.0}.items():
        sheet.column_dimensions[letter].width = width
    for number, (values, font) in enumerate(_told(summary, beside, bold, large), start=1):
        for column, value in enumerate(values, start=1):
            if value != "":
                cell = sheet.cell(number, column)
                _put(cell, value)
                if font is not None:
                    cell.font = font


def _told(
    summary: Summary, beside: str, bold: Any, large: Any
) -> Iterator[tuple[Sequence[str | int], Any]]:
    """The lines of the overview, each with its font, if it has one of its own."""
    yield (summary.title,), large
    for fact in head(summary).items():
        yield fact, None
    if pace := pace_words(summary):
        yield ("PACE", pace), None
    if summary.detailed and len(summary.lines) > MOST_ROWS:
        where = f"all are in {beside}" if beside else "all are in the CSV form"
        told = f"{count(MOST_ROWS)} of {count(len(summary.lines))} rows are shown; {where}"
        yield ("ROWS", told), None
    for section in sections(summary):
        yield (), None
        yield (section.title, "COUNT", "NOTE"), bold
        for one in section.counts:
            yield (one.label, one.count, one.note), None


def _put(cell: Any, value: str | int) -> None:
    """A value that no spreadsheet calculates, whatever it begins with."""
    if isinstance(value, int):
        cell.value = value
        return
    text = one_line_of_xml(value)[:_LONGEST]
    cell.value = text
    cell.data_type = "s"
    if is_formula(text):
        cell.quotePrefix = True


def _table(sheet: Any, columns: Sequence[str], bold: Any, widths: Sequence[float]) -> None:
    """A header that stays where it is."""
    for number, (name, width) in enumerate(zip(columns, widths, strict=True), start=1):
        cell = sheet.cell(1, number)
        _put(cell, name)
        cell.font = bold
        sheet.column_dimensions[cell.column_letter].width = width
    sheet.freeze_panes = "A2"


def _styles(sheet: Any) -> Styles:
    """Have the workbook know the styles that rows use; the cells they are tried on go again."""
    time, text = sheet.cell(2, 1), sheet.cell(2, 2)
    time.number_format = _TIME_FORMAT
    _put(text, "=")
    found = Styles(time.style_id, text.style_id)
    sheet.delete_rows(2)
    return found
