"""`locutus summarize`: where a batch stands, on the terminal and in files.

What belongs here: the command's options, and what the terminal shows. What does not: what stands
in a report (`summarizer/`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from locutus_dagster.cli.console import err, errors_for_people, escape, out
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
    from locutus_dagster.ledger import Ledger
    from locutus_dagster.ledger.selection import Selection
    from locutus_dagster.settings import Settings
    from locutus_dagster.summarizer.model import Summary

__all__ = ["summarize_command"]

_STUDIES_SHOWN = 50  # accessions
_NAMED = 3  # manifests, in the name of a file
_FORMS = ("csv", "lines", "markdown", "html", "xlsx", "json")


def summarize_command(
    manifest: Annotated[
        list[str] | None,
        typer.Argument(help="Names of loaded manifests; by default the whole workspace."),
    ] = None,
    workspace: Workspace = "default",
    file: Annotated[
        Path | None,
        typer.Option(help="A manifest file, or a bare list of ACCESSION_NUM, to ask about."),
    ] = None,
    status: Statuses = None,
    subject: Subjects = None,
    since: ChangedSince = None,
    overview: Annotated[
        bool, typer.Option("--overview", help="Counts alone, and no row for each accession.")
    ] = False,
    form: Annotated[
        list[str] | None,
        typer.Option(metavar="FORM", help=f"Write a file: {', '.join(_FORMS)}. Several at once."),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FOLDER", help="Where files go; by default here."),
    ] = None,
    redact: Annotated[
        bool, typer.Option("--redact", help="No accession number and no subject in any form.")
    ] = False,
    studies: Annotated[
        bool,
        typer.Option("--studies", help="Ask the source about accessions with several studies."),
    ] = False,
) -> None:
    """Report how a batch stands: counts on the terminal, and files in the forms asked for."""
    with errors_for_people():
        from locutus_dagster.settings import load_settings
        from locutus_dagster.summarizer.redacting import redacted
        from locutus_dagster.summarizer.reporting import write_reports

        forms = _checked(form or [])
        if studies and overview:
            raise LocutusError(
                "An overview has no accessions whose studies could be shown.",
                "Leave out --overview or --studies.",
            )
        settings = load_settings()
        with _opened(settings) as ledger:
            workspace_known(workspace, settings.workspaces, ledger.workspaces())
            chosen = selected(manifest, status, subject, changed_since=since)
            summary = _gathered(
                ledger,
                settings,
                workspace,
                chosen,
                file=file,
                detailed=not overview,
                studies=studies,
            )
            if redact:
                summary = redacted(summary)
            _print(summary)
            if forms:
                about = _about(summary, chosen, file)
                written = write_reports(summary, forms, to or Path(), about=about)
                for path in written.files:
                    out.print(f"Written: {path}", highlight=False, soft_wrap=True)
        if forms and not redact and not overview:
            err.print("[yellow]These files hold accession numbers. Without them: --redact[/yellow]")


def _gathered(
    ledger: Ledger,
    settings: Settings,
    workspace: str,
    chosen: Selection,
    *,
    file: Path | None,
    detailed: bool,
    studies: bool,
) -> Summary:
    from locutus_dagster.pipeline.choosing import check_names
    from locutus_dagster.summarizer.gathering import summarize
    from locutus_dagster.summarizer.reporting import columns_of

    check_names(ledger, workspace, chosen)
    summary = summarize(
        ledger,
        workspace,
        manifests=chosen.manifests,
        selection=None if chosen.everything else chosen,
        file=file,
        detailed=detailed,
        settings=columns_of(settings.workspace(workspace).reports)
        if workspace in settings.workspaces
        else None,
    )
    if not studies:
        return summary
    from locutus_dagster.pipeline.parts import build_source
    from locutus_dagster.summarizer.expanding import expand

    source = build_source(settings, workspace, look_only=True)
    try:
        return expand(summary, source)
    finally:
        source.close()


def _about(summary: Summary, chosen: Selection, file: Path | None) -> str:
    """What the names of files say of a report that is not of a whole workspace."""
    names = summary.manifests if chosen.manifests else ()  # as the report says them
    said = [] if file is None else ["file"]
    if names:
        said.append("+".join(names) if len(names) <= _NAMED else f"{len(names)}-manifests")
    if not replace(chosen, manifests=()).everything:
        said.append("filtered")
    return "-".join(said)


def _checked(forms: list[str]) -> list[str]:
    unknown = [form for form in forms if form not in _FORMS]
    if unknown:
        raise LocutusError(
            f"There is no form '{unknown[0]}'.", f"Choose from: {', '.join(_FORMS)}."
        )
    return forms


@contextmanager
def _opened(settings: Settings) -> Iterator[Ledger]:
    from locutus_dagster.ledger import Ledger

    ledger = Ledger.open_existing(settings.find_ledger)
    try:
        yield ledger
    finally:
        ledger.close()


def _print(summary: Summary) -> None:
    from locutus_dagster.cli.tables import make_table, print_table

    out.print(f"[bold]{escape(summary.title)}[/bold], as of {summary.as_of:%Y-%m-%d %H:%M} UTC")
    table = make_table("rows", "how they stand", "")
    for bucket in summary.buckets:
        if bucket.count:
            table.add_row(f"{bucket.count:,}", escape(bucket.label), escape(bucket.note))
    if summary.not_found and not any(one.label == "NOT_FOUND" for one in summary.buckets):
        table.add_row(f"{len(summary.not_found):,}", "NOT_FOUND", "in no manifest of the ledger")
    table.add_row(f"{summary.rows:,}", "all rows", _beside(summary))
    print_table(table)
    if summary.failures:
        failures = make_table("accessions", "phase", "reason")
        for failure in summary.failures[:20]:
            failures.add_row(
                f"{failure.accessions:,}", f"{failure.phase:02d}", escape(failure.reason)
            )
        print_table(failures)
    _print_studies(summary)
    if summary.pace is not None:
        eta = f"; done in about {_spoken(summary.eta.total_seconds())}" if summary.eta else ""
        out.print(f"{summary.pace:,.0f} accessions an hour{eta}", highlight=False)
    if summary.stage is not None:
        out.print(
            f"The source holds {summary.stage.studies:,} studies: {len(summary.stage.unnamed):,} "
            f"that no manifest names; {len(summary.stage.lacking):,} rows that it lacks.",
            highlight=False,
        )


def _print_studies(summary: Summary) -> None:
    """The studies of accessions that have several, where the source was asked about them."""
    from locutus_dagster.cli.tables import make_table, print_table

    several = [line for line in summary.lines if line.studies]
    if not several:
        return
    table = make_table("partition", "study", "what it is", right=["study"])
    for line in several[:_STUDIES_SHOWN]:
        for study in line.studies:
            told = ", ".join(f"{label}: {value}" for label, value in study.facts.items())
            table.add_row(escape(line.partition_key or ""), str(study.number), escape(told))
    print_table(table)
    if several[_STUDIES_SHOWN:]:
        out.print(f"… and of {len(several) - _STUDIES_SHOWN:,} more accessions; see a file's.")


def _beside(summary: Summary) -> str:
    told = []
    if summary.duplicates:
        told.append(f"{summary.duplicates:,} repeat an accession")
    if summary.with_text:
        told.append(f"{summary.with_text:,} with text in the accession number")
    return "; ".join(told)


def _spoken(seconds: float) -> str:
    minutes = int(seconds // 60) + 1
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
