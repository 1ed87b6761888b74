"""Looking at a world without touching it, and a source that says what a test lets it say.

What belongs here: parts that only look, and the hand-written source. What does not: assertions.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from locutus_dagster.ledger import WorkItem
from locutus_dagster.pipeline.foreseen import Foreseen
from locutus_dagster.pipeline.options import RunOptions
from locutus_dagster.pipeline.parts import Parts, build_parts
from locutus_dagster.pipeline.preflight import preflight
from locutus_dagster.settings import Settings
from locutus_dagster.sources.base import (
    FetchReceipt,
    FoundStudy,
    InstanceSink,
    StudyOverview,
    StudySource,
)

__all__ = ["CT", "MR", "SR", "TellingSource", "foretold", "looking", "study"]

CT = ("1.2.840.10008.5.1.4.1.1.2", "CT")
MR = ("1.2.840.10008.5.1.4.1.1.4", "MR")
SR = ("1.2.840.10008.5.1.4.1.1.88.11", "SR")


def study(
    handle: str,
    kinds: dict[tuple[str, str], int],
    *patients: str,
    size: int = 1000,
) -> tuple[FoundStudy, StudyOverview]:
    """A study of so many instances of each kind, `size` bytes each."""
    instances = sum(kinds.values())
    found = FoundStudy(handle, instances, instances * size, f"fingerprint of {handle}")
    return found, StudyOverview(1, kinds, patients or ("one",))


@dataclass
class TellingSource:
    """A source of studies that are only told of, and of errors.

    Attributes:
        holds: accession number → studies, or the error that asking for it raises.
        asked: how often each accession number was asked for.
        threads: which threads have asked.
    """

    holds: dict[str, Sequence[tuple[FoundStudy, StudyOverview]] | Exception]
    asked: Counter[str] = field(default_factory=Counter)
    threads: set[int] = field(default_factory=set)
    closed: bool = False

    def check(self) -> dict[str, str]:
        return {"kind": "telling"}

    def find(self, accession_number: str) -> list[FoundStudy]:
        self.asked[accession_number] += 1
        self.threads.add(threading.get_ident())
        told = self.holds.get(accession_number, ())
        if isinstance(told, Exception):
            raise told
        return [found for found, _ in told]

    def overview(self, study: FoundStudy) -> StudyOverview:
        for told in self.holds.values():
            for found, overview in () if isinstance(told, Exception) else told:
                if found is study:
                    return overview
        raise AssertionError("nobody has found that study")

    def fetch(self, study: FoundStudy, sink: InstanceSink) -> FetchReceipt:
        raise AssertionError("to look at a study is not to fetch it")

    def close(self) -> None:
        self.closed = True


@contextmanager
def looking(settings: Settings, source: StudySource | None = None) -> Iterator[Parts]:
    """The workspace's parts, made to look only; `source` takes the place of the real one."""
    parts = build_parts(settings, "default", look_only=True)
    if source is not None:
        parts.source, parts.another_source = source, None
    try:
        yield parts
    finally:
        parts.close()


def foretold(
    settings: Settings,
    items: Sequence[WorkItem],
    options: RunOptions | None = None,
    source: StudySource | None = None,
) -> dict[str, Foreseen]:
    """What a preflight says of each item, by partition key."""
    with looking(settings, source) as parts:
        records = list(preflight(items, parts, options or RunOptions.of(settings)))
    assert [record.partition_key for record in records] == [item.partition_key for item in items]
    return {record.partition_key: record for record in records}
