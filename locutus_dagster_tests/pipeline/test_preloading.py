"""Preload and preset by the reference's rules, and a marked batch on its way through a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from locutus_dagster.ledger import Ledger, State, WorkItem
from locutus_dagster.ledger.preloading import Marked
from locutus_dagster.ledger.selection import Selection
from locutus_dagster.pipeline.choosing import selection
from locutus_dagster.pipeline.labels import LabelError, checked_label
from locutus_dagster.pipeline.preloading import (
    Mode,
    Rule,
    apply_preload,
    plan_preload,
)
from locutus_dagster_tests.ledger.rows import add_items, bring_to
from locutus_dagster_tests.pipeline.small_world import SmallWorld

LABEL = "batch-7"
ALL = Selection()
PENDING = f"ZZZ-ONDECK-PENDING_CHANGE:{LABEL}"
PROCESSING = f"ZZZ-ONDECK-4-PROCESSING_CHANGE:{LABEL}"
RE_PROCESSING = f"ZZZ-ONDECK-4-RE-PROCESSING_CHANGE:{LABEL}"
RESOLVE = f"ZZZ-ONDECK-2-RESOLVE-ERROR_MULTIPLE_CHANGE_UUIDS:{LABEL}"
AGAIN = f"RE-PROCESSING_CHANGE_MOMENTARILY:{LABEL}"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path / 'private' / 'ledger.sqlite'}")
    yield opened
    opened.close()


@pytest.fixture
def items(ledger: Ledger) -> dict[State, WorkItem]:
    """An accession in each of the states."""
    made = dict(
        zip(State, add_items(ledger, *(f"A-{s.value}" for s in State), name="m"), strict=True)
    )
    for state, item in made.items():
        bring_to(ledger, item, state)
    return made


def states(ledger: Ledger) -> list[tuple[State, bool, str]]:
    return [(one.state, one.on_deck, one.label) for one in ledger.manifest_items("ws", "m")]


@pytest.mark.usefixtures("items")
def test_a_preload_follows_the_reference_s_table(ledger: Ledger) -> None:
    plan = plan_preload(ledger, "ws", ALL, LABEL)
    assert {one.item.state: (one.rule, one.shown) for one in plan.entries} == {
        State.LOADED: (Rule.ON_DECK, PENDING),
        State.PENDING: (Rule.ON_DECK, PENDING),
        State.WAITING: (Rule.ON_DECK, PENDING),
        State.AMBIGUOUS: (Rule.ON_DECK, RESOLVE),
        State.EXTRACTED: (Rule.ON_DECK, PROCESSING),
        State.DEIDENTIFIED: (Rule.ON_DECK, PROCESSING),
        State.FAILED: (Rule.ON_DECK, PROCESSING),
        State.REQUESTED: (Rule.ON_DECK, RE_PROCESSING),
        State.DELIVERED: (Rule.FINISHED, ""),
        State.DROPPED: (Rule.DROPPED, ""),
        State.RECALLED: (Rule.RECALLED, ""),
    }
    forced = plan_preload(ledger, "ws", ALL, LABEL, Mode.FORCED)
    differs = [
        (two.item.state, two.rule, two.shown)
        for one, two in zip(plan.entries, forced.entries, strict=True)
        if (one.rule, one.shown) != (two.rule, two.shown)
    ]
    assert differs == [(State.DELIVERED, Rule.AGAIN, RE_PROCESSING)]
    assert sum(plan.counts.values()) == len(State)


@pytest.mark.usefixtures("items")
def test_a_preset_asks_for_all_that_was_processed_again_and_lets_pending_ones_wait(
    ledger: Ledger,
) -> None:
    plan = plan_preload(ledger, "ws", ALL, LABEL, Mode.PRESET)
    assert {one.item.state: (one.rule, one.shown) for one in plan.entries} == {
        State.DELIVERED: (Rule.AGAIN, AGAIN),
        State.EXTRACTED: (Rule.AGAIN, AGAIN),
        State.DEIDENTIFIED: (Rule.AGAIN, AGAIN),
        State.FAILED: (Rule.AGAIN, AGAIN),
        State.REQUESTED: (Rule.LABELLED, AGAIN),
        State.LOADED: (Rule.LABELLED, f"ZZZ-ONDECK-4-PROCESSING_CHANGE:{LABEL}"),
        State.AMBIGUOUS: (Rule.LABELLED, "ERROR_MULTIPLE_CHANGE_UUIDS"),
        State.PENDING: (Rule.WAITS, ""),
        State.WAITING: (Rule.WAITS, ""),
        State.DROPPED: (Rule.DROPPED, ""),
        State.RECALLED: (Rule.RECALLED, ""),
    }


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.usefixtures("items")
def test_a_plan_changes_nothing_and_carried_out_it_does_what_it_said_once(
    ledger: Ledger, mode: Mode
) -> None:
    before = states(ledger)
    plan = plan_preload(ledger, "ws", ALL, LABEL, mode)
    assert states(ledger) == before
    done = apply_preload(ledger, plan)
    assert done.written == sum(one.rule.writes for one in plan.entries)
    again = plan_preload(ledger, "ws", ALL, LABEL, mode)
    assert not any(one.rule is Rule.AGAIN for one in again.entries)
    shown = {one.item.accession_id: one.shown for one in plan.entries}
    assert {one.item.accession_id: one.shown for one in again.entries} == shown
    settled = states(ledger)
    assert apply_preload(ledger, again) == Marked(0, done.written)
    assert states(ledger) == settled
    untouched = [one.item.state for one in plan.entries if not one.rule.writes]
    assert [stood for stood, _, label in settled if not label] == untouched


@pytest.mark.usefixtures("items")
def test_what_is_shown_can_be_typed_to_find_it(ledger: Ledger) -> None:
    apply_preload(ledger, plan_preload(ledger, "ws", ALL, LABEL, Mode.FORCED))

    def found(*words: str) -> set[str]:
        items = ledger.select("ws", selection(statuses=words, labels=[LABEL]))
        return {item.state.value for item in items}

    assert found("ZZZ-ONDECK-4-RE") == {"requested"}
    assert found("ZZZ-ONDECK-2-RESOLVE") == {"ambiguous"}
    assert found("ZZZ-ONDECK-PENDING_CHANGE") == {"loaded", "pending", "waiting"}
    everything = {"loaded", "pending", "waiting", "ambiguous", "extracted", "deidentified"}
    assert found("ZZZ-ONDECK") == found("on-deck") == everything | {"failed", "requested"}
    assert found("!on-deck") == set()


def test_a_recalled_subject_s_accession_is_not_marked_whatever_its_state_is(
    ledger: Ledger,
) -> None:
    items = add_items(ledger, "A", "B", "C", subjects=["S1", "S2", "S3"])
    ledger.recall("ws", "withdrew", subject_id="S1")
    ledger.recall("ws", "withdrew", accession_id=items[1].accession_id)
    plan = plan_preload(ledger, "ws", ALL, LABEL)
    assert [one.rule for one in plan.entries] == [Rule.RECALLED, Rule.RECALLED, Rule.ON_DECK]


def test_what_a_worker_has_in_hand_is_skipped_and_counted(ledger: Ledger) -> None:
    items = add_items(ledger, "A", "B")
    ledger.claim(items[0].accession_id, "worker", 60)
    plan = plan_preload(ledger, "ws", ALL, LABEL)
    assert ([one.rule for one in plan.entries], plan.in_hand) == ([Rule.IN_HAND, Rule.ON_DECK], 1)
    # One that a worker takes up between the plan and its execution is left as well.
    ledger.claim(items[1].accession_id, "worker", 60)
    assert apply_preload(ledger, plan) == Marked(0, 0, (items[1].accession_id,))


def test_of_several_rows_that_name_an_accession_the_last_one_counts(ledger: Ledger) -> None:
    add_items(ledger, "A", name="old", subjects=["S1"])
    add_items(ledger, "A", name="new", subjects=["S2"])
    both = selection(manifests=["old", "new"])
    (one,) = plan_preload(ledger, "ws", both, LABEL).entries
    assert one.item.subject_id == "S2"


@pytest.mark.parametrize("wrong", ["", "  ", "x" * 101, "a\x1bb"])
def test_a_label_that_cannot_be_shown_is_refused(wrong: str) -> None:
    with pytest.raises(LabelError, match="printable characters"):
        checked_label(wrong, [])


@pytest.mark.parametrize("typed", ["again ACC-4711", "acc4711", "x ACC 47 11"])
def test_a_label_that_holds_an_accession_number_is_refused_without_naming_it(typed: str) -> None:
    with pytest.raises(LabelError, match="holds an accession number") as raised:
        checked_label(typed, ["ACC-4711"])
    assert "4711" not in str(raised.value)


def test_a_label_is_kept_on_one_line_and_a_short_number_may_stand_in_a_word() -> None:
    assert checked_label(" batch \n 7 ", ["ACC-4711"]) == "batch 7"
    assert checked_label("night7", ["7"]) == "night7"
    with pytest.raises(LabelError):
        checked_label("night 7", ["7"])


def test_a_plan_shows_a_label_whatever_it_holds(ledger: Ledger) -> None:
    add_items(ledger, "A", name="m")
    (one,) = plan_preload(ledger, "ws", ALL, "a=b").entries
    assert one.shown.endswith(":a=b")


def test_a_preloaded_batch_is_followed_through_a_run_by_its_label(small: SmallWorld) -> None:
    small.put_study("ACC-1")
    keys = small.load("ACC-1", "ACC-2")
    apply_preload(small.ledger, plan_preload(small.ledger, "default", ALL, LABEL))
    assert all(small.item(key).on_deck for key in keys)
    small.run(keys)
    ends = [(item.state, item.on_deck, item.label) for item in map(small.item, keys)]
    assert ends == [(State.DELIVERED, False, LABEL), (State.PENDING, False, LABEL)]
    first = small.noted()

    assert plan_preload(small.ledger, "default", ALL, "b8").entries[0].rule is Rule.FINISHED
    apply_preload(small.ledger, plan_preload(small.ledger, "default", ALL, "b8", Mode.FORCED))
    assert [small.item(key).state for key in keys] == [State.REQUESTED, State.PENDING]
    small.run(keys)
    assert [(i.state, i.on_deck, i.label) for i in map(small.item, keys)] == [
        (State.DELIVERED, False, "b8"),
        (State.PENDING, False, "b8"),
    ]
    assert len(small.noted()) == 2 * len(first)
    assert small.leftovers() == []
