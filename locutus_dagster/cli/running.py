"""Running a manifest in this process, with a progress bar and a closing table.

What belongs here: what a person sees of a run. What does not: how it is executed
(`defs/instance.py`) and what an accession goes through (`pipeline/`).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from locutus_dagster.ledger import Ledger, LedgerError, State, WorkItem
from locutus_dagster.ledger.reference_status import status
from locutus_dagster.settings import Settings

__all__ = ["run_and_show", "show_table"]

_WIDE = 400  # columns; lines are only as long as they need to be
_LOOK_EVERY = 0.25  # seconds between two looks at the ledger
_SETTLED = (State.DELIVERED, State.PENDING, State.AMBIGUOUS, State.FAILED)
_WHY_NOT = {
    State.LOADED: "not looked for yet",
    State.PENDING: "the source holds no study for it yet",
}
_COLOURS = {State.DELIVERED: "green", State.PENDING: "yellow", State.LOADED: "dim"}


def run_and_show(
    settings: Settings,
    workspace: str,
    manifest: str,
    out: Console,
    err: Console,
    accessions: bool,
) -> int:
    """Process a loaded manifest and print how each row ended.

    Args:
        accessions: whether the table shows accession numbers.

    Returns:
        The exit code: 0 all fine, 2 some accessions failed, 1 the run could not work.
    """
    from locutus_dagster.defs.instance import (
        changed_in,
        failure_of,
        new_run_id,
        open_instance,
        process_manifest,
    )
    from locutus_dagster.pipeline.workspace_policy import workspace_policy
    from locutus_dagster.pipeline.workspace_secret import keep_it, load_keys

    policy = workspace_policy(settings, workspace)
    ledger = Ledger.open(settings.ledger_address)
    items = ledger.manifest_items(workspace, manifest)
    if not items:
        known = ", ".join(ledger.manifest_names(workspace)) or "none"
        err.print(
            f"[red]Workspace '{workspace}' has nothing to run under the name "
            f"'{escape(manifest)}'[/red] (manifests: {escape(known)}).",
            highlight=False,
        )
        err.print("Load one with: locutus load-manifest FILE.csv", highlight=False)
        return 1
    _, created = load_keys(settings, workspace, ledger)
    if created:
        err.print(f"[yellow]{escape(keep_it(settings, workspace))}[/yellow]", soft_wrap=True)
    if settings.keep_interim_files:
        err.print(
            "[bold red]LOCUTUS_KEEP_INTERIM_FILES is on: IDENTIFIED studies stay in "
            f"{settings.scratch_dir}.[/bold red]",
            soft_wrap=True,
        )
    out.print(f"Policy: {policy.name} ({policy.fingerprint})", highlight=False)
    run_id = new_run_id()
    with open_instance(settings) as instance:
        with _Watch(ledger, workspace, manifest, run_id, len(items), out):
            succeeded = process_manifest(instance, settings, workspace, manifest, run_id)
        why = "" if succeeded else failure_of(instance, run_id)
        changed = changed_in(instance, run_id)
    items = ledger.manifest_items(workspace, manifest)
    touched = ledger.touched_by(run_id)
    show_table(ledger, items, changed, out, accessions)
    ledger.close()
    if succeeded:
        return 0
    if not touched:  # the source, the target or the secret: nothing was begun
        err.print(f"[red]{escape(why or 'The run failed.')}[/red]", highlight=False, soft_wrap=True)
        return 1
    err.print(f"[red]{escape(why)}[/red]", highlight=False, soft_wrap=True)
    return 2


def show_table(
    ledger: Ledger,
    items: list[WorkItem],
    changed: Mapping[str, str],
    out: Console,
    accessions: bool,
) -> None:
    """Print one line for each accession, totals that add up to the rows, and what was withheld.

    Args:
        changed: partitions whose accession was delivered before from other attributes, and why.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("partition", *(("accession",) if accessions else ()), "status"):
        table.add_column(column)
    for column in ("delivered", "withheld"):
        table.add_column(column, justify="right")
    table.add_column("where the zip lies, or why not")
    for item in items:
        delivered = item.state is State.DELIVERED and item.partition_key not in changed
        where = changed.get(item.partition_key) or item.reason or _WHY_NOT.get(item.state, "")
        if delivered:
            last = ledger.deliveries(item.accession_id)[-1]
            where = _near(last.uri)
        colour = _COLOURS.get(item.state, "red")
        shown = status(item.state, item.phase, "…" if item.state is State.FAILED else "")
        if item.partition_key in changed:
            colour, shown = "yellow", "PREVIOUS_PROCESSING_USED"
        table.add_row(
            item.partition_key,
            *((escape(item.accession_number),) if accessions else ()),
            f"[{colour}]{escape(shown)}[/{colour}]",
            str(item.delivered) if delivered else "-",
            "-" if item.withheld is None else str(item.withheld),
            escape(where),
        )
    out.print()
    # As wide as it needs to be: a path that is folded into a narrow column cannot be copied.
    wide = Console(width=_WIDE, force_terminal=out.is_terminal)
    with wide.capture() as captured:
        wide.print(table)
    for line in captured.get().splitlines():
        out.print(Text.from_ansi(line.rstrip()), soft_wrap=True)
    counts = Counter(
        "changed" if item.partition_key in changed else item.state.value for item in items
    )
    totals = ", ".join(f"{count} {word}" for word, count in counts.items())
    out.print(f"\n{len(items)} accessions: {totals}.", highlight=False)
    _show_withheld(ledger, items, out)


def _show_withheld(ledger: Ledger, items: list[WorkItem], out: Console) -> None:
    """Print how many instances were withheld for which reason, residue so that it is seen."""
    from locutus_dagster.deid import RESIDUE

    withheld = ledger.withheld_by_reason([item.accession_id for item in items])
    if not withheld:
        return
    reasons = ", ".join(
        f"[yellow]{count} {reason}[/yellow]" if reason == RESIDUE else f"{count} {reason}"
        for reason, count in withheld.items()
    )
    out.print(
        f"Withheld instances: {reasons}. Each one: [bold]locutus report PARTITION[/bold]",
        highlight=False,
        soft_wrap=True,
    )


def _near(uri: str) -> str:
    """A local delivery's path, as seen from here where that is shorter."""
    if not uri.startswith("file://"):
        return uri
    path = Path(unquote(uri.removeprefix("file://")))
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


class _Watch:
    """A progress bar that follows the ledger while the run goes on in the main thread."""

    def __init__(
        self, ledger: Ledger, workspace: str, manifest: str, run_id: str, total: int, out: Console
    ) -> None:
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("accessions"),
            TimeElapsedColumn(),
            console=out,
        )
        self._task = self._progress.add_task(f"{workspace}/{manifest}", total=total)
        self._ledger, self._run_id, self._total = ledger, run_id, total
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def _follow(self) -> None:
        while not self._over.wait(_LOOK_EVERY):
            try:
                settled = self._ledger.touched_by(self._run_id, _SETTLED)
            except LedgerError:
                continue  # the run itself will say what is wrong with the ledger
            self._progress.update(self._task, completed=settled)

    def __enter__(self) -> None:
        self._progress.start()
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        settled = self._ledger.touched_by(self._run_id, _SETTLED)
        self._progress.update(self._task, completed=settled or self._total)
        self._progress.stop()
