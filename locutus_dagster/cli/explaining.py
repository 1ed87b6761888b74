"""What `locutus deid --explain` prints.

What belongs here: the verdict, and the columns of the lines. What does not: what they say
(`deid/explain.py`).
"""

from __future__ import annotations

from collections import Counter

import typer

from locutus_dagster.cli.lines import print_lines
from locutus_dagster.deid import Policy
from locutus_dagster.deid.explain import Explained, Explanation, Result
from locutus_dagster.deid.standard.names import sop_class_name

__all__ = ["print_explanation"]

_HEADER = ("tag", "attribute", "VR", "Type", "action", "result", "why")
_COLOURS = {
    Result.CHANGED: typer.colors.YELLOW,
    Result.EMPTIED: typer.colors.YELLOW,
    Result.REMOVED: typer.colors.RED,
    Result.ADDED: typer.colors.CYAN,
}


def print_explanation(explanation: Explanation, policy: Policy) -> None:
    """Print an explanation to standard output: the verdict first, then a line for each element."""
    sop_class = sop_class_name(explanation.sop_class) or explanation.sop_class or "no SOP class"
    typer.echo(f"{sop_class}, policy {policy.name} ({policy.fingerprint})")
    if explanation.reason:
        typer.secho(f"withheld: {explanation.reason}", fg=typer.colors.RED, bold=True)
        for place in explanation.residue:
            typer.echo(f"  an identifier would be left at {place}")
    else:
        typer.secho("de-identified and delivered", fg=typer.colors.GREEN, bold=True)
    if not explanation.rows:
        return
    typer.echo()
    rows = explanation.rows
    print_lines(_HEADER, [_cells(row) for row in rows], [_COLOURS.get(r.result) for r in rows])
    counts = Counter(row.result for row in rows)
    totals = ", ".join(f"{counts[result]} {result}" for result in Result if counts[result])
    typer.echo(f"\n{len(rows)} lines: {totals}.")
    typer.echo("File meta information and preamble are written anew.")


def _cells(row: Explained) -> tuple[str, ...]:
    kind = "?" if row.type is None else str(row.type)
    name = row.name or "not in the data dictionary"
    return row.path, name, row.vr, kind, row.action, row.result.value, row.source
