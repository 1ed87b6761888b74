"""The pause switch at work: what is at hand is finished, nothing else is begun, the rest waits."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.pauses import SYSTEM, holds_up, module_scope, node_scope
from locutus_dagster.pipeline import queueing
from locutus_dagster.pipeline.batch import Batch
from locutus_dagster.pipeline.host import HOST
from locutus_dagster.pipeline.outcomes import Finished, Outcome, Result
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.settings import Settings
from locutus_dagster.sources.base import FetchReceipt, FoundStudy, InstanceSink
from locutus_dagster_tests.pipeline import small_world
from locutus_dagster_tests.pipeline.small_world import SmallSource, SmallWorld

PATIENCE = 30.0  # seconds: far longer than anything here takes
A_MOMENT = 0.05
NUMBERS = [f"ACC{number}" for number in range(5)]
WHY = "the system is paused: the PACS moves house"


class Gate:
    """A place where every download waits until the test lets all of them pass."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def wait(self) -> None:
        (self.folder / f"begun-{uuid.uuid4()}").touch()
        until = time.monotonic() + PATIENCE
        while not (self.folder / "open").exists() and time.monotonic() < until:
            time.sleep(0.01)

    def open(self) -> None:
        (self.folder / "open").touch()

    def begun(self) -> int:
        return len(list(self.folder.glob("begun-*")))

    def wait_for(self, number: int) -> None:
        """Wait until so many downloads have begun."""
        until = time.monotonic() + PATIENCE
        while self.begun() < number:
            assert time.monotonic() < until
            time.sleep(0.01)


class SlowSource(SmallSource):
    """A source whose downloads wait at the gate that the environment names."""

    def fetch(self, study: FoundStudy, sink: InstanceSink) -> FetchReceipt:
        Gate(Path(os.environ["GATE"])).wait()
        return super().fetch(study, sink)


def parts(settings: Settings, workspace: str) -> Parts:
    """The small world's parts, with the slow source."""
    made = small_world.parts(settings, workspace)
    made.source = SlowSource(Path(str(settings.workspace(workspace).source.path)))  # type: ignore[union-attr]
    return made


@pytest.fixture(autouse=True)
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """The gate, closed; and the switch is looked at every moment rather than every second."""
    folder = tmp_path / "gate"
    folder.mkdir()
    monkeypatch.setenv("GATE", str(folder))
    monkeypatch.setattr(queueing, "_LOOK_EVERY", A_MOMENT)
    return Gate(folder)


@pytest.fixture(params=[0, 2], ids=["inline", "two workers"])
def workers(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def world(tmp_path: Path, workers: int) -> Iterator[SmallWorld]:
    """A world whose source holds every accession."""
    made = SmallWorld.build(tmp_path / "world", workers=workers)
    for number in NUMBERS:
        made.put_study(number)
    yield made
    made.ledger.close()


@pytest.fixture
def elsewhere(world: SmallWorld) -> Iterator[Ledger]:
    """The ledger over a connection of its own, as the command line has it."""
    ledger = Ledger.open(world.settings.ledger_address)
    yield ledger
    ledger.close()


def batch_of(world: SmallWorld) -> Batch:
    name = "locutus_dagster_tests.pipeline.test_pausing:parts"
    return Batch(world.settings, "default", "run-1", name)


def begin(batch: Batch, keys: list[str]) -> Future[list[Outcome]]:
    """Run a batch in a thread."""
    future: Future[list[Outcome]] = Future()

    def run() -> None:
        try:
            future.set_result(list(batch.run(keys)))
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def states(world: SmallWorld, keys: list[str]) -> list[State]:
    return [item.state for item in world.ledger.work_items("default", keys)]


def results(outcomes: list[Outcome]) -> list[Result]:
    return [outcome.result for outcome in outcomes if isinstance(outcome, Finished)]


def test_what_is_at_hand_is_finished_and_nothing_else_is_begun(
    world: SmallWorld, elsewhere: Ledger, gate: Gate, workers: int
) -> None:
    keys = world.load(*NUMBERS)
    at_hand = max(1, workers)
    batch = batch_of(world)
    running = begin(batch, keys)
    gate.wait_for(at_hand)

    elsewhere.set_pause(SYSTEM, True, reason="the PACS moves house", by="ann@here")
    time.sleep(2 * A_MOMENT)
    gate.open()

    assert results(running.result(PATIENCE)) == [Result.DELIVERED] * at_hand
    assert gate.begun() == at_hand
    assert batch.not_attempted == keys[at_hand:]
    assert batch.paused == WHY
    rest = len(keys) - at_hand
    assert states(world, keys) == [State.DELIVERED] * at_hand + [State.LOADED] * rest
    assert world.leftovers() == []

    elsewhere.set_pause(SYSTEM, False)
    batch = batch_of(world)
    outcomes = begin(batch, keys).result(PATIENCE)
    assert sorted(results(outcomes)) == [Result.DELIVERED] * rest + [Result.UNCHANGED] * at_hand
    assert (batch.not_attempted, batch.paused) == ([], "")
    assert len(world.zips()) == len(keys)


def test_a_batch_that_begins_while_it_is_paused_takes_nothing_in_hand(
    world: SmallWorld, elsewhere: Ledger, gate: Gate
) -> None:
    keys = world.load(*NUMBERS)
    elsewhere.set_pause(SYSTEM, True, reason="the PACS moves house")
    batch = batch_of(world)

    assert begin(batch, keys).result(PATIENCE) == []

    assert (batch.not_attempted, batch.paused) == (keys, WHY)
    assert gate.begun() == 0
    assert states(world, keys) == [State.LOADED] * len(keys)
    assert all(world.ledger.events(world.item(key).accession_id) == [] for key in keys)


@pytest.mark.parametrize("workers", [0], indirect=True)
def test_a_pause_that_is_lifted_while_the_same_accession_is_at_hand_stops_nothing(
    world: SmallWorld, elsewhere: Ledger, gate: Gate, workers: int
) -> None:
    keys = world.load(*NUMBERS)
    batch = batch_of(world)
    running = begin(batch, keys)
    gate.wait_for(max(1, workers))
    elsewhere.set_pause(SYSTEM, True)
    time.sleep(2 * A_MOMENT)
    elsewhere.set_pause(SYSTEM, False)
    gate.open()

    assert results(running.result(PATIENCE)) == [Result.DELIVERED] * len(keys)
    assert (batch.not_attempted, batch.paused) == ([], "")


def test_a_batch_that_waits_for_accessions_in_other_hands_ends_when_it_is_paused(
    world: SmallWorld, elsewhere: Ledger, gate: Gate
) -> None:
    keys = world.load(*NUMBERS[:2])
    gate.open()
    for key in keys:
        assert elsewhere.claim(world.item(key).accession_id, "a worker on another host", 600)
    batch = batch_of(world)
    running = begin(batch, keys)
    time.sleep(4 * A_MOMENT)
    assert not running.done()

    elsewhere.set_pause(SYSTEM, True, reason="the PACS moves house")

    assert running.result(PATIENCE) == []
    assert (sorted(batch.not_attempted), batch.paused) == (keys, WHY)
    assert gate.begun() == 0


@pytest.mark.parametrize("workers", [0], indirect=True)
@pytest.mark.parametrize(
    ("scope", "stops"),
    [
        (SYSTEM, True),
        (node_scope(HOST), True),
        (module_scope("processing"), True),
        (module_scope("DICOM_OnPrem"), True),
        (module_scope("main_Locutus"), True),
        (node_scope("another-" + HOST), False),
        (module_scope("summarizer"), False),
    ],
)
def test_the_switches_of_the_system_of_this_node_and_of_processing_stop_a_batch(
    world: SmallWorld, elsewhere: Ledger, gate: Gate, scope: str, stops: bool
) -> None:
    keys = world.load(*NUMBERS[:2])
    gate.open()
    elsewhere.set_pause(scope, True)
    batch = batch_of(world)

    outcomes = list(batch.run(keys))

    assert results(outcomes) == ([] if stops else [Result.DELIVERED] * 2)
    assert batch.not_attempted == (keys if stops else [])
    assert bool(batch.paused) is stops


def test_a_switch_that_several_people_set_at_once_is_set_and_one_of_them_is_remembered(
    ledger: Ledger,
) -> None:
    met = threading.Barrier(6)

    def pause(name: str) -> None:
        met.wait(PATIENCE)
        ledger.set_pause(SYSTEM, True, reason=name, by=name)

    names = [f"person{number}" for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(pause, names))
    (switch,) = ledger.pauses()
    assert switch.paused
    assert switch.reason == switch.changed_by
    assert switch.reason in names
    before = switch.changed_at
    ledger.set_pause(SYSTEM, False, by="ann@here")
    (switch,) = ledger.pauses()
    assert (switch.paused, switch.reason, switch.changed_by) == (False, "", "ann@here")
    assert switch.changed_at > before
    assert ledger.paused([SYSTEM]) is None


@pytest.mark.parametrize(
    ("scope", "module", "held_up"),
    [
        (SYSTEM, "processing", True),
        (SYSTEM, "summarizer", True),
        ("module:processing", "processing", True),
        ("module:summarizer", "processing", False),
        ("module:summarizer", "summarizer", True),
        ("node:anywhere", "processing", True),
    ],
)
def test_which_switches_hold_a_module_up(scope: str, module: str, held_up: bool) -> None:
    assert holds_up(scope, module) is held_up
