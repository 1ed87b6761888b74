"""The sweeper in Dagster: one asset, what it tells, and the schedule that makes it every night."""

from __future__ import annotations

import os
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from locutus_dagster.defs.resources import EngineResource
from locutus_dagster.defs.sweeper import SWEEP, sweeper_defs
from locutus_dagster.interim import InterimStore
from locutus_dagster.ledger import State
from locutus_dagster.pipeline.host import HOST
from locutus_dagster_tests.defs.conftest import Home
from locutus_dagster_tests.ledger.rows import artifact

JOB, SCHEDULE = "sweep_interim", "interim_sweep_nightly"


def definitions() -> dg.Definitions:
    return dg.Definitions.merge(
        sweeper_defs(),
        dg.Definitions(resources={"engine": EngineResource()}, executor=dg.in_process_executor),
    )


def run(home: Home, **options: Any) -> dg.ExecuteInProcessResult:
    job = definitions().resolve_job_def(JOB)
    return job.execute_in_process(instance=home.instance, raise_on_error=False, **options)


def told(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


@pytest.fixture
def store(home: Home) -> InterimStore:
    return InterimStore(home.settings.scratch_dir, home.settings.scratch_limit)


def lay(home: Home, store: InterimStore, number: int, *, host: str = HOST, days: float = 0) -> Path:
    """An identified file of ten bytes that the ledger claims for the nth accession."""
    item = home.ledger.manifest_items("default", "batch")[number]
    with store.claim("default", item.accession_id) as room:
        room.reserve(10)
        room.raw_zip.write_bytes(bytes(10))
        at = time.time() - days * 86400
        os.utime(room.raw_zip, (at, at))
    record = artifact(host=host, path=str(room.raw_zip), size=10)
    home.ledger.record_extracted(
        item.accession_id, record, source_study="handle", source_fingerprint="2" * 64
    )
    return room.raw_zip


def test_a_sweep_is_an_asset_that_tells_what_it_did(home: Home, store: InterimStore) -> None:
    home.load()
    done, old, waiting, other, lost = (
        lay(home, store, 0),
        lay(home, store, 1, days=8),
        lay(home, store, 2),
        lay(home, store, 3, host="pacs2"),
        lay(home, store, 4),
    )
    first = home.ledger.manifest_items("default", "batch")[0]
    home.ledger.record_state(first.accession_id, State.DROPPED)
    lost.unlink()

    result = run(home)

    assert result.success
    found = told(result)
    assert found["host"] == HOST
    assert found["scratch folder"] == str(home.settings.scratch_dir)
    assert (found["rooms looked at"], found["rooms in use"]) == (5, 0)
    assert (found["files removed"], found["bytes removed"]) == (2, 20)
    assert found["removed: its accession is finished (dropped)"] == 1
    assert found["removed: identified, and older than the limit"] == 1
    assert found["left: a rerun resumes from it"] == 1
    assert found["left: belongs to host pacs2"] == 1
    assert found["struck off: its file is gone"] == found["rows struck off"] == 1
    assert found["identified files left"] == 2
    assert found["files on host pacs2"] == 1
    assert [row.data["path"] for row in found["removed"].records] == [str(done), str(old)]
    assert [row.data["path"] for row in found["left"].records] == [str(waiting), str(other)]
    assert not done.exists()
    assert waiting.exists()
    numbers = [item.accession_number for item in home.ledger.manifest_items("default", "batch")]
    assert not any(number in str(found) for number in numbers)


def test_how_long_identified_files_may_wait_is_configured(home: Home, store: InterimStore) -> None:
    home.load()
    path = lay(home, store, 0, days=2)
    assert run(home).success
    assert path.exists()
    config = {"ops": {SWEEP: {"config": {"max_age_days": 1.5}}}}
    assert run(home, run_config=config).success
    assert not path.exists()


def test_a_long_list_of_files_is_cut_off_and_its_rest_added_up(
    home: Home, store: InterimStore
) -> None:
    home.load()
    for number in range(1000, 1103):
        with store.claim("default", number) as room:
            room.raw_zip.write_bytes(bytes(10))
    found = told(run(home))
    assert found["files removed"] == 103
    records = found["removed"].records
    assert len(records) == 101
    assert records[-1].data == {
        "path": "and 3 more",
        "bytes": 30,
        "why": "cut off here",
    }


def test_what_could_not_be_removed_fails_the_run_after_it_has_told_the_rest(
    home: Home, store: InterimStore, tmp_path: Path
) -> None:
    home.load()
    stuck, orphan = lay(home, store, 0), lay(home, store, 1, days=9)
    (stuck.parent / ".lock").unlink()
    (stuck.parent / ".lock").symlink_to(tmp_path / "nowhere")

    result = run(home)

    assert not result.success
    assert told(result)["files removed"] == 1
    assert not orphan.exists()
    (failure,) = result.get_step_failure_events()
    assert "could not be removed" in str(failure.step_failure_data.user_failure_data)


def test_a_ledger_that_cannot_be_opened_is_one_message(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCUTUS_LEDGER_URL", "nosuch://place")
    result = run(home)
    assert not result.success
    (failure,) = result.get_step_failure_events()
    data = failure.step_failure_data.user_failure_data
    assert data is not None
    assert "LOCUTUS_LEDGER_URL" in str(data.description)


def test_the_schedule_asks_for_a_sweep_every_night_from_the_start(home: Home) -> None:
    schedule = definitions().resolve_schedule_def(SCHEDULE)
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 3 * * *", None)
    context = dg.build_schedule_context(
        instance=home.instance,
        scheduled_execution_time=datetime(2026, 3, 1, 3, 30, tzinfo=timezone.utc),
    )
    ticks = schedule.evaluate_tick(context)
    assert len(ticks.run_requests or []) == 1
    job = definitions().resolve_job_def(schedule.job_name)
    assert job.execute_in_process(instance=home.instance).success
    assert home.instance.get_latest_materialization_event(dg.AssetKey(SWEEP)) is not None
