"""The plain values of the stage, as the ledger hands them out and takes them.

What belongs here: frozen dataclasses. What does not: SQLAlchemy (`stage.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from locutus_dagster.ledger.states import State

__all__ = ["Cursor", "Mark", "Recorded", "Sighting", "StageCount", "StagedStudy", "Verdict"]


@dataclass(frozen=True)
class Sighting:
    """A study as it was seen at the source.

    Attributes:
        version: digest that is another one whenever anything of the study changes.
        resting: the source says at this moment that nothing is coming for it.
        settled: the source has said so since the last thing came, and not only after a restart.
    """

    source_study: str = field(repr=False)
    accession_number: str = field(repr=False)
    patient_id: str = field(repr=False)
    instances: int
    series: int
    modalities: tuple[str, ...]
    version: str
    resting: bool
    settled: bool = False


@dataclass(frozen=True)
class Cursor:
    """How far a workspace has read its source's log of changes.

    Attributes:
        place: digest of the source's address; empty before the first look.
        seq: the number to continue after.
        mark: the entry that was read last, to know the log again by.
        polled_at: the last success.
        failed_at: the last failure since then, None when there was none.
        failure: why, free of identifiers.
        restarts: how often the log was found to have begun anew.
        judged_by: digest of the rule by which studies have been refused.
    """

    workspace: str
    place: str = ""
    seq: int = 0
    mark: Mapping[str, Any] | None = field(default=None, repr=False)
    polled_at: datetime | None = None
    failed_at: datetime | None = None
    failure: str = ""
    restarts: int = 0
    judged_by: str = ""


@dataclass(frozen=True)
class Recorded:
    """What a look at the source has brought: studies that are new, changed, gone, or back."""

    new: int = 0
    changed: int = 0
    gone: int = 0

    def __add__(self, other: Recorded) -> Recorded:
        return Recorded(self.new + other.new, self.changed + other.changed, self.gone + other.gone)


@dataclass(frozen=True)
class StagedStudy:
    """A study of the stage, and how the accession that it carries stands.

    Attributes:
        formerly: an accession number that it had before it was corrected, as long as nothing has
            been done about that; else empty.
        revision: counts the versions of it that were seen.
        handled: the revision up to which everything has been done.
        stable_since: None while it grows.
        accession_id: None when no manifest of the workspace names its number.
        asked_run: key of the request that was made last.
        answered: something has happened to the accession since a run was asked for.
    """

    identity: int
    source_study: str = field(repr=False)
    accession_number: str = field(repr=False)
    formerly: str = field(repr=False)
    patient_id: str = field(repr=False)
    instances: int
    series: int
    modalities: tuple[str, ...]
    version: str
    revision: int
    handled: int
    first_seen: datetime
    changed_at: datetime
    stable_since: datetime | None
    gone_at: datetime | None
    verdict: str
    refused: bool
    asked_at: datetime | None
    asked_run: str
    asked_revision: int
    attempts: int
    not_before: datetime | None
    accession_id: int | None = None
    state: State | None = None
    answered: bool = False


@dataclass(frozen=True)
class Verdict:
    """What was decided about a revision of a study.

    Attributes:
        words: for people, free of identifiers.
        refused: other settings might have decided otherwise, so it is looked at again when they
            change.
    """

    identity: int
    revision: int
    words: str
    refused: bool = False


@dataclass(frozen=True)
class Mark:
    """A request for a run that is about to be made: which revision of which study.

    Attributes:
        after: key of the request for it that was made last; empty for the first.
    """

    identity: int
    revision: int
    after: str = ""


@dataclass(frozen=True)
class StageCount:
    """The stage in numbers.

    Attributes:
        present: studies that the source has.
        growing: of these, such as still grow.
        due: of these, such as have changed and about which nothing has been decided yet.
        asked: of these, such as a run has been asked for.
        refused: of these, such as the rule, or what it needs, does not take.
        unnumbered: of these, such as have no accession number.
        gone: studies that the source had.
    """

    present: int = 0
    growing: int = 0
    due: int = 0
    asked: int = 0
    refused: int = 0
    unnumbered: int = 0
    gone: int = 0
