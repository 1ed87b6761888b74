"""Recalls: of an accession or of a whole subject, standing until they are lifted."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from locutus_dagster.ledger import Ledger, State, WorkItem
from locutus_dagster.ledger.recalls import RecallRecord, recalled_subjects
from locutus_dagster.ledger.states import IllegalTransitionError
from locutus_dagster_tests.ledger.processes import Wait, at_once
from locutus_dagster_tests.ledger.rows import add_items, walk


@pytest.fixture
def items(ledger: Ledger) -> list[WorkItem]:
    return add_items(ledger, "ACC1", "ACC2", "ACC3", subjects=("S1", "S1", "S2"))


def recall_of(ledger: Ledger, item: WorkItem) -> RecallRecord | None:
    return ledger.recall_of(item.workspace, item.accession_id, item.subject_id)


def test_nothing_is_recalled_that_nobody_has_recalled(
    ledger: Ledger, items: list[WorkItem]
) -> None:
    assert [recall_of(ledger, item) for item in items] == [None, None, None]
    assert ledger.recalls("ws") == []


def test_a_recall_of_an_accession_is_about_it_alone(ledger: Ledger, items: list[WorkItem]) -> None:
    one, sibling, other = items
    before = datetime.now(timezone.utc)
    ledger.recall("ws", "wrong patient", accession_id=one.accession_id)
    found = recall_of(ledger, one)
    assert found is not None
    assert (found.accession_id, found.subject_id) == (one.accession_id, None)
    assert (found.reason, found.lifted_at, found.lifted_reason) == ("wrong patient", None, "")
    assert before <= found.recalled_at <= datetime.now(timezone.utc)
    assert recall_of(ledger, sibling) is None
    assert recall_of(ledger, other) is None


def test_a_recall_of_a_subject_is_about_each_of_its_accessions(
    ledger: Ledger, items: list[WorkItem]
) -> None:
    one, sibling, other = items
    ledger.recall("ws", "consent was withdrawn", subject_id="S1")
    found = recall_of(ledger, one)
    assert found is not None
    assert (found.accession_id, found.subject_id) == (None, "S1")
    assert recall_of(ledger, sibling) == found
    assert recall_of(ledger, other) is None


def test_a_subject_s_recall_holds_for_accessions_that_are_loaded_later(ledger: Ledger) -> None:
    add_items(ledger, "ACC1", subjects=("S1",))
    ledger.recall("ws", "consent was withdrawn", subject_id="S1")
    (later,) = add_items(ledger, "ACC9", subjects=("S1",))
    assert recall_of(ledger, later) is not None


def test_a_recall_in_one_workspace_says_nothing_about_another(ledger: Ledger) -> None:
    (here,) = add_items(ledger, "ACC1", subjects=("S1",))
    (there,) = add_items(ledger, "ACC1", subjects=("S1",), workspace="other")
    ledger.recall("ws", "consent was withdrawn", subject_id="S1")
    assert recall_of(ledger, here) is not None
    assert recall_of(ledger, there) is None
    assert ledger.recalls("other") == []


def test_a_recall_that_stands_is_not_noted_twice(ledger: Ledger, items: list[WorkItem]) -> None:
    for reason in ("first", "second"):
        ledger.recall("ws", reason, subject_id="S1")
        ledger.recall("ws", reason, accession_id=items[0].accession_id)
    told = [(found.subject_id, found.reason) for found in ledger.recalls("ws")]
    assert told == [("S1", "first"), (None, "first")]


def test_a_recall_stands_until_it_is_lifted_and_is_remembered_after(
    ledger: Ledger, items: list[WorkItem]
) -> None:
    one = items[0]
    ledger.recall("ws", "wrong patient", accession_id=one.accession_id)
    (standing,) = ledger.recalls("ws", standing_only=True)
    before = datetime.now(timezone.utc)
    ledger.lift_recall(standing.identity, "it was the right one")
    assert recall_of(ledger, one) is None
    assert ledger.recalls("ws", standing_only=True) == []
    (lifted,) = ledger.recalls("ws")
    assert (lifted.identity, lifted.lifted_reason) == (standing.identity, "it was the right one")
    assert lifted.lifted_at is not None
    assert before <= lifted.lifted_at <= datetime.now(timezone.utc)


def test_lifting_twice_keeps_the_first_reason(ledger: Ledger, items: list[WorkItem]) -> None:
    ledger.recall("ws", "wrong patient", accession_id=items[0].accession_id)
    (standing,) = ledger.recalls("ws")
    ledger.lift_recall(standing.identity, "first")
    (lifted,) = ledger.recalls("ws")
    ledger.lift_recall(standing.identity, "second")
    assert ledger.recalls("ws") == [lifted]


def test_what_was_lifted_can_be_recalled_again(ledger: Ledger, items: list[WorkItem]) -> None:
    for reason in ("first", "second"):
        ledger.recall("ws", reason, subject_id="S1")
        (standing,) = ledger.recalls("ws", standing_only=True)
        assert standing.reason == reason
        ledger.lift_recall(standing.identity, "lifted")
    assert [found.reason for found in ledger.recalls("ws")] == ["first", "second"]


def test_lifting_an_accession_s_recall_leaves_its_subject_s(
    ledger: Ledger, items: list[WorkItem]
) -> None:
    one = items[0]
    ledger.recall("ws", "of the accession", accession_id=one.accession_id)
    ledger.recall("ws", "of the subject", subject_id="S1")
    found = recall_of(ledger, one)
    assert found is not None
    ledger.lift_recall(found.identity, "lifted")
    left = recall_of(ledger, one)
    assert left is not None
    assert left.reason == "of the subject"


def test_the_subjects_of_a_workspace_that_are_recalled_are_known_together(
    ledger: Ledger, items: list[WorkItem]
) -> None:
    ledger.ensure_workspace("other")
    ledger.recall("ws", "of the accession", accession_id=items[2].accession_id)
    for workspace, subject in (("ws", "S1"), ("ws", "S9"), ("ws", "S3"), ("other", "S5")):
        ledger.recall(workspace, "consent was withdrawn", subject_id=subject)
    (lifted,) = (found for found in ledger.recalls("ws") if found.subject_id == "S3")
    ledger.lift_recall(lifted.identity, "lifted")
    with ledger.session(reads_only=True) as session:
        assert recalled_subjects(session, "ws") == {"S1", "S9"}


def test_a_subject_s_accessions_are_those_that_any_row_names_or_that_were_delivered_for_it(
    ledger: Ledger, items: list[WorkItem]
) -> None:
    one, sibling, other = items
    (moved,) = add_items(ledger, "ACC3", subjects=("S1",))
    assert moved.accession_id == other.accession_id
    named = [one.accession_id, sibling.accession_id, other.accession_id]
    assert ledger.accessions_of_subject("ws", "S1") == sorted(named)
    assert ledger.accessions_of_subject("ws", "S2") == [other.accession_id]
    assert ledger.accessions_of_subject("ws", "S7") == []
    found = ledger.items_naming("ws", [other.accession_id])
    assert [item.partition_key for item in found] == [other.partition_key, moved.partition_key]


def test_a_recalled_accession_goes_nowhere_until_its_recall_is_lifted(
    ledger: Ledger, items: list[WorkItem]
) -> None:
    one = items[0]
    walk(ledger, one)
    ledger.record_state(one.accession_id, State.RECALLED, reason="consent was withdrawn")
    with pytest.raises(IllegalTransitionError):
        ledger.request_reprocessing(one.accession_id, "asked for")
    ledger.record_state(one.accession_id, State.LOADED, reason="lifted")
    walk(ledger, one)
    assert ledger.state_of(one.accession_id) is State.DELIVERED


def recall_beside_others(wait: Wait, url: str) -> str:
    ledger = Ledger.open(url)
    wait()
    for number in range(10):
        ledger.recall("ws", "consent was withdrawn", subject_id=f"S{number}")
    return "recalled"


def test_processes_that_recall_one_subject_at_once_leave_one_recall_to_lift(
    ledger: Ledger, ledger_url: str
) -> None:
    ledger.ensure_workspace("ws")
    assert at_once(recall_beside_others, [(ledger_url,)] * 4) == ["recalled"] * 4
    assert [found.subject_id for found in ledger.recalls("ws")] == [f"S{n}" for n in range(10)]
