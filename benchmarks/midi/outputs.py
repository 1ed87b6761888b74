"""Reading what an engine has written.

What belongs here: from the bytes of an output to elements, by pydicom alone. What does not:
judging them (`scoring.py`), searching the bytes (`leaks.py`).
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable

from pydicom import config, dcmread
from pydicom.dataelem import DataElement

from benchmarks.midi.answer_key import Maps
from benchmarks.midi.places import PREAMBLE, Place, find, text_of
from benchmarks.midi.planting import PlantedFile, pixel_checksum

__all__ = ["Output", "UnreadableOutputError", "claimed_maps"]

_PIXEL_DATA = 0x7FE00010


class UnreadableOutputError(Exception):
    """pydicom cannot read an output, or a value in it."""


class Output:
    """One file that an engine has written.

    Raises:
        UnreadableOutputError: pydicom cannot read it.
    """

    def __init__(self, data: bytes) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                self.dataset = dcmread(io.BytesIO(data))
            except Exception as error:
                raise UnreadableOutputError from error
        self._preamble = data[:128] if data[128:132] == b"DICM" else b""

    def element(self, place: Place) -> DataElement | None:
        """Return the element at a place that is not the preamble, None where there is none.

        Raises:
            UnreadableOutputError: it is there and cannot be read.
        """
        meta = place[0].tag >> 16 == 0x0002
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            try:
                return find(self.dataset.file_meta if meta else self.dataset, place)
            except Exception as error:
                raise UnreadableOutputError from error

    def text(self, place: Place, vr: str = "") -> str | None:
        """Return a value as text, None where there is no element.

        Raises:
            UnreadableOutputError: it is there and cannot be read.
        """
        if place == PREAMBLE:
            return self._preamble.rstrip(b"\0").decode("latin-1")
        element = self.element(place)
        return None if element is None else text_of(element, vr)

    def pixels(self) -> str:
        """Return the checksum of Pixel Data, "" where there is none."""
        return pixel_checksum(self.dataset) if _PIXEL_DATA in self.dataset else ""

    def identity(self, keyword: str) -> str:
        """Return a top-level identity such as Patient ID, "" where there is none."""
        return str(self.dataset.get(keyword, "") or "")


def claimed_maps(pairs: Iterable[tuple[PlantedFile, bytes]]) -> Maps:
    """Return the maps that an engine's outputs imply.

    The first file that has an identity decides; the scorer finds the files that differ from it.
    """
    uids: dict[str, str] = {}
    patients: dict[str, str] = {}
    for file, data in pairs:
        try:
            output = Output(data)
        except UnreadableOutputError:
            continue
        for keyword, original, known in (
            ("StudyInstanceUID", file.study, uids),
            ("SeriesInstanceUID", file.series, uids),
            ("SOPInstanceUID", file.sop, uids),
            ("PatientID", file.patient, patients),
        ):
            new = output.identity(keyword)
            if new:
                known.setdefault(original, new)
    return Maps(uids, patients)
