"""`locutus resolve`: what a person sees of a plan, edits in it, and gets when it is carried out."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pydicom
import pytest
import typer
from click.testing import Result
from sqlalchemy import update
from typer.testing import CliRunner

from locutus_dagster.cli.resolve import resolve_command
from locutus_dagster.ledger import State
from locutus_dagster.ledger.resolutions import ResolveCommand
from locutus_dagster.ledger.schema import ManifestRow
from locutus_dagster.pipeline.batch import Batch
from locutus_dagster_tests.pipeline.small_world import SmallWorld

FIRST, SECOND, WHOLE = "ACC-4711-SECRET", "ACC-4712-SECRET", "ACC-4713-SECRET"
KEYS = ("batch~000001", "batch~000002", "batch~000003")
UNKNOWN = "batch~000004"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallWorld:
    """A home in which a run has found two accessions with two studies each, and one with one."""
    made = SmallWorld.build(tmp_path / "world")
    home = tmp_path / "world" / "home"
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("LOCUTUS_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "80")
    workspaces = {
        name: {
            "source": {"kind": "folder", "path": str(tmp_path / "world" / "pacs")},
            "target": {"path": str(tmp_path / "world" / ("share" if name == "default" else name))},
        }
        for name in ("default", "spine")
    }
    text = json.dumps({"workspaces": workspaces})
    (home / "locutus.yaml").write_text(text, encoding="utf-8")
    made.load(FIRST, SECOND, WHOLE, name="batch")
    for accession_number in (FIRST, SECOND):
        for day, study in enumerate(("one", "two"), start=1):
            made.put_study(accession_number, study, day)
            for path in (tmp_path / "world" / "pacs" / accession_number / study).iterdir():
                os.utime(path, (1_770_000_000 + 86_400 * day,) * 2)
    made.put_study(WHOLE)
    run(made)
    return made


def run(world: SmallWorld) -> None:
    for _outcome in Batch(world.settings, "default", "run-1").run(KEYS):
        pass


def resolve(*arguments: object) -> Result:
    app = typer.Typer()
    app.command("resolve")(resolve_command)
    return CliRunner().invoke(app, list(map(str, arguments)))


def states(world: SmallWorld) -> list[State]:
    return [world.item(key).state for key in KEYS]


def secrets(world: SmallWorld) -> list[str]:
    """What must not be shown: accession numbers, and what the source calls the studies."""
    files = (world.root / "pacs").glob("*/*/*.dcm")
    uids = {str(pydicom.dcmread(path).StudyInstanceUID) for path in files}
    return [FIRST, SECOND, WHOLE, *uids]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def decide(path: Path, decisions: dict[str, str]) -> None:
    """Write commands into a plan, as its reader does."""
    edited = [row | {"RESOLVE_VIA": decisions[row["PARTITION_KEY"]]} for row in rows(path)]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, edited[0])
        writer.writeheader()
        writer.writerows(edited)


def test_what_waits_for_a_decision_is_shown_and_nothing_is_changed(world: SmallWorld) -> None:
    before = sorted(str(path) for path in world.root.rglob("*"))

    shown = resolve()

    assert shown.exit_code == 0, shown.output
    lines = [line.split() for line in shown.output.splitlines()]
    assert ["batch~000001", "ambiguous"] in lines
    assert ["batch~000002", "ambiguous"] in lines
    assert "batch~000003" not in shown.output
    studies = [line for line in lines if "CT" in line]
    assert sorted(line[1:5] for line in studies) == sorted(
        [instances, "1", "0.0", "CT"] for instances in "1212"
    )
    assert ["newest" in line for line in studies].count(True) == 2
    assert "No command." in shown.output
    assert "locutus resolve --plan" in shown.output
    assert not [secret for secret in secrets(world) if secret in shown.output]
    assert states(world) == [State.AMBIGUOUS, State.AMBIGUOUS, State.DELIVERED]
    assert sorted(str(path) for path in world.root.rglob("*")) == before


def test_accession_numbers_are_shown_to_who_asks_for_them_and_never_written(
    world: SmallWorld, tmp_path: Path
) -> None:
    path = tmp_path / "plan.csv"

    shown = resolve("--accessions", "--plan", path)

    assert FIRST in shown.output
    assert WHOLE not in shown.output
    assert not [secret for secret in secrets(world) if secret in path.read_text()]
    assert FIRST in resolve("--apply", path, "--accessions").output


def test_a_plan_is_written_edited_and_carried_out(world: SmallWorld, tmp_path: Path) -> None:
    path = tmp_path / "plan.csv"
    written = resolve("--plan", path)
    assert written.exit_code == 0, written.output
    assert f"locutus resolve --apply {path}" in written.output
    older = rows(path)[0]["STUDIES"].split(" | ")[
        rows(path)[0]["INSTANCES"].split(" | ").index("1")
    ]
    decide(path, {KEYS[0]: f"CHOOSE_LOCALLY:uuid={older}", KEYS[1]: ""})

    done = resolve("--apply", path)

    assert done.exit_code == 0, done.output
    assert f"the next run processes study {older}" in done.output
    assert "2 lines: 1 applied, 1 left." in done.output
    assert not [secret for secret in secrets(world) if secret in done.output]
    assert states(world) == [State.REQUESTED, State.AMBIGUOUS, State.DELIVERED]
    run(world)
    assert [world.item(key).instances for key in KEYS if world.item(key).delivered] == [1, 1]
    again = resolve("--apply", path)
    assert again.exit_code == 0
    assert "It was applied before" in again.output
    assert states(world) == [State.DELIVERED, State.AMBIGUOUS, State.DELIVERED]


def test_a_line_that_has_gone_stale_is_refused_and_the_exit_code_says_so(
    world: SmallWorld, tmp_path: Path
) -> None:
    path = tmp_path / "plan.csv"
    assert resolve("--via", "CONSOLIDATE_LOCALLY", "--plan", path).exit_code == 0
    world.put_study(FIRST, "three", 3)

    done = resolve("--apply", path)

    assert done.exit_code == 2
    assert "not those that the plan was made for" in done.output
    assert "2 lines: 1 refused, 1 applied." in done.output
    assert states(world) == [State.AMBIGUOUS, State.REQUESTED, State.DELIVERED]


def test_a_command_given_for_all_does_not_override_a_row_s_own(
    world: SmallWorld, tmp_path: Path
) -> None:
    path = tmp_path / "plan.csv"
    with world.ledger.session() as session:
        session.execute(
            update(ManifestRow)
            .where(ManifestRow.partition_key == KEYS[1])
            .values(resolve_via="MERGE_at_RADIOLOGY")
        )

    resolve("batch", "--via", "resend_radiology", "--plan", path)

    assert [row["RESOLVE_VIA"] for row in rows(path)] == ["RESEND_RADIOLOGY", "MERGE_at_RADIOLOGY"]
    resolve("--apply", path)
    decided = [world.ledger.resolution(world.item(key).accession_id) for key in KEYS]
    assert [one.command if one else None for one in decided] == [
        ResolveCommand.RESEND,
        ResolveCommand.MERGE,
        None,
    ]
    waiting = resolve()  # they are still asked about
    assert "waiting (RESEND_RADIOLOGY)" in waiting.output
    assert "waiting (MERGE_at_RADIOLOGY)" in waiting.output


def test_a_single_accession_is_shown_whatever_its_state_is(world: SmallWorld) -> None:
    shown = resolve(KEYS[2])

    assert shown.exit_code == 0, shown.output
    assert "batch~000003  delivered" in shown.output
    assert "batch~000001" not in shown.output


def test_two_patients_under_one_accession_are_said(world: SmallWorld) -> None:
    path = next((world.root / "pacs" / FIRST / "one").iterdir())
    dataset = pydicom.dcmread(path)
    dataset.PatientID = "MRN-OF-ANOTHER"
    dataset.save_as(path)

    shown = resolve("--via", "CONSOLIDATE_LOCALLY")

    assert shown.output.count("2 PATIENTS UNDER ONE ACCESSION") == 1
    assert "different patients" in shown.output
    assert "MRN" not in shown.output


def test_nothing_to_decide_is_said_and_makes_nothing(world: SmallWorld) -> None:
    before = sorted(str(path) for path in world.root.rglob("*"))

    done = resolve("-w", "spine")

    assert done.exit_code == 0
    assert "Nothing waits for a decision." in done.output
    assert sorted(str(path) for path in world.root.rglob("*")) == before


def test_what_cannot_work_is_one_message(world: SmallWorld) -> None:
    for arguments, told in (
        (["nosuch"], "manifests: batch"),
        ([UNKNOWN], "knows no manifest row"),
        (["--via", f"TAKE {FIRST}"], "There is no such command."),
        (["-w", "chip"], "known: default, spine"),
        (["--apply", "nosuch.csv"], "cannot be read"),
    ):
        done = resolve(*arguments)
        assert done.exit_code == 1
        assert told in done.output
        assert FIRST not in done.output


def test_a_plan_is_carried_out_as_it_was_written_or_not_at_all(
    world: SmallWorld, tmp_path: Path
) -> None:
    path = tmp_path / "plan.csv"
    resolve("--plan", path)

    assert resolve("--apply", path, "--via", "CONSOLIDATE_LOCALLY").exit_code == 2
    assert resolve("--apply", path, "batch").exit_code == 2
    assert resolve("--plan", path).exit_code == 1  # it may have been edited
    assert states(world) == [State.AMBIGUOUS, State.AMBIGUOUS, State.DELIVERED]
