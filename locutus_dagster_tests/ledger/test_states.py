"""The transition table: what it allows, and that nothing else happens, whoever asks together."""

from __future__ import annotations

import pytest

from locutus_dagster.ledger import Ledger, Phase, State
from locutus_dagster.ledger.states import (
    MEANINGS,
    TRANSITIONS,
    IllegalTransitionError,
    check_transition,
)
from locutus_dagster.ledger.work import Attempt
from locutus_dagster_tests.ledger.processes import Wait, at_once
from locutus_dagster_tests.ledger.rows import WAY_TO, accession, add_items, bring_to, history

#: What a person may decide of whatever is not recalled.
ANYTIME = {State.RECALLED, State.REQUESTED}


def test_the_table_and_the_meanings_know_every_state() -> None:
    assert set(TRANSITIONS) == set(State)
    assert set(MEANINGS) == set(State)
    assert len(set(MEANINGS.values())) == len(State)
    assert all(MEANINGS.values())


def test_every_state_can_be_reached_from_loaded() -> None:
    reached: set[State] = set()
    ahead = {State.LOADED}
    while ahead:
        reached |= ahead
        ahead = set().union(*(TRANSITIONS[state] for state in ahead)) - reached
    assert reached == set(State)


def test_every_state_can_be_left() -> None:
    assert all(TRANSITIONS[state] - {state} for state in State)


def test_a_recalled_accession_can_only_be_loaded_again() -> None:
    assert TRANSITIONS[State.RECALLED] == {State.LOADED}


def test_nothing_but_lifting_a_recall_leads_back_to_loaded() -> None:
    assert [state for state in State if State.LOADED in TRANSITIONS[state]] == [State.RECALLED]


def test_a_delivered_accession_is_left_as_it_is_until_a_person_asks() -> None:
    assert TRANSITIONS[State.DELIVERED] == ANYTIME


def test_a_person_may_recall_or_request_whatever_is_not_recalled() -> None:
    assert all(TRANSITIONS[state] >= ANYTIME for state in State if state is not State.RECALLED)


def test_nothing_is_delivered_that_was_not_deidentified_or_resumed_after_a_failure() -> None:
    assert {state for state in State if State.DELIVERED in TRANSITIONS[state]} == {
        State.DEIDENTIFIED,
        State.FAILED,
    }


def test_nothing_is_deidentified_that_was_not_extracted_or_resumed_after_a_failure() -> None:
    assert {state for state in State if State.DEIDENTIFIED in TRANSITIONS[state]} == {
        State.EXTRACTED,
        State.FAILED,
    }


def test_phases_come_in_the_order_of_the_reference_s_numbers() -> None:
    assert [phase.value for phase in sorted(Phase)] == [2, 3, 4, 5]


def test_a_change_is_checked_against_the_table() -> None:
    for before in State:
        for after in State:
            if after in TRANSITIONS[before]:
                check_transition(before, after)
                continue
            told = f"from {before.value} to {after.value}"
            with pytest.raises(IllegalTransitionError, match=told):
                check_transition(before, after)


@pytest.mark.parametrize("before", State)
def test_an_illegal_transition_raises_changes_nothing_and_appends_nothing(
    ledger: Ledger, before: State
) -> None:
    (item,) = add_items(ledger, "ACC1")
    bring_to(ledger, item, before, Attempt("first", label="as it was"))
    untouched = accession(ledger, item.accession_id)
    events = ledger.events(item.accession_id)
    for after in set(State) - TRANSITIONS[before]:
        with pytest.raises(IllegalTransitionError, match=f"from {before.value} to {after.value}"):
            ledger.record_state(
                item.accession_id,
                after,
                phase=5,
                reason="new",
                by=Attempt("second", row_id=item.row_id, label="new"),
                values={"instances": 9},
            )
    found = accession(ledger, item.accession_id)
    columns = [column.key for column in type(found).__table__.columns]
    assert {name: getattr(found, name) for name in columns} == {
        name: getattr(untouched, name) for name in columns
    }
    assert ledger.events(item.accession_id) == events
    assert len(events) == len(WAY_TO[before])


@pytest.mark.parametrize("before", State)
def test_every_legal_transition_happens(ledger: Ledger, before: State) -> None:
    numbers = {after: f"ACC-{after.value}" for after in sorted(TRANSITIONS[before])}
    for after, item in zip(numbers, add_items(ledger, *numbers.values()), strict=True):
        bring_to(ledger, item, before)
        ledger.record_state(item.accession_id, after)
        assert ledger.state_of(item.accession_id) is after
        assert history(ledger, item.accession_id)[-1] == (before, after)


def move_beside_others(wait: Wait, url: str, times: int, *accession_ids: int) -> str:
    ledger = Ledger.open(url)
    wait()
    for number in range(times):
        for identity in accession_ids:
            ledger.record_state(identity, (State.PENDING, State.FAILED)[number % 2])
    return "done"


def test_processes_at_work_on_different_accessions_lose_nothing(
    ledger: Ledger, ledger_url: str
) -> None:
    items = add_items(ledger, "ACC1", "ACC2", "ACC3", "ACC4")
    jobs = [(ledger_url, 15, item.accession_id) for item in items]
    assert at_once(move_beside_others, jobs) == ["done"] * 4
    for item in items:
        events = history(ledger, item.accession_id)
        assert len(events) == 15
        assert [before for before, _ in events[1:]] == [after for _, after in events[:-1]]


def test_processes_at_work_on_the_same_accessions_lose_nothing(
    ledger: Ledger, ledger_url: str
) -> None:
    items = add_items(ledger, "ACC1", "ACC2")
    ids = [item.accession_id for item in items]
    jobs = [(ledger_url, 10, *order) for order in (ids, ids, ids[::-1], ids[::-1])]
    assert at_once(move_beside_others, jobs) == ["done"] * 4
    for identity in ids:
        events = history(ledger, identity)
        assert len(events) == 40
        assert [before for before, _ in events[1:]] == [after for _, after in events[:-1]]
