"""The search for what is left anywhere in an output."""

from __future__ import annotations

import io

import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from benchmarks.midi.checks import Needle
from benchmarks.midi.leaks import Search


def dataset(syntax: UID = ExplicitVRLittleEndian) -> FileDataset:
    """Return a file with nothing in it."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    new = FileDataset("", Dataset(), preamble=bytes(128), file_meta=meta)
    new.SOPClassUID, new.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    return new


def written(new: FileDataset) -> bytes:
    """Return the bytes of a file."""
    stream = io.BytesIO()
    new.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def places(data: bytes, *texts: str, options: tuple[str, ...] = ()) -> list[str]:
    """Search for identifiers."""
    search = Search([Needle("A", text) for text in texts], options)
    return [leak.place for leak in search.leaks(data)]


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Krämer"),
        ("ISO_IR 144", "Лебедев"),
        ("ISO_IR 192", "山口"),
        (["", "ISO 2022 IR 87"], "山口"),
        ("GB18030", "王小东"),
    ],
)
def test_a_name_is_found_in_every_character_set(charset: str | list[str], name: str) -> None:
    new = dataset()
    new.SpecificCharacterSet = charset
    assert not places(written(new), name)
    new.SeriesDescription = f"T1 {name} sag"
    assert places(written(new), name) == ["<(0008,103e)>"]


def test_case_does_not_count() -> None:
    new = dataset()
    new.SpecificCharacterSet = "ISO_IR 100"
    new.SeriesDescription = "KRÄMER_T1 hargREAVES"
    assert places(written(new), "Krämer", "Hargreaves") == ["<(0008,103e)>"] * 2


def test_the_place_of_a_nested_private_value_is_told() -> None:
    new = dataset()
    item = Dataset()
    item.private_block(0x0009, "LOCAL", create=True).add_new(0x01, "LO", "Hargreaves")
    new.RequestAttributesSequence = [Dataset(), item]
    assert places(written(new), "Hargreaves") == ['<(0040,0275)>[<0001>]<(0009,"LOCAL",01)>']


def test_preamble_file_meta_information_and_utf_16_are_searched() -> None:
    new = dataset()
    new.preamble = b"70100017".ljust(128, b"\0")
    new.file_meta.SourceApplicationEntityTitle = "AETHORNBURY"
    new[0x00091007] = DataElement(0x00091007, "OB", "Hargreaves".encode("utf-16-le"))
    found = places(written(new), "70100017", "Thornbury", "Hargreaves")
    assert found[:2] == ["<outside the elements>", "<(0002,0016)>"]
    assert len(found) == 3


def test_a_deflated_file_is_searched_too() -> None:
    new = dataset(DeflatedExplicitVRLittleEndian)
    new.SeriesDescription = "Hargreaves " * 5
    data = written(new)
    assert b"Hargreaves" not in data
    assert places(data, "Hargreaves") == ["<(0008,103e)>"]


def test_native_pixels_are_not_searched_and_compressed_ones_are() -> None:
    new = dataset()
    new.BitsAllocated, new.PixelData = 8, b"Hargreaves".ljust(64, b"\0")
    new["PixelData"].VR = "OB"
    assert not places(written(new), "Hargreaves")
    new.ImageComments = "Hargreaves"
    assert places(written(new), "Hargreaves") == ["<(0020,4000)>"]


def test_digits_inside_longer_numbers_are_no_identifier() -> None:
    new = dataset()
    new.ImageComments = "x 9701000171 70100017.5"
    assert places(written(new), "7010001") == []
    assert places(written(new), "70100017") == ["<(0020,4000)>"]


def test_short_words_are_not_searched_for_and_what_an_option_retains_neither() -> None:
    new = dataset()
    new.ImageComments = "Li SN12345678"
    needles = [Needle("A", "Li"), Needle("M", "SN12345678", "retain_device_identity")]
    data = written(new)
    assert [leak.kind for leak in Search(needles).leaks(data)] == ["M"]
    assert not Search(needles, ["retain_device_identity"]).leaks(data)


def test_a_file_that_nobody_can_read_is_searched_as_it_is() -> None:
    assert places(b"rubbish HARGREAVES", "Hargreaves") == ["<outside the elements>"]
