"""Pass after pass, until nothing is left that can change."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from locutus_dagster.ledger import State
from locutus_dagster.pipeline.outcomes import Finished, PassDone, Result
from locutus_dagster.pipeline.passes import run_passes
from locutus_dagster.pipeline.picking import picked_up
from locutus_dagster.run_modes import Sweep
from locutus_dagster.targets import TargetError
from locutus_dagster_tests.pipeline.small_world import SmallWorld


def passes(
    small: SmallWorld,
    keys: list[str],
    between: Callable[[int], None] = lambda number: None,
    **asked: object,
) -> tuple[list[PassDone], dict[str, Result]]:
    """Run to convergence; `between` is called with the number of the pass that has ended."""
    batch = small.batch(until_converged=True, pass_wait=0.01, **asked)
    done: list[PassDone] = []
    last: dict[str, Result] = {}
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        between(len(waits))

    for outcome in run_passes(batch, keys, sleep=sleep):
        if isinstance(outcome, PassDone):
            done.append(outcome)
        elif isinstance(outcome, Finished):
            last[outcome.partition_key] = outcome.result
    assert waits == [0.01] * (len(done) - 1)  # in between, and not after the last
    return done, last


def test_one_pass_is_enough_when_nothing_is_left(small: SmallWorld) -> None:
    small.put_study("ACC1")
    done, last = passes(small, keys := small.load("ACC1"))
    assert [(one.number, one.left, one.ended) for one in done] == [(1, 0, "nothing is left")]
    assert last == {keys[0]: Result.DELIVERED}


def test_a_study_that_arrives_between_two_passes_is_delivered_by_the_second(
    small: SmallWorld,
) -> None:
    keys = small.load("ACC1")
    done, last = passes(small, keys, lambda number: small.put_study("ACC1"))
    assert [one.counts for one in done] == [{"pending": 1}, {"delivered": 1}]
    assert last == {keys[0]: Result.DELIVERED}


def test_a_further_pass_looks_at_nothing_that_is_finished(small: SmallWorld) -> None:
    small.put_study("ACC1")
    keys = small.load("ACC1", "ACC2")
    done, _ = passes(small, keys, reprocess="force")
    assert [one.counts for one in done] == [{"delivered": 1, "pending": 1}, *[{"pending": 1}] * 2]
    assert len(small.noted()) == 1


def test_three_passes_that_end_alike_are_enough(small: SmallWorld) -> None:
    done, _ = passes(small, small.load("ACC1"))
    assert [one.ended for one in done] == ["", "", "3 passes have ended alike"]


def test_one_that_always_fails_does_not_end_the_passes_while_others_get_on(
    small: SmallWorld,
) -> None:
    for study in ("one", "two"):
        small.put_study("ACC0", study)
    others = [f"ACC{number}" for number in range(1, 7)]
    keys = small.load("ACC0", *others)

    done, last = passes(small, keys, lambda number: small.put_study(f"ACC{min(number, 6)}"))

    assert [last[key] for key in keys] == [Result.FAILED, *[Result.DELIVERED] * 6]
    assert len(done) == 9  # six with progress behind the first, then three alike


def test_there_are_never_more_passes_than_allowed(small: SmallWorld) -> None:
    keys = small.load(*[f"ACC{number}" for number in range(5)])
    done, _ = passes(small, keys, lambda number: small.put_study(f"ACC{number}"), max_passes=2)
    assert [one.ended for one in done] == ["", "2 passes have been made"]


def test_a_pass_that_cannot_work_is_reported_and_another_one_follows(small: SmallWorld) -> None:
    share, away = small.root / "share", small.root / "away"
    keys = small.load("ACC1", "ACC2")

    def between(number: int) -> None:
        if number == 1:
            small.put_study("ACC1")
            share.rename(away)
        elif number == 2:
            away.rename(share)

    done, last = passes(small, keys, between)

    assert "share" in done[1].fault
    assert done[1].left == 2
    assert last == {keys[0]: Result.DELIVERED, keys[1]: Result.PENDING}


def test_a_first_pass_that_cannot_work_is_an_error(small: SmallWorld) -> None:
    (small.root / "share").rmdir()
    with pytest.raises(TargetError):
        passes(small, small.load("ACC1"))


def test_a_pause_ends_the_passes(small: SmallWorld) -> None:
    keys = small.load("ACC1", "ACC2")
    done, _ = passes(
        small, keys, lambda number: small.ledger.set_pause("system", True, reason="moving house")
    )
    assert done[-1].number == 2
    assert "moving house" in done[-1].ended
    assert done[-1].left == 2


def test_without_being_asked_for_there_is_one_pass_and_no_report_of_it(small: SmallWorld) -> None:
    keys = small.load("ACC1")
    outcomes = list(run_passes(small.batch(), keys))
    assert [type(outcome) for outcome in outcomes] == [Finished]


# -- what else a run takes up -------------------------------------------------------------------


@pytest.fixture
def standing(small: SmallWorld) -> dict[str, str]:
    """Partition keys of accessions that stand in the middle, and some that do not."""
    keys = {}
    for number, place in (("ACC3", "extract:recorded"), ("ACC4", "transform:recorded")):
        small.put_study(number)
        (keys[number],) = small.load(number)
        assert small.killed([keys[number]], place)
    small.put_study("ACC5")
    (keys["ACC5"],) = small.load("ACC5")
    small.end(keys["ACC5"])
    assert small.killed([keys["ACC5"]], "again:recorded", reprocess="force")
    (keys["ACC6"],) = small.load("ACC6")
    small.end(keys["ACC6"])
    small.put_study("ACC7")
    (keys["ACC7"],) = small.load("ACC7")
    return keys


def test_a_sweep_of_the_workspace_takes_up_whatever_stands_in_the_middle(
    small: SmallWorld, standing: dict[str, str]
) -> None:
    found = picked_up(small.ledger, "default", [standing["ACC7"]], Sweep.WORKSPACE)
    assert found == [standing[number] for number in ("ACC3", "ACC4", "ACC5")]
    small.run([standing["ACC7"], *found])
    assert {small.item(standing[n]).state for n in ("ACC3", "ACC4", "ACC5", "ACC7")} == {
        State.DELIVERED
    }


@pytest.mark.parametrize("sweep", [Sweep.MANIFEST, Sweep.OFF])
def test_other_sweeps_take_up_nothing_beside_what_is_asked_for(
    small: SmallWorld, standing: dict[str, str], sweep: Sweep
) -> None:
    assert picked_up(small.ledger, "default", [standing["ACC7"]], sweep) == []


def test_what_is_asked_for_is_not_taken_up_twice(
    small: SmallWorld, standing: dict[str, str]
) -> None:
    again = small.load("ACC3", name="again")
    found = picked_up(small.ledger, "default", again, Sweep.WORKSPACE)
    assert found == [standing[number] for number in ("ACC4", "ACC5")]
