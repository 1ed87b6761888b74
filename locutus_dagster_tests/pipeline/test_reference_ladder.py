"""The reference's ladder of decisions for each row, rung by rung, and what we do instead.

Each test is a row of the ladder or of its table (reference/locutus.md, section 3), by name; its
docstring says what the reference did. The rungs of manual review (phase 999, `FAIL:`, `PASS:`)
belong to manual review.
"""

from __future__ import annotations

import pytest

from locutus_dagster.ledger import State
from locutus_dagster.ledger.reference_status import status
from locutus_dagster.pipeline.outcomes import Finished, PhaseDone, Result
from locutus_dagster.run_modes import Reprocess, Sweep
from locutus_dagster_tests.pipeline.small_world import SmallWorld

ACC = "ACC1"


@pytest.fixture
def key(small: SmallWorld) -> str:
    """The partition of one accession whose study is there."""
    small.put_study(ACC)
    return small.load(ACC)[0]


def delivered(small: SmallWorld, key: str) -> None:
    """Have it delivered."""
    assert small.end(key).result is Result.DELIVERED


def under_other_attributes(small: SmallWorld) -> str:
    """A later manifest that names the same accession for another subject."""
    return small.load(ACC, subject="OTHER-1", name="later")[0]


# -- rung 1: the reprocess switches, first match wins ------------------------------------------


@pytest.mark.parametrize(
    "mode", [Reprocess.FORCE, Reprocess.PREDELETE, Reprocess.PRERETIRE], ids=lambda m: m.value
)
def test_rung_1_each_switch_processes_a_finished_accession_again_under_new_attributes(
    small: SmallWorld, key: str, mode: Reprocess
) -> None:
    """Reference: force updates both tables, predelete deletes, preretire retires; phase 2."""
    delivered(small, key)
    later = under_other_attributes(small)

    assert small.end(later, reprocess=mode).result is Result.DELIVERED

    first, second = small.ledger.deliveries(small.item(key).accession_id)
    assert first.superseded_at is not None
    assert second.stands
    assert "OTHER-1" in second.uri
    assert small.item(later).generation == (1 if mode is Reprocess.FORCE else 2)


def test_rung_1_force_keeps_one_generation_and_its_history(small: SmallWorld, key: str) -> None:
    """Reference: rewrites the row, so that nothing tells that it was processed twice."""
    delivered(small, key)
    small.end(key, reprocess="force")

    events = small.ledger.events(small.item(key).accession_id)
    assert [event.after for event in events].count(State.DELIVERED) == 2
    assert small.ledger.retired(small.item(key).accession_id) == []


def test_rung_1_preretire_keeps_what_was_retired_readable(small: SmallWorld, key: str) -> None:
    """Reference: `active=false` and a minus before the accession, found by SQL alone."""
    delivered(small, key)
    identity = small.item(key).accession_id
    report = small.ledger.deid_report(identity)
    small.end(key, reprocess="preretire")

    (retired,) = small.ledger.retired(identity)
    assert retired.state is State.DELIVERED
    assert not retired.deleted
    assert small.ledger.deid_report(identity, retired.generation) == report
    assert small.ledger.dispositions(identity, retired.generation)


def test_rung_1_predelete_deletes_the_record_and_not_the_fact_of_a_delivery(
    small: SmallWorld, key: str
) -> None:
    """Reference: deletes the manifest's row, and with it what had been delivered when."""
    delivered(small, key)
    identity = small.item(key).accession_id
    small.end(key, reprocess="predelete")

    (retired,) = small.ledger.retired(identity)
    assert retired.deleted
    assert small.ledger.deid_report(identity, retired.generation) is None
    assert small.ledger.dispositions(identity, retired.generation) == []
    assert len(small.ledger.deliveries(identity)) == 2


def test_rung_1_a_pending_accession_is_only_looked_for(small: SmallWorld) -> None:
    """Reference: force spares whatever is `PENDING%`. Ours has nothing to reset there either."""
    (key,) = small.load(ACC)
    small.end(key)
    assert small.end(key, reprocess="force").result is Result.PENDING
    assert State.REQUESTED not in [
        event.after for event in small.ledger.events(small.item(key).accession_id)
    ]


def test_rung_1_only_changed_does_so_where_something_has_changed(
    small: SmallWorld, key: str
) -> None:
    """Reference: this mode aborts the batch, as its SQL names a column that does not exist."""
    small.put_study("ACC2")
    (same,) = small.load("ACC2")
    delivered(small, key)
    delivered(small, same)
    later = under_other_attributes(small)

    ends = {
        end.partition_key: end.result
        for end in small.run([later, same], reprocess="preretire-only-changed")
        if isinstance(end, Finished)
    }

    assert ends == {later: Result.DELIVERED, same: Result.UNCHANGED}
    (retired,) = small.ledger.retired(small.item(key).accession_id)
    assert "subject" in retired.why


# -- rung 2: rows of one accession --------------------------------------------------------------


def test_rung_2_no_row_cannot_be_because_loading_makes_it(small: SmallWorld) -> None:
    """Reference: inserts a placeholder with an empty status."""
    (key,) = small.load(ACC)
    assert small.item(key).state is State.LOADED
    assert status(State.LOADED) == "ZZZ-ONDECK-4-PROCESSING_CHANGE"


def test_rung_2_several_rows_are_one_accession_and_nothing_crashes(
    small: SmallWorld, key: str
) -> None:
    """Reference: more than one active row usually crashes on an unset variable."""
    again = small.load(ACC, name="again")[0]
    assert small.item(again).accession_id == small.item(key).accession_id
    assert small.end(key).result is Result.DELIVERED
    assert small.end(again).result is Result.UNCHANGED


# -- rung 3: studies of one accession -----------------------------------------------------------


def test_rung_3_no_study_is_pending_change_and_says_so_again(small: SmallWorld) -> None:
    """Reference: PENDING_CHANGE, then the stored reason again."""
    (key,) = small.load(ACC)
    for _ in range(2):
        assert small.end(key).result is Result.PENDING
        item = small.item(key)
        assert status(item.state, item.phase, item.reason) == "PENDING_CHANGE"


def test_rung_3_several_studies_are_an_error_and_the_next_row_goes_on(
    small: SmallWorld, key: str
) -> None:
    """Reference: ERROR_MULTIPLE_CHANGE_UUIDS; one uuid in several rows aborts the batch."""
    small.put_study(ACC, "two")
    small.put_study("ACC2")
    (other,) = small.load("ACC2")

    ends = [end for end in small.run([key, other]) if isinstance(end, Finished)]

    assert [end.result for end in ends] == [Result.FAILED, Result.DELIVERED]
    assert "ERROR_MULTIPLE_CHANGE_UUIDS" in ends[0].reason
    item = small.item(key)
    assert status(item.state, item.phase, item.reason) == "ERROR_MULTIPLE_CHANGE_UUIDS"


# -- rung 4: phase by phase, unchanged or changed, without a switch ------------------------------


def test_phase_2_unchanged_is_processed(small: SmallWorld, key: str) -> None:
    """Reference: PROCESSING_CHANGE, run now."""
    assert small.end(key).result is Result.DELIVERED


def test_phase_2_changed_is_processed_under_the_new_attributes(small: SmallWorld, key: str) -> None:
    """Reference: a warning that awaits preretire. Nothing was delivered, so nothing contradicts."""
    later = under_other_attributes(small)
    assert small.end(later).result is Result.DELIVERED
    assert "OTHER-1" in str(small.zips()[0])


MID_WALK = [("extract:recorded", State.EXTRACTED), ("transform:recorded", State.DEIDENTIFIED)]


@pytest.mark.parametrize(("place", "state"), MID_WALK, ids=["phase 3", "phase 4"])
def test_phases_3_and_4_unchanged_are_resumed(
    small: SmallWorld, key: str, place: str, state: State
) -> None:
    """Reference: queued for the sweep after the manifest."""
    assert small.killed([key], place)
    assert small.item(key).state is state

    outcomes = small.run([key])

    assert outcomes[-1] == Finished(key, Result.DELIVERED)
    assert any("resumed" in o.metadata for o in outcomes if isinstance(o, PhaseDone))


@pytest.mark.parametrize(("place", "state"), MID_WALK, ids=["phase 3", "phase 4"])
def test_phases_3_and_4_changed_are_made_anew_under_the_new_attributes(
    small: SmallWorld, key: str, place: str, state: State
) -> None:
    """Reference: a warning; the accession waits for preretire."""
    assert small.killed([key], place)
    later = under_other_attributes(small)
    assert small.end(later).result is Result.DELIVERED
    assert "OTHER-1" in str(small.zips()[0])
    assert small.leftovers() == []


@pytest.mark.parametrize(("place", "state"), MID_WALK, ids=["phase 3", "phase 4"])
def test_phases_3_and_4_with_the_sweep_off_are_left_as_they_stand(
    small: SmallWorld, key: str, place: str, state: State
) -> None:
    """Reference: a warning that it will not resume."""
    assert small.killed([key], place)
    end = small.end(key, sweep=Sweep.OFF)
    assert end.result is Result.LEFT
    assert "resuming is switched off" in end.reason
    assert small.item(key).state is state


def test_phase_5_unchanged_is_reported_with_its_delivery(small: SmallWorld, key: str) -> None:
    """Reference: PREVIOUSLY_PROCESSED_WITH_SAME_MANIFEST_ATTRIBUTES and the last target."""
    delivered(small, key)
    outcomes = small.run([key])
    assert outcomes[-1] == Finished(key, Result.UNCHANGED)
    (shown,) = [o for o in outcomes if isinstance(o, PhaseDone) and "uri" in o.metadata]
    assert shown.metadata["uri"] == small.zips()[0].as_uri()
    assert len(small.noted()) == 1


def test_phase_5_changed_is_reported_and_nothing_is_delivered(small: SmallWorld, key: str) -> None:
    """Reference: PREVIOUS_PROCESSING_USED_[old]_…_[new]; the database stays as it was."""
    delivered(small, key)
    later = under_other_attributes(small)
    end = small.end(later)
    assert end.result is Result.CHANGED
    assert "subject" in end.reason
    assert small.item(later).changed == "subject"
    assert len(small.noted()) == 1


def test_phase_5_whose_delivery_has_vanished_is_not_reported_as_done(
    small: SmallWorld, key: str
) -> None:
    """Reference: ERROR_PHASE03_Missing_PreviouslyProcessed_DeID_Target, in the output alone."""
    delivered(small, key)
    small.zips()[0].unlink()
    end = small.end(key)
    assert end.result is Result.CHANGED
    assert "delivery" in end.reason
    assert small.end(key, reprocess="preretire-only-changed").result is Result.DELIVERED
    assert len(small.zips()) == 1


def test_a_study_that_grew_after_its_delivery_is_noticed(small: SmallWorld, key: str) -> None:
    """Reference (trap 14): new images never reopen a finished study."""
    delivered(small, key)
    small.put_study(ACC, instances=2)
    end = small.end(key)
    assert (end.result, small.item(key).changed) == (Result.CHANGED, "source")
    assert small.end(key, check_source=False).result is Result.UNCHANGED
    assert small.end(key, reprocess="preretire-only-changed").result is Result.DELIVERED
    assert small.item(key).delivered == 2
    assert small.item(key).changed == ""


def test_a_study_that_the_source_has_let_go_has_not_changed(small: SmallWorld, key: str) -> None:
    """Reference: zombies in the status table are warned about."""
    delivered(small, key)
    small.drop_study(ACC)
    assert small.end(key).result is Result.UNCHANGED


def test_a_change_of_settings_alone_can_be_allowed(small: SmallWorld, key: str) -> None:
    """Reference: allow_continued_processing_if_only_cfgs_changed forgives labels."""
    delivered(small, key)
    own = small.settings.workspaces["default"]
    changed = own.model_copy(update={"policy": "research"})
    small.settings = small.settings.model_copy(update={"workspaces": {"default": changed}})

    assert small.end(key).result is Result.CHANGED
    assert small.item(key).changed == "policy"
    assert small.end(key, reprocess="allow-if-only-config-changed").result is Result.UNCHANGED

    later = under_other_attributes(small)
    assert small.end(later, reprocess="allow-if-only-config-changed").result is Result.CHANGED


@pytest.mark.parametrize("times", [2, 5, 6])
def test_rows_of_one_accession_in_a_row_do_not_stop_the_loop(
    small: SmallWorld, key: str, times: int
) -> None:
    """Reference: five consecutive rows of one accession end the loop, and the rest is dropped."""
    keys = [small.load(ACC, name=f"copy{number}")[0] for number in range(times)]
    small.put_study("ACC2")
    (last,) = small.load("ACC2")
    ends = [end for end in small.run([*keys, last]) if isinstance(end, Finished)]
    assert [end.result for end in ends] == [
        Result.DELIVERED,
        *[Result.UNCHANGED] * (times - 1),
        Result.DELIVERED,
    ]


def test_a_duplicate_is_processed_once_or_again_when_that_is_asked_for(
    small: SmallWorld, key: str
) -> None:
    """Reference: goes through the ladder again with allow_processing_of_duplicates."""
    again = small.load(ACC, name="again")[0]
    ends = small.run([key, again], allow_processing_of_duplicates=True)
    assert [e.result for e in ends if isinstance(e, Finished)] == [Result.DELIVERED] * 2
    assert len(small.noted()) == 2
    # A rerun does not: each row has had its delivery.
    ends = small.run([key, again], allow_processing_of_duplicates=True)
    assert [e.result for e in ends if isinstance(e, Finished)] == [Result.UNCHANGED] * 2
