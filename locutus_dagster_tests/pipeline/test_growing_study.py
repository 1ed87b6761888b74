"""A study that changes while it is downloaded is begun again, and not for ever."""

from __future__ import annotations

import pytest

from locutus_dagster.ledger import State
from locutus_dagster.pipeline import extract
from locutus_dagster.pipeline.chain import process_accession
from locutus_dagster.pipeline.outcomes import Finished, Result
from locutus_dagster.sources.base import FetchReceipt, FoundStudy, InstanceSink
from locutus_dagster_tests.pipeline import small_world
from locutus_dagster_tests.pipeline.small_world import SmallSource, SmallWorld


class GrowingSource(SmallSource):
    """The small source, to which an instance is added during each of the first downloads."""

    def __init__(self, world: SmallWorld, times: int) -> None:
        super().__init__(world.root / "pacs")
        self.world, self.left, self.fetched = world, times, 0

    def fetch(self, study: FoundStudy, sink: InstanceSink) -> FetchReceipt:
        self.fetched += 1
        if self.left:
            self.left -= 1
            sink.add(b"half a study")
            self.world.put_study("ACC1", instances=study.instances + 1)
        return super().fetch(study, sink)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "_PAUSE", 0.0)


def end(world: SmallWorld, key: str, source: GrowingSource) -> Finished:
    parts = small_world.parts(world.settings, "default")
    parts.source = source
    parts.interim.prepare()
    *_, last = process_accession(key, parts)
    parts.close()
    assert isinstance(last, Finished)
    return last


def test_what_is_delivered_is_the_study_as_it_was_in_the_end(small: SmallWorld) -> None:
    small.put_study("ACC1")
    (key,) = small.load("ACC1")
    source = GrowingSource(small, 2)
    assert end(small, key, source).result is Result.DELIVERED
    assert (source.fetched, small.item(key).instances) == (3, 3)
    assert small.leftovers() == []


def test_one_that_never_rests_fails_and_is_taken_by_a_later_run(small: SmallWorld) -> None:
    small.put_study("ACC1")
    (key,) = small.load("ACC1")
    source = GrowingSource(small, 99)
    assert end(small, key, source).result is Result.FAILED
    assert (source.fetched, small.item(key).state) == (3, State.FAILED)
    assert small.leftovers() == []
    source.left = 0
    assert end(small, key, source).result is Result.DELIVERED
