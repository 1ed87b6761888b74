"""Instances to fill sources with, and a sink to empty them into.

What belongs here: making DICOM files whose identifiers a test can search for, collecting what a
source hands over, and searching errors and logs for identifiers.
"""

from __future__ import annotations

import hashlib
import io
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
PYDICOM_FILES = Path(str(get_testdata_file("CT_small.dcm"))).parent

PATIENT_NAME = "VANTONGEREN^ODILIA"
PATIENT_ID = "MRN7740213"
ROOT_UID = "1.2.826.0.1.3680043.10.9999"


@cache
def _ct_small() -> Dataset:
    return pydicom.dcmread(PYDICOM_FILES / "CT_small.dcm")


def instance(
    accession: str | None,
    *,
    study: str = "1",
    series: int = 1,
    number: int = 1,
    pixels: int | None = None,
    changes: Mapping[str, str | None] | None = None,
) -> bytes:
    """One CT instance; `pixels` overrides the length of its pixel data.

    `changes` are attributes by keyword, which get another value or, with None, go.
    """
    dataset = deepcopy(_ct_small())
    dataset.PatientName = PATIENT_NAME
    dataset.PatientID = PATIENT_ID
    if accession is None:
        dataset.pop("AccessionNumber", None)
    else:
        dataset.AccessionNumber = accession
    dataset.StudyInstanceUID = f"{ROOT_UID}.{study}"
    dataset.SeriesInstanceUID = f"{ROOT_UID}.{study}.{series}"
    dataset.SOPInstanceUID = f"{ROOT_UID}.{study}.{series}.{number}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.InstanceNumber = str(number)
    if pixels is not None:
        dataset.PixelData = (hashlib.sha256(str(number).encode()).digest() * (pixels // 32 + 1))[
            :pixels
        ]
    for keyword, value in (changes or {}).items():
        if value is None:
            dataset.pop(keyword, None)
        else:
            setattr(dataset, keyword, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def study_of(accession: str, count: int, *, study: str = "1") -> list[bytes]:
    """Several instances of one study, in the order of their UIDs."""
    made = [instance(accession, study=study, number=number) for number in range(1, count + 1)]
    return sorted(made, key=lambda data: pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID)


def digests(instances: Iterable[bytes]) -> list[str]:
    return [hashlib.sha256(data).hexdigest() for data in instances]


class CollectingSink:
    """Keeps what it is given; `on_instance` is called after each with their number so far."""

    def __init__(self, on_instance: Callable[[int], None] = lambda number: None) -> None:
        self.instances: list[bytes] = []
        self._on_instance = on_instance
        self._lock = threading.Lock()

    def add(self, data: bytes | Iterable[bytes]) -> None:
        with self._lock:
            self.instances.append(data if isinstance(data, bytes) else b"".join(data))
            self._on_instance(len(self.instances))


class MeasuringSink:
    """Keeps only the length and the digest of each instance, and of the largest chunk."""

    def __init__(self) -> None:
        self.digests: list[str] = []
        self.largest_chunk = 0
        self.size = 0

    def add(self, data: bytes | Iterable[bytes]) -> None:
        digest = hashlib.sha256()
        for chunk in (data,) if isinstance(data, bytes) else data:
            digest.update(chunk)
            self.size += len(chunk)
            self.largest_chunk = max(self.largest_chunk, len(chunk))
        self.digests.append(digest.hexdigest())


def everything_said(error: BaseException) -> str:
    """All that printing, representing or serialising an error could bring to light."""
    said: list[str] = []
    pending: list[BaseException | None] = [error]
    while pending:
        one = pending.pop()
        if one is not None:
            said += [str(one), repr(one), repr(one.args), *traceback.format_exception(one)]
            pending += [one.__cause__, one.__context__]
    return "\n".join(said)
