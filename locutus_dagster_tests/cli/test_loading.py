"""`locutus load-manifest`: what a person is told of each row that needs a look."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from locutus_dagster.cli.loading import load_manifest_command
from locutus_dagster.defs.names import partitions_name
from locutus_dagster.ledger import Ledger
from locutus_dagster.settings import load_settings
from locutus_dagster_tests.manifests.files import GOOD_ROW, row, write

SECRET = "777001"

app = typer.Typer()
app.command("load-manifest")(load_manifest_command)


@app.command("other")
def _other() -> None:
    """With a second command, the first keeps its name."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with two workspaces, and no ledger yet."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("LOCUTUS_HOME", str(home))
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    monkeypatch.setenv("COLUMNS", "300")
    configure(home)
    return home


def configure(home: Path, **settings: object) -> None:
    own = {"source": {"kind": "folder", "path": "/in"}, "target": {"path": "/out"}}
    text = json.dumps(
        {"workspaces": {"default": own, "spine": {**own, "target": {"path": "/spine"}}}, **settings}
    )
    (home / "locutus.yaml").write_text(text, encoding="utf-8")


def load(*arguments: object) -> Result:
    done = CliRunner().invoke(app, ["load-manifest", *map(str, arguments)])
    assert SECRET not in done.output
    return done


def partitions(workspace: str = "default") -> list[str]:
    """The partitions that Dagster knows."""
    with dg.DagsterInstance.get() as instance:
        return list(instance.get_dynamic_partitions(partitions_name(workspace)))


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_duplicates_are_told_with_both_places_and_are_no_failure(tmp_path: Path) -> None:
    rows = [row(accession=SECRET), row(accession="ACC2"), row(accession=SECRET, subject="S9")]
    done = load(write(tmp_path, *rows))
    assert done.exit_code == 0, done.output
    assert (
        "study.csv, line 4: the same accession as in line 2, with other attributes; "
        "not processed again"
    ) in done.output
    assert "Manifest study loaded: 3 rows, 2 accepted, 0 rejected, 1 duplicate." in done.output
    assert partitions() == ["study~000001", "study~000002"]

    done = load(write(tmp_path, row(accession=SECRET), name="b.csv"))
    assert "b.csv, line 2: the same accession as study~000001\n" in done.output
    assert "1 shared with other manifests" in done.output
    done = load(write(tmp_path, row(accession=SECRET), name="c.csv"), "-w", "spine")
    assert "c.csv, line 2: the same accession as workspace default: study~000001" in done.output
    assert "1 shared with other workspaces" in done.output
    assert partitions("spine") == ["c~000001"]


def test_duplicates_are_processed_again_by_option_or_by_setting(tmp_path: Path, home: Path) -> None:
    path = write(tmp_path, GOOD_ROW, GOOD_ROW)
    assert "not processed again" in load(path).output
    done = load(path, "--allow-duplicates")
    assert "line 3: the same accession as in line 2; processed again" in done.output
    assert "was loaded before; 1 more of its rows got partitions" in done.output
    assert partitions() == ["study~000001", "study~000002"]

    configure(home, run={"allow_processing_of_duplicates": True})
    assert "line 2; processed again" in load(path, "--name", "b").output
    assert "line 2; not processed again" in load(path, "--name", "c", "--skip-duplicates").output
    assert [key for key in partitions() if not key.startswith("study")] == [
        "b~000001",
        "b~000002",
        "c~000001",
    ]


def test_a_rejected_row_is_told_with_its_column_and_is_a_failure(tmp_path: Path) -> None:
    done = load(write(tmp_path, row(age="old"), GOOD_ROW), "--dry-run")
    assert done.exit_code == 2
    assert "study.csv, line 2, column AGE_AT_IMAGING_(DAYS): not a number of days" in done.output
    assert "2 rows, 1 accepted, 1 rejected" in done.output


def test_a_long_list_of_duplicates_is_cut_unless_all_are_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path, *[GOOD_ROW] * 30)
    done = load(path, "--dry-run")
    assert done.output.count("the same accession") == 20
    assert "and more: 9 duplicates (--all lists them)" in done.output
    done = load(path, "--dry-run", "--all")
    assert done.output.count("the same accession") == 29
    assert "and more" not in done.output


def test_a_dry_run_makes_no_ledger(tmp_path: Path, home: Path) -> None:
    path = write(tmp_path, GOOD_ROW, GOOD_ROW)
    before = files(home)
    done = load(path, "--dry-run")
    assert done.exit_code == 0, done.output
    assert "There is no ledger yet: the file is judged by itself" in done.output
    assert "Manifest study would be loaded: 2 rows, 1 accepted" in done.output
    assert "Nothing was written." in done.output
    assert "Next:" not in done.output
    assert files(home) == before


def test_a_dry_run_compares_with_the_ledger_and_leaves_it_as_it_is(
    tmp_path: Path, home: Path
) -> None:
    ledger = Ledger.open(load_settings().ledger_address)
    ledger.ensure_workspace("default")
    ledger.recall("default", "consent withdrawn", subject_id="S9")
    ledger.close()
    before = files(home)
    done = load(write(tmp_path, GOOD_ROW, row(subject="S9", accession="ACC2")), "--dry-run")
    assert done.exit_code == 2
    assert "line 3, column SUBJECT_ID: the subject has been recalled; lift the recall first" in (
        done.output
    )
    assert files(home) == before


def test_a_ledger_that_is_none_is_not_passed_over_in_a_dry_run(tmp_path: Path, home: Path) -> None:
    (home / "private").mkdir()
    (home / "private" / "ledger.sqlite").write_text("something else, not a database at all")
    done = load(write(tmp_path, GOOD_ROW), "--dry-run")
    assert done.exit_code == 1
    assert "would be loaded" not in done.output


def test_a_workspace_that_is_not_known_is_told(tmp_path: Path) -> None:
    done = load(write(tmp_path, GOOD_ROW), "-w", "chip")
    assert done.exit_code == 1
    assert "known: default, spine" in done.output
