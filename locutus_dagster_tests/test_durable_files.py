"""Files that a crash leaves either old or new, never half."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from locutus_dagster.durable_files import atomic_file, sha256_of

WRITE_HALF = """
import sys, time
from pathlib import Path
from locutus_dagster.durable_files import atomic_file
with atomic_file(Path(sys.argv[1])) as stream:
    stream.write(b"new" * 100_000)
    stream.flush()
    print("half", flush=True)
    time.sleep(60)
"""
WRITE_OVER_AND_OVER = """
import sys
from pathlib import Path
from locutus_dagster.durable_files import atomic_file
print("begun", flush=True)
while True:
    for letter in (b"A", b"B"):
        with atomic_file(Path(sys.argv[1])) as stream:
            for _ in range(20):
                stream.write(letter * 10_000)
"""


@contextmanager
def writer(script: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_file_is_there_when_it_is_whole_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic_file(path) as stream:
        stream.write(b"content")
        stream.flush()
        assert not path.exists()
    assert path.read_bytes() == b"content"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_file_is_for_its_owner_alone_unless_told(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with atomic_file(tmp_path / "private"):
            pass
        with atomic_file(tmp_path / "public", mode=0o644):
            pass
    finally:
        os.umask(before)
    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in tmp_path.iterdir()}
    assert modes == {"private": 0o600, "public": 0o644}


@pytest.mark.parametrize("exception", [ZeroDivisionError, KeyboardInterrupt, GeneratorExit])
def test_an_exception_leaves_the_old_file_and_no_part(
    tmp_path: Path, exception: type[BaseException]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail_halfway() -> None:
        with atomic_file(path) as stream:
            stream.write(b"new")
            raise exception

    with pytest.raises(exception):
        fail_halfway()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_what_is_written_may_be_read_again_before_it_is_in_place(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "file") as stream:
        stream.write(b"content")
        stream.seek(3)
        assert stream.read() == b"tent"


def test_a_process_killed_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with writer(WRITE_HALF, path) as process:
        process.kill()
        process.wait()
    assert path.read_bytes() == b"old"


def test_what_a_killed_process_left_does_not_stand_in_the_way_of_the_next(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with writer(WRITE_HALF, path) as process:
        process.kill()
        process.wait()
    assert not path.exists()
    with atomic_file(path) as stream:
        stream.write(b"short")
    assert path.read_bytes() == b"short"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("seconds", [0.05, 0.083, 0.117])
def test_a_process_killed_at_any_moment_leaves_one_whole_file(
    tmp_path: Path, seconds: float
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"A" * 200_000)
    with writer(WRITE_OVER_AND_OVER, path) as process:
        time.sleep(seconds)
        process.kill()
        process.wait()
    assert path.read_bytes() in (b"A" * 200_000, b"B" * 200_000)


def test_a_folder_that_is_not_there_is_the_system_s_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "none" / "file"):
        pass


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 1024 * 1024 + 1])
def test_the_checksum_and_size_are_those_of_the_whole_file(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    assert sha256_of(path) == (hashlib.sha256(b"x" * size).hexdigest(), size)
