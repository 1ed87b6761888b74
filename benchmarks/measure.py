"""Taking a figure: repeats, medians, and the peak memory of a process of its own.

What belongs here: how something is measured. What does not: what is measured (`run.py`).
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """Median wall and CPU seconds of a task over its repeats."""

    wall: float
    cpu: float


def alternately(tasks: dict[str, Callable[[], object]], repeats: int) -> dict[str, Figure]:
    """Run the tasks in turn, `repeats` times round, so that a drifting machine hits all alike.

    The first round is not counted.
    """
    walls: dict[str, list[float]] = {name: [] for name in tasks}
    cpus: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(repeats + 1):
        for name, task in tasks.items():
            wall, cpu = time.perf_counter(), time.process_time()
            task()
            if turn:
                walls[name].append(time.perf_counter() - wall)
                cpus[name].append(time.process_time() - cpu)
    return {
        name: Figure(statistics.median(walls[name]), statistics.median(cpus[name]))
        for name in tasks
    }


_WATCH = """
import resource, sys, threading, time
_peak = [0]
def _anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
def _watch():
    while True:
        _peak[0] = max(_peak[0], _anonymous())
        time.sleep(0.002)
if sys.platform == "linux":
    threading.Thread(target=_watch, daemon=True).start()
"""
_REPORT = """
if sys.platform == "linux":
    print(max(_peak[0], _anonymous()) * 1024)
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_memory(code: str, *arguments: str) -> int:
    """Peak memory in bytes of a fresh interpreter that runs `code` with `sys.argv[1:]` given.

    On Linux that is the anonymous memory, sampled every 2 ms: pages of a mapped file, which the
    kernel takes back when it wants, do not count. Elsewhere it is all that was resident.
    """
    done = subprocess.run(
        [sys.executable, "-c", _WATCH + code + _REPORT, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=True,
        capture_output=True,
        text=True,
    )
    return int(done.stdout.split()[-1])


def machine() -> str:
    """One line about where this runs."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} "
        f"{platform.release().split('-')[0]}, Python {platform.python_version()}"
    )
