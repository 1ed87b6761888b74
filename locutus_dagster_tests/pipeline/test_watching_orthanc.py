"""A real Orthanc, watched: what it does, seen through its log, and carried to a share."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest

from locutus_dagster.ledger import State
from locutus_dagster.pipeline.batch import Batch
from locutus_dagster.pipeline.options import RunOptions
from locutus_dagster.pipeline.parts import Parts, build_parts
from locutus_dagster.pipeline.watching import RunRequestPlan, Watcher
from locutus_dagster.settings import Settings
from locutus_dagster.sources.base import SourceUnavailableError
from locutus_dagster_tests.parts import wait_until
from locutus_dagster_tests.parts.orthanc import OrthancServer
from locutus_dagster_tests.sources.studies import instance

pytestmark = pytest.mark.orthanc


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[OrthancServer]:
    with OrthancServer(tmp_path / "orthanc", options={"StableAge": 1}) as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path, orthanc: OrthancServer) -> Settings:
    (tmp_path / "share").mkdir()
    return Settings(
        home=tmp_path / "home",
        workers=0,
        workspaces={
            "default": {
                "source": {"kind": "orthanc", "url": orthanc.url, "attempts": 1},
                "target": {"kind": "share", "path": str(tmp_path / "share")},
                "watch": {"mode": "both", "redeliver_changed": True, "withdraw_superseded": True},
            }
        },
    )


@pytest.fixture
def parts(settings: Settings) -> Iterator[Parts]:
    built = build_parts(settings, "default")
    yield built
    built.close()


def carry_out(plan: RunRequestPlan, settings: Settings) -> None:
    options = RunOptions.of(settings, reprocess=plan.reprocess, withdraw=plan.withdraw)
    list(Batch(settings, "default", "run", options=options).run(plan.partition_keys))


def planned(watcher: Watcher) -> list[RunRequestPlan]:
    watcher.poll()
    return watcher.requests()


def until_planned(watcher: Watcher) -> RunRequestPlan:
    found: list[RunRequestPlan] = []

    def something() -> bool:
        found[:] = planned(watcher)
        return bool(found)

    wait_until(something, 15, "a plan")
    (plan,) = found
    watcher.asked(plan)
    return plan


def delivered(share: Path) -> dict[str, set[str]]:
    """The SOP Instance UIDs in each zip on the share."""
    found = {}
    for path in share.rglob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            found[path.name] = {
                str(pydicom.dcmread(io.BytesIO(archive.read(name))).SOPInstanceUID)
                for name in archive.namelist()
            }
    return found


def test_a_study_that_grows_is_processed_once_and_again_when_a_late_series_comes(
    orthanc: OrthancServer, settings: Settings, parts: Parts, tmp_path: Path
) -> None:
    watcher = Watcher(parts)
    assert planned(watcher) == []
    for number in (1, 2, 3):
        orthanc.upload(instance("GROWS", number=number))
        assert planned(watcher) == []
    first = until_planned(watcher)
    carry_out(first, settings)
    assert planned(watcher) == []
    (before,) = delivered(tmp_path / "share").values()
    assert len(before) == 3

    # While Orthanc is down nothing is taken for gone, and nothing is asked for.
    orthanc.kill()
    with pytest.raises(SourceUnavailableError):
        watcher.poll()
    assert parts.ledger.stage_cursor("default").failure
    orthanc.start()
    assert planned(watcher) == []
    assert parts.ledger.stage_count("default").gone == 0

    orthanc.upload(instance("GROWS", series=2))
    assert planned(watcher) == []
    late = until_planned(watcher)
    assert late.partition_keys == first.partition_keys
    carry_out(late, settings)
    (after,) = delivered(tmp_path / "share").values()
    assert len(after) == 4
    assert before < after  # the same pseudonyms
    (item,) = parts.ledger.work_items("default", list(late.partition_keys))
    deliveries = parts.ledger.deliveries(item.accession_id)
    assert [one.stands for one in deliveries] == [False, True]
    assert (item.generation, item.changed) == (2, "")
    assert planned(watcher) == []

    # A study that is deleted leaves no entry; it is noticed nevertheless.
    (study,) = parts.source.find("GROWS")
    orthanc.ask("DELETE", f"/studies/{study.source_id}")
    parts.ledger.restart_stage("default", parts.ledger.stage_cursor("default").place)
    assert watcher.poll().gone == 1


def test_images_that_a_restart_cuts_off_from_the_log_and_a_new_database_are_coped_with(
    orthanc: OrthancServer, settings: Settings, parts: Parts, tmp_path: Path
) -> None:
    shift = [0.0]
    watcher = Watcher(parts, clock=_shifted(shift))
    orthanc.upload(instance("CUT"))
    carry_out(until_planned(watcher), settings)
    orthanc.upload(instance("CUT", number=2))
    orthanc.kill()  # before it could say that the study has come to rest
    orthanc.start()
    assert planned(watcher) == []
    shift[0] = 61.0
    plan = until_planned(watcher)
    carry_out(plan, settings)
    assert [len(one) for one in delivered(tmp_path / "share").values()] == [2]
    assert planned(watcher) == []

    # Its database is lost; another study comes into the new one.
    orthanc.kill()
    shutil.rmtree(orthanc.storage)
    orthanc.start()
    orthanc.upload(instance("NEW", study="2"))
    report = watcher.poll()
    assert (report.restarted, report.gone) == (True, 1)
    fresh = until_planned(watcher)
    assert set(fresh.partition_keys).isdisjoint(plan.partition_keys)
    (item,) = parts.ledger.work_items("default", list(plan.partition_keys))
    assert item.state is State.DELIVERED
    carry_out(fresh, settings)
    assert len(delivered(tmp_path / "share")) == 2


def test_a_corrected_accession_number_is_delivered_under_the_new_one(
    orthanc: OrthancServer, settings: Settings, parts: Parts, tmp_path: Path
) -> None:
    watcher = Watcher(parts)
    orthanc.upload(instance("WRONG"))
    first = until_planned(watcher)
    carry_out(first, settings)
    before = delivered(tmp_path / "share")
    (study,) = parts.source.find("WRONG")
    orthanc.ask("DELETE", f"/studies/{study.source_id}")
    orthanc.upload(instance("RIGHT"))
    second = until_planned(watcher)
    carry_out(second, settings)
    old, new = parts.ledger.work_items("default", [*first.partition_keys, *second.partition_keys])
    assert (old.accession_number, old.state) == ("WRONG", State.PENDING)
    assert (new.accession_number, new.state) == ("RIGHT", State.DELIVERED)
    assert (old.subject_id, delivered(tmp_path / "share")) == (new.subject_id, before)
    assert planned(watcher) == []


def _shifted(shift: list[float]) -> Callable[[], object]:
    from datetime import datetime, timedelta, timezone

    return lambda: datetime.now(timezone.utc) + timedelta(seconds=shift[0])
