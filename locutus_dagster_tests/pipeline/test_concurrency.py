"""Several runs over one ledger: nobody processes what another has in hand, nothing comes twice."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from locutus_dagster.ledger import State
from locutus_dagster.ledger.schema import Accession
from locutus_dagster.ledger.work import Place
from locutus_dagster.pipeline.chain import process_accession
from locutus_dagster.pipeline.outcomes import Result
from locutus_dagster.pipeline.unrecorded import take_back
from locutus_dagster.targets import Receipt, Target, TargetError
from locutus_dagster_tests.parts.postgres import PostgresServer
from locutus_dagster_tests.pipeline.a_run import start
from locutus_dagster_tests.pipeline.small_world import SmallWorld, parts

MANY = 500
PASSES = {"until_converged": True, "pass_wait": 0.0, "max_passes": 40}


def filled(world: SmallWorld, count: int) -> list[str]:
    """So many accessions with a study each, and a manifest that names them."""
    numbers = [f"ACC{number:05d}" for number in range(count)]
    for number in numbers:
        world.put_study(number)
    return world.load(*numbers, name="many")


def assert_each_delivered_once(world: SmallWorld, keys: list[str]) -> None:
    """One recorded delivery for each accession, which lies there, and nothing interim."""
    items = world.ledger.work_items("default", keys)
    assert {item.state for item in items} == {State.DELIVERED}
    uris = [d.uri for item in items for d in world.ledger.deliveries(item.accession_id)]
    assert len(uris) == len(keys)
    assert {path.as_uri() for path in world.zips()} == set(uris)
    assert world.leftovers() == []


@pytest.mark.postgres
@pytest.mark.slow
def test_two_processes_over_postgresql_deliver_each_of_500_accessions_exactly_once(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    world = SmallWorld.build(tmp_path / "w", ledger_url=postgres.create_database("two_runs"))
    keys = filled(world, MANY)
    world.run(keys[:1])  # makes the workspace's secret, which the two would otherwise race for
    faults = {"FAULTS_FETCH": "0.1", "FAULTS_PUT": "0.1"}

    runs = [start(world.settings, keys, faults, **PASSES) for _ in range(2)]
    told = [run.communicate(timeout=240) for run in runs]

    assert [run.returncode for run in runs] == [0, 0], told
    counts = [Counter(json.loads(out)) for out, _ in told]
    for count in counts:  # each run has a last word on everything
        assert count.total() == MANY
        assert count["delivered"] + count["unchanged"] == MANY
        assert count["delivered"] > MANY // 5  # both have worked, side by side
    assert sum(count["delivered"] for count in counts) == MANY - 1
    assert_each_delivered_once(world, keys)
    assert Counter(Counter(world.noted()).values()) == {1: MANY}
    failures = [
        event
        for item in world.ledger.work_items("default", keys)
        for event in world.ledger.events(item.accession_id)
        if event.after is State.FAILED
    ]
    assert len(failures) > MANY // 20  # the faults were there
    world.ledger.close()


@pytest.mark.postgres
def test_a_run_that_is_killed_beside_another_costs_nothing(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    world = SmallWorld.build(tmp_path / "w", ledger_url=postgres.create_database("killed_run"))
    keys = filled(world, 40)
    world.run(keys[:1])

    doomed = start(world.settings, keys, {"KILL_AT": "deliver:put#8"}, **PASSES)
    other = start(world.settings, keys, {}, **PASSES)
    out, errors = other.communicate(timeout=120)
    doomed.communicate(timeout=120)

    assert doomed.returncode == -signal.SIGKILL
    assert other.returncode == 0, errors
    # What the dead one had in hand was taken over at once: this host knows that it has died.
    assert Counter(json.loads(out)).total() == len(keys)
    assert_each_delivered_once(world, keys)
    world.ledger.close()


def test_what_another_run_has_in_hand_is_put_off_and_not_lost(small: SmallWorld) -> None:
    keys = filled(small, 3)
    first = small.item(keys[0]).accession_id
    assert small.ledger.claim(first, "another host", 1.5)

    ends = [o.partition_key for o in small.run(keys) if hasattr(o, "result")]

    assert ends == [*keys[1:], keys[0]]  # after its claim has ended
    assert_each_delivered_once(small, keys)


def test_a_worker_that_lost_its_claim_delivers_nothing(small: SmallWorld) -> None:
    (key,) = filled(small, 1)
    identity = small.item(key).accession_id
    made = parts(small.settings, "default")
    outcomes = process_accession(key, made)
    for outcome in outcomes:
        if getattr(outcome, "artifact", None) == "deidentified_zip":
            break
    with small.ledger.session() as session:  # as after a lease that ended while it was stopped
        session.get_one(Accession, identity).claimed_by = "another host"

    assert [getattr(outcome, "result", None) for outcome in outcomes] == [Result.BUSY]

    assert small.noted() == []
    assert small.item(key).state is State.DEIDENTIFIED
    assert small.ledger.claimed_by(identity) == "another host"
    made.close()


def test_a_delivery_made_after_the_claim_was_lost_is_taken_back(small: SmallWorld) -> None:
    (key,) = filled(small, 1)
    identity = small.item(key).accession_id
    made = parts(small.settings, "default")

    def slept_through_its_lease(place: str) -> None:
        if place == "deliver:put":
            small.ledger.release(identity, made.claimant.owner)
            assert small.ledger.claim(identity, "another host", 60)
            for place in small.ledger.announced(identity):  # as a recall does
                small.ledger.forget_announced(identity, place)

    made.checkpoint = slept_through_its_lease

    *_, last = process_accession(key, made)

    assert getattr(last, "result", None) is Result.BUSY
    assert len(small.noted()) == 1
    assert small.zips() == []
    made.close()


class _Asleep:
    """A target whose worker sleeps through its lease before it puts anything there."""

    def __init__(self, target: Target, while_asleep: Callable[[], None], *, fails: bool) -> None:
        self._target, self._while_asleep, self._fails = target, while_asleep, fails

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def put(self, source: Path, key: str, *, sha256: str) -> Receipt:
        self._while_asleep()
        receipt = self._target.put(source, key, sha256=sha256)
        if self._fails:
            raise TargetError("It has it, and does not say so.")
        return receipt


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("way", ["first delivery", "a further target"])
def test_what_is_put_after_a_recall_has_looked_there_is_taken_back(
    small: SmallWorld, way: str, fails: bool
) -> None:
    (key,) = filled(small, 1)
    world = small
    if way == "a further target":
        small.run([key])
        world = small.with_targets(share=True, mirror=True)
    name = list(world.settings.workspace("default").targets)[-1]
    identity = world.item(key).accession_id
    made = parts(world.settings, "default")

    def recall_looks() -> None:
        world.ledger.release(identity, made.claimant.owner)
        for place in world.ledger.announced(identity):
            world.ledger.forget_announced(identity, place)

    asleep = cast(Target, _Asleep(made.targets[name], recall_looks, fails=fails))
    made.targets = {**made.targets, name: asleep}

    *_, last = process_accession(key, made)

    assert getattr(last, "result", None) is Result.BUSY
    assert list((world.root / name).rglob("*.zip")) == []
    assert world.ledger.announced(identity) == []
    made.close()


def test_what_cannot_be_taken_back_is_known_to_the_next_recall(small: SmallWorld) -> None:
    (key,) = filled(small, 1)
    small.item(key)
    made = parts(small.settings, "default")
    place = Place("share", made.targets["share"].uri("one.zip"))
    identity = small.item(key).accession_id
    (small.root / "share").rename(small.root / "away")
    with pytest.raises(TargetError, match="is not there"):
        take_back(identity, place, made)
    assert small.ledger.announced(identity) == [place]
    made.close()


def test_a_claim_is_renewed_while_its_worker_lives(tmp_path: Path) -> None:
    world = SmallWorld.build(tmp_path / "w")
    run = world.settings.run.model_copy(update={"lease": 1.2})
    world.settings = world.settings.model_copy(update={"run": run})
    (key,) = filled(world, 1)
    outcomes = world.batch().run([key])
    next(outcomes)  # extracted; the worker now takes its time
    time.sleep(2)

    assert world.ledger.claimed_by(world.item(key).accession_id) is not None

    assert [o for o in outcomes if hasattr(o, "result")]
    assert world.ledger.claimed_by(world.item(key).accession_id) is None
    world.ledger.close()
