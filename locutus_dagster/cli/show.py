"""`locutus show`: all that the ledger knows of an accession, a partition or a subject.

What belongs here: the command, and how the facts are laid out. What does not: gathering them
(`show_facts.py`). This is the bridge between accession numbers and partition keys: a number is
shown when it was typed, or asked for by `--accessions`, and never otherwise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

from locutus_dagster.cli.console import errors_for_people, escape, out
from locutus_dagster.errors import LocutusError

__all__ = ["show_command"]

_PARTITION = re.compile(r"(.+)~(\d+)")
_UNKNOWN = (
    "Accession numbers and subjects are matched exactly, case included; a partition is written "
    "as batch1~000001. What was loaded: locutus status"
)


def show_command(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="An accession number, a partition such as batch1~000001, or a subject.",
            show_default=False,
        ),
    ],
    workspace: Annotated[
        str | None,
        typer.Option("--workspace", "-w", help="The project to look in; by default all of them."),
    ] = None,
    brief: Annotated[
        bool, typer.Option("--brief", help="One line for each accession, and no more.")
    ] = False,
    accessions: Annotated[
        bool,
        typer.Option(
            "--accessions", help="Show accession numbers (not where output is kept as a log)."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show all that the ledger knows of an accession, a partition or a subject."""
    with errors_for_people():
        found = _look_up(what.strip(), workspace, brief, accessions)
        if as_json:
            typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
            return
        _show(found, brief)


def _look_up(what: str, workspace: str | None, brief: bool, accessions: bool) -> dict[str, Any]:
    from locutus_dagster.cli.show_facts import accession_facts, brief_facts
    from locutus_dagster.ledger import Ledger
    from locutus_dagster.settings import load_settings

    if not what:
        raise LocutusError("Nothing was named.", _UNKNOWN)
    ledger = Ledger.open_existing(load_settings().find_ledger)
    try:
        within = _workspaces(ledger.workspaces(), workspace)
        names = [what]
        if spelled := _PARTITION.fullmatch(what):
            names.append(f"{spelled[1]}~{int(spelled[2]):06d}")
        hits = ledger.find(names, within)
        rejected = ledger.find_rejected([what], within)
        if not hits and not rejected:
            raise LocutusError(
                f"The ledger knows nothing of that name (workspaces: {', '.join(within)}).",
                _UNKNOWN,
            )
        recalls = {name: ledger.recalls(name) for name in {hit.workspace for hit in hits}}
        return {
            "accessions": [
                brief_facts(ledger, hit, show_number=accessions)
                if brief
                else accession_facts(ledger, hit, recalls[hit.workspace], show_number=accessions)
                for hit in hits
            ],
            "rejected_rows": [
                {
                    "workspace": row.workspace,
                    "manifest": row.manifest,
                    "row": row.row_number,
                    "line": row.line,
                    "column": row.column,
                    "reason": row.reason,
                }
                for row in rejected
            ],
        }
    finally:
        ledger.close()


def _workspaces(known: list[str], wanted: str | None) -> list[str]:
    if wanted is None or wanted in known:
        return [wanted] if wanted else known
    raise LocutusError(
        f"The ledger knows no workspace '{wanted}' (known: {', '.join(known) or 'none'}).",
        "Leave -w out to look in all of them.",
    )


def _show(found: dict[str, Any], brief: bool) -> None:
    accessions = found["accessions"]
    if brief or len(accessions) > 1:
        _table_of(
            ("workspace", "partitions", "subject", "reference status", "reason", "since"),
            [
                (
                    one["workspace"],
                    ", ".join(row["partition"] for row in one["rows"] if row["partition"]),
                    ", ".join(dict.fromkeys(row["subject_id"] for row in one["rows"])),
                    _status_of(one).partition("=")[0],
                    one["reason"],
                    one["updated_at"],
                    *([one.get("accession_number", "")] if _numbers_in(accessions) else []),
                )
                for one in accessions
            ],
            "accession" if _numbers_in(accessions) else None,
        )
    for one in [] if brief else accessions:
        _show_one(one)
    if found["rejected_rows"]:
        _section("Rejected rows: their manifest was loaded without them")
        columns = ("workspace", "manifest", "row", "line", "column", "reason")
        _table_of(columns, [[row[name] for name in columns] for row in found["rejected_rows"]])


def _numbers_in(accessions: Iterable[dict[str, Any]]) -> bool:
    return any("accession_number" in one for one in accessions)


def _status_of(one: dict[str, Any]) -> str:
    changed = any(row["changed"] for row in one["rows"])
    if changed and one["state"] == "delivered":
        return "PREVIOUS_PROCESSING_USED"
    found: str = one["reference_status"]
    return found


def _show_one(one: dict[str, Any]) -> None:
    first = next((row["partition"] for row in one["rows"] if row["partition"]), "")
    out.print()
    out.rule(escape(one.get("accession_number") or first), align="left", style="dim")
    study = one["study"]
    busy = one["in_hand"]
    _facts_of(
        ("workspace", one["workspace"]),
        ("found by", ", ".join(one["found_by"])),
        ("state", f"{one['state']}: {one['meaning']}"),
        ("reference status", one["reference_status"]),
        ("reason", one["reason"]),
        ("phase", one["phase"]),
        ("since", one["updated_at"]),
        ("run", one["run"]),
        ("label", one["label"]),
        ("generation", one["generation"]),
        ("in hand", busy and f"of {busy['host']}, until {busy['until']} unless it says more"),
        ("pseudonymous study", study["uid"]),
        (
            "instances",
            study["instances"] is not None
            and f"{study['instances']}: {_number(study['delivered'])} to deliver, "
            f"{_number(study['withheld'])} withheld",
        ),
        ("made from", ", ".join(f"{kind} {short}" for kind, short in one["made_from"].items())),
        (
            "de-identified with",
            one["deidentified_with"]
            and "policy {policy} ({policy_fingerprint}), key {key}, engine {engine}, {at}".format(
                **one["deidentified_with"]
            ),
        ),
    )
    _section("Rows of manifests")
    _table_of(
        ("partition", "manifest", "row", "line", "subject", "type", "age", "position", "notes"),
        [
            (
                row["partition"],
                row["manifest"],
                row["row"],
                row["line"],
                row["subject_id"],
                row["imaging_type"],
                row["age_days"],
                row["anatomical_position"],
                "; ".join(_notes(row)),
            )
            for row in one["rows"]
        ],
    )
    _listed("Instances", one["instances"], ("instances", "disposition", "reason"))
    _show_deliveries(one["deliveries"])
    _listed("Targets", one["targets"], ("target", "stands", "tries", "at", "reason"))
    _table_if(
        "Interim files",
        ("kind", "bytes", "host", "made from"),
        [
            (
                file["kind"],
                f"{file['bytes']:,}",
                file["host"] + ("" if file["here"] else " (another host)"),
                ", ".join(f"{kind} {short}" for kind, short in file["made_from"].items()),
            )
            for file in one["interim"]
        ],
    )
    _listed(
        "Retired generations",
        one["retired"],
        ("generation", "at", "state", "reason", "why", "record_deleted", "partition", "run"),
    )
    _listed(
        "Resolutions",
        one["resolutions"],
        ("at", "command", "stands", "study_chosen", "studies_passed_over", "reason"),
    )
    _listed("Recalls", one["recalls"], ("at", "of", "reason", "lifted_at", "lifted_reason"))
    _listed(
        "History",
        one["history"],
        ("at", "from", "to", "phase", "why", "partition", "generation", "settings", "label", "run"),
    )


def _notes(row: dict[str, Any]) -> Iterable[str]:
    if row["processed_for"]:
        yield "processed for this row"
    if row["duplicate_of_row"] is not None:
        yield f"duplicate of row {row['duplicate_of_row']}"
    if row["changed"]:
        yield f"changed since the delivery: {', '.join(row['changed'])}"
        yield row["reference_status"]
    if row["deid_qc_status"]:
        yield f"QC status {row['deid_qc_status']}"
    if row["resolve_via"]:
        yield f"to be resolved via {row['resolve_via']}"


def _show_deliveries(deliveries: Sequence[dict[str, Any]]) -> None:
    if not deliveries:
        return
    _section("Deliveries")
    for one in deliveries:
        ended = ""
        if one["superseded_at"]:
            ended += f", superseded {one['superseded_at']}"
        if one["withdrawal_asked"]:
            ended += f", to be withdrawn: {one['withdrawal_asked']}"
        if one["withdrawn_at"]:
            ended += f", withdrawn {one['withdrawn_at']}: {one['withdrawn']}"
        _facts_of(
            (one["stands"], f"{one['target']} {one['uri']}"),
            ("", f"{one['bytes']:,} bytes in {one['instances']} instances, sha256 {one['sha256']}"),
            ("", _confirmed(one)),
            (
                "",
                f"delivered {one['delivered_at']}{ended}; generation {one['generation']}"
                + (f", for {one['partition']}" if one["partition"] else "")
                + (f", run {one['run']}" if one["run"] else ""),
            ),
        )


def _confirmed(one: dict[str, Any]) -> str:
    """What the target said in words of its own, beside the checksum that everybody has."""
    told = [] if one["checksum"].startswith("sha256:") else [one["checksum"]]
    told += [f"version {one['version']}"] if one["version"] else []
    return f"confirmed as {', '.join(told)}" if any(told) else ""


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _section(title: str) -> None:
    out.print(f"\n[bold]{escape(title)}[/bold]", highlight=False)


def _facts_of(*facts: tuple[str, object]) -> None:
    """Print what there is to say; what is None, False or empty is left out."""
    from locutus_dagster.cli.tables import make_table, print_table

    table = make_table("", "")
    table.show_header = False
    for name, value in facts:
        if value is not None and value is not False and value != "":
            table.add_row(name, escape(str(value)))
    print_table(table)


def _listed(title: str, entries: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    """Print a section with a column for each of `names` that any of the entries fills."""
    used = [name for name in names if any(entry[name] not in (None, "") for entry in entries)]
    rows = [[entry[name] for name in used] for entry in entries]
    _table_if(title, [name.replace("_", " ") for name in used], rows)


def _table_if(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    if rows:
        _section(title)
        _table_of(columns, rows)


def _table_of(
    columns: Sequence[str], rows: Iterable[Sequence[object]], further: str | None = None
) -> None:
    from locutus_dagster.cli.tables import make_table, print_table

    table = make_table(*columns, *([further] if further else []))
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    print_table(table)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else escape(str(value))
