"""A report in the lines that the reference printed, for those who grep.

What belongs here: the words that lines begin with. What does not: their cells, which are those of
the CSV form (`csv.py`), quoted as there, without our own columns.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from locutus_dagster.summarizer.forms.columns import LOADED_BACK, Cells, reference_columns
from locutus_dagster.summarizer.forms.csv import (
    comments,
    count_lines,
    study_comments,
    write_cells,
)
from locutus_dagster.summarizer.model import Summary

__all__ = ["write"]

_WORD = "MANIFEST_OUTPUT:"


def write(summary: Summary, stream: BinaryIO, beside: str = "") -> None:
    """Write the report; `beside` is not used."""
    text = io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="")
    write_cells(text, _lines(summary), loaded_back=LOADED_BACK + 1)
    write_cells(text, count_lines(summary))
    text.flush()
    text.detach()


def _lines(summary: Summary) -> Iterator[Sequence[str]]:
    if summary.detailed:
        yield [_WORD, *reference_columns(summary.as_of, loads_back=False)]
    for cells in comments(summary):
        yield [_WORD, *cells]
    if summary.detailed:
        of_reference = Cells(summary).of_reference
        for line in summary.lines:
            yield [_WORD, *map(str, of_reference(line))]
            for cells in study_comments(line):
                yield [_WORD, *cells]
