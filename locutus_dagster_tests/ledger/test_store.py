"""What the ledger keeps of artifacts, dispositions and deliveries, and what it answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import select

from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.schema import Artifact
from locutus_dagster.ledger.states import IllegalTransitionError
from locutus_dagster.ledger.work import Attempt, ReportRecord, WorkItem
from locutus_dagster_tests.ledger.rows import (
    CT,
    SR,
    accession,
    add_items,
    artifact,
    deidentify,
    delivery,
    extract,
    hand_over,
    history,
    report,
    walk,
)


@pytest.fixture
def item(ledger: Ledger) -> WorkItem:
    return add_items(ledger, "ACC1")[0]


def told(ledger: Ledger, item: WorkItem) -> ReportRecord | None:
    """The report without its time."""
    found = ledger.deid_report(item.accession_id)
    return found and replace(found, created_at=None)


# -- extract, transform, deliver -----------------------------------------------------------------


def test_an_extraction_sets_state_source_and_artifact(ledger: Ledger, item: WorkItem) -> None:
    extract(ledger, item, Attempt("run-1"))
    found = accession(ledger, item.accession_id)
    assert (found.state, found.source_study, found.instances) == ("extracted", "handle", 3)
    assert (found.source_fingerprint, found.run_id) == ("2" * 64, "run-1")
    assert ledger.artifact(item.accession_id, "raw") == artifact()
    assert history(ledger, item.accession_id) == [("loaded", "extracted")]


def test_a_de_identification_sets_state_pseudonyms_counts_and_artifact(
    ledger: Ledger, item: WorkItem
) -> None:
    extract(ledger, item)
    deidentify(ledger, item, CT, SR)
    found = accession(ledger, item.accession_id)
    assert (found.state, found.study_uid, found.study_token) == ("deidentified", "2.25.1", "token")
    assert (found.delivered, found.withheld) == (5, 2)
    assert ledger.artifact(item.accession_id, "deidentified") == artifact("deidentified")
    assert ledger.artifact(item.accession_id, "raw") == artifact()
    assert ledger.dispositions(item.accession_id) == [CT, SR]
    assert history(ledger, item.accession_id)[1:] == [("extracted", "deidentified")]


def test_a_blocked_result_is_a_failure_that_delivers_nothing(
    ledger: Ledger, item: WorkItem
) -> None:
    extract(ledger, item)
    ledger.record_blocked(
        item.accession_id, [CT, SR], report(key_id="fresh"), phase=4, reason="residue"
    )
    found = accession(ledger, item.accession_id)
    assert (found.state, found.phase, found.reason) == ("failed", 4, "residue")
    assert (found.delivered, found.withheld) == (0, 2)
    assert ledger.dispositions(item.accession_id) == [CT, SR]
    assert told(ledger, item) == report(key_id="fresh")
    assert ledger.artifact(item.accession_id, "deidentified") is None
    assert history(ledger, item.accession_id)[1:] == [("extracted", "failed")]


def test_a_delivery_sets_the_state_and_is_kept_with_run_row_and_what_it_was_made_from(
    ledger: Ledger, item: WorkItem
) -> None:
    extract(ledger, item)
    deidentify(ledger, item, CT)
    by = Attempt("run-3", row_id=item.row_id)
    before = datetime.now(timezone.utc)
    ledger.record_delivered(item.accession_id, delivery(), by=by)
    assert ledger.state_of(item.accession_id) is State.DELIVERED
    (found,) = ledger.deliveries(item.accession_id)
    assert found == replace(
        delivery(),
        identity=found.identity,
        row_id=item.row_id,
        run_id="run-3",
        delivered_at=found.delivered_at,
    )
    assert found.delivered_at is not None
    assert before <= found.delivered_at <= datetime.now(timezone.utc)
    assert found.stands
    assert ledger.row_was_delivered(item.accession_id, item.row_id)
    assert not ledger.row_was_delivered(item.accession_id, item.row_id + 1)
    assert accession(ledger, item.accession_id).run_id == "run-3"
    assert history(ledger, item.accession_id)[2:] == [("deidentified", "delivered")]


def test_what_a_step_was_made_from_is_written_off_in_the_same_breath(
    ledger: Ledger, item: WorkItem
) -> None:
    extract(ledger, item)
    ledger.record_deidentified(
        item.accession_id,
        artifact("deidentified"),
        [CT],
        report(),
        study_uid="2.25.1",
        study_token="token",
        spent=["raw"],
    )
    assert ledger.artifacts(item.accession_id) == [artifact("deidentified")]
    ledger.record_delivered(item.accession_id, delivery(), spent=["raw", "deidentified"])
    assert ledger.artifacts(item.accession_id) == []


def test_a_record_that_the_table_refuses_leaves_nothing_behind(
    ledger: Ledger, item: WorkItem
) -> None:
    with pytest.raises(IllegalTransitionError):
        deidentify(ledger, item, CT)
    with pytest.raises(IllegalTransitionError):
        ledger.record_delivered(item.accession_id, delivery())
    assert ledger.artifact(item.accession_id, "deidentified") is None
    assert ledger.dispositions(item.accession_id) == []
    assert ledger.deid_report(item.accession_id) is None
    assert ledger.deliveries(item.accession_id) == []
    assert accession(ledger, item.accession_id).study_uid is None
    assert history(ledger, item.accession_id) == []


def test_a_second_extraction_replaces_the_artifact_of_the_first(
    ledger: Ledger, item: WorkItem
) -> None:
    extract(ledger, item)
    newer = artifact(sha256="9" * 64)
    ledger.record_extracted(
        item.accession_id, newer, source_study="handle", source_fingerprint="2" * 64
    )
    assert ledger.artifact(item.accession_id, "raw") == newer
    ledger.record_deleted(item.accession_id, "raw")
    assert ledger.artifact(item.accession_id, "raw") is None
    with ledger.session(reads_only=True) as session:
        assert all(session.scalars(select(Artifact.deleted_at)).all())


def test_deleting_one_kind_of_artifact_keeps_the_other(ledger: Ledger, item: WorkItem) -> None:
    extract(ledger, item)
    deidentify(ledger, item, CT)
    ledger.record_deleted(item.accession_id, "raw")
    assert ledger.artifact(item.accession_id, "raw") is None
    assert ledger.artifact(item.accession_id, "deidentified") == artifact("deidentified")


def test_deleting_is_no_change_of_state(ledger: Ledger, item: WorkItem) -> None:
    extract(ledger, item)
    before = history(ledger, item.accession_id)
    ledger.record_deleted(item.accession_id, "raw")
    assert history(ledger, item.accession_id) == before


def test_the_artifacts_of_one_accession_are_not_another_s(ledger: Ledger) -> None:
    one, other = add_items(ledger, "ACC1", "ACC2")
    extract(ledger, one)
    extract(ledger, other)
    ledger.record_deleted(one.accession_id, "raw")
    assert ledger.artifact(other.accession_id, "raw") == artifact()
    assert ledger.artifacts(one.accession_id) == []
    assert ledger.artifacts(other.accession_id) == [artifact()]


def test_dispositions_are_replaced_by_those_of_the_last_attempt(
    ledger: Ledger, item: WorkItem
) -> None:
    extract(ledger, item)
    deidentify(ledger, item, CT, SR)
    ledger.record_state(item.accession_id, State.FAILED, phase=5)
    deidentify(ledger, item, SR)
    found = accession(ledger, item.accession_id)
    assert ledger.dispositions(item.accession_id) == [SR]
    assert (found.delivered, found.withheld) == (0, 2)


def test_the_report_is_kept_with_what_it_says_and_when(ledger: Ledger, item: WorkItem) -> None:
    extract(ledger, item)
    before = datetime.now(timezone.utc)
    deidentify(ledger, item, CT)
    assert told(ledger, item) == report()
    found = ledger.deid_report(item.accession_id)
    assert found is not None
    assert found.created_at is not None
    assert before <= found.created_at <= datetime.now(timezone.utc)


def test_the_report_is_that_of_the_last_attempt(ledger: Ledger, item: WorkItem) -> None:
    extract(ledger, item)
    deidentify(ledger, item, CT, SR)
    ledger.record_state(item.accession_id, State.FAILED, phase=5)
    deidentify(ledger, item, SR, policy_name="site-a", table=b"another")
    assert told(ledger, item) == report(policy_name="site-a", table=b"another")


def test_an_accession_that_was_never_de_identified_has_no_report(
    ledger: Ledger, item: WorkItem
) -> None:
    extract(ledger, item)
    assert ledger.deid_report(item.accession_id) is None


def test_a_report_does_not_show_its_table(ledger: Ledger, item: WorkItem) -> None:
    assert "compressed" not in repr(report())


# -- nothing to resume -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state", [State.PENDING, State.AMBIGUOUS, State.WAITING, State.DROPPED, State.RECALLED]
)
def test_a_zip_made_before_the_source_had_no_one_study_any_more_is_not_resumed_from(
    ledger: Ledger, item: WorkItem, state: State
) -> None:
    extract(ledger, item)
    deidentify(ledger, item, CT)
    ledger.record_state(item.accession_id, State.FAILED, phase=5)
    ledger.record_state(item.accession_id, state)
    assert ledger.artifact(item.accession_id, "deidentified") is None
    assert ledger.artifacts(item.accession_id) == []


def test_a_failed_delivery_can_be_resumed_from_its_zip(ledger: Ledger, item: WorkItem) -> None:
    extract(ledger, item)
    deidentify(ledger, item, CT)
    ledger.record_state(item.accession_id, State.FAILED, phase=5)
    assert ledger.artifact(item.accession_id, "deidentified") == artifact("deidentified")
    hand_over(ledger, item)
    assert ledger.state_of(item.accession_id) is State.DELIVERED


# -- what has changed --------------------------------------------------------------------------


def test_a_row_remembers_what_has_changed_until_it_is_delivered(ledger: Ledger) -> None:
    one, other = add_items(ledger, "ACC1", "ACC2", name="batch")
    walk(ledger, one, by=Attempt(row_id=one.row_id))
    walk(ledger, other, by=Attempt(row_id=other.row_id), uri="file:///share/two.zip")
    for item in (one, other):
        ledger.note_changed(item.row_id, "policy,target")
    ledger.request_reprocessing(one.accession_id, "changed", by=Attempt(row_id=one.row_id))
    changed = [item.changed for item in ledger.manifest_items("ws", "batch")]
    assert changed == ["policy,target", "policy,target"]
    walk(ledger, one, by=Attempt(row_id=one.row_id))
    changed = [item.changed for item in ledger.manifest_items("ws", "batch")]
    assert changed == ["", "policy,target"]


def test_what_has_changed_can_be_noted_anew_and_taken_back(ledger: Ledger, item: WorkItem) -> None:
    for kinds in ("policy", "policy,target", "", ""):
        ledger.note_changed(item.row_id, kinds)
        (found,) = ledger.work_items("ws", [item.partition_key])
        assert found.changed == kinds
    assert history(ledger, item.accession_id) == []


# -- times ---------------------------------------------------------------------------------------


def test_times_come_back_in_utc_whatever_zone_they_were_written_in(
    ledger: Ledger, item: WorkItem
) -> None:
    there = timezone(timedelta(hours=5, minutes=30))
    at = datetime(2026, 11, 22, 3, 0, tzinfo=there)
    ledger.record_state(item.accession_id, State.PENDING, values={"updated_at": at})
    (found,) = ledger.work_items("ws", [item.partition_key])
    assert found.updated_at == at
    assert found.updated_at.utcoffset() == timedelta(0)
