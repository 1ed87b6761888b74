"""Types of attributes: what PS3.3 says about single attributes, looked up by hand."""

from __future__ import annotations

import csv
import importlib.util
import json
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest
from pydicom.uid import UID_dictionary

from locutus_dagster.deid.standard.iod_types import EDITION, IodTypes, iod_types
from locutus_dagster.deid.standard.storage_classes import load_storage_classes
from locutus_dagster.deid.standard.table import load_table

CT = "1.2.840.10008.5.1.4.1.1.2"
CT_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.2.3"
MR = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
PET = "1.2.840.10008.5.1.4.1.1.128"
BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"

CONTENT = 0x0040A730
PER_FRAME, SHARED, FRAME_CONTENT = 0x52009230, 0x52009229, 0x00209111
FRAME_ACQUISITION = 0x00189074
CODE_MEANING = 0x00080104


def types(sop_class: str) -> IodTypes:
    found = iod_types(sop_class)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("tag", "kind"),
    [
        (0x00080018, 1),  # SOP Instance UID
        (0x0020000D, 1),  # Study Instance UID
        (0x00080020, 2),  # Study Date
        (0x00080050, 2),  # Accession Number
        (0x00100010, 2),  # Patient's Name
        (0x00100030, 2),  # Patient's Birth Date
        (0x00080021, 3),  # Series Date
        (0x00081030, 3),  # Study Description
        (0x00101010, 3),  # Patient's Age
        (0x7FE00010, 1),  # Pixel Data, 1C
    ],
)
def test_a_ct_image_has_the_types_of_its_modules(tag: int, kind: int) -> None:
    assert types(CT).type_of((), tag) == kind


def test_the_type_depends_on_the_iod() -> None:
    """Acquisition DateTime: 3 in General Acquisition, 1C in Enhanced MR Image."""
    assert types(MR).type_of((), 0x0008002A) == 3
    assert types(ENHANCED_MR).type_of((), 0x0008002A) == 1


def test_the_strictest_module_of_an_iod_wins() -> None:
    """Manufacturer: 2 in General Equipment, 1 in Enhanced General Equipment."""
    assert types(MR).type_of((), 0x00080070) == 2
    assert types(ENHANCED_MR).type_of((), 0x00080070) == 1


def test_optional_modules_count_as_if_they_were_there() -> None:
    """Clinical Trial Sponsor Name: 1 in Clinical Trial Subject, which is of usage U."""
    assert types(CT).type_of((), 0x00120010) == 1
    assert types(CT).type_of((), 0x00120060) == 2  # Clinical Trial Coordinating Center Name


def test_what_an_iod_does_not_have_has_no_type() -> None:
    radiopharmaceuticals = 0x00540016
    assert types(CT).type_of((), radiopharmaceuticals) is None
    assert types(PET).type_of((), radiopharmaceuticals) == 2


@pytest.mark.parametrize("groups", [PER_FRAME, SHARED])
def test_functional_groups_are_found_inside_their_sequences(groups: int) -> None:
    enhanced = types(ENHANCED_MR)
    assert enhanced.type_of((groups, FRAME_CONTENT), FRAME_ACQUISITION) == 1
    assert enhanced.type_of((groups, FRAME_CONTENT), 0x00209158) == 3  # Frame Comments


def test_an_attribute_counts_only_where_it_stands() -> None:
    enhanced = types(ENHANCED_MR)
    assert enhanced.type_of((), FRAME_ACQUISITION) is None
    assert enhanced.type_of((FRAME_CONTENT,), FRAME_ACQUISITION) is None
    assert enhanced.type_of((PER_FRAME,), FRAME_ACQUISITION) is None


def test_a_place_is_known_when_the_iod_lists_something_in_it() -> None:
    enhanced = types(ENHANCED_MR)
    assert enhanced.has_place(())
    assert enhanced.has_place((PER_FRAME,))
    assert enhanced.has_place((PER_FRAME, FRAME_CONTENT))
    assert not enhanced.has_place((FRAME_CONTENT,))
    assert not enhanced.has_place((PER_FRAME, FRAME_CONTENT, 0x00110010))
    assert not types(CT).has_place((PER_FRAME,))


def test_a_place_is_known_even_where_table_e_1_1_names_nothing_in_it() -> None:
    """Diffusion gradients identify nobody, but the place is one of the IOD."""
    place = (PER_FRAME, 0x00189117, 0x00189076)  # MR Diffusion, Diffusion Gradient Direction
    assert types(ENHANCED_MR).type_of(place, 0x00189089) == 1


def test_content_items_nest_to_any_depth() -> None:
    report = types(BASIC_TEXT_SR)
    for depth in (0, 1, 2, 5, 5000):
        place = (CONTENT,) * depth
        assert report.has_place(place)
        assert report.type_of(place, CONTENT) == 1
        assert report.type_of((*place, 0x0040A043), CODE_MEANING) == 1  # Concept Name
    assert report.type_of((CONTENT,) * 4, 0x00100010) is None


@pytest.mark.parametrize(
    "sop_class",
    ["", "1.2.3", "1.3.46.670589.11.0.0.12.1", "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.9"],
)
def test_private_retired_and_service_classes_have_no_types(sop_class: str) -> None:
    assert iod_types(sop_class) is None


def test_classes_that_are_newer_than_the_source_share_its_iods() -> None:
    assert types(CT_FOR_PROCESSING).type_of((), 0x00100010) == 2


def test_an_iod_with_an_unknown_module_is_left_out_as_a_whole() -> None:
    assert iod_types("1.2.840.10008.5.1.4.1.1.9.100.1") is None  # Waveform Presentation State


def test_every_class_that_is_delivered_and_not_retired_has_types() -> None:
    delivered = [row.uid for row in load_storage_classes() if not row.withheld or row.needs]
    current = [uid for uid in delivered if uid not in UID_dictionary or not UID_dictionary[uid][3]]
    assert len(current) > 140
    assert [uid for uid in current if iod_types(uid) is None] == []


def test_every_sequence_that_holds_something_is_itself_listed() -> None:
    places = set()
    source = files("locutus_dagster.deid.standard") / "data" / f"iod_attributes_{EDITION}.csv"
    lines = [line for line in source.read_text("utf-8").splitlines() if not line.startswith("#")]
    for row in csv.DictReader(lines):
        for text in row["places"].split():
            places.add(() if text == "." else tuple(int(tag, 16) for tag in text.split("/")))
    seen = set()
    for row in load_storage_classes():
        known = iod_types(row.uid)
        if known is None:
            continue
        for place in places:
            if place and known.has_place(place):
                seen.add(place)
                assert known.type_of(place[:-1], place[-1]) is not None, (row.name, place)
    assert seen == places - {()}


def test_every_attribute_whose_action_depends_on_the_type_is_in_the_tables() -> None:
    source = files("locutus_dagster.deid.standard") / "data" / f"iod_attributes_{EDITION}.csv"
    text = source.read_text("utf-8")
    composite = [row for row in load_table() if "/" in row.basic and row.tag is not None]
    assert len(composite) > 40
    assert [row.name for row in composite if f"{row.tag:08X}" not in text] == []


# --- the generator ---------------------------------------------------------------------------


def generator() -> ModuleType:
    path = Path(__file__).parents[3] / "scripts" / "make_iod_types.py"
    spec = importlib.util.spec_from_file_location("make_iod_types", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def standard(tmp_path: Path) -> Path:
    """A standard of three modules."""
    name = {"keyword": "PatientName", "type": "2", "path": []}
    item = {"keyword": "CodeMeaning", "type": "1C", "path": ["ProcedureCodeSequence"]}
    write(
        tmp_path,
        sop_classes={"1.2.3": "small", "1.2.4": "small", "1.2.5": "broken"},
        iods={
            "small": [{"key": "a", "usage": "M"}, {"key": "b", "usage": "U"}],
            "broken": [{"key": "a", "usage": "M"}, {"key": "absent", "usage": "M"}],
            **{iod: [{"key": "b", "usage": "M"}] for iod in generator().NEWER.values()},
        },
        modules={
            "a": [name, {"keyword": "ProcedureCodeSequence", "type": "3", "path": []}, item],
            "b": [item, {"keyword": "OverlayRows", "type": "1", "path": []}],
            "of nobody": [{"keyword": "PatientID", "type": "1", "path": []}],
        },
    )
    return tmp_path


def write(folder: Path, *, sop_classes: object, iods: object, modules: object) -> None:
    for file, content in (
        ("sop_class_iod_map", sop_classes),
        ("iod_module_map", iods),
        ("module_attribute_map", modules),
    ):
        (folder / f"{file}.json").write_text(json.dumps(content))


def rows(text: str) -> list[dict[str, str]]:
    assert text.startswith("# DICOM PS3.3")
    return list(csv.DictReader(text.splitlines()[1:]))


def test_the_generator_writes_equal_lists_of_attributes_once(standard: Path) -> None:
    table = generator().tables(standard)[f"iod_attributes_{EDITION}.csv"]
    assert rows(table) == [
        {"modules": "a", "places": ".", "type_1": "", "type_2": "00100010", "type_3": "00081032"},
        {"modules": "a b", "places": "00081032", "type_1": "00080104", "type_2": "", "type_3": ""},
    ]


def test_the_generator_leaves_out_iods_that_it_cannot_complete(standard: Path) -> None:
    found = {row["iod"]: row for row in rows(generator().tables(standard)[f"iods_{EDITION}.csv"])}
    assert found["small"]["sop_classes"] == "1.2.3 1.2.4"
    assert found["small"]["modules"] == "a:M b:U"
    assert "broken" not in found


def test_the_generator_refuses_attributes_without_a_type(standard: Path) -> None:
    content = json.loads((standard / "module_attribute_map.json").read_text())
    content["a"][0]["type"] = "None"
    (standard / "module_attribute_map.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="PatientName has no Type"):
        generator().tables(standard)
