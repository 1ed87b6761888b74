"""`locutus load-manifest`: what loading a manifest did, row by row where a row needs a look.

What belongs here: arguments, and the report in words. What does not: loading (`manifests/`), or
making partitions known to Dagster (`defs/partitions.py`). No accession number is shown: a row is
named by its line, another manifest's row by its partition.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from locutus_dagster.cli.console import FAILED, err, errors_for_people, escape, out

if TYPE_CHECKING:
    from locutus_dagster.ledger import Ledger
    from locutus_dagster.ledger.connection import LedgerAddress
    from locutus_dagster.manifests import Duplicate, LoadReport
    from locutus_dagster.manifests.report import DuplicateKind

__all__ = ["load_manifest_command"]

_SHOWN = 20  # duplicates of a kind that are listed unless all are asked for


def load_manifest_command(
    file: Annotated[Path, typer.Argument(help="The manifest, a CSV file.")],
    workspace: Annotated[
        str, typer.Option("--workspace", "-w", help="The project to work in.")
    ] = "default",
    name: Annotated[
        str | None,
        typer.Option(help="Its name, the first part of partition keys. Default: the file's name."),
    ] = None,
    allow_duplicates: Annotated[
        bool | None,
        typer.Option(
            "--allow-duplicates/--skip-duplicates",
            help="Give rows whose accession an earlier row names a partition of their own, so "
            "that they are processed again. Default: the setting "
            "run.allow_processing_of_duplicates.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would happen, and write nothing.")
    ] = False,
    every: Annotated[
        bool,
        typer.Option("--all", help=f"List every duplicate, not only the first {_SHOWN} of a kind."),
    ] = False,
) -> None:
    """Load a manifest into the ledger, once; the file is not needed again."""
    with errors_for_people():
        from locutus_dagster.manifests import load_manifest
        from locutus_dagster.settings import load_settings

        settings = load_settings()
        settings.workspace(workspace)
        if allow_duplicates is None:
            allow_duplicates = settings.run.allow_processing_of_duplicates
        ledger = _ledger(settings.find_ledger, dry_run)
        try:
            report = load_manifest(
                ledger,
                file,
                workspace=workspace,
                name=name,
                allow_duplicates=allow_duplicates,
                dry_run=dry_run,
            )
        finally:
            if ledger is not None:
                ledger.close()
        if not dry_run:
            from locutus_dagster.defs.instance import open_instance
            from locutus_dagster.defs.partitions import register_partitions

            with open_instance(settings) as instance:
                register_partitions(instance, workspace, report.partition_keys)
        _show(report, allow_duplicates, every)
        if report.rejected:
            raise typer.Exit(FAILED)


def _ledger(address: LedgerAddress, dry_run: bool) -> Ledger | None:
    """The ledger; for a dry run to look only, and None where there is none yet."""
    from sqlalchemy.engine import make_url

    from locutus_dagster.ledger import Ledger, LedgerError

    if not dry_run:
        return Ledger.open(address)
    try:
        return Ledger.open_existing(address)
    except LedgerError:
        url = make_url(address())
        if url.get_backend_name() != "sqlite" or Path(url.database or "").exists():
            raise
    _tell("yellow", "There is no ledger yet", "the file is judged by itself")
    return None


def _show(report: LoadReport, allow_duplicates: bool, every: bool) -> None:
    for row in report.rejected:
        column = f", column {row.column}" if row.column else ""
        _tell("red", f"{report.file_name}, line {row.line}{column}", row.reason)
    listed = dict.fromkeys(report.counts, 0)
    for one in report.duplicates:
        listed[one.kind] += 1
        if every or listed[one.kind] <= _SHOWN:
            where = f"{report.file_name}, line {one.line}"
            _tell("yellow", where, _in_words(one, allow_duplicates))
    left = {kind: count - _SHOWN for kind, count in report.counts.items() if count > _SHOWN}
    if left and not every:
        named = ", ".join(_counted(count, kind) for kind, count in left.items())
        err.print(f"… and more: {named} (--all lists them)", highlight=False, soft_wrap=True)

    if report.new:
        done = "would be loaded" if report.dry_run else "loaded"
    elif report.added:
        more = "would get" if report.dry_run else "got"
        done = f"was loaded before; {report.added} more of its rows {more} partitions"
    else:
        done = "was loaded before; nothing changed"
    counts = [
        f"{report.rows} rows",
        f"{report.accepted} accepted",
        f"{len(report.rejected)} rejected",
        *(_counted(count, kind) for kind, count in report.counts.items() if count),
    ]
    out.print(
        f"Manifest [bold]{report.manifest}[/bold] {done}: {', '.join(counts)}."
        + (" Nothing was written." if report.dry_run else ""),
        highlight=False,
        soft_wrap=True,
    )
    if report.partition_keys and not report.dry_run:
        out.print(
            f"Next: [bold]locutus run {report.manifest}[/bold], or backfill the partitions "
            f"[bold]{report.manifest}~…[/bold] in the UI ([bold]locutus ui[/bold]).",
            highlight=False,
            soft_wrap=True,
        )


def _counted(count: int, kind: DuplicateKind) -> str:
    if kind == "manifest":
        return f"{count} duplicate{'s' * (count != 1)}"
    return f"{count} shared with other {kind}"


def _in_words(one: Duplicate, allow_duplicates: bool) -> str:
    words = f"the same accession as {'in ' * (one.kind == 'manifest')}{one.place}"
    if one.attributes_differ:
        words += ", with other attributes"
    if one.kind == "manifest":
        words += "; processed again" if allow_duplicates else "; not processed again"
    return words


def _tell(colour: str, where: str, what: str) -> None:
    err.print(f"[{colour}]{escape(where)}[/{colour}]: {escape(what)}", soft_wrap=True)
