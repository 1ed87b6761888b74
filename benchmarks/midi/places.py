"""Where a value stands in a data set: a path of tags, its text form, and how it is found.

What belongs here: the path model, its text form (as in the answer keys of MIDI-style
benchmarks), finding an element, reading its value as text. What does not: what is expected there.

The text form joins steps, as in `<(0008,1140)>[<0000>]<(0008,1155)>`. A private step names the
creator in capitals and the low byte: `<(0019,"CREATOR",92)>`. Creator "" means a private element
without a creator. `<preamble>` is the 128 bytes before the file meta information.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

__all__ = [
    "PREAMBLE",
    "Place",
    "Step",
    "at",
    "find",
    "format_place",
    "parse_place",
    "text_of",
    "without_items",
]

_STEP = re.compile(
    r"<\((?P<group>[0-9a-f]{4}),"
    r'(?:(?P<element>[0-9a-f]{4})|"(?P<creator>[^"]*)",(?P<low>[0-9a-f]{2}))\)>'
    r"(?:\[<(?P<item>[0-9]{4})>\])?",
    re.IGNORECASE,
)
_BINARY = {"FD": "d", "FL": "f", "SL": "i", "SS": "h", "UL": "I", "US": "H"}


@dataclass(frozen=True)
class Step:
    """One step of a path.

    Attributes:
        tag: group and element; of a private attribute, group and low byte.
        creator: of a private attribute, in capitals; None for a standard one.
        item: the item that the next step looks into, None at the end.
    """

    tag: int
    creator: str | None = None
    item: int | None = None


Place = tuple[Step, ...]

#: The place of the preamble, which is no element.
PREAMBLE: Place = ()


def at(sequences: Place, tag: int, item: int) -> Place:
    """Return the path of an item of the sequence `tag`, which lies below `sequences`."""
    return (*sequences, Step(tag, item=item))


def format_place(place: Place) -> str:
    """Return the text form of a place."""
    if place == PREAMBLE:
        return "<preamble>"
    parts = []
    for step in place:
        group, element = step.tag >> 16, step.tag & 0xFFFF
        if step.creator is None:
            parts.append(f"<({group:04x},{element:04x})>")
        else:
            parts.append(f'<({group:04x},"{step.creator.upper()}",{element:02x})>')
        if step.item is not None:
            parts.append(f"[<{step.item:04d}>]")
    return "".join(parts)


def parse_place(text: str) -> Place:
    """Return the place that a text form names.

    Raises:
        ValueError: it is not the text form of a place.
    """
    if text == "<preamble>":
        return PREAMBLE
    steps, pos = [], 0
    while pos < len(text):
        match = _STEP.match(text, pos)
        if match is None:
            raise ValueError("not a path of tags")
        group, item = int(match["group"], 16), match["item"]
        low = match["element"] or match["low"]
        creator = None if match["element"] else match["creator"]
        steps.append(Step(group << 16 | int(low, 16), creator, int(item) if item else None))
        pos = match.end()
    if not steps:
        raise ValueError("an empty path")
    return tuple(steps)


def without_items(place: Place) -> Place:
    """Return a place whose item numbers are all 0: the attribute, whichever item it stands in."""
    return tuple(replace(step, item=None if step.item is None else 0) for step in place)


def find(dataset: Dataset, place: Place) -> DataElement | None:
    """Return the element at a place, None where there is none."""
    current = dataset
    for step in place:
        tag = _tag(current, step)
        if tag is None or tag not in current:
            return None
        element = current[tag]
        if step.item is None:
            return element
        if element.VR != "SQ" or step.item >= len(element.value):
            return None
        current = element.value[step.item]
    return None


def _tag(dataset: Dataset, step: Step) -> int | None:
    """Return the tag of a step in a data set; of a private attribute its block decides."""
    if step.creator is None:
        return step.tag
    group, low = step.tag >> 16 << 16, step.tag & 0xFF
    if not step.creator:  # planted in block 10, which nobody had reserved
        return None if group | 0x10 in dataset else group | 0x1000 | low
    for block in range(0x10, 0x100):
        reserved = dataset.get(group | block)
        if reserved is not None and str(reserved.value).strip().upper() == step.creator.upper():
            tag = group | block << 8 | low
            if tag in dataset:
                return tag
    return None


def text_of(element: DataElement, vr: str = "") -> str:
    r"""Return a value as text, several values joined by "\".

    Args:
        element: the element; of a sequence the text is "".
        vr: the VR that the value was planted with, for readers that only know it as UN.
    """
    value = element.value
    if value is None or element.VR == "SQ":
        return ""
    if isinstance(value, (bytes, bytearray)):
        return _text_of_bytes(bytes(value), vr)
    if isinstance(value, (list, tuple, MultiValue)):
        return "\\".join(str(one) for one in value)
    return str(value)


def _text_of_bytes(value: bytes, vr: str) -> str:
    code = _BINARY.get(vr)
    if code is not None:
        size = struct.calcsize(code)
        count = len(value) // size
        return "\\".join(map(str, struct.unpack(f"<{count}{code}", value[: count * size])))
    # Nothing says what the bytes are, so they are read in every way in which words can show.
    codecs = ("ascii",) if value.isascii() else ("utf-8", "latin-1", "iso8859-5")
    texts = [value.decode(codec, "replace") for codec in codecs]
    if b"\x1b$B" in value:
        texts.append(value.decode("iso2022_jp", "ignore"))
    if b"\0" in value.rstrip(b"\0"):
        texts.append(value.decode("utf-16-le", "ignore"))
    return " ".join(text.rstrip("\0 ") for text in texts)
