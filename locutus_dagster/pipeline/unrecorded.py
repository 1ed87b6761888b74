"""Deliveries that were begun and never recorded, because their worker died in between.

What belongs here: removing what such a worker left on a target. What does not: withdrawing what
was recorded (`withdrawing.py`). A place is announced in the ledger before anything is put there,
so that nothing can lie on a target of which no row speaks.
"""

from __future__ import annotations

from locutus_dagster.pipeline.withdrawing import Withdrawing
from locutus_dagster.targets import TargetError

__all__ = ["take_back", "withdraw_unrecorded"]


def withdraw_unrecorded(accession_id: int, parts: Withdrawing) -> str:
    """Remove what a worker that died put into the target and could not record any more.

    Whoever calls it has the claim on the accession, and has just delivered or found a delivery.

    Returns:
        Why something could not be removed; it stays noted. Empty when nothing is left.
    """
    kept = ""
    for name, uri in parts.ledger.announced(accession_id):
        target = parts.targets.get(name)
        if target is None:
            kept = f"no target named '{name}' is configured"
            continue
        try:
            if not parts.ledger.recorded_at(name, uri):
                target.withdraw(uri)
        except TargetError as error:
            kept = error.message
            continue
        parts.ledger.forget_announced(accession_id, name, uri)
    return f"an unfinished delivery could not be removed: {kept}" if kept else ""


def take_back(accession_id: int, name: str, uri: str, parts: Withdrawing) -> None:
    """Remove what a worker put at `uri` of a target that lost its claim in the meantime.

    It is left where a row speaks of it, or where the worker that has the accession now is about
    to deliver to the same place.

    Raises:
        TargetError: it could not be removed.
    """
    if parts.ledger.recorded_at(name, uri):
        return
    if (name, uri) not in parts.ledger.announced(accession_id):
        parts.targets[name].withdraw(uri)
