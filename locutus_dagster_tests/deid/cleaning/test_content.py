"""Structured reports: content items are cleaned by Table E.3.4-1, and the tree stays valid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from locutus_dagster.deid import Option, Policy, Pseudonyms, compile_policy
from locutus_dagster.deid.policies.model import PolicySpec
from locutus_dagster_tests.deid import builders
from locutus_dagster_tests.deid.builders import item, sequence

PSEUDONYMS = Pseudonyms(builders.SECRET)
CONTENT = Option.CLEAN_STRUCTURED_CONTENT


def policy(*options: Option) -> Policy:
    return compile_policy(PolicySpec("report", frozenset((CONTENT, *options))))


def code(value: str, scheme: str, meaning: str) -> Dataset:
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def content(concept: Dataset, value_type: str, **attributes: Any) -> Dataset:
    return item(
        RelationshipType="CONTAINS",
        ValueType=value_type,
        ConceptNameCodeSequence=sequence(concept),
        **attributes,
    )


FINDING = ("121071", "DCM", "Finding")
UNLISTED = ("99999", "99ACME", "Remark")
OBSERVER = ("121008", "DCM", "Person Observer Name")  # D
MOTHER = ("121036", "DCM", "Mother of fetus")  # X


def report(*items: Dataset, **attributes: Any) -> Dataset:
    ds = builders.ct(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33",
        Modality="SR",
        ValueType="CONTAINER",
        ConceptNameCodeSequence=sequence(code("126000", "DCM", "Imaging Measurement Report")),
        ContentSequence=sequence(*items),
        **attributes,
    )
    del ds.PixelData
    return ds


def cleaned(tmp_path: Path, ds: Dataset, *options: Option, **more: Any) -> Dataset:
    return builders.clean(tmp_path, ds, policy=policy(*options), **more)


def test_a_report_is_withheld_unless_its_content_is_cleaned(tmp_path: Path) -> None:
    ds = report(content(code(*FINDING), "TEXT", TextValue="axial"))
    disposition, _ = builders.run(
        tmp_path, [builders.encode(ds)], policy=compile_policy(PolicySpec("plain"))
    )
    assert disposition.withheld_by_reason == {
        "structured report without Clean Structured Content": 1
    }
    assert cleaned(tmp_path, ds).ValueType == "CONTAINER"


@pytest.mark.parametrize("syntax", builders.SYNTAXES)
def test_names_go_as_the_table_says_and_references_are_mapped(tmp_path: Path, syntax: str) -> None:
    image = item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2", ReferencedSOPInstanceUID="1.9")
    ds = report(
        content(code(*MOTHER), "PNAME", PersonName="Quimbleton^Dorothea"),
        content(code(*OBSERVER), "PNAME", PersonName="Ratched^Mildred"),
        content(code(*UNLISTED), "PNAME", PersonName="Nobody^Known"),
        content(code("121112", "DCM", "Source of Measurement"), "IMAGE",
                ReferencedSOPSequence=sequence(image)),
        content(code(*UNLISTED), "UIDREF", UID="1.9"),
    )  # fmt: skip
    items = cleaned(tmp_path, ds, syntax=syntax).ContentSequence
    assert [one.ConceptNameCodeSequence[0].CodeMeaning for one in items] == [
        "Person Observer Name", "Remark", "Source of Measurement", "Remark",
    ]  # fmt: skip
    assert [str(one.PersonName) for one in items[:2]] == ["Anonymous", "Anonymous"]
    assert items[2].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == PSEUDONYMS.uid("1.9")
    assert PSEUDONYMS.uid("1.9") == items[3].UID


def test_text_of_any_concept_keeps_the_words_of_the_lexicon_only(tmp_path: Path) -> None:
    ds = report(
        content(code(*UNLISTED), "TEXT", TextValue="axial chest of Mrs Quimbleton"),
        content(code(*UNLISTED), "TEXT", TextValue="Zyxwvut"),
    )
    first, second = cleaned(tmp_path, ds).ContentSequence
    assert "axial chest" in first.TextValue
    assert "uimbleton" not in first.TextValue
    assert second.TextValue == "REMOVED"  # TEXT is Type 1 in its item


def test_an_item_goes_with_everything_below_it(tmp_path: Path) -> None:
    below = content(code(*UNLISTED), "TEXT", TextValue="axial")
    subject = content(code(*MOTHER), "PNAME", PersonName="A^B", ContentSequence=sequence(below))
    after = cleaned(tmp_path, report(subject, below))
    assert len(after.ContentSequence) == 1


def test_a_tree_of_which_nothing_is_left_has_no_content_sequence(tmp_path: Path) -> None:
    after = cleaned(tmp_path, report(content(code(*MOTHER), "PNAME", PersonName="A^B")))
    assert "ContentSequence" not in after


def test_items_that_others_refer_to_by_position_stay_in_place_as_dummies(tmp_path: Path) -> None:
    reference = item(RelationshipType="INFERRED FROM", ReferencedContentItemIdentifier=[1, 3])
    finding = content(
        code(*UNLISTED), "TEXT", TextValue="axial", ContentSequence=sequence(reference)
    )
    below = content(code(*UNLISTED), "TEXT", TextValue="axial Mildred")
    subject = content(code(*MOTHER), "PNAME", PersonName="A^B", ContentSequence=sequence(below))
    items = cleaned(tmp_path, report(subject, finding)).ContentSequence
    assert len(items) == 2
    assert str(items[0].PersonName) == "Anonymous"
    assert items[0].ContentSequence[0].TextValue == "REMOVED"
    assert items[1].ContentSequence[0].ReferencedContentItemIdentifier == [1, 3]


@pytest.mark.parametrize(
    ("option", "left"),
    [
        (Option.RETAIN_LONGITUDINAL_FULL_DATES, "20190619101112"),
        (Option.RETAIN_LONGITUDINAL_MODIFIED_DATES, None),
        (Option.CLEAN_DESCRIPTORS, "19000101000000"),
    ],
)
def test_dates_of_items_follow_the_dates_option(
    tmp_path: Path, option: Option, left: str | None
) -> None:
    ds = report(content(code(*UNLISTED), "DATETIME", DateTime="20190619101112"))
    (one,) = cleaned(tmp_path, ds, option).ContentSequence
    if left is None:
        assert one.DateTime[:8] != "20190619"
        assert one.DateTime[8:] == "101112"
    else:
        assert left == one.DateTime


@pytest.mark.parametrize(
    ("age", "unit", "stays"),
    [("45", "a", True), ("93", "a", False), ("1100", "mo", False), ("30", "d", True),
     ("30", "furlong", False), ("old", "a", False)],
)  # fmt: skip
def test_ages_over_89_go_from_reports_too(tmp_path: Path, age: str, unit: str, stays: bool) -> None:
    measured = item(
        NumericValue=age if age.isdigit() else None,
        MeasurementUnitsCodeSequence=sequence(code(unit, "UCUM", "unit")),
    )
    subject_age = content(
        code("121033", "DCM", "Subject Age"), "NUM", MeasuredValueSequence=sequence(measured)
    )
    after = cleaned(tmp_path, report(subject_age), Option.RETAIN_PATIENT_CHARACTERISTICS)
    assert ("ContentSequence" in after) == stays
    assert "ContentSequence" not in cleaned(tmp_path, report(subject_age))


def test_a_listed_concept_with_a_value_of_another_kind_is_judged_by_its_kind(
    tmp_path: Path,
) -> None:
    finding = content(
        code(*FINDING), "CODE", ConceptCodeSequence=sequence(code("1", "SCT", "Chest"))
    )
    (one,) = cleaned(tmp_path, report(finding)).ContentSequence
    assert one.ConceptCodeSequence[0].CodeMeaning == "Chest"


def test_a_device_uid_that_is_retained_is_no_residue(tmp_path: Path) -> None:
    device = content(code("121012", "DCM", "Device Observer UID"), "UIDREF", UID="1.2.3.4.5.678901")
    (kept,) = cleaned(tmp_path, report(device), Option.RETAIN_DEVICE_IDENTITY).ContentSequence
    assert kept.UID == "1.2.3.4.5.678901"
    (mapped,) = cleaned(tmp_path, report(device)).ContentSequence
    assert PSEUDONYMS.uid("1.2.3.4.5.678901") == mapped.UID
