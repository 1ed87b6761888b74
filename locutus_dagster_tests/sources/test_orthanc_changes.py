"""Reading the log of changes of a real Orthanc, and of one that misbehaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from locutus_dagster.sources.base import SourceUnavailableError
from locutus_dagster.sources.orthanc import OrthancSource
from locutus_dagster.sources.orthanc_changes import (
    Change,
    ChangesPage,
    CounterWentBackError,
    OrthancChanges,
)
from locutus_dagster_tests.parts import wait_until
from locutus_dagster_tests.parts.orthanc import OrthancServer
from locutus_dagster_tests.sources.faulty_orthanc import Body, Fault, FaultyOrthanc, Status
from locutus_dagster_tests.sources.studies import CollectingSink, digests, instance, study_of

pytestmark = pytest.mark.orthanc


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[OrthancServer]:
    options = {"StableAge": 1, "StoreMD5ForAttachments": False}
    with OrthancServer(tmp_path / "orthanc", options=options) as server:
        yield server


def everything(changes: OrthancChanges, limit: int) -> list[Change]:
    read: list[Change] = []
    page = ChangesPage((), 0, done=False)
    while not page.done:
        page = changes.page(page.last, limit)
        read += page.changes
        assert len(page.changes) <= limit
    return read


def test_the_log_of_a_real_orthanc_is_read_and_its_end_and_replacement_noticed(
    orthanc: OrthancServer,
) -> None:
    source = OrthancSource(orthanc.url, attempts=2, backoff=0.01, verify_md5=True)
    changes = source.changes()
    assert changes.last_seq() == 0
    assert changes.page(0) == ChangesPage((), 0, done=True)

    made = study_of("LOGGED", 3)
    for data in made:
        orthanc.upload(data)
    (study,) = source.find("LOGGED")

    # Page by page it is the same as at once, and in order.
    wait_until(lambda: "StableStudy" in {one.kind for one in everything(changes, 100)}, 10, "rest")
    read = everything(changes, 2)
    assert read == everything(changes, 100)
    assert [one.seq for one in read] == sorted(one.seq for one in read)
    assert changes.last_seq() == read[-1].seq
    of_study = [one.kind for one in read if one.study_id == study.source_id]
    assert of_study == ["NewStudy", "StableStudy"]
    assert sum(one.kind == "NewInstance" and one.study_id is None for one in read) == 3
    now = datetime.now(timezone.utc)
    assert all(one.at and abs(now - one.at) < timedelta(minutes=5) for one in read)
    assert study.source_id not in repr(read)

    # Without an MD5 at Orthanc's there is none to compare.
    sink = CollectingSink()
    source.fetch(study, sink)
    assert digests(sink.instances) == digests(made)

    # Deletion takes entries away, which is no replacement.
    last, stable = read[-1].seq, next(one for one in read if one.kind == "StableStudy")
    changes.confirm(stable)
    orthanc.ask("DELETE", f"/studies/{study.source_id}")
    changes.confirm(stable)
    assert changes.page(last) == ChangesPage((), last, done=True)

    # A poll that fails is no empty page.
    orthanc.kill()
    with pytest.raises(SourceUnavailableError, match="does not answer"):
        changes.page(last)

    # Another database counts from the beginning, and sooner or later beyond the old number.
    shutil.rmtree(orthanc.storage)
    orthanc.start()
    with pytest.raises(CounterWentBackError, match="anew"):
        changes.page(last)
    with pytest.raises(CounterWentBackError, match="anew"):
        changes.confirm(stable)
    for number in range(last + 1):
        orthanc.upload(instance("OTHER", study="9", number=number))
    assert changes.page(last).changes
    with pytest.raises(CounterWentBackError, match="anew"):
        changes.confirm(stable)
    source.close()


STRANGE: dict[str, Fault] = {
    "a list": Body(b"[]"),
    "nothing known": Body(b"{}"),
    "no last": Body(b'{"Changes": [], "Done": true}'),
    "no done": Body(b'{"Changes": [], "Last": 9}'),
    "other entries": Body(b'{"Changes": [{"Seq": "x"}], "Done": true, "Last": 9}'),
    "entries that are none": Body(b'{"Changes": [7], "Done": true, "Last": 9}'),
    "no such route": Status(404),
    "busy": Status(503),
    "refused": Status(403),
}


@pytest.mark.parametrize("fault", STRANGE.values(), ids=STRANGE)
def test_an_answer_that_cannot_be_understood_is_no_empty_page(fault: Fault) -> None:
    with FaultyOrthanc("A", []) as faulty:
        faulty.always("changes", fault)
        source = OrthancSource(faulty.url, attempts=2, backoff=0.01)
        with pytest.raises(SourceUnavailableError):
            source.changes().page(5)
        source.close()


def test_kinds_that_are_not_known_are_passed_on() -> None:
    entry = {"Seq": 7, "ChangeType": "MovedToTape", "ResourceType": "Study", "ID": "abc"}
    answer = {"Changes": [entry], "Done": False, "Last": 7}
    with FaultyOrthanc("A", []) as faulty:
        faulty.always("changes", Body(json.dumps(answer).encode()))
        source = OrthancSource(faulty.url)
        page = source.changes().page(5)
        source.close()
    assert page == ChangesPage((Change(7, "MovedToTape", "Study", "abc", None),), 7, done=False)
    assert page.changes[0].study_id == "abc"
