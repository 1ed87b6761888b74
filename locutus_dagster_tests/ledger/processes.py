"""Several processes at one ledger at one moment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["at_once"]

ROOT = Path(__file__).parents[2]


def at_once(url: str, folder: Path, jobs: Sequence[tuple[int, Sequence[int]]]) -> None:
    """Run one `at_work` process for each (times, accession ids), all let go together."""
    go = folder / "go"
    processes = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "locutus_dagster_tests.ledger.at_work"),
                *(url, str(go), str(times), *map(str, accessions)),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for times, accessions in jobs
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    go.touch()
    answers = [process.communicate(timeout=120) for process in processes]
    assert answers == [("done\n", "")] * len(jobs)
