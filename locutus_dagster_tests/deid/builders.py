"""Small DICOM files and raw zips to test with, and the way back from a delivered zip.

What belongs here: building inputs and reading outputs with pydicom, never with the engine. What
does not: expectations.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from locutus_dagster.deid import Pseudonyms, StudyDisposition, basic_policy, deidentify_study

SECRET = b"a secret only for these tests"
SUBJECT = "SUBJ-001"
STUDY, SERIES, INSTANCE, FRAME = "1.2.3.4.5.100", "1.2.3.4.5.200", "1.2.3.4.5.300", "1.2.3.4.5.400"
SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
}


def ct(number: int = 1, **attributes: Any) -> Dataset:
    """Return a CT slice of a patient called Dorothea Quimbleton."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    ds.SOPInstanceUID = f"{INSTANCE}.{number}"
    ds.StudyDate, ds.StudyTime = "20240102", "101112"
    ds.AccessionNumber = "ACC4711X"
    ds.Modality = "CT"
    ds.Manufacturer = "Acme"
    ds.ReferringPhysicianName = "Referrer^Rudolf"
    ds.StudyDescription = "CT of the thorax"
    ds.PatientName = "Quimbleton^Dorothea"
    ds.PatientID = "PAT778899"
    ds.PatientBirthDate = "19571231"
    ds.PatientSex = "F"
    ds.SliceThickness = "2.5"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY, SERIES
    ds.FrameOfReferenceUID = FRAME
    ds.InstanceNumber = number
    ds.Rows = ds.Columns = 4
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation, ds.SamplesPerPixel = 15, 0, 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.PixelData = bytes(range(32))
    ds["PixelData"].VR = "OW"
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def item(**attributes: Any) -> Dataset:
    """Return a sequence item."""
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def sequence(*items: Dataset) -> Sequence:
    return Sequence(items)


def encode(ds: Dataset, syntax: str = "explicit", *, undefined_length: bool = False) -> bytes:
    """Return a Part 10 file."""
    if undefined_length:
        for element in ds.iterall():
            if element.VR == "SQ":
                element.is_undefined_length = True
                for one in element.value:
                    one.is_undefined_length_sequence_item = True
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = SYNTAXES.get(syntax, JPEGBaseline8Bit)
    ds.file_meta.MediaStorageSOPClassUID = ds.get("SOPClassUID") or "1.2.3"
    ds.file_meta.MediaStorageSOPInstanceUID = ds.get("SOPInstanceUID") or "1.2.3"
    ds.file_meta.ImplementationClassUID = "1.2.3.9"
    ds.file_meta.ImplementationVersionName = "QUIMBLETON"
    ds.file_meta.PrivateInformationCreatorUID = "1.2.3.8"
    ds.file_meta.PrivateInformation = b"Quimbleton"
    ds.preamble = b"Quimbleton Dorothea".ljust(128, b"\1")
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def raw_element(tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
    """Return an explicit VR little endian element, with a false length if wanted."""
    length = len(value) if length is None else length
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    if vr in ("OB", "OW", "SQ", "UN", "UT", "UC", "UR", "OF"):
        return head + struct.pack("<HL", 0, length) + value
    return head + struct.pack("<H", length) + value


def write_raw_zip(path: Path, files: Iterable[bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for number, content in enumerate(files, 1):
            archive.writestr(f"{number:06d}.dcm", content)
    return path


def run(
    tmp_path: Path, files: Iterable[bytes], **options: Any
) -> tuple[StudyDisposition, dict[str, bytes]]:
    """De-identify files and return the disposition with the delivered members."""
    method = options.pop("method", zipfile.ZIP_STORED)
    raw = write_raw_zip(tmp_path / "raw.zip", files, method)
    arguments: dict[str, Any] = {
        "policy": basic_policy(),
        "pseudonyms": Pseudonyms(SECRET),
        "subject_id": SUBJECT,
        **options,
    }
    out = io.BytesIO()
    disposition = deidentify_study(raw, out, **arguments)
    return disposition, delivered(out.getvalue())


def delivered(content: bytes) -> dict[str, bytes]:
    """Return the members of a zip; its checksums are verified in passing."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def clean(tmp_path: Path, ds: Dataset | bytes, syntax: str = "explicit", **options: Any) -> Dataset:
    """De-identify one instance and return what pydicom reads from the output."""
    content = ds if isinstance(ds, bytes) else encode(ds, syntax)
    disposition, members = run(tmp_path, [content], **options)
    assert disposition.delivered == 1, disposition.instances
    return pydicom.dcmread(io.BytesIO(next(iter(members.values()))))
