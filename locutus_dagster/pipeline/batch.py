"""Many accessions at once, in a pool of worker processes.

What belongs here: starting workers, giving them accessions, passing on what they say, and knowing
which accession a dead worker had in hand. What does not: what an accession goes through
(`chain.py`).

The pool is our own because it must do what the standard one does not: stream each phase's outcome
as it happens, lose one accession and not the pool when a worker is killed, and start workers that
do not import the orchestrator.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import cast

from locutus_dagster.errors import LocutusError
from locutus_dagster.ledger import Phase, State
from locutus_dagster.ledger.work import Attempt
from locutus_dagster.pipeline.chain import process_accession
from locutus_dagster.pipeline.extract import RAW
from locutus_dagster.pipeline.options import RunOptions
from locutus_dagster.pipeline.outcomes import Finished, Outcome, Result
from locutus_dagster.pipeline.parts import DEFAULT_FACTORY, Parts, factory_named
from locutus_dagster.pipeline.queueing import PauseSwitch, Queue
from locutus_dagster.pipeline.sweeping import sweep_finished
from locutus_dagster.pipeline.worker import DONE
from locutus_dagster.settings import Settings

__all__ = ["Batch", "BatchError"]


_PHASE_AFTER = {State.EXTRACTED: Phase.TRANSFORM, State.DEIDENTIFIED: Phase.DELIVER}
_LOOK_EVERY = 1.0  # seconds: how long a pause, or a claim that ends, may go unnoticed


class BatchError(LocutusError):
    """The batch as a whole cannot work."""


@dataclass
class Batch:
    """Accessions of one workspace to be processed.

    Attributes:
        run_id: of the Dagster run, kept in the ledger beside what it did.
        parts_factory: `module:function` that builds the parts inside each worker.
        options: how the run goes about it; by default as the settings say.
        not_attempted: after `run`, the partition keys that were never begun, because the source or
            the target had gone or somebody paused the system; their state is as it was.
        paused: after `run`, why it was paused; empty when it was not.
        secret_created: after `run`, whether the workspace's secret was made by it.
    """

    settings: Settings
    workspace: str
    run_id: str | None = None
    parts_factory: str = DEFAULT_FACTORY
    options: RunOptions | None = None
    not_attempted: list[str] = field(default_factory=list)
    paused: str = ""
    secret_created: bool = False

    def run(self, partition_keys: Sequence[str]) -> Iterator[Outcome]:
        """Process the accessions; each one's last outcome is a `Finished`.

        With `workers` 0 it happens in this process, which is for tests and debugging.

        Raises:
            LocutusError: before anything moved: the source, the target, the ledger, the
                workspace's policy or its secret cannot be used.
        """
        self.options = self.options or RunOptions.of(self.settings)
        parts = factory_named(self.parts_factory)(self.settings, self.workspace)
        self.secret_created = parts.secret_created
        try:
            parts.ledger.work_items(self.workspace, partition_keys)
            queue = Queue(partition_keys, PauseSwitch(parts.ledger))
            if not queue.look():  # a run that is paused asks nobody for anything
                parts.check()
                sweep_finished(parts)
            if self.settings.workers == 0:
                yield from self._inline(parts, queue)
            else:
                yield from self._pooled(parts, queue)
            self.not_attempted, self.paused = queue.left, queue.paused
        finally:
            parts.close()

    def _inline(self, parts: Parts, queue: Queue) -> Iterator[Outcome]:
        while (key := queue.take()) is not None:
            for outcome in process_accession(key, parts, self.options, run_id=self.run_id):
                if not queue.put_off(outcome):
                    yield outcome
                if isinstance(outcome, Finished) and outcome.stop:
                    queue.stop()

    def _pooled(self, parts: Parts, queue: Queue) -> Iterator[Outcome]:
        workers: list[_Worker] = []
        try:
            while queue.waiting or _busy(workers):
                wanted = min(self.settings.workers, len(queue.waiting) + _busy(workers))
                while len(workers) < wanted:
                    workers.append(_Worker.start(self))
                for worker in workers:
                    if worker.ready and worker.busy_with is None:
                        # When nobody is at work there is nobody to listen to, and time to wait.
                        key = queue.take(patiently=not _busy(workers))
                        if key is not None:
                            worker.give(key)
                for outcome in self._listen(parts, workers):
                    if not queue.put_off(outcome):
                        yield outcome
                    if isinstance(outcome, Finished) and outcome.stop:
                        queue.stop()
        finally:
            for worker in workers:
                worker.stop()
                if worker.busy_with is not None:  # the run was ended in the middle of it
                    self._forget_identified(parts, worker)

    def _listen(self, parts: Parts, workers: list[_Worker]) -> Iterator[Outcome]:
        speaking = wait([worker.connection for worker in workers], timeout=_LOOK_EVERY)
        for worker in [worker for worker in workers if worker.connection in speaking]:
            try:
                message = worker.connection.recv()
            except (EOFError, ConnectionResetError):
                workers.remove(worker)
                yield from self._bury(parts, worker)
                continue
            if isinstance(message, tuple):
                status, text = message
                if status == "broken":
                    raise BatchError(text)
                worker.owner = text
                worker.ready = worker.served = True
            elif message == DONE:
                worker.ready = True
            else:
                if isinstance(message, Finished):
                    worker.busy_with = None
                yield cast(Outcome, message)

    def _bury(self, parts: Parts, worker: _Worker) -> Iterator[Outcome]:
        """Account for the accession that a dead worker had in hand."""
        code = worker.process.wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        key = worker.busy_with
        if key is None and worker.served:
            return  # it had said all that there was to say
        if key is None:
            raise BatchError(
                f"A worker process ended before it could begin ({how}).",
                "Look for the kernel's out-of-memory killer in the system log.",
            )
        self._forget_identified(parts, worker)
        item = parts.ledger.work_items(self.workspace, [key])[0]
        with parts.claimant.hold(item.accession_id) as held:
            item = parts.ledger.work_items(self.workspace, [key])[0]
            if not held:
                yield Finished(key, Result.BUSY)  # another run was quicker to take it over
                return
            if item.state not in (State.DELIVERED, State.RECALLED):
                reason = (
                    f"The worker process died ({how}). Look for the kernel's out-of-memory killer "
                    "in the system log, then run the accession again."
                )
                parts.ledger.record_state(
                    item.accession_id,
                    State.FAILED,
                    phase=_PHASE_AFTER.get(item.state, Phase.EXTRACT),
                    reason=reason,
                    by=Attempt(self.run_id, parts.claimant.owner, row_id=item.row_id),
                )
                yield Finished(key, Result.FAILED, reason)
                return
        # It died after its last commit: what is left is to say so.
        yield from process_accession(key, parts, self.options, run_id=self.run_id)

    def _forget_identified(self, parts: Parts, worker: _Worker) -> None:
        """Remove what a worker that is no more has left of an accession's identified files."""
        item = parts.ledger.work_items(self.workspace, [worker.busy_with or ""])[0]
        if worker.owner is not None:
            parts.ledger.release(item.accession_id, worker.owner)
        with parts.interim.claim(self.workspace, item.accession_id) as room:
            room.discard_parts()
            if not self.settings.keep_interim_files:
                room.raw_zip.unlink(missing_ok=True)
                parts.ledger.record_deleted(item.accession_id, RAW)


def _busy(workers: list[_Worker]) -> int:
    return sum(worker.busy_with is not None for worker in workers)


@dataclass
class _Worker:
    """One worker process, its connection, and the accession that it has in hand."""

    process: subprocess.Popen[bytes]
    connection: Connection[object, object]
    ready: bool = False  # for the next accession
    served: bool = False  # has been ready once
    owner: str | None = None  # of its claims
    busy_with: str | None = None

    @classmethod
    def start(cls, batch: Batch) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "locutus_dagster.pipeline.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        connection: Connection[object, object] = Connection(ours.detach())
        with suppress(OSError):  # it died at once: `_listen` will notice
            connection.send(
                (batch.parts_factory, batch.settings, batch.workspace, batch.run_id, batch.options)
            )
        return cls(process, connection)

    def give(self, partition_key: str) -> None:
        """Hand over the next accession."""
        self.busy_with, self.ready = partition_key, False
        with suppress(OSError):  # it has just died: `_listen` will notice, and bury it
            self.connection.send(partition_key)

    def stop(self) -> None:
        """Let an idle worker end by itself; kill a busy one, which loses nothing."""
        self.connection.close()
        if self.busy_with is not None:
            self.process.kill()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
