"""The demo's research PACS: a folder of real DICOM files that carry invented identifiers.

What belongs here: making the folder and its manifest out of the files in pydicom's wheel, and
saying what was planted, so that a demo or a test can search outputs for it. Identifiers are
planted only where PS3.15's Basic Profile does something about them: at top level, nested, in
private elements, in the file meta information, and in one preamble.
What does not: the cast (`cast.py`), and whatever processes the PACS.

The files are the same bytes on every build; nothing is downloaded.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import struct
import uuid
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path

from pydicom import FileDataset, dcmread
from pydicom.dataset import Dataset, FileMetaDataset, PrivateBlock
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    MRImageStorage,
    UltrasoundMultiFrameImageStorage,
)

from locutus_dagster.demo.cast import (
    DAMAGED_ACCESSION,
    MISSING_ACCESSION,
    RESIDUE_STUDY,
    SITE,
    STUDIES,
    WITHHELD_ACCESSION,
    Series,
    Study,
)
from locutus_dagster.errors import LocutusError

__all__ = ["MANIFEST_HEADER", "DemoError", "DemoPacs", "build_demo_pacs"]

MANIFEST_HEADER = (
    "SUBJECT_ID",
    "IMAGING_TYPE",
    "AGE_AT_IMAGING_(DAYS)",
    "ANATOMICAL_POSITION",
    "ACCESSION_NUM",
    "DEID_QC_STATUS",
    "locutus_manifest_ver:locutus.onprem_dicom_deid_qc.2021march15",
)
PRIVATE_CREATOR = "INVENTED PACS 1.0"

_MARKER = ".locutus-demo"
_NAMESPACE = uuid.UUID("6f2d9a0e-5a1c-4c1b-9d5e-4c0c7574d5e0")
_MISSING_ROW = ("C900110", "CT", 4021, "sinuses")
_MISSING_ROW_PLACE = 3
# A region that Basic keeps as a sequence; what is planted inside its item must still go.
_REGIONS = {
    "CHEST": ("51185008", "Chest"),
    "HEAD": ("69536005", "Head"),
    "CSPINE": ("122494005", "Cervical spine"),
    "HEART": ("80891009", "Heart"),
    "ABDOMEN": ("818981001", "Abdomen"),
    "WHOLEBODY": ("38266002", "Entire body"),
}
_REFERRED_TO_CLASS = {
    "CT": CTImageStorage,
    "MR": MRImageStorage,
    "CR": ComputedRadiographyImageStorage,
}


# Detached Study Management, retired, and still what Referenced Study Sequence refers to.
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"


class DemoError(LocutusError):
    """The demo's PACS could not be built."""


@dataclass(frozen=True)
class DemoPacs:
    """A built demo PACS.

    Attributes:
        root: the folder of DICOM files.
        manifest: the CSV file that asks for its studies.
        accessions: the manifest's accession numbers in its order, the missing and the damaged
            one included.
        missing_accession: the one that the PACS does not have.
        damaged_accession: the one whose study holds a file cut in the middle of its pixel data.
        invented_identifiers: every invented identifying string in the PACS: names and their
            parts, numbers, dates of birth, people, places, UIDs. None may leave the engine.
        withheld_accession: the one whose study holds instances that must be withheld.
        residue_accession: the one whose study must be blocked by the residue gate, if asked for.
    """

    root: Path
    manifest: Path
    accessions: tuple[str, ...]
    missing_accession: str
    damaged_accession: str
    invented_identifiers: tuple[str, ...] = field(repr=False)
    withheld_accession: str = WITHHELD_ACCESSION
    residue_accession: str | None = None


def build_demo_pacs(folder: Path, *, with_residue: bool = False) -> DemoPacs:
    """Build the demo's PACS as `folder/pacs` and its manifest as `folder/manifest.csv`.

    Building again replaces what an earlier build left, and nothing else.

    Args:
        folder: where to build; created if it does not exist.
        with_residue: add a study that names its patient in an attribute that the Basic Profile
            keeps, so that only the residue gate stands between it and a share.

    Raises:
        DemoError: `folder` holds a `pacs` or a manifest that no demo built, or pydicom's wheel
            came without its test files.
    """
    root, manifest, marker = folder / "pacs", folder / "manifest.csv", folder / _MARKER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    strangers = any(os.path.lexists(path) for path in (root, manifest))
    if strangers and (root.is_symlink() or manifest.is_symlink() or not marker.is_file()):
        raise DemoError(
            "The folder already holds a PACS or a manifest that the demo did not build.",
            "Name an empty folder for the demo.",
        )
    _write(marker, b"Built by `locutus demo`; a further build replaces pacs/ and manifest.csv.\n")
    if root.is_dir():
        shutil.rmtree(root)
    root.mkdir(mode=0o700)

    studies = (*STUDIES, RESIDUE_STUDY) if with_residue else STUDIES
    planted = _Planted()
    for study in studies:
        _StudyBuilder(study, planted, residue=study is RESIDUE_STUDY).write(root)
    _write(manifest, _manifest(studies))

    accessions = [study.accession for study in studies]
    accessions.insert(_MISSING_ROW_PLACE, MISSING_ACCESSION)
    return DemoPacs(
        root=root,
        manifest=manifest,
        accessions=tuple(accessions),
        missing_accession=MISSING_ACCESSION,
        damaged_accession=DAMAGED_ACCESSION,
        invented_identifiers=planted.all(),
        residue_accession=RESIDUE_STUDY.accession if with_residue else None,
    )


class _Planted:
    """Notes every identifier at the moment it is planted, so that the list cannot fall behind."""

    def __init__(self) -> None:
        self._seen: dict[str, None] = {}

    def __call__(self, value: str) -> str:
        """Note `value` as one identifier."""
        self._seen[value] = None
        return value

    def name(self, value: str) -> str:
        """Note a person's name: each component group, and each component but titles."""
        for group in value.split("="):
            self(group.rstrip("^"))
            for part in group.split("^"):
                if len(part.encode()) > 3:
                    self(part)
        return value

    def uid(self, *key: object) -> str:
        """Make the invented UID of `key`; the same key gives the same UID on every build."""
        text = "/".join(str(part) for part in key)
        return self(f"2.25.{uuid.uuid5(_NAMESPACE, text).int}")

    def all(self) -> tuple[str, ...]:
        return tuple(self._seen)


class _StudyBuilder:
    """Writes one study's files."""

    def __init__(self, study: Study, planted: _Planted, *, residue: bool) -> None:
        self._study = study
        self._patient = study.patient
        self._planted = planted
        self._residue = residue

    def write(self, root: Path) -> None:
        study = self._study
        kind = study.imaging_type.split()[0].upper()
        here = root / study.patient.folder / f"{study.accession}_{kind}"
        for number, series in enumerate(study.series, start=1):
            folder = here / f"S{number:02d}_{series.modality}"
            for part in (here.parent, here, folder):
                part.mkdir(mode=0o700, exist_ok=True)
            for instance in range(1, series.instances + 1):
                data = self._instance(series, number, instance)
                if (study.accession, number, instance) == (DAMAGED_ACCESSION, 1, 3):
                    data = _cut_in_pixel_data(data)
                _write(folder / f"IM{instance:06d}.dcm", data)

    def _instance(self, series: Series, number: int, instance: int) -> bytes:
        dataset = _source(series.sources[(instance - 1) % len(series.sources)])
        # Some of the wheel's files say that they were de-identified; a research PACS's do not.
        for keyword in ("PatientIdentityRemoved", "DeidentificationMethod"):
            if keyword in dataset:
                del dataset[keyword]
        self._set_charset(dataset)
        self._set_place_in_study(dataset, series, number, instance)
        self._plant_patient(dataset)
        self._plant_visit(dataset, series)
        self._plant_nested(dataset, series, number)
        self._plant_private(dataset)
        if series.modality == "SR":
            self._plant_report(dataset)
        if self._residue:
            self._plant_residue(dataset)
        dataset.file_meta = self._file_meta(dataset)
        # `dcmread` keeps the preamble of the source; one file here hides a name in it.
        dataset.preamble = bytes(128)
        if (series.modality, number, instance) == ("CR", 1, 1):
            hidden = f"RAW {self._patient.patient_id} {self._patient.name}"
            dataset.preamble = hidden.encode("ascii").ljust(128, b"\0")
        buffer = io.BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        return buffer.getvalue()

    def _set_charset(self, dataset: FileDataset) -> None:
        if self._patient.charset:
            dataset.SpecificCharacterSet = list(self._patient.charset)
        elif "SpecificCharacterSet" in dataset:
            del dataset.SpecificCharacterSet

    def _set_place_in_study(
        self, dataset: FileDataset, series: Series, number: int, instance: int
    ) -> None:
        study, planted = self._study, self._planted
        dataset.Modality = series.modality
        dataset.StudyInstanceUID = self._study_uid()
        dataset.SeriesInstanceUID = planted.uid(study.accession, number)
        dataset.SOPInstanceUID = self._sop_uid(number, instance)
        dataset.InstanceCreatorUID = planted.uid(study.station)
        dataset.SeriesNumber = number
        dataset.InstanceNumber = instance
        dataset.AccessionNumber = planted(study.accession)
        dataset.StudyID = planted(f"SQ-{study.subject_id[-3:]}-{study.accession[-4:]}")
        if series.burned_in:
            dataset.BurnedInAnnotation = series.burned_in
        if series.modality != "SR":
            dataset.BodyPartExamined = study.body_part
        if "FrameOfReferenceUID" in dataset or "ImagePositionPatient" in dataset:
            dataset.FrameOfReferenceUID = planted.uid(study.accession, "frame of reference")
        if "ImagePositionPatient" in dataset:
            x, y, z = (float(value) for value in dataset.ImagePositionPatient)
            z += 5.0 * (instance - 1)
            dataset.ImagePositionPatient = [f"{x:.4f}", f"{y:.4f}", f"{z:.4f}"]
            dataset.SliceLocation = f"{z:.4f}"

        day = study.day.strftime("%Y%m%d")
        for keyword in (
            "StudyDate",
            "SeriesDate",
            "AcquisitionDate",
            "ContentDate",
            "InstanceCreationDate",
            "PerformedProcedureStepStartDate",
        ):
            setattr(dataset, keyword, day)
        dataset.StudyTime = "081500"
        dataset.SeriesTime = f"08{15 + 5 * number:02d}00"
        for keyword in (
            "AcquisitionTime",
            "ContentTime",
            "InstanceCreationTime",
            "PerformedProcedureStepStartTime",
        ):
            setattr(dataset, keyword, f"08{15 + 5 * number:02d}{7 * instance:02d}")

    def _study_uid(self) -> str:
        return self._planted.uid(self._study.accession)

    def _sop_uid(self, number: int, instance: int) -> str:
        return self._planted.uid(self._study.accession, number, instance)

    def _plant_patient(self, dataset: FileDataset) -> None:
        patient, planted = self._patient, self._planted
        dataset.PatientName = planted.name(patient.name)
        dataset.PatientID = planted(patient.patient_id)
        dataset.IssuerOfPatientID = planted(f"{SITE.institution} MPI")
        dataset.PatientBirthDate = planted(patient.birth_date.strftime("%Y%m%d"))
        dataset.PatientSex = patient.sex
        dataset.PatientAge = _age(patient.birth_date, self._study.day)
        dataset.OtherPatientIDs = [planted(value) for value in patient.other_ids]
        dataset.OtherPatientNames = planted.name(patient.birth_name)
        dataset.PatientBirthName = planted.name(patient.birth_name)
        dataset.PatientMotherBirthName = planted.name(patient.mother)
        dataset.PatientAddress = planted(patient.address)
        dataset.PatientTelephoneNumbers = planted(patient.phone)
        dataset.Occupation = planted(patient.occupation)
        dataset.MilitaryRank = planted(patient.rank)
        dataset.InsurancePlanIdentification = planted(SITE.insurer)
        dataset.MedicalRecordLocator = planted(f"SHELF-{patient.patient_id[-5:]}-B")
        dataset.ResponsiblePerson = planted.name(patient.mother)
        dataset.PatientComments = (
            f"{_spoken(patient.mother)} asks to be called at {patient.phone}; "
            f"lives at {patient.address}."
        )
        dataset.AdditionalPatientHistory = f"{_spoken(patient.name)}, {patient.occupation}."

    def _plant_visit(self, dataset: FileDataset, series: Series) -> None:
        study, patient, planted = self._study, self._patient, self._planted
        dataset.InstitutionName = planted(SITE.institution)
        dataset.InstitutionAddress = planted(SITE.address)
        dataset.InstitutionalDepartmentName = planted(SITE.department)
        dataset.StationName = planted(study.station)
        dataset.DeviceSerialNumber = planted(f"SN-{study.station}-40417")
        dataset.ReferringPhysicianName = planted.name(SITE.referring)
        dataset.ReferringPhysicianTelephoneNumbers = planted(SITE.referring_phone)
        dataset.PerformingPhysicianName = planted.name(SITE.performing)
        dataset.NameOfPhysiciansReadingStudy = planted.name(SITE.reading)
        dataset.OperatorsName = planted.name(SITE.operator)
        dataset.RequestingPhysician = planted.name(SITE.requesting)
        dataset.AdmissionID = planted(f"ADM-{patient.patient_id[-5:]}-24")
        dataset.CurrentPatientLocation = planted(SITE.ward)
        dataset.PerformedProcedureStepID = planted(f"PPS-{patient.patient_id[-5:]}-1")
        # Free text, as people write it: the identifiers stand in the middle of a sentence.
        who = _spoken(patient.name)
        what = f"{study.imaging_type} {study.anatomy}"
        dataset.StudyDescription = f"{what} for {who}"[:64]
        dataset.SeriesDescription = f"{series.description}, {patient.patient_id}"
        dataset.ProtocolName = f"{series.description} by {_spoken(SITE.operator)}"
        dataset.RequestedProcedureDescription = f"{what}, {patient.patient_id}"
        dataset.ReasonForStudy = f"Asked for by {_spoken(SITE.requesting)}"
        dataset.ImageComments = f"{who} ({patient.patient_id}) moved during this one"
        dataset.DerivationDescription = f"Made on {study.station} by {_spoken(SITE.operator)}"

    def _plant_nested(self, dataset: FileDataset, series: Series, number: int) -> None:
        study, patient, planted = self._study, self._patient, self._planted
        other_ids = []
        for value in patient.other_ids:
            item = Dataset()
            item.PatientID = planted(value)
            item.IssuerOfPatientID = planted(f"{SITE.institution} MPI")
            item.TypeOfPatientID = "TEXT"
            other_ids.append(item)
        dataset.OtherPatientIDsSequence = Sequence(other_ids)

        referred_study = Dataset()
        referred_study.ReferencedSOPClassUID = _STUDY_CLASS
        referred_study.ReferencedSOPInstanceUID = planted.uid(study.accession, "order")
        dataset.ReferencedStudySequence = Sequence([referred_study])

        request = Dataset()
        request.AccessionNumber = planted(study.accession)
        request.RequestedProcedureID = planted(f"RP-{patient.patient_id[-5:]}-7")
        request.ScheduledProcedureStepID = planted(f"SPS-{patient.patient_id[-5:]}-3")
        request.RequestedProcedureDescription = f"{study.imaging_type}, {_spoken(patient.name)}"
        request.ReferencedStudySequence = Sequence([referred_study])
        dataset.RequestAttributesSequence = Sequence([request])

        # Basic keeps this sequence: what stands in its items, and in theirs, has to go by itself.
        badge = Dataset()
        badge.CodeValue = planted("BADGE-PW-77120")
        badge.CodingSchemeDesignator = "99INVENTED"
        badge.CodeMeaning = planted(_spoken(SITE.operator))
        operator = Dataset()
        operator.PersonIdentificationCodeSequence = Sequence([badge])
        operator.PersonAddress = planted(SITE.address)
        operator.InstitutionName = planted(SITE.institution)
        equipment = Dataset()
        equipment.Manufacturer = "Invented Modalities"
        equipment.InstitutionName = planted(SITE.institution)
        equipment.InstitutionAddress = planted(SITE.address)
        equipment.StationName = planted(study.station)
        equipment.OperatorsName = planted.name(SITE.operator)
        equipment.OperatorIdentificationSequence = Sequence([operator])
        equipment.DeviceSerialNumber = planted(f"SN-{study.station}-40417")
        equipment.ContributionDescription = f"Sent for {_spoken(patient.name)}"
        dataset.ContributingEquipmentSequence = Sequence([equipment])

        region = Dataset()
        region.CodeValue, region.CodeMeaning = _REGIONS[study.body_part]
        region.CodingSchemeDesignator = "SCT"
        self._plant_private_text(region.private_block(0x0077, PRIVATE_CREATOR, create=True))
        dataset.AnatomicRegionSequence = Sequence([region])

        if number > 1 and series.modality in _REFERRED_TO_CLASS:
            image = Dataset()
            image.ReferencedSOPClassUID = _REFERRED_TO_CLASS[series.modality]
            image.ReferencedSOPInstanceUID = self._sop_uid(1, 1)
            dataset.ReferencedImageSequence = Sequence([image])

    def _plant_private_text(self, block: PrivateBlock) -> None:
        patient, planted = self._patient, self._planted
        block.add_new(0x01, "LO", planted.name(patient.name).split("=")[0])
        block.add_new(0x02, "LO", planted(patient.patient_id))
        block.add_new(0x03, "PN", planted.name(patient.mother))

    def _plant_private(self, dataset: FileDataset) -> None:
        patient, planted = self._patient, self._planted
        block = dataset.private_block(0x0077, PRIVATE_CREATOR, create=True)
        self._plant_private_text(block)
        block.add_new(0x04, "LT", f"Home: {planted(patient.address)}; phone: {patient.phone}")
        block.add_new(0x05, "DA", planted(patient.birth_date.strftime("%Y%m%d")))
        record = f"{patient.patient_id}|{self._study.accession}|{patient.phone}|"
        blob = b"\x00\x01REC" + struct.pack("<H", len(record)) + record.encode("ascii")
        block.add_new(0x06, "OB", blob + b"\x00" * (len(blob) % 2))
        inner = Dataset()
        inner.PatientName = planted.name(patient.name)
        inner.PatientID = planted(patient.patient_id)
        self._plant_private_text(inner.private_block(0x0077, PRIVATE_CREATOR, create=True))
        block.add_new(0x07, "SQ", Sequence([inner]))
        # An orphan: a private element whose creator is nowhere to be found.
        dataset.add_new(0x00791001, "LO", f"orphan of {patient.patient_id}")

    def _plant_report(self, dataset: FileDataset) -> None:
        patient = self._patient
        content = dataset.ContentSequence
        content[1].PersonName = SITE.reading
        content[2].TextValue = SITE.institution
        section = content[4].ContentSequence
        section[0].TextValue = f"{_spoken(patient.name)}, {patient.patient_id}: unremarkable."
        for item in (section[0].ContentSequence[0], section[1]):
            referred = item.ReferencedSOPSequence[0]
            referred.ReferencedSOPClassUID = UltrasoundMultiFrameImageStorage
            referred.ReferencedSOPInstanceUID = self._sop_uid(1, 1)

    def _plant_residue(self, dataset: FileDataset) -> None:
        # Software Versions is not in Table E.1-1: the Basic Profile leaves it as it is.
        dataset.SoftwareVersions = f"console of {_spoken(self._patient.name)}"

    def _file_meta(self, dataset: FileDataset) -> FileMetaDataset:
        planted = self._planted
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
        meta.ImplementationClassUID = UID(planted.uid("implementation"))
        meta.ImplementationVersionName = "INVENTED_PACS_1"
        meta.SourceApplicationEntityTitle = planted("NONESUCH_ARCHIVE")
        meta.SendingApplicationEntityTitle = planted(f"AE_{self._study.station}")
        meta.PrivateInformationCreatorUID = UID(planted.uid("private information"))
        secret = f"{self._patient.patient_id} {self._study.accession}".encode("ascii")
        meta.PrivateInformation = secret + b"\0" * (len(secret) % 2)
        return meta


@cache
def _wheel_file(name: str) -> bytes:
    try:
        return files("pydicom.data").joinpath("test_files", *name.split("/")).read_bytes()
    except (OSError, ModuleNotFoundError) as error:
        raise DemoError(
            "This installation of pydicom came without its test files, which the demo is made of.",
            "Install pydicom from its wheel on PyPI.",
        ) from error


def _source(name: str) -> FileDataset:
    return dcmread(io.BytesIO(_wheel_file(name)))


def _spoken(name: str) -> str:
    """Say a person's name as people write it in a sentence: given name, family name."""
    family, given = name.split("=")[0].split("^")[:2]
    return f"{given} {family}"


def _age(born: date, day: date) -> str:
    years = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    return f"{years:03d}Y"


def _cut_in_pixel_data(data: bytes) -> bytes:
    """Cut an explicit little endian file in the middle of its pixel data."""
    start = data.rindex(b"\xe0\x7f\x10\x00OW\x00\x00") + 12
    return data[: start + (len(data) - start) // 2]


def _manifest(studies: tuple[Study, ...]) -> bytes:
    rows: list[tuple[str, str, int, str, str]] = [
        (
            study.subject_id,
            study.imaging_type,
            (study.day - study.patient.birth_date).days,
            study.anatomy,
            study.accession,
        )
        for study in studies
    ]
    rows.insert(_MISSING_ROW_PLACE, (*_MISSING_ROW, MISSING_ACCESSION))
    text = io.StringIO()
    text.write("# Manifest of the demo: invented patients only.\n")
    text.write("# Two rows are not right on purpose: the PACS lacks one study and damaged one.\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(MANIFEST_HEADER)
    writer.writerows((*row, "", "") for row in rows)
    return text.getvalue().encode("utf-8")


def _write(path: Path, data: bytes) -> None:
    # Written anew rather than over an old file, so that mode and links are this build's own.
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
