"""`locutus preflight`, and `locutus run --dry-run`: what a run would do, before anything moves.

What belongs here: the command's options, and the order of it. What does not: finding it out
(`pipeline/preflight.py`), totals and warnings (`pipeline/preflight_report.py`), what is printed
(`preflight_view.py`).

Nothing is changed anywhere: no claim, no state, no secret, no index, no file but a CSV that was
asked for. Exit codes: 0 all fine, 2 something needs attention, 1 it could not work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from locutus_dagster.cli.console import FAILED, err, errors_for_people, out
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
from locutus_dagster.errors import LocutusError
from locutus_dagster.run_modes import Reprocess

if TYPE_CHECKING:
    from rich.console import Console

    from locutus_dagster.ledger import WorkItem
    from locutus_dagster.ledger.selection import Selection
    from locutus_dagster.pipeline.foreseen import Foreseen
    from locutus_dagster.pipeline.options import RunOptions
    from locutus_dagster.pipeline.parts import Parts
    from locutus_dagster.pipeline.preflight_csv import PreflightCsv
    from locutus_dagster.settings import Settings

__all__ = ["preflight_command", "show_dry_run", "show_preflight"]

_INTERRUPTED = "Interrupted. Nothing was changed."
_MOST_LINES = 200


def preflight_command(
    manifest: Manifest = None,
    workspace: Workspace = "default",
    status: Statuses = None,
    subject: Subjects = None,
    accession_file: AccessionFile = None,
    changed_since: ChangedSince = None,
    everything: Everything = False,
    reprocess: Annotated[
        Reprocess | None, typer.Option(help="What would become of accessions that are finished.")
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Write one line for each accession; a file that is there is replaced.",
        ),
    ] = None,
    accessions: Annotated[
        bool,
        typer.Option(
            "--accessions",
            help="Show accession numbers, also in the CSV (not where output is kept as a log).",
        ),
    ] = False,
    details: Annotated[
        bool,
        typer.Option(
            "--details/--brief",
            help="Every accession, or only those that are worth a look.",
        ),
    ] = False,
) -> None:
    """Look at a whole selection before anything moves: what is found, missing, withheld, too large.

    Nothing is changed.
    """
    with errors_for_people(_INTERRUPTED):
        from locutus_dagster.pipeline.options import RunOptions
        from locutus_dagster.settings import load_settings

        settings = load_settings()
        settings.workspace(workspace)
        asked_for = selected(manifest, status, subject, accession_file, changed_since)
        chosen = some_selected(asked_for, everything)
        options = RunOptions.of(settings, reprocess=reprocess.value if reprocess else None)
        raise typer.Exit(
            show_preflight(
                settings,
                workspace,
                chosen,
                options,
                out,
                err,
                csv=csv,
                accessions=accessions,
                details=details,
            )
        )


def show_dry_run(
    settings: Settings,
    workspace: str,
    wanted: Selection | Sequence[WorkItem],
    options: RunOptions,
    out: Console,
    err: Console,
    *,
    accessions: bool = False,
) -> int:
    """Print what a run with these options would do about each accession; change nothing.

    Returns:
        The exit code: 0 all fine, 2 something needs attention.

    Raises:
        LocutusError: it cannot be found out: no ledger, no source, nothing of that name.
    """
    out.print("[bold]Dry run: nothing is changed.[/bold]")
    return show_preflight(
        settings, workspace, wanted, options, out, err, accessions=accessions, details=True
    )


def show_preflight(
    settings: Settings,
    workspace: str,
    wanted: Selection | Sequence[WorkItem],
    options: RunOptions,
    out: Console,
    err: Console,
    *,
    csv: Path | None = None,
    accessions: bool = False,
    details: bool = False,
) -> int:
    """Look at a selection, or at items of work, and print what came of it.

    Args:
        csv: also write one line for each item to this file.
        accessions: show accession numbers.
        details: print every item as it is looked at, not only those worth a look at the end.

    Returns, raises: see `show_dry_run`.
    """
    from locutus_dagster.cli.preflight_view import Lines, show_totals, show_warnings
    from locutus_dagster.pipeline.parts import build_parts
    from locutus_dagster.pipeline.preflight import chosen
    from locutus_dagster.pipeline.preflight_report import PreflightSummary, circumstances

    parts = build_parts(settings, workspace, look_only=True)
    try:
        items, unknown = chosen(parts, wanted, options)
        if not items:
            out.print("Nothing to do: no accession is as the selection asks for.", highlight=False)
            return FAILED if unknown else 0
        out.print(f"Policy: {parts.policy.name} ({parts.policy.fingerprint})", highlight=False)
        around = circumstances(parts)
        summary = PreflightSummary(around)
        show = Lines(items, summary, out, accessions)
        left_out = 0
        worth: list[Foreseen] = []
        with _csv(csv, accessions) as table:
            summary.hear(parts.source.check())
            for record in _looked_at(items, parts, options, err):
                summary.add(record)
                if table is not None:
                    table.add(record, summary.attention_for(record))
                if details:
                    show.line(record)
                elif summary.worth_a_line(record):
                    if len(worth) < _MOST_LINES:
                        worth.append(record)
                    else:
                        left_out += 1
    finally:
        parts.close()
    show_totals(summary, around, out)
    if worth:
        out.print()
        for record in worth:
            show.line(record)
    if left_out:
        out.print(f"… and {left_out:,} more; --details or --csv lists them all.", highlight=False)
    show_warnings(summary, unknown, out)
    if csv is not None:
        out.print(f"\nWrote {csv}", markup=False, highlight=False, soft_wrap=True)
    return FAILED if summary.needs_attention or unknown else 0


def _looked_at(
    items: Sequence[WorkItem], parts: Parts, options: RunOptions, err: Console
) -> Iterator[Foreseen]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from locutus_dagster.pipeline.preflight import preflight

    with Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("accessions"),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    ) as progress:
        task = progress.add_task("asking the source", total=len(items))
        for record in preflight(items, parts, options):
            progress.advance(task)
            yield record


@contextmanager
def _csv(path: Path | None, accessions: bool) -> Iterator[PreflightCsv | None]:
    if path is None:
        yield None
        return
    from locutus_dagster.durable_files import atomic_file
    from locutus_dagster.pipeline.preflight_csv import PreflightCsv

    try:
        with atomic_file(path) as stream:
            yield PreflightCsv(stream, accessions=accessions)
    except OSError as error:
        raise LocutusError(
            f"{path} cannot be written ({error.strerror}).", "Name a file in a folder of yours."
        ) from None
