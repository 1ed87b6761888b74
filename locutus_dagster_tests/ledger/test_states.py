"""The transition table: every change of state is checked against it and leaves one event."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.states import TRANSITIONS, IllegalTransitionError, status
from locutus_dagster.ledger.work import Attempt
from locutus_dagster_tests.ledger.processes import Wait, at_once
from locutus_dagster_tests.ledger.rows import LEGAL_WALK, accession, add_items, history

ILLEGAL = [
    (before, after) for before in State for after in State if after not in TRANSITIONS[before]
]
# Shortest ways to each state from the one that a manifest's row begins in.
WAY_TO: dict[State, Sequence[State]] = {
    State.LOADED: (),
    State.PENDING: (State.PENDING,),
    State.AMBIGUOUS: (State.AMBIGUOUS,),
    State.FAILED: (State.FAILED,),
    State.EXTRACTED: LEGAL_WALK[:1],
    State.DEIDENTIFIED: LEGAL_WALK[:2],
    State.DELIVERED: LEGAL_WALK,
}


def test_the_table_knows_every_state() -> None:
    assert set(TRANSITIONS) == set(State)


def test_every_state_can_be_reached_and_all_but_delivered_can_be_left() -> None:
    assert {after for targets in TRANSITIONS.values() for after in targets} | {State.LOADED} == set(
        State
    )
    assert [state for state in State if not TRANSITIONS[state]] == [State.DELIVERED]


def test_nothing_is_delivered_that_was_not_deidentified_or_resumed_after_a_failure() -> None:
    assert {state for state in State if State.DELIVERED in TRANSITIONS[state]} == {
        State.DEIDENTIFIED,
        State.FAILED,
    }


def test_no_accession_goes_back_to_loaded() -> None:
    assert not any(State.LOADED in targets for targets in TRANSITIONS.values())


@pytest.mark.parametrize(("before", "after"), ILLEGAL, ids=lambda state: state.value)
def test_an_illegal_transition_raises_and_changes_nothing(
    ledger: Ledger, before: State, after: State
) -> None:
    (item,) = add_items(ledger, "ACC1")
    for state in WAY_TO[before]:
        ledger.record_state(item.accession_id, state, reason="as it was", by=Attempt("first"))
    untouched = accession(ledger, item.accession_id)
    events = history(ledger, item.accession_id)
    with pytest.raises(IllegalTransitionError, match=f"from {before.value} to {after.value}"):
        ledger.record_state(
            item.accession_id,
            after,
            phase=5,
            reason="new",
            by=Attempt("second"),
            values={"instances": 9},
        )
    found = accession(ledger, item.accession_id)
    assert history(ledger, item.accession_id) == events
    assert (found.state, found.phase, found.reason) == (before.value, None, untouched.reason)
    assert (found.run_id, found.instances) == (untouched.run_id, None)
    assert found.updated_at == untouched.updated_at


def test_a_change_of_state_sets_its_columns_and_appends_one_event(ledger: Ledger) -> None:
    one, other = add_items(ledger, "ACC1", "ACC2")
    ledger.record_state(
        one.accession_id,
        State.FAILED,
        phase=3,
        reason="the source was gone",
        by=Attempt("run-1"),
        values={"instances": 7},
    )
    found = accession(ledger, one.accession_id)
    assert (found.state, found.phase, found.reason) == ("failed", 3, "the source was gone")
    assert (found.run_id, found.instances) == ("run-1", 7)
    assert found.updated_at > accession(ledger, other.accession_id).updated_at
    (event,) = ledger.events(one.accession_id)
    assert (event.before, event.after, event.phase) == ("loaded", "failed", 3)
    assert (event.reason, event.run_id) == ("the source was gone", "run-1")
    assert event.at.utcoffset() is not None
    assert ledger.events(other.accession_id) == []


def test_a_later_state_clears_the_failure_before_it(ledger: Ledger) -> None:
    (item,) = add_items(ledger, "ACC1")
    ledger.record_state(item.accession_id, State.FAILED, phase=3, reason="gone", by=Attempt("one"))
    ledger.record_state(item.accession_id, State.PENDING, by=Attempt("two"))
    found = accession(ledger, item.accession_id)
    assert (found.phase, found.reason, found.run_id) == (None, "", "two")


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(asked=st.lists(st.sampled_from(list(State)), max_size=12))
def test_whatever_is_asked_only_legal_changes_happen_and_events_chain(
    ledger: Ledger, asked: list[State]
) -> None:
    number = f"ACC{len(ledger.manifest_names('ws'))}"
    (item,) = add_items(ledger, number, name=number)
    stands, taken = State.LOADED, 0
    for state in asked:
        if state in TRANSITIONS[stands]:
            ledger.record_state(item.accession_id, state)
            stands, taken = state, taken + 1
        else:
            with pytest.raises(IllegalTransitionError):
                ledger.record_state(item.accession_id, state)
        assert ledger.state_of(item.accession_id) is stands
    events = history(ledger, item.accession_id)
    assert len(events) == taken
    chain = [State.LOADED.value, *(after for _, after in events)]
    assert [before for before, _ in events] == chain[:-1]
    assert chain[-1] == stands.value


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
    jobs = [(ledger_url, 50, item.accession_id) for item in items]
    assert at_once(move_beside_others, jobs) == ["done"] * 4
    for item in items:
        events = history(ledger, item.accession_id)
        assert len(events) == 50
        assert [before for before, _ in events[1:]] == [after for _, after in events[:-1]]


def test_processes_at_work_on_the_same_accessions_lose_nothing(
    ledger: Ledger, ledger_url: str
) -> None:
    items = add_items(ledger, "ACC1", "ACC2")
    ids = [item.accession_id for item in items]
    jobs = [(ledger_url, 25, *order) for order in (ids, ids, ids[::-1], ids[::-1])]
    assert at_once(move_beside_others, jobs) == ["done"] * 4
    for identity in ids:
        events = history(ledger, identity)
        assert len(events) == 100
        assert [before for before, _ in events[1:]] == [after for _, after in events[:-1]]


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_status_of_the_reference(state: State) -> None:
    assert status(state, 3, "why")


def test_a_failure_s_status_names_phase_and_reason() -> None:
    assert status(State.FAILED, 4, "residue") == "ERROR_PHASE04=[residue]"
    assert status(State.DELIVERED) == "PROCESSED"
