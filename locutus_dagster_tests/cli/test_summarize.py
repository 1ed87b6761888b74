"""`locutus summarize`: counts on the terminal, files in the forms asked for."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from locutus_dagster.cli.summarize import summarize_command
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
