"""What the ledger keeps of artifacts, dispositions and deliveries, and what it answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from locutus_dagster.ledger import Ledger, LedgerError, State
from locutus_dagster.ledger.schema import Artifact
from locutus_dagster.ledger.states import IllegalTransitionError
from locutus_dagster.ledger.work import Attempt, DispositionCount, ReportRecord, WorkItem, digest
from locutus_dagster_tests.ledger.rows import (
    LEGAL_WALK,
    accession,
    add_items,
    artifact,
    delivery,
    history,
    report,
)

CT = DispositionCount("1.2.840.10008.5.1.4.1.1.2", "CT", "delivered", "", 5)
SR = DispositionCount("1.2.840.10008.5.1.4.1.1.88.11", "SR", "withheld", "structured report", 2)
LEFT = DispositionCount(CT.sop_class, "CT", "withheld", "identifier left in the output", 1)


@pytest.fixture
def item(ledger: Ledger) -> WorkItem:
    return add_items(ledger, "ACC1")[0]


def extract(ledger: Ledger, item: WorkItem) -> None:
    ledger.record_extracted(
        item.accession_id,
        artifact(),
        source_study="handle",
        source_fingerprint="2" * 64,
        by=Attempt("run-1"),
    )


def deidentify(
    ledger: Ledger, item: WorkItem, *counts: DispositionCount, **of_report: object
) -> None:
    ledger.record_deidentified(
        item.accession_id,
        artifact("deidentified"),
        counts,
        report(**of_report),
        study_uid="2.25.1",
        study_token="token",
        by=Attempt("run-2"),
    )


def told(ledger: Ledger, item: WorkItem) -> ReportRecord | None:
    """The report without its time."""
    found = ledger.deid_report(item.accession_id)
    return found and replace(found, created_at=None)


# -- workspaces and work items ---------------------------------------------------------------


def test_registering_a_workspace_twice_is_harmless(ledger: Ledger) -> None:
    ledger.ensure_workspace("ws")
    ledger.set_workspace_key_id("ws", "first")
    ledger.ensure_workspace("ws")
    assert ledger.workspace_key_id("ws") == "first"


def test_a_workspace_keeps_its_first_key(ledger: Ledger) -> None:
    ledger.ensure_workspace("ws")
    assert ledger.workspace_key_id("ws") is None
    ledger.set_workspace_key_id("ws", "first")
    ledger.set_workspace_key_id("ws", "second")
    assert ledger.workspace_key_id("ws") == "first"
    assert ledger.workspace_key_id("another") is None


def test_a_key_is_followed_by_another_only_if_it_is_the_one_that_is_known(ledger: Ledger) -> None:
    ledger.ensure_workspace("ws")
    ledger.set_workspace_key_id("ws", "first")
    ledger.set_workspace_key_id("ws", "third", before="second")
    assert ledger.workspace_key_id("ws") == "first"
    ledger.set_workspace_key_id("ws", "second", before="first")
    assert ledger.workspace_key_id("ws") == "second"


def test_work_items_come_in_the_order_asked_for(ledger: Ledger) -> None:
    keys = [one.partition_key for one in add_items(ledger, *(f"ACC{n}" for n in range(600)))]
    asked = keys[::-1]
    assert [found.partition_key for found in ledger.work_items("ws", asked)] == asked


def test_an_unknown_partition_is_an_error_that_counts_and_names_the_first(
    ledger: Ledger, item: WorkItem
) -> None:
    with pytest.raises(LedgerError, match=r"2 partition\(s\) of workspace 'ws'.*being m~000009"):
        ledger.work_items("ws", [item.partition_key, "m~000009", "m~000010"])


def test_a_partition_of_another_workspace_is_unknown(ledger: Ledger, item: WorkItem) -> None:
    with pytest.raises(LedgerError, match="workspace 'other'"):
        ledger.work_items("other", [item.partition_key])


def test_a_work_item_does_not_show_its_accession_number(ledger: Ledger, item: WorkItem) -> None:
    assert item.accession_number == "ACC1"
    assert "ACC1" not in repr(item)


def test_the_state_of_an_accession_that_nobody_knows_is_none(ledger: Ledger) -> None:
    assert ledger.state_of(999_999) is None


def test_manifests_are_named_in_the_order_they_were_loaded(ledger: Ledger) -> None:
    for name in ("zebra", "ant", "mole"):
        add_items(ledger, f"ACC-{name}", name=name)
    assert ledger.manifest_names("ws") == ["zebra", "ant", "mole"]


# -- extract, transform, deliver -----------------------------------------------------------------


def test_an_extraction_sets_state_source_and_artifact(ledger: Ledger, item: WorkItem) -> None:
    extract(ledger, item)
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


def test_a_delivery_sets_the_state_and_is_kept(ledger: Ledger, item: WorkItem) -> None:
    extract(ledger, item)
    deidentify(ledger, item, CT)
    ledger.record_delivered(item.accession_id, delivery(), by=Attempt("run-3"))
    assert ledger.state_of(item.accession_id) is State.DELIVERED
    assert ledger.deliveries(item.accession_id) == [delivery()]
    assert accession(ledger, item.accession_id).run_id == "run-3"
    assert history(ledger, item.accession_id)[2:] == [("deidentified", "delivered")]


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
        assert all(row.deleted_at is not None for row in session.query(Artifact))


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


def test_what_was_withheld_is_counted_by_reason_over_the_accessions_asked_for(
    ledger: Ledger,
) -> None:
    one, other, third = add_items(ledger, "ACC1", "ACC2", "ACC3")
    for each, counts in ((one, (CT, SR)), (other, (SR, LEFT)), (third, (LEFT,))):
        extract(ledger, each)
        deidentify(ledger, each, *counts)
    asked = [one.accession_id, other.accession_id]
    assert ledger.withheld_by_reason(asked) == {
        "identifier left in the output": 1,
        "structured report": 4,
    }
    assert ledger.withheld_by_reason([]) == {}


def test_a_place_that_holds_another_accession_s_delivery_is_elsewhere(ledger: Ledger) -> None:
    one, other = add_items(ledger, "ACC1", "ACC2")
    extract(ledger, one)
    deidentify(ledger, one, CT)
    ledger.record_delivered(one.accession_id, delivery())
    uri = delivery().uri
    assert ledger.delivered_elsewhere(other.accession_id, "share", uri)
    assert not ledger.delivered_elsewhere(one.accession_id, "share", uri)
    assert not ledger.delivered_elsewhere(other.accession_id, "another share", uri)
    assert not ledger.delivered_elsewhere(other.accession_id, "share", uri + "x")


# -- counting --------------------------------------------------------------------------------


def test_a_manifest_s_states_are_counted_over_its_own_rows(ledger: Ledger) -> None:
    items = add_items(ledger, "ACC1", "ACC2", "ACC3", name="one")
    add_items(ledger, "ACC4", name="two")
    ledger.record_state(items[0].accession_id, State.PENDING)
    for state in LEGAL_WALK:
        ledger.record_state(items[1].accession_id, state)
    assert ledger.state_counts("ws", "one") == {
        State.PENDING: 1,
        State.DELIVERED: 1,
        State.LOADED: 1,
    }
    assert ledger.state_counts("ws", "two") == {State.LOADED: 1}
    assert ledger.state_counts("other", "one") == {}


def test_a_run_is_counted_for_what_it_touched_last(ledger: Ledger) -> None:
    items = add_items(ledger, "ACC1", "ACC2", "ACC3")
    for one in items:
        ledger.record_state(one.accession_id, State.PENDING, by=Attempt("first"))
    ledger.record_state(items[0].accession_id, State.FAILED, by=Attempt("second"))
    assert ledger.touched_by("first") == 2
    assert ledger.touched_by("second") == 1
    assert ledger.touched_by("second", [State.PENDING]) == 0
    assert ledger.touched_by("first", [State.PENDING, State.FAILED]) == 2
    assert ledger.touched_by("nobody") == 0


# -- digests -----------------------------------------------------------------------------------


def test_a_digest_knows_where_each_part_ends() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("ab") != digest("ab", "")
    assert digest("ä") == digest("ä")
    assert len(digest()) == 64
