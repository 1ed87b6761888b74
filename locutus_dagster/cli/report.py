"""`locutus report`: what became of each instance of one accession.

What belongs here: the tables that a person sees, and writing the CSV. What does not: what stands in
a report (`pipeline/deid_report.py`). Accession numbers are not shown; a partition key names the
accession without saying who it is about.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from locutus_dagster.cli.console import errors_for_people, out
from locutus_dagster.cli.selecting import Workspace
from locutus_dagster.errors import LocutusError

if TYPE_CHECKING:
    from rich.table import Table

    from locutus_dagster.ledger.work import ReportRecord

__all__ = ["report_command"]


def report_command(
    partition: Annotated[
        str, typer.Argument(metavar="PARTITION_KEY", help="The accession, such as batch1~000001.")
    ],
    workspace: Workspace = "default",
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Write one line for each instance; a file that is there is replaced.",
        ),
    ] = None,
) -> None:
    """Show what de-identification did to an accession's study; it names nobody."""
    with errors_for_people():
        from locutus_dagster.pipeline.deid_report import report_csv

        record = _record(workspace, partition)
        if csv is not None:
            _write(csv, report_csv(record))
        _show(partition, record)
        if csv is not None:
            out.print(f"\nWrote {csv}", markup=False, highlight=False, soft_wrap=True)


def _record(workspace: str, partition_key: str) -> ReportRecord:
    from locutus_dagster.ledger import Ledger
    from locutus_dagster.settings import load_settings

    settings = load_settings()
    settings.workspace(workspace)
    ledger = Ledger.open(settings.find_ledger)
    try:
        item = ledger.work_items(workspace, [partition_key])[0]
        record = ledger.deid_report(item.accession_id)
    finally:
        ledger.close()
    if record is None:
        raise LocutusError(
            f"Partition {partition_key} has no report ({item.state.value}).",
            "A report is made when the study is de-identified.",
        )
    return record


def _write(path: Path, content: bytes) -> None:
    from locutus_dagster.durable_files import atomic_file

    try:
        with atomic_file(path) as stream:
            stream.write(content)
    except OSError as error:
        raise LocutusError(
            f"{path} cannot be written ({error.strerror}).", "Name a file in a folder of yours."
        ) from None


def _show(partition_key: str, record: ReportRecord) -> None:
    from locutus_dagster.deid import RESIDUE
    from locutus_dagster.pipeline.deid_report import summarise

    found = summarise(record)
    facts = _table("", "")
    facts.show_header = False
    facts.add_row("partition", partition_key)
    facts.add_row("policy", f"{record.policy_name} ({record.policy_fingerprint})")
    facts.add_row("key", record.key_id)
    facts.add_row("engine", record.engine_version)
    if record.created_at is not None:
        facts.add_row("made", record.created_at.strftime("%Y-%m-%d %H:%M:%S UTC"))
    out.print(facts)

    fates = _table("instances", "disposition", "reason")
    for (disposition, reason), count in found.fates.items():
        shown = f"[yellow]{reason}[/yellow]" if reason == RESIDUE else reason
        fates.add_row(str(count), disposition, shown)
    out.print()
    out.print(fates)
    if found.places:
        out.print(
            f"\nIdentifiers were found in {', '.join(found.places)}.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if found.actions:
        actions = _table("elements", "action, in what is delivered")
        for action, count in found.actions.items():
            actions.add_row(str(count), action)
        out.print()
        out.print(actions)


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if column and not number else "left")
    return table
