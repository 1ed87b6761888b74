"""`locutus preload` and `locutus preset`: mark a batch before it is processed.

What belongs here: the commands' options, and how a plan is shown. What does not: the rules
(`pipeline/preloading.py`) and writing (`ledger/preloading.py`).

Only `--apply` changes anything. Exit codes: 0 all fine, 2 some accessions were not marked, or the
file names some that no manifest does; 1 it could not work.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from locutus_dagster.cli.console import FAILED, err, errors_for_people, escape, out
from locutus_dagster.cli.selecting import (
    AccessionFile,
    ChangedSince,
    Everything,
    Statuses,
    Subjects,
    Workspace,
    selected,
    some_selected,
)
from locutus_dagster.cli.tables import make_table, print_table

if TYPE_CHECKING:
    from locutus_dagster.ledger import Ledger
    from locutus_dagster.ledger.preloading import Marked
    from locutus_dagster.ledger.selection import Selection
    from locutus_dagster.pipeline.preloading import Mode, Preload
    from locutus_dagster.settings import Settings

__all__ = ["preload_command", "preset_command"]

_INTERRUPTED = "Interrupted. What was marked stays so; run the same command again to go on."
_LINES_NAMED = 10

Manifests = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MANIFEST]...",
        help="Names of loaded manifests; without one, by filter.",
        show_default=False,
    ),
]
Suffix = Annotated[
    str | None,
    typer.Option(
        help="A name for the batch, shown after its status; it names nobody. Default: the "
        "reference's.",
        show_default=False,
    ),
]
Apply = Annotated[bool, typer.Option("--apply", help="Write it; without this nothing is changed.")]


def preload_command(
    manifest: Manifests = None,
    workspace: Workspace = "default",
    status: Statuses = None,
    subject: Subjects = None,
    accession_file: AccessionFile = None,
    changed_since: ChangedSince = None,
    everything: Everything = False,
    suffix: Suffix = None,
    force_reprocess: Annotated[
        bool,
        typer.Option("--force-reprocess", help="Ask for what is finished to be processed again."),
    ] = False,
    apply: Apply = False,
) -> None:
    """Mark what a run is going to process, so that it can be followed; finished ones stay."""
    with errors_for_people(_INTERRUPTED):
        from locutus_dagster.pipeline.preloading import PRELOADED, Mode

        asked_for = selected(manifest, status, subject, accession_file, changed_since)
        chosen = some_selected(asked_for, everything)
        mode = Mode.FORCED if force_reprocess else Mode.PRELOAD
        _carry_out(workspace, chosen, mode, suffix, PRELOADED, apply=apply)


def preset_command(
    manifest: Manifests = None,
    workspace: Workspace = "default",
    status: Statuses = None,
    subject: Subjects = None,
    accession_file: AccessionFile = None,
    changed_since: ChangedSince = None,
    everything: Everything = False,
    suffix: Suffix = None,
    apply: Apply = False,
) -> None:
    """Ask for what has been processed again, finished or not; what is pending stays."""
    with errors_for_people(_INTERRUPTED):
        from locutus_dagster.pipeline.preloading import REPROCESSING, Mode

        asked_for = selected(manifest, status, subject, accession_file, changed_since)
        chosen = some_selected(asked_for, everything)
        _carry_out(workspace, chosen, Mode.PRESET, suffix, REPROCESSING, apply=apply)


def _carry_out(
    workspace: str,
    chosen: Selection,
    mode: Mode,
    suffix: str | None,
    default: str,
    *,
    apply: bool,
) -> None:
    from locutus_dagster.pipeline.choosing import check_names, unknown_accessions
    from locutus_dagster.pipeline.labels import checked_label
    from locutus_dagster.pipeline.preloading import apply_preload, plan_preload
    from locutus_dagster.settings import load_settings

    settings = load_settings()
    settings.workspace(workspace)
    ledger = _open(settings, apply)
    try:
        check_names(ledger, workspace, chosen)
        unknown = unknown_accessions(ledger, workspace, chosen)
        label = default if suffix is None else suffix
        if label != default:
            numbers, _ = ledger.identifiers_of_workspace(workspace)
            label = checked_label(label, numbers)
        plan = plan_preload(ledger, workspace, chosen, label, mode)
        _show(plan, workspace)
        marked = apply_preload(ledger, plan) if apply else None
    finally:
        ledger.close()
    _say_unknown(unknown, workspace)
    if marked is None:
        _say("\nDry run: nothing was changed. With --apply it is written.")
    else:
        _say_marked(marked, plan, workspace)
    if unknown or (marked is not None and (marked.left or plan.in_hand)):
        raise typer.Exit(FAILED)


def _open(settings: Settings, apply: bool) -> Ledger:
    from locutus_dagster.ledger import Ledger

    if apply:
        return Ledger.open(settings.find_ledger)
    return Ledger.open_existing(settings.find_ledger)


def _show(plan: Preload, workspace: str) -> None:
    count = len(plan.entries)
    _say(
        f"{_named(plan)} in workspace '{workspace}': {count:,} "
        f"{'accession' if count == 1 else 'accessions'}, suffix '{plan.label}'."
    )
    if not count:
        return
    table = make_table("accessions", "state", "what is done", "status", right=["accessions"])
    for (rule, state, shown), number in plan.counts.items():
        table.add_row(f"{number:,}", state.value, rule.value, escape(shown) or "as it is")
    print_table(table)


def _named(plan: Preload) -> str:
    return plan.mode.value[:1].upper() + plan.mode.value[1:]


def _say_unknown(lines: Sequence[int], workspace: str) -> None:
    if lines:
        some = ", ".join(map(str, lines[:_LINES_NAMED])) + (" …" if lines[_LINES_NAMED:] else "")
        _complain(
            f"{len(lines)} of the file's accessions are in no manifest of workspace '{workspace}' "
            f"(lines {some}); they are left out."
        )


def _say_marked(marked: Marked, plan: Preload, workspace: str) -> None:
    _say(f"\nMarked: {marked.written:,}. Marked so before: {marked.already:,}.")
    left = len(marked.left) + plan.in_hand
    if left:
        _complain(
            f"Not marked: {left:,}, because a worker has them in hand or has just been at them. "
            "Run the same command again to mark those, too."
        )
    if marked.written or marked.already:
        named = f"-w {workspace} --label {shlex.quote(plan.label)}"
        _say(f"To follow the batch: locutus status {named}")


def _say(line: str) -> None:
    out.print(line, markup=False, highlight=False, soft_wrap=True)


def _complain(line: str) -> None:
    err.print(line, style="yellow", markup=False, highlight=False, soft_wrap=True)
