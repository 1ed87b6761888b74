"""Keeping SQLite's event databases open while a step writes its events.

What belongs here: one measured remedy for one measured cost. Dagster's SQLite storage opens and
closes a connection for every event, and SQLite checkpoints and removes its write-ahead log each
time the last connection closes. A connection that stays open beside it spares that: a third of an
event's time (docs/performance.md). Other storages are left alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage

__all__ = ["event_databases_open"]

_INDEX = "index"  # the database of events across runs


@contextmanager
def event_databases_open(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Hold the run's database and the index open, read from and not locked."""
    storage = instance.event_log_storage
    with ExitStack() as stack:
        if isinstance(storage, SqliteEventLogStorage):
            # Whatever is wrong with the files, Dagster itself will say better.
            with suppress(sqlite3.Error):
                for shard in (run_id, _INDEX):
                    connection = sqlite3.connect(storage.path_for_shard(shard))
                    stack.enter_context(closing(connection))
                    # SQLite opens the log with the first read, not with the connection.
                    connection.execute("SELECT 1 FROM event_logs LIMIT 1").fetchall()
        yield
