"""`locutus config`: a first settings file that loads, and a view of settings without secrets."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from locutus_dagster.cli import app
from locutus_dagster.deid import DEFAULT_MODALITIES
from locutus_dagster.settings import FolderSourceSettings, OrthancSourceSettings, load_settings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of its own, and nothing from the environment of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith("LOCUTUS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LOCUTUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "500")
    return tmp_path / "home"


def locutus(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def init(*arguments: object) -> Result:
    return locutus("config", "init", *arguments)


def test_a_file_for_an_orthanc_is_written_and_loads(home: Path, tmp_path: Path) -> None:
    done = init(
        *("--orthanc", "http://pacs:8042", "--username", 're"ader', "--password", "env:PACS"),
        *("--share", tmp_path / "my share"),
    )
    assert done.exit_code == 0, done.output
    assert f"Wrote {home / 'locutus.yaml'}" in done.output
    workspace = load_settings().workspace("default")
    assert isinstance(workspace.source, OrthancSourceSettings)
    assert (workspace.source.url, workspace.source.username) == ("http://pacs:8042", 're"ader')
    assert workspace.source.password == "env:PACS"
    assert workspace.targets["share"].path == tmp_path / "my share"


def test_a_file_for_a_folder_is_written_and_loads(home: Path, tmp_path: Path) -> None:
    done = init("--folder", tmp_path / "in: #1", "--share", tmp_path / "out", "-w", "chop")
    assert done.exit_code == 0, done.output
    workspace = load_settings().workspace("chop")
    assert isinstance(workspace.source, FolderSourceSettings)
    assert workspace.source.path == tmp_path / "in: #1"


def test_what_the_file_suggests_in_comments_loads_too(home: Path, tmp_path: Path) -> None:
    init("--folder", tmp_path, "--share", tmp_path)
    path = home / "locutus.yaml"
    plain = load_settings()
    lines = path.read_text().splitlines()
    path.write_text(
        "\n".join(line.replace("#", "", 1) if not line.startswith("# ") else line for line in lines)
    )
    settings = load_settings()
    assert settings.scratch_limit == plain.scratch_limit
    assert settings.batch_size == plain.batch_size
    assert settings.workspace("default").target == plain.workspace("default").target
    suggested, default = settings.workspace("default"), plain.workspace("default")
    assert suggested.modalities == DEFAULT_MODALITIES
    assert suggested.policy == default.policy
    assert suggested.several_patients == "withhold"
    assert settings.ledger_address.startswith("postgresql+psycopg2://")


def test_a_file_that_is_there_is_not_overwritten(home: Path, tmp_path: Path) -> None:
    home.mkdir()
    (home / "locutus.yaml").write_text("batch_size: 7\n")
    done = init("--folder", tmp_path, "--share", tmp_path)
    assert done.exit_code == 1
    assert "exists already" in done.output
    assert (home / "locutus.yaml").read_text() == "batch_size: 7\n"


def test_a_plain_password_is_refused_and_not_repeated(home: Path, tmp_path: Path) -> None:
    done = init("--orthanc", "http://pacs", "--password", "hush-hush", "--share", tmp_path)
    assert done.exit_code == 1
    assert "--password env:NAME" in done.output
    assert "hush-hush" not in done.output
    assert not home.exists()


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (("--share", "/out"), "--orthanc URL or --folder PATH"),
        (("--share", "/out", "--orthanc", "http://x", "--folder", "/in"), "Name one source"),
        (("--folder", "/in"), "--share PATH"),
    ],
)
def test_an_unclear_choice_is_refused(home: Path, arguments: tuple[str, ...], remedy: str) -> None:
    done = init(*arguments)
    assert done.exit_code == 1
    assert remedy in done.output
    assert not home.exists()


@pytest.mark.parametrize("name", ["Chop", "a-b", "a: b", "{x}"])
def test_a_workspace_name_that_will_not_do_leaves_no_file(
    home: Path, tmp_path: Path, name: str
) -> None:
    done = init("--folder", tmp_path, "--share", tmp_path, "-w", name)
    assert done.exit_code == 1
    assert "Traceback" not in done.output
    assert not (home / "locutus.yaml").exists()


def test_show_prints_the_settings_that_apply(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init("--folder", tmp_path, "--share", tmp_path / "out")
    monkeypatch.setenv("LOCUTUS_BATCH_SIZE", "9")
    done = locutus("config", "show")
    assert done.exit_code == 0, done.output
    first, _, rest = done.output.partition("\n")
    assert first == f"# file: {home / 'locutus.yaml'}"
    shown = json.loads(rest)
    assert shown["batch_size"] == 9
    assert shown["workspaces"]["default"]["target"]["path"] == str(tmp_path / "out")


def test_show_hides_secrets(home: Path) -> None:
    home.mkdir()
    (home / "locutus.yaml").write_text(
        """\
ledger_url: "postgresql://u:hush-hush@db/l"
workspaces:
  chop:
    source: {kind: orthanc, url: "http://u:hush-hush@pacs", password: "hush-hush"}
    target: {path: /out}
    secret: "hush-hush"
"""
    )
    done = locutus("config", "show")
    assert done.exit_code == 0, done.output
    assert "hush-hush" not in done.output
    assert "/out" in done.output


def test_show_tells_faults_as_one_message(home: Path) -> None:
    home.mkdir()
    (home / "locutus.yaml").write_text("batch_size: none\nwrokers: 3\n")
    done = locutus("config", "show")
    assert done.exit_code == 1
    assert "2 fault(s)" in done.output
    assert "Traceback" not in done.output
