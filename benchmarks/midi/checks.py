"""What is expected at a place: the actions, the categories, and one check of the answer key.

What belongs here: the vocabulary of the answer key. What does not: where checks come from
(`planting.py` and the plants), how they are judged (`scoring.py`), how they are stored
(`answer_key.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from benchmarks.midi.places import Place

__all__ = ["KINDS", "Action", "Check", "Needle", "category_group"]


class Action(str, Enum):
    """What a check demands.

    An eleventh action of MIDI-style keys, pixels_hidden, is not planted: text in pixels is not
    the subject of this harness yet.
    """

    TAG_RETAINED = "tag_retained"
    TEXT_NOTNULL = "text_notnull"
    TEXT_RETAINED = "text_retained"
    TEXT_REMOVED = "text_removed"
    DATE_SHIFTED = "date_shifted"
    UID_CHANGED = "uid_changed"
    UID_CONSISTENT = "uid_consistent"
    PATID_CONSISTENT = "patid_consistent"
    PIXELS_RETAINED = "pixels_retained"

    def __str__(self) -> str:
        return self.value


#: The eighteen kinds of identifiers of 45 CFR 164.514(b)(2)(i), by their letters there.
KINDS = {
    "A": "names",
    "B": "geographic subdivisions smaller than a state",
    "C": "dates, and ages over 89",
    "D": "telephone numbers",
    "E": "fax numbers",
    "F": "e-mail addresses",
    "G": "social security numbers",
    "H": "medical record numbers",
    "I": "health plan beneficiary numbers",
    "J": "account numbers",
    "K": "certificate and licence numbers",
    "L": "vehicle identifiers",
    "M": "device identifiers and serial numbers",
    "N": "URLs",
    "O": "IP addresses",
    "P": "biometric identifiers",
    "Q": "full-face photographs",
    "R": "any other unique identifying number",
}

#: Categories are named after where the demand comes from. HIPAA ones end in the letter.
IOD_1 = "DICOM-IOD-1"  # Type 1: there, and not empty
IOD_2 = "DICOM-IOD-2"  # Type 2: there
UIDS = "DICOM-P15-BASIC-U"  # the profile's consistent replacement of UIDs
PATIENT_IDS = "DICOM-P15-BASIC-C"  # and of the patient's identity
SAFE_PRIVATE = "DICOM-P15-SAFE-K"  # PS3.15 Table E.3.10-1
DESCRIPTORS = "TCIA-P15-DESC-C"  # words of a description that identify nobody
CHARACTERISTICS = "TCIA-P15-PAT-K"  # PS3.15 E.3.4, Retain Patient Characteristics
PIXELS = "TCIA-P15-PIX-K"
TECHNICAL = "TCIA-REV-TECH-K"  # attributes of the acquisition that the table does not name


@dataclass(frozen=True)
class Check:
    """One demand on one element of one file.

    Attributes:
        place: where.
        action: what.
        text: the words, date, UID, ID or checksum that the demand is about.
        category: why, as listed above.
        vr: of what was planted.
        waived_by: the option of the Basic Profile under which the value stays by the standard's
            own table; a policy with that option is not measured by this check. "" means none.
    """

    place: Place
    action: Action
    text: str = field(repr=False)
    category: str
    vr: str = ""
    waived_by: str = ""


@dataclass(frozen=True)
class Needle:
    """A planted identifier that must stand nowhere in the output.

    Attributes:
        kind: letter of `KINDS`.
        text: as planted.
        waived_by: as in `Check`.
    """

    kind: str
    text: str = field(repr=False)
    waived_by: str = ""


def category_group(category: str) -> str:
    """Return the family of a category: "HIPAA", "DICOM" or "TCIA"."""
    return category.partition("-")[0]
