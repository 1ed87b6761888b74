"""The rows of `locutus status --list`: a line for each, or an object for each in JSON.

What belongs here: what a line says. What does not: the command (`status.py`), reading the rows
(`ledger/overview.py`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.reference_status import status

if TYPE_CHECKING:
    from locutus_dagster.ledger.overview import ListedRow
    from locutus_dagster.ledger.selection import Selection

__all__ = ["print_json", "print_list"]

_LINES_AT_ONCE = 1000


def print_list(ledger: Ledger, workspace: str, chosen: Selection, accessions: bool) -> None:
    """Print one line for each row, in plain text: a hundred thousand of them take a second."""
    lines: list[str] = []
    total = 0
    for row in ledger.listing(workspace, chosen):
        number = f"{row.accession_number or '-':<16}  " if accessions else ""
        place = row.partition_key or f"{row.manifest}, line {row.line}"
        lines.append(f"{place:<24}  {number}{_status_of(row):<32}  {_reason_of(row)}".rstrip())
        total += 1
        if len(lines) == _LINES_AT_ONCE:
            typer.echo("\n".join(lines))
            lines.clear()
    lines.append(f"{total:,} rows" if total != 1 else "1 row")
    typer.echo("\n".join(lines))


def print_json(
    facts: dict[str, Any], ledger: Ledger, workspace: str, chosen: Selection, accessions: bool
) -> None:
    """Print one object: `facts`, and the rows as they are read, each on a line of its own."""
    opening = json.dumps(facts, indent=2, ensure_ascii=False).removesuffix("\n}")
    pieces = [f'{opening},\n  "rows": [']
    separator = "\n"
    for row in ledger.listing(workspace, chosen):
        pieces.append(
            f"{separator}    {json.dumps(_row_facts(row, accessions), ensure_ascii=False)}"
        )
        separator = ",\n"
        if len(pieces) > _LINES_AT_ONCE:
            typer.echo("".join(pieces), nl=False)
            pieces.clear()
    typer.echo("".join([*pieces, "\n  ]\n}"]))


def _row_facts(row: ListedRow, accessions: bool) -> dict[str, Any]:
    return {
        "manifest": row.manifest,
        "row": row.row_number,
        "line": row.line,
        "partition": row.partition_key,
        **({"accession_number": row.accession_number} if accessions else {}),
        "state": row.state.value if row.state else None,
        "status": _status_of(row),
        "reason": _reason_of(row),
        "in_hand": row.in_hand,
        "on_deck": row.on_deck,
        "label": row.label,
    }


def _status_of(row: ListedRow) -> str:
    """The reference's status, as far as a filter takes it: without a reason in brackets."""
    if row.rejected or row.state is None:
        return "REJECTED"
    if row.partition_key is None:
        return "DUPLICATE"
    if row.changed and row.state is State.DELIVERED and not row.in_hand:
        return "PREVIOUS_PROCESSING_USED"
    found = status(
        row.state,
        row.phase,
        label=row.label,
        command=row.command,
        in_hand=row.in_hand,
        on_deck=row.on_deck,
    )
    return found.partition("=")[0]


def _reason_of(row: ListedRow) -> str:
    if row.rejected and row.rejected_column:
        return f"{row.rejected_column}: {row.reason}"
    if row.partition_key is None and not row.rejected:
        return "an earlier row names the same accession"
    if row.changed and not row.reason:
        return f"changed since it was delivered: {row.changed.replace(',', ', ')}"
    return " ".join(row.reason.split())
