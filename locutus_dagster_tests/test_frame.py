"""The project's frame: the files at its top, Dagster's configuration, and what no file may hold."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest
import yaml
from dagster import DagsterInstance
from dagster._core.instance.config import dagster_instance_config

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "locutus_dagster").rglob("*.py"))


def tracked_files() -> list[Path]:
    """What git tracks; skips the test where this is no checkout."""
    try:
        done = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if "versions" not in path.parts],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "name",
    [
        ".ci/run",
        ".gitignore",
        ".pre-commit-config.yaml",
        "Dockerfile",
        "LICENSE",
        "Makefile",
        "README.md",
        "constraints.txt",
        "dagster.postgres.yaml",
        "dagster.yaml",
        "pyproject.toml",
        "workspace.yaml",
    ],
)
def test_what_belongs_at_the_top_is_there(name: str) -> None:
    assert (ROOT / name).is_file()
    assert (ROOT / name).read_text(encoding="utf-8").strip()


def test_the_script_of_continuous_integration_can_be_run() -> None:
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_the_licence_is_the_one_that_the_package_names() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["dagster.yaml", "dagster.postgres.yaml"])
def test_dagster_s_configuration_fits_its_schema(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCUTUS_PG_URL", "postgresql://dagster@db/dagster")
    (tmp_path / "dagster.yaml").write_bytes((ROOT / name).read_bytes())
    config, custom = dagster_instance_config(str(tmp_path))
    assert custom is None
    assert config == yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_an_instance_starts_with_dagster_s_configuration(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.get_concurrency_config().run_queue_config is not None
        assert not instance.telemetry_enabled
        assert instance.run_monitoring_enabled


@pytest.mark.postgres
def test_an_instance_starts_with_dagster_s_configuration_for_postgresql(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("postgres")
    server.create_database("dagster")
    monkeypatch.setenv("LOCUTUS_PG_URL", server.url("dagster", driver="postgresql+psycopg2"))
    (tmp_path / "dagster.yaml").write_bytes((ROOT / "dagster.postgres.yaml").read_bytes())
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.get_runs_count() == 0
        assert "Postgres" in type(instance.event_log_storage).__name__


def test_dagster_s_workspace_names_the_code_location() -> None:
    content = yaml.safe_load((ROOT / "workspace.yaml").read_text(encoding="utf-8"))
    (entry,) = content["load_from"]
    assert entry["python_module"]["module_name"] == "locutus_dagster.definitions"
    assert (ROOT / "locutus_dagster" / "definitions.py").is_file()


def test_no_tracked_file_names_the_place_of_this_checkout() -> None:
    here = str(ROOT).encode()
    if len(ROOT.parts) < 3:
        pytest.skip("this checkout's path is too short to look for")
    guilty = [path for path in tracked_files() if here in path.read_bytes()]
    assert [str(path.relative_to(ROOT)) for path in guilty] == []
