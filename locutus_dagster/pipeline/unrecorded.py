"""Deliveries that were begun and never recorded, because their worker died in between.

What belongs here: removing what such a worker left on a target. What does not: withdrawing what
was recorded (`withdrawing.py`). A place is announced in the ledger before anything is put there,
so that nothing can lie on a target of which no row speaks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from locutus_dagster.ledger.claims import ClaimLostError
from locutus_dagster.ledger.work import Place
from locutus_dagster.pipeline.withdrawing import Withdrawing, why_kept
from locutus_dagster.targets import refuse_elsewhere

__all__ = ["take_back", "taken_back_if_lost", "withdraw_unrecorded"]


def withdraw_unrecorded(accession_id: int, parts: Withdrawing) -> str:
    """Remove what a worker that died put into the target and could not record any more.

    Whoever calls it has the claim on the accession, and has just delivered or found a delivery.

    Returns:
        Why something could not be removed; it stays noted. Empty when nothing is left.
    """
    kept = ""
    for place in parts.ledger.announced(accession_id):
        target = parts.targets.get(place.target)
        if target is None:
            kept = f"no target named '{place.target}' is configured"
            continue
        if not parts.ledger.recorded_at(*place):
            try:
                refuse_elsewhere(target, place.store)
                target.withdraw(place.uri)
            except Exception as error:  # noqa: BLE001 - no target may hide another one
                kept = why_kept(error)
                continue
        parts.ledger.forget_announced(accession_id, place)
    return f"an unfinished delivery could not be removed: {kept}" if kept else ""


@contextmanager
def taken_back_if_lost(accession_id: int, place: Place, parts: Withdrawing) -> Iterator[None]:
    """Record within it what was just put at `place`.

    Raises:
        ClaimLostError: another worker has the accession now, and what was put is removed.
        TargetError: it could not be removed.
    """
    try:
        yield
    except ClaimLostError:
        # Slept through its lease before the put, perhaps: whoever took the accession over, or
        # recalled it, has looked at this place before anything lay there.
        take_back(accession_id, place, parts)
        raise


def take_back(accession_id: int, place: Place, parts: Withdrawing) -> None:
    """Remove what a worker put at a place of a target that lost its claim in the meantime.

    It is left where a row speaks of it, or where the worker that has the accession now is about
    to deliver to the same place. What cannot be removed is announced anew, so that the next run or
    recall finds it.

    Raises:
        TargetError: it could not be removed.
    """
    if parts.ledger.recorded_at(*place) or place in parts.ledger.announced(accession_id):
        return
    try:
        parts.targets[place.target].withdraw(place.uri)
    except BaseException:
        parts.ledger.announce_delivery(accession_id, place.target, place.uri, store=place.store)
        raise
