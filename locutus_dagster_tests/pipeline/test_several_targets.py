"""Several targets for one workspace: each confirms for itself, and none hides another."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from locutus_dagster.durable_files import sha256_of
from locutus_dagster.ledger import State
from locutus_dagster.pipeline.chain import process_accession
from locutus_dagster.pipeline.outcomes import Finished, PhaseDone, Result
from locutus_dagster.pipeline.recall_parts import recall_parts
from locutus_dagster.pipeline.recalling import recall
from locutus_dagster.pipeline.target_health import TargetHealth
from locutus_dagster.run_modes import Reprocess
from locutus_dagster.targets import TargetError
from locutus_dagster.targets.share import ShareTarget
from locutus_dagster_tests.pipeline.small_world import SmallWorld, parts


@pytest.fixture
def world(small: SmallWorld) -> SmallWorld:
    """A small world with a share and a mirror, both required."""
    return small.with_targets(share=True, mirror=True)


def loaded(world: SmallWorld, *numbers: str) -> list[str]:
    for number in numbers:
        world.put_study(number)
    return world.load(*numbers)


def zips(world: SmallWorld, target: str) -> dict[str, str]:
    """Path below the target → checksum, as it lies there."""
    root = world.root / target
    return {str(path.relative_to(root)): sha256_of(path)[0] for path in root.rglob("*.zip")}


def standing(world: SmallWorld, key: str) -> dict[str, str]:
    """Target → checksum, as the ledger has it."""
    found = world.ledger.standing(world.item(key).accession_id)
    assert len({one.target for one in found}) == len(found)
    return {one.target: one.sha256 for one in found}


def away(world: SmallWorld, target: str) -> Path:
    """Unmount a target; returns where its content waits."""
    return (world.root / target).rename(world.root / f"{target} away")


def test_every_target_gets_the_same_zip_and_a_receipt_of_its_own(world: SmallWorld) -> None:
    (key,) = loaded(world, "ACC1")
    outcomes = world.run([key])
    assert world.item(key).state is State.DELIVERED
    assert zips(world, "share") == zips(world, "mirror")
    assert set(standing(world, key)) == {"share", "mirror"}
    delivered = next(o for o in outcomes if isinstance(o, PhaseDone) and "target" in o.metadata)
    assert delivered.metadata["target"] == "share, mirror"
    assert str(delivered.metadata["uri (mirror)"]).startswith((world.root / "mirror").as_uri())
    assert delivered.metadata["checksum (share)"] == f"sha256:{standing(world, key)['share']}"


@pytest.mark.parametrize("broken", ["share", "mirror"])
def test_what_one_target_confirmed_stays_when_a_required_one_fails(
    world: SmallWorld, broken: str
) -> None:
    (key,) = loaded(world, "ACC1")
    away(world, broken)
    end = world.end(key)
    assert (end.result, end.stop) == (Result.FAILED, False)
    assert f"target '{broken}'" in end.reason
    item, other = world.item(key), {"share": "mirror", "mirror": "share"}[broken]
    assert (item.state, item.phase) == (State.FAILED, 5)
    assert set(standing(world, key)) == {other}
    states = world.ledger.target_states(item.accession_id)
    assert (states[other].confirmed, states[broken].confirmed) == (True, False)
    assert (states[broken].tries, "is not there" in states[broken].reason) == (1, True)

    (world.root / broken).mkdir()
    assert world.end(key).result is Result.DELIVERED
    assert len(world.noted()) == 2  # the one that had confirmed was not asked again
    assert zips(world, "share") == zips(world, "mirror")
    assert world.ledger.target_states(item.accession_id) == {}


def test_a_target_that_is_not_required_fails_in_words_and_is_made_up_for_later(
    small: SmallWorld,
) -> None:
    world = small.with_targets(share=True, mirror=False)
    (key,) = loaded(world, "ACC1")
    waiting = away(world, "mirror")
    end = world.end(key)
    assert (end.result, "target 'mirror'" in end.reason) == (Result.DELIVERED, True)
    assert world.item(key).state is State.DELIVERED
    assert world.end(key).result is Result.UNCHANGED  # it failed once more

    waiting.rename(world.root / "mirror")
    world.drop_study("ACC1")  # nothing is fetched for it
    assert world.end(key).result is Result.DELIVERED
    assert zips(world, "share") == zips(world, "mirror")
    assert world.end(key) == Finished(key, Result.UNCHANGED)
    assert world.leftovers() == []


def test_a_target_that_is_added_gets_what_was_delivered_before(small: SmallWorld) -> None:
    keys = loaded(small, "ACC1", "ACC2")
    small.run(keys)
    world = small.with_targets(share=True, mirror=True)
    assert [world.end(key).result for key in keys] == [Result.DELIVERED] * 2
    assert zips(world, "share") == zips(world, "mirror")
    assert len(zips(world, "mirror")) == 2


def test_bytes_that_somebody_has_changed_are_not_delivered_further(small: SmallWorld) -> None:
    (key,) = loaded(small, "ACC1")
    small.run([key])
    (path,) = small.zips()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    world = small.with_targets(share=True, mirror=True)
    end = world.end(key)
    assert (end.result, "other bytes" in end.reason) == (Result.FAILED, True)
    assert zips(world, "mirror") == {}


def test_a_target_that_takes_the_place_of_another_is_a_change(small: SmallWorld) -> None:
    (key,) = loaded(small, "ACC1")
    small.run([key])
    world = small.with_targets(mirror=True)
    end = world.end(key)
    assert (end.result, "target" in end.reason) == (Result.CHANGED, True)
    assert world.end(key, reprocess=Reprocess.PRERETIRE_ONLY_CHANGED).result is Result.DELIVERED
    assert len(zips(world, "mirror")) == 1


def moved(world: SmallWorld, target: str) -> SmallWorld:
    """The same, whose target leads to another folder from now on."""
    (world.root / "elsewhere").mkdir()
    told = {
        name: one.model_dump(exclude_unset=True)
        for name, one in world.settings.workspace("default").targets.items()
    }
    told[target]["path"] = world.root / "elsewhere"
    return world.delivering_to(told)


def test_a_target_that_is_not_required_and_down_leaves_what_is_delivered_as_it_is(
    small: SmallWorld,
) -> None:
    world = small.with_targets(share=True, mirror=False)
    keys = loaded(world, "ACC1", "ACC2")
    world.run(keys)
    away(world, "mirror")
    for end in [one for one in world.run(keys) if isinstance(one, Finished)]:
        assert end.result is Result.UNCHANGED
        assert "target 'mirror': The share" in end.reason
    required = small.with_targets(share=True, mirror=True)
    shutil.rmtree(world.root / "mirror")
    assert required.end(keys[0]).result is Result.FAILED


class _Unanswering(ShareTarget):
    """A target that has just gone, and counts how often it is asked for a delivery."""

    asked = 0

    def holds(self, uri: str, *, size: int, version: str = "") -> bool:
        self.asked += 1
        raise TargetError("It does not answer.")

    def check(self) -> None:
        raise TargetError("It does not answer.")


def test_a_target_that_goes_down_is_not_asked_about_one_delivery_after_the_other(
    small: SmallWorld,
) -> None:
    world = small.with_targets(share=True, mirror=False)
    keys = loaded(world, "ACC1", "ACC2", "ACC3")
    world.run(keys)
    made = parts(world.settings, "default")
    gone = _Unanswering(world.root / "mirror", name="mirror")
    made.targets = {**made.targets, "mirror": gone}
    for key in keys:
        *_, end = process_accession(key, made)
        assert end == Finished(key, Result.UNCHANGED, "target 'mirror': It does not answer.")
    assert gone.asked == 1
    made.close()


@pytest.mark.parametrize("mode", [Reprocess.PRERETIRE_ONLY_CHANGED, Reprocess.PRERETIRE])
def test_a_target_that_leads_elsewhere_is_a_change_and_gets_it_when_it_is_asked_for(
    world: SmallWorld, mode: Reprocess
) -> None:
    (key,) = loaded(world, "ACC1")
    world.run([key])
    now = moved(world, "share")
    end = now.end(key)
    assert (end.result, "delivered: target;" in end.reason) == (Result.CHANGED, True)
    assert zips(world, "elsewhere") == {}
    assert now.end(key, reprocess=mode).result is Result.DELIVERED
    assert zips(world, "elsewhere") == zips(world, "mirror") != {}
    assert now.end(key) == Finished(key, Result.UNCHANGED)


def test_where_a_change_of_settings_is_allowed_a_delivery_that_is_gone_still_is_a_change(
    world: SmallWorld,
) -> None:
    (key,) = loaded(world, "ACC1")
    world.run([key])
    allowed = {"reprocess": Reprocess.ALLOW_IF_ONLY_CONFIG_CHANGED}
    end = moved(world, "share").end(key, **allowed)
    assert (end.result, "does not lie on this share" in end.reason) == (Result.UNCHANGED, True)
    told = world.settings.workspace("default").targets
    keyed = {name: {**one.model_dump(), "top": ".Other"} for name, one in told.items()}
    other = world.delivering_to(keyed)
    assert other.end(key, **allowed).result is Result.UNCHANGED
    for path in (world.root / "share").rglob("*.zip"):
        path.unlink()
    (world.root / "share" / "something").touch()
    end = other.end(key, **allowed)
    assert (end.result, "target, delivery" in end.reason) == (Result.CHANGED, True)


def test_what_was_confirmed_in_another_place_is_not_confirmed(world: SmallWorld) -> None:
    (key,) = loaded(world, "ACC1")
    waiting = away(world, "mirror")
    assert world.end(key).result is Result.FAILED  # the share has confirmed it
    waiting.rename(world.root / "mirror")
    now = moved(world, "share")
    assert now.end(key).result is Result.DELIVERED
    assert zips(world, "elsewhere") == zips(world, "mirror") != {}
    assert set(standing(now, key)) == {"share", "mirror"}
    assert now.end(key) == Finished(key, Result.UNCHANGED)


@pytest.mark.parametrize(
    "place", [f"deliver:{what}#{nth}" for what in ("put", "recorded") for nth in (1, 2)]
)
def test_a_crash_between_two_targets_leaves_what_a_rerun_finishes(
    world: SmallWorld, place: str
) -> None:
    (key,) = loaded(world, "ACC1")
    assert world.killed([key], place)
    assert world.end(key).result in (Result.DELIVERED, Result.UNCHANGED)
    assert world.item(key).state is State.DELIVERED
    (of_share,), (of_mirror,) = zips(world, "share").items(), zips(world, "mirror").items()
    assert of_share == of_mirror
    assert standing(world, key) == {"share": of_share[1], "mirror": of_mirror[1]}
    assert world.leftovers() == []


@pytest.mark.parametrize("place", ["deliver:put", "complete:recorded"])
def test_a_crash_while_a_target_is_made_up_for_does_no_harm(small: SmallWorld, place: str) -> None:
    (key,) = loaded(small, "ACC1")
    small.run([key])
    world = small.with_targets(share=True, mirror=True)
    assert world.killed([key], place)
    world.end(key)
    assert zips(world, "share") == zips(world, "mirror")
    assert set(standing(world, key)) == {"share", "mirror"}
    assert world.leftovers() == []


def test_a_batch_goes_on_for_the_sake_of_the_target_that_is_there(world: SmallWorld) -> None:
    keys = loaded(world, "ACC1", "ACC2", "ACC3")
    away(world, "mirror")
    ends = [o for o in world.run(keys) if isinstance(o, Finished)]
    assert [end.result for end in ends] == [Result.FAILED] * 3
    assert len(zips(world, "share")) == 3  # the batch went on for its sake
    shutil.rmtree(world.root / "share")
    with pytest.raises(TargetError, match="is not there"):
        world.run(keys)  # now there is no use in it


class _Down:
    """A target that counts how often it is looked at."""

    def __init__(self, *, usable: bool) -> None:
        self.usable, self.looked = usable, 0

    def check(self) -> None:
        self.looked += 1
        if not self.usable:
            raise TargetError("It is down.")


def test_a_target_that_is_down_is_not_asked_again_for_a_while() -> None:
    now = [0.0]
    down, up = _Down(usable=False), _Down(usable=True)
    health = TargetHealth(lambda: {"down": down, "up": up}, lambda: now[0])  # type: ignore[dict-item]
    health.refuse("down")  # nobody knows yet
    assert health.failed("down")
    with pytest.raises(TargetError, match="It is down"):
        health.refuse("down")
    health.refuse("up")
    assert (health.failed("down"), down.looked) == (True, 1)
    now[0] = 61.0
    health.refuse("down")
    down.usable = True
    assert not health.failed("down")


def test_an_only_target_is_asked_every_time() -> None:
    only = _Down(usable=False)
    health = TargetHealth(lambda: {"only": only})  # type: ignore[dict-item]
    assert health.failed("only")
    health.refuse("only")


def test_a_recall_removes_it_from_every_target(world: SmallWorld) -> None:
    keys = loaded(world, "ACC1", "ACC2")
    world.run(keys)
    parts = recall_parts(world.settings, "default")
    outcome = recall(
        parts, reason="consent withdrawn", accession_id=world.item(keys[0]).accession_id
    )
    parts.close()
    assert (len(outcome.removed), outcome.complete) == (2, True)
    assert len(zips(world, "share")) == len(zips(world, "mirror")) == 1


def test_a_newer_delivery_supersedes_the_older_one_on_each_target(world: SmallWorld) -> None:
    (key,) = loaded(world, "ACC1")
    world.run([key])
    (again,) = world.load("ACC1", imaging_type="MR")
    end = world.end(again, reprocess=Reprocess.PRERETIRE, withdraw=True)
    assert (end.result, end.reason) == (Result.DELIVERED, "")
    assert zips(world, "share") == zips(world, "mirror")
    assert len(zips(world, "share")) == 1
    made = world.ledger.deliveries(world.item(again).accession_id)
    assert [one.stands for one in made] == [False, False, True, True]


def test_a_failure_of_one_target_says_nothing_of_the_accession(world: SmallWorld) -> None:
    (key,) = loaded(world, "MRN98765")
    away(world, "mirror")
    assert "MRN98765" not in world.end(key).reason
    states = world.ledger.target_states(world.item(key).accession_id)
    assert "MRN98765" not in states["mirror"].reason
    assert os.fspath(world.root / "mirror") in states["mirror"].reason
