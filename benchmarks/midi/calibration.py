"""Engines so simple that their scores are known beforehand: they calibrate the scorer.

What belongs here: such engines. What does not: the one to measure (`locutus_engine.py`).

- identity copies: everything stays, all identifiers too.
- delete-all leaves pixel data and new mandatory UIDs: no identifier is left, and nothing of use.
- correct knows the answer key and does what it says: it shows that the key can be met.
- wrong-map is the correct one with a map of identities that tells lies.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from pydicom import config, dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset

from benchmarks.midi.answer_key import Maps
from benchmarks.midi.checks import Action, Check
from benchmarks.midi.engines import Engine, Written
from benchmarks.midi.places import PREAMBLE, Place, Step, find
from benchmarks.midi.planting import PlantedFile, PlantedStudy

__all__ = ["CALIBRATION", "Correct", "DeleteAll", "Identity", "WrongMap"]

_LEFT = (0x00080016, 0x7FE00008, 0x7FE00009, 0x7FE00010)
_SHIFT = timedelta(days=1000)


class Identity(Engine):
    """Copies."""

    name = "identity"

    def run(self, study: PlantedStudy) -> list[Written]:
        return [Written(file.data) for file in study.files]


class DeleteAll(Engine):
    """Leaves pixel data, SOP class and new UIDs."""

    name = "delete-all"

    def run(self, study: PlantedStudy) -> list[Written]:
        return [Written(self._file(file)) for file in study.files]

    def _file(self, file: PlantedFile) -> bytes:
        dataset = _read(file.data)
        dataset.file_meta, dataset.preamble = _meta(dataset), bytes(128)
        for tag in list(dataset.keys()):
            if tag not in _LEFT:
                del dataset[tag]
        dataset.StudyInstanceUID = _new_uid(file.study)
        dataset.SeriesInstanceUID = _new_uid(file.series)
        dataset.SOPInstanceUID = _new_uid(file.sop)
        return _write(dataset)


class Correct(Engine):
    """Does what the answer key demands, at the places that it names."""

    name = "correct"

    def __init__(self) -> None:
        self._subjects: dict[str, str] = {}

    def run(self, study: PlantedStudy) -> list[Written]:
        patient = study.person.subject
        subject = self._subjects.setdefault(patient, f"SUBJECT{len(self._subjects) + 1}")
        uids = {uid for file in study.files for uid in (file.study, file.series, file.sop)}
        return [Written(self._file(file, subject, uids)) for file in study.files]

    def _file(self, file: PlantedFile, subject: str, uids: set[str]) -> bytes:
        dataset = _read(file.data)
        dataset.file_meta = _meta(dataset)
        dataset.preamble = bytes(128)
        places: dict[Place, list[Check]] = defaultdict(list)
        for check in file.checks:
            places[check.place].append(check)
            if check.action is Action.UID_CHANGED:
                uids.add(check.text)
        for place, checks in places.items():
            if place != PREAMBLE and place[0].tag >> 16 != 0x0002:
                self._correct(dataset, place, checks, subject)
        _map_uids(dataset, uids)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        return _write(dataset)

    def _correct(
        self, dataset: Dataset, place: Place, checks: Sequence[Check], subject: str
    ) -> None:
        element = find(dataset, place)
        texts = {check.action: check.text for check in checks}
        if element is None:
            raise ValueError("the key names an element that is not there")
        if Action.PATID_CONSISTENT in texts:
            element.value = subject
        elif Action.DATE_SHIFTED in texts:
            element.value = _shifted(str(element.value))
        elif Action.TEXT_REMOVED in texts:
            kept = [check.text for check in checks if check.action is Action.TEXT_RETAINED]
            if kept or Action.TAG_RETAINED in texts:
                element.value = " ".join(kept)
            else:
                _delete(dataset, place)


class WrongMap(Correct):
    """Works correctly, and lies about what identities became."""

    name = "wrong-map"

    def maps(self, pairs: Iterable[tuple[PlantedFile, bytes]]) -> Maps:
        true = super().maps(pairs)
        return Maps(
            {old: f"{new}.1" for old, new in true.uids.items()},
            {old: f"{new}X" for old, new in true.patients.items()},
        )


#: The engines whose scores are known beforehand, by name.
CALIBRATION = {one.name: one for one in (Identity, DeleteAll, Correct, WrongMap)}


def _read(data: bytes) -> FileDataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dcmread(io.BytesIO(data))
        for _ in dataset.iterall():
            pass
    return dataset


def _write(dataset: FileDataset) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _meta(dataset: FileDataset) -> FileMetaDataset:
    """Return new file meta information with the transfer syntax alone."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    return meta


def _new_uid(old: str) -> str:
    return f"2.25.{int.from_bytes(hashlib.sha256(old.encode()).digest()[:15], 'big')}"


def _map_uids(dataset: Dataset, uids: set[str]) -> None:
    for element in dataset.iterall():
        if element.VR == "UI" and str(element.value) in uids:
            element.value = _new_uid(str(element.value))


def _shifted(text: str) -> str:
    day = date(int(text[:4]), int(text[4:6]), int(text[6:8])) - _SHIFT
    return f"{day:%Y%m%d}{text[8:]}"


def _delete(dataset: Dataset, place: Place) -> None:
    element = find(dataset, place)
    for step in place[:-1]:
        sequence = find(dataset, (Step(step.tag, step.creator),))
        assert sequence is not None
        assert step.item is not None
        dataset = sequence.value[step.item]
    if element is not None:
        del dataset[element.tag]
