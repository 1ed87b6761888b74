"""Following a source's log of changes, page by page, into the stage.

What belongs here: reading, what is looked at beside the log, and noticing that the log began anew.
What does not: what follows for any study (`watching_decisions.py`).

Instances that are named in the log lead to their studies as well: an Orthanc that is ended while
instances come for a study it has had before never names that study again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from locutus_dagster.ledger import Ledger
from locutus_dagster.ledger.stage_records import Cursor, Recorded, Sighting
from locutus_dagster.pipeline.arrivals import ChangeLog, PollReport
from locutus_dagster.sources.base import SourceError
from locutus_dagster.sources.orthanc_changes import Change, ChangesPage, CounterWentBackError
from locutus_dagster.sources.orthanc_studies import StudyFacts

__all__ = ["Budget", "Poller", "sighting"]

_STABLE = "StableStudy"
_LOOKED_FOR = 200  # studies that are looked for beside the log, in one round
_LOOK_AGAIN = timedelta(hours=6)
_ROUNDS_AFTER_RESTART = 25


class Budget:
    """Some seconds, and whether another step of the longest kind so far still fits."""

    def __init__(self, seconds: float) -> None:
        self._begun = self._step = time.monotonic()
        self._seconds = seconds
        self._longest = 0.0

    @property
    def spent(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._begun

    def lasts(self) -> bool:
        """Whether another step fits; one has just been made."""
        at = time.monotonic()
        self._longest = max(self._longest, at - self._step)
        self._step = at
        return at - self._begun + self._longest <= self._seconds


class Poller:
    """Reads one workspace's log.

    Args:
        place: digest of the source's address; another one means another log.
        page_size: entries that are asked for at once.
    """

    def __init__(
        self,
        ledger: Ledger,
        workspace: str,
        log: ChangeLog,
        place: str,
        *,
        clock: Callable[[], datetime],
        page_size: int,
    ) -> None:
        self._ledger = ledger
        self._workspace = workspace
        self._log = log
        self._place = place
        self._clock = clock
        self._page_size = page_size

    def poll(self, deadline_seconds: float) -> PollReport:
        """Read on from where the last poll ended; at least one page, whatever the deadline.

        Raises:
            SourceError: the source cannot be asked. That is noted, and nothing is taken for gone.
        """
        try:
            return self._poll(Budget(deadline_seconds))
        except SourceError as error:
            self._ledger.record_poll_failed(self._workspace, error.message, self._clock())
            raise

    def _poll(self, budget: Budget) -> PollReport:
        cursor = self._ledger.stage_cursor(self._workspace)
        restarted = False
        if cursor.place != self._place:
            restarted = bool(cursor.place)
            cursor = self._restart()
        try:
            report = self._read(cursor, budget)
        except CounterWentBackError:
            restarted = True
            report = self._read(self._restart(), budget)
        if report.done:
            rounds = _ROUNDS_AFTER_RESTART if restarted else 1
            found = self._look_around(rounds, budget)
            report = replace(
                report,
                changed=report.changed + found.changed,
                gone=report.gone + found.gone,
            )
        return replace(report, restarted=restarted, seconds=budget.spent)

    def _restart(self) -> Cursor:
        self._ledger.restart_stage(self._workspace, self._place)
        return self._ledger.stage_cursor(self._workspace)

    def _read(self, cursor: Cursor, budget: Budget) -> PollReport:
        if cursor.mark is not None:
            self._log.confirm(_change(cursor.mark))
        since, entries, found = cursor.seq, 0, Recorded()
        while True:
            page = self._log.page(since, self._page_size)
            found += self._keep(page, since)
            entries += len(page.changes)
            since = page.last
            if page.done or not budget.lasts():
                return PollReport(entries, found.new, found.changed, found.gone, page.done)

    def _keep(self, page: ChangesPage, since: int) -> Recorded:
        studies = {one.study_id for one in page.changes if one.study_id is not None}
        parts = {
            one.resource_id
            for one in page.changes
            if one.level in ("Series", "Instance") and not one.kind.startswith("Stable")
        }
        stable = {one.resource_id: one for one in page.changes if one.kind == _STABLE}
        facts = self._log.describe(studies, parts) if studies or parts else {}
        return self._ledger.record_poll(
            self._workspace,
            since=since,
            seq=page.last,
            mark=_mark(page.changes[-1]) if page.changes else None,
            at=self._clock(),
            sightings=[sighting(one, stable.get(one.study_id)) for one in facts.values()],
            gone=studies - facts.keys(),
        )

    def _look_around(self, rounds: int, budget: Budget) -> Recorded:
        """Look for studies that the log does not speak of: such as still grow, and some others."""
        found, seen = Recorded(), set[str]()
        for _ in range(rounds):
            at = self._clock()
            handles = self._ledger.stage_to_look_for(
                self._workspace, before=at - _LOOK_AGAIN, limit=_LOOKED_FOR
            )
            if seen.issuperset(handles):
                break
            seen.update(handles)
            facts = self._log.describe(handles)
            found += self._ledger.record_looks(
                self._workspace,
                at=at,
                sightings=[sighting(one) for one in facts.values()],
                gone=set(handles) - facts.keys(),
            )
            if not budget.lasts():
                break
        return found


def sighting(facts: StudyFacts, stable: Change | None = None) -> Sighting:
    """A study as it is seen now; `stable` is the entry of the log that says it came to rest.

    An entry that is older than what came last for the study says nothing about that.
    """
    settled = stable is not None and (
        stable.at is None or facts.updated_at is None or facts.updated_at <= stable.at
    )
    return Sighting(
        source_study=facts.study_id,
        accession_number=facts.accession_number,
        patient_id=facts.patient_id,
        instances=facts.instances,
        series=facts.series,
        modalities=facts.modalities,
        version=facts.version,
        resting=facts.resting,
        settled=settled,
    )


def _mark(change: Change) -> dict[str, Any]:
    return {
        "seq": change.seq,
        "kind": change.kind,
        "level": change.level,
        "resource_id": change.resource_id,
        "at": change.at.isoformat() if change.at else None,
    }


def _change(mark: Mapping[str, Any]) -> Change:
    at = mark["at"]
    return Change(
        mark["seq"],
        mark["kind"],
        mark["level"],
        mark["resource_id"],
        datetime.fromisoformat(at) if at else None,
    )
