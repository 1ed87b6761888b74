"""Several targets for one accession: which of them has confirmed, which has failed, and why.

What belongs here: what is known of a target while, or because, not all of them have confirmed.
What does not: confirmed deliveries themselves (`deliveries.py`), and the state of the accession,
which is delivered when every required target has confirmed (`store.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from locutus_dagster.ledger.claims import ClaimLostError
from locutus_dagster.ledger.connection import LedgerConnection
from locutus_dagster.ledger.deliveries import add_delivery
from locutus_dagster.ledger.schema import Accession, TargetState, now
from locutus_dagster.ledger.states import State
from locutus_dagster.ledger.work import Attempt, DeliveryRecord, TargetRecord

__all__ = ["TargetStates", "forget_confirmed"]


class TargetStates(LedgerConnection):
    """How each target stands with an accession."""

    def target_states(self, accession_id: int) -> dict[str, TargetRecord]:
        """By target; one of which there is nothing to say but its deliveries is not among them."""
        return self.target_states_of([accession_id])[accession_id]

    def target_states_of(self, accession_ids: Sequence[int]) -> dict[int, dict[str, TargetRecord]]:
        """The same for each of several hundred accessions, in one question."""
        found: dict[int, dict[str, TargetRecord]] = {identity: {} for identity in accession_ids}
        asked = select(TargetState).where(TargetState.accession_id.in_(accession_ids))
        with self.session(reads_only=True) as session:
            for row in session.scalars(asked):
                found[row.accession_id][row.target] = TargetRecord(
                    row.target, row.confirmed, row.reason, row.tries, row.at
                )
        return found

    def record_delivery(
        self, accession_id: int, delivery: DeliveryRecord, *, withdraw: str, by: Attempt
    ) -> None:
        """One target has confirmed; the accession stays in its state, for others have not yet.

        Args:
            withdraw: as for `Ledger.record_delivered`.

        Raises:
            ClaimLostError: another worker has taken the accession over.
            LedgerError: another accession has been delivered to that place.
        """
        with self.session() as session:
            accession = _claimed(session, accession_id, by)
            add_delivery(session, accession, delivery, withdraw, by)
            _forget(session, accession_id, delivery.target)
            if accession.state != State.DELIVERED.value:
                session.add(
                    TargetState(
                        accession_id=accession_id,
                        target=delivery.target,
                        confirmed=True,
                        reason="",
                        tries=0,
                        at=now(),
                    )
                )

    def record_target_failed(
        self, accession_id: int, target: str, reason: str, *, by: Attempt
    ) -> None:
        """A target has not taken the zip, after all attempts of its own.

        Raises:
            ClaimLostError: another worker has taken the accession over.
        """
        with self.session() as session:
            _claimed(session, accession_id, by)
            row = session.get(TargetState, (accession_id, target))
            if row is None:
                row = TargetState(accession_id=accession_id, target=target, tries=0)
                session.add(row)
            row.confirmed, row.reason, row.at = False, reason, now()
            row.tries += 1


def forget_confirmed(session: Session, accession_id: int, target: str | None = None) -> None:
    """Within a transaction: there is a new zip, or all targets have confirmed, `target` last."""
    session.execute(
        delete(TargetState).where(
            TargetState.accession_id == accession_id,
            or_(TargetState.confirmed, TargetState.target == target),
        )
    )


def _forget(session: Session, accession_id: int, target: str) -> None:
    session.execute(
        delete(TargetState).where(
            TargetState.accession_id == accession_id, TargetState.target == target
        )
    )


def _claimed(session: Session, accession_id: int, by: Attempt) -> Accession:
    accession = session.get_one(Accession, accession_id, with_for_update=True)
    if by.owner is not None and accession.claimed_by != by.owner:
        raise ClaimLostError
    return accession
