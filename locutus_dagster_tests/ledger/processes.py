"""Several processes that do something at one moment.

They are forked from a server that has imported the package already, so they start quickly; they
share nothing with the test but the database and the file system.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["Wait", "at_once"]

Wait = Callable[[], object]
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["pytest", "alembic.command", "psycopg2", "locutus_dagster.manifests", "sqlalchemy.orm"]
)


def at_once(function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Run `function(wait, *job)` in a process for each job; all of them return from `wait` at once.

    Returns:
        What each returned, in the order of the jobs; the description of an exception instead.
    """
    barrier = _CONTEXT.Barrier(len(jobs))
    answers = _CONTEXT.SimpleQueue()
    processes = [
        _CONTEXT.Process(target=_run, args=(barrier, answers, number, function, job), daemon=True)
        for number, job in enumerate(jobs)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * len(jobs)
    found = dict(answers.get() for _ in jobs)
    return [found[number] for number in range(len(jobs))]


def _run(
    barrier: Any, answers: Any, number: int, function: Callable[..., Any], job: tuple[Any, ...]
) -> None:
    try:
        answer = function(lambda: barrier.wait(60), *job)
    except Exception as error:
        answer = f"{type(error).__name__}: {error}"
    answers.put((number, answer))
