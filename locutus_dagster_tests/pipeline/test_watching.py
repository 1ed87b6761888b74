"""Studies that arrive, grow, change and vanish at a fake PACS, and what is asked for then."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from locutus_dagster.ledger import State
from locutus_dagster.ledger.work import Attempt
from locutus_dagster.pipeline.arrivals import RunRequestPlan, WatchingError
from locutus_dagster.pipeline.parts import build_parts
from locutus_dagster.pipeline.watching import LOST_AFTER, Watcher
from locutus_dagster.run_modes import Reprocess
from locutus_dagster.settings import Settings
from locutus_dagster.sources.base import SourceUnavailableError
from locutus_dagster_tests.ledger.rows import delivery
from locutus_dagster_tests.pipeline.watching_pacs import Watched, keys_of

Make = Callable[..., Watched]
ONE_DAY = "arrived-2026-11-22"


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Make]:
    made: list[Watched] = []

    def make(**options: object) -> Watched:
        made.append(Watched.build(tmp_path / f"w{len(made)}", **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.parts.close()


# -- modes ---------------------------------------------------------------------------------------


def test_in_manifest_mode_a_study_starts_what_asks_for_it_and_nothing_else(watched: Make) -> None:
    w = watched(mode="manifest")
    w.load("A1", "A2")
    w.pacs.arrive("one", "A1")
    w.pacs.arrive("other", "B1")
    assert w.live() == []  # they still grow
    w.pacs.rest()
    assert w.live() == ["A1"]
    assert w.live(times=3) == []
    assert w.verdict("other") == "no manifest asks for it"
    assert list(w.delivered()) == ["A1"]

    # A manifest that comes after the study finds it there.
    w.load("B1", name="later")
    assert w.live() == ["B1"]
    assert w.live(times=2) == []


def test_a_study_that_comes_for_a_pending_accession_starts_it(watched: Make) -> None:
    w = watched(mode="manifest")
    (key,) = w.load("A1")
    w.process(key)
    assert w.item(key).state is State.PENDING
    assert w.live() == []
    w.pacs.arrive("one", "A1")
    w.pacs.rest()
    assert w.live() == ["A1"]
    assert w.item(key).state is State.DELIVERED


def test_in_changes_mode_rows_are_made_in_a_manifest_named_by_day(watched: Make) -> None:
    w = watched(mode="changes", timezone="Asia/Tokyo")
    w.load("M1")
    w.pacs.arrive("one", "A1", modalities=("SR", "MR"))
    w.pacs.arrive("two", "A2", patient="mrn1 ")
    w.pacs.arrive("three", "A3", patient="MRN2")
    w.pacs.rest()
    plans = w.round()
    assert keys_of(plans) == [f"{ONE_DAY}~00000{n}" for n in (1, 2, 3)]
    items = w.items()
    assert items["A1"].imaging_type == "MR"
    assert items["A1"].subject_id == items["A2"].subject_id != items["A3"].subject_id
    assert items["A1"].subject_id == w.parts.pseudonyms.subject("MRN1")
    for plan in plans:
        w.carry_out(plan)

    w.later(hours=4)  # past midnight there
    w.pacs.arrive("four", "A4")
    w.pacs.rest()
    assert keys_of(w.round()) == ["arrived-2026-11-23~000001"]
    assert w.ledger.manifest_names("default") == ["asked", ONE_DAY, "arrived-2026-11-23"]


def test_in_changes_mode_what_only_a_manifest_asks_for_is_left_to_the_manifest_s_runs(
    watched: Make,
) -> None:
    w = watched(mode="changes", rule={"modalities": "MR"})
    w.load("A1", "A2")
    w.pacs.arrive("one", "A1", modalities=("CT",))
    w.pacs.arrive("two", "A2", modalities=("MR",))
    w.pacs.rest()
    assert w.live(times=2) == ["A2"]
    assert keys_of(w.round()) == []


RULES = {
    "modality": ({"modalities": "mr ct"}, {"modalities": ("US",)}),
    "station": ({"stations": ["ct01"]}, {"stations": ("CT02",)}),
    "description": ({"description": "(?i)^head"}, {"description": "ABDOMEN"}),
    "accession number": ({"accession": r"^A\d$"}, {}),
}


@pytest.mark.parametrize("what", RULES)
def test_the_rule_takes_what_fits_and_says_why_not(watched: Make, what: str) -> None:
    rule, unfit = RULES[what]
    w = watched(rule=rule)
    w.pacs.arrive("fits", "A1")
    w.pacs.arrive("not", "ZZ99", **unfit)
    w.pacs.rest()
    assert w.live(times=2) == ["A1"]
    assert w.verdict("not") == f"the rule does not take its {what}"
    # Under another rule the same study is looked at again.
    w.start(rule={})
    assert w.live(times=2) == ["ZZ99"]


def test_a_study_without_accession_number_or_patient_is_reported_and_not_processed(
    watched: Make,
) -> None:
    w = watched()
    w.pacs.arrive("nameless", "")
    w.pacs.arrive("nobody", "A1", patient=" ")
    w.pacs.arrive("wild", "A*2")
    w.pacs.rest()
    assert w.live(times=2) == []
    assert w.verdict("nameless") == "it has no accession number"
    assert w.verdict("nobody") == "it has no patient ID, so nobody can say whose it is"
    assert w.verdict("wild").startswith("no row can be made of it: ACCESSION_NUM: holds a wildcard")
    count = w.ledger.stage_count("default")
    assert (count.present, count.due, count.unnumbered, count.refused) == (3, 0, 1, 2)


def test_what_is_recalled_is_not_processed_until_the_recall_is_lifted(watched: Make) -> None:
    w = watched()
    subject = w.parts.pseudonyms.subject("MRN1")
    (key,) = w.load("M1")
    w.ledger.recall("default", "asked to", subject_id=subject)
    w.ledger.recall("default", "asked to", accession_id=w.item(key).accession_id)
    w.pacs.arrive("one", "A1")
    w.pacs.arrive("two", "M1")
    w.pacs.rest()
    assert w.live(times=2) == []
    assert w.verdict("one") == "its subject has been recalled"
    assert w.verdict("two") == "it has been recalled"
    for recall in w.ledger.recalls("default"):
        w.ledger.lift_recall(recall.identity, "allowed")
    assert sorted(w.live()) == ["A1", "M1"]


# -- the same thing only once ----------------------------------------------------------------------


def test_what_was_asked_for_is_not_asked_for_again_until_it_is_lost(watched: Make) -> None:
    w = watched()
    w.pacs.arrive("one", "A1")
    w.pacs.rest()
    (first,) = w.round()
    assert w.round() == []
    assert list(w.watcher.outstanding()) == [first.run_key]
    w.later(minutes=14)
    w.start()
    assert w.round() == []
    w.later(minutes=2)
    w.watcher.poll()
    assert w.watcher.requests(waiting=[first.run_key]) == []  # it is in a queue
    (again,) = w.round()
    assert again.partition_keys == first.partition_keys
    assert again.run_key != first.run_key
    w.carry_out(again)
    assert w.round() == []
    assert w.watcher.outstanding() == {}


def test_a_plan_that_is_not_carried_out_comes_again_under_the_same_key(watched: Make) -> None:
    w = watched()
    w.pacs.arrive("one", "A1")
    w.pacs.rest()
    (first,) = w.round(ask=False)
    w.start()  # the process died between the commit of the row and the request
    assert w.round(ask=False) == [first]
    w.watcher.asked(first)
    # It died after that: whoever knows that there is no such run says so.
    assert w.watcher.forget(first.run_key) == 1
    (again,) = w.round()
    assert (again.partition_keys, again.run_key == first.run_key) == (first.partition_keys, False)
    assert w.ledger.manifest_names("default") == [ONE_DAY]


def test_what_a_worker_has_in_hand_is_left_alone(watched: Make) -> None:
    w = watched()
    (key,) = w.load("A1")
    w.pacs.arrive("one", "A1")
    w.pacs.rest()
    assert w.ledger.claim(w.item(key).accession_id, "somebody", 600)
    assert w.round() == []
    w.ledger.release(w.item(key).accession_id, "somebody")
    assert w.asked_for() == ["A1"]


def test_a_walk_that_a_crash_has_ended_is_taken_up_again(watched: Make) -> None:
    w = watched()
    (key,) = w.load("A1")
    w.pacs.arrive("one", "A1")
    w.pacs.rest()
    w.round()
    w.ledger.record_state(w.item(key).accession_id, State.EXTRACTED)
    assert w.asked_for() == ["A1"]


def test_what_fails_for_the_moment_is_tried_again_and_not_for_ever(watched: Make) -> None:
    w = watched()
    (key,) = w.load("A1")
    w.pacs.arrive("one", "A1")
    w.pacs.rest()
    asked = 0
    for _ in range(40):
        plans = w.round()
        asked += len(plans)
        for _ in plans:
            w.ledger.record_state(w.item(key).accession_id, State.FAILED, phase=3, reason="ill")
        w.later(minutes=5)
    assert asked == 3
    assert w.verdict("one") == "processed: failed"
    w.pacs.arrive("one", "A1")  # what comes now is another matter
    w.pacs.rest()
    assert w.live() == ["A1"]


def test_what_the_engine_refuses_is_not_tried_again(watched: Make) -> None:
    w = watched()
    (key,) = w.load("A1")
    w.pacs.arrive("one", "A1")
    w.pacs.rest()
    w.round()
    w.ledger.record_state(w.item(key).accession_id, State.FAILED, phase=4, reason="residue")
    w.later(hours=1)
    assert w.round() == []


def test_no_key_is_used_for_a_second_request(watched: Make) -> None:
    w = watched(mode="manifest")
    w.load("A1")
    w.pacs.arrive("one", "A1")
    w.pacs.rest()
    w.pacs.arrive("two", "A1")  # grows still
    used: list[str] = []

    def go() -> None:
        for plan in w.round():
            used.append(plan.run_key)
            w.carry_out(plan)

    go()
    w.pacs.rest()
    go()
    go()
    w.later(hours=7)
    w.pacs.delete("two")
    go()
    assert list(w.delivered()) == ["A1"]
    assert len(used) == len(set(used)) == 3


def test_what_a_failed_run_left_is_asked_for_after_a_while_and_others_at_once(
    watched: Make,
) -> None:
    w = watched()
    w.pacs.arrive("one", "A1")
    w.pacs.rest()
    (first,) = w.round()
    assert w.watcher.broke_off(first.run_key) == 1
    w.pacs.arrive("two", "A2")
    w.pacs.rest()
    assert w.live(times=2) == ["A2"]
    w.later(minutes=15)
    assert w.live() == ["A1"]


# -- throttling ------------------------------------------------------------------------------------


def test_arrivals_wait_for_the_hours_in_which_runs_begin(watched: Make) -> None:
    w = watched(hours="19:00-06:00", timezone="Europe/Berlin")
    w.pacs.arrive("one", "A1")
    w.pacs.rest()
    assert w.round() == []  # noon
    w.later(hours=5, minutes=59)
    assert w.round() == []
    w.later(minutes=1)
    assert w.asked_for(ask=False) == ["A1"]
    w.later(hours=11)
    assert w.round() == []
    w.later(hours=13)
    assert w.asked_for() == ["A1"]


def test_requests_hold_at_most_so_many_accessions_in_the_order_of_their_rows(
    watched: Make,
) -> None:
    w = watched(batch_size=3)
    w.load("M1", "M2")
    for number in range(6):
        w.pacs.arrive(f"s{number}", f"A{number}")
    w.pacs.arrive("m2", "M2")
    w.pacs.rest()
    plans = w.round()
    assert [len(plan.partition_keys) for plan in plans] == [3, 3, 1]
    assert keys_of(plans) == sorted(keys_of(plans))
    assert len({plan.run_key for plan in plans}) == 3
    assert w.round() == []


def test_a_full_pacs_is_judged_as_far_as_the_time_and_the_limit_allow(watched: Make) -> None:
    w = watched(rule={"accession": "^T"}, batch_size=100)
    for number in range(600):
        w.pacs.arrive(f"s{number}", f"{'T' if number >= 450 else 'A'}{number}")
    w.pacs.rest()
    w.watcher.poll()
    assert len(w.watcher.decide(deadline_seconds=0)) == 0
    assert w.ledger.stage_count("default").due == 599  # at least one is decided about
    assert [len(plan.partition_keys) for plan in w.watcher.requests(limit=60)] == [100, 50]
    assert w.ledger.stage_count("default").refused == 450
    assert len(keys_of(w.round())) == 150
    assert w.round() == []


def test_while_many_accessions_are_on_their_way_no_further_run_is_asked_for(
    watched: Make,
) -> None:
    w = watched(batch_size=60)
    for number in range(300):
        w.pacs.arrive(f"s{number}", f"A{number}")
    w.pacs.rest()
    plans = w.round()
    assert len(keys_of(plans)) == 200
    assert w.round() == []
    for plan in plans[:2]:
        w.carry_out(plan)
    plans += w.round()
    assert len(keys_of(plans)) == 300
    # Runs that break off one after the other are no way round that.
    for plan in plans[2:]:
        w.watcher.broke_off(plan.run_key)
    for number in range(80):
        w.pacs.arrive(f"t{number}", f"B{number}")
    w.pacs.rest()
    assert len(keys_of(w.round())) == 60
    assert w.round() == []


def test_plans_that_are_carried_out_one_by_one_wait_when_it_is_ended_or_the_hours_are_over(
    watched: Make,
) -> None:
    w = watched(hours="12:00-12:30", batch_size=1)
    for number in range(4):
        w.pacs.arrive(f"s{number}", f"A{number}")
    w.pacs.rest()
    w.watcher.poll()
    plans = w.watcher.requests()
    told: list[str] = []
    for plan in w.watcher.one_by_one(plans, lambda: bool(told)):
        told.append(plan.run_key)
        w.carry_out(plan)
    assert told == [plans[0].run_key]
    for plan in w.watcher.one_by_one(plans[1:], lambda: False):
        told.append(plan.run_key)
        w.later(minutes=16)
        assert w.watcher.outstanding() == {plan.run_key: w.at - timedelta(minutes=16)}
        w.carry_out(plan)
    assert told == [plan.run_key for plan in plans[:3]]
    w.later(hours=23, minutes=30)
    assert w.live(times=2) == ["A3"]


def test_as_long_as_runs_are_dry_nothing_is_asked_for_or_changed(watched: Make) -> None:
    w = watched(redeliver_changed=True)
    deliver(w)
    w.pacs.correct("one", "A2")
    w.pacs.rest()
    told = w.settings.run.model_copy(update={"dry_run": True})
    w.settings = w.settings.model_copy(update={"run": told})
    w.start()
    assert w.asked_for() == []
    assert "dry runs" in w.watcher.problems[0]
    assert list(w.delivered()) == list(w.items()) == ["A1"]
    told = told.model_copy(update={"dry_run": False})
    w.settings = w.settings.model_copy(update={"run": told})
    w.start()
    assert w.live() == ["A2"]


def test_an_unknown_time_zone_and_a_source_without_log_are_said(
    watched: Make, tmp_path: Path
) -> None:
    w = watched()
    with pytest.raises(ValueError, match="time zone"):
        w.start(timezone="Mars/Olympus")
    share = tmp_path / "s"
    share.mkdir()
    own = {
        "source": {"kind": "folder", "path": str(share)},
        "target": {"kind": "share", "path": str(share)},
    }
    for watch, said in (({"mode": "both"}, "only an Orthanc"), (None, "not watched")):
        settings = Settings(home=tmp_path / "h", workspaces={"default": {**own, "watch": watch}})
        parts = build_parts(settings, "default")
        with pytest.raises(WatchingError, match=said):
            Watcher(parts)
        parts.close()


# -- studies that change after their delivery ------------------------------------------------------


def deliver(w: Watched, study_id: str = "one", accession: str = "A1") -> None:
    w.pacs.arrive(study_id, accession, 2)
    w.pacs.rest()
    assert w.live() == [accession]
    assert w.live() == []
    w.later(minutes=1)


def test_late_images_are_noticed_and_reported(watched: Make) -> None:
    w = watched()
    deliver(w)
    first = w.delivered()["A1"]
    w.pacs.arrive("one", "A1")
    assert w.live() == []
    w.pacs.rest()
    assert w.live() == []
    (notice,) = w.watcher.notices
    assert notice.words == "it has changed since it was delivered"
    assert w.items()["A1"].changed == "source"
    assert w.delivered()["A1"] == first
    assert w.live(times=2) == []
    assert w.watcher.notices == []
    # The workspace comes to say that such studies are delivered again.
    w.start(redeliver_changed=True)
    assert w.live() == ["A1"]
    assert w.delivered()["A1"] == w.pacs.studies["one"].fingerprint


def test_late_images_are_delivered_as_a_version_that_supersedes_the_one_before(
    watched: Make,
) -> None:
    w = watched(redeliver_changed=True, withdraw_superseded=True)
    deliver(w)
    for _ in range(2):
        w.pacs.arrive("one", "A1")
        w.pacs.rest()
        (plan,) = w.round()
        assert (plan.reprocess, plan.withdraw) == (Reprocess.PRERETIRE_ONLY_CHANGED, True)
        assert w.round() == []
        w.carry_out(plan)
        assert w.round() == []
    item = w.items()["A1"]
    assert item.changed == ""
    assert [one.stands for one in w.ledger.deliveries(item.accession_id)] == [False, False, True]
    assert w.delivered()["A1"] == w.pacs.studies["one"].fingerprint


def test_images_that_come_while_a_run_is_at_work_are_not_lost(watched: Make) -> None:
    w = watched(redeliver_changed=True)
    w.pacs.arrive("one", "A1")
    w.pacs.rest()
    (plan,) = w.round()
    w.carry_out(plan)  # of the first image; nobody has looked since
    w.pacs.arrive("one", "A1")
    w.pacs.rest()
    assert w.live(times=3) == ["A1"]
    assert w.delivered()["A1"] == w.pacs.studies["one"].fingerprint


def test_late_images_before_a_restart_are_found_although_the_log_names_no_study(
    watched: Make,
) -> None:
    w = watched(redeliver_changed=True)
    deliver(w)
    w.pacs.arrive("one", "A1")
    w.pacs.restart()  # it is never said that the study has come to rest
    assert w.live() == []
    w.later(seconds=30)
    assert w.live() == []
    w.later(seconds=31)
    assert w.live() == ["A1"]


def test_a_change_in_which_runs_see_none_is_not_asked_for_for_ever(watched: Make) -> None:
    w = watched(redeliver_changed=True)
    deliver(w)
    w.pacs.arrive("one", "A1")
    w.pacs.rest()
    asked: list[str] = []
    for _ in range(8):
        asked += w.asked_for()  # the runs leave no event
        w.later(minutes=20)
    assert asked == ["A1"] * 3
    assert w.verdict("one").endswith("could not be delivered again")
    w.pacs.arrive("one", "A1")  # what comes now is another matter
    w.pacs.rest()
    assert w.live() == ["A1"]


def test_a_delivery_to_a_target_that_is_configured_no_more_says_nothing_of_changes(
    watched: Make,
) -> None:
    w = watched(redeliver_changed=True)
    deliver(w)
    item, (found,) = w.items()["A1"], w.pacs.find("A1")
    made = delivery(uri="file:///elsewhere/x.zip", made_from={"source": found.fingerprint})
    by = Attempt(row_id=item.row_id)
    w.ledger.record_delivery(
        item.accession_id, replace(made, target="elsewhere"), withdraw="", by=by
    )
    w.pacs.arrive("one", "A1")
    w.pacs.rest()
    assert w.live() == ["A1"]
    w.later(minutes=20)
    assert w.asked_for() == []
    assert w.verdict("one") == "it was delivered as it is"


@pytest.mark.parametrize("corrected", [False, True])
def test_an_answer_that_is_none_puts_off_what_has_changed(watched: Make, corrected: bool) -> None:
    w = watched(redeliver_changed=True)
    deliver(w)
    w.pacs.correct("one", "A2") if corrected else w.pacs.arrive("one", "A1")
    w.pacs.rest()
    w.pacs.refuses = "A1"  # as a proxy does that has a bad day
    assert w.live(times=2) == []
    assert w.verdict("one") == "the source cannot be asked for it"
    w.pacs.refuses = ""
    assert w.live() == []
    w.later(minutes=15)
    assert w.live() == ["A2" if corrected else "A1"]
    assert list(w.delivered().values()) == [w.pacs.studies["one"].fingerprint]


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_number_that_was_corrected_several_times_before_anybody_decided_moves_the_delivery(
    watched: Make, times: int
) -> None:
    w = watched(redeliver_changed=True)
    deliver(w)
    for number in range(2, 2 + times):
        w.pacs.correct("one", f"A{number}")
        w.watcher.poll()  # the study grows, or the system is paused
    w.pacs.rest()
    assert w.live(times=2) == [f"A{1 + times}"]
    assert list(w.delivered()) == [f"A{1 + times}"]
    assert w.items()["A1"].state is State.PENDING


def test_every_number_that_a_study_was_delivered_under_is_moved_and_the_one_it_has_is_not(
    watched: Make,
) -> None:
    w = watched(redeliver_changed=True)
    (key,) = w.load("A2")
    deliver(w)
    w.pacs.correct("one", "A2")
    w.pacs.rest()
    w.watcher.poll()
    w.process(key)  # by a person, while the watcher is paused
    w.pacs.correct("one", "A3")
    w.watcher.poll()
    w.pacs.correct("one", "A1")
    w.pacs.rest()
    assert w.live(times=2) == ["A1"]
    assert {number: item.state.value for number, item in w.items().items()} == {
        "A1": "delivered",
        "A2": "pending",
    }


@pytest.mark.parametrize("redeliver", [False, True])
@pytest.mark.parametrize("withdraw", [False, True])
def test_a_corrected_accession_number_moves_the_delivery(
    watched: Make, redeliver: bool, withdraw: bool
) -> None:
    w = watched(redeliver_changed=redeliver, withdraw_superseded=withdraw)
    deliver(w)
    w.pacs.correct("one", "A2")
    w.pacs.rest()
    if redeliver and withdraw:  # as long as the old one cannot be removed, the new one waits
        (w.root / "share" / ".locutus-share").unlink()
        assert w.live() == []
        assert "could not be withdrawn" in w.watcher.notices[0].words
        (w.root / "share" / ".locutus-share").touch()
    assert w.asked_for() == ["A2"]
    (notice,) = w.watcher.notices
    assert notice.words.startswith("its study carries another accession number now")
    old, new = w.items()["A1"], w.items()["A2"]
    assert old.subject_id == new.subject_id
    (delivered,) = w.ledger.deliveries(old.accession_id)
    if redeliver:
        assert old.state is State.PENDING
        assert not delivered.stands
        assert (delivered.withdrawn_at is not None) == withdraw
        assert not w.ledger.delivered_elsewhere(new.accession_id, "share", delivered.uri)
        w.process(new.partition_key)  # to the same place, which is free for it
        assert list(w.delivered()) == ["A2"]
    else:
        assert (old.state, old.changed) == (State.DELIVERED, "source")
        assert delivered.stands
    assert w.live(times=2) == []


def test_of_two_studies_one_that_remains_is_processed_when_the_other_has_been_merged_into_it(
    watched: Make,
) -> None:
    w = watched(mode="manifest")
    (key,) = w.load("A1")
    w.pacs.arrive("one", "A1")
    w.pacs.arrive("two", "A1")
    w.pacs.rest()
    assert w.live() == ["A1"]
    assert w.item(key).state is State.AMBIGUOUS
    assert w.live(times=2) == []
    w.later(hours=7)
    w.pacs.delete("two")
    assert w.live(times=2) == ["A1"]
    assert w.item(key).state is State.DELIVERED
    assert w.ledger.stage_count("default").gone == 1


def test_a_study_that_goes_before_the_run_s_answer_is_looked_at_wakes_the_other(
    watched: Make,
) -> None:
    w = watched(mode="manifest")
    w.load("A1")
    w.pacs.arrive("one", "A1")
    w.pacs.arrive("two", "A1")
    w.pacs.rest()
    assert w.live() == ["A1"]  # there are two of them
    w.later(hours=7)
    w.pacs.delete("two")
    assert w.watcher.poll().gone == 1
    assert w.live() == ["A1"]
    assert list(w.delivered()) == ["A1"]
    assert w.live(times=2) == []


def test_a_second_study_for_a_delivered_accession_is_for_a_person_to_decide(
    watched: Make,
) -> None:
    w = watched(redeliver_changed=True)
    deliver(w)
    w.pacs.arrive("two", "A1")
    w.pacs.rest()
    assert w.live(times=2) == []
    assert "a person decides" in w.verdict("two")
    assert w.items()["A1"].changed == "source"
    assert w.items()["A1"].state is State.DELIVERED


def test_a_delivered_study_that_is_deleted_is_noted_and_changes_nothing(watched: Make) -> None:
    w = watched(redeliver_changed=True)
    deliver(w)
    w.pacs.delete("one")
    w.later(hours=7)
    report = w.watcher.poll()
    assert (report.gone, report.entries) == (1, 0)
    assert w.live() == []
    assert list(w.delivered()) == ["A1"]
    # What is sent again as it was is looked at again, and is what was delivered only if it is.
    w.pacs.arrive("one", "A1")
    w.pacs.rest()
    assert w.live() == ["A1"]


# -- the log ---------------------------------------------------------------------------------------


def test_a_failed_poll_is_noted_and_is_no_empty_one(watched: Make) -> None:
    w = watched()
    deliver(w)
    w.pacs.down = True
    with pytest.raises(SourceUnavailableError):
        w.watcher.poll()
    cursor = w.ledger.stage_cursor("default")
    assert cursor.failure == "The PACS does not answer."
    assert cursor.failed_at == w.at
    assert w.ledger.stage_count("default").gone == 0
    w.pacs.down = False
    w.watcher.poll()
    assert w.ledger.stage_cursor("default").failed_at is None


def test_a_log_of_days_is_caught_up_with_in_slices(watched: Make) -> None:
    w = watched(mode="manifest", page_size=400)
    for number in range(600):
        w.pacs.arrive(f"s{number}", f"A{number}")
        w.pacs.rest(f"s{number}")
    polls, entries = 0, 0
    while True:
        report = w.watcher.poll(deadline_seconds=0.0)  # one page, and no further one
        polls, entries = polls + 1, entries + report.entries
        w.start()
        if report.done:
            break
    assert entries == 1800
    assert polls >= 5
    assert w.ledger.stage_count("default").present == 600
    assert w.watcher.poll().entries == 0


def test_a_log_that_begins_anew_is_read_again_and_nothing_is_done_twice(watched: Make) -> None:
    w = watched(redeliver_changed=True)
    for number in range(3):
        deliver(w, f"s{number}", f"A{number}")
    w.pacs.delete("s2")
    w.pacs.restore()
    report = w.watcher.poll()
    assert (report.restarted, report.done, report.gone) == (True, True, 1)
    assert w.live(times=2) == []
    assert w.ledger.stage_cursor("default").restarts == 1
    # A log that has run on beyond the old number is not taken for the same one either.
    w.later(minutes=1)
    w.pacs.restore()
    for number in range(9):
        w.pacs.arrive(f"n{number}", f"B{number}")
    w.pacs.rest()
    assert w.pacs.seq > w.ledger.stage_cursor("default").seq
    assert sorted(w.live()) == [f"B{number}" for number in range(9)]
    assert w.live() == []
    assert w.ledger.stage_cursor("default").restarts == 2


def test_two_watchers_of_one_workspace_lose_nothing(watched: Make) -> None:
    w = watched(page_size=2)
    other = Watcher(w.parts, clock=lambda: w.at, page_size=1)
    for number in range(4):
        w.pacs.arrive(f"s{number}", f"A{number}")
        w.pacs.rest()
        other.poll(0)
        w.watcher.poll(0)
    other.poll()
    assert w.asked_for() == [f"A{number}" for number in range(4)]
    assert other.requests() == []


# -- privacy ---------------------------------------------------------------------------------------


def test_nothing_that_is_said_or_logged_names_anybody(
    watched: Make, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = ("SECRETACC", "SECRETPATIENT", "secretstudy")
    subjects = tmp_path / "subjects.csv"
    subjects.write_text("MRN,SUBJECT_ID\nSECRETPATIENT1,SECRETPATIENT1\n")
    w = watched(redeliver_changed=True)
    said: list[object] = []
    for number, accession in enumerate(("SECRETACC1", "SECRETACC*", "")):
        w.pacs.arrive(f"secretstudy{number}", accession, patient=f"SECRETPATIENT{number}")
    w.pacs.rest()
    plans: list[RunRequestPlan] = w.round()
    said += [plans, w.watcher.decide(), w.ledger.stage_outstanding("default")]
    for plan in plans:
        w.carry_out(plan)
    w.pacs.correct("secretstudy0", "SECRETACC2")
    w.pacs.rest()
    said += [w.watcher.poll(), w.watcher.decide(), w.watcher.notices]
    said += [w.ledger.staged("default"), w.ledger.stage_cursor("default")]
    said += [w.ledger.stage_verdicts("default"), w.ledger.stage_count("default")]
    w.start(subjects=str(subjects), mode="changes")
    w.pacs.arrive("secretstudy9", "SECRETACC9", patient="SECRETPATIENT9")
    w.pacs.rest()
    said += [w.watcher.poll(), w.watcher.requests(), w.watcher.problems]
    assert w.watcher.problems
    text = repr(said) + caplog.text
    assert [one for one in secrets if one in text] == []


def test_a_request_is_lost_after_a_quarter_of_an_hour() -> None:
    assert timedelta(minutes=15) == LOST_AFTER
