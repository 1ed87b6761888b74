"""Writing elements: headers, padding, dummies, sequences and file meta information.

What belongs here: turning a tag, a VR and a value into bytes of one encoding. What does not:
choosing what to write (`transform.py`, `policy.py`). Every value that is made here is ASCII,
hence valid in any Specific Character Set.
"""

from __future__ import annotations

from struct import Struct

from locutus_dagster.deid.faults import UnreadableError
from locutus_dagster.deid.standard.dictionary import LONG_VRS
from locutus_dagster.deid.version import ENGINE_VERSION

__all__ = ["DUMMIES", "IMPLEMENTATION_CLASS_UID", "Encoder", "file_meta"]

#: Identifies this implementation in file meta information (PS3.7 D.3.3.2); a fixed UUID.
IMPLEMENTATION_CLASS_UID = "2.25.246803175126390612740185964137055817299"
_IMPLEMENTATION_VERSION = f"LOCUTUS_{ENGINE_VERSION}"

#: VR -> a value that says nothing about anybody and is valid for the VR (PS3.5 6.2), for the
#: action D. UI and SQ are absent: UIDs are mapped, sequences are cleaned item by item.
DUMMIES: dict[str, bytes] = {
    "AE": b"REMOVED",
    "AS": b"000Y",
    "AT": bytes(4),
    "CS": b"REMOVED",
    "DA": b"19000101",
    "DS": b"0",
    "DT": b"19000101000000",
    "FD": bytes(8),
    "FL": bytes(4),
    "IS": b"0",
    "LO": b"REMOVED",
    "LT": b"REMOVED",
    "OB": bytes(2),
    "OD": bytes(8),
    "OF": bytes(4),
    "OL": bytes(4),
    "OV": bytes(8),
    "OW": bytes(2),
    "PN": b"Anonymous",
    "SH": b"REMOVED",
    "SL": bytes(4),
    "SS": bytes(2),
    "ST": b"REMOVED",
    "SV": bytes(8),
    "TM": b"000000",
    "UC": b"REMOVED",
    "UL": bytes(4),
    "UN": bytes(2),
    "UR": b"https://removed.invalid",  # a name that leads nowhere for ever (RFC 2606)
    "US": bytes(2),
    "UT": b"REMOVED",
    "UV": bytes(8),
}

_LONG = frozenset(LONG_VRS.values())
_NUL_PADDED = frozenset({"OB", "UI", "UN"})


class Encoder:
    """Writes elements in one encoding.

    Args:
        explicit: whether elements carry their VR.
        little: byte order.
    """

    __slots__ = ("_long", "_plain", "_short", "explicit", "little")

    def __init__(self, *, explicit: bool, little: bool) -> None:
        order = "<" if little else ">"
        self.explicit = explicit
        self.little = little
        self._short = Struct(order + "HH2sH").pack
        self._long = Struct(order + "HH2sHL").pack
        self._plain = Struct(order + "HHL").pack

    def element(self, tag: int, vr: str, value: bytes) -> bytes:
        """Return an element; a value of odd length is padded as its VR asks (PS3.5 6.2).

        Raises:
            UnreadableError: the value is longer than the header can say.
        """
        if len(value) & 1:
            value += b"\0" if vr in _NUL_PADDED else b" "
        group, number, length = tag >> 16, tag & 0xFFFF, len(value)
        if self.explicit and vr not in _LONG:
            if length > 0xFFFE:
                raise UnreadableError("value too long")
            return self._short(group, number, vr.encode(), length) + value
        if length > 0xFFFFFFFE:
            raise UnreadableError("value too long")
        if self.explicit:
            return self._long(group, number, vr.encode(), 0, length) + value
        return self._plain(group, number, length) + value

    def item(self, content: bytes) -> bytes:
        """Return an item of defined length."""
        if len(content) > 0xFFFFFFFE:
            raise UnreadableError("value too long")
        return self._plain(0xFFFE, 0xE000, len(content)) + content


def file_meta(sop_class: str, sop_instance: str, transfer_syntax: str) -> bytes:
    """Return a zeroed preamble and file meta information, made from nothing (PS3.10 7.1).

    Args:
        sop_class: SOP Class UID of the data set.
        sop_instance: the pseudonymous SOP Instance UID.
        transfer_syntax: UID of the encoding that follows.
    """
    element = Encoder(explicit=True, little=True).element
    group = (
        element(0x00020001, "OB", b"\0\1")
        + element(0x00020002, "UI", sop_class.encode())
        + element(0x00020003, "UI", sop_instance.encode())
        + element(0x00020010, "UI", transfer_syntax.encode())
        + element(0x00020012, "UI", IMPLEMENTATION_CLASS_UID.encode())
        + element(0x00020013, "SH", _IMPLEMENTATION_VERSION.encode())
    )
    length = len(group).to_bytes(4, "little")
    return bytes(128) + b"DICM" + element(0x00020000, "UL", length) + group
