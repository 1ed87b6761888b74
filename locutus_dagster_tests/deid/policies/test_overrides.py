"""A rule names an attribute that there is, and an action that can be carried out on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from locutus_dagster.deid.encoding.encode import DUMMIES
from locutus_dagster.deid.policies.attributes import ACTIONS, fits
from locutus_dagster.deid.policies.model import Action, Override, PrivateElement
from locutus_dagster.deid.policies.reading import PolicyFileError, read_policy
from locutus_dagster.deid.standard.dictionary import VR_OF


def rule(folder: Path, text: str) -> Override:
    path = folder / "site.yaml"
    path.write_text("name: x\noverrides:\n- {" + text + "}\n", encoding="utf-8")
    (override,) = read_policy(path).overrides
    return override


def refused(folder: Path, text: str) -> str:
    with pytest.raises(PolicyFileError) as caught:
        rule(folder, text)
    (problem,) = caught.value.problems
    assert problem.startswith("site.yaml, line 3: ")
    return problem


@pytest.mark.parametrize(
    ("attribute", "path"),
    [
        ("StudyDescription", (0x00081030,)),
        ('"(0008,1030)"', (0x00081030,)),
        ('"(0008, 103e)"', (0x0008103E,)),
        ("00081030", (0x00081030,)),
        ('"0008,1030"', (0x00081030,)),
        ("RequestAttributesSequence/ScheduledProcedureStepDescription", (0x00400275, 0x00400007)),
        ('"(0040,0275)/(0040,0007)"', (0x00400275, 0x00400007)),
        ('"(0040,0275) / ScheduledProcedureStepDescription"', (0x00400275, 0x00400007)),
    ],
)
def test_an_attribute_is_named_by_keyword_tag_or_path(
    tmp_path: Path, attribute: str, path: tuple[int, ...]
) -> None:
    assert rule(tmp_path, f"attribute: {attribute}, action: empty").path == path


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        ("StudyDescripton", "did you mean StudyDescription"),
        ("studydescription", "did you mean StudyDescription"),
        ("Qqqqqqqq", "write it as in PS3.6"),
        ('"(0008,9999)"', "no such attribute"),
        ('"(0010)"', "no attribute of this keyword"),
        ('"(0008,1030"', "no attribute of this keyword"),
        ('"(0019,100C)"', "private: CREATOR"),
        ('"(0002,0003)"', "written anew"),
        ("MediaStorageSOPInstanceUID", "written anew"),
        ('"(6000,3000)"', "always removed"),
        ('"(5000,0010)"', "always removed"),
        ('"(0012,0064)"', "states this attribute itself"),
        ("StudyDescription/SeriesDescription", "must be a sequence"),
        ("RequestAttributesSequence/", "no attribute of this keyword"),
        ('""', "no attribute of this keyword"),
        ("/".join(["RequestAttributesSequence"] * 17), "too many sequences"),
    ],
)
def test_an_attribute_that_rules_say_nothing_about_is_refused(
    tmp_path: Path, attribute: str, words: str
) -> None:
    assert words in refused(tmp_path, f"attribute: {attribute}, action: remove")


def test_attributes_newer_than_the_dictionary_can_be_removed_only(tmp_path: Path) -> None:
    # Table E.1-1 names them, the data dictionary does not: their values cannot be understood.
    assert 0x00100012 not in VR_OF
    for name in ("NameToUse", '"(0010,0012)"'):
        assert rule(tmp_path, f"attribute: {name}, action: remove").path == (0x00100012,)
        assert "write remove" in refused(tmp_path, f"attribute: {name}, action: keep")


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        ("StudyDescription", "keep remove empty dummy clean subject"),  # LO
        ("StudyInstanceUID", "keep map-uid"),  # no instance without
        ("FrameOfReferenceUID", "keep remove empty map-uid"),  # UI
        ("StudyDate", "keep remove empty dummy shift"),  # DA
        ("StudyTime", "keep remove empty dummy shift"),  # TM
        ("AcquisitionDateTime", "keep remove empty dummy shift"),  # DT
        ("PatientName", "keep remove empty dummy subject"),  # PN
        ("PatientSex", "keep remove empty dummy clean"),  # CS
        ("PatientWeight", "keep remove empty dummy"),  # DS
        ("Rows", "keep remove empty dummy"),  # US
        ("RedPaletteColorLookupTableData", "keep remove empty dummy"),  # OW
        ("RequestAttributesSequence", "keep remove empty dummy clean"),  # SQ
        ("PixelData", "keep"),
        ("SOPClassUID", "keep"),
        ("SpecificCharacterSet", "keep"),
    ],
)
def test_an_action_fits_the_vr_or_is_refused(tmp_path: Path, attribute: str, words: str) -> None:
    for word, action in ACTIONS.items():
        text = f"attribute: {attribute}, action: {word}"
        if word in words.split():
            assert rule(tmp_path, text).action is action
        elif word != "replace":
            assert "write" in refused(tmp_path, text)


def test_a_refused_action_names_those_that_fit(tmp_path: Path) -> None:
    told = refused(tmp_path, "attribute: StudyDate, action: map-uid")
    assert told.endswith("write one of keep, remove, empty, dummy, shift, replace")
    assert "did you mean remove" in refused(tmp_path, "attribute: StudyDate, action: removed")


def test_every_dummy_that_fits_is_there() -> None:
    for vr in set(VR_OF.values()) - {"SQ"}:
        assert fits(Action.DUMMY, vr) == (vr in DUMMIES)


def test_what_an_instance_cannot_do_without_may_go_inside_a_sequence(tmp_path: Path) -> None:
    path = "ReferencedStudySequence/StudyInstanceUID"
    assert rule(tmp_path, f"attribute: {path}, action: remove").path[-1] == 0x0020000D


@pytest.mark.parametrize(
    ("attribute", "text"),
    [
        ("StudyDescription", "a text (of the site)"),
        ("PatientSex", "O"),
        ("StudyDate", "19000101"),
        ("PatientAge", "040Y"),
        ("PatientWeight", "70.5"),
        ("PatientName", "Anon^Ymous"),
    ],
)
def test_a_text_takes_the_place_of_a_value(tmp_path: Path, attribute: str, text: str) -> None:
    for action in ("", "action: replace, "):
        override = rule(tmp_path, f'attribute: {attribute}, {action}replace: "{text}"')
        assert (override.action, override.text) == (Action.REPLACE, text)


@pytest.mark.parametrize(
    ("attribute", "text", "words"),
    [
        ("StudyDescription", "Kopf über", "printable ASCII"),
        ("StudyDescription", "a" * 65, "printable ASCII"),
        ("StudyDescription", "", "printable ASCII"),
        ("StudyDescription", "a\\\\b", "printable ASCII"),
        ("PatientSex", "male", "VR CS"),
        ("StudyDate", "01.01.1900", "VR DA"),
        ("PatientWeight", "heavy", "VR DS"),
        ("AccessionNumber", "12345678901234567", "VR SH"),
        ("StudyInstanceUID", "1.2.3", "cannot be delivered"),
        ("FrameOfReferenceUID", "1.2.3", "does not fit"),
        ("Rows", "5", "does not fit"),
    ],
)
def test_a_replacement_must_be_a_legal_value(
    tmp_path: Path, attribute: str, text: str, words: str
) -> None:
    assert words in refused(tmp_path, f'attribute: {attribute}, replace: "{text}"')


def test_a_private_attribute_is_named_by_creator_and_element(tmp_path: Path) -> None:
    text = 'private: SIEMENS MR HEADER, element: "(0019,xx0c)", vr: IS, action: keep'
    override = rule(tmp_path, text)
    assert override.private == PrivateElement("SIEMENS MR HEADER", 0x0019, 0x0C)
    assert (override.path, override.vr, override.action) == ((), "IS", Action.KEEP)


def test_the_vr_of_a_private_attribute_is_looked_up(tmp_path: Path) -> None:
    known = rule(tmp_path, 'private: SIEMENS MR HEADER, element: "(0019,xx0C)", action: keep')
    assert known.vr == "IS"
    unknown = rule(tmp_path, 'private: ACME 1.0, element: "(0019,xx0C)", action: keep')
    assert unknown.vr == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("private: ACME, action: keep", "add element:"),
        ('private: ACME, element: "(0019,100C)", action: keep', "xx for the block"),
        ('private: ACME, element: "(0018,xx0C)", action: keep', "odd"),
        ('private: ACME, element: "(0001,xx0C)", action: keep', "odd"),
        ('private: ACME, element: "(FFFF,xx0C)", action: keep', "odd"),
        ('private: "A\\\\B", element: "(0019,xx0C)", action: keep', "private creator"),
        ('private: Ä, element: "(0019,xx0C)", action: keep', "private creator"),
        ('private: ACME, element: "(0019,xx0C)", vr: XX, action: keep', "no such VR"),
        ('private: ACME, element: "(0019,xx0C)", action: clean', "add vr:"),
        ('private: ACME, element: "(0019,xx0C)", vr: US, action: clean', "does not fit"),
        ('private: ACME, element: "(0019,xx0C)", attribute: Rows, action: keep', "either"),
        ("action: keep", "either attribute: or private:"),
        ("attribute: Rows, vr: US, action: keep", "belong to private:"),
        ("attribute: StudyDescription", "say what happens"),
        ("attribute: StudyDescription, action: replace", "replace: holds"),
        ("attribute: StudyDescription, action: keep, replace: x", "replace: holds"),
        ("attribute: StudyDescription, actoin: keep", "did you mean action"),
        ("attribute: StudyDescription, action: keep, action: keep", "twice"),
        ("attribute: [StudyDescription], action: keep", "one value"),
    ],
)
def test_a_rule_that_is_not_complete_is_refused(tmp_path: Path, text: str, words: str) -> None:
    assert words in refused(tmp_path, text)


def test_two_rules_about_one_attribute_are_refused_within_a_file(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(
        "name: x\n"
        "overrides:\n"
        "- {attribute: StudyDescription, action: keep}\n"
        '- {attribute: "(0008,1030)", action: clean}\n',
        encoding="utf-8",
    )
    with pytest.raises(PolicyFileError, match=r"line 4: line 3 has a rule about this"):
        read_policy(path)


def test_overrides_are_a_list_of_rules(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    for text, words in (("{attribute: Rows}", "write a list"), ("[Rows]", "write a mapping")):
        path.write_text(f"name: x\noverrides: {text}", encoding="utf-8")
        with pytest.raises(PolicyFileError, match=words):
            read_policy(path)
