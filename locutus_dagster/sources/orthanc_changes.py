"""What has happened in an Orthanc since somebody last looked: its log of changes, page by page.

What belongs here: reading `/changes`, and noticing that it is no longer the log that was read
before. What does not: what is done about a change, and where the place in the log is kept.

Seen with Orthanc 1.10, and so by design of its log: a study that is deleted leaves no entry, and
the entries of its life go with it. Who must learn of deletions has to look for the studies that he
knows of. Entries that went leave gaps in the numbers, so a gap means nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from locutus_dagster.sources.base import SourceError
from locutus_dagster.sources.orthanc_api import OrthancApi
from locutus_dagster.sources.orthanc_studies import StudyFacts, describe_studies
from locutus_dagster.sources.orthanc_terms import GoneError, utc_time

__all__ = ["Change", "ChangesPage", "CounterWentBackError", "OrthancChanges"]


class CounterWentBackError(SourceError):
    """Orthanc counts its changes anew: its database was replaced, or restored from a copy."""


@dataclass(frozen=True)
class Change:
    """One entry of the log.

    Attributes:
        seq: its number; later entries have larger ones.
        kind: what happened, in Orthanc's words: `NewInstance`, `NewStudy`, `StableStudy` (nothing
            has come for some time), … Words that are not known here are passed on as they are.
        level: to what: `Patient`, `Study`, `Series` or `Instance`.
        resource_id: Orthanc's handle of that (identifying: ledger and memory only).
        at: when (UTC), to the second.
    """

    seq: int
    kind: str
    level: str
    resource_id: str = field(repr=False)
    at: datetime | None

    @property
    def study_id(self) -> str | None:
        """The handle of the study, as in `FoundStudy.source_id`; None if it is of no study."""
        return self.resource_id if self.level == "Study" else None


@dataclass(frozen=True)
class ChangesPage:
    """Some entries of the log, in order.

    Attributes:
        changes: the entries; none if there is nothing new.
        last: the number to continue after, never smaller than the one that was asked for.
        done: whether there was nothing more at that moment.
    """

    changes: tuple[Change, ...]
    last: int
    done: bool


class OrthancChanges:
    """The log of changes of one Orthanc; `OrthancSource.changes()` gives it."""

    def __init__(self, api: OrthancApi) -> None:
        self._api = api

    def page(self, since: int, limit: int = 100) -> ChangesPage:
        """The entries after number `since`, at most `limit` of them.

        Raises:
            CounterWentBackError: the log has not come as far as `since`.
            SourceUnavailableError: Orthanc does not answer, refuses us, or is none. Never is a
                failed question an empty page.
        """
        answer = self._ask({"since": since, "limit": limit})
        changes = tuple(entry for entry in self._entries(answer) if entry.seq > since)
        last = self._last(answer)
        if last < since:
            raise _went_back()
        if changes:
            last = max(one.seq for one in changes)
        done = answer.get("Done")
        if not isinstance(done, bool):
            raise self._api.not_an_orthanc()
        return ChangesPage(changes, last, done)

    def last_seq(self) -> int:
        """The number of the latest entry; 0 if there never was one.

        Raises:
            SourceUnavailableError: Orthanc does not answer, refuses us, or is none.
        """
        return self._last(self._ask({"last": ""}))

    def confirm(self, change: Change) -> None:
        """Make sure that the log still is the one that `change` was read from.

        A database that was replaced may have counted beyond the number that was reached before, so
        that the number alone does not show it. An entry that has gone proves nothing.

        Raises:
            CounterWentBackError: the log has not come so far, or has another entry in its place.
            SourceUnavailableError: Orthanc does not answer, refuses us, or is none.
        """
        answer = self._ask({"since": change.seq - 1, "limit": 1})
        entries = self._entries(answer)
        if self._last(answer) < change.seq - 1 or any(
            one.seq == change.seq and one != change for one in entries
        ):
            raise _went_back()

    def describe(
        self, study_ids: Collection[str], parts: Collection[str] = ()
    ) -> dict[str, StudyFacts]:
        """What the studies that entries speak of are at this moment; see `describe_studies`."""
        return describe_studies(self._api, study_ids, parts)

    def _ask(self, params: dict[str, Any]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._api.ask(
                lambda orthanc: orthanc.get_changes(params=params), dict
            )
        except GoneError:
            failure = self._api.not_an_orthanc()
        else:
            return answer
        raise failure

    def _last(self, answer: dict[str, Any]) -> int:
        last = answer.get("Last")
        if not isinstance(last, int) or isinstance(last, bool):
            raise self._api.not_an_orthanc()
        return last

    def _entries(self, answer: dict[str, Any]) -> list[Change]:
        try:
            changes = [
                Change(
                    seq=int(one["Seq"]),
                    kind=str(one["ChangeType"]),
                    level=str(one["ResourceType"]),
                    resource_id=str(one["ID"]),
                    at=utc_time(one.get("Date")),
                )
                for one in answer["Changes"]
            ]
        except (AttributeError, KeyError, TypeError, ValueError):
            failure = self._api.not_an_orthanc()
        else:
            return sorted(changes, key=lambda one: one.seq)
        raise failure


def _went_back() -> CounterWentBackError:
    return CounterWentBackError(
        "Orthanc counts its changes anew: its database was replaced or restored.",
        "Read its changes again from the beginning, and look for every study that is known.",
    )
