"""A worker process: takes partition keys over a socket, sends outcomes back.

What belongs here: the process's own loop, and keeping it quiet. What does not: who starts it
(`batch.py`) and what an accession goes through (`chain.py`).

Started as `python -m locutus_dagster.pipeline.worker FD`, a fresh interpreter that imports the
chain and nothing of Dagster. Its standard streams lead nowhere: a library that prints a header's
value prints it to nobody.
"""

from __future__ import annotations

import signal
import sys
import warnings
from multiprocessing.connection import Connection
from typing import Any

from locutus_dagster.errors import LocutusError, describe_unexpected

__all__ = ["DONE", "main"]

DONE = "done"


def main(descriptor: int) -> None:
    """Serve work until the connection closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    warnings.simplefilter("ignore")
    connection: Connection[Any, Any] = Connection(descriptor)
    try:
        _serve(connection)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent has gone


def _serve(connection: Connection[Any, Any]) -> None:
    factory_name, settings, workspace, run_id, options = connection.recv()
    # Imported here, so that the parent's connection is up before the slower imports start.
    from locutus_dagster.pipeline.chain import process_accession
    from locutus_dagster.pipeline.parts import factory_named

    try:
        parts = factory_named(factory_name)(settings, workspace)
    except Exception as error:  # noqa: BLE001 - said to the parent, which ends the batch
        message = str(error) if isinstance(error, LocutusError) else describe_unexpected(error)
        connection.send(("broken", message))
        return
    connection.send(("ready", parts.claimant.owner))
    while True:
        partition_key = connection.recv()
        for outcome in process_accession(partition_key, parts, options, run_id=run_id):
            connection.send(outcome)
        connection.send(DONE)


if __name__ == "__main__":
    main(int(sys.argv[1]))
