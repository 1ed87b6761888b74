"""Changing the ledger.

What belongs here: one method for each thing that happens to an accession. What does not: questions
(`reading.py`), what a manifest looks like (`manifests/`), when something happens (`pipeline/`).

Every method is one transaction. A method that changes an accession's state checks the change
against the transition table, refuses it when the claim that it depends on has been lost, and
appends an event.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from locutus_dagster.ledger.claims import ClaimLostError, Claims
from locutus_dagster.ledger.connection import LedgerError
from locutus_dagster.ledger.deliveries import Deliveries, add_delivery
from locutus_dagster.ledger.lookup import Lookup
from locutus_dagster.ledger.overview import Overview
from locutus_dagster.ledger.pauses import Pauses
from locutus_dagster.ledger.preloading import Preloading
from locutus_dagster.ledger.recalls import Recalls
from locutus_dagster.ledger.resolutions import Resolutions
from locutus_dagster.ledger.schema import (
    Accession,
    Artifact,
    DeidReport,
    Disposition,
    Event,
    ManifestRow,
    Retired,
    Workspace,
    now,
)
from locutus_dagster.ledger.selection import Selecting
from locutus_dagster.ledger.stage import Stage
from locutus_dagster.ledger.states import State, check_transition
from locutus_dagster.ledger.summaries import Summaries
from locutus_dagster.ledger.target_states import TargetStates, forget_confirmed
from locutus_dagster.ledger.work import (
    ArtifactRecord,
    Attempt,
    DeliveryRecord,
    DispositionCount,
    ReportRecord,
)

__all__ = ["Ledger", "LedgerError", "move"]

_NOBODY = Attempt()


class Ledger(
    Selecting,
    Overview,
    Lookup,
    Deliveries,
    TargetStates,
    Claims,
    Recalls,
    Resolutions,
    Preloading,
    Pauses,
    Stage,
    Summaries,
):
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
        by: Attempt = _NOBODY,
        values: dict[str, Any] | None = None,
    ) -> None:
        """Move an accession to `state`, and set further columns of it in the same transaction."""
        with self.session() as session:
            move(session, accession_id, state, phase=phase, reason=reason, by=by, values=values)

    def record_extracted(
        self,
        accession_id: int,
        artifact: ArtifactRecord,
        *,
        source_study: str,
        source_fingerprint: str,
        by: Attempt = _NOBODY,
    ) -> None:
        """The raw zip lies in the interim store, verified."""
        values = {
            "source_study": source_study,
            "source_fingerprint": source_fingerprint,
            "instances": artifact.instances,
        }
        with self.session() as session:
            accession = move(session, accession_id, State.EXTRACTED, by=by, values=values)
            _replace_artifact(session, accession, artifact)

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
        by: Attempt = _NOBODY,
    ) -> None:
        """The de-identified zip lies in the interim store, verified and free of residue.

        Args:
            report: takes the place of the one before, as `dispositions` do.
            spent: kinds of artifacts that it was made from and that are about to be deleted.
        """
        with self.session() as session:
            accession = move(session, accession_id, State.DEIDENTIFIED, by=by)
            _replace_artifact(session, accession, artifact)
            forget_confirmed(session, accession_id)
            _mark_deleted(session, accession_id, spent)
            accession.study_uid, accession.study_token = study_uid, study_token
            _replace_report(session, accession, dispositions, report)

    def record_blocked(
        self,
        accession_id: int,
        dispositions: Iterable[DispositionCount],
        report: ReportRecord,
        *,
        phase: int,
        reason: str,
        by: Attempt = _NOBODY,
    ) -> None:
        """De-identification ran, and its result must not be delivered."""
        with self.session() as session:
            accession = move(session, accession_id, State.FAILED, phase=phase, reason=reason, by=by)
            _replace_report(session, accession, dispositions, report)
            accession.delivered = 0

    def record_delivered(
        self,
        accession_id: int,
        delivery: DeliveryRecord | None,
        *,
        spent: Iterable[str] = (),
        withdraw: str = "",
        by: Attempt = _NOBODY,
    ) -> None:
        """Every required target has confirmed; `spent` artifacts are about to be deleted.

        What was delivered of the accession before is superseded by it.

        Args:
            delivery: the last confirmation, None when all of them have been recorded before.
            withdraw: why superseded deliveries are to be removed from their target; empty when
                they stay there.

        Raises:
            LedgerError: another accession has been delivered to that place.
        """
        with self.session() as session:
            accession = move(session, accession_id, State.DELIVERED, by=by)
            _mark_deleted(session, accession_id, spent)
            if delivery is not None:
                add_delivery(session, accession, delivery, withdraw, by)
            forget_confirmed(session, accession_id, delivery.target if delivery else None)
            _note_changed(session, by.row_id, "")

    def request_reprocessing(
        self,
        accession_id: int,
        why: str,
        *,
        retire: bool = False,
        delete_record: bool = False,
        by: Attempt = _NOBODY,
    ) -> None:
        """What has been made of an accession counts no more; it starts from the first phase.

        What was delivered stands until something takes its place. Artifacts of the interim store
        are written off; whoever holds the room deletes the files.

        Args:
            why: for the event; free of identifiers.
            retire: begin a new generation; the one that stands becomes history that can be read.
            delete_record: begin a new generation and delete what the ledger has of the one that
                stands, but for its events and deliveries (the reference's predelete).
        """
        with self.session() as session:
            accession = session.get_one(Accession, accession_id, with_for_update=True)
            if retire or delete_record:
                _retire(session, accession, why, delete_record, by)
                session.flush()  # before the row is read again
            move(session, accession_id, State.REQUESTED, reason=why, by=by)

    def note_changed(self, row_id: int, kinds: str) -> None:
        """Remember in which kinds a row differs from the delivery that stands; empty for none."""
        with self.session() as session:
            _note_changed(session, row_id, kinds)

    def record_deleted(self, accession_id: int, kind: str) -> None:
        """Every artifact of that kind has been removed from the interim store."""
        with self.session() as session:
            _mark_deleted(session, accession_id, (kind,))


_INTERIM_KINDS = ("raw", "deidentified")
# In any other state there is nothing to resume: the next attempt starts from the first phase, or
# there is none. A zip that was made before the source came to hold no study, or several, is not
# delivered afterwards.
_RESUMABLE = frozenset({State.EXTRACTED, State.DEIDENTIFIED, State.DELIVERED, State.FAILED})
_OF_A_GENERATION: dict[str, Any] = {
    "source_study": None,
    "source_fingerprint": None,
    "study_uid": None,
    "study_token": None,
    "instances": None,
    "delivered": None,
    "withheld": None,
}


def move(
    session: Session,
    accession_id: int,
    state: State,
    *,
    phase: int | None = None,
    reason: str = "",
    by: Attempt = _NOBODY,
    values: dict[str, Any] | None = None,
) -> Accession:
    """Change an accession's state within a transaction, and append the event.

    Where the state is one that nothing is resumed from, artifacts are written off. Whatever it is,
    the accession is no longer on deck: somebody has come to it.

    Raises:
        IllegalTransitionError: the table does not allow it.
        ClaimLostError: it depends on a claim that another worker has taken over.
    """
    accession = session.get_one(Accession, accession_id, with_for_update=True)
    if by.owner is not None and accession.claimed_by != by.owner:
        raise ClaimLostError
    before = State(accession.state)
    check_transition(before, state)
    accession.state = state.value
    accession.phase = phase
    accession.reason = reason
    accession.run_id = by.run_id
    accession.updated_at = now()
    accession.on_deck = False
    if by.row_id is not None:
        accession.row_id = by.row_id
    if by.label is not None:
        accession.label = by.label
    for column, value in (values or {}).items():
        setattr(accession, column, value)
    if state not in _RESUMABLE:
        _mark_deleted(session, accession_id, _INTERIM_KINDS)
    session.add(
        Event(
            accession_id=accession_id,
            before=before.value,
            after=state.value,
            phase=phase,
            reason=reason,
            run_id=by.run_id,
            settings=by.settings,
            row_id=by.row_id,
            generation=accession.generation,
            label=accession.label,
        )
    )
    return accession


def _retire(
    session: Session, accession: Accession, why: str, delete_record: bool, by: Attempt
) -> None:
    """Keep how the accession stands as a retired generation, and begin the next one."""
    if by.owner is not None and accession.claimed_by != by.owner:
        raise ClaimLostError
    session.add(
        Retired(
            accession_id=accession.id,
            generation=accession.generation,
            state=accession.state,
            phase=accession.phase,
            reason=accession.reason,
            why=why,
            deleted=delete_record,
            row_id=accession.row_id,
            source_fingerprint=accession.source_fingerprint,
            study_uid=accession.study_uid,
            instances=accession.instances,
            delivered=accession.delivered,
            withheld=accession.withheld,
            run_id=by.run_id,
        )
    )
    if delete_record:
        for table in (Disposition, DeidReport):
            session.execute(
                delete(table).where(
                    table.accession_id == accession.id, table.generation == accession.generation
                )
            )
    accession.generation += 1
    for column, value in _OF_A_GENERATION.items():
        setattr(accession, column, value)


def _note_changed(session: Session, row_id: int | None, kinds: str) -> None:
    session.execute(
        update(ManifestRow)
        .where(ManifestRow.id == row_id, ManifestRow.changed != kinds)
        .values(changed=kinds)
        .execution_options(synchronize_session=False)
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


def _replace_artifact(session: Session, accession: Accession, record: ArtifactRecord) -> None:
    _mark_deleted(session, accession.id, (record.kind,))
    session.add(
        Artifact(
            accession_id=accession.id,
            kind=record.kind,
            host=record.host,
            path=record.path,
            sha256=record.sha256,
            size=record.size,
            instances=record.instances,
            fingerprint=record.fingerprint,
            generation=accession.generation,
            made_from=record.made_from,
        )
    )


def _replace_report(
    session: Session,
    accession: Accession,
    dispositions: Iterable[DispositionCount],
    report: ReportRecord,
) -> None:
    """Replace counts and report of an earlier attempt, and sum up what is delivered or not."""
    of_this = (
        Disposition.accession_id == accession.id,
        Disposition.generation == accession.generation,
    )
    session.execute(delete(Disposition).where(*of_this))
    accession.delivered = accession.withheld = 0
    for item in dispositions:
        if item.disposition == "withheld":
            accession.withheld += item.instances
        else:
            accession.delivered += item.instances
        session.add(
            Disposition(
                accession_id=accession.id,
                sop_class=item.sop_class,
                modality=item.modality,
                disposition=item.disposition,
                reason=item.reason,
                instances=item.instances,
                policy_fingerprint=report.policy_fingerprint,
                generation=accession.generation,
            )
        )
    session.merge(
        DeidReport(
            accession_id=accession.id,
            generation=accession.generation,
            policy_name=report.policy_name,
            policy_fingerprint=report.policy_fingerprint,
            key_id=report.key_id,
            engine_version=report.engine_version,
            created_at=now(),
            report=report.table,
        )
    )
