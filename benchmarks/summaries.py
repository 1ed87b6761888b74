"""Reports over a hundred thousand accessions: seconds and memory, on SQLite and on PostgreSQL.

What belongs here: the reports that are measured, each in an interpreter of its own, and the table.
What does not: the data, which are those of `scale.py`, and what a report is written as.

Run alone with `python -m benchmarks.summaries`; `measure` is for `run.py`.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import scale
from benchmarks.scale_data import accession_number, write_manifest
from benchmarks.scale_steps import MANIFEST, WORKSPACE
from locutus_dagster_tests.parts.postgres import PostgresServer, find_postgres

__all__ = ["measure"]

_AIM, _MEMORY = 10.0, 400  # seconds and MB, for each report
_REPORTS = {
    "detailed": "detailed: a line for each row",
    "redacted": "detailed, redacted",
    "overview": "overview: counts, history, failures",
    "manifest": "overview of one manifest",
    "file": "a list of as many accession numbers",
    "follow-up": "the manifest of what failed",
}


def measure(work: Path) -> dict[str, object]:
    """Every report on each database that there is; a table is printed."""
    manifest, listed = work / f"{MANIFEST}.csv", work / "listed.csv"
    write_manifest(manifest, scale.ROWS)
    numbers = [accession_number(index) for index in range(scale.ROWS)]
    listed.write_text("\n".join(["ACCESSION_NUM", *numbers, "NOBODY-KNOWS"]) + "\n")
    for name in ("pacs", "share"):
        (work / name).mkdir(exist_ok=True)
    found = {"SQLite": _reports(scale._home(work, "sqlite-summaries"), manifest, listed)}
    if find_postgres() is None:
        print("\nNo PostgreSQL here: reports were measured on SQLite alone.")
    else:
        with PostgresServer() as server:
            home = scale._home(work, "postgresql-summaries", server)
            found["PostgreSQL"] = _reports(home, manifest, listed)
    shutil.rmtree(work / "share")
    _print(found)
    return {"rows": scale.ROWS, "aims": {"seconds": _AIM, "memory": _MEMORY * 10**6}, **found}


def _reports(environment: dict[str, str], manifest: Path, listed: Path) -> dict[str, Any]:
    for step in (("load", str(manifest)), ("spread",)):
        scale._watched((sys.executable, "-m", "benchmarks.scale_steps", *step), environment)
    found = {}
    for name in _REPORTS:
        command = (sys.executable, "-m", "benchmarks.summaries", name, str(listed))
        run = scale._watched(command, environment)
        said = json.loads(run.output.splitlines()[-1])
        found[name] = {**said, "cpu": run.cpu, "peak": run.peak}
    return found


def _print(found: dict[str, dict[str, Any]]) -> None:
    print(f"\n### Reports over a manifest of {scale.ROWS:,} rows\n")
    print("Each in a process of its own, once; seconds without its start.\n")
    columns = [*(f"{name}, s" for name in found), "aim, s", *(f"{name}, MB" for name in found)]
    print(f"| what | {' | '.join(columns)} |")
    print("|---|" + "---:|" * len(columns))
    for name, title in _REPORTS.items():
        seconds = " | ".join(f"{of[name]['seconds']:.2f}" for of in found.values())
        peaks = " | ".join(f"{of[name]['peak'] / 1e6:.0f}" for of in found.values())
        print(f"| {title} | {seconds} | {_AIM:g} | {peaks} |")
    missed = [
        f"{database}: {name}"
        for database, of in found.items()
        for name, one in of.items()
        if one["seconds"] > _AIM or one["peak"] > _MEMORY * 10**6
    ]
    print(f"\nThe aim for memory is {_MEMORY} MB. Missed: {'; '.join(missed) or 'none'}.")


def report(name: str, listed: str) -> dict[str, Any]:
    """Make one report and say how long it took; run in an interpreter of its own."""
    from locutus_dagster.ledger import Ledger, State
    from locutus_dagster.ledger.selection import Selection
    from locutus_dagster.settings import load_settings
    from locutus_dagster.summarizer.follow_up import write_follow_up
    from locutus_dagster.summarizer.gathering import summarize

    ledger = Ledger.open_existing(load_settings().find_ledger)
    failed = Selection(states=frozenset({State.FAILED}))
    file = Path(listed)
    asked: dict[str, Callable[[], int]] = {
        "detailed": lambda: len(summarize(ledger, WORKSPACE).lines),
        "redacted": lambda: len(summarize(ledger, WORKSPACE, redact=True).lines),
        "overview": lambda: summarize(ledger, WORKSPACE, detailed=False).rows,
        "manifest": lambda: summarize(ledger, WORKSPACE, manifests=[MANIFEST], detailed=False).rows,
        "file": lambda: len(summarize(ledger, WORKSPACE, file=file).lines),
        "follow-up": lambda: (
            write_follow_up(
                ledger, WORKSPACE, failed, file.with_name("follow-up.csv"), overwrite=True
            ).rows
        ),
    }
    start = time.perf_counter()
    rows = asked[name]()
    seconds = time.perf_counter() - start
    if not rows:
        raise SystemExit("nothing was reported: no figure")
    return {"seconds": seconds, "rows": rows}


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(report(*sys.argv[1:])))
    else:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder))
