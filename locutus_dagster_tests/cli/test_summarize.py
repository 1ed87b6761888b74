"""`locutus summarize`: counts on the terminal, files in the forms asked for."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from locutus_dagster.cli.summarize import summarize_command
from locutus_dagster.settings import load_settings
from locutus_dagster.summarizer.gathering import summarize
from locutus_dagster.summarizer.redacting import redacted
from locutus_dagster.summarizer.reporting import report_folder, write_reports
from locutus_dagster_tests.cli.a_home import OTHER, SECRET, make_home
from locutus_dagster_tests.pipeline.small_world import SmallWorld

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(summarize_command)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallWorld]:
    """One accession delivered, one pending."""
    made = make_home(tmp_path / "world", monkeypatch)
    made.put_study(SECRET, instances=2)
    made.run(made.load(SECRET, OTHER, name="batch", subject="C0001"))
    yield made
    made.ledger.close()


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_counts_are_shown_and_name_nobody(world: SmallWorld) -> None:
    done = ask()
    assert done.exit_code == 0, done.output
    words = [line.split() for line in done.output.splitlines()]
    assert ["1", "PROCESSED"] in words
    assert ["1", "PENDING_CHANGE"] in words
    assert ["2", "all", "rows", "2", "with", "text", "in", "the", "accession", "number"] in words
    assert SECRET not in done.output


def test_files_are_written_where_they_are_asked_for(world: SmallWorld, tmp_path: Path) -> None:
    done = ask("batch", "--form", "csv", "--form", "html", "--to", tmp_path / "out")
    assert done.exit_code == 0, done.output
    table, page = sorted((tmp_path / "out").iterdir())
    assert SECRET in table.read_text()
    assert "<svg" in page.read_text()
    assert "--redact" in done.output


def test_redacted_files_name_nobody(world: SmallWorld, tmp_path: Path) -> None:
    forms = [word for form in ("csv", "lines", "json", "markdown") for word in ("--form", form)]
    done = ask(*forms, "--redact", "--to", tmp_path / "out")
    assert done.exit_code == 0, done.output
    for path in (tmp_path / "out").iterdir():
        text = path.read_text()
        assert not [name for name in (SECRET, OTHER, "C0001") if name in text], path.name


def test_a_list_of_accession_numbers_may_be_asked_about(world: SmallWorld, tmp_path: Path) -> None:
    asked = tmp_path / "asked.csv"
    asked.write_text(f"ACCESSION_NUM\n{SECRET}\nNOBODY-KNOWS\n")
    done = ask("--file", asked, "--form", "csv", "--to", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "NOT_FOUND" in done.output
    (table,) = (tmp_path / "out").iterdir()
    rows = [row for row in csv.reader(table.open()) if row and not row[0].startswith("#")]
    assert any("NOBODY-KNOWS" in row for row in rows)


def test_a_report_of_a_moment_takes_the_place_of_no_scheduled_one(
    world: SmallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings()
    nightly = redacted(summarize(world.ledger, "default"))
    (kept,) = write_reports(nightly, ["csv"], report_folder(settings, "default")).files
    before = kept.read_bytes()
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    for arguments in ([], ["--status", "pending"], ["batch"], ["batch", "--status", "!pending"]):
        done = ask(*arguments, "--form", "csv")
        assert done.exit_code == 0, done.output
    assert kept.read_bytes() == before
    names = [path.name.split("-detailed-")[0] for path in sorted(here.iterdir())]
    assert names == ["default-batch", "default-batch-filtered", "default", "default-filtered"]


def test_several_studies_are_shown_by_partition_and_an_overview_has_none(
    world: SmallWorld, tmp_path: Path
) -> None:
    world.put_study(OTHER, study="one", instances=1)
    world.put_study(OTHER, study="two", instances=3)
    world.run(["batch~000002"])
    done = ask("--studies", "--form", "csv", "--to", tmp_path)
    assert done.exit_code == 0, done.output
    shown = [line.split(maxsplit=2) for line in done.output.splitlines() if "Instances:" in line]
    assert [line[0] for line in shown][:1] == ["batch~000002"]
    assert sorted("Instances: 3" in line[-1] for line in shown) == [False, True]
    assert OTHER not in done.output
    (table,) = tmp_path.glob("*.csv")
    assert "SHOW_MULTIUUIDS,True" in table.read_text().replace(": ,", ",").replace(":,", ",")
    done = ask("--studies", "--overview")
    assert done.exit_code == 1
    assert "Leave out --overview or --studies" in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--form", "pdf"], "no form 'pdf'"),
        (["nosuch"], "nosuch"),
        (["-w", "nosuch"], "no workspace 'nosuch'"),
    ],
)
def test_what_does_not_exist_is_said_so(world: SmallWorld, arguments: list[str], said: str) -> None:
    done = ask(*arguments)
    assert done.exit_code == 1
    assert said in done.output
