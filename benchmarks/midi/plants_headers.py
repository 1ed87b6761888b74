"""Plants at the top of the data set: who, where, when; and what of the acquisition must stay.

What belongs here: attributes of the patient, study, series and equipment modules. What does not:
free text (`plants_texts.py`), anything inside sequences (`plants_nested.py`).
"""

from __future__ import annotations

from datetime import timedelta

from benchmarks.midi import checks as c
from benchmarks.midi.checks import Action
from benchmarks.midi.people import Value
from benchmarks.midi.places import Step
from benchmarks.midi.sheet import Sheet

__all__ = ["plant_acquisition", "plant_headers"]

_ALWAYS = (
    ("PatientName", "pn"),
    ("AccessionNumber", "accession"),
    ("StudyID", "study_id"),
    ("ReferringPhysicianName", "doctor_pn"),
    ("InstitutionName", "hospital"),
)
#: In half of the series each, so that no two files are planted alike.
_SOMETIMES = (
    ("PatientBirthName", "family"),
    ("PatientMotherBirthName", "relative_pn"),
    ("OtherPatientNames", "dicom"),
    ("OtherPatientIDs", "ssn"),
    ("IssuerOfPatientID", "city"),
    ("PatientAddress", "address"),
    ("PatientTelephoneNumbers", "phone"),
    ("PatientTelecomInformation", "email"),
    ("InsurancePlanIdentification", "plan"),
    ("MedicalRecordLocator", "mrn"),
    ("RegionOfResidence", "city"),
    ("ResponsiblePerson", "relative_pn"),
    ("MilitaryRank", "licence"),
    ("AdmissionID", "account"),
    ("ServiceEpisodeID", "account"),
    ("CurrentPatientLocation", "room"),
    ("PerformingPhysicianName", "doctor_pn"),
    ("NameOfPhysiciansReadingStudy", "doctor_pn"),
    ("PhysiciansOfRecord", "doctor_pn"),
    ("OperatorsName", "operator_pn"),
    ("RequestingPhysician", "doctor_pn"),
    ("ScheduledPerformingPhysicianName", "operator_pn"),
    ("ReferringPhysicianAddress", "hospital_address"),
    ("ReferringPhysicianTelephoneNumbers", "fax"),
    ("OrderCallbackPhoneNumber", "phone"),
    ("OrderEnteredBy", "operator_pn"),
    ("InstitutionAddress", "hospital_address"),
    ("RequestedProcedureID", "order"),
    ("PlacerOrderNumberImagingServiceRequest", "order"),
    ("FillerOrderNumberImagingServiceRequest", "order"),
    ("PerformedProcedureStepID", "study_id"),
    ("DeviceSerialNumber", "scanner"),
    ("StationName", "station"),
    ("RetrieveURL", "url"),
    ("BarcodeValue", "passport"),
    ("ClinicalTrialSubjectID", "mrn"),
)
#: Attributes that nobody else's institution would retain under the options named in `Value`.
_NOT_OF_AN_INSTITUTION = {"ReferringPhysicianAddress"}

_DATES = (  # keyword, days before the examination
    ("SeriesDate", 0),
    ("AcquisitionDate", 0),
    ("ContentDate", 0),
    ("InstanceCreationDate", 0),
    ("PerformedProcedureStepStartDate", 0),
    ("ScheduledProcedureStepStartDate", 2),
    ("AdmittingDate", 9),
    ("LastMenstrualDate", 21),
)
_DATE_TIMES = (
    ("AcquisitionDateTime", 0, "101502.250000"),
    ("IssueDateOfImagingServiceRequest", 5, ""),
)

_TYPE_1 = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality",
    "ImageType", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "NumberOfFrames",
    "FrameOfReferenceUID", "ValueType", "CompletionFlag", "VerificationFlag",
)  # fmt: skip
_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "ReferringPhysicianName", "StudyID", "AccessionNumber", "SeriesNumber", "InstanceNumber",
    "PositionReferenceIndicator", "Manufacturer",
)  # fmt: skip

_TECHNICAL = (
    "Modality", "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "ImageType",
    "ConversionType", "BodyPartExamined", "Laterality", "ImageLaterality", "ViewPosition",
    "PatientPosition", "PatientOrientation", "ScanningSequence", "SequenceVariant", "ScanOptions",
    "MRAcquisitionType", "AngioFlag", "SliceThickness", "KVP", "RepetitionTime", "EchoTime",
    "InversionTime", "NumberOfAverages", "ImagingFrequency", "ImagedNucleus", "EchoNumbers",
    "MagneticFieldStrength", "SpacingBetweenSlices", "EchoTrainLength", "PercentSampling",
    "PixelBandwidth", "DataCollectionDiameter", "ReconstructionDiameter",
    "DistanceSourceToDetector", "DistanceSourceToPatient", "GantryDetectorTilt", "TableHeight",
    "RotationDirection", "ExposureTime", "XRayTubeCurrent", "Exposure", "GeneratorPower",
    "FocalSpots", "ConvolutionKernel", "FlipAngle", "AcquisitionMatrix",
    "InPlanePhaseEncodingDirection", "SAR", "dBdt", "SeriesNumber", "AcquisitionNumber",
    "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "SliceLocation",
    "ImagesInAcquisition", "SamplesPerPixel", "PhotometricInterpretation",
    "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns", "PixelSpacing",
    "ImagerPixelSpacing", "NominalScannedPixelSpacing", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope",
    "RescaleType", "LossyImageCompression", "SegmentationType", "SegmentationFractionalType",
    "RadionuclideTotalDose", "Units", "DecayCorrection", "CollimatorType", "FieldOfViewShape",
)  # fmt: skip
_CHARACTERISTICS = ("PatientSex", "PatientSize", "PatientWeight")


def plant_headers(sheet: Sheet) -> None:
    """Plant identifiers, dates and the patient's characteristics in the top level."""
    person = sheet.person
    for keyword, form in _ALWAYS:
        sheet.identifier(keyword, person.values[form])
    for keyword, form in _SOMETIMES:
        if sheet.chance(0.5):
            value = person.values[form]
            if keyword in _NOT_OF_AN_INSTITUTION:
                value = Value(value.kind, value.text, value.tokens)
            sheet.identifier(keyword, value)
    _plant_patient_id(sheet)
    sheet.date("StudyDate", person.values["exam8"].text)
    sheet.date("PatientBirthDate", person.values["birth8"].text)
    sheet.needle(person.values["birth8"])
    for keyword, days in _DATES:
        if keyword in sheet.dataset or sheet.chance(0.3):
            sheet.date(keyword, f"{person.exam - timedelta(days=days):%Y%m%d}")
    for keyword, days, time in _DATE_TIMES:
        if keyword in sheet.dataset or sheet.chance(0.3):
            sheet.date(keyword, f"{person.exam - timedelta(days=days):%Y%m%d}{time}")
    sheet.dataset.StudyTime = "101502"
    _plant_characteristics(sheet)
    for keyword in _TYPE_1:
        sheet.must_have(keyword, c.IOD_1)
    for keyword in _TYPE_2:
        sheet.must_have(keyword, c.IOD_2)
    # Where dates are retained with their intervals, an empty one is a loss.
    sheet.check((Step(0x00080020),), Action.TEXT_NOTNULL, "", c.IOD_2, vr="DA")


def _plant_patient_id(sheet: Sheet) -> None:
    value = sheet.person.values["mrn"]
    sheet.identifier("PatientID", value)
    sheet.check((Step(0x00100020),), Action.PATID_CONSISTENT, value.text, c.PATIENT_IDS, vr="LO")


def _plant_characteristics(sheet: Sheet) -> None:
    person = sheet.person
    sheet.dataset.PatientSex = person.sex
    if person.age > 89:
        sheet.identifier("PatientAge", Value("C", f"{person.age:03d}Y"))
    elif sheet.chance(0.7):
        sheet.stays("PatientAge", c.CHARACTERISTICS, value=f"{person.age:03d}Y")
    if sheet.chance(0.5):
        sheet.dataset.PatientWeight = "72.5"
    for keyword in _CHARACTERISTICS:
        sheet.stays(keyword, c.CHARACTERISTICS)


def plant_acquisition(sheet: Sheet) -> None:
    """Write that what says how the images were made must stay, adding a little of it."""
    if "PixelData" in sheet.dataset:
        if not sheet.dataset.get("BodyPartExamined"):
            sheet.dataset.BodyPartExamined = sheet.rng.choice(("CHEST", "HEAD", "KNEE"))
        if sheet.chance(0.3):
            region, below = sheet.item("AnatomicRegionSequence")
            region.CodeValue, region.CodingSchemeDesignator = "39607008", "SCT"
            region.CodeMeaning = "Lung structure"
            for keyword in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"):
                sheet.stays(keyword, c.TECHNICAL, below=(region, below))
    for keyword in _TECHNICAL:
        sheet.stays(keyword, c.TECHNICAL)
