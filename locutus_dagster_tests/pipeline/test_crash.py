"""A process that dies at any instant leaves a state from which a rerun finishes correctly."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from locutus_dagster.ledger import State
from locutus_dagster.pipeline.batch import BatchError
from locutus_dagster.pipeline.outcomes import Result
from locutus_dagster_tests.pipeline.world import FAULTS, World, results

PLACES = [
    "extract:middle",
    "extract:written",
    "extract:renamed",
    "extract:recorded",
    "transform:middle",
    "transform:written",
    "transform:renamed",
    "transform:recorded",
    "transform:cleared",
    "deliver:middle",
    "deliver:put",
    "deliver:recorded",
    "deliver:cleared",
]


def _assert_everything_delivered_once(world: World) -> None:
    expected = set(world.pacs.accessions) - {
        world.pacs.missing_accession,
        world.pacs.residue_accession,
    }
    delivered = [item for item in world.items() if item.state is State.DELIVERED]
    assert {item.accession_number for item in delivered} == expected
    uris = set()
    for item in delivered:
        (delivery,) = world.ledger.deliveries(item.accession_id)
        path = Path(delivery.uri.removeprefix("file://"))
        assert world.members(path) == item.delivered == delivery.instances
        uris.add(path)
    assert set(world.delivered_zips()) == uris
    assert world.leftovers() == []


@pytest.mark.parametrize("place", PLACES)
def test_a_process_killed_anywhere_leaves_what_a_rerun_finishes(
    world: World, tmp_path: Path, place: str
) -> None:
    mark = tmp_path / "killed"
    code = world.run_elsewhere({"KILL_AT": place, "KILL_MARK": str(mark)})
    assert code == -signal.SIGKILL
    assert mark.exists()

    world.run()

    _assert_everything_delivered_once(world)


# Of the three middles this one: what the place means for the accession is shown above.
@pytest.mark.parametrize("place", ["transform:middle"])
def test_a_killed_worker_costs_one_accession_and_the_rest_goes_on(
    make_world: Callable[..., World],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    world = make_world(workers=2)
    monkeypatch.setenv("KILL_AT", place)
    monkeypatch.setenv("KILL_MARK", str(tmp_path / "killed"))

    outcomes = world.run(parts_factory=FAULTS)

    killed = [item for item in world.items() if "worker process died (signal 9)" in item.reason]
    assert len(killed) == 1
    assert killed[0].state is State.FAILED
    assert len(results(outcomes)) == len(world.keys)
    assert list(results(outcomes).values()).count(Result.FAILED) == 2  # and the blocked one
    # Nothing that identifies anybody outlives the worker.
    assert "raw.zip" not in world.leftovers()

    world.run()

    _assert_everything_delivered_once(world)


def test_a_crashed_extraction_is_resumed_without_asking_the_source_again(
    world: World, tmp_path: Path
) -> None:
    mark = tmp_path / "killed"
    world.run_elsewhere({"KILL_AT": "extract:recorded", "KILL_MARK": str(mark)})
    (interrupted,) = [item for item in world.items() if item.state is State.EXTRACTED]
    before = world.ledger.artifact(interrupted.accession_id, "raw")

    outcomes = world.run([interrupted.partition_key])

    raw = next(o for o in outcomes if getattr(o, "artifact", None) == "raw_dicom_zip")
    assert raw.metadata["resumed"] == "yes"
    assert before is not None
    assert raw.metadata["sha256"] == before.sha256


def test_a_run_that_is_ended_in_the_middle_leaves_nothing_identified(
    make_world: Callable[..., World],
) -> None:
    world = make_world(workers=2)
    outcomes = world.batch().run(world.keys)
    for outcome in outcomes:
        if getattr(outcome, "artifact", None) == "raw_dicom_zip":
            break

    outcomes.close()  # what Dagster's "Terminate" and Ctrl-C do to the generator

    assert "raw.zip" not in world.leftovers()
    assert not [name for name in world.leftovers() if name.endswith(".part")]
    world.run()
    _assert_everything_delivered_once(world)


def test_workers_that_cannot_begin_end_the_batch_with_one_message(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(workers=2)
    monkeypatch.setattr("sys.executable", "/bin/false")

    with pytest.raises(BatchError, match="before it could begin"):
        world.run()

    assert {item.state for item in world.items()} == {State.LOADED}
