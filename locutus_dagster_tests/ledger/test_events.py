"""Events: each change of state leaves one, with all that was known, and together they add up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from locutus_dagster.ledger import Ledger, State, WorkItem
from locutus_dagster.ledger.claims import ClaimLostError
from locutus_dagster.ledger.states import TRANSITIONS, IllegalTransitionError
from locutus_dagster.ledger.work import Attempt, EventRecord
from locutus_dagster_tests.ledger.rows import (
    CT,
    accession,
    add_items,
    deidentify,
    extract,
    hand_over,
    history,
    report,
    walk,
)

LONG_AGO = datetime(2000, 1, 1, tzinfo=timezone.utc)


def without_time(events: list[EventRecord]) -> list[EventRecord]:
    return [replace(event, at=LONG_AGO) for event in events]


def test_a_change_of_state_sets_its_columns_and_appends_one_event(ledger: Ledger) -> None:
    one, other = add_items(ledger, "ACC1", "ACC2")
    before = datetime.now(timezone.utc)
    ledger.record_state(
        one.accession_id,
        State.FAILED,
        phase=3,
        reason="the source was gone",
        by=Attempt("run-1", settings="5e77" * 4, row_id=one.row_id, label="batch-7"),
        values={"instances": 7},
    )
    found = accession(ledger, one.accession_id)
    assert (found.state, found.phase, found.reason) == ("failed", 3, "the source was gone")
    assert (found.run_id, found.instances) == ("run-1", 7)
    assert (found.row_id, found.label) == (one.row_id, "batch-7")
    assert found.updated_at > accession(ledger, other.accession_id).updated_at
    (event,) = ledger.events(one.accession_id)
    assert event == EventRecord(
        at=event.at,
        before=State.LOADED,
        after=State.FAILED,
        phase=3,
        reason="the source was gone",
        run_id="run-1",
        settings="5e77" * 4,
        row_id=one.row_id,
        generation=1,
        label="batch-7",
    )
    assert before <= event.at <= datetime.now(timezone.utc)
    assert event.at.tzinfo is timezone.utc
    assert ledger.events(other.accession_id) == []


def test_a_later_state_clears_the_failure_before_it(ledger: Ledger) -> None:
    (item,) = add_items(ledger, "ACC1")
    ledger.record_state(item.accession_id, State.FAILED, phase=3, reason="gone", by=Attempt("one"))
    ledger.record_state(item.accession_id, State.PENDING, by=Attempt("two"))
    found = accession(ledger, item.accession_id)
    assert (found.phase, found.reason, found.run_id) == (None, "", "two")
    assert [event.reason for event in ledger.events(item.accession_id)] == ["gone", ""]


def test_a_label_stays_until_a_run_gives_another(ledger: Ledger) -> None:
    (item,) = add_items(ledger, "ACC1")
    for label in ("first", None, "second", None, ""):
        ledger.record_state(item.accession_id, State.PENDING, by=Attempt(label=label))
    labels = [event.label for event in ledger.events(item.accession_id)]
    assert labels == ["first", "first", "second", "second", ""]
    assert accession(ledger, item.accession_id).label == ""


def test_the_row_stays_that_of_the_last_attempt_that_named_one(ledger: Ledger) -> None:
    (first,) = add_items(ledger, "ACC1", name="first")
    (second,) = add_items(ledger, "ACC1", name="second")
    for row_id in (first.row_id, None, second.row_id, None):
        ledger.record_state(first.accession_id, State.PENDING, by=Attempt(row_id=row_id))
    rows = [event.row_id for event in ledger.events(first.accession_id)]
    assert rows == [first.row_id, None, second.row_id, None]
    (again,) = ledger.manifest_items("ws", "first")
    assert again.current_row_id == second.row_id


def test_a_new_generation_begins_with_the_event_that_asks_for_it(ledger: Ledger) -> None:
    (item,) = add_items(ledger, "ACC1")
    walk(ledger, item)
    ledger.request_reprocessing(item.accession_id, "asked for", retire=True)
    extract(ledger, item)
    told = [(event.after, event.generation) for event in ledger.events(item.accession_id)]
    assert told == [
        (State.EXTRACTED, 1),
        (State.DEIDENTIFIED, 1),
        (State.DELIVERED, 1),
        (State.REQUESTED, 2),
        (State.EXTRACTED, 2),
    ]


# -- whatever is asked ---------------------------------------------------------------------------


@dataclass
class Model:
    """What the ledger should hold of one accession."""

    state: State = State.LOADED
    generation: int = 1
    label: str = ""

    def moved(self, after: State, by: Attempt, phase: int | None, reason: str) -> EventRecord:
        before, self.state = self.state, after
        self.label = self.label if by.label is None else by.label
        return EventRecord(
            LONG_AGO,
            before,
            after,
            phase,
            reason,
            by.run_id,
            by.settings,
            by.row_id,
            self.generation,
            self.label,
        )


Change = Callable[[Ledger, WorkItem, Attempt], object]


def _state(state: State) -> Change:
    return lambda ledger, item, by: ledger.record_state(item.accession_id, state, by=by)


def _again(**how: bool) -> Change:
    return lambda ledger, item, by: ledger.request_reprocessing(
        item.accession_id, "asked for", by=by, **how
    )


#: What may be asked of the ledger: the state that it leads to, phase, reason, new generation, call.
CHANGES: list[tuple[State, int | None, str, bool, Change]] = [
    *((state, None, "", False, _state(state)) for state in State),
    (State.EXTRACTED, None, "", False, extract),
    (
        State.DEIDENTIFIED,
        None,
        "",
        False,
        lambda ledger, item, by: deidentify(ledger, item, CT, by=by),
    ),
    (
        State.DELIVERED,
        None,
        "",
        False,
        lambda ledger, item, by: hand_over(ledger, item, by, uri=f"file:///{item.partition_key}"),
    ),
    (
        State.FAILED,
        4,
        "residue",
        False,
        lambda ledger, item, by: ledger.record_blocked(
            item.accession_id, [CT], report(), phase=4, reason="residue", by=by
        ),
    ),
    (State.REQUESTED, None, "asked for", False, _again()),
    (State.REQUESTED, None, "asked for", True, _again(retire=True)),
    (State.REQUESTED, None, "asked for", True, _again(delete_record=True)),
]
#: What is no change of state.
ASIDE: list[Change] = [
    lambda ledger, item, by: ledger.record_deleted(item.accession_id, "raw"),
    lambda ledger, item, by: ledger.note_changed(item.row_id, "policy"),
    lambda ledger, item, by: ledger.ask_withdrawal(item.accession_id, "asked for"),
    lambda ledger, item, by: ledger.claim(item.accession_id, "mine", 60),
]
ATTEMPTS = st.builds(
    Attempt,
    run_id=st.sampled_from([None, "run-1", "run-2"]),
    owner=st.sampled_from([None, None, "mine", "mine", "theirs"]),
    settings=st.sampled_from(["", "5e77"]),
    label=st.sampled_from([None, "", "batch-7"]),
)
#: Which change, whether the table has to allow it, in whose name, and whether with the row.
STEPS = st.tuples(
    st.integers(0, 999), st.sampled_from([True, True, False]), ATTEMPTS, st.booleans()
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(STEPS, max_size=16))
def test_whatever_is_asked_only_legal_changes_happen_and_the_history_adds_up(
    ledger: Ledger, steps: list[tuple[int, bool, Attempt, bool]]
) -> None:
    number = f"ACC{len(ledger.manifest_names('ws'))}"
    (item,) = add_items(ledger, number, name=number)
    ledger.claim(item.accession_id, "mine", 60)
    model, wanted = Model(), []
    for which, legal, attempt, names_row in steps:
        by = replace(attempt, row_id=item.row_id if names_row else None)
        allowed = TRANSITIONS[model.state]
        changes = [change for change in CHANGES if not legal or change[0] in allowed]
        after, phase, reason, retires, change = changes[which % len(changes)]
        if by.owner == "theirs":
            with pytest.raises(ClaimLostError):
                change(ledger, item, by)
        elif after not in allowed:
            with pytest.raises(IllegalTransitionError):
                change(ledger, item, by)
        else:
            change(ledger, item, by)
            model.generation += retires
            wanted.append(model.moved(after, by, phase, reason))
        assert ledger.state_of(item.accession_id) is model.state
    events = ledger.events(item.accession_id)
    assert without_time(events) == wanted
    states = [State.LOADED, *(event.after for event in events)]
    assert [event.before for event in events] == states[:-1]
    assert [event.at for event in events] == sorted(event.at for event in events)
    found = accession(ledger, item.accession_id)
    assert (found.state, found.generation, found.label) == (
        states[-1].value,
        model.generation,
        model.label,
    )
    assert len(ledger.retired(item.accession_id)) == model.generation - 1


def test_what_is_no_change_of_state_leaves_no_event(ledger: Ledger) -> None:
    (item,) = add_items(ledger, "ACC1")
    walk(ledger, item)
    before = history(ledger, item.accession_id)
    for change in ASIDE:
        change(ledger, item, Attempt())
    assert history(ledger, item.accession_id) == before
