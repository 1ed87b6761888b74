"""`locutus watch`: what the sensor does, in the foreground and without a daemon.

What belongs here: the loop, what is printed, and ending well. What does not: what is read and
decided (`pipeline/watching.py`).
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from locutus_dagster.cli.console import err, errors_for_people, out
from locutus_dagster.cli.selecting import Workspace

if TYPE_CHECKING:
    from locutus_dagster.settings import Settings

__all__ = ["watch_command"]


class _Ended(KeyboardInterrupt):
    """Somebody has asked the process to end while a run was at work."""


def watch_command(
    workspace: Workspace = "default",
    interval: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", min=1, help="Between two looks; by default as settings say."
        ),
    ] = None,
    looks: Annotated[
        int | None, typer.Option(min=1, help="End after so many looks; by default never.")
    ] = None,
) -> None:
    """Follow what arrives and changes at the source, and process it, until SIGTERM or Ctrl-C."""
    with errors_for_people():
        from locutus_dagster.settings import load_settings

        settings = load_settings()
        told = settings.workspace(workspace).watch
        wait = interval or (told.interval if told else 60.0)
        with _ending() as signals:
            out.print(
                f"Watching the source of workspace '{workspace}' every {wait:g} s "
                "(Ctrl-C or SIGTERM ends it).",
                highlight=False,
            )
            done = 0
            while not signals.came():
                _look(settings, workspace, signals)
                done += 1
                if (looks is not None and done >= looks) or signals.came(within=wait):
                    break
        out.print("Ended; what was begun is finished, or a later run resumes it.")


class _Signals:
    """Whether SIGTERM or SIGINT has come, whoever has taken it.

    While a run is at work Dagster takes them and ends the run; Python notes each signal in a
    pipe besides.
    """

    NUMBERS = frozenset({int(signal.SIGTERM), int(signal.SIGINT)})

    def __init__(self, reader: int) -> None:
        self._reader = reader
        self._came = False

    def came(self, within: float = 0.0) -> bool:
        """Whether one has come, or comes within so many seconds."""
        deadline = time.monotonic() + within
        while not self._came:
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._reader], [], [], left)
            if not ready:
                break
            self._came = not self.NUMBERS.isdisjoint(os.read(self._reader, 1024))
        return self._came


@contextmanager
def _ending() -> Iterator[_Signals]:
    """Take the signals that end the command; one that comes during a look interrupts it."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def end(_number: int, _frame: FrameType | None) -> None:
        raise _Ended

    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield _Signals(reader)
    except _Ended:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        os.close(reader)
        os.close(writer)


def _look(settings: Settings, workspace: str, signals: _Signals) -> None:
    """One look, and the runs that follow from it; what cannot be done now is said."""
    from locutus_dagster.defs.instance import failure_of, new_run_id, open_instance, process
    from locutus_dagster.defs.partitions import register_partitions
    from locutus_dagster.defs.watching import ARRIVALS_TAG, config_of, forget_lost
    from locutus_dagster.pipeline.parts import build_parts
    from locutus_dagster.pipeline.queueing import PauseSwitch
    from locutus_dagster.pipeline.watching import Watcher, WatchingError
    from locutus_dagster.sources.base import SourceError

    parts = build_parts(settings, workspace)
    try:
        with open_instance(settings) as instance:
            watcher = Watcher(parts)
            waiting = forget_lost(instance, watcher)
            report = watcher.poll()
            switch = PauseSwitch(parts.ledger)
            paused = switch.why()
            plans = [] if paused else watcher.requests(waiting=waiting)
            if paused:
                _say(f"Nothing is begun: {paused}")
            if report.new or report.changed or report.gone or plans:
                _say(
                    f"{report.new} new, {report.changed} changed, {report.gone} gone; "
                    f"{sum(len(plan.partition_keys) for plan in plans)} accessions to process"
                )
            for notice in watcher.notices:
                _say(f"{notice.partition_key}: {notice.words}")
            for problem in watcher.problems:
                err.print(f"[yellow]{escape(problem)}[/yellow]", highlight=False, soft_wrap=True)
            for plan in watcher.one_by_one(plans, lambda: signals.came() or bool(switch.why())):
                register_partitions(instance, workspace, plan.partition_keys)
                run_id = new_run_id()
                succeeded = process(
                    instance,
                    settings,
                    workspace,
                    config_of(plan),
                    run_id,
                    tags={ARRIVALS_TAG: plan.run_key},
                )
                if signals.came():  # it was ended here, and nothing is wrong with what it left
                    watcher.forget(plan.run_key)
                states = parts.ledger.work_items(workspace, plan.partition_keys)
                ended = ", ".join(sorted({item.state.value for item in states}))
                more = "" if succeeded else "; look at them with: locutus status"
                _say(f"{len(states)} accessions: {ended}{more}")
                if not succeeded and (why := failure_of(instance, run_id).description):
                    err.print(f"[red]{escape(why)}[/red]", highlight=False, soft_wrap=True)
                if not succeeded and plan.run_key in watcher.outstanding():
                    break  # it broke off: the same may be in the next one's way
    except WatchingError:
        raise
    except SourceError as error:
        # The source may be back at the next look.
        err.print(f"[yellow]{escape(str(error))}[/yellow]", highlight=False, soft_wrap=True)
    finally:
        parts.close()


def _say(words: str) -> None:
    at = datetime.now(timezone.utc)
    out.print(f"{at:%Y-%m-%d %H:%M:%S} UTC  {escape(words)}", highlight=False, soft_wrap=True)
