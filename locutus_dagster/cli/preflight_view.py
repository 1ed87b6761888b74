"""What a person sees of a preflight: a line for each record, totals, warnings.

What belongs here: lines, columns and colours. What does not: what a record or a total is
(`pipeline/foreseen.py`, `pipeline/preflight_report.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from locutus_dagster.cli.console import escape
from locutus_dagster.ledger import WorkItem
from locutus_dagster.pipeline.foreseen import Foreseen
from locutus_dagster.pipeline.preflight_report import (
    Circumstances,
    PreflightSummary,
    in_words,
    unplaced,
)

__all__ = ["Lines", "show_totals", "show_warnings"]

_NARROWEST = len("accession")


class Lines:
    """Prints records one by one, under a header that comes with the first."""

    def __init__(
        self, items: Sequence[WorkItem], summary: PreflightSummary, out: Console, accessions: bool
    ) -> None:
        self._summary, self._out, self._accessions = summary, out, accessions
        self._key = max([_NARROWEST, *(len(item.partition_key) for item in items)])
        self._number = max([_NARROWEST, *(len(item.accession_number) for item in items)])
        self._begun = False

    def line(self, record: Foreseen) -> None:
        """Print one record."""
        if not self._begun:
            self._begun = True
            self._print(
                "bold", "partition", "accession", "what would happen", "instances", "size", ""
            )
        attention = self._summary.attention_for(record)
        size = in_words(record.size) if record.works else ""
        instances = f"{record.instances:,}" if record.instances else ""
        self._print(
            "yellow" if attention else None,
            record.partition_key,
            record.accession_number,
            record.words,
            instances,
            size,
            "; ".join(self._summary.notes_on(record)),
        )

    def _print(
        self, style: str | None, key: str, number: str, would: str, count: str, size: str, note: str
    ) -> None:
        cells = [f"{key:<{self._key}}"]
        if self._accessions:
            cells.append(f"{number:<{self._number}}")
        cells += [f"{would:<28}", f"{count:>9}", f"{size:>9}", note]
        text = "  ".join(cells).rstrip()
        self._out.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def show_totals(summary: PreflightSummary, around: Circumstances, out: Console) -> None:
    """Print how many accessions would meet which fate, and how much there is to move."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("accessions", justify="right")
    table.add_column("what would happen")
    for would, count in summary.outcomes.most_common():
        table.add_row(f"{count:,}", would.value)
    table.add_row(f"[bold]{summary.items:,}[/bold]", "[bold]in all[/bold]")
    out.print()
    out.print(table)
    facts = [
        f"Work: {summary.instances:,} instances, {in_words(summary.size)}"
        + (
            f"; {summary.resumable:,} gone on with from interim files."
            if summary.resumable
            else "."
        ),
        f"Delivery: up to {in_words(summary.delivery)}" + _beside("free", around.target_free),
        f"Scratch space: {in_words(summary.largest)} for the largest study"
        + _beside("allowed", around.scratch_limit)
        + _beside("free", around.scratch_free),
    ]
    if summary.withheld:
        reasons = ", ".join(
            f"{count:,} {reason}" for reason, count in summary.withheld.most_common()
        )
        facts.insert(
            1, f"Certain to be withheld: {summary.instances_withheld:,} instances ({reasons})."
        )
    out.print()
    for fact in facts:
        out.print(fact, markup=False, highlight=False, soft_wrap=True)


def _beside(word: str, size: int | None) -> str:
    return "" if size is None else f"; {in_words(size)} {word}"


def show_warnings(summary: PreflightSummary, unknown: Sequence[int], out: Console) -> None:
    """Print what to see to before a run; `unknown` are lines of an accession file."""
    found = [*unplaced(unknown), *summary.warnings()]
    if found:
        out.print()
    for warning in found:
        out.print(f"[yellow]! {escape(warning)}[/yellow]", highlight=False, soft_wrap=True)
