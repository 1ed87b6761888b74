"""Recalling and lifting in a small world, as the command does it, and a look at what is left.

What belongs here: what the tests of recalls share. What does not: tests.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from locutus_dagster.ledger import State
from locutus_dagster.pipeline.recall_parts import RecallParts, recall_parts
from locutus_dagster.pipeline.recalling import LiftOutcome, RecallOutcome, lift, recall
from locutus_dagster_tests.pipeline.small_world import SmallWorld

WHY = "consent withdrawn"
BACK = "the form belonged to somebody else"


@contextmanager
def opened(world: SmallWorld) -> Iterator[RecallParts]:
    """Parts for a recall, as the command has them."""
    made = recall_parts(world.settings, "default")
    try:
        yield made
    finally:
        made.close()


def recalled(world: SmallWorld, key: str, patience: float = 0.0) -> RecallOutcome:
    """Recall the accession of a partition."""
    with opened(world) as made:
        identity = world.item(key).accession_id
        return recall(made, reason=WHY, accession_id=identity, patience=patience)


def subject_recalled(world: SmallWorld, subject: str, patience: float = 0.0) -> RecallOutcome:
    """Recall a subject."""
    with opened(world) as made:
        return recall(made, reason=WHY, subject_id=subject, patience=patience)


def lifted(world: SmallWorld, key: str | None = None, subject: str | None = None) -> LiftOutcome:
    """Lift the recall of a partition's accession, or of a subject."""
    identity = world.item(key).accession_id if key else None
    with opened(world) as made:
        return lift(made, reason=BACK, accession_id=identity, subject_id=subject, patience=0.0)


def filled(world: SmallWorld, *numbers: str, **how: str) -> list[str]:
    """Accessions with a study each, named by one manifest."""
    for number in numbers:
        world.put_study(number)
    return world.load(*numbers, **how)


def assert_gone(world: SmallWorld, *keys: str) -> None:
    """Nothing of these accessions is left on the share or in the scratch space."""
    for key in keys:
        item = world.item(key)
        assert item.state is State.RECALLED
        assert item.claimed_until is None
        assert world.ledger.artifacts(item.accession_id) == []
        assert world.ledger.announced(item.accession_id) == []
        for one in world.ledger.deliveries(item.accession_id):
            assert one.withdrawn_at is not None
            assert not (world.root / one.uri.removeprefix("file://")).exists()
        assert not list((world.settings.scratch_dir / "default").glob(f"a*{item.accession_id}"))
    assert world.leftovers() == []


def killed(world: SmallWorld, place: str, do: Callable[[RecallParts], object]) -> bool:
    """Do it in a process of its own that kills itself at a place; whether it came to that."""
    pid = os.fork()
    if pid == 0:
        try:
            made = recall_parts(world.settings, "default")

            def kill(where: str) -> None:
                if where == place:
                    os.kill(os.getpid(), signal.SIGKILL)

            made.checkpoint = kill
            do(made)
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)
