"""Running accessions in this process, with a progress bar and a closing table.

What belongs here: one run as a person sees it. What does not: the table (`closing.py`), how a run
is executed (`defs/instance.py`) and what an accession goes through (`pipeline/`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from locutus_dagster.cli.closing import show_closing
from locutus_dagster.cli.console import BROKEN, FAILED, INTERRUPTED
from locutus_dagster.ledger import Ledger, LedgerError, State
from locutus_dagster.ledger.selection import Selection
from locutus_dagster.settings import Settings

__all__ = ["RunRequest", "run_and_show"]

_LOOK_EVERY = 0.25  # seconds between two looks at the ledger
_SETTLED = tuple(
    state
    for state in State
    if state not in (State.LOADED, State.EXTRACTED, State.DEIDENTIFIED, State.REQUESTED)
)


@dataclass(frozen=True)
class RunRequest:
    """What a person asked a run for.

    Attributes:
        selection: which accessions.
        config: of the step, which selects the same.
        accessions: whether the table shows accession numbers.
        force_success: exit code 0 in the place of 2.
    """

    selection: Selection
    config: Mapping[str, Any] = field(default_factory=dict)
    accessions: bool = False
    force_success: bool = False

    @classmethod
    def of_manifest(cls, manifest: str, *, accessions: bool = False) -> RunRequest:
        """Every row of one manifest."""
        return cls(Selection(manifests=(manifest,)), {"manifest": manifest}, accessions)


def run_and_show(
    settings: Settings, workspace: str, request: RunRequest, out: Console, err: Console
) -> int:
    """Process what is asked for and print how each row ended.

    Returns:
        The exit code: 0 all fine, 2 some accessions failed, 1 the run could not work, 130 it was
        paused.
    """
    from locutus_dagster.defs.instance import (
        failure_of,
        new_run_id,
        open_instance,
        passes_of,
        process,
    )
    from locutus_dagster.pipeline.workspace_policy import workspace_policy

    policy = workspace_policy(settings, workspace)
    ledger = Ledger.open(settings.find_ledger)
    items = ledger.select(workspace, request.selection)
    if not items:
        return _nothing_to_run(ledger, workspace, request, out, err)
    _warn(settings, workspace, ledger, err)
    out.print(f"Policy: {policy.name} ({policy.fingerprint})", highlight=False)
    run_id = new_run_id()
    manifests = request.selection.manifests
    title = f"{workspace}/{manifests[0]}" if manifests else workspace
    with open_instance(settings) as instance:
        with _Watch(ledger, title, run_id, len(items), out):
            succeeded = process(instance, settings, workspace, request.config, run_id)
        failure = failure_of(instance, run_id)
        for line in (
            passes_of(instance, run_id)
            if request.config.get("until_converged", settings.run.until_converged)
            else ()
        ):
            out.print(line, highlight=False, soft_wrap=True)
    items = ledger.work_items(workspace, [item.partition_key for item in items])
    without_work: dict[str, int] = {}
    for name in manifests:
        for word, count in ledger.rows_without_work(workspace, name).items():
            without_work[word] = without_work.get(word, 0) + count
    show_closing(ledger, items, without_work, out, request.accessions)
    touched = ledger.touched_by(run_id)
    ledger.close()
    if succeeded:
        return 0
    err.print(
        f"[red]{escape(failure.description or 'The run failed.')}[/red]",
        highlight=False,
        soft_wrap=True,
    )
    if failure.paused:
        err.print("Go on with: locutus resume, and the same run again.", highlight=False)
        return INTERRUPTED
    if not touched:  # the source, the target or the secret: nothing was begun
        return BROKEN
    return 0 if request.force_success else FAILED


def _nothing_to_run(
    ledger: Ledger, workspace: str, request: RunRequest, out: Console, err: Console
) -> int:
    known = ledger.manifest_names(workspace)
    unknown = [name for name in request.selection.manifests if name not in known]
    if not unknown and known:
        out.print("Nothing to run: no accession is as the selection asks for.", highlight=False)
        return 0
    what = f" under the name '{escape(unknown[0])}'" if unknown else ""
    err.print(
        f"[red]Workspace '{workspace}' has nothing to run{what}[/red] "
        f"(manifests: {escape(', '.join(known) or 'none')}).",
        highlight=False,
    )
    err.print("Load one with: locutus load-manifest FILE.csv", highlight=False)
    return BROKEN


def _warn(settings: Settings, workspace: str, ledger: Ledger, err: Console) -> None:
    from locutus_dagster.pipeline.workspace_secret import keep_it, load_keys

    _, created = load_keys(settings, workspace, ledger)
    if created:
        err.print(f"[yellow]{escape(keep_it(settings, workspace))}[/yellow]", soft_wrap=True)
    if settings.keep_interim_files:
        err.print(
            "[bold red]LOCUTUS_KEEP_INTERIM_FILES is on: IDENTIFIED studies stay in "
            f"{settings.scratch_dir}.[/bold red]",
            soft_wrap=True,
        )


class _Watch:
    """A progress bar that follows the ledger while the run goes on in the main thread."""

    def __init__(self, ledger: Ledger, title: str, run_id: str, total: int, out: Console) -> None:
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("accessions"),
            TimeElapsedColumn(),
            console=out,
        )
        self._task = self._progress.add_task(title, total=total)
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
