"""Deliveries that were begun and never recorded, because their worker died in between.

What belongs here: removing what such a worker left on a target. What does not: withdrawing what
was recorded (`withdrawing.py`). A place is announced in the ledger before anything is put there,
so that nothing can lie on a target of which no row speaks.
"""

from __future__ import annotations

from locutus_dagster.pipeline.withdrawing import Withdrawing

__all__ = ["withdraw_unrecorded"]


def withdraw_unrecorded(accession_id: int, parts: Withdrawing, *, besides: str = "") -> None:
    """Remove what a worker that died put into the target and could not record any more.

    Whoever calls it has the claim on the accession.

    Args:
        besides: a place that is about to be delivered to again.

    Raises:
        TargetError: it could not be removed; it stays noted.
    """
    for target, uri in parts.ledger.announced(accession_id):
        if target != parts.target.name or uri == besides:
            continue
        if not parts.ledger.recorded_at(target, uri):
            parts.target.withdraw(uri)
        parts.ledger.forget_announced(accession_id, target, uri)
