"""A recall: nothing stays on the share, nothing new comes, until the recall is lifted."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.schema import ManifestRow
from locutus_dagster.pipeline.outcomes import Finished, Result
from locutus_dagster.pipeline.recall_parts import RecallError
from locutus_dagster.pipeline.recalling import lift, recall
from locutus_dagster.pipeline.workspace_secret import secret_path
from locutus_dagster.run_modes import Reprocess
from locutus_dagster_tests.ledger.rows import add_items
from locutus_dagster_tests.pipeline.recalls import (
    BACK,
    WHY,
    assert_gone,
    filled,
    killed,
    lifted,
    opened,
    recalled,
    subject_recalled,
)
from locutus_dagster_tests.pipeline.small_world import SmallWorld

# -- recalling -----------------------------------------------------------------------------


def test_a_recalled_accession_is_gone_and_the_others_stay(small: SmallWorld) -> None:
    first, second = filled(small, "ACC1", "ACC2")
    small.run([first, second])

    outcome = recalled(small, first)

    assert outcome.complete
    assert (outcome.accessions, len(outcome.removed), outcome.gone) == (1, 1, 0)
    assert outcome.size == outcome.removed[0].size
    assert_gone(small, first)
    (kept,) = small.ledger.standing(small.item(second).accession_id)
    assert [path.as_uri() for path in small.zips()] == [kept.uri]
    # The folder with the subject's name went too.
    assert len(list((small.root / "share/.TopLevel").iterdir())) == 1


def test_the_ledger_keeps_what_was_and_why_it_is_no_more(small: SmallWorld) -> None:
    (key,) = filled(small, "ACC1")
    small.run([key])
    identity = small.item(key).accession_id

    recalled(small, key)

    last = small.ledger.events(identity)[-1]
    assert (last.before, last.after, last.reason) == (State.DELIVERED, State.RECALLED, WHY)
    (record,) = small.ledger.deliveries(identity)
    assert record.withdrawal == f"recalled: {WHY}"
    assert record.withdrawn == f"{record.size} bytes, sha256 {record.sha256}"
    assert small.ledger.deid_report(identity) is not None
    (noted,) = small.ledger.recalls("default")
    assert (noted.accession_id, noted.reason, noted.lifted_at) == (identity, WHY, None)


def test_recalling_again_changes_nothing(small: SmallWorld) -> None:
    (key,) = filled(small, "ACC1")
    small.run([key])
    recalled(small, key)
    before = small.ledger.events(small.item(key).accession_id)

    outcome = recalled(small, key)

    assert outcome.complete
    assert (outcome.removed, outcome.gone, outcome.unrecorded) == ([], 0, 0)
    assert small.ledger.events(small.item(key).accession_id) == before
    assert len(small.ledger.recalls("default")) == 1


def test_a_subject_is_recalled_with_whatever_manifest_named_it(small: SmallWorld) -> None:
    keys = filled(small, "ACC1", "ACC2", subject="P1") + filled(small, "ACC3", subject="P1")
    (other,) = filled(small, "ACC4", subject="P2")
    small.run([*keys, other])
    # The first is somebody else's by now: what was delivered for the subject was of him all the
    # same, and what is delivered for the other is of the same patient.
    (corrected,) = small.load("ACC1", subject="P2")
    small.end(corrected, reprocess=Reprocess.FORCE)

    outcome = subject_recalled(small, "P1")

    assert outcome.complete
    assert outcome.accessions == 3
    assert len(outcome.removed) == 4
    assert_gone(small, *keys, corrected)
    assert small.item(other).state is State.DELIVERED
    assert len(small.zips()) == 1


def test_deliveries_that_were_superseded_go_too(small: SmallWorld) -> None:
    (key,) = filled(small, "ACC1", imaging_type="CT")
    small.run([key])
    (again,) = small.load("ACC1", imaging_type="MR")
    small.end(again, reprocess=Reprocess.PRERETIRE)
    assert len(small.zips()) == 2

    outcome = recalled(small, again)

    assert len(outcome.removed) == 2
    assert small.zips() == []
    assert_gone(small, key)


@pytest.mark.parametrize(
    "place", ["extract:recorded", "transform:written", "transform:recorded", "deliver:put"]
)
def test_what_a_crashed_run_left_is_recalled_too(small: SmallWorld, place: str) -> None:
    (key,) = filled(small, "ACC1")
    assert small.killed([key], place)

    assert recalled(small, key).complete

    assert_gone(small, key)
    assert small.zips() == []


def test_what_was_never_begun_is_recalled_before_it_is(small: SmallWorld) -> None:
    (key,) = filled(small, "ACC1")
    assert recalled(small, key).complete
    assert small.end(key).result is Result.REFUSED
    assert small.noted() == []


def test_a_run_refuses_what_is_recalled_however_it_is_asked(small: SmallWorld) -> None:
    (key,) = filled(small, "ACC1")
    small.run([key])
    recalled(small, key)
    (again,) = small.load("ACC1", imaging_type="MR")

    for mode in Reprocess:
        for end in small.run([key, again], reprocess=mode, allow_processing_of_duplicates=True):
            assert isinstance(end, Finished)
            assert (end.result, end.reason) == (Result.REFUSED, "it has been recalled")

    assert_gone(small, key)
    assert len(small.noted()) == 1


def test_an_accession_under_another_subject_is_refused_as_well(small: SmallWorld) -> None:
    (key,) = filled(small, "ACC1", subject="P1")
    small.run([key])
    subject_recalled(small, "P1")
    (renamed,) = small.load("ACC1", subject="P2")
    assert small.end(renamed, reprocess=Reprocess.FORCE).result is Result.REFUSED
    assert small.zips() == []


def test_a_recall_needs_neither_policy_nor_secret_nor_source(small: SmallWorld) -> None:
    (key,) = filled(small, "ACC1")
    small.run([key])
    secret_path(small.settings, "default").unlink()
    shutil.rmtree(small.root / "pacs")
    own = small.settings.workspace("default").model_copy(update={"policy": "no such policy"})
    broken = small.settings.model_copy(update={"workspaces": {"default": own}})

    outcome = recalled(replace(small, settings=broken), key)

    assert outcome.complete
    assert_gone(small, key)


# -- lifting -------------------------------------------------------------------------------


def test_a_lifted_recall_lets_the_next_run_deliver_again(small: SmallWorld) -> None:
    (key,) = filled(small, "ACC1")
    small.run([key])
    before = small.zips()
    recalled(small, key)

    outcome = lifted(small, key)

    item = small.item(key)
    assert (outcome.lifted, outcome.loaded) == (True, [item.accession_id])
    assert item.state is State.LOADED
    assert small.zips() == []  # nothing comes back by itself
    assert small.end(key).result is Result.DELIVERED
    assert small.zips() == before
    events = small.ledger.events(item.accession_id)
    (back,) = [event for event in events if event.before is State.RECALLED]
    assert (back.after, back.reason) == (State.LOADED, f"recall lifted: {BACK}")
    (noted,) = small.ledger.recalls("default")
    assert noted.lifted_reason == BACK


def test_an_accession_stays_recalled_while_another_recall_stands(small: SmallWorld) -> None:
    first, second = filled(small, "ACC1", "ACC2", subject="P1")
    small.run([first, second])
    recalled(small, first)
    subject_recalled(small, "P1")

    outcome = lifted(small, subject="P1")

    assert outcome.still_recalled == [small.item(first).accession_id]
    assert outcome.loaded == [small.item(second).accession_id]
    assert small.end(first).result is Result.REFUSED
    assert small.end(second).result is Result.DELIVERED
    assert lifted(small, first).lifted
    assert small.end(first).result is Result.DELIVERED


def test_lifting_that_is_killed_is_finished_by_the_same_again(small: SmallWorld) -> None:
    (key,) = filled(small, "ACC1", subject="P1")
    small.run([key])
    subject_recalled(small, "P1")

    assert killed(small, "lift:loaded", lambda m: lift(m, reason=BACK, subject_id="P1"))

    assert small.end(key).result is Result.REFUSED  # it still stands
    assert lifted(small, subject="P1").lifted
    assert small.end(key).result is Result.DELIVERED


def test_a_recall_is_not_lifted_while_somebody_has_the_accession_in_hand(
    small: SmallWorld,
) -> None:
    (key,) = filled(small, "ACC1")
    recalled(small, key)
    identity = small.item(key).accession_id
    assert small.ledger.claim(identity, "another host", 60.0)

    outcome = lifted(small, key)

    assert (outcome.lifted, outcome.in_hand) == (False, [identity])
    assert small.ledger.recalls("default", standing_only=True)


def test_what_is_not_recalled_cannot_be_lifted(small: SmallWorld) -> None:
    (key,) = filled(small, "ACC1", subject="P1")
    subject_recalled(small, "P1")
    with pytest.raises(RecallError, match="No recall of exactly that stands"):
        lifted(small, key)
    lifted(small, subject="P1")
    with pytest.raises(RecallError, match="No recall of exactly that stands"):
        lifted(small, subject="P1")


# -- the reason ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reason", ["ACC-4711", "acc-4711 is wrong", "see acc 4711!", "ＡＣＣ－4711", "xACC_4711x"]
)
def test_a_reason_that_names_an_accession_is_refused_and_nothing_happens(
    small: SmallWorld, reason: str
) -> None:
    (key,) = filled(small, "ACC-4711")
    with opened(small) as made, pytest.raises(RecallError) as caught:
        recall(made, reason=reason, accession_id=small.item(key).accession_id)
    assert "4711" not in str(caught.value)
    assert small.ledger.recalls("default") == []


@pytest.mark.parametrize("reason", ["", "  ", "\n\t"])
def test_a_recall_without_a_reason_is_refused(small: SmallWorld, reason: str) -> None:
    (key,) = filled(small, "ACC1")
    with opened(small) as made, pytest.raises(RecallError, match="A reason is missing"):
        recall(made, reason=reason, accession_id=small.item(key).accession_id)
    assert small.ledger.recalls("default") == []


def test_a_short_accession_number_leaves_most_reasons_possible(small: SmallWorld) -> None:
    (key,) = filled(small, "12")
    with opened(small) as made:
        identity = small.item(key).accession_id
        recall(made, reason="form 1 of 2 was withdrawn", accession_id=identity)
        with pytest.raises(RecallError):
            recall(made, reason="see 12, again", accession_id=identity)
    (noted,) = small.ledger.recalls("default")
    assert noted.reason == "form 1 of 2 was withdrawn"


# -- whom it is about ----------------------------------------------------------------------


def test_a_subject_s_accessions_are_those_that_any_manifest_names_for_it(ledger: Ledger) -> None:
    one, two = add_items(ledger, "A1", "A2", name="first")
    (three,) = add_items(ledger, "A3", name="second")
    add_items(ledger, "A1", name="other", workspace="elsewhere")
    with ledger.session() as session:
        session.get_one(ManifestRow, three.row_id).subject_id = two.subject_id
    assert ledger.accessions_of_subject("ws", two.subject_id) == [
        two.accession_id,
        three.accession_id,
    ]
    assert ledger.accessions_of_subject("ws", "nobody") == []
    items = ledger.items_naming("ws", [three.accession_id, one.accession_id])
    assert [item.partition_key for item in items] == [one.partition_key, three.partition_key]
    assert ledger.items_naming("ws", []) == []
