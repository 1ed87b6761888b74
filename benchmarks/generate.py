"""Studies to measure with: generated, sized like clinical ones, and the same bytes every time.

What belongs here: making DICOM files whose size, headers and compressibility resemble what a
research PACS sends. What does not: measuring, and anything that a test of correctness relies on
(the demo's PACS plants identifiers for that).

Headers start from CT_small and MR_small of pydicom's wheel, private blocks included, and gain the
attributes that scanners of today write. Pixels are a smooth phantom with noise, so that deflating
costs and gains what it does on real images.
"""

from __future__ import annotations

import csv
import io
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import FileDataset, dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import correct_ambiguous_vr, write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
)

__all__ = ["MANIFEST_HEADER", "ct_study", "mr_study", "multiframe", "trivial_studies"]

MANIFEST_HEADER = (
    "SUBJECT_ID,IMAGING_TYPE,AGE_AT_IMAGING_(DAYS),ANATOMICAL_POSITION,ACCESSION_NUM,"
    "DEID_QC_STATUS,locutus_manifest_ver:locutus.onprem_dicom_deid_qc.2021march15"
)
_ROOT = "1.2.826.0.1.3680043.10.9417"  # below pydicom's donated root; nobody else's UIDs


def ct_study(
    folder: Path,
    instances: int = 200,
    rows: int = 512,
    cols: int = 512,
    *,
    accession: str = "BENCH-CT-0001",
    series: int = 4,
    seed: int = 1,
) -> list[Path]:
    """Write a CT study of `instances` slices in `series` series; return its files in order."""
    template = _template("CT_small.dcm", "CT", accession, seed)
    _enrich_ct(template)
    volume = _Phantom(rows, cols, seed, air=-1000, tissue=40, bone=900, noise=36.0)
    return _write_study(folder, template, volume, instances, series, seed, spacing=0.7, step=1.25)


def mr_study(
    folder: Path,
    instances: int = 400,
    rows: int = 256,
    cols: int = 256,
    *,
    accession: str = "BENCH-MR-0001",
    series: int = 8,
    seed: int = 2,
) -> list[Path]:
    """Write an MR study of `instances` slices in `series` series; return its files in order."""
    template = _template("MR_small.dcm", "MR", accession, seed)
    _enrich_mr(template)
    volume = _Phantom(rows, cols, seed, air=12, tissue=420, bone=90, noise=14.0)
    return _write_study(folder, template, volume, instances, series, seed, spacing=0.9, step=3.0)


def trivial_studies(folder: Path, n: int, *, manifest: Path | None = None) -> list[str]:
    """Write `n` studies of one 64x64 instance each, and their manifest; return the accessions.

    Args:
        folder: where the instances go, at most 1,000 in a subfolder.
        n: how many studies.
        manifest: where the manifest goes; `<folder>/../<folder's name>.csv` unless given.
    """
    template = _template("MR_small.dcm", "MR", "", seed=3)
    template.Rows = template.Columns = 64
    template.PixelData = _Phantom(64, 64, 3, air=12, tissue=420, bone=90, noise=14.0).slice(0.5)
    stamp = _Stamper(template)
    accessions = [f"BENCH-{number:06d}" for number in range(1, n + 1)]
    rows = []
    for number, accession in enumerate(accessions, start=1):
        uid = f"{_ROOT}.3.{number}"
        part = folder / f"{(number - 1) // 1000:04d}"
        if (number - 1) % 1000 == 0:
            part.mkdir(parents=True, exist_ok=True)
        data = stamp(
            AccessionNumber=accession,
            PatientID=f"BENCHPAT{number:06d}",
            PatientName=f"Quartzwick^Orla{number:06d}",
            StudyID=f"B{number:06d}",
            StudyInstanceUID=uid,
            SeriesInstanceUID=f"{uid}.1",
            SOPInstanceUID=f"{uid}.1.1",
            FrameOfReferenceUID=f"{uid}.9",
        )
        (part / f"{accession}.dcm").write_bytes(data)
        rows.append((f"C{number:07d}", "MRI", 3000 + number % 3000, "brain", accession, "", ""))
    _write_manifest(manifest or folder.parent / f"{folder.name}.csv", rows)
    return accessions


def multiframe(path: Path, megabytes: int, *, accession: str = "BENCH-MF-0001") -> Path:
    """Write one multi-frame image of about `megabytes` MB (10^6 bytes), frame by frame."""
    rows = cols = 512
    frame_bytes = rows * cols * 2
    frames = max(1, round(megabytes * 1_000_000 / frame_bytes))
    if frames * frame_bytes >= 2**32 - 1:
        raise ValueError("an element of native pixel data holds less than 4 GiB")
    dataset = _template("CT_small.dcm", "CT", accession, seed=4)
    dataset.SOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    dataset.Modality = "OT"
    dataset.ConversionType = "WSD"
    dataset.BurnedInAnnotation = "NO"
    dataset.NumberOfFrames = frames
    dataset.Rows, dataset.Columns = rows, cols
    dataset.PixelRepresentation = 0
    dataset.FrameIncrementPointer = 0x00181063
    dataset.FrameTime = "40"
    dataset.RescaleIntercept, dataset.RescaleSlope = "0", "1"
    dataset.RescaleType = "US"
    for keyword in ("PixelPaddingValue", "ImagePositionPatient", "ImageOrientationPatient"):
        if keyword in dataset:
            del dataset[keyword]
    dataset.PixelData = b""
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    header = _encode(dataset)[:-4]  # all but the length of the pixel data
    volume = _Phantom(rows, cols, 4, air=12, tissue=420, bone=900, noise=16.0)
    cycle = [volume.slice(place / 16) for place in range(16)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(header + (frames * frame_bytes).to_bytes(4, "little"))
        for number in range(frames):
            file.write(cycle[number % len(cycle)])
    return path


class _Phantom:
    """A body of ellipses with organs, texture and noise; slices differ along the long axis."""

    def __init__(
        self, rows: int, cols: int, seed: int, *, air: int, tissue: int, bone: int, noise: float
    ) -> None:
        self._random = np.random.default_rng(seed)
        y = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
        x = np.linspace(-1, 1, cols, dtype=np.float32)[None, :]
        self._x, self._y = x, y
        self._air, self._tissue, self._bone = air, tissue, bone
        # One large field of noise, cut at another place for every slice: cheap, and not periodic.
        self._noise = self._random.normal(0, noise, (rows * 2, cols * 2)).astype(np.float32)
        self._texture = (np.sin(9 * x + 4 * y) + np.cos(7 * y - 5 * x)) * np.float32(
            abs(tissue) / 9
        )

    def slice(self, place: float) -> bytes:
        """Draw the slice at `place` (0 to 1) as little endian 16-bit pixels."""
        x, y = self._x, self._y
        rows, cols = y.size, x.size
        width = 0.78 + 0.08 * np.sin(3 * place)
        radius = (x / width) ** 2 + (y / (width * 0.72)) ** 2
        body = radius < 1
        image: NDArray[np.float32] = np.full((rows, cols), self._air, dtype=np.float32)
        inside = self._tissue + self._texture * (1 - radius) + 20 * np.sin(6 * place)
        image[body] = inside[body]
        for centre, size, value in (
            ((-0.33, -0.05), 0.22, self._air * 0.85 + self._tissue * 0.15),
            ((0.33, -0.05), 0.22, self._air * 0.85 + self._tissue * 0.15),
            ((0.0, 0.38), 0.10, self._bone),
            ((0.05, -0.1), 0.13 + 0.03 * np.cos(9 * place), self._tissue * 1.6),
        ):
            organ = ((x - centre[0]) ** 2 + (y - centre[1]) ** 2) < size**2
            image[organ] = value + self._texture[organ] * 0.5
        top = int(self._random.integers(0, rows))
        left = int(self._random.integers(0, cols))
        noise = self._noise[top : top + rows, left : left + cols]
        if self._air < 0:
            # Outside the reconstruction circle a CT scanner writes one constant value.
            circle = (x**2 + y**2) < 1
            image[circle] += noise[circle]
        else:
            image += noise
            np.abs(image, out=image)  # a magnitude has no sign
        return image.astype("<i2").tobytes()


class _Stamper:
    """Encodes one dataset many times with other values for a few attributes.

    The dataset is encoded once; every further file re-encodes only the attributes named.
    """

    def __init__(self, template: FileDataset) -> None:
        self._meta = template.file_meta
        self._vrs: dict[str, str] = {}
        self._pieces: list[tuple[str, bytes]] = []
        # Only the whole dataset tells whether, say, a padding value is signed.
        for element in correct_ambiguous_vr(template, is_little_endian=True):
            self._vrs[element.keyword] = element.VR
            self._pieces.append((element.keyword, _encode_element(element)))

    def __call__(self, **values: object) -> bytes:
        encoded = {
            keyword: _encode_element(DataElement(keyword, self._vrs[keyword], value))
            for keyword, value in values.items()
        }
        self._meta.MediaStorageSOPInstanceUID = UID(str(values["SOPInstanceUID"]))
        head = io.BytesIO()
        file = FileDataset(head, Dataset(), file_meta=self._meta, preamble=bytes(128))
        file.save_as(head, enforce_file_format=True)
        body = (encoded.get(keyword, piece) for keyword, piece in self._pieces)
        return head.getvalue() + b"".join(body)


def _write_study(
    folder: Path,
    template: FileDataset,
    volume: _Phantom,
    instances: int,
    series: int,
    seed: int,
    *,
    spacing: float,
    step: float,
) -> list[Path]:
    rows, cols = volume._y.size, volume._x.size
    template.Rows, template.Columns = rows, cols
    template.PixelSpacing = [f"{spacing:.4f}", f"{spacing:.4f}"]
    template.SliceThickness = f"{step:.2f}"
    template.SpacingBetweenSlices = f"{step:.2f}"
    template.PixelData = b""
    template["PixelData"].VR = "OW"
    stamp = _Stamper(template)
    study = template.StudyInstanceUID
    per_series = -(-instances // series)
    written = []
    for index in range(instances):
        number, place = index // per_series + 1, index % per_series
        part = folder / f"S{number:02d}"
        if place == 0:
            part.mkdir(parents=True, exist_ok=True)
        z = f"{-200 + step * place:.4f}"
        uid = f"{study}.{number}.{place + 1}"
        data = stamp(
            SOPInstanceUID=uid,
            SeriesInstanceUID=f"{study}.{number}",
            SeriesNumber=number,
            SeriesDescription=f"{template.Modality} series {number}",
            InstanceNumber=place + 1,
            AcquisitionNumber=number,
            ContentTime=f"{9 + number:02d}{place // 60 % 60:02d}{place % 60:02d}",
            ImagePositionPatient=[f"{-spacing * cols / 2:.4f}", f"{-spacing * rows / 2:.4f}", z],
            SliceLocation=z,
            PixelData=volume.slice(place / per_series),
        )
        path = part / f"IM{place + 1:06d}.dcm"
        path.write_bytes(data)
        written.append(path)
    return written


def _template(name: str, modality: str, accession: str, seed: int) -> FileDataset:
    """A header as a scanner of today would write it, around one from pydicom's wheel."""
    with files("pydicom.data").joinpath("test_files", name).open("rb") as file:
        dataset = dcmread(io.BytesIO(file.read()))
    study = f"{_ROOT}.{seed}.20240229"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = UID(f"{study}.1.1")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(f"{_ROOT}.0")
    meta.ImplementationVersionName = "BENCH_1"
    meta.SourceApplicationEntityTitle = "BENCH_MODALITY"
    dataset.file_meta = meta
    if "DataSetTrailingPadding" in dataset:
        del dataset["DataSetTrailingPadding"]
    values: dict[str, object] = {
        "SpecificCharacterSet": "ISO_IR 100",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL" if modality == "CT" else "M"],
        "SOPInstanceUID": f"{study}.1.1",
        "StudyInstanceUID": study,
        "SeriesInstanceUID": f"{study}.1",
        "FrameOfReferenceUID": f"{study}.900",
        "StudyDate": "20240229",
        "SeriesDate": "20240229",
        "AcquisitionDate": "20240229",
        "ContentDate": "20240229",
        "StudyTime": "091500",
        "SeriesTime": "092000",
        "AcquisitionTime": "092100",
        "ContentTime": "092130",
        "AcquisitionDateTime": "20240229092100.000000",
        "AccessionNumber": accession,
        "InstitutionName": "Benchmark Hospital",
        "InstitutionAddress": "1 Measuring Street, Loadtown",
        "InstitutionalDepartmentName": "Radiology",
        "ReferringPhysicianName": "Mullenforth^Edda^^Dr",
        "PerformingPhysicianName": "Tarnbrook^Ivo^^Dr",
        "NameOfPhysiciansReadingStudy": "Lathwell^Oda^^Dr",
        "OperatorsName": "Hollinsby^Una",
        "StationName": "BENCHSTATION1",
        "StudyDescription": f"{modality} benchmark study",
        "SeriesDescription": f"{modality} series 1",
        "PatientName": "Quartzwick^Orla^M",
        "PatientID": f"BENCHPAT-{seed}",
        "IssuerOfPatientID": "QZWK ISSUER",
        "PatientBirthDate": "19700101",
        "PatientSex": "O",
        "PatientAge": "054Y",
        "PatientSize": "1.75",
        "PatientWeight": "75",
        "EthnicGroup": "UNKNOWN",
        "AdditionalPatientHistory": "none known",
        "PatientComments": "generated for a benchmark",
        "BodyPartExamined": "CHEST" if modality == "CT" else "BRAIN",
        "PatientPosition": "HFS",
        "DeviceSerialNumber": "BENCH-4711",
        "SoftwareVersions": ["VB20A", "release 7.1"],
        "ProtocolName": f"{modality} standard",
        "DateOfLastCalibration": "20240201",
        "TimeOfLastCalibration": "060000",
        "StudyID": f"B{seed:06d}",
        "SeriesNumber": 1,
        "AcquisitionNumber": 1,
        "InstanceNumber": 1,
        "ImagePositionPatient": ["0", "0", "0"],
        "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
        "PositionReferenceIndicator": "SN",
        "SliceLocation": "0",
        "ImageComments": "generated",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "WindowCenter": ["40", "400"],
        "WindowWidth": ["400", "1500"],
        "WindowCenterWidthExplanation": ["soft", "wide"],
        "LossyImageCompression": "00",
        "RequestingPhysician": "Fenwhistle^Jun^^Dr",
        "RequestingService": "Benchmarks",
        "RequestedProcedureDescription": f"{modality} benchmark",
        "AdmissionID": "ADM-1",
        "CurrentPatientLocation": "Ward 1",
        "PerformedStationAETitle": "BENCH_MODALITY",
        "PerformedProcedureStepStartDate": "20240229",
        "PerformedProcedureStepStartTime": "091500",
        "PerformedProcedureStepEndDate": "20240229",
        "PerformedProcedureStepEndTime": "094500",
        "PerformedProcedureStepID": "PPS-1",
        "PerformedProcedureStepDescription": f"{modality} benchmark",
    }
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    # CT_small carries nine private blocks of one vendor; today's files carry a few.
    for group in (0x0027, 0x0029, 0x0043):
        for element in dataset.group_dataset(group):
            del dataset[element.tag]
    # The small images' statistics do not describe the pixels generated here.
    for keyword in ("SmallestImagePixelValue", "LargestImagePixelValue"):
        if keyword in dataset:
            del dataset[keyword]
    _add_sequences(dataset, study, modality)
    _add_private(dataset)
    return dataset


def _code(value: str, scheme: str, meaning: str) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Sequence([item])


def _references(sop_class: UID, uids: list[str]) -> Sequence:
    items = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID = sop_class
        item.ReferencedSOPInstanceUID = uid
        items.append(item)
    return Sequence(items)


def _add_sequences(dataset: Dataset, study: str, modality: str) -> None:
    sop_class = CTImageStorage if modality == "CT" else MRImageStorage
    dataset.ReferencedImageSequence = _references(
        sop_class, [f"{study}.800.{number}" for number in range(1, 4)]
    )
    dataset.ReferencedStudySequence = _references(UID("1.2.840.10008.3.1.2.3.1"), [f"{study}.700"])
    dataset.ReferencedPerformedProcedureStepSequence = _references(
        UID("1.2.840.10008.3.1.2.3.3"), [f"{study}.701"]
    )
    dataset.ProcedureCodeSequence = _code("BENCH1", "99BENCH", "Benchmark")
    region = ("51185008", "Chest") if modality == "CT" else ("12738006", "Brain")
    dataset.AnatomicRegionSequence = _code(region[0], "SCT", region[1])
    request = Dataset()
    request.RequestedProcedureID = "RP-1"
    request.ScheduledProcedureStepID = "SPS-1"
    request.ScheduledProcedureStepDescription = f"{modality} benchmark"
    request.RequestedProcedureCodeSequence = _code("BENCH1", "99BENCH", "Benchmark")
    request.ScheduledProtocolCodeSequence = _code("BENCH2", "99BENCH", "Protocol")
    dataset.RequestAttributesSequence = Sequence([request])
    dataset.PerformedProtocolCodeSequence = _code("BENCH2", "99BENCH", "Protocol")
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = _code("109103", "DCM", "Modifying Equipment")
    equipment.Manufacturer = "Benchmark Gateways"
    equipment.InstitutionName = "Benchmark Hospital"
    equipment.StationName = "GATEWAY1"
    equipment.ContributionDateTime = "20240229100000"
    dataset.ContributingEquipmentSequence = Sequence([equipment])


def _add_private(dataset: Dataset) -> None:
    block = dataset.private_block(0x0071, "BENCH HEADER", create=True)
    block.add_new(0x08, "CS", "IMAGE NUM 4")
    block.add_new(0x09, "LO", "BENCH 1.0")
    # The size of a small vendor header, and as incompressible as those are.
    random = np.random.default_rng(0)
    block.add_new(0x10, "OB", (random.integers(32, 96, 4096, dtype=np.uint8)).tobytes())
    inner = Dataset()
    inner.PatientID = "BENCHPAT"
    inner.private_block(0x0071, "BENCH HEADER", create=True).add_new(0x09, "LO", "nested")
    block.add_new(0x20, "SQ", Sequence([inner, inner]))
    other = dataset.private_block(0x0073, "BENCH WORKFLOW", create=True)
    other.add_new(0x01, "LO", "archived")
    other.add_new(0x02, "DT", "20240229101500")
    other.add_new(0x03, "UI", f"{_ROOT}.5.1")


def _enrich_ct(dataset: Dataset) -> None:
    for keyword, value in {
        "ScanOptions": "HELICAL MODE",
        "KVP": "120",
        "SingleCollimationWidth": 0.625,
        "TotalCollimationWidth": 40.0,
        "TableSpeed": 55.0,
        "TableFeedPerRotation": 39.4,
        "SpiralPitchFactor": 0.984,
        "CTDIvol": 9.87,
        "RevolutionTime": 0.5,
        "ExposureTime": 500,
        "XRayTubeCurrent": 320,
        "Exposure": 160,
        "ExposureModulationType": "XYZ_EC",
        "EstimatedDoseSaving": 20.0,
        "DataCollectionCenterPatient": [0.0, 0.0, 0.0],
        "ReconstructionTargetCenterPatient": [0.0, 0.0, 0.0],
        "PixelPaddingValue": -2000,
        "RescaleIntercept": "0",
        "RescaleSlope": "1",
        "RescaleType": "HU",
        "IrradiationEventUID": f"{_ROOT}.6.1",
    }.items():
        setattr(dataset, keyword, value)


def _enrich_mr(dataset: Dataset) -> None:
    for keyword, value in {
        "ScanningSequence": "SE",
        "SequenceVariant": ["SK", "SP", "OSP"],
        "ScanOptions": "PFP",
        "MRAcquisitionType": "2D",
        "SequenceName": "*tse2d1_15",
        "AngioFlag": "N",
        "RepetitionTime": "4000",
        "EchoTime": "98",
        "NumberOfAverages": "1",
        "ImagingFrequency": "123.25",
        "ImagedNucleus": "1H",
        "EchoNumbers": "1",
        "MagneticFieldStrength": "3",
        "NumberOfPhaseEncodingSteps": 320,
        "EchoTrainLength": 15,
        "PercentSampling": "100",
        "PercentPhaseFieldOfView": "100",
        "PixelBandwidth": "220",
        "ReceiveCoilName": "HeadNeck_20",
        "TransmitCoilName": "Body",
        "AcquisitionMatrix": [0, 256, 256, 0],
        "InPlanePhaseEncodingDirection": "ROW",
        "FlipAngle": "150",
        "VariableFlipAngleFlag": "N",
        "SAR": "1.2",
        "dBdt": "0",
        "B1rms": 1.7,
        "ContrastBolusAgent": "Gadobench",
        "ContrastBolusRoute": "IV",
        "ContrastBolusVolume": "7.5",
        "TemporalPositionIdentifier": 1,
        "NumberOfTemporalPositions": 1,
        "ImagesInAcquisition": 50,
    }.items():
        setattr(dataset, keyword, value)
    # What a vendor keeps per image beside the standard's attributes.
    block = dataset.private_block(0x0075, "BENCH MR", create=True)
    for offset in range(0x01, 0x29):
        block.add_new(offset, "DS", f"{offset * 1.25:.4f}")


def _encode(dataset: FileDataset) -> bytes:
    buffer = io.BytesIO()
    dataset.preamble = bytes(128)
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _encode_element(element: DataElement) -> bytes:
    one = Dataset()
    one.add(element)
    buffer = DicomBytesIO()
    buffer.is_little_endian = True
    buffer.is_implicit_VR = False
    write_dataset(buffer, one)
    return buffer.getvalue()


def _write_manifest(path: Path, rows: list[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"{MANIFEST_HEADER}\n")
        csv.writer(file, lineterminator="\n").writerows(rows)
