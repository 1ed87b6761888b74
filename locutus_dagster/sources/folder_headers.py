"""What one file of a folder says about the study it belongs to, and about itself.

What belongs here: reading the few elements that attribute a file and that an overview counts, out
of whole, cut and odd files alike, without a word in any log. What does not: remembering them
(`folder_index.py`).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from locutus_dagster.sources.accession import unpadded

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

__all__ = [
    "DAMAGED",
    "DICOM",
    "DICOMDIR",
    "OTHER",
    "UNREADABLE",
    "ZIP",
    "Header",
    "read_header",
    "silent_pydicom",
]

DICOM = "dicom"
"""A file with a study UID or an accession number."""
DICOMDIR = "dicomdir"
"""A directory of other files, which are found by themselves."""
DAMAGED = "damaged"
"""A file that says it is DICOM but cannot be attributed to any study."""
OTHER = "other"
"""Not DICOM at all."""
ZIP = "zip"
"""A zip file, whose members have rows of their own."""
UNREADABLE = "unreadable"
"""What could not be opened, or not be looked into: a file, a folder, a zip file or its member."""

_SOP_CLASS_UID = 0x00080016
_SOP_INSTANCE_UID = 0x00080018
_ACCESSION_NUMBER = 0x00080050
_MODALITY = 0x00080060
_PATIENT_ID = 0x00100020
_STUDY_INSTANCE_UID = 0x0020000D
_SERIES_INSTANCE_UID = 0x0020000E
_WANTED = (
    _SOP_CLASS_UID,
    _SOP_INSTANCE_UID,
    _ACCESSION_NUMBER,
    _MODALITY,
    _PATIENT_ID,
    _STUDY_INSTANCE_UID,
    _SERIES_INSTANCE_UID,
)
_MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
_BARE_STARTS = (b"\x02\0", b"\x08\0", b"\0\x08")
"""How a data set without preamble begins: group 0002 or 0008, in either byte order."""


@dataclass(frozen=True)
class Header:
    """What one file says; "" stands for what it does not.

    Attributes:
        kind: one of this module's constants.
        accession: attributes the file, as `study_uid` and `sop_uid` do.
        study_uid: see `accession`.
        sop_uid: see `accession`.
        series_uid: for an overview, as all that follows.
        sop_class: SOP Class UID of the data set.
        modality: in upper case.
        patient_id: as it stands in the file, padding included.
    """

    kind: str
    accession: str = field(default="", repr=False)
    study_uid: str = field(default="", repr=False)
    sop_uid: str = field(default="", repr=False)
    series_uid: str = field(default="", repr=False)
    sop_class: str = ""
    modality: str = ""
    patient_id: bytes = field(default=b"", repr=False)


def read_header(file: BinaryIO) -> Header:
    """Read what a file says, as far as it can be read.

    Reading stops behind the Series Instance UID, so that a file cut in its pixel data, or anywhere
    else behind the Study Instance UID, still is attributed: withholding it, visibly, is for the
    de-identification engine. If the elements are not where they should be, the whole header is
    searched.
    """
    start = file.read(132)
    marked = start[128:132] == b"DICM"
    unknown = Header(DAMAGED if marked else OTHER)
    if not marked and start[:2] not in _BARE_STARTS:
        return unknown
    header = unknown
    with silent_pydicom():
        for whole in (False, True):
            file.seek(0)
            try:
                header = _header_of(_parse(file, whole), unknown)
            except Exception:  # noqa: BLE001 - a damaged file may make the parser raise anything
                return unknown
            if header.kind == DICOMDIR or (header.accession and header.study_uid):
                break
    return header


def _parse(file: BinaryIO, whole: bool) -> FileDataset:
    import pydicom
    from pydicom.filereader import read_partial

    tags: list[int] = [*_WANTED]
    if whole:
        return pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=[*tags])
    return read_partial(
        file,
        stop_when=lambda tag, vr, length: tag > _SERIES_INSTANCE_UID,
        force=True,
        specific_tags=[*tags],
    )


def _header_of(dataset: FileDataset, unknown: Header) -> Header:
    if str(dataset.file_meta.get("MediaStorageSOPClassUID", "")) == _MEDIA_STORAGE_DIRECTORY:
        return Header(DICOMDIR)
    series_uid, sop_class, modality, patient_id = (
        _bytes(dataset, tag)
        for tag in (_SERIES_INSTANCE_UID, _SOP_CLASS_UID, _MODALITY, _PATIENT_ID)
    )
    accession = _text(dataset, _ACCESSION_NUMBER)
    study_uid = _text(dataset, _STUDY_INSTANCE_UID)
    if not accession and not study_uid:
        return unknown
    return Header(
        DICOM,
        accession,
        study_uid,
        _text(dataset, _SOP_INSTANCE_UID),
        unpadded(series_uid.decode("ascii", "replace")),
        unpadded(sop_class.decode("ascii", "replace")),
        unpadded(modality.decode("ascii", "replace")).upper(),
        patient_id,
    )


def _bytes(dataset: FileDataset, tag: int) -> bytes:
    """A value as it stands in the file; what serves an overview only must not fail to be read."""
    element = dataset.get_item(tag)
    value = None if element is None else element.value
    return value if isinstance(value, bytes) else b""


def _text(dataset: FileDataset, tag: int) -> str:
    element = dataset.get(tag)
    if element is None or element.value is None:
        return ""
    value = element.value
    return unpadded(value if isinstance(value, str) else "\\".join(map(str, value)))


@contextmanager
def silent_pydicom() -> Iterator[None]:
    """Let pydicom neither warn nor log: both may quote a value or a file name."""
    from pydicom import config

    logger = logging.getLogger("pydicom")
    logger.addFilter(_nothing)
    try:
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.removeFilter(_nothing)


def _nothing(_record: logging.LogRecord) -> bool:
    return False
