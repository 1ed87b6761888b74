"""The parts start, answer, survive a restart, and leave nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy
from pydicom.data import get_testdata_file

from locutus_dagster_tests.parts import missing, wait_until
from locutus_dagster_tests.parts import orthanc as orthanc_part
from locutus_dagster_tests.parts.orthanc import OrthancServer, RefusedError
from locutus_dagster_tests.parts.postgres import PostgresServer


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ended(pid: int) -> bool:
    """Gone, or a zombie that its new parent has not reaped yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def pydicom_file(name: str) -> Path:
    return Path(str(get_testdata_file(name)))


@pytest.mark.orthanc
def test_an_orthanc_keeps_its_studies_over_a_kill_and_is_gone_afterwards(tmp_path: Path) -> None:
    with OrthancServer(tmp_path / "orthanc") as orthanc:
        first_pid, url = orthanc.pid, orthanc.url
        orthanc.upload(pydicom_file("CT_small.dcm"))
        orthanc.kill()
        assert not alive(first_pid)
        orthanc.start()
        assert orthanc.url == url
        assert len(orthanc.ask("GET", "/instances")) == 1
        last_pid = orthanc.pid
    assert not alive(last_pid)


@pytest.mark.orthanc
def test_an_orthanc_is_ended_when_the_test_fails(tmp_path: Path) -> None:
    pids = []

    def failing_test() -> None:
        with OrthancServer(tmp_path / "orthanc") as orthanc:
            pids.append(orthanc.pid)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing_test()
    assert not alive(pids[0])


@pytest.mark.orthanc
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux to end orphans")
def test_an_orthanc_does_not_outlive_a_test_run_that_is_killed(tmp_path: Path) -> None:
    program = """
import os, pathlib, sys
from locutus_dagster_tests.parts.orthanc import OrthancServer
server = OrthancServer(pathlib.Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "orthanc")],
        check=False,
        capture_output=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    pid = int(run.stdout)
    wait_until(lambda: ended(pid), 10, "Orthanc's end")


@pytest.mark.orthanc
def test_an_orthanc_with_users_asks_for_a_password(tmp_path: Path) -> None:
    with OrthancServer(tmp_path / "orthanc", users={"reader": "secret"}) as orthanc:
        assert orthanc.ask("GET", "/system")["Version"]
        orthanc._users = {}
        with pytest.raises(RefusedError) as refusal:
            orthanc.ask("GET", "/system")
    assert refusal.value.status == 401


@pytest.mark.orthanc
def test_a_folder_is_uploaded_without_what_orthanc_refuses(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "image.dcm").write_bytes(pydicom_file("MR_small.dcm").read_bytes())
    (folder / "letter.txt").write_text("not DICOM")
    with OrthancServer(tmp_path / "orthanc") as orthanc:
        assert orthanc.upload_folder(folder) == [folder / "image.dcm"]


@pytest.mark.postgres
def test_a_postgres_serves_databases_over_tcp_and_its_socket() -> None:
    with PostgresServer() as postgres:
        pid, directory = postgres.pid, postgres.directory
        url = postgres.create_database("ledger")
        for address in (url, postgres.socket_url("ledger")):
            engine = sqlalchemy.create_engine(address)
            with engine.connect() as connection:
                row = connection.execute(sqlalchemy.text("SELECT current_database()")).scalar_one()
            engine.dispose()
            assert row == "ledger"
    assert not alive(pid)
    assert not directory.exists()


@pytest.mark.postgres
def test_a_postgres_keeps_what_was_committed_over_a_restart() -> None:
    with PostgresServer() as postgres:
        postgres.create_database("kept")
        postgres.sql("CREATE TABLE one (a int); INSERT INTO one VALUES (7)", "kept")
        for end in (postgres.stop, postgres.kill):
            url = postgres.url("kept")
            end()
            assert not postgres.running
            postgres.start()
            assert postgres.url("kept") == url
            assert postgres.sql("SELECT a FROM one", "kept") == "7"


def test_a_missing_program_skips_a_test_but_fails_it_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt install"):
        missing("Orthanc", "apt install orthanc")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt install"):
        missing("Orthanc", "apt install orthanc")


def test_orthanc_is_found_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "Orthanc"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert orthanc_part.find_orthanc() == str(program)
