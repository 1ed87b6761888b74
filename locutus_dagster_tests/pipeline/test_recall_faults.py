"""A recall ends well whatever happens: crashes, a share that goes away, others at work."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from locutus_dagster.ledger import State
from locutus_dagster.ledger.schema import Accession, Artifact
from locutus_dagster.pipeline import recalling
from locutus_dagster.pipeline.chain import process_accession
from locutus_dagster.pipeline.outcomes import Result
from locutus_dagster.pipeline.recalling import RecallOutcome, recall
from locutus_dagster.run_modes import Reprocess
from locutus_dagster_tests.parts.postgres import PostgresServer
from locutus_dagster_tests.pipeline.recalls import (
    WHY,
    assert_gone,
    filled,
    killed,
    lifted,
    opened,
    recalled,
    subject_recalled,
)
from locutus_dagster_tests.pipeline.small_world import SmallWorld, parts

PLACES = (
    "recall:noted",
    "recall:asked",
    "recall:closed",
    "recall:cleared",
    "withdraw:removed",
    "recall:withdrawn",
)


# -- crashes -------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
def test_a_recall_that_is_killed_is_finished_by_the_same_again(
    small: SmallWorld, place: str
) -> None:
    keys = filled(small, "ACC1", "ACC2", subject="P1")
    small.run(keys)

    assert killed(small, place, lambda made: recall(made, reason=WHY, subject_id="P1"))

    # Whatever it had come to, nothing new is delivered.
    assert {small.end(k, reprocess=Reprocess.FORCE).result for k in keys} == {Result.REFUSED}
    outcome = subject_recalled(small, "P1")  # takes over at once what the dead one had in hand
    assert outcome.complete
    assert_gone(small, *keys)
    assert small.zips() == []
    for key in keys:
        events = small.ledger.events(small.item(key).accession_id)
        assert [event.after for event in events].count(State.RECALLED) == 1


@pytest.mark.postgres
def test_a_recall_over_postgresql_is_finished_by_the_same_again(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    world = SmallWorld.build(tmp_path / "w", ledger_url=postgres.create_database("recall"))
    keys = filled(world, "ACC1", "ACC2", subject="P1")
    world.run(keys)

    assert killed(world, "withdraw:removed", lambda made: recall(made, reason=WHY, subject_id="P1"))

    assert subject_recalled(world, "P1").complete
    assert_gone(world, *keys)
    assert world.zips() == []
    assert lifted(world, subject="P1").lifted
    assert {world.end(key).result for key in keys} == {Result.DELIVERED}
    world.ledger.close()


@pytest.mark.parametrize("place", ["recall:asked", "recall:closed", "withdraw:removed"])
def test_a_recall_that_is_killed_can_be_lifted_instead(small: SmallWorld, place: str) -> None:
    keys = filled(small, "ACC1", "ACC2", subject="P1")
    small.run(keys)
    assert killed(small, place, lambda made: recall(made, reason=WHY, subject_id="P1"))

    assert lifted(small, subject="P1").lifted
    small.run(keys, withdraw=True)

    lies = {path.as_uri() for path in small.zips()}
    assert len(lies) == 2
    for key in keys:
        item = small.item(key)
        assert item.state is State.DELIVERED
        (stands,) = small.ledger.standing(item.accession_id)
        assert stands.uri in lies
        assert stands.withdrawal == ""
    assert small.ledger.to_withdraw("default") == []


# -- what cannot be removed at the moment --------------------------------------------------


def test_a_share_that_goes_away_in_the_middle_leaves_the_rest_noted(small: SmallWorld) -> None:
    keys = filled(small, "ACC1", "ACC2", subject="P1")
    small.run(keys)
    share, away = small.root / "share", small.root / "away"

    def unmount(place: str) -> None:
        if place == "withdraw:removed":
            share.rename(away)

    with opened(small) as made:
        made.checkpoint = unmount
        outcome = recall(made, reason=WHY, subject_id="P1", patience=0.0)

    assert not outcome.complete
    assert len(outcome.removed) == 1
    (left,) = outcome.left
    assert left.why.startswith(f"The share {share} is not there. Mount it")
    assert len(small.ledger.to_withdraw("default")) == 1
    assert {small.item(key).state for key in keys} == {State.RECALLED}

    away.rename(share)
    again = subject_recalled(small, "P1")
    assert again.complete
    assert len(again.removed) == 1
    assert_gone(small, *keys)


def test_a_share_whose_folder_is_empty_does_not_count_as_emptied(small: SmallWorld) -> None:
    (key,) = filled(small, "ACC1")
    small.run([key])
    share, away = small.root / "share", small.root / "away"
    share.rename(away)
    share.mkdir()  # the folder beneath a share that is not mounted

    assert not recalled(small, key).complete
    assert len(small.ledger.to_withdraw("default")) == 1

    share.rmdir()
    away.rename(share)
    assert recalled(small, key).complete
    assert_gone(small, key)


def test_what_lies_on_another_share_by_now_is_left_and_said(small: SmallWorld) -> None:
    (key,) = filled(small, "ACC1")
    small.run([key])
    (moved,) = small.zips()
    other = small.root / "other"
    other.mkdir()
    own = small.settings.workspace("default")
    share = own.targets["share"].model_copy(update={"path": other})
    own = own.model_copy(update={"targets": {"share": share}})
    elsewhere = small.settings.model_copy(update={"workspaces": {"default": own}})

    outcome = recalled(replace(small, settings=elsewhere), key)

    assert [left.what for left in outcome.left] == [moved.as_uri()]
    assert "Set the target to where it was delivered" in outcome.left[0].why
    assert moved.exists()
    assert recalled(small, key).complete
    assert_gone(small, key)


def test_interim_files_that_somebody_holds_are_left_and_said(
    small: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recalling, "_ROOM_PATIENCE", 0.1)
    (key,) = filled(small, "ACC1")
    assert small.killed([key], "extract:recorded")
    with opened(small) as made, made.interim.claim("default", small.item(key).accession_id):
        outcome = recalled(small, key)
        assert [left.what for left in outcome.left] == ["interim files"]

    assert recalled(small, key).complete
    assert_gone(small, key)


def test_interim_files_of_another_host_are_told_of(small: SmallWorld) -> None:
    (key,) = filled(small, "ACC1")
    assert small.killed([key], "extract:recorded")
    with small.ledger.session() as session:
        session.execute(update(Artifact).values(host="reader-2"))

    assert recalled(small, key).hosts == {"reader-2"}


# -- beside other workers ------------------------------------------------------------------


def test_what_another_worker_has_in_hand_is_said_and_the_rest_is_gone(small: SmallWorld) -> None:
    first, second = filled(small, "ACC1", "ACC2", subject="P1")
    small.run([first, second])
    busy = small.item(first).accession_id
    assert small.ledger.claim(busy, "another host", 60.0)

    outcome = subject_recalled(small, "P1", patience=0.3)

    assert not outcome.complete
    assert outcome.in_hand == [busy]
    assert len(outcome.removed) == 1
    assert small.item(first).state is State.DELIVERED
    assert small.item(second).state is State.RECALLED

    small.ledger.release(busy, "another host")
    assert subject_recalled(small, "P1").complete
    assert_gone(small, first, second)


def test_what_a_worker_delivers_while_the_recall_waits_is_removed(small: SmallWorld) -> None:
    (key,) = filled(small, "ACC1")
    made = parts(small.settings, "default")
    outcomes = process_accession(key, made)
    while getattr(next(outcomes), "artifact", None) != "deidentified_zip":
        pass  # it has looked whether a recall stands, long ago
    done: list[RecallOutcome] = []
    waiting = threading.Thread(target=lambda: done.append(recalled(small, key, patience=30.0)))
    waiting.start()
    while not small.ledger.recalls("default"):
        time.sleep(0.01)
    assert [o.result for o in outcomes if hasattr(o, "result")] == [Result.DELIVERED]
    waiting.join()
    made.close()

    assert done[0].complete
    assert len(small.noted()) == 1
    assert_gone(small, key)
    assert small.zips() == []


def test_a_worker_whose_claim_ended_cannot_deliver_after_the_recall(
    small: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recalling, "_ROOM_PATIENCE", 0.1)
    (key,) = filled(small, "ACC1")
    made = parts(small.settings, "default")
    outcomes = process_accession(key, made)
    while getattr(next(outcomes), "artifact", None) != "deidentified_zip":
        pass
    identity = small.item(key).accession_id
    with small.ledger.session() as session:  # as after a lease that ended while it was stopped
        session.get_one(Accession, identity).claimed_by = None

    (left,) = recalled(small, key).left  # it is still in the accession's room
    assert left.what == "interim files"
    assert [o.result for o in outcomes if hasattr(o, "result")] == [Result.BUSY]
    made.close()

    assert small.zips() == []
    assert recalled(small, key).complete
    assert_gone(small, key)
