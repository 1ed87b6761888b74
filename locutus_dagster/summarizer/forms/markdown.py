"""A report as Markdown: tables that are read as text, too.

What belongs here: headings and tables. What does not: which facts and counts there are
(`facts.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO

from locutus_dagster.summarizer.forms.cells import one_line
from locutus_dagster.summarizer.forms.facts import head, named_accessions, pace_words, sections
from locutus_dagster.summarizer.forms.wording import count, minute, since
from locutus_dagster.summarizer.model import Line, Summary

__all__ = ["MOST_ROWS", "write"]

#: Rows in the table; a viewer of Markdown gives up on many more.
MOST_ROWS = 1000
_MOST_NAMED = 200
#: An underscore within a word is shown as it is.
_SPECIAL = re.compile(r"([\\`*{}\[\]<>|~&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
_COLUMNS = (
    "partition",
    "subject",
    "accession",
    "status",
    "state",
    "reason",
    "changed",
    "since last change",
    "instances",
    "withheld",
    "file",
)
_NUMBERS = frozenset({"count", "accessions", "instances", "withheld"})


def write(summary: Summary, stream: BinaryIO, beside: str = "") -> None:
    """Write the report; `beside` is the CSV that has the rows which are left out here."""
    for line in _document(summary, beside):
        stream.write(f"{line}\n".encode("utf-8", "replace"))


def _document(summary: Summary, beside: str) -> Iterator[str]:
    kind = "Detailed report" if summary.detailed else "Overview"
    redacted = ", redacted" if summary.redacted else ""
    yield f"# {_escaped(summary.title)}"
    yield ""
    yield f"{kind}{redacted}, as of {minute(summary.as_of)}."
    if pace := pace_words(summary):
        yield ""
        yield f"At work: {pace}."
    for section in sections(summary):
        yield from ("", f"## {section.title}", "")
        columns = ("count", "what", "note") if section.noted else ("count", "what")
        rows = [(count(one.count), one.label, one.note) for one in section.counts]
        yield from _table(columns, rows) if rows else ["None."]
        if section.key == "totals":
            yield from _named("Not found", named_accessions(summary, summary.not_found))
    if summary.stage is not None:
        stage = summary.stage
        yield from _named("No manifest names", named_accessions(summary, stage.unnamed))
        yield from _named("The source has no study for", list(stage.lacking))
    if summary.detailed:
        yield from ("", "## Rows", "")
        shown = islice(summary.lines, MOST_ROWS)
        yield from _table(_COLUMNS, (_cells(line, summary) for line in shown))
        if len(summary.lines) > MOST_ROWS:
            where = f"`{beside}` has all" if beside else "the CSV form has all"
            yield ""
            yield (
                f"These are the first {count(MOST_ROWS)} of {count(len(summary.lines))} rows; "
                f"{where}."
            )
    yield from ("", "## How it was made", "")
    yield from _table(("fact", "value"), head(summary).items())


def _cells(line: Line, summary: Summary) -> Sequence[str]:
    reason = line.reason
    if line.duplicate:
        reason = "; ".join(filter(None, (reason, "repeats an earlier row")))
    for study in line.studies:
        facts = ", ".join(f"{label} {value}" for label, value in study.facts.items())
        reason = "; ".join(filter(None, (reason, f"study {study.number}: {facts}")))
    return (
        line.partition_key or f"row {line.row_number}",
        line.subject_id,
        line.accession_number,
        line.status,
        line.state.value if line.state else "",
        reason,
        ", ".join(line.changed),
        since(line.last_change, summary.as_of),
        "" if line.instances is None else count(line.instances),
        "" if line.withheld is None else count(line.withheld),
        line.file_name,
    )


def _named(what: str, values: Sequence[str]) -> Iterator[str]:
    """A list within a line; nothing where there is nothing to list."""
    if not values:
        return
    more = len(values) - _MOST_NAMED
    tail = f" and {count(more)} more" if more > 0 else ""
    yield ""
    yield f"{what}: {', '.join(map(_escaped, values[:_MOST_NAMED]))}{tail}."


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"| {' | '.join('---:' if name in _NUMBERS else '---' for name in columns)} |"
    for cells in rows:
        shown = (_escaped(cell) for cell in cells[: len(columns)])
        yield f"| {' | '.join(shown)} |"


def _escaped(text: str) -> str:
    """`text` so that it is shown as it is, and ends no cell."""
    return _SPECIAL.sub(r"\\\1", one_line(text))
