"""The watcher: studies that arrive or change at the source become requests for runs.

What belongs here: one workspace's watcher, and which runs are asked for when. What does not: the
log (`watching_poll.py`), decisions (`watching_decisions.py`), and making runs (Dagster's sensor, or
a command in the foreground, one of which calls this every so often).

A call of `poll`, then of `requests`, then of `asked` for each plan that is carried out, is all
there is to it. Each may be ended at any moment and be called again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from typing import cast

from locutus_dagster.ledger.fingerprints import digest
from locutus_dagster.ledger.schema import now as now_in_utc
from locutus_dagster.ledger.stage import LOST_AFTER
from locutus_dagster.pipeline.arrivals import (
    Arrival,
    ChangeLog,
    Hours,
    Notice,
    PollReport,
    RunRequestPlan,
    WatchingError,
)
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.pipeline.watching_decisions import Decider, Decisions
from locutus_dagster.pipeline.watching_poll import Poller
from locutus_dagster.run_modes import Reprocess

__all__ = [
    "LOST_AFTER",
    "Arrival",
    "Notice",
    "PollReport",
    "RunRequestPlan",
    "Watcher",
    "WatchingError",
]

_PAGE = 500
_AT_ONCE = 200
# As soon as so many accessions are on their way, no further run is asked for.
_AWAITED = 200
_DEADLINE = 40.0
_DRY = "Nothing is asked for: the settings ask for dry runs ('run: dry_run')"


class Watcher:
    """Watches one workspace.

    Args:
        clock: the present moment, with its zone.
        page_size: entries of the log that are asked for at once.

    Raises:
        WatchingError: the workspace is not to be watched, its source has no log of changes, or its
            time zone is not known.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        clock: Callable[[], datetime] = now_in_utc,
        page_size: int = _PAGE,
    ) -> None:
        watch = parts.workspace_settings.watch
        if watch is None:
            raise WatchingError(
                f"Workspace '{parts.workspace}' is not watched.",
                "Give it a 'watch' section in the settings.",
            )
        changes = getattr(parts.source, "changes", None)
        if changes is None:
            raise WatchingError(
                f"The source of workspace '{parts.workspace}' cannot be watched: only an Orthanc "
                "keeps a log of what arrives.",
                "Give it a source of kind 'orthanc', or take 'watch' out and use a schedule.",
            )
        log = cast(ChangeLog, changes())
        self._parts = parts
        self._watch = watch
        self._clock = clock
        self._hours = Hours(watch.hours, watch.timezone)
        url = getattr(parts.workspace_settings.source, "url", "")
        self._poller = Poller(
            parts.ledger,
            parts.workspace,
            log,
            digest(str(url))[:16],
            clock=clock,
            page_size=page_size,
        )
        self._decider = Decider(parts, watch, log, self._hours)
        self._last = Decisions()

    @property
    def notices(self) -> list[Notice]:
        """What the last decision found that a person should know of; free of identifiers."""
        return self._last.notices

    @property
    def problems(self) -> list[str]:
        """What kept the last decision from being made about some studies; without identifiers."""
        return self._last.problems

    def poll(self, deadline_seconds: float = _DEADLINE) -> PollReport:
        """Bring the stage up to date with the source's log.

        What is read is kept page by page, so that a log of days is caught up with in several calls.

        Args:
            deadline_seconds: no further page is asked for that might take longer than this allows.

        Raises:
            SourceError: the source cannot be asked. That is noted; nothing else changes.
            LedgerError: the ledger stopped answering.
        """
        return self._poller.poll(deadline_seconds)

    def decide(
        self,
        now: datetime | None = None,
        *,
        waiting: Collection[str] = (),
        limit: int = _AT_ONCE,
        deadline_seconds: float = _DEADLINE,
    ) -> list[Arrival]:
        """What should be processed now, whatever the hour; the rest is noted as decided.

        Rows are made for studies that no manifest asked for and that the rule takes. Nothing that
        was asked for comes again before it is known what came of it, or it is lost. As long as the
        settings ask for dry runs, nothing is decided, because that changes rows and deliveries.

        Args:
            waiting: keys of requests that are known to wait in a queue or to be at work.
            limit: as soon as there are so many arrivals, the rest is left for the next time.
            deadline_seconds: the rest is also left when this is over.

        Raises:
            SourceError: the source cannot be asked; nothing was decided.
            LedgerError: the ledger stopped answering, or refused.
        """
        self._last = Decisions()
        if self._parts.settings.run.dry_run:
            self._last = Decisions(problems=[_DRY])
            return []
        at = now or self._clock()
        self._last = self._decider.decide(at, waiting, limit, deadline_seconds)
        return self._last.arrivals

    def requests(
        self,
        now: datetime | None = None,
        *,
        waiting: Collection[str] = (),
        limit: int = _AT_ONCE,
        deadline_seconds: float = _DEADLINE,
    ) -> list[RunRequestPlan]:
        """The runs to ask for now, of at most `batch_size` accessions each; see `decide`.

        Outside the hours there are none, and everything waits; so does what would be too much at
        once while other requests are on their way. A plan that is not carried out comes again; one
        that is has to be reported to `asked` first, as `one_by_one` does.
        """
        at = now or self._clock()
        arrivals = self.decide(at, waiting=waiting, limit=limit, deadline_seconds=deadline_seconds)
        if not arrivals or not self._hours.open_at(at):
            return []
        alike: dict[tuple[Reprocess | None, bool], list[Arrival]] = {}
        for one in sorted(arrivals, key=lambda arrival: arrival.partition_key):
            alike.setdefault((one.reprocess, one.withdraw), []).append(one)
        size = self._watch.batch_size
        awaited = self._parts.ledger.stage_awaited(self._parts.workspace, at=at, waiting=waiting)
        plans: list[RunRequestPlan] = []
        for some in alike.values():
            for start in range(0, len(some), size):
                if awaited >= _AWAITED:
                    return plans
                plans.append(RunRequestPlan.of(self._parts.workspace, some[start : start + size]))
                awaited += len(plans[-1].partition_keys)
        return plans

    def one_by_one(
        self, plans: Sequence[RunRequestPlan], ended: Callable[[], bool]
    ) -> Iterator[RunRequestPlan]:
        """The plans, for one who carries out each of them before the next; see `asked`.

        Each is noted as asked for when its turn has come. When the hours are over by then, or
        `ended` says so, the rest is left, and comes again.
        """
        for plan in plans:
            at = self._clock()
            if ended() or not self._hours.open_at(at):
                return
            self.asked(plan, at)
            yield plan

    def asked(self, plan: RunRequestPlan, now: datetime | None = None) -> None:
        """Note that a plan is about to be carried out.

        Called before the run is asked for: if that is then lost in a crash, it is asked for again
        after `LOST_AFTER`, or at once where `forget` is called for its key.
        """
        self._parts.ledger.mark_asked(
            self._parts.workspace, plan.marks, plan.run_key, now or self._clock()
        )

    def outstanding(self) -> dict[str, datetime]:
        """Requests of which nothing was heard yet, by key, with the time of each."""
        return self._parts.ledger.stage_outstanding(self._parts.workspace)

    def forget(self, run_key: str) -> int:
        """A request never became a run, or its run was told not to begin with what is left of it.

        What it was for is asked for again at once, under another key; returns how many studies.
        """
        return self._parts.ledger.forget_asked(self._parts.workspace, run_key)

    def broke_off(self, run_key: str) -> int:
        """The run of a request has failed, or was cancelled, before it began with all of it.

        What is left is asked for again after a quarter of an hour, and after longer when that
        happens again, up to some hours; until then it counts among what is on its way. Returns how
        many studies that is.
        """
        return self._parts.ledger.forget_asked(
            self._parts.workspace, run_key, broke_off_at=self._clock()
        )
