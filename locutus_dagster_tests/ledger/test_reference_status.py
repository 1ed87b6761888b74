"""The reference's status texts: each one that it stores is shown for something."""

from __future__ import annotations

from typing import Any

import pytest

from locutus_dagster.ledger import State
from locutus_dagster.ledger.reference_status import previous_processing_used, status
from locutus_dagster.ledger.resolutions import ResolveCommand

IN_HAND, ON_DECK, LABEL = {"in_hand": True}, {"on_deck": True}, {"label": "batch-7"}

#: Every status text of the reference that this program shows, and of which accession.
SHOWN: list[tuple[str, State, dict[str, Any]]] = [
    ("PENDING_CHANGE", State.PENDING, {}),
    ("ERROR_MULTIPLE_CHANGE_UUIDS", State.AMBIGUOUS, {}),
    ("RE-PROCESSING_CHANGE_MOMENTARILY", State.REQUESTED, {}),
    ("RE-PROCESSING_CHANGE_MOMENTARILY:batch-7", State.REQUESTED, LABEL),
    ("PROCESSING_CHANGE", State.FAILED, {"phase": 5, "reason": "gone", **IN_HAND}),
    ("PROCESSING_CHANGE_MOMENTARILY", State.EXTRACTED, ON_DECK),
    ("PROCESSING_CHANGE_MOMENTARILY", State.DEIDENTIFIED, ON_DECK),
    ("ZZZ-ONDECK-4-PROCESSING_CHANGE:batch-7", State.DEIDENTIFIED, ON_DECK | LABEL),
    ("ZZZ-ONDECK-PENDING_CHANGE:batch-7", State.LOADED, ON_DECK | LABEL),
    ("PROCESSING_CHANGE_at_PHASE03", State.EXTRACTED, {}),
    ("PROCESSING_CHANGE_at_PHASE04", State.DEIDENTIFIED, {}),
    ("PROCESSING_CHANGE_at_PHASE03c_Downloading_from_Orthanc", State.LOADED, IN_HAND),
    ("PROCESSING_CHANGE_at_PHASE03c_Downloading_from_Orthanc", State.REQUESTED, IN_HAND),
    ("PROCESSING_CHANGE_at_PHASE04a_DeIDing_with_dicom-anon", State.EXTRACTED, IN_HAND),
    ("PROCESSING_CHANGE_at_PHASE05_UploadingToTargets", State.DEIDENTIFIED, IN_HAND),
    ("PROCESSED", State.DELIVERED, {}),
    ("ERROR_PHASE02=[the row is wrong]", State.FAILED, {"reason": "the row is wrong"}),
    ("ERROR_PHASE03=[no answer]", State.FAILED, {"phase": 3, "reason": "no answer"}),
    ("ERROR_PHASE04=[residue]", State.FAILED, {"phase": 4, "reason": "residue"}),
    (
        "ERROR_PHASE05=[full]",
        State.FAILED,
        {"phase": 5, "reason": "full"},
    ),
    ("ZZZ-ONDECK-4-PROCESSING_CHANGE", State.LOADED, {}),
    ("ZZZ-ONDECK-4-PROCESSING_CHANGE:batch-7", State.LOADED, LABEL),
    ("ZZZ-ONDECK-4-PROCESSING_CHANGE:batch-7", State.FAILED, {"phase": 3, **ON_DECK, **LABEL}),
    ("ZZZ-ONDECK-PENDING_CHANGE:batch-7", State.PENDING, ON_DECK | LABEL),
    ("ZZZ-ONDECK-4-RE-PROCESSING_CHANGE:batch-7", State.REQUESTED, ON_DECK | LABEL),
    ("ZZZ-ONDECK-2-RESOLVE-ERROR_MULTIPLE_CHANGE_UUIDS:batch-7", State.AMBIGUOUS, ON_DECK | LABEL),
    ("PENDING_CHANGE_RADIOLOGY_MERGE", State.WAITING, {"command": ResolveCommand.MERGE}),
    ("PENDING_CHANGE_RADIOLOGY_RESEND", State.WAITING, {"command": ResolveCommand.RESEND}),
    (
        "RESOLVED_MULTIUUIDS_CONSOLIDATED_LOCALLY",
        State.REQUESTED,
        {"command": ResolveCommand.NEWEST},
    ),
    ("RESOLVED_MULTIUUIDS_CHOSEN_LOCALLY", State.REQUESTED, {"command": ResolveCommand.CHOOSE}),
    (
        "RESOLVED_MULTIUUIDS_CHOSEN_LOCALLY:batch-7",
        State.REQUESTED,
        {"command": ResolveCommand.CHOOSE, **LABEL},
    ),
    ("RESOLVED_MULTIUUIDS_DELETED_LOCALLY", State.DROPPED, {"command": ResolveCommand.DROP}),
    (
        "RESOLVED_MULTIUUIDS_DELETED_onSTAGE_ONLY",
        State.REQUESTED,
        {"command": ResolveCommand.DROP_FROM_STAGE},
    ),
]
#: What the reference stores (reference: manifest_status), but for what belongs to its review of
#: results by hand: `UNDER_REVIEW:DEID_QC`, `PASS:…`, `REPROCESS:…`, `FAIL:…`.
STORED = [
    "PENDING_CHANGE",
    "PENDING_CHANGE_RADIOLOGY_MERGE",
    "PENDING_CHANGE_RADIOLOGY_RESEND",
    "ERROR_MULTIPLE_CHANGE_UUIDS",
    "RE-PROCESSING_CHANGE_MOMENTARILY",
    "PROCESSING_CHANGE",
    "PROCESSING_CHANGE_MOMENTARILY",
    "PROCESSING_CHANGE_at_PHASE03",
    "PROCESSING_CHANGE_at_PHASE03c_Downloading_from_Orthanc",
    "PROCESSING_CHANGE_at_PHASE04a_DeIDing_with_dicom-anon",
    "PROCESSING_CHANGE_at_PHASE05_UploadingToTargets",
    "PROCESSED",
    "ERROR_PHASE03=[no answer]",
    "ERROR_PHASE04=[residue]",
    "ERROR_PHASE05=[full]",
    "ZZZ-ONDECK-PENDING_CHANGE:batch-7",
    "ZZZ-ONDECK-4-PROCESSING_CHANGE:batch-7",
    "ZZZ-ONDECK-4-RE-PROCESSING_CHANGE:batch-7",
    "ZZZ-ONDECK-2-RESOLVE-ERROR_MULTIPLE_CHANGE_UUIDS:batch-7",
    "RESOLVED_MULTIUUIDS_CONSOLIDATED_LOCALLY",
    "RESOLVED_MULTIUUIDS_CHOSEN_LOCALLY",
    "RESOLVED_MULTIUUIDS_DELETED_LOCALLY",
    "RESOLVED_MULTIUUIDS_DELETED_onSTAGE_ONLY",
]


def test_every_status_that_the_reference_stores_is_shown_for_something() -> None:
    assert set(STORED) <= {text for text, _, _ in SHOWN}


@pytest.mark.parametrize(
    ("text", "state", "known"), SHOWN, ids=[f"{text} of {state.value}" for text, state, _ in SHOWN]
)
def test_a_status_of_the_reference_is_shown(text: str, state: State, known: dict[str, Any]) -> None:
    assert status(state, **known) == text


def test_every_state_has_a_text_whatever_else_is_known_of_it() -> None:
    for state in State:
        for command in (None, *ResolveCommand):
            for in_hand, on_deck in ((False, False), (True, False), (False, True), (True, True)):
                assert status(state, 3, "why", command=command, in_hand=in_hand, on_deck=on_deck)


def test_states_that_stand_still_are_told_apart_by_their_texts() -> None:
    assert len({status(state) for state in State}) == len(State)


def test_a_worker_that_looks_at_what_is_finished_does_not_change_its_text() -> None:
    for state in (State.DELIVERED, State.DROPPED, State.RECALLED):
        assert status(state, in_hand=True) == status(state, on_deck=True) == status(state)


def test_what_a_worker_has_in_hand_is_no_longer_on_deck() -> None:
    assert status(State.EXTRACTED, in_hand=True, on_deck=True, label="x") == status(
        State.EXTRACTED, in_hand=True
    )


def test_a_finished_accession_s_text_carries_no_label() -> None:
    assert status(State.DELIVERED, label="batch-7") == "PROCESSED"
    assert status(State.FAILED, 4, "residue", label="batch-7") == "ERROR_PHASE04=[residue]"


OLD, NEW = ("S1", "CT", "4000", "HEAD"), ("S2", "CT", "4000", "HEAD")
FROM, TO = "PREVIOUS_PROCESSING_USED_[S1/CT/4000/HEAD]", "[S2/CT/4000/HEAD"


@pytest.mark.parametrize(
    ("kinds", "reprocessing", "text"),
    [
        ((), False, f"{FROM}_PRERETIRE_OR_PREDELETE_TO_REPROCESS_{TO}]"),
        ((), True, f"{FROM}_PRERETIRED_SO_NOW_REPROCESSING_{TO}]"),
        (
            ("policy", "target"),
            False,
            f"{FROM}_PRERETIRE_OR_PREDELETE_TO_REPROCESS_{TO}/CFGs:policy;target]",
        ),
    ],
    ids=["attributes", "processed again", "settings too"],
)
def test_what_was_delivered_from_other_attributes_is_told_as_the_reference_does(
    kinds: tuple[str, ...], reprocessing: bool, text: str
) -> None:
    assert previous_processing_used(OLD, NEW, kinds, reprocessing=reprocessing) == text
