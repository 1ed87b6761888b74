"""Accessions with several studies, from a real folder to the share, whatever a person decides."""

from __future__ import annotations

import os
import shutil
import signal
import zipfile
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import pytest

from locutus_dagster.ledger import State
from locutus_dagster.ledger.work import WorkItem
from locutus_dagster.pipeline.batch import Batch
from locutus_dagster.pipeline.outcomes import Finished, Result
from locutus_dagster.pipeline.parts import build_parts
from locutus_dagster.pipeline.resolution_commands import parse_command, short_handle
from locutus_dagster.pipeline.resolution_plans import Applied, PlanRow, apply_plan, make_plan
from locutus_dagster_tests.pipeline.small_world import SmallWorld

ACC = "ACC-4711-SECRET"
DAY = 24 * 3600
START = datetime(2026, 3, 1, tzinfo=timezone.utc).timestamp()
#: Each study has a number of instances of its own, by which its delivery is known.
SIZES = {"one": 1, "two": 2, "three": 3, "four": 4}


@dataclass
class Life:
    """One accession over a folder of files, with the settings that everybody starts with."""

    world: SmallWorld
    key: str

    def arrives(self, study: str, instances: int = 0, *, day: int = 0) -> None:
        self.world.put_study(ACC, study, instances or SIZES[study])
        for path in self._folder(study).iterdir():
            os.utime(path, (START + day * DAY,) * 2)

    def goes(self, study: str) -> None:
        shutil.rmtree(self._folder(study))

    def _folder(self, study: str) -> Path:
        return self.world.root / "pacs" / ACC / study

    def run(self) -> Finished:
        options = self.world.options()
        batch = Batch(self.world.settings, "default", "run-1", options=options)
        last = list(batch.run([self.key]))[-1]
        assert isinstance(last, Finished)
        assert ACC not in repr(last)
        return last

    def handle(self, instances: int) -> str:
        """The short handle of the study that has so many instances."""
        parts = build_parts(self.world.settings, "default")
        try:
            found = parts.source.find(ACC)
        finally:
            parts.close()
        return next(short_handle(one.source_id) for one in found if one.instances == instances)

    def plan(self, via: str) -> PlanRow:
        asked = parse_command(via)
        assert asked is not None
        parts = build_parts(self.world.settings, "default", look_only=True)
        try:
            entry = make_plan(parts, [self.item], asked.command, asked.choose).entries[0]
        finally:
            parts.close()
        assert not entry.problem
        return entry.row

    def apply(self, row: PlanRow, place: str = "") -> Applied:
        """Carry a line out, in a process that kills itself at a place if one is named."""
        parts = build_parts(self.world.settings, "default")
        if place:
            parts.checkpoint = lambda reached: (
                os.kill(os.getpid(), signal.SIGKILL) if reached == place else None
            )
        try:
            return apply_plan(parts, [row])[0]
        finally:
            parts.close()

    def resolve(self, via: str) -> None:
        applied = self.apply(self.plan(via))
        assert applied.done
        assert ACC not in repr(applied)

    @property
    def item(self) -> WorkItem:
        return self.world.item(self.key)

    @property
    def delivered(self) -> list[int]:
        """The numbers of instances of the zips on the share."""
        return sorted(len(zipfile.ZipFile(path).namelist()) for path in self.world.zips())


@pytest.fixture
def life(tmp_path: Path) -> Life:
    """An accession for which the source holds two studies, as a run has found."""
    world = SmallWorld.build(tmp_path / "world")
    made = Life(world, world.load(ACC)[0])
    made.arrives("one")
    made.arrives("two", day=1)
    assert made.run().result is Result.FAILED
    assert made.item.state is State.AMBIGUOUS
    return made


def test_exactly_the_chosen_study_is_delivered(life: Life) -> None:
    life.resolve(f"CHOOSE_LOCALLY:uuid={life.handle(1)}")
    assert life.item.state is State.REQUESTED

    assert life.run().result is Result.DELIVERED

    assert life.delivered == [1]
    assert life.run().result is Result.UNCHANGED


def test_the_study_that_changed_last_is_delivered(life: Life) -> None:
    life.resolve("CONSOLIDATE_LOCALLY")

    assert life.run().result is Result.DELIVERED

    assert life.delivered == [2]


def test_a_merge_is_waited_for_and_then_delivered(life: Life) -> None:
    life.resolve("MERGE_at_RADIOLOGY")
    waits = life.run()
    assert (waits.result, life.item.state) == (Result.PENDING, State.WAITING)
    assert life.delivered == []

    life.goes("one")

    assert life.run().result is Result.DELIVERED
    assert life.delivered == [2]


def test_what_is_sent_anew_is_delivered_and_what_was_there_before_is_not(life: Life) -> None:
    life.resolve("RESEND_RADIOLOGY")
    assert life.run().result is Result.PENDING
    assert life.item.state is State.WAITING

    life.arrives("two", 5, day=2)

    assert life.run().result is Result.DELIVERED
    assert life.delivered == [5]


def test_a_dropped_accession_is_left_whatever_arrives(life: Life) -> None:
    life.resolve("DELETE_SCAN_LOCALLY")
    assert life.item.state is State.DROPPED

    life.arrives("three", day=2)

    assert life.run().result is Result.LEFT
    assert life.item.state is State.DROPPED
    assert life.delivered == []


def test_a_dropped_accession_can_be_taken_up_again_by_a_person(life: Life) -> None:
    life.resolve("DELETE_SCAN_LOCALLY")
    life.resolve("CONSOLIDATE_LOCALLY")

    assert life.run().result is Result.DELIVERED
    assert life.delivered == [2]


def test_after_a_drop_from_the_stage_only_a_later_study_is_delivered(life: Life) -> None:
    life.resolve("DELETE_SCAN_FROM_STAGE_ONLY")
    assert life.item.state is State.PENDING
    assert life.run().result is Result.PENDING

    life.arrives("three", day=2)

    assert life.run().result is Result.DELIVERED
    assert life.delivered == [3]


def test_a_third_study_after_a_choice_is_a_question_again(life: Life) -> None:
    life.resolve(f"CHOOSE_LOCALLY:uuid={life.handle(2)}")
    life.arrives("three", day=2)

    assert life.run().result is Result.FAILED

    assert life.item.state is State.AMBIGUOUS
    assert life.delivered == []


def test_a_second_study_that_arrives_after_the_delivery_is_decided_as_well(life: Life) -> None:
    life.goes("two")
    assert life.run().result is Result.DELIVERED
    life.arrives("three", day=3)
    assert life.run().result is Result.CHANGED

    life.resolve(f"CHOOSE_LOCALLY:uuid={life.handle(3)}")

    assert life.item.state is State.REQUESTED
    assert life.run().result is Result.DELIVERED
    standing = life.world.ledger.standing(life.item.accession_id)
    assert [delivery.instances for delivery in standing] == [3]


@pytest.mark.parametrize("command", ["MERGE_at_RADIOLOGY", "DELETE_SCAN_LOCALLY"])
def test_what_was_delivered_stands_when_its_accession_waits_or_is_dropped(
    life: Life, command: str
) -> None:
    life.goes("two")
    life.run()
    life.arrives("three", day=3)

    life.resolve(command)

    assert life.run().result in (Result.PENDING, Result.LEFT)
    assert life.delivered == [1]
    assert len(life.world.ledger.standing(life.item.accession_id)) == 1


def _killed(life: Life, row: PlanRow) -> bool:
    """Carry a line out in a process that is killed when the decision has been kept."""
    pid = os.fork()
    if pid == 0:
        try:
            life.apply(row, "resolve:recorded")
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def test_a_plan_is_applied_again_after_its_process_was_killed(life: Life) -> None:
    row = life.plan("CONSOLIDATE_LOCALLY")
    assert _killed(life, row)
    assert life.item.state is State.AMBIGUOUS

    assert life.apply(row).done

    assert life.item.state is State.REQUESTED
    assert life.run().result is Result.DELIVERED
    assert life.delivered == [2]


def test_a_run_goes_by_a_decision_whose_process_was_killed(life: Life) -> None:
    row = life.plan("CONSOLIDATE_LOCALLY")
    assert _killed(life, row)

    assert life.run().result is Result.DELIVERED

    assert life.delivered == [2]
    assert life.apply(row).done
    assert life.item.state is State.DELIVERED  # and is not asked for again
