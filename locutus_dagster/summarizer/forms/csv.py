"""A report as CSV that any program reads, and that loads again as a manifest.

What belongs here: the order of the lines, and quoting. What does not: the columns (`columns.py`).

A detailed report is a table with the reference's columns, in which everything that is not a row
begins with `#`. An overview has no rows that could be loaded: its table are the counts.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, TextIO

from locutus_dagster.summarizer.forms.cells import all_plain, shielded
from locutus_dagster.summarizer.forms.columns import (
    LOADED_BACK,
    OUR_COLUMNS,
    Cells,
    reference_columns,
)
from locutus_dagster.summarizer.forms.facts import (
    head,
    named_accessions,
    pace_words,
    sections,
)
from locutus_dagster.summarizer.model import Line, Summary

__all__ = ["comments", "count_lines", "line_table", "study_comments", "write", "write_cells"]

_SPECIAL = re.compile('[",]|^ | $')
_OVERVIEW_COLUMNS = ("SECTION", "LABEL", "COUNT", "NOTE")


def write(summary: Summary, stream: BinaryIO, beside: str = "") -> None:
    """Write the report; `beside` is not used."""
    text = io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="")
    if summary.detailed:
        header = (*reference_columns(summary.as_of, loads_back=True), *OUR_COLUMNS)
        write_cells(text, [header])
        write_cells(text, comments(summary))
        write_cells(text, line_table(summary), loaded_back=LOADED_BACK)
        write_cells(text, count_lines(summary))
    else:
        write_cells(text, [_OVERVIEW_COLUMNS])
        write_cells(text, comments(summary))
        write_cells(text, _counts(summary))
    text.flush()
    text.detach()


def write_cells(text: TextIO, rows: Iterable[Sequence[str]], *, loaded_back: int = 0) -> None:
    """Write rows of cells; the first `loaded_back` of each are read when the report is loaded."""
    write_row = csv.writer(text, lineterminator="\n").writerow
    for cells in rows:
        if all_plain(cells):
            write_row(cells)
        else:
            safe = (shielded(cell, loads_back=at < loaded_back) for at, cell in enumerate(cells))
            text.write(",".join(map(_field, safe)) + "\n")


def _field(cell: str) -> str:
    """A cell as it stands in the file; a blank at its beginning only shields within quotes."""
    return '"{}"'.format(cell.replace('"', '""')) if _SPECIAL.search(cell) else cell


def line_table(summary: Summary) -> Iterator[Sequence[str]]:
    """The rows, each followed by what is known of its studies where these were asked for."""
    cells = Cells(summary)
    for line in summary.lines:
        yield [
            value if isinstance(value, str) else "" if value is None else str(value)
            for value in (*cells.of_reference(line), *cells.of_ours(line))
        ]
        yield from study_comments(line)


def study_comments(line: Line) -> Iterator[Sequence[str]]:
    """One comment for each study that stands in the way of a row."""
    for study in line.studies:
        told = [part for label, value in study.facts.items() for part in (label, value)]
        yield ["#SHOW_MULTIUUIDS:", line.partition_key or "", f"study {study.number}", *told]


def comments(summary: Summary) -> Iterator[Sequence[str]]:
    """The facts of the head."""
    for label, value in head(summary).items():
        yield [f"# {label}", value]
    if pace := pace_words(summary):
        yield ["# PACE", pace]


def count_lines(summary: Summary) -> Iterator[Sequence[str]]:
    """The counts as the reference writes them, and the accessions that only these lines name."""
    yield ["# ----------------------------------------"]
    yield ["#STATUS_OUT:", "COUNT", "STATUS", "NOTE"]
    for section in sections(summary):
        yield [f"# {section.title}"]
        for one in section.counts:
            told = [one.note] if one.note else []
            yield ["#STATUS_OUT:", str(one.count), one.label, *told]
        if section.key == "totals":
            for number in named_accessions(summary, summary.not_found):
                yield ["#NOT_FOUND:", number]
    if summary.stage is not None:
        for number in named_accessions(summary, summary.stage.unnamed):
            yield ["#STAGE_UNNAMED:", number]
        for key in summary.stage.lacking:
            yield ["#STAGE_LACKING:", key]


def _counts(summary: Summary) -> Iterator[Sequence[str]]:
    for section in sections(summary):
        for one in section.counts:
            yield [section.title, one.label, str(one.count), one.note]
