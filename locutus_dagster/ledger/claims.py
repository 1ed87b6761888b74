"""Claims: one worker at a time has an accession in hand, on however many hosts.

What belongs here: taking, renewing and giving back the claim on an accession's row, and refusing a
change by who has lost it. What does not: the threads that renew (`pipeline/claiming.py`).

A claim ends by itself when its worker no longer says that it lives. A worker that comes back to
life after that finds that its changes are refused, because each of them is made in the
transaction that looks at the claim.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from locutus_dagster.ledger.connection import LedgerConnection, LedgerError
from locutus_dagster.ledger.schema import Accession, now

__all__ = ["ClaimLostError", "Claims", "clock"]


class ClaimLostError(LedgerError):
    """Another worker has the accession in hand now; what this one did is not recorded."""

    def __init__(self) -> None:
        super().__init__(
            "Another worker has taken this accession over, because this one was silent for too "
            "long.",
            "Nothing is lost: the other one finishes it.",
        )


def clock(session: Session) -> datetime:
    """The time that claims are measured by: the database's where several hosts share it."""
    if session.get_bind().dialect.name == "postgresql":
        found: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
        return found
    return now()


class Claims(LedgerConnection):
    """Taking accessions in hand."""

    def claim(self, accession_id: int, owner: str, lease: float) -> bool:
        """Take an accession in hand for `lease` seconds; False when another worker has it.

        Claiming what one has already renews the lease.
        """
        with self.session() as session:
            at = clock(session)
            taken = session.execute(
                update(Accession)
                .where(
                    Accession.id == accession_id,
                    or_(
                        Accession.claimed_by.is_(None),
                        Accession.claimed_by == owner,
                        Accession.claimed_until < at,
                    ),
                )
                .values(claimed_by=owner, claimed_until=at + timedelta(seconds=lease))
                .execution_options(synchronize_session=False)
            )
            return bool(taken.rowcount)  # type: ignore[attr-defined]

    def renew(self, owner: str, lease: float) -> int:
        """Extend whatever `owner` has in hand; returns how many accessions that is."""
        with self.session() as session:
            renewed = session.execute(
                update(Accession)
                .where(Accession.claimed_by == owner)
                .values(claimed_until=clock(session) + timedelta(seconds=lease))
                .execution_options(synchronize_session=False)
            )
            return int(renewed.rowcount)  # type: ignore[attr-defined]

    def release(self, accession_id: int, owner: str) -> None:
        """Give an accession back, if `owner` still has it."""
        with self.session() as session:
            session.execute(
                update(Accession)
                .where(Accession.id == accession_id, Accession.claimed_by == owner)
                .values(claimed_by=None, claimed_until=None)
                .execution_options(synchronize_session=False)
            )

    def holds(self, accession_id: int, owner: str) -> bool:
        """Whether `owner` has the accession in hand at this moment."""
        with self.session(reads_only=True) as session:
            row = session.execute(
                select(Accession.claimed_by, Accession.claimed_until).where(
                    Accession.id == accession_id
                )
            ).first()
            if row is None or row.claimed_by != owner or row.claimed_until is None:
                return False
            return bool(row.claimed_until > clock(session))

    def claimed_by(self, accession_id: int) -> str | None:
        """The worker that has the accession in hand at this moment."""
        with self.session(reads_only=True) as session:
            row = session.execute(
                select(Accession.claimed_by, Accession.claimed_until).where(
                    Accession.id == accession_id
                )
            ).first()
            if row is None or row.claimed_until is None or row.claimed_until <= clock(session):
                return None
            found: str | None = row.claimed_by
            return found
