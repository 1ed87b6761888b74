"""The reference's status texts, rendered from the typed states for people who know them.

What belongs here: words. What does not: anything that decides by them; nothing reads them back
but a filter that a person typed (`selection.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from locutus_dagster.ledger.resolutions import ResolveCommand
from locutus_dagster.ledger.states import Phase, State

__all__ = ["previous_processing_used", "status"]

_TEXTS = {
    State.LOADED: "ZZZ-ONDECK-4-PROCESSING_CHANGE",
    State.PENDING: "PENDING_CHANGE",
    State.AMBIGUOUS: "ERROR_MULTIPLE_CHANGE_UUIDS",
    State.WAITING: "PENDING_CHANGE_RADIOLOGY_MERGE",
    State.DROPPED: "RESOLVED_MULTIUUIDS_DELETED_LOCALLY",
    State.EXTRACTED: "PROCESSING_CHANGE_at_PHASE03",
    State.DEIDENTIFIED: "PROCESSING_CHANGE_at_PHASE04",
    State.DELIVERED: "PROCESSED",
    State.REQUESTED: "RE-PROCESSING_CHANGE_MOMENTARILY",
    State.RECALLED: "RECALLED",  # the reference has no recall
}
_RESOLVED = {
    ResolveCommand.NEWEST: "RESOLVED_MULTIUUIDS_CONSOLIDATED_LOCALLY",
    ResolveCommand.CHOOSE: "RESOLVED_MULTIUUIDS_CHOSEN_LOCALLY",
    ResolveCommand.DROP_FROM_STAGE: "RESOLVED_MULTIUUIDS_DELETED_onSTAGE_ONLY",
}
#: What a worker is at, by the state that it starts from. After a failure it may be at any phase,
#: and where a state is missing it only looks whether there is anything to do.
_IN_HAND = {
    **dict.fromkeys(
        (State.LOADED, State.PENDING, State.AMBIGUOUS, State.WAITING, State.REQUESTED),
        "PROCESSING_CHANGE_at_PHASE03c_Downloading_from_Orthanc",
    ),
    State.EXTRACTED: "PROCESSING_CHANGE_at_PHASE04a_DeIDing_with_dicom-anon",
    State.DEIDENTIFIED: "PROCESSING_CHANGE_at_PHASE05_UploadingToTargets",
    State.FAILED: "PROCESSING_CHANGE",
}
#: What a run has on its list and has not come to yet.
_ON_DECK = {
    **dict.fromkeys((State.LOADED, State.FAILED), "ZZZ-ONDECK-4-PROCESSING_CHANGE"),
    **dict.fromkeys((State.PENDING, State.WAITING), "ZZZ-ONDECK-PENDING_CHANGE"),
    **dict.fromkeys((State.EXTRACTED, State.DEIDENTIFIED), "PROCESSING_CHANGE_MOMENTARILY"),
    State.AMBIGUOUS: "ZZZ-ONDECK-2-RESOLVE-ERROR_MULTIPLE_CHANGE_UUIDS",
    State.REQUESTED: "ZZZ-ONDECK-4-RE-PROCESSING_CHANGE",
}
#: What has been marked for a batch, where that has a word of its own. A batch always has a label:
#: the reference's Preloader writes its suffix, and a run that lists what it resumes writes none.
_MARKED = {
    State.LOADED: "ZZZ-ONDECK-PENDING_CHANGE",  # nobody has looked for a study yet
    **dict.fromkeys((State.EXTRACTED, State.DEIDENTIFIED), "ZZZ-ONDECK-4-PROCESSING_CHANGE"),
}


def status(
    state: State,
    phase: int | None = None,
    reason: str = "",
    *,
    label: str = "",
    command: ResolveCommand | None = None,
    in_hand: bool = False,
    on_deck: bool = False,
) -> str:
    """The reference's status text (reference: manifest_status).

    Args:
        phase: of a failure.
        reason: of a failure.
        label: of the batch, shown where the reference shows a suffix.
        command: the resolution that stands for the accession.
        in_hand: a worker is at it at this moment.
        on_deck: a run has it on its list, or it was marked for a batch, which then has a label;
            and no worker has come to it yet.
    """
    if in_hand and state in _IN_HAND:
        return _IN_HAND[state]
    if on_deck and state in _ON_DECK:
        return f"{_MARKED.get(state, _ON_DECK[state])}:{label}" if label else _ON_DECK[state]
    if state is State.FAILED:
        return f"ERROR_PHASE{phase or Phase.PREPARE:02d}=[{reason}]"
    text = _TEXTS[state]
    if state is State.WAITING and command is ResolveCommand.RESEND:
        text = "PENDING_CHANGE_RADIOLOGY_RESEND"
    if state is State.REQUESTED and command in _RESOLVED:
        text = _RESOLVED[command]
    return f"{text}:{label}" if label and state in (State.LOADED, State.REQUESTED) else text


def previous_processing_used(
    old: Sequence[str],
    new: Sequence[str],
    kinds: Sequence[str] = (),
    *,
    reprocessing: bool = False,
) -> str:
    """The reference's text for an accession that was delivered from other attributes or settings.

    Args:
        old: the attributes that it was delivered under.
        new: those that the manifest asks for now.
        kinds: what has changed beside them.
        reprocessing: it has been retired and is processed again.
    """
    how = (
        "PRERETIRED_SO_NOW_REPROCESSING" if reprocessing else "PRERETIRE_OR_PREDELETE_TO_REPROCESS"
    )
    settings = f"/CFGs:{';'.join(kinds)}" if kinds else ""
    return f"PREVIOUS_PROCESSING_USED_[{'/'.join(old)}]_{how}_[{'/'.join(new)}{settings}]"
