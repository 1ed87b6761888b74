"""A process that holds a room of the interim store until it is told to go on, or killed.

python -m locutus_dagster_tests.interim.holder ROOT LIMIT ACCESSION_ID RESERVE [FILE_SIZE]
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from locutus_dagster.interim import InterimStore

ROOT = Path(__file__).parents[2]


class Holder:
    """The process seen from a test."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def wait_for(self, word: str) -> None:
        """Block until it says `word`."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == f"{word}\n"

    def go_on(self) -> None:
        """Let it give the room back; returns when it has ended."""
        self._process.communicate("\n", timeout=60)
        assert self._process.returncode == 0

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._process.kill()
        self._process.wait()


@contextmanager
def holding(
    root: Path, limit: int, accession_id: int, reserve: int = 0, lies: int = 0
) -> Iterator[Holder]:
    """A process that has claimed a room, reserved `reserve` bytes and written `lies` of them."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "locutus_dagster_tests.interim.holder"),
            *(str(root), *map(str, (limit, accession_id, reserve, lies))),
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    holder = Holder(process)
    try:
        holder.wait_for("holds")
        yield holder
    finally:
        process.kill()
        process.communicate()


def main(root: str, limit: str, accession_id: str, reserve: str, lies: str) -> None:
    with InterimStore(Path(root), int(limit)).claim("ws", int(accession_id)) as room:
        if int(reserve):
            room.reserve(int(reserve))
        if int(lies):
            room.raw_zip.write_bytes(bytes(int(lies)))
        print("holds", flush=True)
        sys.stdin.readline()
        room.raw_zip.unlink(missing_ok=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
