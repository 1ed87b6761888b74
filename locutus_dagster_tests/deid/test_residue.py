"""An identifier that is still in the output is found, and its place named, never its value."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from locutus_dagster.deid.identities.tokens import Rule, is_free_standing, name_tokens, rule_for
from locutus_dagster_tests.deid import builders
from locutus_dagster_tests.deid.builders import ct, item, sequence


def places(tmp_path: Path, ds: Dataset, syntax: str = "explicit", **options: object) -> list[str]:
    disposition, _ = builders.run(tmp_path, [builders.encode(ds, syntax)], **options)
    # A hit withholds the instance.
    assert disposition.delivered == (0 if disposition.residue else 1)
    assert disposition.clean is (not disposition.residue)
    assert all(hit.instance.startswith("2.25.") for hit in disposition.residue)
    return [hit.place for hit in disposition.residue]


def test_a_clean_study_has_no_residue(tmp_path: Path) -> None:
    assert places(tmp_path, ct()) == []


@pytest.mark.parametrize("syntax", builders.SYNTAXES)
def test_a_name_in_a_kept_text_attribute_is_found(tmp_path: Path, syntax: str) -> None:
    assert places(tmp_path, ct(Manufacturer="for QUIMBLETON"), syntax) == ["(0008,0070)"]


@pytest.mark.parametrize(
    "text",
    [
        "Dorothea Quimbleton",
        "quimbleton_d",
        "PAT778899",
        "see ACC4711X",
        "born 31.12.1957",
        "19571231",
        "1957-12-31",
        "12/31/1957",
        "Dr. Referrer",
        builders.FRAME,
        builders.STUDY,
    ],
)
def test_every_kind_of_identifier_is_found(tmp_path: Path, text: str) -> None:
    assert places(tmp_path, ct(Manufacturer=text)) == ["(0008,0070)"]


def test_a_nested_place_is_named_by_its_path(tmp_path: Path) -> None:
    code = item(CodeMeaning="Quimbleton's view")
    ds = ct(ViewCodeSequence=sequence(item(CodeMeaning="fine"), code))
    assert places(tmp_path, ds) == ["(0054,0220)[1]>(0008,0104)"]


def test_an_identifier_of_another_instance_of_the_study_is_found(tmp_path: Path) -> None:
    other = ct(2, PatientName="Fotheringay^Ann")
    files = [builders.encode(ct(1, Manufacturer="Fotheringay")), builders.encode(other)]
    disposition, _ = builders.run(tmp_path, files)
    assert [hit.place for hit in disposition.residue] == ["(0008,0070)"]


def test_identifiers_are_collected_from_withheld_instances_too(tmp_path: Path) -> None:
    report = ct(2, PatientName="Fotheringay^Ann", Modality="SR")
    files = [builders.encode(ct(1, Manufacturer="Fotheringay")), builders.encode(report)]
    assert builders.run(tmp_path, files)[0].residue


def test_a_name_in_private_or_nested_elements_is_an_identifier(tmp_path: Path) -> None:
    ds = ct(Manufacturer="Fotheringay and Grimsby")
    ds.private_block(0x0029, "ACME", create=True).add_new(1, "PN", "Fotheringay^Ann")
    assert places(tmp_path, ds) == ["(0008,0070)"]
    nested = item(PatientName="Grimsby^Al")
    ds = ct(Manufacturer="Fotheringay and Grimsby", ReferencedPatientSequence=sequence(nested))
    assert places(tmp_path, ds) == ["(0008,0070)"]


def test_a_known_identifier_is_searched_for(tmp_path: Path) -> None:
    ds = ct(Manufacturer="order 99887766")
    assert places(tmp_path, ds) == []
    assert places(tmp_path, ds, known_identifiers=["99887766"]) == ["(0008,0070)"]


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-8", "latin-1"])
def test_a_name_in_a_kept_binary_value_is_found(tmp_path: Path, codec: str) -> None:
    ds = ct()
    ds.add_new(0x00282000, "OB", b"\0\1" + "Dorothea Quimbleton!".encode(codec))  # ICC Profile
    assert places(tmp_path, ds) == ["(0028,2000)"]


def test_a_name_beyond_ascii_is_found_in_its_character_set_and_others(tmp_path: Path) -> None:
    for charset in ("ISO_IR 100", "ISO_IR 192"):
        ds = ct(SpecificCharacterSet=charset, PatientName="Übermüller^Zoë")
        ds.Manufacturer = "by ÜBERMÜLLER"
        assert places(tmp_path, ds) == ["(0008,0070)"]
    ds = ct(SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName="Yamada^Tarou=山田^太郎")
    ds.Manufacturer = "山田"
    assert places(tmp_path, ds) == ["(0008,0070)"]


def test_native_pixel_data_is_not_searched_and_encapsulated_is(tmp_path: Path) -> None:
    text = b"Dorothea Quimbleton PAT778899!! "
    assert places(tmp_path, ct(PixelData=text)) == []
    ds = ct()
    ds.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8" + text + b"\xff\xd9"])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    assert places(tmp_path, ds, "jpeg") == ["(7fe0,0010)"]


@pytest.mark.parametrize("offset", [(1 << 20) - 5, (2 << 20) - 1, 300_000])
def test_a_large_value_is_searched_across_its_windows(tmp_path: Path, offset: int) -> None:
    blob = bytearray(3 << 20)
    blob[offset : offset + 10] = b"QUIMBLETON"
    ds = ct()
    ds.add_new(0x00282000, "OB", bytes(blob))
    assert places(tmp_path, ds) == ["(0028,2000)"]


def test_a_subject_id_that_is_an_identifier_is_a_hit(tmp_path: Path) -> None:
    assert places(tmp_path, ct(), subject_id="PAT778899") == ["(0010,0010)", "(0010,0020)"]
    assert places(tmp_path, ct(), subject_id="X-PAT778899") == ["(0010,0010)", "(0010,0020)"]


def test_short_and_common_tokens_block_nothing(tmp_path: Path) -> None:
    ds = ct(
        PatientName="Test^Ax", PatientID="12", AccessionNumber="1000", Manufacturer="Test of Ax 12"
    )
    ds.RepetitionTime = "1000"
    ds.OperatorsName = "Anonymou"  # becomes a dummy that contains it
    assert places(tmp_path, ds) == []


def test_a_short_word_counts_on_its_own_only(tmp_path: Path) -> None:
    assert places(tmp_path, ct(PatientName="Doe^J", Manufacturer="Doering")) == []
    assert places(tmp_path, ct(PatientName="Doe^J", Manufacturer="J. Doe, B.")) == ["(0008,0070)"]


def test_digits_count_only_where_no_digit_continues_them(tmp_path: Path) -> None:
    for text, hit in (("No 471147", True), ("x2471147", False), ("47.471147", False)):
        found = places(tmp_path, ct(PatientID="471147", Manufacturer=text))
        assert bool(found) is hit, text


def test_a_uid_that_is_part_of_a_registered_one_is_no_hit(tmp_path: Path) -> None:
    # An object that was given the beginning of a registered UID as its own.
    ds = ct(FrameOfReferenceUID="1.2.840.10008.5.1.4.1.1")
    assert places(tmp_path, ds) == []


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("Jo", None),
        ("Doe", Rule.WORD),
        ("Quimby", Rule.ANYWHERE),
        ("山田", Rule.WORD),
        ("王", None),
        ("123", None),
        ("1234", Rule.DIGITS),
        ("0000000", None),
        ("A12", None),
        ("A123", Rule.WORD),
        ("ABC-123", Rule.ANYWHERE),
        ("Anonymous", None),
        ("test^patient", None),
        ("Test Smith", Rule.ANYWHERE),
        ("-", None),
    ],
)
def test_what_is_worth_searching_for(text: str, rule: Rule | None) -> None:
    assert rule_for(text) is rule


def test_names_are_searched_whole_in_parts_and_in_other_orders() -> None:
    tokens = set(name_tokens("Smith-Jones^Mary Ann^^Dr"))
    assert {"Smith-Jones", "Smith", "Jones", "Mary", "Ann", "Mary Smith-Jones"} <= tokens


def test_utf_16_neighbours_are_judged_as_characters() -> None:
    text = "a doe b".encode("utf-16-le")
    start = text.index("doe".encode("utf-16-le"))
    assert is_free_standing(Rule.WORD, text, start, start + 6, 2)
    text = "adoe".encode("utf-16-le")
    assert not is_free_standing(Rule.WORD, text, 2, 8, 2)


def test_an_id_that_is_a_description_is_no_identifier(tmp_path: Path) -> None:
    ds = ct(RequestedProcedureID="CT Abdomen", Manufacturer="ct abdomen")
    assert places(tmp_path, ds) == []
    ds = ct(RequestedProcedureID="CT Abdomen 4711", Manufacturer="ct abdomen 4711")
    assert places(tmp_path, ds) == ["(0008,0070)"]


def test_a_coded_value_of_the_field_is_no_name(tmp_path: Path) -> None:
    name = "Short^Zyxw"
    assert places(tmp_path, ct(PatientName=name, BodyPartExamined="SHORT")) == []
    assert places(tmp_path, ct(PatientName=name, Manufacturer="SHORT")) == ["(0008,0070)"]
    assert places(tmp_path, ct(PatientName="Zyxw^A", BodyPartExamined="ZYXW")) == ["(0018,0015)"]


def test_native_pixel_data_of_another_length_is_searched(tmp_path: Path) -> None:
    ds = ct()
    ds.PixelData = bytes(len(ds.PixelData)) + b"Quimbleton^Dorothea "
    assert places(tmp_path, ds) == ["(7fe0,0010)"]


def test_dates_in_date_attributes_are_the_rules_business(tmp_path: Path) -> None:
    # The study's date as a birth date elsewhere: nothing that a search could tell apart.
    ds = ct(StudyDate="20190619", Manufacturer="made 2019-06-19")
    assert places(tmp_path, ds) == ["(0008,0070)"]


@pytest.mark.parametrize("written", ["Muellerweiss", "mullerweiss", "MÜLLERWEISS"])
def test_a_name_is_found_as_people_without_its_letters_write_it(
    tmp_path: Path, written: str
) -> None:
    ds = ct(PatientName="Müllerweiß^Ann", Manufacturer=f"for {written} only")
    assert places(tmp_path, ds) == ["(0008,0070)"]
