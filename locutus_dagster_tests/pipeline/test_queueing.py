"""What a batch takes in hand next: order, keys that are in other hands, and stopping."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from locutus_dagster.ledger import Ledger
from locutus_dagster.ledger.pauses import PauseRecord
from locutus_dagster.pipeline import queueing
from locutus_dagster.pipeline.outcomes import Artifact, Finished, PhaseDone, Result
from locutus_dagster.pipeline.queueing import PauseSwitch, Queue, told

A_MOMENT = 0.05


class Switch(PauseSwitch):
    """A pause switch that a test sets by hand."""

    def __init__(self, words: str = "") -> None:
        self.words = words

    def why(self) -> str:
        return self.words


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look and try again after a moment rather than a second."""
    monkeypatch.setattr(queueing, "_LOOK_EVERY", A_MOMENT)


def busy(key: str) -> Finished:
    return Finished(key, Result.BUSY)


def taken(queue: Queue) -> list[str]:
    found = []
    while (key := queue.take(patiently=False)) is not None:
        found.append(key)
    return found


def test_keys_are_taken_in_their_order_and_then_there_are_none() -> None:
    queue = Queue(["a", "b", "c"], Switch())
    assert taken(queue) == ["a", "b", "c"]
    assert (queue.left, queue.paused) == ([], "")


def test_a_key_in_other_hands_is_taken_again_after_all_others_and_after_a_moment() -> None:
    queue = Queue(["a", "b"], Switch())
    assert queue.take() == "a"
    assert queue.put_off(busy("a"))
    assert queue.take() == "b"
    assert queue.take(patiently=False) is None
    before = time.monotonic()
    assert queue.take() == "a"
    assert time.monotonic() - before >= A_MOMENT / 2


def test_a_key_in_other_hands_is_tried_again_while_somebody_is_still_at_work() -> None:
    queue = Queue(["a"], Switch())
    queue.take()
    queue.put_off(busy("a"))
    assert queue.take(patiently=False) is None
    time.sleep(2 * A_MOMENT)
    assert queue.take(patiently=False) == "a"


@pytest.mark.parametrize("result", [result for result in Result if result is not Result.BUSY])
def test_only_what_is_in_other_hands_is_put_off(result: Result) -> None:
    queue = Queue(["a"], Switch())
    queue.take()
    assert not queue.put_off(Finished("a", result))
    assert not queue.put_off(PhaseDone("a", Artifact.RAW))
    assert queue.take() is None


def test_a_stopped_queue_leaves_what_waits_and_what_turns_out_to_be_in_other_hands() -> None:
    queue = Queue(["a", "b", "c"], Switch())
    queue.take()
    queue.stop()
    assert queue.put_off(busy("a"))
    assert queue.take() is None
    assert queue.left == ["b", "c", "a"]
    assert not queue.waiting
    assert queue.paused == ""


def test_a_pause_stops_it_for_good_even_if_it_is_lifted_while_the_last_are_at_work() -> None:
    switch = Switch()
    queue = Queue(["a", "b", "c"], switch)
    queue.take()
    switch.words = "the system is paused"
    assert queue.take() is None
    switch.words = ""
    queue.put_off(busy("a"))
    assert queue.take() is None
    assert (queue.left, queue.paused) == (["b", "c", "a"], "the system is paused")


def test_looking_stops_a_queue_from_which_nothing_has_been_taken() -> None:
    switch = Switch()
    queue = Queue(["a", "b"], switch)
    assert not queue.look()
    assert list(queue.waiting) == ["a", "b"]
    switch.words = "the system is paused"
    assert queue.look()
    assert (queue.left, queue.paused) == (["a", "b"], "the system is paused")


def test_a_pause_that_was_lifted_before_anybody_looked_changes_nothing() -> None:
    switch = Switch("the system is paused")
    queue = Queue(["a"], switch)
    switch.words = ""
    assert queue.take() == "a"
    assert queue.paused == ""


def test_a_pause_is_seen_while_waiting_for_keys_in_other_hands() -> None:
    switch = Switch()
    queue = Queue(["a"], switch)
    queue.take()
    queue.put_off(busy("a"))
    timer = threading.Timer(A_MOMENT / 2, lambda: setattr(switch, "words", "node x is paused"))
    timer.start()
    assert queue.take() is None
    assert (queue.left, queue.paused) == (["a"], "node x is paused")


class CountingLedger(Ledger):
    """A ledger that counts how often somebody asks for the pause switch."""

    asked = 0

    def paused(self, scopes: object) -> PauseRecord | None:
        self.asked += 1
        return super().paused(scopes)  # type: ignore[arg-type]


def test_the_ledger_is_asked_once_in_a_while_however_often_a_key_is_taken(tmp_path: Path) -> None:
    ledger = CountingLedger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    ledger.asked = 0
    switch = PauseSwitch(ledger)
    assert [switch.why() for _ in range(100)] == [""] * 100
    assert ledger.asked <= 3
    ledger.set_pause("system", True, reason="the PACS moves house")
    time.sleep(A_MOMENT)
    assert switch.why() == "the system is paused: the PACS moves house"
    ledger.close()


@pytest.mark.parametrize(
    ("scope", "reason", "words"),
    [
        ("system", "", "the system is paused"),
        ("node:pacs1", "disk full", "node pacs1 is paused: disk full"),
        ("module:processing", "", "module processing is paused"),
    ],
)
def test_a_pause_is_told_in_words(scope: str, reason: str, words: str) -> None:
    assert told(scope, reason) == words
