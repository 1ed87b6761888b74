"""Table E.3.4-1: rows looked up by hand, and the ways in which a concept may be written."""

from __future__ import annotations

import pytest

from locutus_dagster.deid.standard.content_items import (
    content_item,
    content_items,
    load_content_items,
)
from locutus_dagster.deid.standard.table import OPTIONS

VALUE_TYPES = {
    *("CODE", "COMPOSITE", "CONTAINER", "DATE", "DATETIME", "IMAGE", "NUM"),
    *("PNAME", "TEXT", "TIME", "UIDREF", "WAVEFORM"),
}


def test_the_table_is_complete_and_of_known_words() -> None:
    rows = load_content_items()
    assert len(rows) == 214
    assert {row.basic for row in rows} == {"X", "D", "X/D"}
    assert {row.value_type for row in rows} == VALUE_TYPES
    assert {action for row in rows for action in row.options.values()} == {"K", "C"}
    assert {option for row in rows for option in row.options} <= set(OPTIONS)
    assert len({(row.code, row.scheme, row.value_type) for row in rows}) == len(rows)


def test_a_row_says_what_each_option_does() -> None:
    observer = content_item("121012", "DCM")
    assert observer is not None
    assert (observer.meaning, observer.basic) == ("Device Observer UID", "X/D")
    assert observer.options == {"retain_uids": "K", "retain_device_identity": "K"}
    finding = content_item("121071", "DCM")
    assert finding is not None
    assert finding.options == {"clean_descriptors": "C"}
    name = content_item("121029", "DCM")
    assert name is not None
    assert (name.basic, name.options) == ("D", {})


def test_padding_of_code_and_scheme_does_not_count() -> None:
    assert content_item("121029 ", "DCM\0") == content_item("121029", "DCM")
    assert content_item(" 121029", "dcm ") == content_item("121029", "DCM")


@pytest.mark.parametrize("scheme", ["SCT", "SRT", "SNM3", "99SDM"])
@pytest.mark.parametrize("code", ["371524004", "R-42B89"])
def test_snomed_is_found_under_all_its_names_and_by_old_codes(code: str, scheme: str) -> None:
    row = content_item(code, scheme)
    assert row is not None
    assert row.meaning == "Clinical Report"


@pytest.mark.parametrize("scheme", ["NCDR", "NCDR [2.0b]", "NCDR[2.0b] "])
def test_a_version_beside_the_scheme_does_not_count(scheme: str) -> None:
    row = content_item("76", scheme)
    assert row is not None
    assert row.meaning == "Catheterization Operator"


@pytest.mark.parametrize(
    ("code", "scheme"), [("121029", "LN"), ("121030000", "DCM"), ("", ""), ("", "DCM")]
)
def test_other_concepts_are_not_listed(code: str, scheme: str) -> None:
    assert content_item(code, scheme) is None
    assert content_items(code, scheme) == ()


def test_a_concept_with_several_rows_is_told_apart_by_its_value_type() -> None:
    assert [row.value_type for row in content_items("121112", "DCM")] == ["IMAGE", "WAVEFORM"]
    waveform = content_item("121112", "DCM", "WAVEFORM")
    assert waveform is not None
    assert (waveform.value_type, waveform.basic) == ("WAVEFORM", "X")


def test_an_unlisted_value_type_gets_the_concepts_first_row() -> None:
    row = content_item("121071", "DCM", "CODE")
    assert row is not None
    assert row.value_type == "TEXT"
