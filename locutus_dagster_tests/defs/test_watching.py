"""The sensor: plans become run requests, runs answers, and a failed look is a failed tick."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import dagster as dg
import pytest

from locutus_dagster.defs.build import build_defs
from locutus_dagster.defs.resources import EngineResource
from locutus_dagster.defs.run_failures import failure_of
from locutus_dagster.defs.watching import ARRIVALS_TAG, outside_hours
from locutus_dagster.ledger.pauses import SYSTEM
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.settings import Settings, load_settings
from locutus_dagster_tests.pipeline.watching_pacs import Watched

ACCESSION = "ACC-WATCHED-1"
WORLDS: list[Watched] = []


def parts_of(_settings: Settings, _workspace: str, *, look_only: bool = False) -> Parts:
    """The parts of the world at hand, which outlive a tick."""
    made = WORLDS[-1]
    made.start()
    return made.parts


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    made = Watched.build(tmp_path / "w", mode="both", batch_size=2)
    monkeypatch.setenv("LOCUTUS_HOME", str(made.settings.home))
    WORLDS.append(made)
    yield made
    WORLDS.remove(made)
    made.parts.close()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as made:
        yield made


def tick(world: Watched, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    engine = EngineResource(parts_factory=f"{__name__}:parts_of")
    repository = build_defs(world.settings, resource_overrides={"engine": engine})
    (sensor,) = [s for s in repository.get_repository_def().sensor_defs if s.name == "arrivals"]
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    context = dg.build_sensor_context(
        instance, repository_def=repository.get_repository_def(), resources={"engine": engine}
    )
    return list(sensor.evaluate_tick(context).run_requests or [])


def keys(requests: list[dg.RunRequest]) -> list[list[str]]:
    return [one.run_config["ops"]["accession_chain"]["config"]["partitions"] for one in requests]


def arrive(world: Watched, *numbers: str) -> None:
    for number in numbers:
        world.pacs.arrive(f"study-{number}", number, patient=number)
    world.pacs.rest()


def test_what_has_arrived_is_asked_for_once_in_batches_with_its_partitions_registered(
    world: Watched, instance: dg.DagsterInstance
) -> None:
    arrive(world, ACCESSION, "ACC-WATCHED-2", "ACC-WATCHED-3")
    requests = tick(world, instance)
    asked = [key for some in keys(requests) for key in some]
    assert [len(some) for some in keys(requests)] == [2, 1]
    assert set(asked) <= set(instance.get_dynamic_partitions("accessions__default"))
    assert all(one.run_key == one.tags[ARRIVALS_TAG] for one in requests)
    assert ACCESSION not in repr(requests)
    assert tick(world, instance) == []


def test_while_the_system_is_paused_nothing_is_asked_for_and_nothing_lost(
    world: Watched, instance: dg.DagsterInstance
) -> None:
    world.ledger.set_pause(SYSTEM, True, reason="maintenance")
    arrive(world, ACCESSION)
    assert tick(world, instance) == []
    world.ledger.set_pause(SYSTEM, False)
    assert len(keys(tick(world, instance))) == 1


def test_a_look_that_fails_is_a_failed_tick_that_names_nobody(
    world: Watched, instance: dg.DagsterInstance
) -> None:
    arrive(world, ACCESSION)
    world.pacs.down = True
    with pytest.raises(Exception, match="does not answer") as failure:
        tick(world, instance)
    assert ACCESSION not in repr(failure.value) + repr(failure.value.__cause__)
    world.pacs.down = False
    assert len(keys(tick(world, instance))) == 1


@dg.job
def _nothing() -> None:
    pass


@pytest.mark.parametrize("ended", [dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE])
def test_what_a_run_left_when_it_broke_off_is_asked_for_again_after_a_while(
    world: Watched, instance: dg.DagsterInstance, ended: dg.DagsterRunStatus
) -> None:
    arrive(world, ACCESSION, "ACC-WATCHED-2")
    (request,) = tick(world, instance)
    ((first, second),) = keys([request])
    run = instance.create_run_for_job(
        _nothing, tags=dict(request.tags), status=dg.DagsterRunStatus.STARTED
    )
    world.process(first)
    assert tick(world, instance) == []  # it is at work
    instance.report_run_failed(run) if ended is dg.DagsterRunStatus.FAILURE else (
        instance.report_run_canceled(run)
    )
    assert tick(world, instance) == []
    assert world.watcher.outstanding() == {}
    soon = datetime.now(timezone.utc) + timedelta(minutes=14)
    assert world.watcher.requests(soon) == []
    (again,) = world.watcher.requests(soon + timedelta(minutes=2))
    assert again.partition_keys == (second,)
    assert again.run_key != request.run_key


def test_a_run_that_comes_out_of_the_queue_when_the_hours_are_over_leaves_all_to_the_next_hours(
    world: Watched, instance: dg.DagsterInstance
) -> None:
    arrive(world, ACCESSION)
    (request,) = tick(world, instance)
    now = datetime.now(timezone.utc)
    begin, end = (f"{now + timedelta(hours=hours):%H}:00" for hours in (2, 3))
    own = {
        "source": {"kind": "orthanc", "url": "http://127.0.0.1:1"},
        "target": {"path": str(world.root / "share")},
        "watch": {"mode": "both", "hours": f"{begin}-{end}"},
    }
    told = {"workspaces": {"default": own}}
    (world.settings.home / "locutus.yaml").write_text(json.dumps(told))
    job = build_defs(load_settings()).resolve_job_def("process_manifest")
    ran = job.execute_in_process(
        run_config=request.run_config,
        instance=instance,
        tags=request.tags,
        raise_on_error=False,
    )
    assert not ran.success
    assert begin in failure_of(instance, ran.run_id).paused
    assert begin in failure_of(instance, ran.run_id).description
    assert [item.state.value for item in world.items().values()] == ["loaded"]
    (again,) = tick(world, instance)  # here the hours are as they were
    assert keys([again]) == keys([request])
    assert again.run_key != request.run_key
    # Who starts it by hand once more means it so.
    by_hand = {"parent_run_id": ran.run_id, "root_run_id": ran.run_id}
    run = dg.DagsterRun(job_name="process_manifest", tags=dict(request.tags))
    again_by_hand = dg.DagsterRun(job_name="process_manifest", tags=dict(request.tags), **by_hand)
    settings = load_settings()
    assert outside_hours(run, settings, "default")
    assert outside_hours(again_by_hand, settings, "default") == ""
    assert outside_hours(dg.DagsterRun(job_name="process_manifest"), settings, "default") == ""


def test_a_run_for_a_changed_study_asks_the_source_whatever_the_settings_say(
    world: Watched, instance: dg.DagsterInstance
) -> None:
    world.start(redeliver_changed=True)
    arrive(world, ACCESSION)
    (first,) = tick(world, instance)
    world.process(keys([first])[0][0])
    assert tick(world, instance) == []
    arrive(world, ACCESSION)
    (again,) = tick(world, instance)
    config = again.run_config["ops"]["accession_chain"]["config"]
    assert config["check_source"] is True
    assert "check_source" not in first.run_config["ops"]["accession_chain"]["config"]
