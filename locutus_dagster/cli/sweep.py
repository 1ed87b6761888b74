"""`locutus sweep`: what lies in this host's scratch folder, and removing what nobody needs.

What belongs here: what a person sees of a sweep. What does not: the sweep (`pipeline/sweeping.py`).
Paths of rooms carry numbers of the ledger and identify nobody; foreign files are not named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from locutus_dagster.cli.console import FAILED, err, errors_for_people, escape, out

if TYPE_CHECKING:
    from locutus_dagster.pipeline.sweep_report import SweepReport
    from locutus_dagster.settings import Settings

__all__ = ["sweep_command"]

_DAYS = 7.0


def sweep_command(
    workspace: Annotated[
        str | None,
        typer.Option("--workspace", "-w", help="Sweep this project alone. Default: all of them."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; show what would be done.")
    ] = False,
    max_age_days: Annotated[
        float,
        typer.Option(min=0, help="Days that an identified file may wait for a rerun."),
    ] = _DAYS,
) -> None:
    """Remove from this host's scratch folder what nobody needs any more."""
    with errors_for_people():
        from datetime import timedelta

        from locutus_dagster.ledger import Ledger
        from locutus_dagster.pipeline.sweeping import sweep
        from locutus_dagster.settings import load_settings

        settings = load_settings()
        if workspace is not None and not _has_folder(settings, workspace):
            settings.workspace(workspace)  # says which there are
        ledger = Ledger.open(settings.find_ledger)
        try:
            report = sweep(
                settings,
                ledger,
                workspace=workspace,
                dry_run=dry_run,
                max_age=timedelta(days=max_age_days),
            )
        finally:
            ledger.close()
        _show(report)
        if report.stuck:
            raise typer.Exit(FAILED)


def _has_folder(settings: Settings, workspace: str) -> bool:
    """Whether a workspace, which need not be configured any more, has files left here."""
    scratch = settings.scratch_dir
    return scratch.is_dir() and any(entry.name == workspace for entry in scratch.iterdir())


def _show(report: SweepReport) -> None:
    from locutus_dagster.cli.lines import print_lines
    from locutus_dagster.pipeline.sweep_report import Why

    out.print(
        escape(f"{report.scratch} on {report.host}: {report.rooms} rooms, {report.in_use} in use."),
        highlight=False,
        soft_wrap=True,
    )
    groups = report.groups()
    if groups:
        rows = [(done, str(files), f"{size:,}", why) for done, why, files, size in groups]
        print_lines(("done", "files", "bytes", "why"), rows, [None] * len(rows))
    else:
        out.print("There is nothing to sweep.")
    for one in report.left:
        if one.why is not Why.RESUMABLE and one.why is not Why.KEPT:
            out.print(escape(f"left: {one.path} {one.reason}"), highlight=False, soft_wrap=True)
    if report.identified_left:
        err.print(
            f"[yellow]{report.identified_left} identified files lie there.[/yellow]",
            highlight=False,
        )
    for host, files in sorted(report.elsewhere.items()):
        out.print(
            escape(f"The ledger has {files} files on host {host}; sweep there, too."),
            highlight=False,
            soft_wrap=True,
        )
