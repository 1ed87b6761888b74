"""`locutus demo` on a machine that has nothing: what it tells, and what it leaves behind."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import subprocess
import zlib
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from locutus_dagster.demo.pacs import DemoPacs, build_demo_pacs
from locutus_dagster_tests.e2e.leaks import IdentifierSearch
from locutus_dagster_tests.e2e.research_site import Line, closing_table, environment, members
from locutus_dagster_tests.parts.dagster_processes import program

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Demo:
    """A demo that has been run.

    Attributes:
        pacs: the same PACS, built a second time elsewhere, which says what was planted in it.
    """

    folder: Path
    done: subprocess.CompletedProcess[str]
    pacs: DemoPacs

    @property
    def lines(self) -> dict[str, Line]:
        """The closing table by accession number."""
        return {line.accession: line for line in closing_table(self.done.stdout)}

    @property
    def identified(self) -> list[Path]:
        """Where identifiers belong."""
        home = self.folder / "home"
        return [
            self.folder / "pacs",
            self.folder / "manifest.csv",
            home / "private",
            home / "scratch",
        ]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo") / "demo"
    done = subprocess.run(
        [program("locutus"), "demo", "--folder", str(folder)],
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment(COLUMNS="400", LOCUTUS_WORKERS="2"),
        cwd=folder.parent,
        stdin=subprocess.DEVNULL,
        timeout=240,
    )
    return Demo(folder, done, build_demo_pacs(tmp_path_factory.mktemp("again")))


@pytest.fixture
def search(demo: Demo) -> IdentifierSearch:
    return IdentifierSearch((*demo.pacs.invented_identifiers, *demo.pacs.accessions))


def test_the_demo_succeeds(demo: Demo) -> None:
    assert demo.done.returncode == 0, demo.done.stdout + demo.done.stderr


def test_its_table_names_every_accession_in_the_manifests_order(demo: Demo) -> None:
    assert tuple(demo.lines) == demo.pacs.accessions


def test_the_missing_study_is_pending_and_every_other_one_delivered(demo: Demo) -> None:
    statuses = {accession: line.status for accession, line in demo.lines.items()}
    missing = demo.pacs.missing_accession
    assert statuses.pop(missing) == "PENDING_CHANGE"
    assert set(statuses.values()) == {"PROCESSED"}
    assert demo.lines[missing].delivered is None


def test_delivered_and_withheld_add_up_to_what_the_pacs_holds(demo: Demo) -> None:
    for accession, line in demo.lines.items():
        if accession != demo.pacs.missing_accession:
            held = len(list(demo.pacs.root.glob(f"*/{accession}_*/**/*.dcm")))
            assert (line.delivered or 0) + (line.withheld or 0) == held, accession


def test_the_damaged_file_is_withheld_and_the_rest_of_its_study_delivered(demo: Demo) -> None:
    line = demo.lines[demo.pacs.damaged_accession]
    assert line.withheld == 1
    assert line.delivered == 8


def test_what_must_be_withheld_is_withheld_and_nothing_else(demo: Demo) -> None:
    withheld = {accession for accession, line in demo.lines.items() if line.withheld}
    assert withheld == {demo.pacs.damaged_accession, demo.pacs.withheld_accession}


def test_each_zip_lies_where_the_table_says_with_as_many_members(demo: Demo) -> None:
    zips = {path for path in (demo.folder / "delivered").rglob("*") if path.is_file()}
    told = {
        demo.folder.parent / line.where: line.delivered
        for line in demo.lines.values()
        if line.delivered
    }
    assert set(told) == zips
    for path, delivered in told.items():
        assert len(members(path)) == delivered


def test_no_identifier_is_outside_the_places_that_are_meant_for_it(
    demo: Demo, search: IdentifierSearch
) -> None:
    seen = {path.name for path in demo.folder.rglob("*")}
    assert {"runs.db", "index.db", "locutus.yaml"} <= seen  # it does look at something
    assert search.in_tree(demo.folder, besides=demo.identified) == []


def test_no_identifier_is_in_what_the_demo_printed_as_errors(
    demo: Demo, search: IdentifierSearch
) -> None:
    assert search.in_bytes("standard error", demo.done.stderr.encode()) == []


def test_the_search_knows_every_identifier_that_the_pacs_holds(
    demo: Demo, search: IdentifierSearch
) -> None:
    found = {finding.identifier for finding in search.in_tree(demo.folder / "pacs")}
    absent = {demo.pacs.missing_accession}
    assert found == {*demo.pacs.invented_identifiers, *demo.pacs.accessions} - absent


def test_the_search_finds_one_identifier_planted_in_what_the_demo_left(
    demo: Demo, search: IdentifierSearch, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(demo.folder / "home" / "dagster", copy)
    assert search.in_tree(copy) == []
    victim = demo.pacs.invented_identifiers[0]
    database = next(copy.glob("history/runs/*-*.db"))
    with closing(sqlite3.connect(database)) as connection, connection:
        text = f"could not read the study of {victim}"
        connection.execute("UPDATE event_logs SET event = ? WHERE id = 1", (text,))
    with closing(sqlite3.connect(copy / "history" / "runs.db")) as connection, connection:
        snapshot = zlib.compress(f'{{"who": "{victim}"}}'.encode())
        connection.execute("UPDATE snapshots SET snapshot_body = ?", (snapshot,))
    found = search.in_tree(copy)
    assert {finding.identifier for finding in found} == {victim}
    places = " ".join(finding.place for finding in found)
    assert "event_logs.event" in places
    assert "snapshots.snapshot_body, inflated" in places


def test_what_is_private_is_so_to_its_owner_alone(demo: Demo) -> None:
    home = demo.folder / "home"
    for folder in (home, home / "private", home / "scratch"):
        assert _mode(folder) == 0o700, folder.name
    secret = home / "private" / "default.secret"
    for path in (home / "private").rglob("*"):
        assert _mode(path) == 0o600, path.name
    assert secret.is_file()


def test_the_scratch_space_is_empty_afterwards(demo: Demo) -> None:
    scratch = demo.folder / "home" / "scratch"
    files = [path for path in scratch.rglob("*") if path.is_file()]
    assert [path.relative_to(scratch).as_posix() for path in files] == [".budget"]
    assert files[0].stat().st_size == 0
    assert _mode(files[0]) == 0o600
    assert list(scratch.glob("*/a*")) == []


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
