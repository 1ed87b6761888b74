"""`locutus config import`: the file it writes, and what it says of each key."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from locutus_dagster.cli.config_import import import_command
from locutus_dagster.reference_config import REFERENCE_KEYS, ReferenceLayer
from locutus_dagster.reference_config.writing import settings_text
from locutus_dagster.settings import load_settings
from locutus_dagster_tests.reference_config.fakes import write

ONPREM = "locutus_onprem_dicom_"
OLD = f"""\
# a configuration without Vault
locutus_test: "True"
locutus_run_mode: single
locutus_debug_keep_interim_files: "False"
locutus_continuous_wait_secs: 45
{ONPREM}zip_dir: /data/locutus/zips
locutus_DB_drop_tables: true
process_gcp_dicom_images: false
locutus_disable_phase_sweeps: true
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of its own, and none of the reference's variables."""
    for name in [*REFERENCE_KEYS, "PATH_TO_CONFIG"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOCUTUS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command("import")(import_command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_file_lies_where_it_applies_for_its_owner_alone(tmp_path: Path, home: Path) -> None:
    done = run(write(tmp_path, OLD))
    assert done.exit_code == 0, done.output
    path = home / "locutus.yaml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    settings = load_settings()
    assert settings.run.dry_run is True
    assert settings.run.pass_wait == 45.0
    assert settings.scratch == Path("/data/locutus/zips")


def test_every_key_is_told_with_its_value_and_what_became_of_it(tmp_path: Path) -> None:
    told = run(write(tmp_path, OLD)).output
    lines = {line.split()[0]: line.split() for line in told.splitlines() if line.strip()}
    assert lines["locutus_test"][1] == "true"
    assert lines["locutus_test"][-1] == "run.dry_run"
    assert lines["locutus_test"][2].endswith("config.yaml:2")
    assert lines[f"{ONPREM}zip_dir"][-1] == "scratch"
    assert "never done from a configuration" in " ".join(lines["locutus_DB_drop_tables"])
    assert "did you mean locutus_disable_phase_sweep?" in told
    assert "the reference's part for GCP" in told
    assert 'a quoted "False" was true' in told


def test_what_is_written_says_where_each_value_comes_from(tmp_path: Path, home: Path) -> None:
    old = write(tmp_path, OLD)
    run(old)
    text = (home / "locutus.yaml").read_text()
    assert f'scratch: "/data/locutus/zips"  # {old}:6 {ONPREM}zip_dir' in text
    assert "#   locutus_DB_drop_tables: Dropping tables" in text


def test_nothing_is_overwritten(tmp_path: Path, home: Path) -> None:
    old = write(tmp_path, OLD)
    home.mkdir()
    (home / "locutus.yaml").write_text("workers: 1\n")
    done = run(old)
    assert done.exit_code == 1
    assert "exists already" in done.output
    assert (home / "locutus.yaml").read_text() == "workers: 1\n"
    assert run(old, "--out", tmp_path / "new.yaml").exit_code == 0


def test_a_dry_run_says_the_same_and_writes_nothing(tmp_path: Path, home: Path) -> None:
    done = run(write(tmp_path, OLD), "--dry-run")
    assert done.exit_code == 0
    assert "run.dry_run" in done.output
    assert not home.exists()


def test_faults_are_told_all_at_once_and_nothing_is_written(tmp_path: Path, home: Path) -> None:
    done = run(write(tmp_path, "locutus_test: perhaps\nlocutus_run_mode: twice\n"))
    assert done.exit_code == 1
    assert "config.yaml:1 locutus_test" in done.output.replace("\n", "")
    assert "config.yaml:2 locutus_run_mode" in done.output.replace("\n", "")
    assert not (home / "locutus.yaml").exists()


def test_the_environment_is_heard_unless_the_file_alone_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = write(tmp_path, OLD)
    monkeypatch.setenv("locutus_force_success", "True")
    run(old, "--out", tmp_path / "both.yaml")
    run(old, "--out", tmp_path / "alone.yaml", "--file-only")
    assert yaml.safe_load((tmp_path / "both.yaml").read_text())["run"]["force_success"] is True
    assert "force_success" not in yaml.safe_load((tmp_path / "alone.yaml").read_text())["run"]


def test_the_environment_of_the_process_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = write(tmp_path, OLD)
    monkeypatch.setenv("PATH_TO_CONFIG", str(old))
    before = dict(os.environ)
    done = run(old)
    assert dict(os.environ) == before
    assert "Unset it" in done.output


@pytest.mark.parametrize(
    "arguments", [(), ("a.yaml", "--vault-path", "n:/a/b"), ("a.yaml", "--environment", "x")]
)
def test_what_is_asked_for_must_make_sense(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


TEXTS = st.text(max_size=40) | st.sampled_from(
    [
        "true",
        "null",
        "1e3",
        "0x10",
        "1_000",
        "2024-01-01",
        "",
        " x ",
        "a: b",
        "#",
        "é\u2028",
        "\x7f",
    ]
)


@given(
    value=TEXTS | st.booleans() | st.floats(0, 1e9),
    key=TEXTS.filter(bool),
    origin=st.text(max_size=30),
)
def test_whatever_is_written_reads_back(value: Any, key: str, origin: str) -> None:
    values = {"first": {key: value, "next": {"x": 1}}, "last": True}
    text = settings_text(ReferenceLayer(values, {f"first.{key}": origin}, (origin,)), origin)
    assert yaml.safe_load(text) == values
