"""A study whose accession number was corrected after it had been delivered under the old one.

What belongs here: what becomes of that delivery. What does not: the study under its new number,
which is an arrival like any other (`watching_decisions.py`).

The delivery stands where the new one will be made, if the rows agree in everything else: as long as
it stands, the study cannot be delivered under its new number.
"""

from __future__ import annotations

from locutus_dagster.ledger import State, WorkItem
from locutus_dagster.ledger.fingerprints import Kind
from locutus_dagster.ledger.stage_records import StagedStudy
from locutus_dagster.ledger.work import Attempt
from locutus_dagster.pipeline.arrivals import Notice
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.pipeline.withdrawing import withdraw_superseded
from locutus_dagster.settings import WatchSettings

__all__ = ["move_on"]

_WORDS = "its study carries another accession number now"


def move_on(study: StagedStudy, parts: Parts, watch: WatchSettings) -> tuple[bool, list[Notice]]:
    """Do what is to be done about the numbers that a study had before.

    Which of them it was delivered under, the ledger knows: a study can be corrected several times
    before anybody comes to it. Where the workspace delivers changed studies again, a delivery under
    an old number stands no more, and is removed if what is superseded is; the accession waits for a
    study of its own. Otherwise it is only reported. Doing it again goes on where it was ended.

    Returns:
        Whether that is done, and what a person should know.

    Raises:
        SourceError: the source cannot be asked.
    """
    made = parts.ledger.made_of(parts.workspace, study.source_study, besides=study.accession_number)
    all_done, notices = True, []
    for accession_id in made:
        done, said = _move(accession_id, parts, watch)
        all_done = all_done and done
        notices += said
    return all_done, notices


def _move(accession_id: int, parts: Parts, watch: WatchSettings) -> tuple[bool, list[Notice]]:
    ledger = parts.ledger
    (item, *_) = sorted(
        ledger.items_naming(parts.workspace, [accession_id]),
        key=lambda one: (one.row_id != one.current_row_id, one.row_id),
    )
    if parts.source.find(item.accession_number):
        return True, []  # another study has the number, and is held against the delivery
    notice = Notice(item.partition_key, _WORDS)
    if not watch.redeliver_changed:
        kinds = {*filter(None, item.changed.split(",")), Kind.SOURCE.value}
        changed = ",".join(kind.value for kind in Kind if kind.value in kinds)
        ledger.note_changed(item.row_id, changed)
        return True, [notice]
    with parts.claimant.hold(accession_id) as held:
        if not held:
            return False, []
        kept = _close(item, parts, withdraw=watch.withdraw_superseded)
    if kept:
        return False, [Notice(item.partition_key, f"{_WORDS}; {kept}")]
    return True, [notice]


def _close(item: WorkItem, parts: Parts, *, withdraw: bool) -> str:
    """End what was delivered under the old number; says what could not be removed.

    The state changes last: as long as it says delivered, all of this is done again after a crash.
    """
    ledger, accession_id = parts.ledger, item.accession_id
    by = Attempt(owner=parts.claimant.owner, row_id=item.row_id)
    ledger.supersede_moved(accession_id, withdraw=_WORDS if withdraw else "", by=by)
    parts.checkpoint("moved:superseded")
    kept = withdraw_superseded(accession_id, parts)
    if not kept:
        ledger.request_reprocessing(accession_id, _WORDS, retire=True, by=by)
        parts.checkpoint("moved:requested")
        ledger.record_state(accession_id, State.PENDING, reason=_WORDS, by=by)
    return kept
