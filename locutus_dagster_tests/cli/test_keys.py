"""`locutus keys`: a key file is made once, extended and never overwritten; no secret is printed."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from locutus_dagster.cli import app
from locutus_dagster.deid.identities.keys import KeyRing

LOCUTUS = Path(sys.executable).parent / "locutus"


def keys(command: str, path: Path) -> Result:
    done = CliRunner().invoke(app, ["keys", command, str(path)], env={"COLUMNS": "500"})
    assert "Traceback" not in done.output
    if path.is_file():
        secrets = [line.split()[-1] for line in path.read_text().splitlines() if line[:1] != "#"]
        assert [secret for secret in secrets if secret in done.output] == []
    return done


def test_a_new_key_file_can_be_read_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "key"
    done = keys("new", path)
    assert done.exit_code == 0, done.output
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ring = KeyRing.read(path)
    assert ring.current.version == 1
    assert ring.current.key_id in done.output
    assert "Back the file up" in done.output


def test_two_new_keys_differ(tmp_path: Path) -> None:
    keys("new", tmp_path / "one")
    keys("new", tmp_path / "two")
    assert KeyRing.read(tmp_path / "one").key_ids != KeyRing.read(tmp_path / "two").key_ids


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("precious")
    done = keys("new", path)
    assert done.exit_code == 1
    assert "exists already" in done.output
    assert path.read_text() == "precious"


def test_a_link_that_leads_nowhere_is_not_followed(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    assert keys("new", link).exit_code == 1
    assert not (tmp_path / "elsewhere").exists()


def test_a_key_file_in_no_folder_is_an_error_for_people(tmp_path: Path) -> None:
    done = keys("new", tmp_path / "nowhere" / "key")
    assert done.exit_code == 1
    assert "cannot be written (No such file or directory)" in done.output


def test_rotating_adds_a_key_and_keeps_the_older_ones(tmp_path: Path) -> None:
    path = tmp_path / "key"
    keys("new", path)
    path.write_text("# ours\n" + path.read_text())
    (first,) = KeyRing.read(path).key_ids
    done = keys("rotate", path)
    assert done.exit_code == 0, done.output
    ring = KeyRing.read(path)
    assert ring.key_ids == (first, ring.current.key_id)
    assert ring.current.version == 2
    assert f"Key {ring.current.key_id} follows key {first}." in done.output
    assert path.read_text().startswith("# ours\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["key"]


def test_of_several_who_rotate_at_once_none_loses_a_key(tmp_path: Path) -> None:
    keys("new", tmp_path / "key")
    command = [str(LOCUTUS), "keys", "rotate", str(tmp_path / "key")]
    at_once = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [one.wait(60) for one in at_once] == [0, 0, 0]
    assert len(KeyRing.read(tmp_path / "key").key_ids) == 4


def test_rotating_keeps_a_stricter_mode_and_a_link(tmp_path: Path) -> None:
    path, link = tmp_path / "key", tmp_path / "link"
    keys("new", path)
    path.chmod(0o400)
    link.symlink_to(path)
    assert keys("rotate", link).exit_code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert link.is_symlink()
    assert len(KeyRing.read(path).key_ids) == 2


@pytest.mark.parametrize("command", ["rotate", "show"])
def test_a_file_that_is_none_stays_as_it_is(tmp_path: Path, command: str) -> None:
    path = tmp_path / "key"
    path.write_text("Quimbleton Dorothea\n")
    path.chmod(0o600)
    done = keys(command, path)
    assert done.exit_code == 1
    assert "Line 1 of the key file" in done.output
    assert "Quimbleton" not in done.output
    assert path.read_text() == "Quimbleton Dorothea\n"


@pytest.mark.parametrize("command", ["rotate", "show"])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, command: str) -> None:
    path = tmp_path / "key"
    keys("new", path)
    path.chmod(0o644)
    done = keys(command, path)
    assert done.exit_code == 1
    assert "chmod 600" in done.output
    path.chmod(0o600)
    assert len(KeyRing.read(path).key_ids) == 1


def test_show_names_the_keys_oldest_first(tmp_path: Path) -> None:
    path = tmp_path / "key"
    keys("new", path)
    keys("rotate", path)
    first, second = KeyRing.read(path).key_ids
    assert keys("show", path).output.splitlines() == [first, f"{second}  current"]
