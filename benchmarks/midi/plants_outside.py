"""Plants outside the data set proper: preamble, file meta information, trailing padding.

What belongs here: what PS3.10 puts around a data set, and padding. What does not: attributes.
"""

from __future__ import annotations

from pydicom.dataelem import DataElement
from pydicom.uid import UID

from benchmarks.midi.checks import Action
from benchmarks.midi.people import Value
from benchmarks.midi.places import PREAMBLE, Step
from benchmarks.midi.sheet import Sheet

__all__ = ["plant_outside"]

_PADDING = 0xFFFCFFFC


def plant_outside(sheet: Sheet) -> None:
    """Plant around the data set."""
    values, dataset = sheet.person.values, sheet.dataset
    meta = dataset.file_meta
    if sheet.chance(0.5):
        title = Value("B", "AE" + values["postcode"].text)  # an application named after its town
        for tag in (0x00020016, 0x00020017, 0x00020018):
            meta[tag] = DataElement(tag, "AE", title.text)
            sheet.removed((Step(tag),), title, "AE")
    if sheet.chance(0.3):
        meta.PrivateInformationCreatorUID = UID("1.2.826.0.1.3680043.10.9417.99")
        meta.PrivateInformation = f"patient {values['ssn'].text} ".encode("ascii")
        sheet.removed((Step(0x00020102),), values["ssn"], "OB")
    if sheet.chance(0.5):
        text = f"{values['mrn'].text} {values['ssn'].text} {values['birth8'].text}"
        dataset.preamble = text.encode("ascii").ljust(128, b"\0")
        for form in ("mrn", "ssn", "birth8"):
            sheet.removed(PREAMBLE, values[form], "")
    else:
        dataset.preamble = bytes(128)
    if sheet.chance(0.2):
        value = values["account"]
        padding = value.text.encode("ascii").ljust(64, b"\0")
        dataset[_PADDING] = DataElement(_PADDING, "OB", padding)
        sheet.removed((Step(_PADDING),), value, "OB")
    sheet.check((Step(0x00020003),), Action.UID_CHANGED, str(dataset.SOPInstanceUID), "HIPAA-R",
                vr="UI", waived_by="retain_uids")  # fmt: skip
