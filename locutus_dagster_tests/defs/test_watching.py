"""The sensor: plans become run requests, runs answers, and a failed look is a failed tick."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from locutus_dagster.defs.build import build_defs
from locutus_dagster.defs.resources import EngineResource
from locutus_dagster.defs.watching import ARRIVALS_TAG
from locutus_dagster.ledger.pauses import SYSTEM
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.settings import Settings
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
def test_what_a_run_left_when_it_broke_off_is_asked_for_again(
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
    (again,) = tick(world, instance)
    assert keys([again]) == [[second]]
    assert again.run_key != request.run_key
