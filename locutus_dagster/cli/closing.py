"""The table that closes a run: how each row ended, and totals that add up to the rows.

What belongs here: lines and colours. What does not: running (`running.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from locutus_dagster.ledger import Ledger, State, WorkItem
from locutus_dagster.ledger.reference_status import status
from locutus_dagster.ledger.states import MEANINGS

__all__ = ["show_closing"]

_WIDE = 400  # columns; lines are only as long as they need to be
_MOST_LINES = 200
_COLOURS = {
    State.DELIVERED: "green",
    State.PENDING: "yellow",
    State.WAITING: "yellow",
    State.LOADED: "dim",
    State.DROPPED: "dim",
    State.REQUESTED: "yellow",
}


def show_closing(
    ledger: Ledger,
    items: Sequence[WorkItem],
    without_work: Mapping[str, int],
    out: Console,
    accessions: bool,
) -> None:
    """Print one line for each accession, the totals, and what was withheld.

    Of a large batch only those lines are printed that a person has to look at.

    Args:
        without_work: rows of the manifest that were not processed at all, by why.
        accessions: whether accession numbers are shown.
    """
    shown, left_out = _worth_a_line(items)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("partition", *(("accession",) if accessions else ()), "status"):
        table.add_column(column)
    for column in ("delivered", "withheld"):
        table.add_column(column, justify="right")
    table.add_column("where the zip lies, or why not")
    for item in shown:
        table.add_row(*_line(ledger, item, accessions))
    out.print()
    # As wide as it needs to be: a path that is folded into a narrow column cannot be copied.
    wide = Console(width=_WIDE, force_terminal=out.is_terminal)
    with wide.capture() as captured:
        wide.print(table)
    for line in captured.get().splitlines():
        out.print(Text.from_ansi(line.rstrip()), soft_wrap=True)
    if left_out:
        out.print(f"… and {left_out} more: locutus status --list", highlight=False)
    counts = Counter("changed" if item.changed else item.state.value for item in items)
    totals = ", ".join(f"{count} {word}" for word, count in counts.items())
    out.print(f"\n{len(items)} accessions: {totals}.", highlight=False)
    if without_work:
        rows = len(items) + sum(without_work.values())
        rest = ", ".join(f"{count} {word}" for word, count in without_work.items())
        out.print(f"{rows} rows: {len(items)} accessions, {rest}.", highlight=False)
    _show_withheld(ledger, items, out)
    _show_to_withdraw(ledger, items, out)


def _show_to_withdraw(ledger: Ledger, items: Sequence[WorkItem], out: Console) -> None:
    """Print how many deliveries were to be removed from their target and still lie there."""
    shown = {item.accession_id for item in items}
    workspaces = {item.workspace for item in items}
    noted = [found for name in workspaces for found in ledger.to_withdraw(name)]
    left = sum(accession_id in shown for accession_id, _ in noted)
    if left:
        out.print(
            f"[yellow]{left} deliveries are still to be withdrawn[/yellow]: look at the target, "
            "and run again.",
            highlight=False,
            soft_wrap=True,
        )


def _worth_a_line(items: Sequence[WorkItem]) -> tuple[Sequence[WorkItem], int]:
    if len(items) <= _MOST_LINES:
        return items, 0
    open_ones = [item for item in items if item.state is not State.DELIVERED or item.changed]
    shown = open_ones[:_MOST_LINES]
    return shown, len(items) - len(shown)


def _line(ledger: Ledger, item: WorkItem, accessions: bool) -> list[str]:
    delivered = item.state is State.DELIVERED and not item.changed
    colour = _COLOURS.get(item.state, "red")
    shown = status(item.state, item.phase, "…", label=item.label, on_deck=item.on_deck)
    if delivered:
        where = _near(ledger.standing(item.accession_id)[-1].uri)
    elif item.changed:
        colour, shown = "yellow", "PREVIOUS_PROCESSING_USED"
        where = (
            f"changed since it was delivered: {item.changed.replace(',', ', ')}; again with "
            "--reprocess preretire-only-changed"
        )
    else:
        where = item.reason or MEANINGS[item.state]
    return [
        item.partition_key,
        *((escape(item.accession_number),) if accessions else ()),
        f"[{colour}]{escape(shown)}[/{colour}]",
        str(item.delivered) if delivered else "-",
        "-" if item.withheld is None else str(item.withheld),
        escape(where),
    ]


def _show_withheld(ledger: Ledger, items: Sequence[WorkItem], out: Console) -> None:
    """Print how many instances were withheld for which reason, residue so that it is seen."""
    from locutus_dagster.deid import RESIDUE

    withheld = ledger.withheld_by_reason([item.accession_id for item in items])
    if not withheld:
        return
    reasons = ", ".join(
        f"[yellow]{count} {reason}[/yellow]" if reason == RESIDUE else f"{count} {reason}"
        for reason, count in withheld.items()
    )
    out.print(
        f"Withheld instances: {reasons}. Each one: [bold]locutus report PARTITION[/bold]",
        highlight=False,
        soft_wrap=True,
    )


def _near(uri: str) -> str:
    """A local delivery's path, as seen from here where that is shorter."""
    if not uri.startswith("file://"):
        return uri
    path = Path(unquote(uri.removeprefix("file://")))
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
