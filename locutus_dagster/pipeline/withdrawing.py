"""Taking deliveries back: what was asked to be removed from a target, removed and confirmed.

What belongs here: carrying out withdrawals that the ledger notes. What does not: asking for them
(`deliver.py` for what is superseded, `recalling.py` for what is recalled).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from locutus_dagster.errors import LocutusError, describe_unexpected
from locutus_dagster.ledger import Ledger
from locutus_dagster.ledger.work import DeliveryRecord
from locutus_dagster.targets import Target, Withdrawal, refuse_elsewhere

__all__ = ["Withdrawals", "Withdrawing", "why_kept", "withdraw", "withdraw_superseded"]


class Withdrawing(Protocol):
    """What withdrawing works with; `Parts` has it all."""

    @property
    def workspace(self) -> str:
        """The project."""

    @property
    def ledger(self) -> Ledger:
        """Where withdrawals are noted."""

    @property
    def targets(self) -> Mapping[str, Target]:
        """Where deliveries lie, by name."""

    @property
    def checkpoint(self) -> Callable[[str], None]:
        """Called with the name of each place where something has just been removed."""


@dataclass
class Withdrawals:
    """What came of withdrawing.

    Attributes:
        removed: with what the target says of each.
        gone: lay no more on the target when it was asked.
        kept: could not be removed, and why; they stay noted.
    """

    removed: list[tuple[DeliveryRecord, Withdrawal]] = field(default_factory=list)
    gone: list[DeliveryRecord] = field(default_factory=list)
    kept: list[tuple[DeliveryRecord, str]] = field(default_factory=list)


def withdraw(deliveries: Iterable[DeliveryRecord], parts: Withdrawing) -> Withdrawals:
    """Remove deliveries from their targets, and record each one that is gone.

    Where a target keeps versions and a later delivery lies above one, that version alone goes.

    No target hides another one: whatever one raises, the others are still emptied.

    A crash leaves the rest noted as to be withdrawn; doing it again is harmless. Whoever calls it
    has the claim on the accession, so that nothing is delivered to these places meanwhile.
    """
    done = Withdrawals()
    for delivery in deliveries:
        target = parts.targets.get(delivery.target)
        if target is None:
            why = f"no target named '{delivery.target}' is configured"
            done.kept.append((delivery, why))
            continue
        beneath = delivery.version if parts.ledger.lies_beneath(delivery) else ""
        try:
            refuse_elsewhere(target, delivery.store)
            answer = target.withdraw(delivery.uri, version=beneath)
        except Exception as error:  # noqa: BLE001 - a secret that is missing, a package that fails
            done.kept.append((delivery, why_kept(error)))
            continue
        parts.checkpoint("withdraw:removed")
        if answer.removed:
            what = f"{answer.size} bytes, sha256 {delivery.sha256}"
            done.removed.append((delivery, answer))
        else:
            what = "it was gone"
            done.gone.append(delivery)
        parts.ledger.record_withdrawn(delivery.identity, what)
    return done


def why_kept(error: Exception) -> str:
    """Why a target did not remove something, in words free of identifiers."""
    return str(error) if isinstance(error, LocutusError) else describe_unexpected(error)


def withdraw_superseded(accession_id: int, parts: Withdrawing) -> str:
    """Carry out what is noted for one accession; says what is left, empty when nothing is."""
    noted = parts.ledger.to_withdraw(parts.workspace, [accession_id])
    kept = withdraw([delivery for _, delivery in noted], parts).kept
    if not kept:
        return ""
    faults = "; ".join(sorted({why for _, why in kept}))
    return f"{len(kept)} earlier deliveries could not be withdrawn: {faults}"
