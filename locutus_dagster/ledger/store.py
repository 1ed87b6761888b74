"""Changing the ledger.

What belongs here: one method for each thing that happens to an accession. What does not: questions
(`reading.py`), what a manifest looks like (`manifests/`), when something happens (`pipeline/`).

Every method is one transaction. A method that changes an accession's state checks the change
against the transition table and appends an event.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from locutus_dagster.ledger.connection import LedgerError
from locutus_dagster.ledger.reading import LedgerReader
from locutus_dagster.ledger.schema import (
    Accession,
    Artifact,
    DeidReport,
    Delivery,
    Disposition,
    Event,
    Workspace,
    now,
)
from locutus_dagster.ledger.states import State, check_transition
from locutus_dagster.ledger.work import (
    ArtifactRecord,
    DeliveryRecord,
    DispositionCount,
    ReportRecord,
)

__all__ = ["Ledger", "LedgerError"]


class Ledger(LedgerReader):
    """The status database, open for questions and changes; safe to share between threads."""

    def ensure_workspace(self, name: str) -> None:
        """Register the workspace unless it is known."""
        with self.session() as session:
            # Another process may register it at this moment; either will do.
            dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
            session.execute(dialect.insert(Workspace).values(name=name).on_conflict_do_nothing())

    def set_workspace_key_id(self, name: str, key_id: str, *, before: str | None = None) -> None:
        """Remember the workspace's key, if `before` is what is remembered so far."""
        with self.session() as session:
            session.execute(
                update(Workspace)
                .where(Workspace.name == name, Workspace.key_id == before)  # None: IS NULL
                .values(key_id=key_id)
            )

    def record_state(
        self,
        accession_id: int,
        state: State,
        *,
        phase: int | None = None,
        reason: str = "",
        run_id: str | None = None,
        values: dict[str, Any] | None = None,
    ) -> None:
        """Move an accession to `state`, and set further columns of it in the same transaction."""
        with self.session() as session:
            _move(session, accession_id, state, phase, reason, run_id, values)

    def record_extracted(
        self,
        accession_id: int,
        artifact: ArtifactRecord,
        *,
        source_study: str,
        run_id: str | None = None,
    ) -> None:
        """The raw zip lies in the interim store, verified."""
        values = {
            "source_study": source_study,
            "source_fingerprint": artifact.fingerprint,
            "instances": artifact.instances,
        }
        with self.session() as session:
            _replace_artifact(session, accession_id, artifact)
            _move(session, accession_id, State.EXTRACTED, None, "", run_id, values)

    def record_deidentified(
        self,
        accession_id: int,
        artifact: ArtifactRecord,
        dispositions: Iterable[DispositionCount],
        report: ReportRecord,
        *,
        study_uid: str,
        study_token: str,
        spent: Iterable[str] = (),
        run_id: str | None = None,
    ) -> None:
        """The de-identified zip lies in the interim store, verified and free of residue.

        Args:
            report: takes the place of the one before, as `dispositions` do.
            spent: kinds of artifacts that it was made from and that are about to be deleted.
        """
        with self.session() as session:
            _replace_artifact(session, accession_id, artifact)
            _mark_deleted(session, accession_id, spent)
            counts = _replace_report(session, accession_id, dispositions, report)
            values = {"study_uid": study_uid, "study_token": study_token, **counts}
            _move(session, accession_id, State.DEIDENTIFIED, None, "", run_id, values)

    def record_blocked(
        self,
        accession_id: int,
        dispositions: Iterable[DispositionCount],
        report: ReportRecord,
        *,
        phase: int,
        reason: str,
        run_id: str | None = None,
    ) -> None:
        """De-identification ran, and its result must not be delivered."""
        with self.session() as session:
            counts = _replace_report(session, accession_id, dispositions, report)
            counts["delivered"] = 0
            _move(session, accession_id, State.FAILED, phase, reason, run_id, counts)

    def record_delivered(
        self,
        accession_id: int,
        delivery: DeliveryRecord,
        *,
        spent: Iterable[str] = (),
        run_id: str | None = None,
    ) -> None:
        """The target has confirmed the zip; `spent` artifacts are about to be deleted.

        Raises:
            LedgerError: another accession has been delivered to that place.
        """
        with self.session() as session:
            _mark_deleted(session, accession_id, spent)
            known = session.scalars(
                select(Delivery).where(
                    Delivery.target == delivery.target, Delivery.uri == delivery.uri
                )
            ).first()
            if known is not None and known.accession_id != accession_id:
                raise LedgerError(
                    "Another accession has been delivered to the same place.",
                    "Mend the key template so that every study has a place of its own.",
                )
            if known is None:
                known = Delivery(
                    accession_id=accession_id, target=delivery.target, uri=delivery.uri
                )
                session.add(known)
            known.sha256 = delivery.sha256
            known.size = delivery.size
            known.instances = delivery.instances
            known.fingerprint = delivery.fingerprint
            known.delivered_at = now()
            _move(session, accession_id, State.DELIVERED, None, "", run_id, None)

    def record_deleted(self, accession_id: int, kind: str) -> None:
        """Every artifact of that kind has been removed from the interim store."""
        with self.session() as session:
            _mark_deleted(session, accession_id, (kind,))


def _move(
    session: Session,
    accession_id: int,
    state: State,
    phase: int | None,
    reason: str,
    run_id: str | None,
    values: dict[str, Any] | None,
) -> None:
    accession = session.get_one(Accession, accession_id, with_for_update=True)
    before = State(accession.state)
    check_transition(before, state)
    accession.state = state.value
    accession.phase = phase
    accession.reason = reason
    accession.run_id = run_id
    accession.updated_at = now()
    for column, value in (values or {}).items():
        setattr(accession, column, value)
    session.add(
        Event(
            accession_id=accession_id,
            before=before.value,
            after=state.value,
            phase=phase,
            reason=reason,
            run_id=run_id,
        )
    )


def _mark_deleted(session: Session, accession_id: int, kinds: Iterable[str]) -> None:
    session.execute(
        update(Artifact)
        .where(
            Artifact.accession_id == accession_id,
            Artifact.kind.in_(list(kinds)),
            Artifact.deleted_at.is_(None),
        )
        .values(deleted_at=now())
    )


def _replace_artifact(session: Session, accession_id: int, record: ArtifactRecord) -> None:
    _mark_deleted(session, accession_id, (record.kind,))
    session.add(
        Artifact(
            accession_id=accession_id,
            kind=record.kind,
            host=record.host,
            path=record.path,
            sha256=record.sha256,
            size=record.size,
            instances=record.instances,
            fingerprint=record.fingerprint,
        )
    )


def _replace_report(
    session: Session,
    accession_id: int,
    dispositions: Iterable[DispositionCount],
    report: ReportRecord,
) -> dict[str, Any]:
    """Replace counts and report of an earlier attempt; return what was delivered and withheld."""
    session.execute(delete(Disposition).where(Disposition.accession_id == accession_id))
    counts = {"delivered": 0, "withheld": 0}
    for item in dispositions:
        counts["withheld" if item.disposition == "withheld" else "delivered"] += item.instances
        session.add(
            Disposition(
                accession_id=accession_id,
                sop_class=item.sop_class,
                modality=item.modality,
                disposition=item.disposition,
                reason=item.reason,
                instances=item.instances,
                policy_fingerprint=report.policy_fingerprint,
            )
        )
    session.merge(
        DeidReport(
            accession_id=accession_id,
            policy_name=report.policy_name,
            policy_fingerprint=report.policy_fingerprint,
            key_id=report.key_id,
            engine_version=report.engine_version,
            created_at=now(),
            report=report.table,
        )
    )
    return dict(counts)
