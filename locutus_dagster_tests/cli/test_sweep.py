"""`locutus sweep`: what a person is told of the scratch folder, and what is removed from it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from locutus_dagster.cli.sweep import sweep_command
from locutus_dagster.interim import InterimStore
from locutus_dagster.ledger import Ledger
from locutus_dagster.ledger.inventory import lying
from locutus_dagster.pipeline.host import HOST
from locutus_dagster.settings import load_settings
from locutus_dagster_tests.ledger.rows import add_items, artifact

ACCESSION = "ACC-4711-SECRET"


class Site:
    """A home whose ledger knows one accession, and the room of that accession."""

    def __init__(self) -> None:
        settings = load_settings()
        self.store = InterimStore(settings.scratch_dir, settings.scratch_limit)
        self.ledger = Ledger.open(settings.ledger_address)
        (self.item,) = add_items(self.ledger, ACCESSION, name="batch", workspace="default")

    def lay(self, *, claimed: bool, host: str = HOST, days: float = 0) -> Path:
        """An identified file of a thousand bytes."""
        with self.store.claim("default", self.item.accession_id) as room:
            room.reserve(1000)
            room.raw_zip.write_bytes(bytes(1000))
            at = time.time() - days * 86400
            os.utime(room.raw_zip, (at, at))
        if claimed:
            self.ledger.record_extracted(
                self.item.accession_id,
                artifact(host=host, path=str(room.raw_zip)),
                source_study="handle",
                source_fingerprint="2" * 64,
            )
        return room.raw_zip


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("LOCUTUS_HOME", str(home))
    own = {"source": {"kind": "folder", "path": "/in"}, "target": {"path": "/out"}}
    text = json.dumps({"workspaces": {"default": own}})
    (home / "locutus.yaml").write_text(text, encoding="utf-8")
    made = Site()
    yield made
    made.ledger.close()


def sweep(*arguments: str) -> Result:
    app = typer.Typer()
    app.command("sweep")(sweep_command)
    return CliRunner().invoke(app, list(arguments))


def test_what_is_removed_is_a_table(site: Site) -> None:
    path = site.lay(claimed=False)
    done = sweep()
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.output.splitlines()]
    assert f"{site.store.root} on {HOST}: 1 rooms, 0 in use." in done.output
    assert ["done", "files", "bytes", "why"] in lines
    assert any(line[:4] == ["removed", "1", "1,000", "the"] for line in lines)
    assert "the ledger does not claim it" in done.output
    assert "identified files" not in done.output
    assert ACCESSION not in done.output
    assert not path.exists()


def test_a_dry_run_says_what_would_be_removed_and_removes_nothing(site: Site) -> None:
    path = site.lay(claimed=False)
    done = sweep("--dry-run")
    assert done.exit_code == 0, done.output
    assert "would be removed" in done.output
    assert path.exists()


def test_how_long_identified_files_may_wait_can_be_said(site: Site) -> None:
    path = site.lay(claimed=True, days=2)
    done = sweep()
    assert "a rerun resumes from it" in done.output
    assert "1 identified files lie there." in done.output
    assert f"left: {path}" not in done.output
    done = sweep("--max-age-days", "1")
    assert "identified, and older than the limit" in done.output
    assert lying(site.ledger) == []
    assert sweep("--max-age-days", "-1").exit_code == 2


def test_a_file_of_another_host_is_named_with_its_host(site: Site) -> None:
    path = site.lay(claimed=True, host="pacs2")
    done = sweep()
    assert f"left: {path} belongs to host pacs2" in done.output
    assert "The ledger has 1 files on host pacs2; sweep there, too." in done.output
    assert path.exists()


def test_foreign_files_are_counted_where_they_lie_and_not_named(site: Site) -> None:
    room = site.lay(claimed=True).parent
    (room / "Doe^Jane.dcm").write_text("")
    done = sweep()
    assert f"left: {room} holds what is not ours (1)" in done.output
    assert "Doe" not in done.output


def test_nothing_to_sweep_is_said(site: Site) -> None:
    done = sweep()
    assert done.exit_code == 0
    assert "There is nothing to sweep." in done.output


def test_what_cannot_be_removed_makes_the_command_fail(site: Site, tmp_path: Path) -> None:
    room = site.lay(claimed=False).parent
    (room / ".lock").unlink()
    (room / ".lock").symlink_to(tmp_path / "nowhere")
    done = sweep()
    assert done.exit_code == 2
    assert f"left: {room} cannot be removed" in done.output


def test_a_workspace_is_known_as_long_as_it_has_a_folder(site: Site) -> None:
    with site.store.claim("gone", 1) as room:
        room.raw_zip.write_bytes(b"identified")
    kept = site.lay(claimed=False)
    done = sweep("-w", "gone")
    assert done.exit_code == 0, done.output
    assert "the ledger does not know its workspace" in done.output
    assert kept.exists()

    for name in ("gone", "../home", ""):
        done = sweep("-w", name)
        assert done.exit_code == 1
        assert "known: default" in done.output


def test_a_ledger_of_somebody_else_s_is_one_message(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = site.lay(claimed=True)
    monkeypatch.setenv("LOCUTUS_LEDGER_URL", f"sqlite:///{tmp_path / 'other.sqlite'}")
    done = sweep()
    assert done.exit_code == 1
    assert "nothing was removed" in " ".join(done.output.split())
    assert path.exists()
