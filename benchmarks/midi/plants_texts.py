"""Plants in free text: descriptions, protocol names, comments, notes.

What belongs here: attributes that hold a sentence or a few words, at the top level. What does not:
the sentences (`phrases.py`), reports (`plants_nested.py`).
"""

from __future__ import annotations

from pydicom.datadict import dictionary_VR

from benchmarks.midi.phrases import LINES, NOTES, SHORTS, Text, fill, pick
from benchmarks.midi.sheet import LONGEST, Sheet

__all__ = ["plant_texts", "text_for"]

#: Attributes that PS3.15 Table E.1-1 cleans under Clean Descriptors.
_ALWAYS = ("StudyDescription", "SeriesDescription")
_SOMETIMES = (
    "ProtocolName", "PerformedProcedureStepDescription", "RequestedProcedureDescription",
    "RequestedContrastAgent", "ContrastBolusAgent", "ReasonForStudy",
    "AdmittingDiagnosesDescription", "AcquisitionDeviceProcessingDescription",
    "ReasonForTheRequestedProcedure", "RequestingService", "ImageComments", "PatientComments",
    "AdditionalPatientHistory", "StudyComments", "CommentsOnThePerformedProcedureStep",
    "DerivationDescription", "ImagingServiceRequestComments", "RequestedProcedureComments",
    "CommentsOnRadiationDose", "Allergies", "MedicalAlerts", "PatientState", "VisitComments",
    "ReasonForTheImagingServiceRequest", "AcquisitionProtocolDescription", "Occupation",
    "FrameComments", "SpecialNeeds",
)  # fmt: skip
#: Attributes that the table does not name, in which the patient's own name or number stands
#: because somebody renamed a protocol after the patient. Attribute, template, modalities.
_UNNAMED = (
    ("SequenceName", "<tfl3d1> {mrn}", ("MR",)),
    ("ReceiveCoilName", "<HEAD> {mrn}", ("MR",)),
    ("FilterType", "<BODY> {mrn}", ("CT",)),
    ("LUTExplanation", "<LUT> {FAMILY}", ("CR", "DX", "US", "OT")),
    ("WindowCenterWidthExplanation", "<BRAIN> {FAMILY}", ("CT", "MR")),
)


def plant_texts(sheet: Sheet) -> None:
    """Plant texts in the top level."""
    for keyword in _ALWAYS:
        sheet.text(keyword, text_for(sheet, keyword))
    for keyword in _SOMETIMES:
        if sheet.chance(0.35):
            sheet.text(keyword, text_for(sheet, keyword))
    modality = str(sheet.dataset.get("Modality", ""))
    for keyword, template, modalities in _UNNAMED:
        if modality in modalities and sheet.chance(0.15):
            text = fill(template, sheet.person)
            if text is not None and len(text.text) <= LONGEST[dictionary_VR(keyword)]:
                sheet.text(keyword, text)


def text_for(sheet: Sheet, keyword: str) -> Text | None:
    """Draw a text that suits an attribute's VR; None where none fits."""
    vr, language = dictionary_VR(keyword), sheet.person.language
    templates = {"SH": SHORTS, "LO": LINES[language]}.get(vr, NOTES[language])
    return pick(sheet.rng, templates, sheet.person, LONGEST[vr])
