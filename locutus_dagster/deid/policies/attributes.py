"""Which attribute a policy file means, and what can be done to it.

What belongs here: from keyword, tag or path to tags, and which actions fit an attribute. What does
not: what happens if nobody says anything (`compiling.py`), reading a file (`reading.py`).
"""

from __future__ import annotations

import re
from functools import lru_cache

from pydicom._dicom_dict import DicomDictionary
from pydicom.config import RAISE
from pydicom.datadict import private_dictionary_VR
from pydicom.valuerep import validate_value

from locutus_dagster.deid.encoding.encode import DUMMIES
from locutus_dagster.deid.policies.model import Action, PrivateElement
from locutus_dagster.deid.policies.problems import MistakeError, suggestion
from locutus_dagster.deid.standard.dictionary import LONG_VRS, SHORT_VRS, VR_OF
from locutus_dagster.deid.standard.table import load_table

__all__ = [
    "ACTIONS",
    "check_action",
    "check_private_action",
    "check_replacement",
    "fits",
    "known_tag",
    "parse_path",
    "parse_private",
    "parse_vr",
    "private_vr",
    "tag_text",
]

#: What a policy file calls the actions.
ACTIONS: dict[str, Action] = {
    "keep": Action.KEEP,
    "remove": Action.REMOVE,
    "empty": Action.EMPTY,
    "dummy": Action.DUMMY,
    "map-uid": Action.UID,
    "clean": Action.CLEAN,
    "shift": Action.SHIFT,
    "subject": Action.SUBJECT,
    "replace": Action.REPLACE,
}
_WORDS = {action: word for word, action in ACTIONS.items()}

_ALWAYS = (Action.KEEP, Action.REMOVE, Action.EMPTY)
_FREE_TEXT = frozenset(("LO", "LT", "SH", "ST", "UC", "UT"))
#: The VRs that other actions fit.
_FITS: dict[Action, frozenset[str]] = {
    Action.DUMMY: frozenset(DUMMIES) | {"SQ"},
    Action.UID: frozenset(("UI",)),
    Action.CLEAN: _FREE_TEXT | {"CS", "SQ"},
    Action.SHIFT: frozenset(("DA", "DT", "TM")),
    Action.SUBJECT: _FREE_TEXT | {"PN"},
    Action.REPLACE: _FREE_TEXT | {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "PN", "TM", "UR"},
}

#: What every instance needs as it is, or it could not be delivered or read.
_NEEDED: dict[int, tuple[Action, ...]] = {
    0x00080005: (Action.KEEP,),  # Specific Character Set
    0x00080016: (Action.KEEP,),  # SOP Class UID
    0x00080018: (Action.UID, Action.KEEP),  # SOP Instance UID
    0x0020000D: (Action.UID, Action.KEEP),  # Study Instance UID
    0x0020000E: (Action.UID, Action.KEEP),  # Series Instance UID
    0x7FE00008: (Action.KEEP,),  # Float Pixel Data
    0x7FE00009: (Action.KEEP,),  # Double Float Pixel Data
    0x7FE00010: (Action.KEEP,),  # Pixel Data
}
#: Sequences that the profile keeps with their references mapped where the IOD asks for them
#: (X/Z/U*): a site may ask for that everywhere. Source and Referenced Image Sequence.
_MAPPED_SEQUENCES = frozenset((0x00082112, 0x00081140))
#: What the engine itself states in every instance (PS3.15 E.1.1).
_STATED = frozenset((0x00120062, 0x00120063, 0x00120064, 0x00280303))

_DEEPEST = 16
_TAG = re.compile(r"\(([0-9A-Fa-f]{4}),\s*([0-9A-Fa-f]{4})\)|([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})")
_ELEMENT = re.compile(r"\(?([0-9A-Fa-f]{4}),\s*[xX]{2}([0-9A-Fa-f]{2})\)?")
_PLAIN = re.compile(r"[ -\[\]-~]{1,64}")  # printable ASCII without backslash
_VRS = frozenset(SHORT_VRS.values()) | frozenset(LONG_VRS.values())


def tag_text(tag: int) -> str:
    """Return a tag as people write it, such as "(0008,1030)"."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


@lru_cache(maxsize=1)
def _keywords() -> dict[str, int]:
    """Return keyword -> tag: the data dictionary's, and those that Table E.1-1 implies.

    The table may be of a later edition than the dictionary. A keyword is the name with a capital
    letter at each word, without apostrophes, spaces and other signs (PS3.6 chapter 5).
    """
    found: dict[str, int] = {}
    for row in load_table():
        if row.tag is not None and row.tag not in DicomDictionary:
            words = re.split(r"[^A-Za-z0-9]+", row.name.replace("'s", ""))
            found["".join(word[:1].upper() + word[1:] for word in words)] = row.tag
    found.update((entry[4], tag) for tag, entry in DicomDictionary.items() if entry[4])
    return found


def known_tag(tag: int) -> None:
    """Check that rules about a standard attribute have an effect.

    Raises:
        MistakeError: the attribute is private, or of no data set, or not known, or what happens to
            it is fixed.
    """
    group = tag >> 16
    if group & 1:
        raise MistakeError(
            "this is a private attribute, and its number says nothing without its creator; in a "
            "policy file (.yaml), write private: CREATOR and element: (0019,xx0C)"
        )
    if group < 0x0008:
        raise MistakeError("groups below 0008 are written anew in every file; a rule has no effect")
    if group & 0xFF00 in (0x5000, 0x6000):
        raise MistakeError("curves and overlays are always removed; a rule has no effect")
    if tag not in VR_OF and tag not in _keywords().values():
        raise MistakeError("the standard has no such attribute; check the number")
    if tag in _STATED:
        raise MistakeError("the engine states this attribute itself; a rule has no effect")


def _step(text: str) -> int:
    match = _TAG.fullmatch(text)
    if match:
        return int("".join(part for part in match.groups() if part), 16)
    tag = _keywords().get(text)
    if tag is None:
        near = suggestion(text, _keywords())
        raise MistakeError(
            f"the standard has no attribute of this keyword{near or '; write it as in PS3.6'}"
        )
    return tag


def parse_path(text: str) -> tuple[int, ...]:
    """Return the tags of a path, from the outermost sequence to the attribute.

    Args:
        text: keywords or tags, separated by "/": "StudyDescription", "(0008,1030)", "00081030",
            "RequestAttributesSequence/(0040,0007)".

    Raises:
        MistakeError: an attribute is not known, a step on the way is no sequence, or a rule about
            the attribute has no effect.
    """
    steps = text.split("/")
    if len(steps) > _DEEPEST:
        raise MistakeError("the path goes through too many sequences")
    path = tuple(_step(step.strip()) for step in steps)
    for tag in path:
        known_tag(tag)
    for tag in path[:-1]:
        if VR_OF.get(tag) != "SQ":
            raise MistakeError("every step of a path but the last must be a sequence")
    return path


def parse_private(creator: str, element: str) -> PrivateElement:
    """Return the private attribute that a creator and "(0019,xx0C)" mean (PS3.5 7.8.1).

    Raises:
        MistakeError: the creator or the element is not written so.
    """
    if not _PLAIN.fullmatch(creator) or creator != creator.strip():
        raise MistakeError(
            "a private creator is 1 to 64 printable ASCII characters without backslash"
        )
    match = _ELEMENT.fullmatch(element)
    if match is None:
        raise MistakeError(
            "write the element as (0019,xx0C): group, xx for the block, which differs from file "
            "to file, and the last two digits"
        )
    group = int(match[1], 16)
    if not group & 1 or group < 0x0009 or group == 0xFFFF:
        raise MistakeError("private groups are odd, from 0009 to FFFD; check the group")
    return PrivateElement(creator, group, int(match[2], 16))


def parse_vr(text: str) -> str:
    """Return a VR of PS3.5 6.2.

    Raises:
        MistakeError: it is none.
    """
    if text not in _VRS:
        raise MistakeError(f"there is no such VR; there are {', '.join(sorted(_VRS))}")
    return text


def private_vr(place: PrivateElement) -> str:
    """Return the VR that pydicom's private dictionary gives, "" where it does not know."""
    block = (place.group << 16) | 0x1000 | place.element
    try:
        vr = private_dictionary_VR(block, place.creator)
    except KeyError:
        return ""
    return vr if vr in _VRS and vr != "UN" else ""


def check_action(action: Action, tag: int, *, nested: bool = False) -> None:
    """Check that an action can be carried out on a standard attribute.

    Args:
        action: one of `ACTIONS`.
        tag: the attribute.
        nested: whether the rule is about one place inside a sequence only.

    Raises:
        MistakeError: it cannot; the message names those that can.
    """
    vr = VR_OF.get(tag, "")
    if not vr:
        if action is not Action.REMOVE:
            raise MistakeError("the attribute is newer than the data dictionary; write remove")
        return
    if tag in _NEEDED and not nested and action not in _NEEDED[tag]:
        words = " or ".join(_WORDS[one] for one in _NEEDED[tag])
        raise MistakeError(f"an instance cannot be delivered without this attribute; write {words}")
    if action is not Action.UID or tag not in _MAPPED_SEQUENCES:
        _check_vr(action, vr)


def check_private_action(action: Action, vr: str) -> None:
    """Check that an action can be carried out on a private attribute.

    Args:
        action: one of `ACTIONS`.
        vr: its VR, "" where not known.

    Raises:
        MistakeError: it cannot.
    """
    if vr:
        _check_vr(action, vr)
    elif action not in _ALWAYS:
        raise MistakeError("nobody knows the VR of this private attribute; add vr:")


def fits(action: Action, vr: str) -> bool:
    """Tell whether an action of `ACTIONS` can be carried out on values of a VR."""
    return action in _ALWAYS or vr in _FITS[action]


def _check_vr(action: Action, vr: str) -> None:
    if not fits(action, vr):
        fitting = ", ".join(word for word, one in ACTIONS.items() if fits(one, vr))
        raise MistakeError(
            f"{_WORDS[action]} does not fit an attribute of VR {vr}; write one of {fitting}"
        )


def check_replacement(text: str, vr: str) -> None:
    """Check the text that takes a value's place.

    Args:
        text: the text.
        vr: a VR that `Action.REPLACE` fits.

    Raises:
        MistakeError: it is not plain, too long, or no value of the VR (PS3.5 6.2).
    """
    if not _PLAIN.fullmatch(text):
        raise MistakeError(
            "a replacement is 1 to 64 printable ASCII characters without backslash, in quotes"
        )
    try:
        validate_value(vr, text, RAISE)
    except ValueError:
        raise MistakeError(f"the replacement is no legal value of VR {vr} (PS3.5 6.2)") from None
