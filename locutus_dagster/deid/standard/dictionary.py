"""What the standard's data dictionary and UID registry say, as plain lookups.

What belongs here: facts of PS3.6 (tag -> VR, registered UIDs) in the shape that the codec and the
rules need, taken from pydicom's copy (PS3.6, edition 2024c in pydicom 3.0). What does not: any
decision about what to do with an attribute; those are in `policy.py`.
"""

from __future__ import annotations

import hashlib

# The same objects as pydicom.datadict.DicomDictionary and pydicom.uid.UID_dictionary, taken from
# where they are defined.
from pydicom._dicom_dict import DicomDictionary
from pydicom._uid_dict import UID_dictionary

__all__ = [
    "ALLOWED_VRS",
    "CLASS_LIKE_UIDS",
    "LONG_VRS",
    "SHORT_VRS",
    "SOP_CLASSES",
    "TRANSFER_SYNTAXES",
    "UNDEFINED",
    "VR_OF",
    "WELL_KNOWN_UIDS",
    "dictionary_digest",
]

#: The length that says "until the delimiter" (PS3.5 7.1.1).
UNDEFINED = 0xFFFFFFFF

_SHORT = "AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US"
_LONG = "OB OD OF OL OV OW SQ SV UC UN UR UT UV"

#: Explicit VRs with a 16-bit length (PS3.5 Table 7.1-2), by their two bytes.
SHORT_VRS: dict[bytes, str] = {vr.encode(): vr for vr in _SHORT.split()}
#: Explicit VRs with two reserved bytes and a 32-bit length (PS3.5 Table 7.1-1).
LONG_VRS: dict[bytes, str] = {vr.encode(): vr for vr in _LONG.split()}


def _allowed(entry: str) -> tuple[str, ...]:
    vrs = tuple(entry.split(" or "))
    # PS3.5 8.2 lets native pixel-like data be written either way, depending on bits and syntax.
    return ("OW", "OB") if vrs == ("OB", "OW") else vrs


#: tag -> the VRs that the dictionary allows, the one to assume in implicit VR first. Attributes
#: of repeating groups (50xx, 60xx, ...) are absent on purpose: none of them is ever kept.
ALLOWED_VRS: dict[int, tuple[str, ...]] = {
    tag: _allowed(entry[0])
    for tag, entry in DicomDictionary.items()
    if entry[0] != "NONE" and tag >> 16 >= 0x0008
}
#: tag -> the VR to assume where the encoding does not say.
VR_OF: dict[int, str] = {tag: vrs[0] for tag, vrs in ALLOWED_VRS.items()}

#: Every UID that PS3.6 Annex A registers: it names a concept, never a patient's object.
WELL_KNOWN_UIDS: frozenset[str] = frozenset(UID_dictionary)

#: Registered SOP classes, UID -> name (PS3.6 Table A-1), retired ones included.
SOP_CLASSES: dict[str, str] = {
    uid: entry[0] for uid, entry in UID_dictionary.items() if entry[1] == "SOP Class"
}
#: Registered transfer syntaxes.
TRANSFER_SYNTAXES: frozenset[str] = frozenset(
    uid for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax"
)

#: UI attributes that name a class, a code system or an encoding rather than an object: their
#: values stay even where they are not registered (private SOP classes, local code systems).
CLASS_LIKE_UIDS: frozenset[int] = frozenset(
    {
        0x00080016,  # SOP Class UID
        0x0008001A,  # Related General SOP Class UID
        0x0008001B,  # Original Specialized SOP Class UID
        0x00080062,  # SOP Classes in Study
        0x0008010C,  # Coding Scheme UID
        0x00080117,  # Context UID
        0x00080118,  # Mapping Resource UID
        0x0008040E,  # Stored Instance Transfer Syntax UID
        0x00081150,  # Referenced SOP Class UID
        0x0008115A,  # SOP Classes Supported
        0x00083002,  # Available Transfer Syntax UID
        0x0018100B,  # Manufacturer's Device Class UID
        0x00340003,  # Flow Transfer Syntax UID
        0x04000010,  # MAC Calculation Transfer Syntax UID
        0x04000510,  # Encrypted Content Transfer Syntax UID
        0x30100052,  # Pertinent SOP Classes in Study
        0x30100053,  # Pertinent SOP Classes in Series
    }
)


def dictionary_digest() -> str:
    """Return a digest of the dictionary and registry in use.

    The dictionary decides which attributes are standard, hence it is part of a policy's
    fingerprint: another pydicom may know other attributes.
    """
    digest = hashlib.sha256()
    for tag in sorted(ALLOWED_VRS):
        digest.update(f"{tag:08X}{'/'.join(ALLOWED_VRS[tag])}\n".encode())
    digest.update("\n".join(sorted(WELL_KNOWN_UIDS)).encode())
    return digest.hexdigest()
