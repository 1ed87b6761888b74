"""`locutus status`: how the rows of a workspace stand, at a glance, in a list, or watched.

What belongs here: the command, and how the numbers are laid out. What does not: counting
(`ledger/overview.py`), the words of a filter (`pipeline/choosing.py`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from locutus_dagster.cli.console import errors_for_people, escape, out
from locutus_dagster.cli.selecting import (
    ChangedSince,
    Statuses,
    Subjects,
    Workspace,
    selected,
    workspace_known,
)
from locutus_dagster.errors import LocutusError

if TYPE_CHECKING:
    from rich.console import Group, RenderableType

    from locutus_dagster.ledger import Ledger
    from locutus_dagster.ledger.connection import LedgerAddress
    from locutus_dagster.ledger.selection import Selection

__all__ = ["status_command"]

_WINDOW = 10  # minutes that the pace is measured over
_LEAST = 60.0  # seconds; two deliveries a moment apart say nothing of a pace yet
_MOST_FAILURES = 10
_WIDEST = 2000
_LOAD = "Load a manifest with: locutus load-manifest FILE.csv"
_COLOURS = {
    "delivered": "green",
    "pending": "yellow",
    "waiting": "yellow",
    "requested": "yellow",
    "changed": "yellow",
    "ambiguous": "red",
    "failed": "red",
    "rejected": "red",
}


def status_command(
    manifest: Annotated[
        str | None,
        typer.Argument(help="The name of a loaded manifest; by default all of them."),
    ] = None,
    workspace: Workspace = "default",
    status: Statuses = None,
    subject: Subjects = None,
    since: ChangedSince = None,
    label: Annotated[
        list[str] | None,
        typer.Option(help="Only accessions of the batch with this label, or preloaded with it."),
    ] = None,
    as_list: Annotated[
        bool, typer.Option("--list", help="A line for each row: partition, status, reason.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")
    ] = False,
    every: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="How often --watch looks.")
    ] = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    accessions: Annotated[
        bool,
        typer.Option(
            "--accessions",
            help="Show accession numbers in the list (not where output is kept as a log).",
        ),
    ] = False,
) -> None:
    """Show how the rows of the loaded manifests stand."""
    with errors_for_people():
        from locutus_dagster.cli.status_list import print_json, print_list
        from locutus_dagster.pipeline.choosing import check_names
        from locutus_dagster.settings import load_settings

        if watch and (as_list or as_json):
            raise LocutusError(
                "--watch shows the tables, and neither a list nor JSON.", "Leave one of them out."
            )
        settings = load_settings()
        address = settings.find_ledger
        chosen = selected(manifest, status, subject, changed_since=since, labels=label)
        with _opened(address) as ledger:
            workspace_known(workspace, settings.workspaces, ledger.workspaces())
            check_names(ledger, workspace, chosen)
            if as_list and not as_json:
                print_list(ledger, workspace, chosen, accessions)
                return
            facts = _facts(ledger, workspace, chosen)
            if as_json and as_list:
                print_json(facts, ledger, workspace, chosen, accessions)
                return
        if as_json:
            typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
            return
        if watch and out.is_terminal:
            _watch(address, workspace, chosen, every, facts)
            return
        _print(facts)


@contextmanager
def _opened(address: LedgerAddress) -> Iterator[Ledger]:
    from locutus_dagster.ledger import Ledger

    ledger = Ledger.open_existing(address)
    try:
        yield ledger
    finally:
        ledger.close()


def _facts(ledger: Ledger, workspace: str, chosen: Selection) -> dict[str, Any]:
    """The numbers, as JSON has them and as the tables show them."""
    from datetime import timedelta

    from locutus_dagster.cli.show_facts import when
    from locutus_dagster.ledger.overview import OPEN

    counts = ledger.counts(workspace, chosen)
    pace = ledger.pace(workspace, timedelta(minutes=_WINDOW), chosen)
    still_open = ledger.accessions_in(workspace, OPEN, chosen)
    busy = sum(one.in_hand for one in counts)
    minutes = max(pace.seconds, _LEAST) / 60
    return {
        "workspace": workspace,
        "filtered": not chosen.everything,
        "manifests": [
            {
                "manifest": one.manifest,
                "rows": one.rows,
                "states": {state.value: number for state, number in one.states.items()},
                "rejected": one.rejected,
                "duplicates": one.duplicates,
                "in_hand": one.in_hand,
                "changed": one.changed,
                "on_deck": one.on_deck,
            }
            for one in counts
        ],
        "open_accessions": still_open,
        "pace": {
            "window_minutes": _WINDOW,
            "delivered": pace.delivered,
            "delivered_per_minute": round(pace.delivered / minutes, 2),
            "settled_per_minute": round(pace.settled / minutes, 2),
            # Only while somebody works: else there is no end that comes nearer.
            "minutes_to_the_end": round(still_open * minutes / pace.settled, 1)
            if busy and pace.settled and still_open
            else None,
        },
        "failures": [
            {"phase": one.phase, "reason": one.reason, "accessions": one.accessions}
            for one in ledger.failures(workspace, chosen)
        ],
        "paused": [
            {
                "scope": one.scope,
                "reason": one.reason,
                "by": one.changed_by,
                "since": when(one.changed_at),
            }
            for one in ledger.pauses()
            if one.paused
        ],
    }


def _print(facts: dict[str, Any]) -> None:
    from rich.table import Table

    from locutus_dagster.cli.tables import print_table

    for part in _parts(facts):
        if isinstance(part, Table):
            print_table(part)
        else:
            out.print(part, soft_wrap=True, highlight=False)


def _watch(
    address: LedgerAddress, workspace: str, chosen: Selection, every: float, facts: dict[str, Any]
) -> None:
    """Show the numbers anew every few seconds, until Ctrl-C; what was shown last stays."""
    from rich.console import Group
    from rich.live import Live

    def shown(note: str = "") -> Group:
        ends = f"{note}every {every:g} s; Ctrl-C ends it"
        return Group(*_parts(facts), f"\n[dim]{escape(ends)}[/dim]")

    try:
        with Live(shown(), console=out, auto_refresh=False) as live:
            while True:
                time.sleep(every)
                note = ""
                try:
                    with _opened(address) as ledger:
                        facts = _facts(ledger, workspace, chosen)
                except LocutusError as error:
                    note = f"{error.message} As it was before; "  # it may come back
                live.update(shown(note), refresh=True)
    except KeyboardInterrupt:
        return


def _parts(facts: dict[str, Any]) -> list[RenderableType]:
    """What is shown, from top to bottom."""
    manifests = facts["manifests"]
    if not manifests:
        if facts["filtered"]:
            return ["No row stands so."]
        return [f"Nothing was loaded into workspace {escape(facts['workspace'])} yet. {_LOAD}"]
    parts: list[RenderableType] = [
        f"[red]Paused[/red]: {escape(one['scope'])}"
        + (f", {escape(one['reason'])}" if one["reason"] else "")
        + f" (by {escape(one['by'] or 'unknown')}, {one['since']})"
        for one in facts["paused"]
    ]
    parts += _counts(manifests, facts["filtered"])
    parts.extend(_pace_lines(facts))
    if facts["failures"]:
        parts += ["", *_failures(facts["failures"])]
    return parts


def _counts(manifests: list[dict[str, Any]], filtered: bool) -> list[RenderableType]:
    """A table, or a sentence for each manifest on a terminal that is too narrow for the table."""
    from rich.measure import measure_renderables

    from locutus_dagster.cli.tables import make_table
    from locutus_dagster.ledger import State

    states = [
        state.value
        for state in State
        if any(state.value in one["states"] for one in manifests)
        or (state is State.DELIVERED and not filtered)
    ]
    without = [word for word in ("rejected", "duplicates") if any(one[word] for one in manifests)]
    beside = [
        word for word in ("in_hand", "on_deck", "changed") if any(one[word] for one in manifests)
    ]
    headings = [
        *(_coloured(word) for word in (*states, *without)),
        "rows",
        *(f"of which {_coloured(word)}" for word in beside),
    ]
    lines: list[tuple[str, list[int]]] = [
        (
            one["manifest"],
            [
                *(one["states"].get(state, 0) for state in states),
                *(one[word] for word in (*without, "rows", *beside)),
            ],
        )
        for one in manifests
    ]
    if len(lines) > 1:
        lines.append(
            ("together", [sum(column) for column in zip(*(n for _, n in lines), strict=True)])
        )
    table = make_table("manifest", *headings, right=headings)
    for name, numbers in lines:
        table.add_row(escape(name), *(f"{number:,}" if number else "-" for number in numbers))
    needed = measure_renderables(out, out.options.update(width=_WIDEST), [table]).maximum
    if not out.is_terminal or needed <= out.width:
        return [table]
    return [
        f"[bold]{escape(name)}[/bold]: "
        + ", ".join(
            f"{number:,} {heading}"
            for number, heading in zip(numbers, headings, strict=True)
            if number
        )
        for name, numbers in lines
    ]


def _coloured(word: str) -> str:
    colour = _COLOURS.get(word)
    shown = word.replace("_", " ")
    return f"[{colour}]{shown}[/{colour}]" if colour else shown


def _pace_lines(facts: dict[str, Any]) -> Iterator[str]:
    pace = facts["pace"]
    if pace["delivered"]:
        yield ""
        yield (
            f"{pace['delivered']:,} deliveries in the last {pace['window_minutes']} minutes, "
            f"{pace['delivered_per_minute']:g} a minute."
        )
    if pace["minutes_to_the_end"] is not None:
        yield (
            f"{facts['open_accessions']:,} accessions are still to come: about "
            f"{_span(pace['minutes_to_the_end'])}."
        )


def _span(minutes: float) -> str:
    if minutes < 1.5:
        return "a minute"
    if minutes < 90:
        return f"{minutes:.0f} minutes"
    hours = minutes / 60
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"


def _failures(failures: list[dict[str, Any]]) -> Iterator[RenderableType]:
    from locutus_dagster.cli.tables import make_table

    table = make_table("failed", "status", "reason", right=("failed",))
    for one in failures[:_MOST_FAILURES]:
        reason = " ".join(one["reason"].split())
        table.add_row(f"{one['accessions']:,}", f"ERROR_PHASE{one['phase']:02d}", escape(reason))
    yield table
    if len(failures) > _MOST_FAILURES:
        rest = failures[_MOST_FAILURES:]
        number = sum(one["accessions"] for one in rest)
        yield (
            f"… and {number:,} for {len(rest)} further reasons: "
            "locutus status --status failed --list"
        )
