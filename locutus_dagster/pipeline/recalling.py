"""Recalling an accession, or every accession of a subject: nothing of it stays, nothing new comes.

What belongs here: the order in which a recall is carried out and lifted, and what came of it. What
does not: whom it is about and what it works with (`recall_parts.py`), removing one delivery
(`withdrawing.py`), refusing to deliver (`deciding.py`), what a person is shown (`cli/recall.py`).

The order survives a crash at any instant, and doing the same again finishes it:

1. The recall is noted. From then on no run begins with the accessions that it is about.
2. Each accession is taken in hand, which waits for whoever is at it: all its deliveries are noted
   for removal, it becomes RECALLED, and its files in the interim store go.
3. What is noted is removed from the target, which confirms that it is gone.

The ledger's rows and its history stay.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.claims import ClaimLostError
from locutus_dagster.ledger.recalls import RecallRecord
from locutus_dagster.ledger.work import Attempt, DeliveryRecord
from locutus_dagster.pipeline.claiming import Claimant
from locutus_dagster.pipeline.host import HOST
from locutus_dagster.pipeline.recall_parts import (
    Concerned,
    RecallError,
    Recalling,
    checked_reason,
    concerned,
)
from locutus_dagster.pipeline.unrecorded import withdraw_unrecorded
from locutus_dagster.pipeline.withdrawing import withdraw

__all__ = [
    "PATIENCE",
    "Left",
    "LiftOutcome",
    "RecallOutcome",
    "lift",
    "recall",
    "recalls_to_lift",
]

PATIENCE = 60.0  # seconds to wait for accessions that other workers have in hand
_ROOM_PATIENCE = 5.0  # seconds to wait for the interim files of one accession
_POLL = 0.2


@dataclass(frozen=True)
class Left:
    """What a recall could not remove: a delivery's address or other words, and why."""

    accession_id: int
    what: str
    why: str


@dataclass
class RecallOutcome:
    """What a recall has done, this time.

    Attributes:
        accessions: how many it is about.
        removed: deliveries that were removed from the target.
        size: bytes removed from the target.
        gone: how many deliveries lay no more on the target.
        unrecorded: how many deliveries had been begun by workers that died; whatever they had left
            is gone.
        left: what could not be removed.
        in_hand: accessions that other workers still have in hand.
        hosts: others, whose interim stores may hold files of these accessions.
    """

    accessions: int = 0
    removed: list[DeliveryRecord] = field(default_factory=list)
    size: int = 0
    gone: int = 0
    unrecorded: int = 0
    left: list[Left] = field(default_factory=list)
    in_hand: list[int] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to be done here."""
        return not self.left and not self.in_hand


@dataclass
class LiftOutcome:
    """What lifting a recall has done.

    Attributes:
        lifted: whether it does not stand any more; else the same has to be done again.
        loaded: accessions that are processed anew by the next run that is asked for them.
        still_recalled: accessions for which another recall stands.
        in_hand: accessions that other workers have in hand.
    """

    lifted: bool = False
    loaded: list[int] = field(default_factory=list)
    still_recalled: list[int] = field(default_factory=list)
    in_hand: list[int] = field(default_factory=list)


# -- recalling -----------------------------------------------------------------------------


def recall(
    parts: Recalling,
    *,
    reason: str,
    accession_id: int | None = None,
    subject_id: str | None = None,
    patience: float = PATIENCE,
) -> RecallOutcome:
    """Recall one accession, or every accession of a subject.

    Doing it again goes on where it was ended, by a crash or by a target that was not there.

    Args:
        reason: for people, free of identifiers.
        patience: seconds to wait for accessions that other workers have in hand.

    Raises:
        RecallError: the reason will not do.
        LedgerError: the ledger stopped answering.
    """
    ledger, workspace = parts.ledger, parts.workspace
    about = concerned(ledger, workspace, accession_id=accession_id, subject_id=subject_id)
    reason = checked_reason(reason, about.rows)
    ledger.recall(workspace, reason, accession_id=accession_id, subject_id=subject_id)
    parts.checkpoint("recall:noted")
    # Asked again: whatever was loaded until the recall was noted may have been begun with.
    about = concerned(ledger, workspace, accession_id=accession_id, subject_id=subject_id)
    outcome = RecallOutcome(len(about.accession_ids))
    until = time.monotonic() + patience

    def close(identity: int) -> None:
        _close(identity, reason, parts, outcome)

    def empty(identity: int) -> None:
        _empty(identity, parts, outcome)

    def close_and_empty(identity: int) -> None:
        close(identity)
        empty(identity)

    # Nobody waits for those that others have in hand until the rest is gone.
    busy = _take_turns(about.accession_ids, parts.claimant, close)
    closed = [identity for identity in about.accession_ids if identity not in busy]
    busy += _take_turns(closed, parts.claimant, empty)
    outcome.in_hand = _take_turns(busy, parts.claimant, close_and_empty, until)
    parts.checkpoint("recall:withdrawn")
    return outcome


def _take_turns(
    accession_ids: Sequence[int],
    claimant: Claimant,
    do: Callable[[int], None],
    until: float = 0.0,
) -> list[int]:
    """Do something about each accession, in hand; gives back those that others kept.

    Args:
        until: when to give up, by the monotonic clock; by default nobody is waited for.
    """
    waiting = list(accession_ids)
    while True:
        waiting = [identity for identity in waiting if not _in_hand(identity, claimant, do)]
        if not waiting or time.monotonic() >= until:
            return waiting
        time.sleep(_POLL)


def _in_hand(accession_id: int, claimant: Claimant, do: Callable[[int], None]) -> bool:
    try:
        with claimant.hold(accession_id) as held:
            if held:
                do(accession_id)
            return held
    except ClaimLostError:
        return False


def _close(accession_id: int, reason: str, parts: Recalling, outcome: RecallOutcome) -> None:
    """Note that everything delivered is to go, and end the accession's way for now."""
    ledger = parts.ledger
    kept = ledger.artifacts(accession_id)
    outcome.hosts |= {artifact.host for artifact in kept if artifact.host != HOST}
    ledger.ask_withdrawal(accession_id, f"recalled: {reason}")
    parts.checkpoint("recall:asked")
    # That writes off its artifacts, too.
    if ledger.state_of(accession_id) is not State.RECALLED:
        by = Attempt(owner=parts.claimant.owner)
        ledger.record_state(accession_id, State.RECALLED, reason=reason, by=by)
    parts.checkpoint("recall:closed")
    _clear_interim(accession_id, parts, outcome)
    parts.checkpoint("recall:cleared")


def _clear_interim(accession_id: int, parts: Recalling, outcome: RecallOutcome) -> None:
    interim, workspace = parts.interim, parts.workspace
    until = time.monotonic() + _ROOM_PATIENCE
    why = ""
    try:
        while not _room_cleared(accession_id, parts):
            if not interim.folder(workspace, accession_id).exists():
                return
            if time.monotonic() >= until:
                why = "a worker that has lost its claim still holds them"
                break
            time.sleep(_POLL)
    except OSError as error:
        why = f"the scratch folder {interim.root} does not let them go ({error.strerror})"
    if why:
        outcome.left.append(Left(accession_id, "interim files", why))


def _room_cleared(accession_id: int, parts: Recalling) -> bool:
    with parts.interim.claim_if_free(parts.workspace, accession_id) as room:
        if room is None:
            return False
        room.discard_parts()
        room.raw_zip.unlink(missing_ok=True)
        room.deidentified_zip.unlink(missing_ok=True)
        return True


def _empty(accession_id: int, parts: Recalling, outcome: RecallOutcome) -> None:
    """Remove what is noted from the target, and what a crash has left there unrecorded."""
    if parts.ledger.state_of(accession_id) is not State.RECALLED:
        return  # the recall has just been lifted
    noted = parts.ledger.to_withdraw(parts.workspace, [accession_id])
    done = withdraw([delivery for _, delivery in noted], parts)
    outcome.removed += [delivery for delivery, _ in done.removed]
    outcome.size += sum(answer.size for _, answer in done.removed)
    outcome.gone += len(done.gone)
    outcome.left += [Left(accession_id, delivery.uri, why) for delivery, why in done.kept]
    begun = len(parts.ledger.announced(accession_id))
    kept = withdraw_unrecorded(accession_id, parts)
    if kept:
        outcome.left.append(Left(accession_id, "a delivery that was never finished", kept))
    else:
        outcome.unrecorded += begun


# -- lifting -------------------------------------------------------------------------------


def lift(
    parts: Recalling,
    *,
    reason: str,
    accession_id: int | None = None,
    subject_id: str | None = None,
    patience: float = PATIENCE,
) -> LiftOutcome:
    """Lift the recall of an accession or of a subject.

    Accessions for which no other recall stands are as loaded afterwards, and the next run that is
    asked for them delivers them anew. The recall itself is lifted last, so that a crash before
    leaves one that can be lifted again.

    Raises:
        RecallError: no such recall stands, or the reason will not do.
        LedgerError: the ledger stopped answering.
    """
    ledger, workspace = parts.ledger, parts.workspace
    about = concerned(ledger, workspace, accession_id=accession_id, subject_id=subject_id)
    reason = checked_reason(reason, about.rows)
    mine, others = recalls_to_lift(
        ledger, workspace, accession_id=accession_id, subject_id=subject_id
    )
    outcome = LiftOutcome()
    outcome.still_recalled = _recalled_by(others, about)
    free = [identity for identity in about.accession_ids if identity not in outcome.still_recalled]

    def load(identity: int) -> None:
        if _load_again(identity, reason, parts):
            outcome.loaded.append(identity)

    until = time.monotonic() + patience
    outcome.in_hand = _take_turns(free, parts.claimant, load, until)
    if not outcome.in_hand:
        parts.checkpoint("lift:loaded")
        for record in mine:
            ledger.lift_recall(record.identity, reason)
        outcome.lifted = True
    return outcome


def recalls_to_lift(
    ledger: Ledger, workspace: str, *, accession_id: int | None, subject_id: str | None
) -> tuple[list[RecallRecord], list[RecallRecord]]:
    """The recalls of exactly this accession or subject that stand, and all others that do.

    Raises:
        RecallError: there are none of the former.
    """
    standing = ledger.recalls(workspace, standing_only=True)
    mine = [r for r in standing if (r.accession_id, r.subject_id) == (accession_id, subject_id)]
    if not mine:
        raise RecallError(
            "No recall of exactly that stands.",
            "An accession may be recalled by its subject; all of them: locutus recall --list",
        )
    return mine, [record for record in standing if record not in mine]


def _recalled_by(records: Sequence[RecallRecord], about: Concerned) -> list[int]:
    accessions = {record.accession_id for record in records}
    subjects = {record.subject_id for record in records}
    accessions |= {row.accession_id for row in about.rows if row.subject_id in subjects}
    return [identity for identity in about.accession_ids if identity in accessions]


def _load_again(accession_id: int, reason: str, parts: Recalling) -> bool:
    ledger, by = parts.ledger, Attempt(owner=parts.claimant.owner)
    if ledger.state_of(accession_id) is not State.RECALLED:
        if not any(delivery.withdrawal for delivery in ledger.standing(accession_id)):
            return False  # the recall never came to it
        # The recall was ended in the middle, and what was delivered is to be removed: what stands
        # does not count as delivered any more.
        ledger.record_state(accession_id, State.RECALLED, reason=reason, by=by)
    ledger.record_state(accession_id, State.LOADED, reason=f"recall lifted: {reason}", by=by)
    return True
