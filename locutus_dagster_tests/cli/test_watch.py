"""`locutus watch` in the foreground, of a PACS that is written by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from locutus_dagster.cli.watch import watch_command
from locutus_dagster.pipeline import parts
from locutus_dagster.pipeline.parts import Parts, build_parts
from locutus_dagster.settings import Settings
from locutus_dagster_tests.pipeline.watching_pacs import FakePacs


def test_a_target_that_is_gone_is_said_and_not_run_into_over_and_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pacs = FakePacs()
    for number in range(3):
        pacs.arrive(f"study-{number}", f"HOMELESS-{number}")
    pacs.rest()

    def with_the_pacs(settings: Settings, workspace: str, *, look_only: bool = False) -> Parts:
        made = build_parts(settings, workspace, look_only=look_only)
        made.source = pacs  # type: ignore[assignment]
        return made

    monkeypatch.setattr(parts, "build_parts", with_the_pacs)
    own = {
        "source": {"kind": "orthanc", "url": "http://127.0.0.1:1"},
        "target": {"path": str(tmp_path / "gone")},
        "watch": {"mode": "changes", "batch_size": 1},
    }
    (tmp_path / "locutus.yaml").write_text(json.dumps({"workspaces": {"default": own}}))
    monkeypatch.setenv("LOCUTUS_HOME", str(tmp_path))
    monkeypatch.setenv("LOCUTUS_WORKERS", "0")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    app = typer.Typer()
    app.command("watch")(watch_command)
    told = CliRunner().invoke(app, ["--looks", "2", "--interval", "1"])
    assert told.exit_code == 0, told.output
    # One run of each look, although more was to be processed; the second does not take the same.
    assert told.output.count("1 accessions: loaded") == 2
    assert "3 accessions to process" in told.output
    assert "2 accessions to process" in told.output
    assert told.output.count("is not there") == 2
    assert "HOMELESS" not in told.output
