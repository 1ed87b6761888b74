"""`locutus pause` and `locutus resume`: the switch, as people use it.

What belongs here: which switch is meant, and what is said about it. What does not: what stops
(`pipeline/queueing.py`), and how Dagster shows it (`defs/pause.py`).
"""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from locutus_dagster.cli.console import err, errors_for_people, escape, out
from locutus_dagster.errors import LocutusError, describe_unexpected

if TYPE_CHECKING:
    from locutus_dagster.ledger import Ledger
    from locutus_dagster.ledger.pauses import PauseRecord
    from locutus_dagster.settings import Settings

__all__ = ["pause_command", "resume_command"]

_LONGEST = 190  # characters of a node's name, which the ledger has room for

Node = Annotated[
    str | None,
    typer.Option(metavar="HOST", help="One node alone: its name as 'hostname' says it there."),
]
Module = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="One module alone: processing (DICOM_OnPrem), or summarizer."
    ),
]


def pause_command(
    node: Node = None,
    module: Module = None,
    reason: Annotated[
        str,
        typer.Option(
            help="Why, for everybody who looks. It is shown in Dagster and in reports, so write "
            "no accession number, name or other identifier into it."
        ),
    ] = "",
    show: Annotated[
        bool, typer.Option("--list", help="Show how the switches stand, and change nothing.")
    ] = False,
) -> None:
    """Let the whole system, a node or a module stop after what it has in hand."""
    with errors_for_people():
        from locutus_dagster.pipeline.queueing import told
        from locutus_dagster.settings import load_settings

        if show and (node or module or reason):
            raise typer.BadParameter("--list shows every switch; give it without other options.")
        settings = load_settings()
        ledger = _open(settings)
        try:
            if show:
                _show(ledger.pauses())
                return
            scope, reason = _scope(node, module), " ".join(reason.split())
            ledger.set_pause(scope, True, reason=reason, by=_who())
            out.print(escape(_begin(told(scope, reason))) + ".", highlight=False, soft_wrap=True)
            out.print(
                "What is at hand will be finished, and nothing else is begun. Go on with: "
                f"[bold]locutus resume{escape(_options(node, module))}[/bold]",
                highlight=False,
                soft_wrap=True,
            )
            _tell_of_another_node(node)
            _tell_dagster(settings, ledger)
        finally:
            ledger.close()


def resume_command(
    node: Node = None,
    module: Module = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Whatever is paused, nodes and modules included.")
    ] = False,
) -> None:
    """Let what was paused go on: the next run takes up what was left."""
    with errors_for_people():
        from locutus_dagster.settings import load_settings

        if everything and (node or module):
            raise typer.BadParameter("--all means every switch; give it without other options.")
        settings = load_settings()
        ledger = _open(settings)
        try:
            paused = [switch.scope for switch in ledger.pauses() if switch.paused]
            wanted = paused if everything else [_scope(node, module)]
            for scope in wanted:
                if scope in paused:
                    ledger.set_pause(scope, False, by=_who())
                    out.print(escape(f"{_named(scope)} runs again."), highlight=False)
                else:
                    out.print(escape(f"{_named(scope)} was not paused."), highlight=False)
            if not wanted:
                out.print("Nothing was paused.")
            _tell_of_another_node(node)
            _tell_what_is_paused_still(ledger.pauses())
            _tell_dagster(settings, ledger)
        finally:
            ledger.close()


def _open(settings: Settings) -> Ledger:
    from locutus_dagster.ledger import Ledger

    return Ledger.open(settings.find_ledger)


def _scope(node: str | None, module: str | None) -> str:
    from locutus_dagster.ledger.pauses import MODULES, SYSTEM, module_scope, node_scope

    if node is not None and module is not None:
        raise typer.BadParameter("Give --node or --module, not both; they are two switches.")
    if node is not None:
        if not node or len(node) > _LONGEST or not node.isprintable() or " " in node:
            raise LocutusError("That is not the name of a host.", "Give what 'hostname' says.")
        return node_scope(node)
    if module is None:
        return SYSTEM
    try:
        return module_scope(module)
    except KeyError:
        known = ", ".join(f"{name} ({', '.join(others)})" for name, others in MODULES.items())
        raise LocutusError(
            f"There is no module '{module}'.", f"There are: {known}; main_Locutus is the system."
        ) from None


def _named(scope: str) -> str:
    from locutus_dagster.ledger.pauses import SYSTEM

    return "The system" if scope == SYSTEM else _begin(scope.replace(":", " ", 1))


def _begin(text: str) -> str:
    return text[:1].upper() + text[1:]


def _options(node: str | None, module: str | None) -> str:
    return f" --node {node}" if node else f" --module {module}" if module else ""


def _who() -> str:
    from locutus_dagster.pipeline.host import HOST

    try:
        return f"{getpass.getuser()}@{HOST}"
    except (KeyError, OSError):  # a container may run under a number without a name
        return f"somebody@{HOST}"


def _show(switches: Iterable[PauseRecord]) -> None:
    from locutus_dagster.cli.lines import print_lines

    rows = [
        (
            switch.scope,
            "paused" if switch.paused else "running",
            switch.changed_at.strftime("%Y-%m-%d %H:%M:%S UTC"),
            switch.changed_by or "-",
            switch.reason or "-",
        )
        for switch in switches
    ]
    if not rows:
        out.print("Nothing is paused, and never was.")
        return
    colours = ["yellow" if row[1] == "paused" else None for row in rows]
    print_lines(("switch", "stands", "since", "by", "reason"), rows, colours)


def _tell_of_another_node(node: str | None) -> None:
    from locutus_dagster.pipeline.host import HOST

    if node is not None and node != HOST:
        err.print(
            f"[yellow]This host is {escape(HOST)}; the switch is for a host that calls itself "
            f"{escape(node)}.[/yellow]",
            highlight=False,
            soft_wrap=True,
        )


def _tell_what_is_paused_still(switches: Iterable[PauseRecord]) -> None:
    from locutus_dagster.pipeline.queueing import told

    for switch in switches:
        if switch.paused:
            words = told(switch.scope, switch.reason).replace(" is paused", " is still paused", 1)
            err.print(f"[yellow]{escape(_begin(words))}[/yellow]", highlight=False, soft_wrap=True)


def _tell_dagster(settings: Settings, ledger: Ledger) -> None:
    """Show it in the UI at once; the switch is set, whether that works or not."""
    from locutus_dagster.defs.pause import show_pause

    try:
        show_pause(settings, ledger.pauses())
    except Exception as error:  # noqa: BLE001 - Dagster's own troubles must not keep one from pausing
        err.print(
            "[yellow]The switch is set, but Dagster could not be told "
            f"({escape(describe_unexpected(error))}). Its check 'not_paused' will show it when it "
            "is executed.[/yellow]",
            highlight=False,
            soft_wrap=True,
        )
