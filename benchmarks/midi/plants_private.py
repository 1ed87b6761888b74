"""Plants in private elements: identifiers that must go, and known technical values that must stay.

What belongs here: private attributes at any depth. What does not: the standard's attributes.

The safe attributes are a few well-known ones of PS3.15 Table E.3.10-1, edition 2026a, written down
here again, so that a mistake in the engine's table shows.
"""

from __future__ import annotations

from dataclasses import replace

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from benchmarks.midi import checks as c
from benchmarks.midi.checks import Action
from benchmarks.midi.people import Value
from benchmarks.midi.places import Place, Step, find, text_of
from benchmarks.midi.sheet import Sheet

__all__ = ["plant_private"]

#: Creator, group, low byte, VR, a value, modalities.
_SAFE = (
    ("SIEMENS MR HEADER", 0x0019, 0x0C, "IS", "1000", ("MR",)),
    ("SIEMENS MR HEADER", 0x0019, 0x0D, "CS", "DIRECTIONAL", ("MR",)),
    ("SIEMENS MR HEADER", 0x0019, 0x0E, "FD", [0.5, -0.5, 0.25], ("MR",)),
    ("GEMS_PARM_01", 0x0043, 0x39, "IS", ["1000", "8", "0", "0"], ("MR",)),
    ("GEMS_PARM_01", 0x0043, 0x27, "SH", "0.984:1", ("CT",)),
    ("GEMS_ACQU_01", 0x0019, 0x23, "DS", "39.37", ("CT",)),
    ("GEMS_ACQU_01", 0x0019, 0x24, "DS", "0.000000", ("CT",)),
    ("GEMS_ACQU_01", 0x0019, 0x27, "DS", "0.800000", ("CT",)),
    ("GEMS_ACQU_01", 0x0019, 0x9E, "LO", "FSE", ("MR",)),
    ("Philips MR Imaging DD 001", 0x2005, 0x0D, "FL", 0.0, ("MR",)),
    ("Philips MR Imaging DD 001", 0x2005, 0x0E, "FL", 1.25, ("MR",)),
    ("Philips Imaging DD 001", 0x2001, 0x03, "FL", 800.0, ("MR",)),
    ("Philips PET Private Group", 0x7053, 0x00, "DS", "0.000342", ("PT",)),
    ("Philips PET Private Group", 0x7053, 0x09, "DS", "1.25", ("PT",)),
    ("ELSCINT1", 0x01F1, 0x07, "DS", "38.4", ("CT",)),
    ("ELSCINT1", 0x01F1, 0x27, "DS", "0.75", ("CT",)),
)
_LOCAL = "LOCAL RIS 1.0"


def plant_private(sheet: Sheet) -> None:
    """Plant private elements, and write that safe ones must stay."""
    _safe(sheet)
    if sheet.chance(0.7):
        _local_block(sheet)
    if sheet.chance(0.3):
        _vendor_blocks(sheet)
    if sheet.chance(0.2):
        _orphan(sheet)


def _safe(sheet: Sheet) -> None:
    """Add the safe attributes of one maker, and check those of every maker that are there."""
    modality = str(sheet.dataset.get("Modality", ""))
    makers = sorted({safe[0] for safe in _SAFE if modality in safe[5]})
    maker = sheet.rng.choice(makers) if makers else ""
    for creator, group, low, vr, value, modalities in _SAFE:
        place = (Step(group << 16 | low, creator.upper()),)
        if creator == maker and modality in modalities and find(sheet.dataset, place) is None:
            block = sheet.dataset.private_block(group, creator, create=True)
            sheet.dataset[block.get_tag(low)] = DataElement(block.get_tag(low), vr, value)
        element = find(sheet.dataset, place)
        if element is not None:
            text = text_of(element, vr)
            if text.strip("\\ "):
                sheet.check(place, Action.TEXT_RETAINED, text, c.SAFE_PRIVATE, vr=vr)


def _private(
    sheet: Sheet, dataset: Dataset, sequences: Place, creator: str, group: int, low: int,
    vr: str, value: Value, content: object = None,
) -> None:  # fmt: skip
    """Plant an identifier in a private element.

    Args:
        sheet: the file.
        dataset: the data set or item that gets the element.
        sequences: the path to that item.
        creator, group, low, vr: the element.
        value: the identifier.
        content: what is written; the identifier's text unless given.
    """
    tag = dataset.private_block(group, creator, create=True).get_tag(low)
    dataset[tag] = DataElement(tag, vr, value.text if content is None else content)
    sheet.removed((*sequences, Step(group << 16 | low, creator.upper())), value, vr)


def _local_block(sheet: Sheet) -> None:
    """The block of a radiology information system that nobody has heard of."""
    values, dataset = sheet.person.values, sheet.dataset
    group = 0x0009

    def plant(low: int, vr: str, form: str, content: object = None) -> None:
        _private(sheet, dataset, (), _LOCAL, group, low, vr, values[form], content)

    plant(0x01, "LO", "mrn")
    plant(0x02, "PN", "dicom")
    plant(0x03, "LT", "address")
    plant(0x04, "DA", "birth8")
    plant(0x05, "UT", "email")
    mrn, ip, login = values["mrn"].text, values["ip"].text, values["biometric"].text
    plant(0x06, "UN", "biometric", f"mrn={mrn};key={login};".encode("ascii"))
    # UTF-16, as programs on Windows write their own structures.
    plant(0x07, "OB", "ip", f"{ip}; ".encode("utf-16-le"))
    tag = dataset.private_block(group, _LOCAL, create=True).get_tag(0x10)
    item = Dataset()
    dataset[tag] = DataElement(tag, "SQ", [item])
    step = Step(group << 16 | 0x10, _LOCAL, item=0)
    sheet.identifier("PatientName", values["dicom"], below=(item, (step,)))
    _private(sheet, item, (step,), _LOCAL, group, 0x01, "LO", values["account"])
    if dataset.file_meta.TransferSyntaxUID.is_implicit_VR:
        # Nobody can tell then that this is a sequence: what is in it are bytes to a reader.
        inside = [check for check in sheet.checks if check.place[:1] == (step,)]
        sheet.checks = [check for check in sheet.checks if check not in inside]
        sheet.checks += [replace(check, place=(replace(step, item=None),)) for check in inside]


def _vendor_blocks(sheet: Sheet) -> None:
    """Attributes on no list of safe ones, in the blocks of makers that have safe ones."""
    values, dataset = sheet.person.values, sheet.dataset
    for creator, group, low, vr, form in (
        ("GEMS_SERS_01", 0x0025, 0x1A, "LO", "full"),
        ("SIEMENS MR HEADER", 0x0019, 0x55, "LO", "mrn"),
        ("GEMS_PATI_01", 0x0011, 0x12, "LO", "plate"),
        ("SIEMENS MEDCOM HEADER", 0x0029, 0x31, "LO", "vin"),
    ):
        _private(sheet, dataset, (), creator, group, low, vr, values[form])


def _orphan(sheet: Sheet) -> None:
    """A private element whose block nobody has reserved."""
    dataset, value = sheet.dataset, sheet.person.values["implant"]
    group = 0x0017
    if not any(element.tag.group == group for element in dataset):
        tag = group << 16 | 0x1001
        dataset[tag] = DataElement(tag, "LO", value.text)
        sheet.removed((Step(group << 16 | 0x01, ""),), value, "LO")
