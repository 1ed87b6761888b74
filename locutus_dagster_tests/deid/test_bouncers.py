"""What the engine cannot vouch for does not get in, and the reason says why without values."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from locutus_dagster.deid import basic_policy
from locutus_dagster_tests.deid import builders


def outcome(tmp_path: Path, ds: Dataset | bytes) -> tuple[str, str]:
    content = ds if isinstance(ds, bytes) else builders.encode(ds)
    disposition, members = builders.run(tmp_path, [content])
    (instance,) = disposition.instances
    assert len(members) == disposition.delivered
    return str(instance.disposition), instance.reason


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({}, ""),
        ({"SOPClassUID": ""}, "no SOP class"),
        ({"SOPInstanceUID": ""}, "no SOP, series or study instance UID"),
        ({"SeriesInstanceUID": ""}, "no SOP, series or study instance UID"),
        ({"StudyInstanceUID": ""}, "no SOP, series or study instance UID"),
        (
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.11"},
            "structured report without Clean Structured Content",
        ),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66"}, "raw data"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1"}, "encapsulated document"),
        ({"SOPClassUID": "1.3.12.2.1107.5.9.1"}, "not a standard storage class"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, ""),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1"}, ""),
        ({"PixelData": b""}, "no pixel data"),
        ({"Modality": ""}, "no modality"),
        ({"Modality": "SR"}, "modality not allowed"),
        ({"Modality": "ct"}, ""),
        ({"Modality": ["CT", "MR"]}, ""),
        ({"Modality": ["CT", "SR"]}, "modality not allowed"),
        ({"BurnedInAnnotation": "YES"}, "burned-in annotation"),
        ({"BurnedInAnnotation": "yes "}, "burned-in annotation"),
        ({"BurnedInAnnotation": "NO"}, ""),
        ({"RecognizableVisualFeatures": "Yes"}, "recognizable visual features"),
    ],
)
def test_the_door_policy(tmp_path: Path, attributes: dict[str, object], reason: str) -> None:
    expected = ("withheld", reason) if reason else ("clean", "")
    assert outcome(tmp_path, builders.ct(**attributes)) == expected


def test_pixel_data_of_a_wrong_vr_is_no_pixel_data(tmp_path: Path) -> None:
    content = builders.encode(builders.ct())
    header = b"\xe0\x7f\x10\x00OW"
    assert header in content
    assert outcome(tmp_path, content.replace(header, header[:4] + b"UT")) == (
        "withheld",
        "no pixel data",
    )


def test_no_pixel_element_at_all_is_withheld(tmp_path: Path) -> None:
    ds = builders.ct()
    del ds.PixelData
    assert outcome(tmp_path, ds) == ("withheld", "no pixel data")


def test_the_allowed_modalities_are_the_policys(tmp_path: Path) -> None:
    content = builders.encode(builders.ct())
    disposition, _ = builders.run(tmp_path, [content], policy=basic_policy(["MR"]))
    assert disposition.withheld_by_reason == {"modality not allowed": 1}


def test_a_report_never_repeats_what_stands_in_the_file(tmp_path: Path) -> None:
    ds = builders.ct(Modality="QUIMBLETON", SOPClassUID="1.2.3.4.5.300.1")
    disposition, _ = builders.run(tmp_path, [builders.encode(ds), b"Quimbleton^Dorothea"])
    shown = repr(disposition) + repr(disposition.as_rows())
    assert "quimbleton" not in shown.lower()
    assert "1.2.3.4.5" not in shown
    assert [one.modality for one in disposition.instances] == ["other", ""]
    assert [one.sop_class for one in disposition.instances] == ["unregistered", ""]
    assert disposition.instances[1].instance == "000002.dcm"
