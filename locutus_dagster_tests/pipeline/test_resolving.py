"""Which study is taken after what was decided: never one that was passed over, never a guess."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from locutus_dagster.ledger.resolutions import ResolutionRecord, ResolveCommand
from locutus_dagster.pipeline.resolution_commands import Asked, ResolveError, Studies, decide
from locutus_dagster.pipeline.resolving import (
    Ambiguous,
    Dropped,
    Nothing,
    Waiting,
    left_open,
    settle,
)
from locutus_dagster.sources.base import FoundStudy, StudyOverview

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def study(name: str, version: int = 1) -> FoundStudy:
    """A study in one of its versions; the later, the newer."""
    return FoundStudy(name, version, version, f"{name}{version}", START + timedelta(days=version))


A, B, C, D = (study(name, version) for version, name in enumerate("ABCD", start=1))
OTHER_B = study("B", 9)


def decided(
    command: ResolveCommand, *found: FoundStudy, choose: str = "", after: Any = None
) -> ResolutionRecord:
    """The decision that a person makes over these studies."""
    seen = {one.source_id: StudyOverview(1, {}, ("p",)) for one in found}
    return decide(Studies(found, after, seen), Asked(command, choose))


# -- what each command means -------------------------------------------------------------------


def test_without_a_decision_one_study_is_taken_and_several_are_not() -> None:
    assert settle([], None) == Nothing()
    assert settle([A], None) == A
    assert settle([A, B], None) == Ambiguous(2)


def test_a_chosen_study_is_taken_whatever_becomes_of_the_others() -> None:
    choice = decided(ResolveCommand.CHOOSE, A, B, choose="A")

    assert settle([A, B], choice) == A
    assert settle([A, OTHER_B], choice) == A
    assert settle([study("A", 7), B], choice) == study("A", 7)
    assert settle([B], choice) == Nothing()


def test_a_study_that_arrives_after_a_choice_makes_it_ambiguous_again() -> None:
    choice = decided(ResolveCommand.CHOOSE, A, B, choose="A")

    assert settle([A, B, C], choice) == Ambiguous(2)


def test_where_the_chosen_study_has_gone_a_new_one_is_not_taken_in_its_place_unasked() -> None:
    choice = decided(ResolveCommand.CHOOSE, A, B, choose="A")

    assert settle([B, C], choice) == Ambiguous(2)
    assert settle([C], choice) == C  # the source holds no other any more


def test_the_newest_is_taken_until_one_that_was_passed_over_changes() -> None:
    newest = decided(ResolveCommand.NEWEST, A, B)

    assert settle([A, B], newest) == B
    assert settle([study("A", 9), B], newest) == Ambiguous(2)


def test_a_merge_is_waited_for_until_one_study_is_left() -> None:
    merge = decided(ResolveCommand.MERGE, A, B)

    assert settle([A, B], merge) == Waiting(ResolveCommand.MERGE)
    assert settle([], merge) == Waiting(ResolveCommand.MERGE)
    assert settle([OTHER_B], merge) == OTHER_B
    assert settle([C], merge) == C


def test_what_is_to_be_sent_anew_is_waited_for_under_its_old_handle_or_another() -> None:
    resend = decided(ResolveCommand.RESEND, A, B)

    assert settle([A, B], resend) == Waiting(ResolveCommand.RESEND)
    assert settle([], resend) == Waiting(ResolveCommand.RESEND)
    assert settle([A, OTHER_B], resend) == OTHER_B
    assert settle([A, B, C], resend) == C
    assert settle([A, OTHER_B, C], resend) == Ambiguous(2)


def test_what_is_dropped_from_the_stage_is_as_if_it_was_not_there() -> None:
    dropped = decided(ResolveCommand.DROP_FROM_STAGE, A, B)

    assert settle([A, B], dropped) == Nothing()
    assert settle([A, B, C], dropped) == C
    assert settle([A, B, C, D], dropped) == Ambiguous(2)


def test_what_is_dropped_stays_dropped_whatever_arrives() -> None:
    dropped = decided(ResolveCommand.DROP, A, B)

    for found in ([], [A], [A, B], [C], [A, B, C]):
        assert settle(found, dropped) == Dropped()


def test_a_later_decision_leaves_passed_over_what_it_was_not_about() -> None:
    dropped = decided(ResolveCommand.DROP_FROM_STAGE, A, B)

    for command in (ResolveCommand.NEWEST, ResolveCommand.MERGE):
        later = decided(command, A, B, C, D, after=dropped)
        assert settle([A, B, D], later) == D
    assert settle([A, B, C, D], decided(ResolveCommand.NEWEST, A, B, C, D, after=dropped)) == D


def test_a_study_that_was_passed_over_stays_so_when_it_was_away_at_a_later_decision() -> None:
    dropped = decided(ResolveCommand.DROP_FROM_STAGE, A, B)
    newest = decided(ResolveCommand.NEWEST, C, D, after=dropped)

    assert settle([A, B, C, D], newest) == D
    assert settle([OTHER_B, D], newest) == Ambiguous(2)


def test_a_decision_that_is_made_anew_is_about_all_studies_again() -> None:
    dropped = decided(ResolveCommand.DROP, A, B)

    assert settle([A, B], decided(ResolveCommand.NEWEST, A, B, after=dropped)) == B
    assert settle([A], decided(ResolveCommand.MERGE, A, B, after=dropped)) == A


# -- for any studies, and any decision ---------------------------------------------------------

STUDIES = st.dictionaries(st.sampled_from("ABCDE"), st.integers(1, 3)).map(
    lambda found: tuple(study(name, version) for name, version in sorted(found.items()))
)
DECISIONS = st.builds(
    ResolutionRecord,
    st.sampled_from(ResolveCommand),
    st.none() | st.sampled_from("ABCDE"),
    STUDIES.map(lambda passed: {one.source_id: one.version for one in passed}),
)


@given(STUDIES, st.none() | DECISIONS)
def test_what_is_taken_was_not_passed_over_and_is_the_only_one_left(
    found: tuple[FoundStudy, ...], decision: ResolutionRecord | None
) -> None:
    taken = settle(found, decision)

    if isinstance(taken, FoundStudy):
        assert taken in found
        assert left_open(found, decision) == (taken,)
        assert decision is None or decision.passed_over.get(taken.source_id) != taken.version


_UNTOUCHED = (ResolveCommand.RESEND, ResolveCommand.DROP, ResolveCommand.DROP_FROM_STAGE)


@given(
    st.lists(
        st.tuples(STUDIES, st.sampled_from([*ResolveCommand, None]), st.sampled_from("ABCDE")),
        max_size=8,
    )
)
def test_in_any_life_a_study_is_only_taken_if_nobody_has_said_otherwise(
    life: Sequence[tuple[tuple[FoundStudy, ...], ResolveCommand | None, str]],
) -> None:
    standing: ResolutionRecord | None = None
    at_decision: tuple[FoundStudy, ...] = ()
    for found, command, choose in life:
        if command is not None:
            asked = choose if command is ResolveCommand.CHOOSE else ""
            with suppress(ResolveError):
                standing = decided(command, *found, choose=asked, after=standing)
                at_decision = found
        taken = settle(found, standing)
        if not isinstance(taken, FoundStudy):
            continue
        if standing is None:
            assert found == (taken,)
            continue
        assert standing.command is not ResolveCommand.DROP
        if taken in at_decision and standing.command in _UNTOUCHED:
            raise AssertionError("taken as it was when it was passed over")
        if standing.chosen is not None and taken in at_decision:
            assert taken.source_id == standing.chosen
        others = [one for one in found if one != taken]
        assert all(one.source_id in standing.passed_over for one in others)
