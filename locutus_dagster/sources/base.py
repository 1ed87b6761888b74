"""What every source of studies promises, whatever PACS or folder stands behind it.

What belongs here: the `StudySource` protocol, the values it hands over, and its errors. What does
not: anything that knows one kind of source (`orthanc.py`, `folder.py`), the interim store (a
source writes into the `InstanceSink` that it is given), and the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from locutus_dagster.errors import LocutusError
from locutus_dagster.secret_refs import Secrets

__all__ = [
    "FetchReceipt",
    "FoundStudy",
    "InstanceSink",
    "SourceContext",
    "SourceError",
    "SourceUnavailableError",
    "StudyChangedError",
    "StudyIncompleteError",
    "StudyOverview",
    "StudySource",
]


class SourceError(LocutusError):
    """A source could not give what was asked; the accession at hand fails, the rest goes on."""


class SourceUnavailableError(SourceError):
    """The source as a whole cannot be reached, or refuses us, after bounded retries."""


class StudyChangedError(SourceError):
    """The study changed while it was being downloaded; nothing of the download may be used."""


class StudyIncompleteError(SourceError):
    """Fewer instances arrived than the source lists."""


@dataclass(frozen=True)
class FoundStudy:
    """One study that a source holds for an accession number.

    Attributes:
        source_id: the source's own handle of the study (identifying: ledger and memory only).
        instances: number of instances that the source lists.
        size: their size in bytes, as far as the source knows it; an upper estimate for scratch.
        fingerprint: hex digest over the instances' identities and sizes (or the source's change
            markers); equal fingerprints mean an unchanged study.
        changed_at: when the source last took something in for it (UTC), as far as it knows.
    """

    source_id: str = field(repr=False)
    instances: int
    size: int
    fingerprint: str
    changed_at: datetime | None = None

    @property
    def version(self) -> str:
        """What tells this state of the study from one that was deleted and sent anew."""
        changed = self.changed_at.isoformat() if self.changed_at else ""
        return f"{self.fingerprint}@{changed}"


@dataclass(frozen=True)
class StudyOverview:
    """What a study consists of, found out without fetching it.

    Attributes:
        series: number of series.
        kinds: (SOP class UID, modality in upper case) -> number of instances; what the source does
            not tell is "". The numbers add up to all instances that there are by now.
        patients: a short digest of each different Patient ID in the study, sorted; instances
            without one add none. It serves to tell patients apart, in one study or between the
            answers of one source in one process, and is neither stored nor shown.
    """

    series: int
    kinds: dict[tuple[str, str], int]
    patients: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class FetchReceipt:
    """What a completed download brought.

    Attributes:
        instances: number of instances written to the sink.
        size: bytes written to the sink.
        fingerprint: the study's fingerprint, confirmed equal before and after the download.
    """

    instances: int
    size: int
    fingerprint: str


@dataclass(frozen=True)
class SourceContext:
    """What a source is opened with, besides its settings.

    Attributes:
        workspace: the project's name.
        private_dir: mode 0700, for what a source keeps between runs (an index, say).
        secrets: resolves the references among its settings. A source that is refused (401, 403)
            resolves them again with `fresh=True`, once, so that a rotated secret does no harm.
        look_only: nothing is written, not even an index.
    """

    workspace: str
    private_dir: Path
    secrets: Secrets = field(repr=False)
    look_only: bool = False


class InstanceSink(Protocol):
    """Where a source puts instances, one call each; names are given by the sink, not the source.

    Implementations are safe to call from several threads.
    """

    def add(self, data: bytes | Iterable[bytes]) -> None:
        """Store one instance (a Part 10 byte string, or its chunks in order)."""


@runtime_checkable
class StudySource(Protocol):
    """A place to find and fetch studies by accession number.

    Sources are built inside each worker process and used by one thread at a time; they may use
    threads of their own. A kind of source is one module with a function
    `(settings, context) -> StudySource`, registered as an entry point (`registry.py`).
    """

    def check(self) -> dict[str, object]:
        """Describe the source (version, size …) if it can be used at this moment.

        Raises:
            SourceUnavailableError: it cannot; the message says what to do.
        """

    def find(self, accession_number: str) -> list[FoundStudy]:
        """List the studies whose Accession Number (0008,0050) equals `accession_number` exactly.

        Returns an empty list when there is none.

        Raises:
            SourceUnavailableError: the source cannot be asked at all.
        """

    def overview(self, study: FoundStudy) -> StudyOverview:
        """Look what a study consists of; nothing of it is fetched.

        Raises:
            StudyChangedError: the study is no longer there.
            SourceUnavailableError: the source cannot be asked at all.
        """

    def fetch(self, study: FoundStudy, sink: InstanceSink) -> FetchReceipt:
        """Write every instance of `study` to `sink`.

        Raises:
            StudyChangedError: the study is no longer the one that `find` saw.
            StudyIncompleteError: an instance that the source lists did not arrive.
            SourceUnavailableError: the source stopped answering.
        """

    def close(self) -> None:
        """Release connections and files; calling it twice is allowed."""
