"""A policy with fresh identities: nothing may count on two runs giving the same bytes."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from locutus_dagster.deid.identities.keys import rotated
from locutus_dagster.durable_files import sha256_of
from locutus_dagster.ledger import State
from locutus_dagster.pipeline.outcomes import Artifact, Result
from locutus_dagster.pipeline.workspace_secret import secret_path
from locutus_dagster_tests.pipeline.world import World, results


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A world whose workspace delivers what nobody can link."""
    return make_world(workspace={"policy": "unlinkable"})


def stop_delivery(world: World) -> Path:
    """Let the share refuse the accession; gives back what is in its way."""
    blocker = world.share / ".TopLevel"
    blocker.write_text("a file where a folder should be")
    world.run([world.whole().partition_key])
    assert world.whole().state is State.FAILED
    return blocker


def assert_one_delivery_as_recorded(world: World) -> None:
    item = world.whole()
    (delivered,) = world.delivered_zips()
    (record,) = world.ledger.deliveries(item.accession_id)
    assert record.uri == delivered.as_uri()
    assert (record.sha256, record.size) == sha256_of(delivered)
    assert str(item.study_token) in delivered.name
    assert world.members(delivered) == item.delivered == record.instances
    assert world.leftovers() == []


def test_a_second_run_leaves_a_delivery_as_it_is(world: World) -> None:
    key = world.whole().partition_key
    world.run([key])
    before = [(path, path.read_bytes()) for path in world.delivered_zips()]

    assert results(world.run([key]))[key] is Result.UNCHANGED

    assert [(path, path.read_bytes()) for path in world.delivered_zips()] == before
    assert_one_delivery_as_recorded(world)


def test_two_deliveries_of_one_study_have_nothing_in_common(world: World, tmp_path: Path) -> None:
    other = World.build(tmp_path / "other", world.pacs, workspace={"policy": "unlinkable"})
    secret_path(other.settings, "default").write_text("f" * 64, encoding="ascii")
    secret_path(world.settings, "default").write_text("f" * 64, encoding="ascii")

    for one in (world, other):
        one.run([one.whole().partition_key])

    assert world.whole().study_token != other.whole().study_token
    assert world.whole().study_uid != other.whole().study_uid
    report = world.ledger.deid_report(world.whole().accession_id)
    assert report is not None
    assert report.key_id == "fresh"


def test_a_finished_zip_is_delivered_as_it_is(world: World) -> None:
    blocker = stop_delivery(world)
    made = world.ledger.artifact(world.whole().accession_id, "deidentified")
    token = world.whole().study_token
    blocker.unlink()

    outcomes = world.run([world.whole().partition_key])

    deid = next(o for o in outcomes if getattr(o, "artifact", None) is Artifact.DEIDENTIFIED)
    assert made is not None
    assert (deid.metadata["resumed"], deid.metadata["sha256"]) == ("yes", made.sha256)
    assert world.whole().study_token == token
    assert_one_delivery_as_recorded(world)


def test_a_lost_zip_is_made_again_and_the_ledger_follows(world: World) -> None:
    blocker = stop_delivery(world)
    before = world.whole()
    (lost,) = world.settings.scratch_dir.rglob("deidentified.zip")
    lost.unlink()
    blocker.unlink()

    world.run([before.partition_key])

    assert world.whole().study_token != before.study_token
    assert world.whole().study_uid != before.study_uid
    assert_one_delivery_as_recorded(world)


def test_a_rotated_key_is_no_reason_to_deliver_again(world: World) -> None:
    key = world.whole().partition_key
    world.run([key])
    ring = secret_path(world.settings, "default")
    ring.write_text(rotated(ring.read_text(encoding="ascii")), encoding="ascii")

    assert results(world.run([key]))[key] is Result.UNCHANGED


@pytest.mark.parametrize(
    "place",
    [
        "transform:renamed",
        "transform:recorded",
        "deliver:put",
    ],
)
def test_a_process_killed_anywhere_leaves_what_a_rerun_delivers_once(
    world: World, tmp_path: Path, place: str
) -> None:
    code = world.run_elsewhere({"KILL_AT": place, "KILL_MARK": str(tmp_path / "killed")})
    assert code == -signal.SIGKILL

    world.run()

    delivered = [item for item in world.items() if item.state is State.DELIVERED]
    assert len(delivered) > 3
    assert {i.state for i in world.items()} <= {State.DELIVERED, State.PENDING}
    uris = set()
    for item in delivered:
        (record,) = world.ledger.deliveries(item.accession_id)
        path = Path(record.uri.removeprefix("file://"))
        assert sha256_of(path) == (record.sha256, record.size)
        assert str(item.study_token) in path.name
        uris.add(path)
    assert set(world.delivered_zips()) == uris
    assert world.leftovers() == []
