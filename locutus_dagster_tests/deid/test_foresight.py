"""What is said of instances beforehand is what the bouncers say when they are there."""

from __future__ import annotations

from functools import lru_cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locutus_dagster.deid import basic_policy, foreseen, load_policy
from locutus_dagster.deid.bouncers import bounce
from locutus_dagster.deid.encoding.part10 import Instance, open_instance
from locutus_dagster.deid.standard.storage_classes import load_storage_classes
from locutus_dagster_tests.deid import builders

CT = "1.2.840.10008.5.1.4.1.1.2"
SR = "1.2.840.10008.5.1.4.1.1.88.11"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"
PRIVATE = "1.3.12.2.1107.5.9.1"
MODALITIES = ["CT", "SR", "CT\\MR", "CT\\SR", "ct", ""]
KINDS = [
    (uid, modality)
    for uid in [*(row.uid for row in load_storage_classes()), PRIVATE, "1.2.840.10008.1.1"]
    for modality in MODALITIES
]
#: Said of pixels and the like, which nobody can foresee from a SOP class.
UNFORESEEABLE = {"", "no pixel data", "video that may hold a voice or show a face"}


@lru_cache(maxsize=1)
def slices() -> dict[tuple[str, str], Instance]:
    """For each kind a slice that claims to be of it."""
    ds = builders.ct()
    made = {}
    for uid, modality in KINDS:
        ds.SOPClassUID, ds.Modality = uid, modality.split("\\")
        made[uid, modality] = open_instance(builders.encode(ds))
    return made


@pytest.mark.parametrize("name", ["basic", "research", "locutus-bgd"])
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_each_kind_of_instance_meets_the_fate_that_was_foreseen(name: str) -> None:
    policy = load_policy(name)
    expected = {kind: foreseen(*kind, policy) for kind in KINDS}
    found = {kind: bounce(instance, policy) for kind, instance in slices().items()}
    assert {kind: reason for kind, reason in found.items() if expected[kind]} == {
        kind: reason for kind, reason in expected.items() if reason
    }
    assert {found[kind] for kind, reason in expected.items() if not reason} <= UNFORESEEABLE
    assert "" in found.values()
    assert any(expected.values())


def test_the_reason_is_the_first_that_the_bouncers_would_give() -> None:
    policy = basic_policy()
    assert foreseen(CT, "CT", policy) == ""
    assert foreseen(PDF, "SR", policy) == "encapsulated document"
    assert foreseen(PRIVATE, "CT", policy) == "not a standard storage class"
    assert foreseen(CT, "SR", basic_policy(["CT", "MR"])) == "modality not allowed"
    assert foreseen(CT, "", basic_policy(["CT"])) == "no modality"


def test_a_sop_class_that_nobody_knows_foretells_nothing() -> None:
    assert foreseen("", "CT", basic_policy()) == ""
    assert foreseen("", "SR", basic_policy(["CT"])) == "modality not allowed"


def test_padding_as_a_header_has_it_changes_nothing() -> None:
    policy = basic_policy(["CT"])
    assert foreseen(CT + "\0", "CT ", policy) == ""
    assert foreseen(SR + "\0", "SR ", policy) == foreseen(SR, "SR", policy)


def test_an_option_that_lets_reports_through_changes_the_forecast() -> None:
    assert "structured report" in foreseen(SR, "SR", load_policy("basic", modalities=["any"]))
    assert foreseen(SR, "SR", load_policy("research", modalities=["any"])) == ""


@given(st.text(max_size=80), st.text(max_size=40))
def test_whatever_a_source_says_there_is_an_answer_without_its_words(
    sop_class: str, modality: str
) -> None:
    reason = foreseen(sop_class, modality, basic_policy(["CT"]))
    assert reason in {
        "",
        "not a standard storage class",
        "no modality",
        "modality not allowed",
        *(row.withheld for row in load_storage_classes()),
    }
