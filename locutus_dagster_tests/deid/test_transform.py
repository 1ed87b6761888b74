"""What the output looks like, on hand-made instances."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import UID

from locutus_dagster.deid import Pseudonyms, basic_policy
from locutus_dagster_tests.deid import builders
from locutus_dagster_tests.deid.builders import SUBJECT, clean, ct, item, raw_element, sequence

PSEUDONYMS = Pseudonyms(builders.SECRET)


@pytest.mark.parametrize("syntax", builders.SYNTAXES)
def test_the_subject_takes_the_patients_place(tmp_path: Path, syntax: str) -> None:
    after = clean(tmp_path, ct(), syntax)
    assert after.PatientName == after.PatientID == SUBJECT
    assert after.PatientBirthDate == ""
    assert "StudyDescription" not in after
    assert after.SliceThickness == 2.5
    assert after.PixelData == bytes(range(32))


def test_name_and_id_are_added_where_they_are_missing(tmp_path: Path) -> None:
    ds = ct()
    del ds.PatientName, ds.PatientID
    after = clean(tmp_path, ds)
    assert after.PatientName == after.PatientID == SUBJECT
    assert list(after.keys()) == sorted(after.keys())


def test_the_output_says_how_it_was_deidentified(tmp_path: Path) -> None:
    ds = ct(
        PatientIdentityRemoved="NO",
        DeidentificationMethod="by hand, for Quimbleton",
        DeidentificationMethodCodeSequence=sequence(item(CodeValue="X")),
        LongitudinalTemporalInformationModified="UNMODIFIED",
    )
    after = clean(tmp_path, ds)
    assert after.PatientIdentityRemoved == "YES"
    method = list(after.DeidentificationMethod)
    assert method[1:] == ["PS3.15 2026d policy basic", f"policy {basic_policy().fingerprint}"]
    assert all(len(value) <= 64 for value in method)
    (code,) = after.DeidentificationMethodCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("113100", "DCM")
    assert code.CodeMeaning == "Basic Application Confidentiality Profile"
    assert after.LongitudinalTemporalInformationModified == "REMOVED"


def test_preamble_and_file_meta_are_made_from_nothing(tmp_path: Path) -> None:
    _, members = builders.run(tmp_path, [builders.encode(ct())])
    (content,) = members.values()
    assert content[:132] == bytes(128) + b"DICM"
    meta = pydicom.dcmread(io.BytesIO(content)).file_meta
    assert {element.tag.element for element in meta} == {0, 1, 2, 3, 0x10, 0x12, 0x13}
    assert meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert meta.MediaStorageSOPInstanceUID == PSEUDONYMS.uid(f"{builders.INSTANCE}.1")
    assert UID(meta.ImplementationClassUID).is_valid
    assert meta.FileMetaInformationGroupLength == content.index(b"\x08\x00\x05\x00CS") - 144
    assert b"quimbleton" not in content.lower()


def test_nested_names_ids_and_uids_are_replaced_at_every_depth(tmp_path: Path) -> None:
    deep = item(PatientName="Quimbleton^D", PatientID="PAT778899", ReferencedSOPInstanceUID="1.9.8")
    ds = ct(
        ReferencedInstanceSequence=sequence(
            item(
                PurposeOfReferenceCodeSequence=sequence(
                    item(ReferencedSeriesSequence=sequence(deep))
                )
            )
        )
    )
    after = clean(tmp_path, ds)
    inner = after.ReferencedInstanceSequence[0].PurposeOfReferenceCodeSequence[0]
    found = inner.ReferencedSeriesSequence[0]
    assert (found.PatientName, found.PatientID) == (SUBJECT, SUBJECT)
    assert found.ReferencedSOPInstanceUID == PSEUDONYMS.uid("1.9.8")


def test_a_dummy_sequence_says_nothing_about_anybody(tmp_path: Path) -> None:
    # The person's code is in attributes that no rule names for themselves.
    person = item(CodeValue="4711", CodingSchemeDesignator="99HR", CodeMeaning="Nurse Ratched")
    ds = ct(PersonIdentificationCodeSequence=sequence(person))
    after = clean(tmp_path, ds)
    (code,) = after.PersonIdentificationCodeSequence
    assert {str(element.value) for element in code} == {"REMOVED"}


def test_registered_and_class_uids_stay_and_all_others_are_mapped(tmp_path: Path) -> None:
    reference = item(
        ReferencedSOPClassUID="1.3.12.2.1107.5.9.1", ReferencedSOPInstanceUID="1.2.3.4.5.300.2"
    )
    ds = ct(
        FrameOfReferenceUID="1.2.840.10008.1.4.1.1",
        ReferencedInstanceSequence=sequence(reference),
        FailedSOPInstanceUIDList=["1.5.1", "1.2.840.10008.1.1", "1.5.2"],
    )
    after = clean(tmp_path, ds)
    assert after.FrameOfReferenceUID == "1.2.840.10008.1.4.1.1"
    assert after.ReferencedInstanceSequence[0].ReferencedSOPClassUID == "1.3.12.2.1107.5.9.1"
    mapped = [PSEUDONYMS.uid("1.5.1"), "1.2.840.10008.1.1", PSEUDONYMS.uid("1.5.2")]
    assert list(after.FailedSOPInstanceUIDList) == mapped
    assert after.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == PSEUDONYMS.uid(
        "1.2.3.4.5.300.2"
    )


def test_private_curve_overlay_and_unknown_elements_are_gone(tmp_path: Path) -> None:
    ds = ct()
    ds.private_block(0x0029, "ACME", create=True).add_new(1, "LO", "anything")
    ds.add_new(0x60000010, "US", 4)
    ds.add_new(0x60000022, "LO", "an orphan's description")
    ds.add_new(0x60003000, "OW", b"\1\2")
    ds.add_new(0x50003000, "OW", b"\1\2")
    ds.add_new(0x00189ABC, "LO", "not in any dictionary")
    after = clean(tmp_path, ds)
    groups = {element.tag.group for element in after}
    assert groups <= {0x0008, 0x0010, 0x0012, 0x0018, 0x0020, 0x0028, 0x7FE0}
    assert 0x00189ABC not in after


@pytest.mark.parametrize(
    ("attributes", "tag", "left"),
    [
        ({"ExposureTime": "120"}, 0x00181150, None),  # Type 3 in CT Image
        ({"KVP": "120"}, 0x00180060, ""),  # Type 2
        ({"PhotometricInterpretation": "MONOCHROME2"}, 0x00280004, "REMOVED"),  # Type 1
    ],
)
def test_an_attribute_of_a_wrong_vr_is_replaced_as_its_type_asks(
    tmp_path: Path, attributes: dict[str, str], tag: int, left: str | None
) -> None:
    content = builders.encode(ct(**attributes))
    header = tag.to_bytes(4, "big")
    header = header[1::-1] + header[:1:-1]
    at = content.index(header) + 4
    assert clean(tmp_path, content)[tag].value == content_value(attributes)
    after = clean(tmp_path, content[:at] + b"SH" + content[at + 2 :])
    assert (after[tag].value or "" if tag in after else None) == left


def content_value(attributes: dict[str, str]) -> object:
    (value,) = attributes.values()
    return value if value.isalnum() and not value.isdigit() else int(value)


def test_trailing_padding_and_group_lengths_are_dropped(tmp_path: Path) -> None:
    content = builders.encode(ct())
    start = content.index(b"\x08\x00\x05\x00CS")
    length = raw_element(0x00080000, "UL", b"\1\2\3\4")
    padding = raw_element(0xFFFCFFFC, "OB", b"Quimbleton")
    after = clean(tmp_path, content[:start] + length + content[start:] + padding)
    assert 0x00080000 not in after
    assert 0xFFFCFFFC not in after


def test_elements_out_of_order_come_out_in_order(tmp_path: Path) -> None:
    content = builders.encode(ct())
    late = raw_element(0x00080070, "LO", b"Acme")
    assert content.count(late) == 1
    after = clean(tmp_path, content.replace(late, b"") + late)
    assert list(after.keys()) == sorted(after.keys())
    assert after.Manufacturer == "Acme"
    assert after.PixelData == bytes(range(32))


def test_a_known_sequence_written_as_un_is_cleaned_and_a_false_one_removed(
    tmp_path: Path,
) -> None:
    inner = b"\x10\x00\x10\x00\x04\0\0\0A^B "
    items = b"\xfe\xff\x00\xe0" + len(inner).to_bytes(4, "little") + inner
    content = builders.encode(ct())
    at = content.index(b"\x10\x00\x10\x00PN")
    for value, kept in ((items, True), (b"A^B nothing of the kind ", False)):
        element = raw_element(0x00081115, "UN", value)
        _, members = builders.run(tmp_path, [content[:at] + element + content[at:]])
        (output,) = members.values()
        assert b"A^B" not in output
        assert (b"\x08\x00\x15\x11UN" in output) == kept


def test_the_character_set_stays_and_kept_text_is_untouched(tmp_path: Path) -> None:
    after = clean(tmp_path, ct(Manufacturer="Müller & Söhne"))
    assert after.SpecificCharacterSet == "ISO_IR 100"
    assert after.Manufacturer == "Müller & Söhne"


def test_encapsulated_pixel_data_passes_untouched(tmp_path: Path) -> None:
    ds = ct()
    ds.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8 one \xff\xd9", b"\xff\xd8 two!\xff\xd9"])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    after = clean(tmp_path, ds, "jpeg")
    assert after.PixelData == ds.PixelData
    assert after.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.50"
