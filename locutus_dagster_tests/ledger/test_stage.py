"""The stage on both databases: what was seen at a source, what is due, what was done about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import text

from locutus_dagster.ledger import Ledger, LedgerError, State
from locutus_dagster.ledger.claims import ClaimLostError
from locutus_dagster.ledger.stage import LOST_AFTER, SETTLED_AFTER
from locutus_dagster.ledger.stage_records import Mark, Recorded, Sighting, StageCount, Verdict
from locutus_dagster.ledger.work import Attempt
from locutus_dagster_tests.ledger.rows import add_items, bring_to, walk
from locutus_dagster_tests.ledger.statements import counted_statements

AT = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)


def seen(study: str, accession: str, **facts: object) -> Sighting:
    """A study that has come to rest."""
    known: dict[str, object] = {
        "patient_id": "P1",
        "instances": 2,
        "series": 1,
        "modalities": ("CT",),
        "version": "v1",
        "resting": True,
        "settled": True,
        **facts,
    }
    return Sighting(study, accession, **known)  # type: ignore[arg-type]


def look(
    ledger: Ledger, *sightings: Sighting, at: datetime = AT, gone: tuple[str, ...] = ()
) -> Recorded:
    return ledger.record_looks("ws", at=at, sightings=sightings, gone=gone)


def due(ledger: Ledger, at: datetime = AT, **options: object) -> list[str]:
    return [one.source_study for one in ledger.due("ws", at=at, **options)]  # type: ignore[arg-type]


def mark_of(ledger: Ledger, study: str) -> Mark:
    one = next(one for one in ledger.staged("ws") if one.source_study == study)
    return Mark(one.identity, one.revision)


def test_a_page_and_the_place_in_the_log_are_kept_together_or_not_at_all(ledger: Ledger) -> None:
    mark = {"seq": 7, "kind": "StableStudy"}
    found = ledger.record_poll(
        "ws", since=0, seq=7, mark=mark, at=AT, sightings=[seen("s1", "A1")], gone=["s9"]
    )
    assert found == Recorded(new=1)
    cursor = ledger.stage_cursor("ws")
    assert (cursor.seq, cursor.mark, cursor.polled_at) == (7, mark, AT)
    bad = replace(seen("s2", "A2"), version=None)  # type: ignore[arg-type]
    with pytest.raises(LedgerError):
        ledger.record_poll("ws", since=7, seq=9, mark=None, at=AT, sightings=[bad])
    assert ledger.stage_cursor("ws") == cursor
    assert [one.source_study for one in ledger.staged("ws")] == ["s1"]


def test_who_has_read_less_than_another_does_not_take_the_place_back(ledger: Ledger) -> None:
    ledger.record_poll("ws", since=0, seq=50, mark={"seq": 50}, at=AT)
    ledger.record_poll("ws", since=0, seq=10, mark={"seq": 10}, at=AT)
    assert ledger.stage_cursor("ws").seq == 50
    assert ledger.stage_cursor("ws").mark == {"seq": 50}
    ledger.record_poll("ws", since=50, seq=60, mark=None, at=AT)
    assert (ledger.stage_cursor("ws").seq, ledger.stage_cursor("ws").mark) == (60, {"seq": 50})


def test_a_failure_is_remembered_until_the_next_success(ledger: Ledger) -> None:
    ledger.record_poll_failed("ws", "no answer", AT)
    cursor = ledger.stage_cursor("ws")
    assert (cursor.failed_at, cursor.failure, cursor.polled_at, cursor.seq) == (
        AT,
        "no answer",
        None,
        0,
    )
    ledger.record_poll("ws", since=0, seq=0, mark=None, at=AT + MINUTE)
    cursor = ledger.stage_cursor("ws")
    assert (cursor.failed_at, cursor.failure, cursor.polled_at) == (None, "", AT + MINUTE)


def test_thousands_of_studies_are_not_kept_one_by_one(ledger: Ledger) -> None:
    many = [seen(f"s{number}", f"A{number}") for number in range(5000)]
    with counted_statements() as asked:
        assert look(ledger, *many) == Recorded(new=5000)
        grown = [replace(one, version="v2", instances=3) for one in many]
        assert look(ledger, *grown) == Recorded(changed=5000)
        assert look(ledger, *grown) == Recorded()
    assert asked.statements < 500
    assert ledger.stage_count("ws").due == 5000
    assert len(ledger.due("ws", at=AT, limit=10_000)) == 5000
    assert len(ledger.due("ws", at=AT)) == 200
    assert len(ledger.staged("ws", accession_numbers=["A1", "A4999", "B1"])) == 2


def test_a_study_is_due_when_it_has_come_to_rest_and_not_while_it_grows(ledger: Ledger) -> None:
    growing = seen("s1", "A1", resting=False, settled=False)
    look(ledger, growing)
    assert due(ledger) == []
    # It rests, as after a restart; the source has not said that it has come to rest.
    resting = replace(growing, resting=True)
    look(ledger, resting, at=AT + MINUTE / 2)
    assert due(ledger, AT + MINUTE / 2) == []
    later = AT + SETTLED_AFTER
    look(ledger, resting, at=later)
    assert due(ledger, later) == ["s1"]
    look(ledger, growing, at=later)
    assert due(ledger, later) == []
    look(ledger, replace(resting, settled=True), at=later)
    (one,) = ledger.due("ws", at=later)
    assert (one.revision, one.first_seen, one.stable_since) == (1, AT, later)
    look(ledger, seen("s1", "A1", version="v2", settled=False), at=later)
    assert due(ledger, later) == []  # of the new version nobody knows yet
    look(ledger, seen("s1", "A1", version="v2"), at=later)
    assert [one.revision for one in ledger.due("ws", at=later)] == [2]


def test_what_was_asked_for_is_due_again_when_it_was_answered_or_is_lost(ledger: Ledger) -> None:
    (item,) = add_items(ledger, "A1")
    look(ledger, seen("s1", "A1"), seen("s2", "B1"))
    first, second = mark_of(ledger, "s1"), mark_of(ledger, "s2")
    ledger.mark_asked("ws", [first, second], "run", AT)
    assert due(ledger) == []
    assert ledger.stage_outstanding("ws") == {"run": AT}
    assert due(ledger, AT + LOST_AFTER) == ["s1", "s2"]
    assert due(ledger, AT + LOST_AFTER, waiting=["run"]) == []
    ledger.record_state(item.accession_id, State.PENDING)
    (answered,) = ledger.due("ws", at=AT)
    assert (answered.source_study, answered.answered, answered.attempts) == ("s1", True, 1)
    ledger.mark_handled("ws", [Verdict(first.identity, 1, "done")])
    assert due(ledger) == []
    assert ledger.forget_asked("ws", "run") == 1
    assert due(ledger) == ["s2"]
    ledger.put_off("ws", [Verdict(second.identity, 1, "later")], AT + MINUTE)
    assert due(ledger) == []
    assert due(ledger, AT + MINUTE) == ["s2"]
    assert ledger.stage_verdicts("ws") == {"done": 1, "later": 1}
    # What was handled stays so for its revision only, also if that is said late.
    look(ledger, seen("s1", "A1", version="v2"))
    assert due(ledger) == ["s1"]
    ledger.mark_handled("ws", [Verdict(first.identity, 1, "done")])
    assert due(ledger) == ["s1"]


def test_what_a_run_left_is_put_off_the_longer_the_oftener_and_awaited_until_then(
    ledger: Ledger,
) -> None:
    (item,) = add_items(ledger, "A1")
    look(ledger, seen("s1", "A1"), seen("s2", "B1"), seen("s3", "C1"))
    ledger.mark_asked("ws", [mark_of(ledger, "s1"), mark_of(ledger, "s2")], "first", AT)
    assert ledger.stage_awaited("ws", at=AT) == 2
    ledger.record_state(item.accession_id, State.PENDING)  # the run came to one of them
    assert ledger.stage_awaited("ws", at=AT) == 1
    assert ledger.forget_asked("ws", "first", broke_off_at=AT) == 1
    assert ledger.forget_asked("ws", "first") == 0
    assert due(ledger) == ["s1", "s3"]
    at, waits = AT, []
    for number in range(7):
        wait = next(n for n in range(1, 30) if "s2" in due(ledger, at + n * 15 * MINUTE))
        assert ledger.stage_awaited("ws", at=at + (wait - 1) * 15 * MINUTE) == 1
        waits.append(wait)
        at += wait * 15 * MINUTE
        assert ledger.stage_awaited("ws", at=at) == 0
        # That it was paused in between counts for nothing.
        ledger.mark_asked("ws", [mark_of(ledger, "s2")], f"paused{number}", at)
        assert ledger.forget_asked("ws", f"paused{number}") == 1
        assert "s2" in due(ledger, at)
        ledger.mark_asked("ws", [mark_of(ledger, "s2")], f"run{number}", at)
        assert ledger.forget_asked("ws", f"run{number}", broke_off_at=at) == 1
    assert waits == [1, 2, 4, 8, 16, 16, 16]
    # What is lost is on its way no more, unless it is known to wait.
    ledger.mark_asked("ws", [mark_of(ledger, "s3")], "queued", AT)
    assert ledger.stage_awaited("ws", at=AT + LOST_AFTER) == 1
    assert ledger.stage_awaited("ws", at=AT + LOST_AFTER, waiting=["queued"]) == 2


def test_an_accession_that_somebody_asks_for_makes_its_study_due(ledger: Ledger) -> None:
    look(ledger, *(seen(f"s{number}", f"A{number}") for number in range(4)))
    for one in ledger.staged("ws"):
        ledger.mark_handled("ws", [Verdict(one.identity, one.revision, "nobody asks")])
    assert due(ledger) == []
    loaded, requested, pending = add_items(ledger, "A0", "A1", "A2", name="arrived-x")
    bring_to(ledger, requested, State.REQUESTED)
    bring_to(ledger, pending, State.PENDING)
    (elsewhere,) = add_items(ledger, "A3", name="asked")
    assert due(ledger) == ["s0", "s1", "s3"]
    assert due(ledger, only_manifests="arrived-") == ["s0", "s1"]
    assert due(ledger, limit=1) == ["s0"]
    assert ledger.claim(loaded.accession_id, "somebody", 60)
    assert ledger.claim(elsewhere.accession_id, "somebody", 60)
    assert due(ledger) == ["s1"]
    # Left in the middle of its walk by a crash, long ago.
    bring_to(ledger, pending, State.EXTRACTED)
    assert due(ledger) == ["s1"]
    assert due(ledger, datetime.now(timezone.utc) + 2 * LOST_AFTER) == ["s1", "s2"]
    assert ledger.due("other", at=AT) == []


def test_a_study_that_is_gone_wakes_the_one_that_shares_its_number(ledger: Ledger) -> None:
    look(ledger, seen("s1", "A1"), seen("s2", "A1"), seen("s3", "A3"), seen("s4", ""))
    for one in ledger.staged("ws"):
        ledger.mark_handled("ws", [Verdict(one.identity, one.revision, "two of them")])
    assert ledger.record_gone("ws", ["s2", "s4", "s9"], AT) == 2
    assert ledger.record_gone("ws", ["s2"], AT) == 0
    assert due(ledger) == ["s1"]
    assert ledger.stage_count("ws") == StageCount(present=2, due=1, gone=2)
    assert [one.source_study for one in ledger.staged("ws", present_only=True)] == ["s1", "s3"]
    assert look(ledger, seen("s2", "A1")) == Recorded(changed=1)
    assert due(ledger) == ["s1", "s2"]


def test_a_corrected_number_is_remembered_with_the_one_before(ledger: Ledger) -> None:
    look(ledger, seen("s1", "A1"), seen("s2", "A1"))
    for one in ledger.staged("ws"):
        ledger.mark_handled("ws", [Verdict(one.identity, one.revision, "two of them")])
    ledger.mark_asked("ws", [mark_of(ledger, "s1")], "for A1", AT)
    look(ledger, seen("s1", "A7", version="v2"))
    assert due(ledger) == ["s1", "s2"]  # nobody has asked for it under that number
    one, two = ledger.staged("ws")
    assert (one.accession_number, one.formerly, one.revision, two.handled) == ("A7", "A1", 2, 0)
    ledger.forget_former("ws", one.identity)
    assert ledger.staged("ws")[0].formerly == ""


def test_after_a_restart_everything_is_looked_for_and_nothing_is_done_twice(
    ledger: Ledger,
) -> None:
    ledger.restart_stage("ws", "here")
    look(ledger, seen("s1", "A1"), seen("s2", "A2"), seen("s3", "A3", resting=False))
    for one in ledger.staged("ws"):
        ledger.mark_handled("ws", [Verdict(one.identity, one.revision, "done")])
    handles = ledger.stage_to_look_for("ws", before=AT, limit=9)
    assert handles == ["s3"]  # it grows; the others have been looked at
    ledger.restart_stage("ws", "here")
    cursor = ledger.stage_cursor("ws")
    assert (cursor.seq, cursor.mark, cursor.restarts, cursor.place) == (0, None, 1, "here")
    assert ledger.stage_to_look_for("ws", before=AT, limit=9) == ["s3", "s1", "s2"]
    look(ledger, seen("s1", "A1"), seen("s2", "A2"), at=AT + MINUTE)
    assert due(ledger, AT + MINUTE) == []
    assert ledger.stage_to_look_for("ws", before=AT + 2 * MINUTE, limit=9) == ["s3", "s1", "s2"]


def test_another_rule_makes_what_was_refused_due_again_and_nothing_else(ledger: Ledger) -> None:
    look(ledger, seen("s1", "A1"), seen("s2", "A2"))
    one, two = ledger.staged("ws")
    assert ledger.rejudge("ws", "rule") == 0
    ledger.mark_handled("ws", [Verdict(one.identity, 1, "not taken", refused=True)])
    ledger.mark_handled("ws", [Verdict(two.identity, 1, "done")])
    assert ledger.rejudge("ws", "rule") == 0
    assert due(ledger) == []
    assert ledger.rejudge("ws", "another rule") == 1
    assert due(ledger) == ["s1"]


def test_what_no_manifest_names_and_what_the_source_lacks_are_told(ledger: Ledger) -> None:
    items = add_items(ledger, "A1", "A2", "A3", "A1", name="m")
    add_items(ledger, "B1", name="n")
    add_items(ledger, "X1", "X2", name="m", workspace="other")
    look(ledger, *(seen(f"s{one}", one) for one in ("A1", "A2", "X2", "X1", "")), seen("t", "X1"))
    ledger.record_gone("ws", ["sA2"], AT)
    assert ledger.stage_unnamed("ws") == ["X1", "X2"]
    keys = [item.partition_key for item in items]
    assert ledger.stage_lacking("ws", ["m"]) == keys[1:3]
    assert ledger.stage_lacking("ws") == [*keys[1:3], "n~000001"]
    assert ledger.stage_unnamed("other") == []
    assert ledger.stage_lacking("other") == ["m~000001", "m~000002"]
    assert ledger.stage_count("ws") == StageCount(present=5, due=5, unnumbered=1, gone=1)
    assert ledger.stage_count("other") == StageCount()


def test_what_was_delivered_under_a_former_number_stands_no_more(ledger: Ledger) -> None:
    (item,) = add_items(ledger, "A1")
    assert ledger.made_of("ws", "handle", besides="A2") == []
    walk(ledger, item)
    assert ledger.made_of("ws", "handle", besides="A2") == [item.accession_id]
    assert ledger.made_of("ws", "handle", besides="A1") == []
    assert ledger.made_of("ws", "another", besides="A2") == []
    with pytest.raises(ClaimLostError):
        ledger.supersede_moved(item.accession_id, withdraw="", by=Attempt(owner="nobody"))
    ledger.supersede_moved(item.accession_id, withdraw="moved", by=Attempt())
    (delivery,) = ledger.deliveries(item.accession_id)
    assert (delivery.stands, delivery.withdrawal) == (False, "moved")


def test_texts_that_databases_refuse_do_not_keep_the_others_out(ledger: Ledger) -> None:
    look(ledger, seen("s1", "A\0", patient_id="\udcfc"), seen("s2", "A2"))
    assert [one.accession_number for one in ledger.staged("ws")] == ["A?", "A2"]


def test_a_broken_database_quotes_nothing_of_the_stage(ledger: Ledger) -> None:
    secret = "4711SECRET"
    look(ledger, seen("s1", secret))
    with ledger.session() as session:
        session.execute(text("ALTER TABLE stage_study RENAME TO gone"))
    try:
        for ask in (
            lambda: look(ledger, seen(secret, secret)),
            lambda: ledger.record_gone("ws", [secret], AT),
            lambda: ledger.staged("ws", accession_numbers=[secret]),
        ):
            with pytest.raises(LedgerError) as failure:
                ask()
            assert secret not in str(failure.value) + repr(failure.value.__cause__)
    finally:
        with ledger.session() as session:
            session.execute(text("ALTER TABLE gone RENAME TO stage_study"))
    assert secret not in repr(ledger.staged("ws"))
