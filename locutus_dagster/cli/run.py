"""`locutus run`: process accessions of a workspace, chosen by manifest or by filter.

What belongs here: the command's options. What does not: the run (`running.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from locutus_dagster.cli.console import err, errors_for_people, out
from locutus_dagster.cli.selecting import (
    AccessionFile,
    ChangedSince,
    Everything,
    Manifest,
    Statuses,
    Subjects,
    Workspace,
    selected,
    some_selected,
)
from locutus_dagster.run_modes import Reprocess, Sweep

if TYPE_CHECKING:
    from locutus_dagster.ledger.selection import Selection
    from locutus_dagster.settings import Settings

__all__ = ["run_command"]

_LINES_NAMED = 10


def run_command(
    manifest: Manifest = None,
    workspace: Workspace = "default",
    status: Statuses = None,
    subject: Subjects = None,
    accession_file: AccessionFile = None,
    changed_since: ChangedSince = None,
    everything: Everything = False,
    reprocess: Annotated[
        Reprocess | None, typer.Option(help="What becomes of accessions that are finished.")
    ] = None,
    withdraw: Annotated[
        bool | None,
        typer.Option("--withdraw/--keep", help="Remove superseded deliveries from their target."),
    ] = None,
    sweep: Annotated[
        Sweep | None,
        typer.Option(help="Which accessions that stand in the middle are gone on with."),
    ] = None,
    until_converged: Annotated[
        bool | None,
        typer.Option(
            "--until-converged/--once", help="Pass after pass until nothing is left that changes."
        ),
    ] = None,
    max_passes: Annotated[int | None, typer.Option(min=1, help="The most passes.")] = None,
    pass_wait: Annotated[
        float | None, typer.Option(min=0, help="Seconds between two passes.")
    ] = None,
    allow_duplicates: Annotated[
        bool | None,
        typer.Option(
            "--allow-duplicates/--no-duplicates",
            help="Process an accession again for each row that names it.",
        ),
    ] = None,
    check_source: Annotated[
        bool | None,
        typer.Option(
            "--check-source/--trust-ledger",
            help="Ask the source whether the studies of deliveries have changed.",
        ),
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="A name for this batch, kept with it; it names nobody.")
    ] = None,
    dry_run: Annotated[
        bool | None,
        typer.Option("--dry-run/--for-real", help="Say what would happen, and change nothing."),
    ] = None,
    force_success: Annotated[
        bool | None,
        typer.Option("--force-success/--honest", help="Exit with 0 where some accessions failed."),
    ] = None,
    accessions: Annotated[
        bool,
        typer.Option(
            "--accessions", help="Show accession numbers (not where output is kept as a log)."
        ),
    ] = False,
) -> None:
    """Process accessions in this process, through Dagster."""
    with errors_for_people():
        from locutus_dagster.cli.running import RunRequest, run_and_show
        from locutus_dagster.pipeline.options import RunOptions
        from locutus_dagster.settings import load_settings

        settings = load_settings()
        settings.workspace(workspace)
        asked_for = selected(manifest, status, subject, accession_file, changed_since)
        chosen = some_selected(asked_for, everything)
        _check(settings, workspace, chosen, label)
        asked: dict[str, Any] = {
            "reprocess": reprocess.value if reprocess else None,
            "withdraw": withdraw,
            "sweep": sweep.value if sweep else None,
            "until_converged": until_converged,
            "max_passes": max_passes,
            "pass_wait": pass_wait,
            "allow_processing_of_duplicates": allow_duplicates,
            "check_source": check_source,
            "label": label,
        }
        if settings.run.dry_run if dry_run is None else dry_run:
            from locutus_dagster.cli.preflight import show_dry_run

            options = RunOptions.of(settings, **asked)
            raise typer.Exit(
                show_dry_run(settings, workspace, chosen, options, out, err, accessions=accessions)
            )
        config = {
            "manifest": manifest,
            "status": status,
            "subject": subject,
            "accession_file": str(accession_file.absolute()) if accession_file else None,
            "changed_since": changed_since,
            "everything": everything or None,
            **asked,
        }
        request = RunRequest(
            chosen,
            {name: value for name, value in config.items() if value not in (None, [])},
            accessions,
            settings.run.force_success if force_success is None else force_success,
        )
        raise typer.Exit(run_and_show(settings, workspace, request, out, err))


def _check(settings: Settings, workspace: str, chosen: Selection, label: str | None) -> None:
    """Refuse names that the workspace does not know, and count numbers that it does not.

    Raises:
        LocutusError: a manifest or a subject is unknown, or the label names an accession; Dagster
            would keep it with the run, whose step looks at it too late.
    """
    from locutus_dagster.ledger import Ledger
    from locutus_dagster.pipeline.choosing import check_names, unknown_accessions
    from locutus_dagster.pipeline.labels import checked_label

    ledger = Ledger.open_existing(settings.find_ledger)
    try:
        if label is not None:
            numbers, _ = ledger.identifiers_of_workspace(workspace)
            checked_label(label, numbers)
        check_names(ledger, workspace, chosen)
        lines = unknown_accessions(ledger, workspace, chosen)
    finally:
        ledger.close()
    if lines:
        some = ", ".join(map(str, lines[:_LINES_NAMED])) + (" …" if lines[_LINES_NAMED:] else "")
        err.print(
            f"[yellow]{len(lines)} of the file's accessions are in no manifest of workspace "
            f"'{workspace}'[/yellow] (lines {some}); they are left out.",
            highlight=False,
            soft_wrap=True,
        )
