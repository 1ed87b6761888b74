"""Taking deliveries back: what was asked to be removed from a target, removed and confirmed.

What belongs here: carrying out withdrawals that the ledger notes. What does not: asking for them
(`deliver.py` for what is superseded, `recalling.py` for what is recalled).
"""

from __future__ import annotations

from collections.abc import Iterable

from locutus_dagster.ledger.work import DeliveryRecord
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.targets import TargetError

__all__ = ["withdraw", "withdraw_superseded"]


def withdraw(deliveries: Iterable[DeliveryRecord], parts: Parts) -> list[str]:
    """Remove deliveries from the target, and record each one that is gone.

    A crash leaves the rest noted as to be withdrawn; doing it again is harmless.

    Returns:
        Why some could not be removed; empty when all are gone.
    """
    faults = []
    for delivery in deliveries:
        if delivery.target != parts.target.name:
            faults.append(f"no target named '{delivery.target}' is configured")
            continue
        try:
            gone = parts.target.withdraw(delivery.uri)
        except TargetError as error:
            faults.append(error.message)
            continue
        parts.checkpoint("withdraw:removed")
        what = f"{gone.size} bytes, sha256 {delivery.sha256}" if gone.removed else "it was gone"
        parts.ledger.record_withdrawn(delivery.identity, what)
    return faults


def withdraw_superseded(accession_id: int, parts: Parts) -> str:
    """Carry out what is noted for one accession; says what is left, empty when nothing is."""
    noted = parts.ledger.to_withdraw(parts.workspace, [accession_id])
    if not noted:
        return ""
    faults = withdraw([delivery for _, delivery in noted], parts)
    if not faults:
        return ""
    return f"{len(faults)} earlier deliveries could not be withdrawn: {'; '.join(set(faults))}"
