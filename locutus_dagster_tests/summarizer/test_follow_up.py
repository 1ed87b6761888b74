"""`locutus follow-up`: the manifest for the next step, which loads as it is."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from locutus_dagster.cli.follow_up import follow_up_command
from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.selection import Selection
from locutus_dagster.manifests import MANIFEST_COLUMNS, load_manifest
from locutus_dagster.summarizer.follow_up import FollowUpError, write_follow_up
from locutus_dagster.summarizer.gathering import summarize
from locutus_dagster_tests.cli.a_home import make_home
from locutus_dagster_tests.manifests.files import row
from locutus_dagster_tests.summarizer.site import bring, load

app = typer.Typer()
app.command("follow-up")(follow_up_command)


@app.command("other")
def _other() -> None:
    """With a second command, the first keeps its name."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """The ledger of a home: SECRET-0 and -1 failed, -2 is ambiguous, -3 delivered, -4 pending."""
    ledger = make_home(tmp_path, monkeypatch).ledger
    monkeypatch.setenv("COLUMNS", "300")
    rows = [
        row(subject=f"S{n}", accession=f"SECRET-{n}", position='HEAD, "LEFT"'.replace('"', ""))
        for n in range(5)
    ]
    rows = [one.replace("HEAD, LEFT", '"HEAD, LEFT"') for one in rows]
    rows[1] = rows[1].removesuffix(",,") + ",pass,"
    made = load(ledger, tmp_path, *rows, rows[0], name="spring", workspace="default")
    states = (State.FAILED, State.FAILED, State.AMBIGUOUS, State.DELIVERED, State.PENDING)
    for one, state in zip(made, states, strict=True):
        bring(ledger, one, state, reason="x")
    yield ledger
    ledger.close()


def follow_up(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["follow-up", *map(str, arguments)])


def cells(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def test_what_failed_is_written_and_loads_without_edits(home: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "again.csv"
    done = follow_up("--status", "failed", "--out", path)
    assert done.exit_code == 0, done.output
    assert "Wrote 2 rows" in done.output
    assert "SECRET-" not in done.output
    assert path.stat().st_mode & 0o777 == 0o600
    assert cells(path) == [
        list(MANIFEST_COLUMNS),
        ["S0", "CT", "4000", "HEAD, LEFT", "SECRET-0", "", ""],
        ["S1", "CT", "4000", "HEAD, LEFT", "SECRET-1", "pass", ""],
    ]
    report = load_manifest(home, path, workspace="default")
    assert (report.accepted, report.rejected) == (2, ())
    assert not any(one.attributes_differ for one in report.duplicates)
    loaded = home.manifest_items("default", "again")
    assert [one.accession_number for one in loaded] == ["SECRET-0", "SECRET-1"]
    # Both rows of each failed accession are chosen now, and it still comes once.
    assert follow_up("--status", "failed", "--out", tmp_path / "third.csv").exit_code == 0
    assert len(cells(tmp_path / "third.csv")) == 3


def test_what_is_to_be_resolved_has_the_resolvers_format(home: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "resolve.csv"
    done = follow_up("--status", "ambiguous", "--out", path)
    assert done.exit_code == 0, done.output
    assert "RESOLVE_VIA" in done.output
    header, only = cells(path)
    assert header[-2:] == [
        "locutus_manifest_ver:locutus.onprem_dicom.resolve_multiuuids.2024oct22",
        "RESOLVE_VIA",
    ]
    assert only[4:] == ["SECRET-2", "", "", ""]
    assert load_manifest(home, path, workspace="default", dry_run=True).accepted == 1
    path.write_text(path.read_text().replace(",,,", ",,,CONSOLIDATE_LOCALLY"))
    assert load_manifest(home, path, workspace="default").accepted == 1
    assert home.manifest_items("default", "resolve")[0].resolve_via == "CONSOLIDATE_LOCALLY"


def test_words_and_manifests_choose_as_they_do_for_status(home: Ledger, tmp_path: Path) -> None:
    load(
        home, tmp_path, row(subject="S9", accession="SECRET-9"), name="autumn", workspace="default"
    )
    path = tmp_path / "open.csv"
    done = follow_up("--status", "unfinished", "--status", "!PENDING_CHANGE", "--out", path)
    assert done.exit_code == 0, done.output
    assert [line[4] for line in cells(path)[1:]] == [f"SECRET-{n}" for n in (0, 1, 2, 9)]
    narrow = ("--status", "unfinished", "--manifest", "autumn", "--out", path, "--overwrite")
    assert follow_up(*narrow).exit_code == 0
    assert [line[4] for line in cells(path)[1:]] == ["SECRET-9"]
    unknown = follow_up("--status", "failed", "--manifest", "winter", "--out", tmp_path / "x.csv")
    assert unknown.exit_code == 1
    assert "no manifest named 'winter'" in unknown.output


def test_a_changed_row_is_the_one_that_is_written(home: Ledger, tmp_path: Path) -> None:
    wish = row(subject="S3", accession="SECRET-3", age="11")
    changed = load(home, tmp_path, wish, name="wish", workspace="default")[0]
    home.note_changed(changed.row_id, "attributes")
    made = write_follow_up(home, "default", Selection(changed=True), tmp_path / "changed.csv")
    assert made.rows == 1
    assert cells(made.path)[1][2] == "11"


def test_of_several_rows_the_one_that_was_processed_last_is_written(
    home: Ledger, tmp_path: Path
) -> None:
    wish = row(subject="S0", accession="SECRET-0", age="11")
    later = load(home, tmp_path, wish, name="wish", workspace="default")[0]
    failed = Selection(states=frozenset({State.FAILED}))
    made = write_follow_up(home, "default", failed, tmp_path / "before.csv")
    assert cells(made.path)[1][2] == "4000"
    bring(home, later, State.FAILED, reason="x")
    made = write_follow_up(home, "default", failed, tmp_path / "after.csv")
    assert cells(made.path)[1][2] == "11"


def test_a_file_that_is_there_is_kept_unless_it_may_be_replaced(
    home: Ledger, tmp_path: Path
) -> None:
    path = tmp_path / "again.csv"
    path.write_text("edited")
    refused = follow_up("--status", "failed", "--out", path)
    assert (refused.exit_code, path.read_text()) == (1, "edited")
    assert "exists already" in refused.output
    assert follow_up("--status", "failed", "--out", path, "--overwrite").exit_code == 0
    assert len(cells(path)) == 3


def test_where_nothing_stands_so_nothing_is_written(home: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "none.csv"
    done = follow_up("--status", "recalled", "--out", path)
    assert done.exit_code == 1
    assert "No accession stands so" in done.output
    assert not path.exists()
    with pytest.raises(FollowUpError, match="cannot be written"):
        write_follow_up(home, "default", Selection(), tmp_path / "no" / "folder" / "x.csv")


def test_a_name_that_is_taken_and_words_that_nobody_knows_are_told(
    home: Ledger, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    done = follow_up("--status", "failed", "--out", folder / "spring.csv")
    assert done.exit_code == 0, done.output
    assert "load this one under another name" in done.output
    unknown = follow_up("--status", "fialed", "--out", folder / "x.csv")
    assert unknown.exit_code == 1
    assert "Did you mean 'failed'?" in unknown.output
    elsewhere = follow_up("--status", "failed", "--out", folder / "y.csv", "-w", "nowhere")
    assert elsewhere.exit_code == 1
    assert "There is no workspace 'nowhere'" in elsewhere.output


def test_what_a_newer_manifest_asks_for_otherwise_is_written_as_it_asks_for_it(
    home: Ledger, tmp_path: Path
) -> None:
    for name, age in (("second", "4100"), ("third", "4200")):
        asked = row(subject="S3", accession="SECRET-3", age=age)
        load(home, tmp_path, asked, name=name, workspace="default")
    # A run has come to the second, and to none of the third.
    (second,) = home.manifest_items("default", "second")
    home.note_changed(second.row_id, "attributes")
    counted = summarize(home, "default")
    assert sum(one.count for one in counted.buckets if "PREVIOUS" in one.label) == 2
    for number, word in enumerate(("changed", "PREVIOUS_PROCESSING")):
        path = tmp_path / f"changed{number}.csv"
        done = follow_up("--status", word, "--out", path)
        assert done.exit_code == 0, done.output
        assert [line[2] for line in cells(path)[1:]] == ["4200"]
