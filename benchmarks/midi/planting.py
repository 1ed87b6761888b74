"""Planting a study: reading its files, giving them one patient, writing them with their checks.

What belongs here: the order of work, UIDs and character sets, which concern a study as a whole.
What does not: what is planted in one file (the plants), which files are taken (`sources.py`).
"""

from __future__ import annotations

import hashlib
import io
import itertools
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from pydicom import config, dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.multival import MultiValue
from pydicom.uid import UID

from benchmarks.midi import checks as c
from benchmarks.midi.checks import Action, Check, Needle
from benchmarks.midi.people import Person, make_person
from benchmarks.midi.places import Place, Step, at
from benchmarks.midi.plants_headers import plant_acquisition, plant_headers
from benchmarks.midi.plants_nested import plant_content, plant_functional_groups, plant_sequences
from benchmarks.midi.plants_outside import plant_outside
from benchmarks.midi.plants_private import plant_private
from benchmarks.midi.plants_texts import plant_texts
from benchmarks.midi.sheet import Sheet
from benchmarks.midi.sources import Source, StudyFiles

__all__ = ["PlantedFile", "PlantedStudy", "Refused", "pixel_checksum", "plant_all"]

_ROOT = "1.2.826.0.1.3680043.10.9417.7"  # below pydicom's donated root; nobody else's UIDs
#: Checks of references to planted UIDs, at most so many a file: multi-frame images hold thousands.
_REFERENCES = 12
#: Every so many patients one has two studies, which must get the same identity and shift.
_TWO_STUDIES = 4
_PIXEL_DATA = 0x7FE00010
_BIG_ENDIAN = "1.2.840.10008.1.2.2"


@dataclass(frozen=True)
class PlantedFile:
    """One file as an engine gets it, and what is expected of its output.

    Attributes:
        source: where it was made from.
        data: the file.
        patient, study, series, sop: the identity that was planted.
        checks: its part of the answer key.
    """

    source: Source
    data: bytes = field(repr=False)
    patient: str = field(repr=False)
    study: str = field(repr=False)
    series: str = field(repr=False)
    sop: str = field(repr=False)
    checks: tuple[Check, ...] = field(repr=False)


@dataclass(frozen=True)
class PlantedStudy:
    """A study as an engine gets it.

    Attributes:
        files: its files.
        person: its patient.
        needles: what must stand nowhere in its outputs.
    """

    files: tuple[PlantedFile, ...]
    person: Person = field(repr=False)
    needles: tuple[Needle, ...] = field(repr=False)


@dataclass(frozen=True)
class Refused:
    """A file that pydicom can read but not write again; no identifiers were planted in it."""

    path: Path
    why: str


def plant_all(
    studies: Iterable[StudyFiles], seed: int, refused: list[Refused]
) -> Iterator[PlantedStudy]:
    """Plant study after study.

    Args:
        studies: what to plant in.
        seed: the same seed and studies give the same bytes.
        refused: gets the files that cannot be written.
    """
    number = -1
    for index, study in enumerate(studies):
        if index % (_TWO_STUDIES + 1) != _TWO_STUDIES:
            number += 1
        person = make_person(Random(f"{seed}/person/{number}"), number)
        planted = _plant_study(study, person, seed, index, refused)
        if planted.files:
            yield planted


def _plant_study(
    study: StudyFiles, person: Person, seed: int, number: int, refused: list[Refused]
) -> PlantedStudy:
    datasets: list[tuple[Source, FileDataset]] = []
    for source in study.files:
        dataset = _read(source.path, refused)
        if dataset is not None:
            datasets.append((source, dataset))
    uids = _new_uids([dataset for _, dataset in datasets], person, number)
    charset = _charset([dataset for _, dataset in datasets], person)
    files: list[PlantedFile] = []
    needles: dict[Needle, None] = {}
    siblings = [(one.sop_class, uids[str(dataset.SOPInstanceUID)]) for one, dataset in datasets]
    for index, (source, dataset) in enumerate(datasets):
        _set_charset(dataset, charset)
        _replace_uids(dataset, uids)
        _replace_names(dataset, person)
        others = [other for at_, other in enumerate(siblings) if at_ != index]
        # The files of a series draw alike.
        rng = Random(f"{seed}/{number}/{dataset.SeriesInstanceUID}")
        sheet = _plant_file(dataset, person, rng, others, set(uids.values()))
        try:
            data = _write(dataset)
        except Exception as error:
            refused.append(Refused(source.path, type(error).__name__))
            continue
        needles.update(dict.fromkeys(sheet.needles))
        files.append(
            PlantedFile(
                source,
                data,
                person.subject,
                str(dataset.StudyInstanceUID),
                str(dataset.SeriesInstanceUID),
                str(dataset.SOPInstanceUID),
                tuple(dict.fromkeys(sheet.checks)),
            )
        )
    return PlantedStudy(tuple(files), person, tuple(needles))


def _plant_file(
    dataset: FileDataset,
    person: Person,
    rng: Random,
    others: Sequence[tuple[str, str]],
    uids: Collection[str],
) -> Sheet:
    sheet = Sheet(dataset, person, rng)
    plant_acquisition(sheet)
    plant_headers(sheet)
    plant_texts(sheet)
    plant_functional_groups(sheet)
    plant_content(sheet)
    plant_sequences(sheet, others)
    plant_private(sheet)
    plant_outside(sheet)
    references = list(_references(dataset, (), uids))
    nested = [one for one in references if len(one[0]) > 1]
    for place, uid in [one for one in references if len(one[0]) == 1] + nested[:_REFERENCES]:
        sheet.uid(place, uid)
    doctor = person.values["doctor_pn"]
    for place, element in _names(dataset, ()):
        if str(element.value) == doctor.text:
            sheet.removed(place, doctor, "PN")
    if _PIXEL_DATA in dataset:
        sheet.check((Step(_PIXEL_DATA),), Action.PIXELS_RETAINED, pixel_checksum(dataset), c.PIXELS)
    return sheet


def pixel_checksum(dataset: FileDataset) -> str:
    """Return the MD5 of Pixel Data's value, 16-bit samples in little endian.

    So a change of byte order does not count as a change of pixels; a change of compression does.
    """
    pixels = bytes(dataset[_PIXEL_DATA].value)
    pixels += b"\0" * (len(pixels) % 2)  # as it is written
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    if syntax == _BIG_ENDIAN and dataset[_PIXEL_DATA].VR == "OW":
        swapped = bytearray(len(pixels))
        swapped[::2], swapped[1::2] = pixels[1::2], pixels[::2]
        pixels = bytes(swapped)
    return hashlib.md5(pixels).hexdigest()


def _read(path: Path, refused: list[Refused]) -> FileDataset | None:
    """Read a file whole, so that what cannot be decoded fails here, and text can be re-encoded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = dcmread(path)
            for _ in dataset.iterall():
                pass
        except Exception as error:  # damaged in one of a hundred ways, some on purpose
            refused.append(Refused(path, type(error).__name__))
            return None
    return dataset


def _write(dataset: FileDataset) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _new_uids(datasets: Sequence[FileDataset], person: Person, number: int) -> Mapping[str, str]:
    """Return original UID -> a UID that embeds the patient's number and day, as some makers do."""
    day, mrn = person.values["exam8"].text, person.values["mrn"].text
    uids: dict[str, str] = {}
    counter = itertools.count(1)

    def give(original: object, form: str) -> None:
        if original and str(original) not in uids:
            uids[str(original)] = f"{_ROOT}.{number}.{form}.{next(counter)}"

    for dataset in datasets:
        give(dataset.StudyInstanceUID, f"1.{day}.{mrn}")
        give(dataset.SeriesInstanceUID, f"2.{day}101502.{mrn}")
        give(dataset.SOPInstanceUID, f"3.{mrn}.{day}101502")
        give(dataset.get("FrameOfReferenceUID"), f"4.{day}.{mrn}")
    return uids


def _replace_uids(dataset: FileDataset, uids: Mapping[str, str]) -> None:
    """Replace the UIDs of the study's instances wherever they stand, private elements included."""
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(uids[str(dataset.SOPInstanceUID)])
    for element in dataset.iterall():
        if element.VR == "UI" and str(element.value) in uids:
            element.value = uids[str(element.value)]


def _references(
    dataset: Dataset, sequences: Place, uids: Collection[str]
) -> Iterator[tuple[Place, str]]:
    """Yield where planted UIDs stand, private elements left out."""
    for element in dataset:
        if element.tag.is_private:
            continue
        if element.VR == "SQ":
            for index, item in enumerate(element.value):
                yield from _references(item, at(sequences, int(element.tag), index), uids)
        elif element.VR == "UI" and str(element.value) in uids:
            yield (*sequences, Step(int(element.tag))), str(element.value)


def _replace_names(dataset: Dataset, person: Person) -> None:
    """Put a planted name into the place of every name that the file came with.

    Some makers write the name of a machine where a person's should stand, which an engine then
    rightly removes from everywhere.
    """
    names = [element for _, element in _names(dataset, ()) if element.value]
    for element in dataset.iterall():
        if element.VR == "PN":
            element.value = ""  # in private elements for good
    for element in names:
        element.value = person.values["doctor_pn"].text


def _names(dataset: Dataset, sequences: Place) -> Iterator[tuple[Place, DataElement]]:
    """Yield every person's name and where it stands, private elements left out."""
    for element in dataset:
        if element.tag.is_private:
            continue
        if element.VR == "SQ":
            for index, item in enumerate(element.value):
                yield from _names(item, at(sequences, int(element.tag), index))
        elif element.VR == "PN":
            yield (*sequences, Step(int(element.tag))), element


def _charset(datasets: Sequence[Dataset], person: Person) -> str | list[str]:
    """Return the character set of a study: UTF-8 where its files hold more than ASCII already."""
    for dataset in datasets:
        for element in dataset.iterall():
            value = element.value
            values = value if isinstance(value, MultiValue) else [value]
            for one in values:
                if element.VR != "SQ" and not isinstance(one, bytes) and not str(one).isascii():
                    return "ISO_IR 192"
    return person.charset


def _set_charset(dataset: Dataset, charset: str | list[str]) -> None:
    """Declare the character set, in items that have one of their own as well."""
    dataset.SpecificCharacterSet = charset
    for element in dataset.iterall():
        if element.VR == "SQ":
            for item in element.value:
                if "SpecificCharacterSet" in item:
                    item.SpecificCharacterSet = charset
