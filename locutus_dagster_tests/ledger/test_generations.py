"""Generations: what becomes history when an accession is processed again, and what is kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from locutus_dagster.ledger import Ledger, State, WorkItem
from locutus_dagster.ledger.claims import ClaimLostError
from locutus_dagster.ledger.states import IllegalTransitionError
from locutus_dagster.ledger.work import Attempt, RetiredRecord
from locutus_dagster_tests.ledger.rows import (
    CT,
    SR,
    accession,
    add_items,
    artifact,
    deidentify,
    extract,
    hand_over,
    history,
    report,
    walk,
)

FORCED: dict[str, bool] = {}
RETIRED = {"retire": True}
PREDELETED = {"delete_record": True}


@pytest.fixture
def item(ledger: Ledger) -> WorkItem:
    """An accession that has been delivered once, for its row."""
    (item,) = add_items(ledger, "ACC1", name="batch")
    walk(ledger, item, by=Attempt("run-1", row_id=item.row_id))
    return ledger.manifest_items("ws", "batch")[0]


@pytest.mark.parametrize("how", [FORCED, RETIRED, PREDELETED], ids=["force", "retire", "predelete"])
def test_an_accession_that_is_requested_again_keeps_its_events_and_its_delivery(
    ledger: Ledger, item: WorkItem, how: dict[str, bool]
) -> None:
    events = ledger.events(item.accession_id)
    deliveries = ledger.deliveries(item.accession_id)
    ledger.request_reprocessing(
        item.accession_id, "the policy has changed", by=Attempt("run-2"), **how
    )
    found = ledger.events(item.accession_id)
    assert found[:-1] == events
    assert (found[-1].before, found[-1].after) == (State.DELIVERED, State.REQUESTED)
    assert (found[-1].reason, found[-1].run_id) == ("the policy has changed", "run-2")
    assert ledger.deliveries(item.accession_id) == deliveries
    assert ledger.standing(item.accession_id) == deliveries


@pytest.mark.parametrize("how", [FORCED, RETIRED, PREDELETED], ids=["force", "retire", "predelete"])
def test_an_accession_that_is_requested_again_starts_from_the_first_phase(
    ledger: Ledger, how: dict[str, bool]
) -> None:
    (item,) = add_items(ledger, "ACC1")
    extract(ledger, item)
    deidentify(ledger, item, CT)
    assert len(ledger.artifacts(item.accession_id)) == 2
    ledger.request_reprocessing(item.accession_id, "asked for", **how)
    assert ledger.artifacts(item.accession_id) == []
    with pytest.raises(IllegalTransitionError):
        hand_over(ledger, item)


def test_forcing_begins_no_generation_and_replaces_what_was_reported(
    ledger: Ledger, item: WorkItem
) -> None:
    ledger.request_reprocessing(item.accession_id, "forced")
    assert accession(ledger, item.accession_id).generation == 1
    assert ledger.retired(item.accession_id) == []
    assert ledger.dispositions(item.accession_id) == [CT, SR]
    extract(ledger, item)
    deidentify(ledger, item, SR, policy_name="newer")
    assert ledger.dispositions(item.accession_id) == [SR]
    told = ledger.deid_report(item.accession_id)
    assert told is not None
    assert told.policy_name == "newer"


def test_retiring_begins_a_generation_of_which_nothing_is_known_yet(
    ledger: Ledger, item: WorkItem
) -> None:
    ledger.request_reprocessing(item.accession_id, "changed", retire=True)
    (found,) = ledger.manifest_items("ws", "batch")
    assert found.generation == 2
    assert (found.instances, found.delivered, found.withheld) == (None, None, None)
    assert (found.study_uid, found.study_token, found.source_fingerprint) == (None, None, None)
    assert accession(ledger, item.accession_id).source_study is None
    assert found.current_row_id == item.row_id
    assert ledger.dispositions(item.accession_id) == []
    assert ledger.deid_report(item.accession_id) is None
    assert ledger.withheld_by_reason([item.accession_id]) == {}


def test_a_retired_generation_says_how_it_stood_and_why_it_was_retired(
    ledger: Ledger, item: WorkItem
) -> None:
    before = datetime.now(timezone.utc)
    ledger.request_reprocessing(
        item.accession_id, "the policy has changed", retire=True, by=Attempt("run-2")
    )
    (found,) = ledger.retired(item.accession_id)
    assert found == RetiredRecord(
        generation=1,
        state=State.DELIVERED,
        phase=None,
        reason="",
        why="the policy has changed",
        deleted=False,
        row_id=item.row_id,
        study_uid="2.25.1",
        instances=3,
        delivered=5,
        withheld=2,
        run_id="run-2",
        retired_at=found.retired_at,
    )
    assert before <= found.retired_at <= datetime.now(timezone.utc)


def test_a_failure_that_is_retired_keeps_its_phase_and_reason(ledger: Ledger) -> None:
    (item,) = add_items(ledger, "ACC1")
    extract(ledger, item)
    ledger.record_blocked(item.accession_id, [SR], report(), phase=4, reason="residue")
    ledger.request_reprocessing(item.accession_id, "asked for", retire=True)
    (found,) = ledger.retired(item.accession_id)
    assert (found.state, found.phase, found.reason) == (State.FAILED, 4, "residue")
    assert (found.delivered, found.withheld) == (0, 2)


def test_what_was_reported_of_retired_generations_can_be_read(
    ledger: Ledger, item: WorkItem
) -> None:
    ledger.request_reprocessing(item.accession_id, "changed", retire=True)
    extract(ledger, item)
    deidentify(ledger, item, SR, policy_name="second", table=b"second")
    hand_over(ledger, item, uri="file:///share/two.zip")
    ledger.request_reprocessing(item.accession_id, "changed again", retire=True)
    extract(ledger, item)
    deidentify(ledger, item, CT, policy_name="third", table=b"third")

    counts = [ledger.dispositions(item.accession_id, number) for number in (1, 2, 3, None)]
    assert counts == [[CT, SR], [SR], [CT], [CT]]
    told = [ledger.deid_report(item.accession_id, number) for number in (1, 2, 3, None)]
    assert [one and replace(one, created_at=None) for one in told] == [
        report(),
        report(policy_name="second", table=b"second"),
        report(policy_name="third", table=b"third"),
        report(policy_name="third", table=b"third"),
    ]
    assert ledger.deid_report(item.accession_id, 4) is None
    assert ledger.dispositions(item.accession_id, 4) == []
    retired = ledger.retired(item.accession_id)
    assert [(one.generation, one.why) for one in retired] == [(1, "changed"), (2, "changed again")]


def test_each_delivery_says_of_which_generation_it_is(ledger: Ledger, item: WorkItem) -> None:
    ledger.request_reprocessing(item.accession_id, "changed", retire=True)
    walk(ledger, item, uri="file:///share/two.zip")
    ledger.request_reprocessing(item.accession_id, "forced")
    walk(ledger, item, uri="file:///share/three.zip")
    told = ledger.deliveries(item.accession_id)
    assert [(one.generation, one.stands) for one in told] == [(1, False), (2, False), (2, True)]


def test_only_the_generation_that_counts_is_counted(ledger: Ledger, item: WorkItem) -> None:
    assert ledger.withheld_by_reason([item.accession_id]) == {"structured report": 2}
    ledger.request_reprocessing(item.accession_id, "changed", retire=True)
    extract(ledger, item)
    deidentify(ledger, item, CT, replace(SR, instances=1))
    assert ledger.withheld_by_reason([item.accession_id]) == {"structured report": 1}


def test_predeleting_removes_what_was_reported_and_keeps_events_and_deliveries(
    ledger: Ledger, item: WorkItem
) -> None:
    before = history(ledger, item.accession_id)
    deliveries = ledger.deliveries(item.accession_id)
    ledger.request_reprocessing(item.accession_id, "predeleted", delete_record=True)
    for generation in (1, 2, None):
        assert ledger.dispositions(item.accession_id, generation) == []
        assert ledger.deid_report(item.accession_id, generation) is None
    assert accession(ledger, item.accession_id).generation == 2
    (found,) = ledger.retired(item.accession_id)
    assert (found.generation, found.deleted, found.why) == (1, True, "predeleted")
    assert history(ledger, item.accession_id) == [*before, (State.DELIVERED, State.REQUESTED)]
    assert ledger.deliveries(item.accession_id) == deliveries


def test_predeleting_one_generation_keeps_an_earlier_one_that_was_retired(
    ledger: Ledger, item: WorkItem
) -> None:
    ledger.request_reprocessing(item.accession_id, "retired", retire=True)
    walk(ledger, item)
    ledger.request_reprocessing(item.accession_id, "predeleted", delete_record=True)
    assert ledger.dispositions(item.accession_id, 1) == [CT, SR]
    assert ledger.deid_report(item.accession_id, 1) is not None
    assert ledger.dispositions(item.accession_id, 2) == []
    assert ledger.deid_report(item.accession_id, 2) is None
    assert [one.deleted for one in ledger.retired(item.accession_id)] == [False, True]


def test_predeleting_one_accession_leaves_the_others_alone(ledger: Ledger, item: WorkItem) -> None:
    (other,) = add_items(ledger, "ACC2")
    walk(ledger, other, uri="file:///share/two.zip")
    ledger.request_reprocessing(item.accession_id, "predeleted", delete_record=True)
    assert ledger.dispositions(other.accession_id) == [CT, SR]
    assert ledger.deid_report(other.accession_id) is not None
    assert accession(ledger, other.accession_id).generation == 1


def test_a_request_can_be_repeated_before_anything_was_done_about_it(
    ledger: Ledger, item: WorkItem
) -> None:
    ledger.request_reprocessing(item.accession_id, "first", retire=True)
    ledger.request_reprocessing(item.accession_id, "second", retire=True)
    assert [one.state for one in ledger.retired(item.accession_id)] == [
        State.DELIVERED,
        State.REQUESTED,
    ]
    assert accession(ledger, item.accession_id).generation == 3


@pytest.mark.parametrize("how", [FORCED, RETIRED, PREDELETED], ids=["force", "retire", "predelete"])
@pytest.mark.parametrize("refused", ["recalled", "claimed by another"])
def test_a_request_that_is_refused_leaves_everything_as_it_was(
    ledger: Ledger, item: WorkItem, how: dict[str, bool], refused: str
) -> None:
    wanted: type[Exception]
    if refused == "recalled":
        ledger.record_state(item.accession_id, State.RECALLED)
        by, wanted = Attempt(), IllegalTransitionError
    else:
        ledger.claim(item.accession_id, "theirs", 60)
        by, wanted = Attempt(owner="mine"), ClaimLostError
    events = ledger.events(item.accession_id)
    with pytest.raises(wanted):
        ledger.request_reprocessing(item.accession_id, "asked for", by=by, **how)
    assert ledger.events(item.accession_id) == events
    assert ledger.retired(item.accession_id) == []
    assert ledger.dispositions(item.accession_id) == [CT, SR]
    assert ledger.deid_report(item.accession_id) is not None
    found = accession(ledger, item.accession_id)
    assert (found.generation, found.study_uid, found.delivered) == (1, "2.25.1", 5)


def test_an_artifact_of_an_earlier_generation_does_not_come_back(
    ledger: Ledger, item: WorkItem
) -> None:
    ledger.request_reprocessing(item.accession_id, "changed", retire=True)
    extract(ledger, item)
    assert ledger.artifacts(item.accession_id) == [artifact()]
    ledger.request_reprocessing(item.accession_id, "changed again", retire=True)
    assert ledger.artifact(item.accession_id, "raw") is None
