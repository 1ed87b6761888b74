"""Studies that arrive: the words in which the watcher speaks of them, and the rule it goes by.

What belongs here: plain values, whether a rule takes a study, and when runs may begin. What does
not: the ledger and the source (`watching.py` and the modules beside it).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from locutus_dagster.errors import LocutusError
from locutus_dagster.ledger.fingerprints import digest
from locutus_dagster.ledger.stage_records import Mark
from locutus_dagster.run_modes import Reprocess
from locutus_dagster.settings import WatchSettings
from locutus_dagster.settings.watching import ArrivalRule
from locutus_dagster.sources.orthanc_changes import Change, ChangesPage
from locutus_dagster.sources.orthanc_studies import StudyFacts

__all__ = [
    "Arrival",
    "ChangeLog",
    "Hours",
    "Notice",
    "PollReport",
    "RunRequestPlan",
    "WatchingError",
    "imaging_type",
    "refusal",
    "zone_of",
]

# Of these, no study is made alone.
_BESIDE_IMAGES = frozenset({"SR", "PR", "KO", "SEG", "REG", "DOC", "RTSTRUCT", "OT"})


class WatchingError(LocutusError):
    """A workspace cannot be watched as its settings stand."""


class ChangeLog(Protocol):
    """A log of changes, as `OrthancSource.changes()` gives it."""

    def page(self, since: int, limit: int = 100) -> ChangesPage:
        """The entries after number `since`."""

    def confirm(self, change: Change) -> None:
        """Make sure that it still is the log that `change` was read from."""

    def describe(
        self, study_ids: Collection[str], parts: Collection[str] = ()
    ) -> Mapping[str, StudyFacts]:
        """What studies are at this moment; what is gone is left out."""


@dataclass(frozen=True)
class PollReport:
    """What one look at the source has brought.

    Attributes:
        entries: of the log that were read.
        new, changed, gone: studies.
        done: the log has been read to its end; otherwise the next look goes on.
        restarted: the log had begun anew and is read from its beginning.
        seconds: that it took.
    """

    entries: int = 0
    new: int = 0
    changed: int = 0
    gone: int = 0
    done: bool = True
    restarted: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class Arrival:
    """An accession that should be processed now.

    Attributes:
        why: in words, free of identifiers.
        marks: the revisions of studies on whose account.
        reprocess: how the run is to go about it; None for the settings' way.
        withdraw: what is superseded by it is to be removed from its target.
    """

    partition_key: str
    why: str
    marks: tuple[Mark, ...]
    reprocess: Reprocess | None = None
    withdraw: bool = False


@dataclass(frozen=True)
class RunRequestPlan:
    """A run to ask for; two plans for the same have the same key.

    The key is made of those of the requests before it, too: none is ever used for a second request.

    Attributes:
        partition_keys: in the order of their manifests.
    """

    run_key: str
    partition_keys: tuple[str, ...]
    reprocess: Reprocess | None = None
    withdraw: bool = False
    marks: tuple[Mark, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, workspace: str, arrivals: Sequence[Arrival]) -> RunRequestPlan:
        """The plan for arrivals that are to be processed alike."""
        told = (
            f"{one.partition_key} "
            + " ".join(f"{mark.identity}:{mark.revision}:{mark.after}" for mark in one.marks)
            for one in arrivals
        )
        first = arrivals[0]
        reprocess = first.reprocess.value if first.reprocess else ""
        return cls(
            f"arrivals-{workspace}-{digest(reprocess, *told)[:24]}",
            tuple(one.partition_key for one in arrivals),
            first.reprocess,
            first.withdraw,
            tuple(mark for one in arrivals for mark in one.marks),
        )


@dataclass(frozen=True)
class Notice:
    """Something about a delivery that a person should know of, free of identifiers."""

    partition_key: str
    words: str


class Hours:
    """The time of day in which runs may begin.

    Args:
        window: such as `19:00-06:00`; empty for always.

    Raises:
        WatchingError: the time zone is not known.
    """

    def __init__(self, window: str, zone: str) -> None:
        self.zone = zone_of(zone)
        begin, _, end = window.partition("-")
        self._window = (time.fromisoformat(begin), time.fromisoformat(end)) if window else None

    def open_at(self, at: datetime) -> bool:
        """Whether a run may begin at this moment."""
        if self._window is None:
            return True
        begin, end = self._window
        here = at.astimezone(self.zone).time()
        if begin < end:
            return begin <= here < end
        return here >= begin or here < end


def zone_of(name: str) -> tzinfo:
    """A time zone by its name.

    Raises:
        WatchingError: it is not known.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        failure = WatchingError(
            "The time zone of what is watched is not known.",
            "Write a name such as Europe/Berlin into 'timezone' below 'watch'.",
        )
    raise failure


def refusal(watch: WatchSettings, facts: StudyFacts) -> str:
    """Why the rule does not take a study, in words free of identifiers; empty when it does."""
    rule: ArrivalRule = watch.rule
    wanted = {one.strip().upper() for one in rule.modalities}
    if wanted and wanted.isdisjoint(facts.modalities):
        return "the rule does not take its modality"
    stations = {_alike(one) for one in rule.stations}
    if stations and stations.isdisjoint(_alike(one) for one in facts.stations):
        return "the rule does not take its station"
    if rule.description and not re.search(rule.description, facts.description):
        return "the rule does not take its description"
    if rule.accession and not re.search(rule.accession, facts.accession_number):
        return "the rule does not take its accession number"
    return ""


def imaging_type(modalities: Sequence[str]) -> str:
    """What a manifest would name as a study's imaging type: the modality of its images."""
    images = [one for one in modalities if one not in _BESIDE_IMAGES]
    return next(iter(images or modalities), "")


def _alike(text: str) -> str:
    return " ".join(text.casefold().split())
