"""A target that is set up wrongly, or leads elsewhere by now: what it may not hide or remove."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from locutus_dagster.errors import LocutusError
from locutus_dagster.ledger.work import Attempt, Place
from locutus_dagster.pipeline.chain import process_accession
from locutus_dagster.pipeline.completing import complete
from locutus_dagster.pipeline.outcomes import Result
from locutus_dagster.pipeline.target_health import TargetHealth
from locutus_dagster.run_modes import Reprocess
from locutus_dagster.targets import Receipt, Target, TargetError
from locutus_dagster_tests.ledger.rows import delivery
from locutus_dagster_tests.parts.gcs_servers import BUCKET, StubGcs
from locutus_dagster_tests.pipeline.recalls import filled, recalled
from locutus_dagster_tests.pipeline.small_world import SmallWorld, parts
from locutus_dagster_tests.targets.s3_world import plain_environment


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plain_environment(monkeypatch, tmp_path)
    monkeypatch.setenv("NO_PROXY", "*")
    for name in ("NOT_SET", "STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def stub() -> Iterator[StubGcs]:
    with StubGcs() as store:
        yield store


def beside_a_lost_secret(small: SmallWorld, order: str) -> SmallWorld:
    """The share, and a bucket that is not required and whose secret leads nowhere."""
    bucket = {
        "kind": "s3",
        "bucket": "research",
        "endpoint_url": "http://127.0.0.1:9",
        "region": "us-east-1",
        "access_key_id": "env:NOT_SET",
        "secret_access_key": "env:NOT_SET",
        "required": False,
    }
    told = {"share": {"kind": "share", "path": str(small.root / "share")}, "amazon": bucket}
    return small.delivering_to({name: told[name] for name in order.split()})


def in_bucket(small: SmallWorld, stub: StubGcs) -> SmallWorld:
    """The world with a bucket of that store as its only target."""
    return small.delivering_to(
        {
            "google": {
                "kind": "gcs",
                "bucket": BUCKET,
                "endpoint_url": stub.url,
                "anonymous": True,
                "attempts": 1,
            }
        }
    )


# -- one target's settings concern that target ---------------------------------------------------


@pytest.mark.parametrize("order", ["share amazon", "amazon share"])
def test_a_lost_secret_of_a_target_that_is_not_required_keeps_nothing_from_the_others(
    small: SmallWorld, order: str
) -> None:
    world = beside_a_lost_secret(small, order)
    (key,) = filled(world, "ACC1")
    end = world.end(key)
    assert end.result is Result.DELIVERED
    assert "target 'amazon': The secret env:NOT_SET is not set" in end.reason
    assert len(world.zips()) == 1


def test_a_secret_that_is_lost_while_a_run_goes_on_fails_that_target_alone(
    small: SmallWorld,
) -> None:
    world = beside_a_lost_secret(small, "share amazon")
    (key,) = filled(world, "ACC1")
    made = parts(world.settings, "default")
    *_, last = process_accession(key, made)  # nothing was checked before
    made.close()
    assert getattr(last, "result", None) is Result.DELIVERED
    assert world.ledger.target_states(world.item(key).accession_id)["amazon"].tries == 1


def test_a_recall_empties_the_share_where_a_bucket_s_secret_is_lost(small: SmallWorld) -> None:
    (key,) = filled(small, "ACC1")
    identity = small.item(key).accession_id
    uri = "s3://research/one.zip"
    small.ledger.record_delivery(
        identity, delivery(target="amazon", uri=uri), withdraw="", by=Attempt()
    )
    small.ledger.announce_delivery(identity, "amazon", "s3://research/two.zip")
    small.run([key])
    small.ledger.announce_delivery(identity, "share", small.root.as_uri() + "/share/two.zip")

    outcome = recalled(beside_a_lost_secret(small, "amazon share"), key)

    assert small.zips() == []
    assert [one.what for one in outcome.left] == [uri, "a delivery that was never finished"]
    assert all("env:NOT_SET is not set" in one.why for one in outcome.left)
    assert [place.target for place in small.ledger.announced(identity)] == ["amazon"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (LocutusError("The secret is lost.", "Find it."), "The secret is lost. Find it."),
        (OSError(2, "No such file", "/ACC1"), "unexpected FileNotFoundError"),
    ],
)
def test_whatever_a_check_raises_the_other_targets_are_asked(error: Exception, words: str) -> None:
    asked = []

    class Broken:
        def check(self) -> None:
            raise error

    class Well:
        def check(self) -> None:
            asked.append("well")

    targets = cast(dict[str, Target], {"broken": Broken(), "well": Well()})
    health = TargetHealth(lambda: targets)
    health.check()
    assert asked == ["well"]
    with pytest.raises(TargetError, match=words) as raised:
        health.refuse("broken")
    assert "ACC1" not in str(raised.value)


def test_a_delivery_is_brought_back_from_the_target_that_can_be_asked(small: SmallWorld) -> None:
    (key,) = filled(small, "ACC1")
    small.run([key])
    identity = small.item(key).accession_id
    (record,) = small.ledger.standing(identity)
    lost = delivery(target="amazon", uri="s3://research/one.zip", sha256=record.sha256)
    small.ledger.record_delivery(identity, lost, withdraw="", by=Attempt())
    world = beside_a_lost_secret(small, "share amazon")
    told = world.settings.workspace("default").model_dump()["targets"]
    mirror = {"kind": "share", "path": str(small.root / "mirror")}
    (small.root / "mirror").mkdir()
    world = world.delivering_to({**told, "mirror": mirror})
    made = parts(world.settings, "default")
    with made.claimant.hold(identity) as held, made.interim.claim("default", identity) as room:
        assert held
        by = Attempt(owner=made.claimant.owner)
        complete(world.item(key), ["mirror"], room, made, by)
    made.close()
    assert len(list((small.root / "mirror").rglob("*.zip"))) == 1


# -- a target that leads elsewhere ---------------------------------------------------------------


def test_a_recall_does_not_take_another_store_for_the_one_of_the_delivery(
    small: SmallWorld, stub: StubGcs
) -> None:
    world = in_bucket(small, stub)
    (key,) = filled(world, "ACC1")
    assert world.end(key).result is Result.DELIVERED
    identity = world.item(key).accession_id
    (name,) = stub.objects
    begun = f"gs://{BUCKET}/begun.zip"
    (record,) = world.ledger.deliveries(identity)
    world.ledger.announce_delivery(identity, "google", begun, store=record.store)
    with StubGcs() as another:
        outcome = recalled(in_bucket(small, another), key)
    assert not outcome.complete
    assert all(f"127.0.0.1:{stub.port}" in left.why for left in outcome.left)
    assert len(outcome.left) == 2
    assert stub.live(name)
    (record,) = world.ledger.deliveries(identity)
    assert (record.withdrawn, bool(record.withdrawal)) == ("", True)

    assert recalled(world, key).complete  # the target leads there again
    assert stub.live(name) is None


def test_a_delivery_in_the_former_store_is_remembered_when_it_is_made_again_in_a_new_one(
    small: SmallWorld, stub: StubGcs
) -> None:
    (key,) = filled(small, "ACC1")
    assert in_bucket(small, stub).end(key).result is Result.DELIVERED
    (name,) = stub.objects
    with StubGcs() as another:
        world = in_bucket(small, another)
        end = world.end(key, reprocess=Reprocess.PRERETIRE, withdraw=True)
        assert (end.result, "could not be withdrawn" in end.reason) == (Result.DELIVERED, True)
        assert not recalled(world, key).complete
        assert another.live(name) is None
    assert stub.live(name)
    assert recalled(in_bucket(small, stub), key).left == []
    assert stub.live(name) is None


# -- what somebody else has put there ------------------------------------------------------------


class _Meanwhile:
    """A target into which somebody else puts something just before Locutus does."""

    def __init__(self, target: Target, somebody: Callable[[str], None]) -> None:
        self._target, self._somebody = target, somebody

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def put(self, source: Path, key: str, *, sha256: str) -> Receipt:
        self._somebody(key)
        return self._target.put(source, key, sha256=sha256)


@pytest.mark.parametrize("begun_before", [False, True])
def test_an_object_of_somebody_else_is_neither_removed_nor_in_the_way_of_a_recall(
    small: SmallWorld, stub: StubGcs, begun_before: bool
) -> None:
    world = in_bucket(small, stub)
    (key,) = filled(world, "ACC1")
    identity = world.item(key).accession_id
    made = parts(world.settings, "default")
    google = made.targets["google"]

    def somebody(name: str) -> None:
        stub.add(name, b"theirs")

    made.targets = {"google": cast(Target, _Meanwhile(google, somebody))}
    *_, last = process_accession(key, made)
    assert "has not put there" in getattr(last, "reason", "")
    (name,) = stub.objects
    if begun_before:  # by a worker that died: an older version of the object may be ours
        place = Place("google", google.uri(name), google.store())  # type: ignore[attr-defined]
        world.ledger.announce_delivery(identity, *place[:2], store=place.store)
        *_, last = process_accession(key, made)
        assert world.ledger.announced(identity) == [place]
    else:
        assert world.ledger.announced(identity) == []
    made.close()

    assert recalled(world, key).complete != begun_before
    found = stub.live(name)
    assert found is not None
    assert found["data"] == b"theirs"
