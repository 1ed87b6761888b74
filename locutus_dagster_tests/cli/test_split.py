"""`locutus split`: a manifest's file in several files, and what is said about them."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from locutus_dagster.cli.split import split_command
from locutus_dagster_tests.manifests.files import GOOD_ROW, row, write

app = typer.Typer()
app.command("split")(split_command)


@app.command("other")
def _other() -> None:
    """With a second command, the first keeps its name."""


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")


def split(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["split", *map(str, arguments)])


def manifest(folder: Path, rows: int) -> Path:
    return write(folder, *(row(accession=f"ACC-SECRET-{n}") for n in range(rows)))


def test_parts_are_listed_with_their_rows_and_lines(tmp_path: Path) -> None:
    done = split(manifest(tmp_path, 5), "--parts", 2, "--suffix", "mon")
    assert done.exit_code == 0, done.output
    said = [line.split() for line in done.output.splitlines()]
    assert ["study.mon_subbatch01.csv", "3", "2", "to", "4"] in said
    assert ["study.mon_subbatch02.csv", "2", "5", "to", "6"] in said
    assert f"5 rows in 2 part(s), in {tmp_path}." in done.output
    assert "need not be split" in done.output
    assert "SECRET" not in done.output
    assert (tmp_path / "study.mon_subbatch02.csv").exists()


def test_parts_go_into_the_folder_that_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    done = split(manifest(tmp_path, 5), "--max-rows", 2, "--suffix", "s", "--into", folder)
    assert done.exit_code == 0, done.output
    assert sorted(one.name for one in folder.iterdir()) == [
        f"study.s_subbatch0{n}.csv" for n in (1, 2, 3)
    ]


def test_fewer_parts_than_asked_for_are_told(tmp_path: Path) -> None:
    done = split(manifest(tmp_path, 2), "--parts", 5, "--suffix", "s")
    assert done.exit_code == 0, done.output
    assert "Fewer parts than asked for: the file has 2 rows." in done.output


def test_earlier_parts_are_kept_unless_forced_and_those_left_over_are_named(tmp_path: Path) -> None:
    path = manifest(tmp_path, 4)
    assert split(path, "--parts", 3, "--suffix", "s").exit_code == 0
    refused = split(path, "--parts", 2, "--suffix", "s")
    assert refused.exit_code == 1
    assert "3 file(s) of an earlier splitting are there" in refused.output
    forced = split(path, "--parts", 2, "--suffix", "s", "--force")
    assert forced.exit_code == 0, forced.output
    assert "1 part(s) of an earlier splitting are still there: study.s_subbatch03.csv" in (
        forced.output
    )


@pytest.mark.parametrize("how", [(), ("--parts", 2, "--max-rows", 2)])
def test_it_is_either_parts_or_rows(tmp_path: Path, how: tuple[object, ...]) -> None:
    done = split(manifest(tmp_path, 4), "--suffix", "s", *how)
    assert done.exit_code == 1
    assert "either how many parts or how many rows" in done.output
    assert [one.name for one in tmp_path.iterdir()] == ["study.csv"]


def test_a_file_that_is_no_manifest_is_one_message(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD_ROW, header="SUBJECT_ID,ACCESSION_NUM")
    done = split(path, "--parts", 2, "--suffix", "s")
    assert done.exit_code == 1
    assert "the header does not fit" in done.output
