"""A report as rows for Dagster's table metadata, in plain Python.

What belongs here: the rows. What does not: Dagster's own types, which only `defs/` knows.

Dagster stores metadata and shows it to whoever may see its UI, so no accession number, no URI and
no file name stands in them, redacted or not.
"""

from __future__ import annotations

from itertools import islice

from locutus_dagster.summarizer.forms.facts import PROGRESS
from locutus_dagster.summarizer.forms.wording import second, since
from locutus_dagster.summarizer.model import Line, Summary

__all__ = ["TableRow", "failure_rows", "line_rows", "overview_rows", "state_rows"]

TableRow = dict[str, str | int]


def overview_rows(summary: Summary) -> list[TableRow]:
    """The counts in the reference's words, with NOT_FOUND; those that are zero are left out."""
    rows: list[TableRow] = [
        {"status": one.label, "rows": one.count} for one in summary.buckets if one.count
    ]
    if summary.not_found and not any(row["status"] == "NOT_FOUND" for row in rows):
        rows.append({"status": "NOT_FOUND", "rows": len(summary.not_found)})
    return rows


def state_rows(summary: Summary) -> list[TableRow]:
    """Rows by state; states without any are left out."""
    return [
        {"state": state.value, "rows": summary.states[state]}
        for state in PROGRESS
        if summary.states.get(state)
    ]


def failure_rows(summary: Summary, most: int = 100) -> list[TableRow]:
    """Errors grouped by message, the first `most` of them."""
    return [
        {"phase": one.phase, "reason": one.reason, "accessions": one.accessions}
        for one in islice(summary.failures, most)
    ]


def line_rows(summary: Summary, most: int = 500) -> list[TableRow]:
    """The first `most` rows of a detailed report, by partition."""
    return [_row(line, summary) for line in islice(summary.lines, most)]


def _row(line: Line, summary: Summary) -> TableRow:
    return {
        "partition": line.partition_key or f"row {line.row_number}",
        # In a row that was not accepted, anything may stand in the place of the subject.
        "subject": line.subject_id if line.partition_key else "",
        "bucket": line.bucket,
        "state": line.state.value if line.state else "",
        "phase": "" if line.phase is None else f"{line.phase:02d}",
        "reason": line.reason,
        "changed": ", ".join(line.changed),
        "last_change": second(line.last_change),
        "since": since(line.last_change, summary.as_of),
        "instances": _number(line.instances),
        "withheld": _number(line.withheld),
    }


def _number(value: int | None) -> str:
    """As text, because a column of Dagster's has one type and an empty cell is no number."""
    return "" if value is None else str(value)
