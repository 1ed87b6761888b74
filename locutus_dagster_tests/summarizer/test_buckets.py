"""The counts of a report: every status has one bucket, in the reference's words and order."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locutus_dagster.ledger import Phase, State
from locutus_dagster.ledger.reference_status import previous_processing_used, status
from locutus_dagster.ledger.resolutions import ResolveCommand
from locutus_dagster.summarizer.buckets import (
    ERRORS,
    LABELS,
    NOT_FOUND,
    OTHER,
    bucket_of,
    counted,
    grouped,
)

OF_THE_REFERENCE = (
    "ACCESSION_HAS_MULTIPLE_SPLITS[*]",
    "PENDING_CHANGE",
    "PENDING_CHANGE_RADIOLOGY_MERGE",
    "PENDING_CHANGE_RADIOLOGY_RESEND",
    "PREVIOUS_PROCESSING_USED_[*]",
    "PROCESSED",
    "PROCESSING_CHANGE[*]",
    "PROCESSING_CHANGE_MOMENTARILY[*]",
    "ZZZ-ONDECK-PENDING_CHANGE[*]",
    "ZZZ-ONDECK-4-PROCESSING_CHANGE[*]",
    "ZZZ-ONDECK-4-RE-PROCESSING_CHANGE[*]",
    "ZZZ-ONDECK-2-RESOLVE-ERROR_MULTIPLE_CHANGE_UUIDS[*]",
    "other ZZZ-ONDECK-[*]",
    "ERROR_MULTIPLE_CHANGE_UUIDS[*]",
    "ERROR[*] (other errors)",
)

reasons = st.text(st.characters(codec="utf-8"), max_size=20)
own_statuses = st.builds(
    status,
    st.sampled_from(State),
    st.sampled_from([None, *Phase]),
    reasons,
    label=reasons,
    command=st.sampled_from([None, *ResolveCommand]),
    in_hand=st.booleans(),
    on_deck=st.booleans(),
)


def test_the_references_buckets_come_first_and_in_its_order() -> None:
    assert LABELS[: len(OF_THE_REFERENCE)] == OF_THE_REFERENCE
    assert LABELS[-1] == OTHER
    assert len(set(LABELS)) == len(LABELS)


@given(own_statuses)
def test_whatever_an_accession_can_stand_at_has_a_bucket_of_its_own(text: str) -> None:
    assert bucket_of(text) in LABELS
    assert bucket_of(text) != OTHER


@given(st.lists(st.one_of(own_statuses, reasons, st.just(NOT_FOUND)), max_size=30))
def test_buckets_and_what_is_not_found_add_up_to_the_rows(texts: list[str]) -> None:
    statuses = Counter(texts)
    unknown = sum(number for text, number in statuses.items() if bucket_of(text) == NOT_FOUND)
    found = counted(statuses, name_errors=True)
    assert sum(bucket.count for bucket in found) + unknown == len(texts)
    assert tuple(bucket.label for bucket in found) == LABELS
    assert sum(bucket.count for bucket in grouped(statuses)) == len(texts)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("PROCESSED", "PROCESSED"),
        ("processed", "PROCESSED"),
        ("PROCESSED ", OTHER),
        ("PENDING_CHANGE", "PENDING_CHANGE"),
        ("PENDING_CHANGE_RADIOLOGY_MERGE", "PENDING_CHANGE_RADIOLOGY_MERGE"),
        ("PENDING_CHANGE_RESOLVED_MULTIUUIDS", OTHER),
        ("PROCESSING_CHANGE_at_PHASE03c_Downloading_from_Orthanc", "PROCESSING_CHANGE[*]"),
        ("PROCESSING_CHANGE_MOMENTARILY:week 3", "PROCESSING_CHANGE_MOMENTARILY[*]"),
        ("ERROR_MULTIPLE_CHANGE_UUIDS:x", "ERROR_MULTIPLE_CHANGE_UUIDS[*]"),
        ("ERROR_PHASE04=[two patients in one study]", ERRORS),
        ("ZZZ-ONDECK-2-RESOLVE", "other ZZZ-ONDECK-[*]"),
        (previous_processing_used(["a"], ["b"], ["key"]), "PREVIOUS_PROCESSING_USED_[*]"),
        ("RE-PROCESSING_CHANGE_MOMENTARILY:redo", "RE-PROCESSING_CHANGE[*]"),
        ("RESOLVED_MULTIUUIDS_CHOSEN_LOCALLY", "RESOLVED_MULTIUUIDS[*]"),
        ("REJECTED=[AGE: not a number]", "REJECTED"),
        ("NOT_FOUND", NOT_FOUND),
    ],
)
def test_the_first_rule_that_fits_decides(text: str, label: str) -> None:
    assert bucket_of(text) == label


def test_other_names_its_statuses_and_errors_do_where_no_row_would() -> None:
    statuses = {"ERROR_PHASE05=[b]": 1, "ERROR_PHASE03=[a]": 2, "odd": 1, "PROCESSED": 4}
    notes = {one.label: one.note for one in counted(statuses, name_errors=True) if one.note}
    assert notes == {ERRORS: "ERROR_PHASE03=[a]; ERROR_PHASE05=[b]", OTHER: "odd"}
    notes = {one.label: one.note for one in counted(statuses, name_errors=False) if one.note}
    assert notes == {OTHER: "odd"}
    many = {f"ERROR_PHASE03=[{number:02d}]": 1 for number in range(25)}
    note = next(one.note for one in counted(many, name_errors=True) if one.label == ERRORS)
    assert note.startswith("ERROR_PHASE03=[00]; ")
    assert note.endswith("; ERROR_PHASE03=[19]; and 5 more")


def test_distinct_statuses_are_counted_the_most_frequent_first() -> None:
    found = grouped({"PENDING_CHANGE": 1, "ERROR_PHASE03=[a]": 1, "PROCESSED": 4})
    assert [(one.label, one.count) for one in found] == [
        ("PROCESSED", 4),
        ("ERROR_PHASE03=[a]", 1),
        ("PENDING_CHANGE", 1),
    ]
