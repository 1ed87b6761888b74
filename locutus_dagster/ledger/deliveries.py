"""Deliveries over time: which one stands, which one took its place, which one was taken back.

What belongs here: questions about deliveries, superseding and withdrawing. What does not: removing
anything from a target (`pipeline/withdrawing.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, or_, select, true, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from locutus_dagster.ledger.claims import ClaimLostError
from locutus_dagster.ledger.connection import LedgerConnection, LedgerError
from locutus_dagster.ledger.schema import Accession, Announcement, Delivery, now
from locutus_dagster.ledger.work import Announced, Attempt, DeliveryRecord, Place

__all__ = ["Deliveries", "add_delivery", "is_taken"]


class Deliveries(LedgerConnection):
    """What has been delivered, and what has been taken back."""

    def deliveries(self, accession_id: int) -> list[DeliveryRecord]:
        """Every delivery that was ever confirmed for the accession, oldest first."""
        with self.session(reads_only=True) as session:
            rows = session.scalars(
                select(Delivery).where(Delivery.accession_id == accession_id).order_by(Delivery.id)
            )
            return [_record(row) for row in rows]

    def deliveries_of(self, accession_ids: Sequence[int]) -> dict[int, list[DeliveryRecord]]:
        """The same for each of several hundred accessions, in one question."""
        statement = select(Delivery).where(Delivery.accession_id.in_(accession_ids))
        found: dict[int, list[DeliveryRecord]] = {identity: [] for identity in accession_ids}
        with self.session(reads_only=True) as session:
            for row in session.scalars(statement.order_by(Delivery.id)):
                found[row.accession_id].append(_record(row))
        return found

    def standing(self, accession_id: int) -> list[DeliveryRecord]:
        """The accession's deliveries that neither were superseded nor withdrawn, oldest first."""
        return [record for record in self.deliveries(accession_id) if record.stands]

    def delivered_elsewhere(self, accession_id: int, target: str, uri: str) -> bool:
        """Whether a delivery of another accession stands at `uri`, or is to be removed from it."""
        with self.session(reads_only=True) as session:
            return is_taken(session, accession_id, target, uri)

    def row_was_delivered(self, accession_id: int, row_id: int) -> bool:
        """Whether a delivery was ever made for this row of a manifest."""
        with self.session(reads_only=True) as session:
            found = session.scalar(
                select(Delivery.id)
                .where(Delivery.accession_id == accession_id, Delivery.row_id == row_id)
                .limit(1)
            )
            return found is not None

    def announce_delivery(
        self,
        accession_id: int,
        target: str,
        uri: str,
        owner: str | None = None,
        *,
        store: str = "",
    ) -> Announced:
        """Note where a delivery is about to be made, so that no crash leaves one unknown.

        Raises:
            ClaimLostError: `owner` has the accession in hand no more.
        """
        with self.session() as session:
            accession = session.get_one(Accession, accession_id, with_for_update=True)
            if owner is not None and accession.claimed_by != owner:
                raise ClaimLostError
            other = session.scalar(
                select(Announcement.accession_id).where(
                    Announcement.target == target,
                    Announcement.uri == uri,
                    Announcement.accession_id != accession_id,
                )
            )
            if other is not None:
                return Announced.TAKEN
            if session.get(Announcement, (target, uri, accession_id, store)) is not None:
                return Announced.AGAIN
            session.add(
                Announcement(target=target, uri=uri, accession_id=accession_id, store=store)
            )
            return Announced.NEW

    def announced(self, accession_id: int) -> list[Place]:
        """Where deliveries were begun and never recorded."""
        with self.session(reads_only=True) as session:
            rows = session.scalars(
                select(Announcement).where(Announcement.accession_id == accession_id)
            )
            return [Place(row.target, row.uri, row.store) for row in rows]

    def forget_announced(
        self, accession_id: int, place: Place, *, owner: str | None = None
    ) -> None:
        """Nothing unrecorded lies there any more.

        Args:
            owner: nothing is done if the accession is no longer in its hand: whoever has it now
                may have announced the same place.
        """
        with self.session() as session:
            accession = session.get_one(Accession, accession_id, with_for_update=True)
            if owner is None or accession.claimed_by == owner:
                session.execute(
                    delete(Announcement).where(
                        Announcement.accession_id == accession_id,
                        Announcement.target == place.target,
                        Announcement.uri == place.uri,
                        Announcement.store == place.store,
                    )
                )

    def recorded_at(self, target: str, uri: str, store: str = "") -> bool:
        """Whether what lies at `uri` is a delivery that was recorded, of whatever accession."""
        with self.session(reads_only=True) as session:
            found = session.scalar(
                select(Delivery.id)
                .where(
                    Delivery.target == target,
                    Delivery.uri == uri,
                    Delivery.withdrawn_at.is_(None),
                    _may_be(Delivery.store, store),
                )
                .limit(1)
            )
            return found is not None

    def lies_beneath(self, delivery: DeliveryRecord) -> bool:
        """Whether a later version lies where this delivery does, on a target that keeps both."""
        if not delivery.version:
            return False
        with self.session(reads_only=True) as session:
            found = session.scalar(
                select(Delivery.id)
                .where(
                    Delivery.target == delivery.target,
                    Delivery.uri == delivery.uri,
                    Delivery.id > delivery.identity,
                    Delivery.withdrawn_at.is_(None),
                    _may_be(Delivery.store, delivery.store),
                )
                .limit(1)
            )
            return found is not None

    def to_withdraw(
        self, workspace: str, accession_ids: Sequence[int] | None = None
    ) -> list[tuple[int, DeliveryRecord]]:
        """Deliveries whose removal was asked for and has not been confirmed, with their accession.

        Args:
            accession_ids: look at these alone; None for the whole workspace.
        """
        statement = (
            select(Delivery)
            .join(Accession, Accession.id == Delivery.accession_id)
            .where(
                Accession.workspace == workspace,
                Delivery.withdrawal != "",
                Delivery.withdrawn_at.is_(None),
            )
            .order_by(Delivery.id)
        )
        if accession_ids is not None:
            statement = statement.where(Delivery.accession_id.in_(accession_ids))
        with self.session(reads_only=True) as session:
            return [(row.accession_id, _record(row)) for row in session.scalars(statement)]

    def ask_withdrawal(self, accession_id: int, why: str) -> int:
        """Note that everything delivered of an accession is to be removed; returns how many.

        Superseded deliveries count too, as long as they may still lie on their target.
        """
        with self.session() as session:
            asked = session.execute(
                update(Delivery)
                .where(Delivery.accession_id == accession_id, Delivery.withdrawn_at.is_(None))
                .values(withdrawal=why)
                .execution_options(synchronize_session=False)
            )
            return int(asked.rowcount)  # type: ignore[attr-defined]

    def record_withdrawn(self, identity: int, what: str) -> None:
        """The target has confirmed that a delivery is gone; `what` says what was removed."""
        with self.session() as session:
            row = session.get_one(Delivery, identity, with_for_update=True)
            row.withdrawn_at = now()
            row.withdrawn = what


def is_taken(session: Session, accession_id: int, target: str, uri: str) -> bool:
    """Whether a place is not free for a delivery of this accession.

    A superseded delivery of another accession may be overwritten, but not while it waits to be
    removed: what is removed then would be the new one.
    """
    found = session.scalar(
        select(Delivery.id)
        .where(
            Delivery.target == target,
            Delivery.uri == uri,
            Delivery.accession_id != accession_id,
            Delivery.withdrawn_at.is_(None),
            or_(Delivery.superseded_at.is_(None), Delivery.withdrawal != ""),
        )
        .limit(1)
    )
    return found is not None


def add_delivery(
    session: Session, accession: Accession, delivery: DeliveryRecord, withdraw: str, by: Attempt
) -> None:
    """Add what a target has confirmed, within a transaction.

    Raises:
        LedgerError: another accession has been delivered to that place.
    """
    if is_taken(session, accession.id, delivery.target, delivery.uri):
        raise LedgerError(
            "Another accession has been delivered to the same place.",
            "Mend the key template so that every study has a place of its own.",
        )
    made = Delivery(
        accession_id=accession.id,
        target=delivery.target,
        uri=delivery.uri,
        sha256=delivery.sha256,
        size=delivery.size,
        instances=delivery.instances,
        fingerprint=delivery.fingerprint,
        made_from=delivery.made_from,
        generation=accession.generation,
        row_id=by.row_id,
        run_id=by.run_id,
        checksum=delivery.checksum,
        version=delivery.version,
        store=delivery.store,
    )
    _supersede(session, made, withdraw)
    session.execute(
        delete(Announcement).where(
            Announcement.accession_id == accession.id,
            Announcement.target == delivery.target,
            Announcement.uri == delivery.uri,
            _may_be(Announcement.store, delivery.store),
        )
    )


def _may_be(column: InstrumentedAttribute[str], store: str) -> ColumnElement[bool]:
    """Whether a row is about a place in `store`, as far as anybody knows.

    Rows of earlier versions do not say in which store; those of shares need not.
    """
    return or_(column == store, column == "") if store else true()


def _supersede(session: Session, made: Delivery, withdraw: str) -> None:
    """Add a delivery in place of those of the same accession and target that stand.

    Whatever lay at the same place, superseded long ago or by this one, has been overwritten:
    nothing of it is left to be withdrawn, and removing it would remove what stands now. Where the
    target keeps versions it still lies there, beneath the new one; and so it does in another store
    to which the target led at that time.
    """
    rows = session.scalars(
        select(Delivery).where(
            Delivery.target == made.target,
            Delivery.withdrawn_at.is_(None),
            or_(
                (Delivery.accession_id == made.accession_id) & Delivery.superseded_at.is_(None),
                (Delivery.uri == made.uri)
                & Delivery.superseded_at.is_not(None)
                & _may_be(Delivery.store, made.store),
            ),
        )
    ).all()
    before = [row for row in rows if row.superseded_at is None]
    at = now()
    for row in rows:
        row.superseded_at = row.superseded_at or at
        beneath = bool(row.version) and bool(made.version) and row.version != made.version
        elsewhere = bool(row.store) and bool(made.store) and row.store != made.store
        if row.uri == made.uri and not beneath and not elsewhere:
            row.withdrawn_at, row.withdrawn = at, "overwritten by the delivery that followed it"
        elif withdraw:
            row.withdrawal = withdraw
    # The one that took its place is known by number only after it has been added, and it can only
    # be added when the place is free.
    session.flush()
    session.add(made)
    session.flush()
    for row in before:
        row.superseded_by = made.id


def _record(row: Delivery) -> DeliveryRecord:
    return DeliveryRecord(
        target=row.target,
        uri=row.uri,
        sha256=row.sha256,
        size=row.size,
        instances=row.instances,
        fingerprint=row.fingerprint,
        made_from=row.made_from,
        row_id=row.row_id,
        identity=row.id,
        generation=row.generation,
        run_id=row.run_id,
        delivered_at=row.delivered_at,
        superseded_at=row.superseded_at,
        withdrawal=row.withdrawal,
        withdrawn_at=row.withdrawn_at,
        withdrawn=row.withdrawn,
        checksum=row.checksum,
        version=row.version,
        store=row.store,
    )
