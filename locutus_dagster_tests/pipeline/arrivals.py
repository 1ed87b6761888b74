"""Files that come into the demo's PACS for the time of a test.

What belongs here: adding one and taking it out again. What does not: what is expected of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pydicom
from pydicom.uid import generate_uid

from locutus_dagster.demo.pacs import DemoPacs

__all__ = ["leaky_instance"]


@contextmanager
def leaky_instance(pacs: DemoPacs, accession_number: str) -> Iterator[None]:
    """One more instance of a study, which names its patient where the Basic Profile keeps text."""
    first = min(pacs.root.glob(f"*/{accession_number}_*/**/*.dcm"))
    dataset = pydicom.dcmread(first)
    family, given = str(dataset.PatientName).split("^")[:2]
    dataset.SoftwareVersions = f"console of {given} {family}"
    dataset.SOPInstanceUID = generate_uid()
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    path = pacs.root / "leaky.dcm"
    dataset.save_as(path)
    try:
        yield
    finally:
        path.unlink()
