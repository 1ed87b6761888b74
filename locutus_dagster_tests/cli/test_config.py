"""`locutus config`: a first settings file that loads, and the settings that apply, checked."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from locutus_dagster.cli import app
from locutus_dagster.deid import DEFAULT_MODALITIES
from locutus_dagster.settings import (
    FolderSourceSettings,
    GcsTargetSettings,
    OrthancSourceSettings,
    S3TargetSettings,
    ShareTargetSettings,
    load_settings,
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of its own, and nothing from the environment of whoever runs the tests."""
    for name in list(os.environ):
        if name.upper().startswith(("LOCUTUS_", "VAULT_")) or name == "PATH_TO_CONFIG":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
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


def test_a_file_for_buckets_is_written_and_loads(home: Path, tmp_path: Path) -> None:
    done = init(
        *("--folder", tmp_path / "in", "--share", tmp_path / "out"),
        *("--s3-bucket", "deliveries", "--gcs-bucket", "far-deliveries"),
    )
    assert done.exit_code == 0, done.output
    targets = load_settings().workspace("default").targets
    assert list(targets) == ["share", "s3", "gcs"]
    share, s3, gcs = targets.values()
    assert isinstance(share, ShareTargetSettings)
    assert isinstance(s3, S3TargetSettings)
    assert isinstance(gcs, GcsTargetSettings)
    assert (share.path, s3.bucket, gcs.bucket) == (
        tmp_path / "out",
        "deliveries",
        "far-deliveries",
    )


def test_the_file_names_the_schema_that_is_written_beside_it(home: Path, tmp_path: Path) -> None:
    init("--folder", tmp_path / "in", "--share", tmp_path / "out")
    first = (home / "locutus.yaml").read_text().splitlines()[0]
    name = first.partition("$schema=")[2]
    assert (home / name).read_text() == locutus("config", "schema").output
    assert json.loads((home / name).read_text())["title"] == "locutus.yaml"


def test_what_the_file_suggests_in_comments_loads_too(home: Path, tmp_path: Path) -> None:
    init(
        *("--orthanc", "https://pacs", "--share", tmp_path / "out"),
        *("--s3-bucket", "deliveries", "--gcs-bucket", "far-deliveries"),
    )
    path = home / "locutus.yaml"
    plain = load_settings()
    # What is prose has one blank after its sign.
    path.write_text(re.sub(r"^( *)#(?! \S)", r"\1", path.read_text(), flags=re.MULTILINE))
    settings = load_settings()
    assert settings.scratch_limit == plain.scratch_limit
    assert settings.batch_size == plain.batch_size
    assert settings.run == plain.run
    suggested, default = settings.workspace("default"), plain.workspace("default")
    assert suggested.targets["share"] == default.targets["share"]
    assert suggested.modalities == DEFAULT_MODALITIES
    assert suggested.policy == default.policy
    assert suggested.several_patients == "withhold"
    assert suggested.qc == default.qc
    assert suggested.schedule is not None
    assert settings.ledger_address.startswith("postgresql+psycopg2://")
    assert settings.vault.address == "https://vault.example:8200"


def test_a_file_that_is_there_is_not_overwritten(home: Path, tmp_path: Path) -> None:
    home.mkdir()
    (home / "locutus.yaml").write_text("batch_size: 7\n")
    done = init("--folder", tmp_path / "in", "--share", tmp_path / "out")
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
    "url",
    ["http://reader:hush-hush@pacs:8042", "http://hush-hush@pacs", "http://u:hush-hush/x@pacs"],
)
def test_a_url_with_a_user_is_refused_and_not_repeated(home: Path, url: str) -> None:
    done = init("--orthanc", url, "--share", "/out")
    assert done.exit_code == 1
    assert "--username NAME --password env:NAME" in done.output
    assert "hush-hush" not in done.output
    assert not home.exists()


def test_the_file_is_for_nobody_else_to_read(home: Path) -> None:
    assert init("--folder", "/in", "--share", "/out").exit_code == 0
    assert (home / "locutus.yaml").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (("--share", "/out"), "--orthanc URL or --folder PATH"),
        (("--share", "/out", "--orthanc", "http://x", "--folder", "/in"), "Name one source"),
        (("--folder", "/in"), "--share PATH, --s3-bucket NAME or --gcs-bucket NAME"),
        (("--folder", "/in", "--share", "~nobody_at_all/out"), "--share: nobody here has"),
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
    done = init("--folder", tmp_path / "in", "--share", tmp_path / "out", "-w", name)
    assert done.exit_code == 1
    assert "Traceback" not in done.output
    assert not (home / "locutus.yaml").exists()


def test_a_share_that_is_the_source_leaves_no_file(home: Path, tmp_path: Path) -> None:
    done = init("--folder", tmp_path, "--share", tmp_path)
    assert done.exit_code == 1
    assert "deliveries would be taken for studies" in done.output
    assert not (home / "locutus.yaml").exists()


# -- show ----------------------------------------------------------------------------------------


def rows(done: Result) -> dict[str, list[str]]:
    """The lines of the table, by key."""
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines() if not line.startswith("#")]
    return {line[0]: line[1:] for line in lines}


def test_show_prints_every_setting_that_applies_and_where_it_was_said(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init("--folder", tmp_path / "in", "--share", tmp_path / "out")
    monkeypatch.setenv("LOCUTUS_BATCH_SIZE", "9")
    monkeypatch.setenv("locutus_test", "True")
    done = locutus("config", "show")
    assert done.stdout.startswith(f"# file: {home / 'locutus.yaml'}\n")
    shown = rows(done)
    assert shown["key"] == ["value", "from"]
    assert shown["batch_size"] == ["9", "LOCUTUS_BATCH_SIZE"]
    assert shown["run.dry_run"] == ["true", "locutus_test"]
    assert shown["run.max_passes"] == ["11", "default"]
    value, place = shown["workspaces.default.targets.share.path"]
    assert value == str(tmp_path / "out")
    assert place.startswith("locutus.yaml:")


def test_show_may_be_narrowed_to_a_workspace_and_to_what_is_said(
    home: Path, tmp_path: Path
) -> None:
    init("--folder", tmp_path / "in", "--share", tmp_path / "out", "-w", "chop")
    changed = rows(locutus("config", "show", "--changed", "--no-origins"))
    assert changed["home"] == [str(home)]
    assert "batch_size" not in changed
    own = rows(locutus("config", "show", "-w", "chop"))
    del own["key"]
    assert own
    assert all(key.startswith("workspaces.chop.") for key in own)
    done = locutus("config", "show", "-w", "chip")
    assert done.exit_code == 1
    assert "no workspace 'chip' (known: chop)" in done.output


def test_show_prints_json_and_lines_as_the_reference_logs_them(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCUTUS_BATCH_SIZE", "9")
    shown = json.loads(locutus("config", "show", "--json").stdout)
    assert shown["batch_size"] == {
        "value": "9",
        "secret": False,
        "layer": "environment",
        "place": "LOCUTUS_BATCH_SIZE",
    }
    bare = json.loads(locutus("config", "show", "--json", "--no-origins", "--changed").stdout)
    assert bare["batch_size"] == {"value": "9", "secret": False}
    lines = locutus("config", "show", "--cfg-out").stdout.splitlines()
    assert lines[0] == "CFG_OUT:,KEY_TYPE,KEY,VALUE"
    assert "CFG_OUT:,env,batch_size,9" in lines
    assert all(line.startswith("CFG_OUT:,") for line in lines)
    assert locutus("config", "show", "--json", "--cfg-out").exit_code == 2


@pytest.mark.parametrize("form", [(), ("--json",), ("--cfg-out",)])
def test_show_hides_secrets_and_warns_of_them(home: Path, form: tuple[str, ...]) -> None:
    home.mkdir()
    (home / "locutus.yaml").write_text(
        """\
ledger_url: "postgresql://u:hush-hush@db/l"
workspaces:
  chop:
    source: {kind: orthanc, url: "http://pacs", username: u, password: "hush-hush"}
    target: {path: /out}
    secret: "hush-hush"
"""
    )
    done = locutus("config", "show", *form)
    assert done.exit_code == 0, done.output
    assert "hush-hush" not in done.output
    assert "postgresql://u:********@db/l" in done.stdout
    assert "locutus.yaml:4:62: workspaces.chop.source.password: a secret stands" in done.stderr


def test_show_tells_faults_as_one_message(home: Path) -> None:
    home.mkdir()
    (home / "locutus.yaml").write_text("batch_size: none\nwrokers: 3\n")
    done = locutus("config", "show")
    assert done.exit_code == 1
    assert "2 faults" in done.output
    assert "Traceback" not in done.output


# -- check ---------------------------------------------------------------------------------------


def test_check_is_content_with_a_sound_file(home: Path, tmp_path: Path) -> None:
    init("--folder", tmp_path / "in", "--share", tmp_path / "out")
    done = locutus("config", "check")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"The settings are sound: {home / 'locutus.yaml'}, 1 workspace.\n"


def test_check_tells_every_fault_and_exits_with_1(home: Path) -> None:
    home.mkdir()
    (home / "locutus.yaml").write_text("batch_size: none\nwrokers: 3\n")
    done = locutus("config", "check")
    assert done.exit_code == 1
    assert "locutus.yaml:1:1: batch_size: should be a whole number" in done.stderr
    assert "locutus.yaml:2:1: wrokers: is not a setting; did you mean 'workers'?" in done.stderr


def test_check_follows_links_and_reads_the_policies(home: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "in")
    init("--folder", tmp_path / "in", "--share", tmp_path / "link" / "out")
    path = home / "locutus.yaml"
    path.write_text(path.read_text().replace("#policy: basic", "policy: no-such-policy"))
    assert locutus("config", "show").exit_code == 0
    done = locutus("config", "check")
    assert done.exit_code == 1
    assert "targets.share.path (links followed): overlaps the source" in done.stderr
    assert "workspaces.default.policy: The policy 'no-such-policy'" in done.stderr


def test_check_fetches_every_secret_and_prints_none(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    (tmp_path / "ring").write_text("hush-hush")
    (home / "locutus.yaml").write_text(
        f"""\
workspaces:
  chop:
    source: {{kind: orthanc, url: "http://pacs", username: u, password: "env:PACS"}}
    target: {{path: /out}}
    secret: "file:{tmp_path / "ring"}"
"""
    )
    assert locutus("config", "check").exit_code == 0
    monkeypatch.delenv("PACS", raising=False)
    done = locutus("config", "check", "--secrets")
    assert done.exit_code == 1
    assert "workspaces.chop.source.password: The secret env:PACS is not set." in done.stderr
    assert f"workspaces.chop.secret: file:{tmp_path / 'ring'}: ok" in done.stdout
    monkeypatch.setenv("PACS", "hush-hush")
    done = locutus("config", "check", "--secrets")
    assert done.exit_code == 0, done.output
    assert "workspaces.chop.source.password: env:PACS: ok" in done.stdout
    assert "hush-hush" not in done.output
