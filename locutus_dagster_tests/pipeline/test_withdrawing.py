"""Withdrawing: what the ledger notes is removed, confirmed and recorded, or stays noted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from locutus_dagster.ledger.work import DeliveryRecord
from locutus_dagster.pipeline.deliver import SUPERSEDED
from locutus_dagster.pipeline.outcomes import Result
from locutus_dagster.pipeline.recall_parts import RecallParts
from locutus_dagster.pipeline.withdrawing import withdraw, withdraw_superseded
from locutus_dagster.run_modes import Reprocess
from locutus_dagster_tests.pipeline.recalls import filled, opened
from locutus_dagster_tests.pipeline.small_world import SmallWorld

WHY = "nobody wants it"
RETIRING = Reprocess.PRERETIRE


class Killed(BaseException):
    """Ends the work at a place, as a signal would."""


@pytest.fixture
def made(small: SmallWorld) -> Iterator[RecallParts]:
    with opened(small) as made:
        yield made


def noted(world: SmallWorld, *keys: str) -> list[DeliveryRecord]:
    """Ask that all that was delivered of these partitions is removed."""
    for key in keys:
        world.ledger.ask_withdrawal(world.item(key).accession_id, WHY)
    return [delivery for _, delivery in world.ledger.to_withdraw("default")]


def moved(world: SmallWorld, *, withdraw: bool) -> tuple[int, str]:
    """Deliver an accession, and again to another place; gives back it and what the run said."""
    (key,) = filled(world, "ACC1", imaging_type="CT")
    world.run([key])
    (again,) = world.load("ACC1", imaging_type="MR")
    end = world.end(again, reprocess=RETIRING, withdraw=withdraw)
    assert end.result is Result.DELIVERED
    return world.item(key).accession_id, end.reason


def test_what_was_removed_is_recorded_with_its_size_and_checksum(
    small: SmallWorld, made: RecallParts
) -> None:
    keys = filled(small, "ACC1", "ACC2")
    small.run(keys)
    wanted = noted(small, keys[0])

    done = withdraw(wanted, made)

    ((removed, answer),) = done.removed
    assert (removed, answer.size) == (wanted[0], wanted[0].size)
    assert (done.gone, done.kept) == ([], [])
    (record,) = small.ledger.deliveries(small.item(keys[0]).accession_id)
    assert record.withdrawn_at is not None
    assert record.withdrawn == f"{record.size} bytes, sha256 {record.sha256}"
    assert len(small.zips()) == 1


def test_what_is_removed_and_not_yet_recorded_counts_as_gone_the_next_time(
    small: SmallWorld, made: RecallParts
) -> None:
    (key,) = filled(small, "ACC1")
    small.run([key])
    wanted = noted(small, key)

    def kill(_place: str) -> None:
        raise Killed

    made.checkpoint = kill
    with pytest.raises(Killed):
        withdraw(wanted, made)
    assert small.zips() == []
    assert small.ledger.to_withdraw("default")

    made.checkpoint = lambda _place: None
    done = withdraw(wanted, made)

    assert (done.removed, done.gone, done.kept) == ([], wanted, [])
    assert small.ledger.to_withdraw("default") == []
    assert small.ledger.deliveries(small.item(key).accession_id)[0].withdrawn == "it was gone"


def test_one_that_cannot_be_removed_does_not_keep_the_others(
    small: SmallWorld, made: RecallParts
) -> None:
    keys = filled(small, "ACC1", "ACC2")
    small.run(keys)
    first, second = noted(small, *keys)
    (blocked,) = [path for path in small.zips() if path.as_uri() == first.uri]
    blocked.unlink()
    blocked.mkdir()

    done = withdraw([first, second], made)

    assert [delivery for delivery, _ in done.removed] == [second]
    ((kept, why),) = done.kept
    assert kept == first
    assert "Something that is no file" in why
    assert [delivery for _, delivery in small.ledger.to_withdraw("default")] == [first]


def test_what_lies_on_a_target_that_is_not_configured_stays_noted(
    small: SmallWorld, made: RecallParts
) -> None:
    (key,) = filled(small, "ACC1")
    small.run([key])
    (wanted,) = noted(small, key)

    done = withdraw([replace(wanted, target="bucket")], made)

    ((_, why),) = done.kept
    assert why == "no target named 'bucket' is configured"
    assert len(small.zips()) == 1


def test_a_run_that_is_asked_to_withdraws_what_it_supersedes(small: SmallWorld) -> None:
    identity, said = moved(small, withdraw=True)

    first, second = small.ledger.deliveries(identity)
    assert said == ""
    assert [path.as_uri() for path in small.zips()] == [second.uri]
    assert first.withdrawal == SUPERSEDED
    assert first.withdrawn_at is not None
    assert second.stands


def test_a_run_that_is_not_asked_to_leaves_what_it_supersedes(small: SmallWorld) -> None:
    identity, _ = moved(small, withdraw=False)
    first, second = small.ledger.deliveries(identity)
    assert {path.as_uri() for path in small.zips()} == {first.uri, second.uri}
    assert first.superseded_at is not None
    assert (first.withdrawal, first.withdrawn_at) == ("", None)


def test_what_could_not_be_withdrawn_is_said_and_made_up_for_by_the_next_run(
    small: SmallWorld,
) -> None:
    (key,) = filled(small, "ACC1", imaging_type="CT")
    small.run([key])
    (path,) = small.zips()
    path.unlink()
    path.mkdir()  # somebody has put something in its place
    (again,) = small.load("ACC1", imaging_type="MR")

    end = small.end(again, reprocess=RETIRING, withdraw=True)

    assert end.result is Result.DELIVERED
    assert end.reason.startswith("1 earlier deliveries could not be withdrawn: Something that")
    path.rmdir()
    end = small.end(again)
    assert (end.result, end.reason) == (Result.UNCHANGED, "")
    assert small.ledger.to_withdraw("default") == []


def test_going_back_to_where_it_lay_before_does_not_remove_what_stands(small: SmallWorld) -> None:
    (ct,) = filled(small, "ACC1", imaging_type="CT")
    small.run([ct])
    (first,) = small.zips()
    (mr,) = small.load("ACC1", imaging_type="MR")
    small.end(mr, reprocess=RETIRING)

    small.end(ct, reprocess=RETIRING, withdraw=True)

    assert small.zips() == [first]
    identity = small.item(ct).accession_id
    (stands,) = small.ledger.standing(identity)
    assert stands.uri == first.as_uri()
    assert small.ledger.to_withdraw("default") == []


def test_nothing_noted_is_nothing_said(small: SmallWorld, made: RecallParts) -> None:
    (key,) = filled(small, "ACC1")
    small.run([key])
    assert withdraw_superseded(small.item(key).accession_id, made) == ""
    assert len(small.zips()) == 1
