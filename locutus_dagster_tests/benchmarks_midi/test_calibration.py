"""Engines whose scores are known beforehand get them; then the scorer can be believed."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.midi.__main__ import main
from benchmarks.midi.calibration import CALIBRATION, Correct, DeleteAll, Identity, WrongMap
from benchmarks.midi.checks import Action
from benchmarks.midi.engines import Engine, Written
from benchmarks.midi.harness import Run, run
from benchmarks.midi.locutus_engine import Locutus
from benchmarks.midi.planting import PlantedStudy
from benchmarks.midi.report import passes, print_report, write_csv, write_json
from locutus_dagster_tests.benchmarks_midi.conftest import WHEEL

_STAYS = {Action.TAG_RETAINED, Action.TEXT_NOTNULL, Action.TEXT_RETAINED, Action.PIXELS_RETAINED}
_GOES = {Action.TEXT_REMOVED, Action.DATE_SHIFTED, Action.UID_CHANGED}
_CONSISTENT = {Action.UID_CONSISTENT, Action.PATID_CONSISTENT}


def share(found: Run, actions: set[Action]) -> float:
    """Return the score of some actions."""
    return found.score.share(lambda verdict: verdict.check.action in actions)


@pytest.fixture(scope="module")
def runs(planted: list[PlantedStudy], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Every calibrating engine, run once."""
    return {
        name: run(engine(), planted, tmp_path_factory.mktemp(name))
        for name, engine in CALIBRATION.items()
    }


def test_copying_keeps_everything_and_removes_nothing(runs: dict[str, Run]) -> None:
    found = runs[Identity.name]
    assert share(found, _STAYS) == 100.0
    assert share(found, _CONSISTENT) == 100.0
    assert share(found, _GOES) == 0.0


def test_every_planted_identifier_is_found_in_a_copy(runs: dict[str, Run]) -> None:
    found = runs[Identity.name]
    left = {leak.kind for leaks in found.leaks.values() for leak in leaks}
    assert left == set(found.searched)
    assert set(found.leaks) == set(range(len(found.key)))
    assert not passes(found)


def test_deleting_everything_removes_all_and_keeps_nothing_of_use(runs: dict[str, Run]) -> None:
    found = runs[DeleteAll.name]
    assert share(found, _GOES) == 100.0
    assert found.left == 0
    assert share(found, {Action.TEXT_RETAINED, Action.TAG_RETAINED}) == 0.0
    assert share(found, {Action.PIXELS_RETAINED}) == 100.0
    assert not passes(found)


def test_an_engine_that_does_what_the_key_says_passes_everything(runs: dict[str, Run]) -> None:
    found = runs[Correct.name]
    assert found.score.failures() == []
    assert found.left == 0
    assert passes(found)


def test_a_map_that_lies_fails_consistency_and_nothing_else(runs: dict[str, Run]) -> None:
    found = runs[WrongMap.name]
    failed = Counter(verdict.check.action for verdict in found.score.failures())
    assert set(failed) == _CONSISTENT
    assert failed[Action.PATID_CONSISTENT] == len(found.key)
    assert failed[Action.UID_CONSISTENT] >= 3 * len(found.key)


class _Forgetful(Correct):
    """Does everything right, but writes the patient's name before the first file of a study."""

    name = "forgetful"

    def run(self, study: PlantedStudy) -> list[Written]:
        written = super().run(study)
        data = written[0].data
        assert data is not None
        name = study.person.values["pn"].text.encode("utf-8")
        written[0] = Written(name.ljust(128, b"\0") + data[128:])
        return written


def test_one_forgotten_name_is_found_though_no_check_looks_there(
    planted: list[PlantedStudy], tmp_path: Path
) -> None:
    study = next(one for one in planted if one.person.language == "en")
    found = run(_Forgetful(), [study], tmp_path)
    assert found.score.failures() == []
    assert {leak.kind for leak in found.leaks[0]} == {"A"}
    assert not passes(found)


class _Silent(Engine):
    """Delivers nothing."""

    name = "silent"

    def run(self, study: PlantedStudy) -> list[Written]:
        return [Written(None, "no reason")] * len(study.files)


def test_files_that_are_not_delivered_are_counted_by_reason_and_cost_score(
    planted: list[PlantedStudy], tmp_path: Path
) -> None:
    found = run(_Silent(), planted[:2], tmp_path)
    assert found.withheld == {"no reason": len(found.key)}
    assert share(found, _STAYS | _CONSISTENT) == 0.0
    assert found.left == 0
    assert not passes(found)


def test_reports_show_planted_values_only_if_asked(runs: dict[str, Run], tmp_path: Path) -> None:
    found = runs[Identity.name]
    planted_text = next(leak.text for leaks in found.leaks.values() for leak in leaks)
    for show in (False, True):
        console = Console(record=True, width=200, file=(tmp_path / "console.txt").open("w"))
        print_report(console, found, show_values=show)
        write_csv(tmp_path / "report.csv", found, show_values=show)
        rows = list(csv.reader((tmp_path / "report.csv").open(encoding="utf-8")))
        assert len(rows) == 1 + len(found.score.failures()) + found.left
        assert (planted_text in (tmp_path / "report.csv").read_text(encoding="utf-8")) is show
        assert "MIDI-style" in console.export_text()


def test_figures_are_kept_as_json(runs: dict[str, Run], tmp_path: Path) -> None:
    found = runs[Correct.name]
    write_json(tmp_path / "new" / "midi.json", found, seed=1)
    figures = json.loads((tmp_path / "new" / "midi.json").read_text())
    assert figures["score"] == 100.0
    assert figures["left"] == 0
    assert figures["checks"] == len(found.score.verdicts)
    assert sum(sum(counts.values()) for counts in figures["actions"].values()) == figures["checks"]


def test_the_command_exits_with_0_only_for_a_good_score(tmp_path: Path) -> None:
    def status(engine: str) -> int:
        given = ["--engine", engine, "--source", str(WHEEL), "--files", "5"]
        return main([*given, "--keep", str(tmp_path / engine), "--figures", str(tmp_path / "f")])

    assert status("identity") == 1
    assert status("correct") == 0
    kept = {path.name for path in (tmp_path / "correct").iterdir()}
    assert kept == {
        "input", "output", "answer_key.sqlite", "uid_mapping.csv", "patid_mapping.csv"
    }  # fmt: skip
    assert json.loads((tmp_path / "f").read_text())["engine"] == "correct"


def test_the_command_mixes_nothing_with_an_earlier_run(tmp_path: Path) -> None:
    (tmp_path / "old.dcm").touch()
    assert main(["--engine", "correct", "--keep", str(tmp_path)]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["old.dcm"]


def test_this_projects_engine_leaves_no_planted_identifier(
    planted: list[PlantedStudy], tmp_path: Path
) -> None:
    found = run(Locutus.of("research"), planted, tmp_path)
    assert found.left == 0
    assert share(found, _GOES | {Action.PATID_CONSISTENT, Action.UID_CONSISTENT}) == 100.0
