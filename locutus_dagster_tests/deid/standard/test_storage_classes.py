"""Decisions about storage classes: one for each class that is registered, none that contradict."""

from __future__ import annotations

import csv
from importlib.resources import files

import pytest
from pydicom.uid import UID_dictionary

from locutus_dagster.deid.policies.model import Option
from locutus_dagster.deid.standard.iod_types import IodTypes, iod_types
from locutus_dagster.deid.standard.storage_classes import (
    KINDS,
    StorageClass,
    load_storage_classes,
    storage_class,
)

ROOT = "1.2.840.10008.5.1.4.1.1."

#: Registered after the edition that pydicom carries (PS3.6 2024c).
NEWER = {
    ROOT + end
    for end in ("2.3", "2.4", "2.5", "9.100.1", "9.100.2", "66.7", "66.8", "601.5")
}  # fmt: skip

PATIENT_ID, CONTENT, GRAPHICS = 0x00100020, 0x0040A730, 0x00700001
DOCUMENT, WAVEFORM = 0x00420011, 0x54000100
PIXELS = (0x7FE00010, 0x7FE00008, 0x7FE00009)


def registered() -> set[str]:
    """Return the storage classes of pydicom's registry; two retired ones have lost their names."""
    return {
        uid
        for uid, (name, what, *_) in UID_dictionary.items()
        if what == "SOP Class"
        and (not name or ("Storage" in name and "Storage Commitment" not in name))
    }


def with_types() -> list[tuple[StorageClass, IodTypes]]:
    pairs = [(row, iod_types(row.uid)) for row in load_storage_classes()]
    return [(row, types) for row, types in pairs if types is not None]


def found(uid: str) -> StorageClass:
    row = storage_class(uid)
    assert row is not None
    return row


def test_every_registered_storage_class_has_exactly_one_decision() -> None:
    uids = [row.uid for row in load_storage_classes()]
    assert len(uids) == len(set(uids))
    assert set(uids) - NEWER == registered() - NEWER
    assert set(uids) >= NEWER


def test_names_are_those_of_the_registry() -> None:
    for row in load_storage_classes():
        if row.uid in UID_dictionary:
            assert row.name == UID_dictionary[row.uid][0]


def test_every_decision_is_well_formed_and_has_its_reason() -> None:
    source = files("locutus_dagster.deid.standard") / "data" / "storage_classes.csv"
    lines = [line for line in source.read_text("utf-8").splitlines() if not line.startswith("#")]
    options = {option.value for option in Option}
    for row in csv.DictReader(lines):
        word, _, needs = row["decision"].partition(":")
        assert word in {"clean", "clean_with", "withhold"}
        assert (word == "clean_with") == bool(needs)
        assert set(filter(None, needs.split("+"))) <= options
        assert (word == "clean") == (row["reason"] == "")
        assert row["kind"] in KINDS


def test_no_kind_is_without_a_class() -> None:
    assert {row.kind for row in load_storage_classes()} == KINDS


@pytest.mark.parametrize("uid", ["", "1.2.3", "1.2.840.10008.1.1", "1.2.840.10008.1.20.1"])
def test_private_unregistered_and_service_classes_have_no_decision(uid: str) -> None:
    assert storage_class(uid) is None


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("66", "raw data"),
        ("104.1", "encapsulated document"),
        ("77.1.4", "photograph that may show a face"),
        ("77.1.1.1", "video that may hold a voice or show a face"),
        ("9.4.1", "recording of a voice"),
        ("68.1", "surface scan that may show a face"),
        ("200.1", "not a patient's object"),
        ("501.1", "not a medical object"),
    ],
)
def test_what_no_header_rule_can_clean_is_withheld_under_all_options(end: str, reason: str) -> None:
    assert found(ROOT + end).reason(frozenset(Option)) == reason


@pytest.mark.parametrize("end", ["2", "4.1", "7", "4.2", "9.1.1", "66.4", "481.3", "67", "128"])
def test_what_headers_alone_identify_is_cleaned_under_every_policy(end: str) -> None:
    assert found(ROOT + end).reason(()) == ""


def test_reports_are_delivered_only_with_their_option() -> None:
    report = found(ROOT + "88.33")
    reason = "structured report without Clean Structured Content"
    assert report.reason(()) == reason
    assert report.reason({Option.CLEAN_GRAPHICS, Option.CLEAN_DESCRIPTORS}) == reason
    assert report.reason({Option.CLEAN_STRUCTURED_CONTENT}) == ""
    assert report.reason({"clean_structured_content", "retain_uids"}) == ""


def test_presentation_states_are_delivered_only_with_their_option() -> None:
    state = found(ROOT + "11.1")
    assert state.reason({Option.CLEAN_STRUCTURED_CONTENT}) != ""
    assert state.reason({Option.CLEAN_GRAPHICS}) == ""


def test_a_class_with_a_tree_of_content_needs_the_option_that_cleans_it() -> None:
    trees = [row for row, types in with_types() if types.type_of((), CONTENT)]
    assert len(trees) > 20
    for row in trees:
        assert row.needs == {"clean_structured_content"} or row.kind == "document", row.name


def test_a_class_with_drawings_and_text_needs_the_option_that_cleans_them() -> None:
    drawn = [row for row, types in with_types() if types.type_of((), GRAPHICS)]
    assert len(drawn) > 10
    assert all(row.needs == {"clean_graphics"} for row in drawn)


def test_a_class_with_a_file_inside_is_withheld() -> None:
    holders = [row for row, types in with_types() if types.type_of((), DOCUMENT)]
    assert len(holders) >= 5
    assert all(row.withheld and not row.needs for row in holders)


def test_an_object_without_a_patient_is_withheld() -> None:
    nobodys = [row for row, types in with_types() if types.type_of((), PATIENT_ID) is None]
    assert len(nobodys) > 5
    assert {row.kind for row in nobodys} == {"administration"}
    assert all(row.withheld and not row.needs for row in nobodys)


def test_images_have_pixels_and_waveforms_have_samples() -> None:
    for row, types in with_types():
        pixels = any(types.type_of((), tag) for tag in PIXELS)
        if row.kind in ("image", "photograph", "video"):
            assert pixels, row.name
        elif row.kind not in ("derived", "treatment"):
            assert not pixels, row.name
        samples = types.type_of((), WAVEFORM) is not None
        assert samples == (row.kind in ("waveform", "audio")), row.name
