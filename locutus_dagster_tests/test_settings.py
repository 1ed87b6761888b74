"""Settings: environment over file over default, every fault at once, and no secret shown."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from locutus_dagster.settings import (
    OrthancSourceSettings,
    SettingsError,
    config_file,
    load_settings,
    parse_size,
)

WORKSPACE = """\
workspaces:
  chop:
    source: {kind: orthanc, url: "http://pacs:8042", username: reader, password: "hush-hush"}
    target: {path: /mnt/share}
    secret: "env:hush-hush"
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of its own, and nothing from the environment of whoever runs the tests."""
    import os

    for name in list(os.environ):
        if name.startswith("LOCUTUS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LOCUTUS_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def write(home: Path, text: str) -> Path:
    path = home / "locutus.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def faults() -> str:
    with pytest.raises(SettingsError) as refusal:
        load_settings()
    return str(refusal.value)


# -- where settings come from --------------------------------------------------------------------


def test_without_file_and_environment_the_defaults_apply(home: Path) -> None:
    settings = load_settings()
    assert settings.batch_size == 50
    assert settings.scratch_limit == 20 * 1024**3
    assert settings.workers >= 1
    assert settings.workspaces == {}


def test_the_file_wins_over_the_defaults_and_the_environment_over_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, "batch_size: 7\nworkers: 3\n")
    monkeypatch.setenv("LOCUTUS_WORKERS", "5")
    settings = load_settings()
    assert (settings.batch_size, settings.workers) == (7, 5)


def test_overrides_win_over_the_file_but_not_over_the_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, "batch_size: 7\nworkers: 3\n")
    monkeypatch.setenv("LOCUTUS_WORKERS", "5")
    settings = load_settings(batch_size=9, workers=9)
    assert (settings.batch_size, settings.workers) == (9, 5)


def test_the_file_may_lie_elsewhere(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, "batch_size: 7")
    (tmp_path / "other.yaml").write_text("batch_size: 8")
    monkeypatch.setenv("LOCUTUS_CONFIG", str(tmp_path / "other.yaml"))
    assert config_file() == tmp_path / "other.yaml"
    assert load_settings().batch_size == 8


@pytest.mark.parametrize("content", ["", "# nothing yet\n", "---\n"])
def test_an_empty_file_is_as_good_as_none(home: Path, content: str) -> None:
    write(home, content)
    assert load_settings().batch_size == 50


def test_a_workspace_in_the_environment_joins_that_of_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, WORKSPACE)
    other = {"two": {"source": {"kind": "folder", "path": "/in"}, "target": {"path": "/out"}}}
    monkeypatch.setenv("LOCUTUS_WORKSPACES", json.dumps(other))
    assert sorted(load_settings().workspaces) == ["chop", "two"]


def test_folders_are_absolute_and_a_tilde_is_the_home_folder(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOCUTUS_HOME", "~/elsewhere")
    settings = load_settings(scratch="~/fast")
    assert settings.home == tmp_path / "elsewhere"
    assert settings.scratch_dir == tmp_path / "fast"
    assert settings.private_dir == tmp_path / "elsewhere" / "private"


def test_settings_do_not_change(home: Path) -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.batch_size = 1  # type: ignore[misc]


# -- the ledger's address ------------------------------------------------------------------------


def test_the_ledger_is_sqlite_in_the_private_folder_unless_told(home: Path) -> None:
    assert load_settings().ledger_address == f"sqlite:///{home / 'private' / 'ledger.sqlite'}"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://u:p@db/l", "postgresql+psycopg2://u:p@db/l"),
        ("postgres://u:p@db/l", "postgresql+psycopg2://u:p@db/l"),
        ("postgresql+psycopg://u@db/l", "postgresql+psycopg://u@db/l"),
        ("sqlite:////tmp/postgresql://x", "sqlite:////tmp/postgresql://x"),
    ],
)
def test_a_plain_postgresql_address_means_psycopg2(
    monkeypatch: pytest.MonkeyPatch, url: str, address: str
) -> None:
    monkeypatch.setenv("LOCUTUS_LEDGER_URL", url)
    assert load_settings().ledger_address == address


# -- faults --------------------------------------------------------------------------------------


def test_every_fault_is_told_at_once_with_its_key(home: Path) -> None:
    path = write(
        home,
        """\
batch_size: none
scratch_limit: lots
wrokers: 2
workspaces:
  one: {source: {kind: ftp}, target: {path: /out}}
  two: {source: {kind: folder, path: /in, url: "x"}, policy: basic}
""",
    )
    message = faults()
    assert str(path) in message
    for place in (
        "1:1: batch_size",
        "2:1: scratch_limit",
        "3:1: wrokers",
        "5:18: workspaces.one.source.kind",
        "6:43: workspaces.two.source.url",
        "6:3: workspaces.two.targets",
    ):
        assert f"\n  locutus.yaml:{place}: " in message
    assert "6 faults" in message


@pytest.mark.parametrize("key", ["wrokers", "LOCUTUS_WORKERS", "workers "])
def test_an_unknown_key_is_refused(home: Path, key: str) -> None:
    write(home, f'"{key}": 2\n')
    assert f"locutus.yaml:1:1: {key}: is not a setting" in faults()


def test_a_faulty_value_in_the_environment_is_told_with_its_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOCUTUS_BATCH_SIZE", "none")
    assert "LOCUTUS_BATCH_SIZE: batch_size: should be a whole number" in faults()


def test_a_workspace_in_the_environment_that_is_no_json_is_told_with_its_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOCUTUS_WORKSPACES", "{nonsense")
    assert "LOCUTUS_WORKSPACES: workspaces: not valid JSON" in faults()


def test_broken_yaml_is_told_with_line_and_column_and_not_quoted(home: Path) -> None:
    write(home, 'batch_size: 7\nledger_url: "hush-hush\n')
    message = faults()
    assert "locutus.yaml, line 3, column 1: not valid YAML" in message
    assert "hush" not in message


@pytest.mark.parametrize("content", ["- a\n- b\n", "just text", "42"])
def test_yaml_that_holds_no_settings_is_refused(home: Path, content: str) -> None:
    write(home, content)
    assert "must hold keys and values" in faults()


def test_yaml_does_not_make_python_objects(home: Path) -> None:
    write(home, "home: !!python/object/apply:os.getcwd []\n")
    assert "line 1, column 7: not valid YAML" in faults()


def test_a_file_that_is_not_utf_8_is_refused(home: Path) -> None:
    (home / "locutus.yaml").write_bytes("batch_size: 7 # für\n".encode("latin-1"))
    assert "UTF-8" in faults()


def test_a_file_that_cannot_be_read_is_refused(home: Path) -> None:
    (home / "locutus.yaml").mkdir()
    assert "cannot be read" in faults()


@pytest.mark.parametrize("name", ["Chop", "1st", "a-b", "a b", "", "_a", "a" * 42, "ä", '"a\\n"'])
def test_a_workspace_s_name_must_do_for_dagster(home: Path, name: str) -> None:
    write(home, WORKSPACE.replace("chop", name or '""'))
    assert "use a lower-case letter" in faults()


def test_a_workspace_that_nobody_set_up_is_told_with_those_that_are(home: Path) -> None:
    write(home, WORKSPACE)
    settings = load_settings()
    assert settings.workspace("chop").targets["share"].path == Path("/mnt/share")
    with pytest.raises(SettingsError, match=r"no workspace 'chip' \(known: chop\)"):
        settings.workspace("chip")


# -- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("20GiB", 20 * 1024**3),
        ("500 MB", 500_000_000),
        ("1.5k", 1500),
        ("2tib", 2 * 1024**4),
        ("7b", 7),
        (" 12 ", 12),
        (12, 12),
    ],
)
def test_a_size_is_read_with_its_unit(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "lots", "-1", "1 2", "1e3", "GiB", None, True, "5 PB"])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize("text", ["0", "-5"])
def test_a_budget_of_nothing_is_refused(home: Path, text: str) -> None:
    write(home, f"scratch_limit: {text}\n")
    assert "scratch_limit: " in faults()


@pytest.mark.parametrize("value", ["[ct, ' mr ', '']", "ct, mr", "CT,MR,"])
def test_modalities_are_upper_case_however_they_are_listed(home: Path, value: str) -> None:
    write(home, WORKSPACE + f"    modalities: {value}\n")
    assert load_settings().workspace("chop").modalities == ("CT", "MR")


def test_without_a_word_about_it_a_workspace_has_the_basic_policy(home: Path) -> None:
    write(home, WORKSPACE)
    own = load_settings().workspace("chop")
    assert (own.policy, own.modalities, own.several_patients) == ("basic", None, None)


def test_a_workspace_may_let_any_modality_through(home: Path) -> None:
    write(home, WORKSPACE + "    modalities: any\n")
    assert load_settings().workspace("chop").modalities == ("ANY",)


@pytest.mark.parametrize("line", ["policy: ''", "several_patients: perhaps", "policy: [basic]"])
def test_a_faulty_word_about_the_policy_is_told_with_its_key(home: Path, line: str) -> None:
    write(home, WORKSPACE + f"    {line}\n")
    assert f"workspaces.chop.{line.partition(':')[0]}: " in faults()


# -- secrets ---------------------------------------------------------------------------------------


def test_neither_the_ledger_s_address_nor_a_secret_is_in_the_representation(home: Path) -> None:
    write(home, WORKSPACE + 'ledger_url: "postgresql://u:hush-hush@db/l"\n')
    settings = load_settings()
    source = settings.workspace("chop").source
    assert isinstance(source, OrthancSourceSettings)
    assert source.password == "hush-hush"
    for shown in (repr(settings), str(settings), repr(source), repr(settings.workspace("chop"))):
        assert "hush-hush" not in shown


def test_faults_do_not_quote_values(home: Path) -> None:
    write(
        home,
        WORKSPACE.replace("password", "passwort")
        + "ledger_url: [hush-hush]\nbatch_size: hush-hush\n",
    )
    message = faults()
    assert "ledger_url" in message
    assert "passwort" in message
    assert "hush-hush" not in message


def test_reading_settings_writes_nothing(home: Path) -> None:
    path = write(home, WORKSPACE)
    before = stat.S_IMODE(path.stat().st_mode)
    load_settings()
    assert [entry.name for entry in home.iterdir()] == ["locutus.yaml"]
    assert stat.S_IMODE(path.stat().st_mode) == before
