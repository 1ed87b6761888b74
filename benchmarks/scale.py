"""A hundred thousand accessions: seconds and memory of what is done with all of them at once.

What belongs here: the order of the steps, watching the interpreter that each of them has to
itself, and the tables. What does not: the steps (`scale_steps.py`) and the data (`scale_data.py`).

Seconds are of the step alone, without the interpreter's start, but for whole commands. Memory is
of our process, imports included, and not of PostgreSQL's. That server is the tests' one, which
does not wait for its disk.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from typing import Any, NamedTuple

from benchmarks.scale_data import accession_number, write_manifest
from benchmarks.scale_steps import LISTINGS, MANIFEST, WORKSPACE
from locutus_dagster_tests.parts.postgres import PostgresServer, find_postgres

__all__ = ["measure"]

ROWS = int(os.environ.get("BENCH_ROWS", "100000"))
_LOCUTUS = (sys.executable, "-m", "locutus_dagster.cli.app")
_COMMANDED = 3  # times; the median counts
_MEMORY = 500  # MB, and the aim for every step
_LOAD, _LISTING = 60.0, 2.0  # seconds: the aims
_SHIPPED = Path(__file__).parents[1] / "dagster.postgres.yaml"


@dataclass(frozen=True)
class Taken:
    """What a step took.

    Attributes:
        cpu: seconds of the whole process; they mean something on a busy machine, too.
        peak: bytes of anonymous memory.
        said: what else the step told of it.
    """

    seconds: float
    cpu: float
    peak: int
    said: dict[str, Any]


class Watched(NamedTuple):
    """A process that has ended well; see `Taken`."""

    wall: float
    cpu: float
    peak: int
    output: str


Found = dict[str, Taken]


def measure(work: Path) -> dict[str, object]:
    """Every step on each database that there is; tables are printed."""
    manifest = work / f"{MANIFEST}.csv"
    write_manifest(manifest, ROWS)
    (work / "pacs").mkdir(exist_ok=True)
    (work / "share").mkdir(exist_ok=True)
    found: dict[str, Found] = {"SQLite": _steps(_home(work, "sqlite"), manifest)}
    if find_postgres() is None:
        print("\nNo PostgreSQL here: scale was measured on SQLite alone.")
    else:
        with PostgresServer() as server:
            home = _home(work, "postgresql", server)
            found["PostgreSQL"] = _steps(home, manifest)
    shutil.rmtree(work / "share")
    _print(found)
    return {
        "rows": ROWS,
        "aims": {"load": _LOAD, "listing": _LISTING, "memory": _MEMORY * 10**6},
        **{name: {what: vars(one) for what, one in of.items()} for name, of in found.items()},
    }


def _home(work: Path, name: str, server: PostgresServer | None = None) -> dict[str, str]:
    """A home with settings, and the environment that leads to it."""
    home = work / f"home-{name}"
    (home / "dagster").mkdir(mode=0o700, parents=True)
    workspace = {
        "source": {"kind": "folder", "path": str(work / "pacs")},
        "target": {
            "kind": "share",
            "path": str(work / "share"),
            "key_template": "{subject_id}/uuid_{study}.zip",  # fewer folders to be made
        },
    }
    content = json.dumps({"workspaces": {WORKSPACE: workspace}})  # which is YAML
    (home / "locutus.yaml").write_text(content, encoding="utf-8")
    ours = ("LOCUTUS_", "DAGSTER_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    environment |= {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "LOCUTUS_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    shipped = resources.files("locutus_dagster.defs").joinpath("dagster.yaml").read_text("utf-8")
    if server is not None:
        shipped = _SHIPPED.read_text(encoding="utf-8")
        environment["LOCUTUS_LEDGER_URL"] = server.create_database("ledger")
        environment["LOCUTUS_PG_URL"] = server.create_database("dagster")
    (home / "dagster" / "dagster.yaml").write_text(shipped, encoding="utf-8")
    return environment


def _steps(environment: dict[str, str], manifest: Path) -> Found:
    """Each step, in an interpreter of its own, over one database."""

    def step(*arguments: str) -> Taken:
        run = _watched((sys.executable, "-m", "benchmarks.scale_steps", *arguments), environment)
        said = json.loads(run.output.splitlines()[-1])
        return Taken(said.pop("seconds"), run.cpu, run.peak, said)

    def command(*arguments: str) -> Taken:
        runs = [_watched((*_LOCUTUS, *arguments), environment) for _ in range(_COMMANDED)]
        return Taken(
            median(run.wall for run in runs),
            median(run.cpu for run in runs),
            max(run.peak for run in runs),
            {"lines": runs[0].output.count("\n")},
        )

    found = {
        "load": step("load", str(manifest)),
        # Before PostgreSQL has counted what was loaded: its plans are guesses then.
        "listing: everything, at once": step("listing", "everything", str(ROWS)),
        "load the same file again": step("load", str(manifest)),
        "dry run under another name": step("load-elsewhere", str(manifest)),
        "register": step("register"),
        "spread": step("spread"),
    }
    for name in LISTINGS:
        found[f"listing: {name}"] = step("listing", name, str(ROWS))
    failed = ("status", "--list", "--status", "failed")
    found["--version"] = command("--version")
    found["status"] = command("status")
    found["status --list --status failed"] = command(*failed)
    found["status --list"] = command("status", "--list")
    found["show"] = command("show", accession_number(ROWS // 200 * 100 + 1))
    found["preflight"] = step("preflight", str(manifest.with_name("preflight.csv")))
    found["walks"] = step("walks")
    return found


def _watched(command: Sequence[str], environment: dict[str, str]) -> Watched:
    """Run a process to its end.

    It is watched from outside, every few milliseconds, so that it is not slowed down by it.
    """
    with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        start, before = time.perf_counter(), _cpu()
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=err)
        peak = 0
        while process.poll() is None:
            peak = max(peak, _anonymous(process.pid))
            time.sleep(0.004)
        wall, cpu = time.perf_counter() - start, _cpu() - before
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed: no figure\n{err.read()[-2000:]}")
        return Watched(wall, cpu, peak, out.read())


def _cpu() -> float:
    """CPU seconds of the processes that were waited for so far."""
    used = os.times()
    return used.children_user + used.children_system


def _anonymous(pid: int) -> int:
    """Bytes of anonymous memory that a process has now; 0 where there is no telling."""
    try:
        with Path(f"/proc/{pid}/status").open() as status:
            for line in status:
                if line.startswith("RssAnon"):
                    return int(line.split()[1]) * 1024
    except OSError:  # it has ended since, or this is not Linux
        pass
    return 0


# -- tables ------------------------------------------------------------------------------------


def _print(found: dict[str, Found]) -> None:
    print(f"\n### Scale: a manifest of {ROWS:,} rows\n")
    print(
        f"Each step in a process of its own, once; listings and commands: medians of {_COMMANDED}. "
        "PostgreSQL's server runs beside it, does not wait for its disk, and its memory does not "
        "count.\n"
    )
    columns = [*(f"{name}, s" for name in found), "aim, s", *(f"{name}, MB" for name in found)]
    print(f"| what | {' | '.join(columns)} |")
    print("|---|" + "---:|" * len(columns))
    missed = [f"{name}: {what}" for name, of in found.items() for what in _missed(of)]
    for what in next(iter(found.values())):
        if what in ("spread", "walks"):
            continue
        _line(_TITLES.get(what, what), what, found)
        for part, title in _PARTS.get(what, {}).items():
            seconds = " | ".join(f"{of[what].said[part]:.2f}" for of in found.values())
            print(f"| {title} | {seconds} | {'| ' * (len(found) + 1)}|")
    print(f"\nThe aim for memory is {_MEMORY} MB. Missed: {'; '.join(missed) or 'none'}.\n")
    print("| preflight | " + " | ".join(found) + " |")
    print("|---|" + "---:|" * len(found))
    speeds = (of["preflight"].said["items"] / of["preflight"].seconds for of in found.values())
    print("| accessions a second | " + " | ".join(f"{speed:,.0f}" for speed in speeds) + " |")
    for outcome in next(iter(found.values()))["preflight"].said["outcomes"]:
        counts = (of["preflight"].said["outcomes"].get(outcome, 0) for of in found.values())
        print(f"| {outcome} | " + " | ".join(f"{count:,}" for count in counts) + " |")
    print("\n| what the ledger is told of one accession, ms | " + " | ".join(found) + " |")
    print("|---|" + "---:|" * len(found))
    for what in next(iter(found.values()))["walks"].said["each"]:
        each = (of["walks"].said["each"][what] for of in found.values())
        print(f"| {what} | " + " | ".join(f"{1000 * seconds:.1f}" for seconds in each) + " |")
    sums = (1000 * of["walks"].seconds for of in found.values())
    print("| together | " + " | ".join(f"{milliseconds:.1f}" for milliseconds in sums) + " |")


def _line(title: str, what: str, found: dict[str, Found]) -> None:
    aim = _aim(what)
    seconds = (f"{of[what].seconds:.2f}" for of in found.values())
    peaks = (f"{of[what].peak / 1e6:.0f}" for of in found.values())
    shown = f"{aim:g}" if aim else ""
    print(f"| {title} | {' | '.join([*seconds, shown, *peaks])} |")


_TITLES = {
    "load": "load the manifest",
    "dry run under another name": "dry run of it under another name",
    "register": "register its partitions with Dagster",
    **{f"listing: {name}": title for name, title in LISTINGS.items()},
    "listing: everything, at once": "list all accessions, right after that",
    **{
        words: f"`locutus {words}`, from start to end"
        for words in (
            "--version",
            "status",
            "status --list",
            "status --list --status failed",
            "show",
        )
    },
    "preflight": "preflight of all, writing its CSV",
}
_PARTS = {"register": {"again": "register them again", "listing": "list Dagster's partitions"}}


def _aim(what: str) -> float | None:
    """Seconds that a step is to take at most."""
    if what == "load":
        return _LOAD
    listed = what.startswith(("listing: ", "status")) or what == "show"
    return _LISTING if listed else None


def _missed(found: Found) -> list[str]:
    """The steps that took longer or more memory than they should."""
    return [
        what
        for what, one in found.items()
        if what != "spread"
        and (one.peak > _MEMORY * 10**6 or one.seconds > (_aim(what) or one.seconds))
    ]
