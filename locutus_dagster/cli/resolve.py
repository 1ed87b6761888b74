"""`locutus resolve`: decide between several studies of one accession, by a plan.

What belongs here: the command's options, and what a person sees of a plan. What does not: plans
(`pipeline/resolution_plans.py`) and their files (`pipeline/resolution_files.py`).

Only `--apply` changes anything. Exit codes: 0 all fine, 2 some lines were refused, 1 it could not
work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from locutus_dagster.cli.console import FAILED, errors_for_people, escape, out
from locutus_dagster.cli.selecting import Workspace
from locutus_dagster.errors import LocutusError

if TYPE_CHECKING:
    from locutus_dagster.ledger import Ledger, WorkItem
    from locutus_dagster.pipeline.parts import Parts
    from locutus_dagster.pipeline.resolution_candidates import Candidate
    from locutus_dagster.pipeline.resolution_plans import Applied, Plan, PlanEntry
    from locutus_dagster.settings import Settings

__all__ = ["resolve_command"]

_WIDE = 400  # columns; lines are only as long as they need to be
_INTERRUPTED = "Interrupted. Lines that were applied are kept; apply the plan again to go on."


def resolve_command(
    which: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MANIFEST|PARTITION_KEY",
            help="Manifests: their accessions that wait for a decision or for radiology. Or single "
            "accessions, such as batch1~000001. Default: the whole workspace.",
            show_default=False,
        ),
    ] = None,
    workspace: Workspace = "default",
    plan: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Write the plan, to be read and edited."),
    ] = None,
    apply: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Carry out a plan that was written.")
    ] = None,
    via: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            help="The command for rows without RESOLVE_VIA: MERGE_at_RADIOLOGY, RESEND_RADIOLOGY, "
            "CONSOLIDATE_LOCALLY, CHOOSE_LOCALLY:uuid=STUDY, DELETE_SCAN_LOCALLY, "
            "DELETE_SCAN_FROM_STAGE_ONLY.",
        ),
    ] = None,
    accessions: Annotated[
        bool,
        typer.Option(
            "--accessions", help="Show accession numbers (not where output is kept as a log)."
        ),
    ] = False,
) -> None:
    """Decide which of several studies is used; without --apply it only says what would happen."""
    if apply is not None and (plan is not None or via is not None or which):
        raise typer.BadParameter("a plan is carried out as it was written", param_hint="--apply")
    with errors_for_people(_INTERRUPTED):
        from locutus_dagster.settings import load_settings

        settings = load_settings()
        settings.workspace(workspace)
        if apply is not None:
            if _apply(settings, workspace, apply, accessions):
                raise typer.Exit(FAILED)
        else:
            _plan(settings, workspace, which or [], via or "", plan, accessions)


# -- the plan ----------------------------------------------------------------------------------


def _plan(
    settings: Settings,
    workspace: str,
    which: Sequence[str],
    via: str,
    path: Path | None,
    accessions: bool,
) -> None:
    from locutus_dagster.pipeline.parts import build_parts
    from locutus_dagster.pipeline.resolution_commands import parse_command
    from locutus_dagster.pipeline.resolution_files import write_plan
    from locutus_dagster.pipeline.resolution_plans import Plan, make_plan

    default = parse_command(via)
    entries: list[PlanEntry] = []
    parts = build_parts(settings, workspace, look_only=True)
    try:
        items = _chosen(parts.ledger, workspace, which)
        for item in items:
            if default is None or item.resolve_via:
                entries += make_plan(parts, [item]).entries
            else:
                entries += make_plan(parts, [item], default.command, default.choose).entries
    finally:
        parts.close()
    if not entries:
        out.print("Nothing waits for a decision.")
        return
    made = Plan(tuple(entries))
    if path is not None:
        write_plan(path, made)
    numbers = {item.partition_key: item.accession_number for item in items} if accessions else {}
    _show_plan(made, numbers)
    _say_how_to_go_on(made, path)


def _chosen(ledger: Ledger, workspace: str, which: Sequence[str]) -> list[WorkItem]:
    """The accessions that are asked for; named ones whatever their state is.

    Raises:
        LocutusError: a manifest or a partition key is unknown.
    """
    from locutus_dagster.ledger import State
    from locutus_dagster.ledger.selection import Selection

    waiting = frozenset({State.AMBIGUOUS, State.WAITING})
    known = ledger.manifest_names(workspace)
    manifests = tuple(name for name in which if name in known)
    keys = [name for name in which if name not in known]
    if any("~" not in key for key in keys):
        raise LocutusError(
            f"Workspace '{workspace}' has no manifest of that name "
            f"(manifests: {', '.join(known) or 'none'}).",
            "Name a manifest or a partition key, such as batch1~000001.",
        )
    found = ledger.work_items(workspace, keys) if keys else []
    if manifests or not which:
        found += ledger.select(workspace, Selection(manifests=manifests, states=waiting))
    one_each = {item.accession_id: item for item in reversed(found)}
    return [item for item in found if one_each[item.accession_id] is item]


def _show_plan(plan: Plan, numbers: dict[str, str]) -> None:
    """Print each accession, a line for each of its studies, and what its command would do."""
    header, *lines = _study_lines([one for entry in plan.entries for one in entry.candidates])
    _say(header)
    for entry in plan.entries:
        number = f"  {escape(numbers[entry.partition_key])}" if numbers else ""
        before = f" ({entry.standing.value})" if entry.standing else ""
        _say(f"[bold]{escape(entry.partition_key)}[/bold]{number}  {entry.state.value}{before}")
        for _ in entry.candidates:
            _say(lines.pop(0))
        if entry.warning:
            _say(f"  [bold red]{escape(entry.warning)}[/bold red]")
        if entry.problem:
            _say(f"  [yellow]{escape(entry.problem)}[/yellow]")
        if entry.command:
            _say(f"  [green]{escape(entry.via)}[/green]: {escape(entry.consequence)}")


def _study_lines(candidates: Sequence[Candidate]) -> list[str]:
    """The header, and one line for each study, all with the same columns."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("  study", "instances", "series", "MB", "modality", "last change", "patient", ""):
        table.add_column(name, justify="right" if name in ("instances", "series", "MB") else "left")
    for one in candidates:
        changed = f"{one.changed_at:%Y-%m-%d %H:%M:%S} UTC" if one.changed_at else "unknown"
        notes = (("newest", one.newest), ("passed over before", one.passed_over))
        table.add_row(
            f"  {one.handle_short}",
            str(one.instances),
            str(one.series),
            f"{one.size / 1_000_000:,.1f}",
            "+".join(one.modalities) or "-",
            changed,
            one.patients or "-",
            ", ".join(note for note, holds in notes if holds),
        )
    wide = Console(width=_WIDE, force_terminal=False, no_color=True)
    with wide.capture() as captured:
        wide.print(table, highlight=False)
    return [escape(line.rstrip()) for line in captured.get().splitlines()]


def _say(markup: str) -> None:
    # Not folded: a line that is folded into a narrow terminal cannot be copied.
    out.print(markup, highlight=False, soft_wrap=True)


def _say_how_to_go_on(plan: Plan, path: Path | None) -> None:
    ready = sum(entry.command is not None for entry in plan.entries)
    count = len(plan.entries)
    _say(
        f"\n{count} {'accession' if count == 1 else 'accessions'}, {ready} with a command that can "
        "be carried out. Nothing has been changed."
    )
    if path is None:
        _say("To decide: [bold]locutus resolve --plan FILE.csv[/bold]")
        return
    shown = escape(str(path))
    _say(f"Wrote {shown}. Read it, and write a command into RESOLVE_VIA where there is none:")
    for command, meaning in _MEANINGS:
        _say(f"  {command:<31}{meaning}")
    _say(f"Then: [bold]locutus resolve --apply {shown}[/bold]")


_MEANINGS = (
    ("CHOOSE_LOCALLY:uuid=<study>", "use the study with that handle, and none of the others"),
    ("CONSOLIDATE_LOCALLY", "use the study that changed last, and none of the others"),
    ("MERGE_at_RADIOLOGY", "wait until radiology has made one study of them"),
    ("RESEND_RADIOLOGY", "use none of these, and wait until radiology sends it anew"),
    ("DELETE_SCAN_FROM_STAGE_ONLY", "use none of these; one that arrives later is used"),
    ("DELETE_SCAN_LOCALLY", "use none, and never ask again"),
)


# -- carrying it out ---------------------------------------------------------------------------


def _apply(settings: Settings, workspace: str, path: Path, accessions: bool) -> bool:
    """Carry out a plan; returns whether lines were refused."""
    from locutus_dagster.pipeline.parts import build_parts
    from locutus_dagster.pipeline.resolution_files import read_plan
    from locutus_dagster.pipeline.resolution_plans import apply_plan

    rows = read_plan(path)
    if not rows:
        out.print("The plan is empty.")
        return False
    parts = build_parts(settings, workspace)
    try:
        applied = apply_plan(parts, rows)
        numbers = _numbers(parts, applied) if accessions else {}
    finally:
        parts.close()
    for line in applied:
        number = f"  {escape(numbers.get(line.partition_key, '-'))}" if accessions else ""
        colour, word = _word(line)
        _say(
            f"[bold]{escape(line.partition_key)}[/bold]{number}  [{colour}]{word}[/{colour}]  "
            f"{escape(line.why)}"
        )
    counts = Counter(_word(line)[1] for line in applied)
    totals = ", ".join(f"{count} {word}" for word, count in counts.items())
    count = len(applied)
    out.print(f"\n{count} {'line' if count == 1 else 'lines'}: {totals}.", highlight=False)
    if counts["applied"]:
        out.print("The next run of these accessions goes by it.", highlight=False)
    return any(line.refused for line in applied)


def _word(line: Applied) -> tuple[str, str]:
    if line.refused:
        return "red", "refused"
    return ("green", "applied") if line.done else ("yellow", "left")


def _numbers(parts: Parts, applied: Sequence[Applied]) -> dict[str, str]:
    from locutus_dagster.ledger.selection import Selection

    keys = tuple(line.partition_key for line in applied)
    items = parts.ledger.select(parts.workspace, Selection(partition_keys=keys))
    return {item.partition_key: item.accession_number for item in items}
