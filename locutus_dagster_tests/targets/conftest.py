"""Shares to deliver to: a plain one, one without room, and one that cannot be written."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from locutus_dagster.targets.share import ShareTarget


@pytest.fixture
def share(tmp_path: Path) -> ShareTarget:
    (tmp_path / "share").mkdir()
    return ShareTarget(tmp_path / "share")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "deidentified.zip"
    path.write_bytes(b"a study" * 1000)
    return path


def mounted(folder: Path, options: str) -> bool:
    """Mount a small file system at `folder`, which takes root."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def small_share(tmp_path: Path) -> Iterator[ShareTarget]:
    folder = tmp_path / "small"
    if not mounted(folder, "size=1m"):
        pytest.skip("mounting a small file system is not permitted here (it takes root)")
    yield ShareTarget(folder)
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def read_only_share(tmp_path: Path) -> Iterator[ShareTarget]:
    folder = tmp_path / "read-only"
    if os.geteuid():
        folder.mkdir(mode=0o555)
        yield ShareTarget(folder)
        folder.chmod(0o755)
        return
    # The modes of files do not bind root; a file system does.
    if not mounted(folder, "ro"):
        pytest.skip("root may not mount a read-only file system here")
    yield ShareTarget(folder)
    subprocess.run(["umount", str(folder)], check=True)
