"""`locutus pause` and `locutus resume`: which switch is set, and what is said about it."""

from __future__ import annotations

import getpass
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from locutus_dagster.cli.pause import pause_command, resume_command
from locutus_dagster.defs.names import asset_key
from locutus_dagster.defs.pause import NOT_PAUSED
from locutus_dagster.ledger import Ledger
from locutus_dagster.pipeline.host import HOST
from locutus_dagster.pipeline.outcomes import Artifact
from locutus_dagster.settings import load_settings


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """The ledger of a home with two workspaces and no Dagster yet."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("LOCUTUS_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    own = {"source": {"kind": "folder", "path": "/in"}, "target": {"path": "/out"}}
    text = json.dumps(
        {"workspaces": {"default": own, "spine": {**own, "target": {"path": "/spine"}}}}
    )
    (home / "locutus.yaml").write_text(text, encoding="utf-8")
    opened = Ledger.open(load_settings().ledger_address)
    yield opened
    opened.close()


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command("pause")(pause_command)
    app.command("resume")(resume_command)
    return CliRunner().invoke(app, list(arguments))


def paused(ledger: Ledger) -> dict[str, str]:
    """The reason of each switch that is set to pause."""
    return {switch.scope: switch.reason for switch in ledger.pauses() if switch.paused}


def check_passed(workspace: str = "default") -> bool | None:
    """What the UI says of the pause; None where nobody has told it."""
    key = dg.AssetCheckKey(asset_key(workspace, Artifact.RAW), NOT_PAUSED)
    with dg.DagsterInstance.get() as instance:
        found = instance.event_log_storage.get_asset_check_summary_records([key])
        record = found[key].last_check_execution_record
    return None if record is None or record.evaluation is None else record.evaluation.passed


def test_the_system_is_paused_with_a_reason_and_remembers_who_did_it(ledger: Ledger) -> None:
    done = run("pause", "--reason", "the  PACS\nmoves house")
    assert done.exit_code == 0, done.output
    assert "The system is paused: the PACS moves house." in done.output
    assert "What is at hand will be finished" in done.output
    (switch,) = ledger.pauses()
    assert (switch.scope, switch.paused, switch.reason) == (
        "system",
        True,
        "the PACS moves house",
    )
    assert switch.changed_by == f"{getpass.getuser()}@{HOST}"


@pytest.mark.parametrize(
    ("options", "scope"),
    [
        (["--node", "pacs1"], "node:pacs1"),
        (["--module", "processing"], "module:processing"),
        (["--module", "DICOM_OnPrem"], "module:processing"),
        (["--module", "dicom_summarize_stats"], "module:summarizer"),
        (["--module", "main_Locutus"], "system"),
    ],
)
def test_a_node_or_a_module_is_paused_and_resumed_alone(
    ledger: Ledger, options: list[str], scope: str
) -> None:
    ledger.set_pause("node:other", True, reason="another matter")
    assert run("pause", *options).exit_code == 0
    assert set(paused(ledger)) == {scope, "node:other"}
    done = run("resume", *options)
    assert "runs again." in done.output
    assert "Node other is still paused: another matter" in done.output
    assert set(paused(ledger)) == {"node:other"}


def test_the_command_that_resumes_is_said(ledger: Ledger) -> None:
    assert "locutus resume --node pacs1" in run("pause", "--node", "pacs1").output
    assert "locutus resume --module processing" in run("pause", "--module", "processing").output


def test_pausing_another_host_says_which_one_this_is(ledger: Ledger) -> None:
    assert f"This host is {HOST}" in run("pause", "--node", "pacs-of-nowhere").output
    assert "This host is" not in run("pause", "--node", HOST).output


def test_resuming_what_was_not_paused_says_so_and_sets_nothing(ledger: Ledger) -> None:
    done = run("resume")
    assert done.exit_code == 0
    assert "The system was not paused." in done.output
    assert ledger.pauses() == []


def test_everything_is_resumed_at_once(ledger: Ledger) -> None:
    for options in ([], ["--node", "pacs1"], ["--module", "summarizer"]):
        run("pause", *options)
    done = run("resume", "--all")
    for named in ("The system", "Node pacs1", "Module summarizer"):
        assert f"{named} runs again." in done.output
    assert paused(ledger) == {}
    assert "still" not in done.output
    assert "Nothing was paused." in run("resume", "--all").output


def test_the_list_shows_every_switch_that_was_ever_set(ledger: Ledger) -> None:
    assert "Nothing is paused, and never was." in run("pause", "--list").output
    ledger.set_pause("system", True, reason="[bold]house[/bold] moves", by="ann@here")
    ledger.set_pause("node:pacs1", True, by="bob@there")
    ledger.set_pause("node:pacs1", False, by="bob@there")
    done = run("pause", "--list")
    assert done.exit_code == 0
    header, node, system = (re.split(r" {2,}", line) for line in done.output.splitlines())
    assert header == ["switch", "stands", "since", "by", "reason"]
    assert [node[0], node[1], node[3], node[4]] == ["node:pacs1", "running", "bob@there", "-"]
    assert [system[0], system[1], system[3]] == ["system", "paused", "ann@here"]
    assert system[4] == "[bold]house[/bold] moves"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", system[2])
    assert len(ledger.pauses()) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["pause", "--module", "stager"], 1, "processing (DICOM_OnPrem, onprem_dicom)"),
        (["resume", "--module", "stager"], 1, "There is no module 'stager'"),
        (["pause", "--node", ""], 1, "not the name of a host"),
        (["pause", "--node", "two words"], 1, "not the name of a host"),
        (["pause", "--node", "x" * 191], 1, "not the name of a host"),
        (["pause", "--node", "a", "--module", "processing"], 2, "not both"),
        (["resume", "--all", "--node", "a"], 2, "without other options"),
        (["pause", "--list", "--reason", "x"], 2, "without other options"),
    ],
)
def test_what_makes_no_sense_is_refused_and_sets_nothing(
    ledger: Ledger, arguments: list[str], code: int, words: str
) -> None:
    done = run(*arguments)
    assert done.exit_code == code
    assert words in " ".join(done.output.replace("│", "").split())
    assert ledger.pauses() == []


def test_the_help_says_that_a_reason_names_nobody() -> None:
    assert "no accession number" in " ".join(run("pause", "--help").output.replace("│", "").split())


def test_somebody_without_a_name_may_pause(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    assert run("pause").exit_code == 0
    (switch,) = ledger.pauses()
    assert switch.changed_by == f"somebody@{HOST}"


def test_pausing_makes_no_dagster_where_there_is_none(ledger: Ledger, tmp_path: Path) -> None:
    assert run("pause").exit_code == 0
    assert not (tmp_path / "home" / "dagster").exists()


def test_dagster_shows_each_change_at_once_in_every_workspace(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    assert check_passed() is None
    run("pause", "--module", "processing")
    assert check_passed() is check_passed("spine") is False
    run("pause")
    run("resume")
    assert check_passed() is False  # the module still is
    run("resume", "--all")
    assert check_passed() is check_passed("spine") is True


def test_a_dagster_that_is_broken_keeps_nobody_from_pausing(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "dagster.yaml").write_text("storage: {nonsense: true}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    done = run("pause")
    assert done.exit_code == 0, done.output
    assert "Dagster could not be told" in done.output
    assert set(paused(ledger)) == {"system"}
