"""Plants inside sequences: requests, staff, equipment, references, functional groups, reports.

What belongs here: what lies below the top level of the standard's attributes. What does not:
private sequences (`plants_private.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from pydicom.dataset import Dataset

from benchmarks.midi import checks as c
from benchmarks.midi.people import Value
from benchmarks.midi.phrases import FINDINGS, LINES, pick
from benchmarks.midi.places import Place, at
from benchmarks.midi.plants_texts import text_for
from benchmarks.midi.sheet import Sheet

__all__ = ["plant_content", "plant_functional_groups", "plant_sequences"]

_CONTENT = 0x0040A730
_PER_FRAME = 0x52009230
_SEGMENTS = 0x00620002


def plant_sequences(sheet: Sheet, siblings: Sequence[tuple[str, str]]) -> None:
    """Plant items in sequences of the top level.

    Args:
        sheet: the file.
        siblings: SOP class and planted SOP Instance UID of the study's other files.
    """
    for plant in (_request, _staff, _other_ids, _equipment, _procedure, _original_attributes):
        if sheet.chance(0.4):
            plant(sheet)
    if siblings and sheet.chance(0.6):
        _references(sheet, siblings)


def _request(sheet: Sheet) -> None:
    below = sheet.item("RequestAttributesSequence")
    for keyword in ("ScheduledProcedureStepDescription", "RequestedProcedureDescription"):
        sheet.text(keyword, text_for(sheet, keyword), below=below)
    sheet.identifier("RequestedProcedureID", sheet.person.values["order"], below=below)
    sheet.identifier("AccessionNumber", sheet.person.values["accession"], below=below)


def _staff(sheet: Sheet) -> None:
    values = sheet.person.values
    below = sheet.item("PerformingPhysicianIdentificationSequence")
    person = sheet.item("PersonIdentificationCodeSequence", below=below)
    person[0].CodeValue, person[0].CodingSchemeDesignator = "P1", "99LOCAL"
    sheet.identifier("CodeMeaning", values["doctor"], below=person)
    sheet.identifier("PersonTelephoneNumbers", values["phone"], below=below)
    sheet.identifier("InstitutionAddress", values["hospital_address"], below=below)
    operator = sheet.item("OperatorIdentificationSequence")
    code = sheet.item("PersonIdentificationCodeSequence", below=operator)
    code[0].CodeMeaning = "licensed technologist"
    sheet.identifier("CodeValue", values["licence"], below=code)


def _other_ids(sheet: Sheet) -> None:
    for form in ("passport", "ssn", "plan"):
        below = sheet.item("OtherPatientIDsSequence")
        sheet.identifier("PatientID", sheet.person.values[form], below=below)
        sheet.identifier("IssuerOfPatientID", sheet.person.values["city"], below=below)


def _equipment(sheet: Sheet) -> None:
    values = sheet.person.values
    below = sheet.item("ContributingEquipmentSequence")
    item, _ = below
    item.Manufacturer = "Acme Workstations"
    sheet.stays("Manufacturer", c.TECHNICAL, below=below)
    sheet.identifier("InstitutionName", values["hospital"], below=below)
    sheet.identifier("StationName", values["station"], below=below)
    sheet.identifier("OperatorsName", values["operator_pn"], below=below)
    sheet.identifier("DeviceSerialNumber", values["scanner"], below=below)
    day = sheet.person.exam - timedelta(days=1)
    sheet.date("ContributionDateTime", f"{day:%Y%m%d}081500", below=below)
    sheet.text("ContributionDescription", text_for(sheet, "ContributionDescription"), below=below)


def _procedure(sheet: Sheet) -> None:
    """A code whose meaning a clerk has typed: the words of the procedure, and the patient's name.

    Procedure codes are no attributes that the table names.
    """
    person = sheet.person
    item, place = sheet.item("ProcedureCodeSequence")
    item.CodeValue, item.CodingSchemeDesignator = "MR0042", "99LOCAL"
    meaning = pick(sheet.rng, LINES[person.language][:1], person, 64)
    sheet.text("CodeMeaning", meaning, below=(item, place))
    sheet.stays("CodeValue", c.TECHNICAL, below=(item, place))


def _original_attributes(sheet: Sheet) -> None:
    values = sheet.person.values
    below = sheet.item("OriginalAttributesSequence")
    below[0].ModifyingSystem = "PACS"
    day = sheet.person.exam
    sheet.date("AttributeModificationDateTime", f"{day:%Y%m%d}120000", below=below)
    modified = sheet.item("ModifiedAttributesSequence", below=below)
    sheet.identifier("PatientName", values["comma"], below=modified)
    sheet.identifier("PatientID", values["passport"], below=modified)


def _references(sheet: Sheet, siblings: Sequence[tuple[str, str]]) -> None:
    sop_class, sop = sheet.rng.choice(siblings)
    for keyword in ("ReferencedImageSequence", "SourceImageSequence"):
        if keyword not in sheet.dataset:
            below = sheet.item(keyword)
            below[0].ReferencedSOPClassUID = sop_class
            sheet.put_uid("ReferencedSOPInstanceUID", sop, below=below)


def plant_functional_groups(sheet: Sheet) -> None:
    """Plant in the first frames of an enhanced image, and in the segments of a segmentation."""
    frames = sheet.dataset.get("PerFrameFunctionalGroupsSequence", [])
    for index, frame in enumerate(frames[:3]):
        below: tuple[Dataset, Place] = (frame, at((), _PER_FRAME, index))
        if not frame.get("FrameContentSequence"):
            continue
        content = frame.FrameContentSequence[0]
        below = (content, at(below[1], 0x00209111, 0))
        day = sheet.person.exam
        for keyword in ("FrameAcquisitionDateTime", "FrameReferenceDateTime"):
            if keyword in content or sheet.chance(0.5):
                sheet.date(keyword, f"{day:%Y%m%d}10150{index}.500000", below=below)
        sheet.text("FrameComments", text_for(sheet, "FrameComments"), below=below)
    segments = sheet.dataset.get("SegmentSequence", [])
    for index, segment in enumerate(segments[:2]):
        below = (segment, at((), _SEGMENTS, index))
        sheet.text("SegmentDescription", text_for(sheet, "SegmentDescription"), below=below)


def plant_content(sheet: Sheet) -> None:
    """Plant content items in a structured report.

    What must stay goes to the front, where no item that is removed can move it.
    """
    if _CONTENT not in sheet.dataset:
        return
    items = sheet.dataset[_CONTENT].value
    for _ in range(4):
        items.insert(0, Dataset())
    findings = FINDINGS[sheet.person.language]
    for index, (code, meaning) in enumerate(
        (("121071", "Finding"), ("121106", "Comment"), ("L1", "Note of the reader"))
    ):
        item = items[index]
        _head(item, "TEXT", code, meaning, "99LOCAL" if code == "L1" else "DCM")
        below = (item, at((), _CONTENT, index))
        sheet.text("TextValue", pick(sheet.rng, findings, sheet.person, 1024), below=below)
        sheet.stays("ValueType", c.TECHNICAL, below=below)
        concept = (item.ConceptNameCodeSequence[0], at(below[1], 0x0040A043, 0))
        sheet.stays("CodeValue", c.TECHNICAL, below=concept)
    _container(sheet, items[3], at((), _CONTENT, 3))
    for append in (_observer, _subject, _dates):
        append(sheet, items)
    _request_and_verification(sheet)


def _head(item: Dataset, value_type: str, code: str, meaning: str, scheme: str = "DCM") -> None:
    """Give a content item its relationship, type and concept."""
    item.RelationshipType = "CONTAINS"
    item.ValueType = value_type
    concept = Dataset()
    concept.CodeValue, concept.CodingSchemeDesignator, concept.CodeMeaning = code, scheme, meaning
    item.ConceptNameCodeSequence = [concept]


def _append(sheet: Sheet, items: list[Dataset], *head: str) -> tuple[Dataset, Place]:
    items.append(Dataset())
    _head(items[-1], *head)
    return items[-1], at((), _CONTENT, len(items) - 1)


def _observer(sheet: Sheet, items: list[Dataset]) -> None:
    below = _append(sheet, items, "PNAME", "121008", "Person Observer Name")
    sheet.identifier("PersonName", sheet.person.values["doctor_pn"], below=below)


def _subject(sheet: Sheet, items: list[Dataset]) -> None:
    values = sheet.person.values
    below = _append(sheet, items, "PNAME", "121029", "Subject Name")
    sheet.identifier("PersonName", values["pn"], below=below)
    for code, meaning, form in (
        ("121030", "Subject ID", "mrn"),
        ("121022", "Accession Number", "accession"),
        ("L2", "Patient's telephone", "phone"),
    ):
        below = _append(sheet, items, "TEXT", code, meaning, "99LOCAL" if code == "L2" else "DCM")
        sheet.identifier("TextValue", values[form], below=below)


def _dates(sheet: Sheet, items: list[Dataset]) -> None:
    day = sheet.person.exam
    below = _append(sheet, items, "DATE", "111060", "Study Date")
    sheet.date("Date", f"{day:%Y%m%d}", below=below)
    below = _append(sheet, items, "DATETIME", "121125", "DateTime of Recording of Log Entry")
    sheet.date("DateTime", f"{day:%Y%m%d}111500", below=below)
    below = _append(sheet, items, "UIDREF", "110180", "Study Instance UID")
    sheet.put_uid("UID", str(sheet.dataset.StudyInstanceUID), below=below)


def _container(sheet: Sheet, section: Dataset, place: Place) -> None:
    """A section within a section, which is where careless engines stop looking."""
    _head(section, "CONTAINER", "121070", "Findings")
    section.ContinuityOfContent = "SEPARATE"
    inner = sheet.item("ContentSequence", below=(section, place))
    _head(inner[0], "TEXT", "121073", "Impression")
    findings = FINDINGS[sheet.person.language]
    sheet.text("TextValue", pick(sheet.rng, findings, sheet.person, 1024), below=inner)


def _request_and_verification(sheet: Sheet) -> None:
    values, day = sheet.person.values, sheet.person.exam
    below = sheet.item("ReferencedRequestSequence")
    below[0].RequestedProcedureCodeSequence = []
    sheet.put_uid("StudyInstanceUID", str(sheet.dataset.StudyInstanceUID), below=below)
    sheet.identifier("AccessionNumber", values["accession"], below=below)
    sheet.identifier("PlacerOrderNumberImagingServiceRequest", values["order"], below=below)
    sheet.text(
        "RequestedProcedureDescription",
        text_for(sheet, "RequestedProcedureDescription"),
        below=below,
    )
    below = sheet.item("VerifyingObserverSequence")
    below[0].VerifyingObserverIdentificationCodeSequence = []
    sheet.identifier("VerifyingObserverName", values["doctor_pn"], below=below)
    sheet.identifier("VerifyingOrganization", values["hospital"], below=below)
    # The profile puts dummies into the whole sequence: the date must go, and cannot be moved.
    verified = Value("C", f"{day:%Y%m%d}121500", (), "retain_longitudinal_full_dates")
    sheet.identifier("VerificationDateTime", verified, below=below)
