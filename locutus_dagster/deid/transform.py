"""Carrying a policy out on one walked instance.

What belongs here: from elements and a policy to the bytes of the de-identified data set. Kept
elements are copied as bytes, neighbours as one slice; only what changes is encoded. What does
not: the choice of actions (`policy.py`), whether the instance is delivered (`bouncers.py`).

Decisions depend on tag, VR and encoding only, so each is taken once in a study and looked up
afterwards.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TypeAlias

from locutus_dagster.deid.codec import FRAGMENTS, PIXEL_DATA, Buffer, Element
from locutus_dagster.deid.dictionary import (
    ALLOWED_VRS,
    CLASS_LIKE_UIDS,
    LONG_VRS,
    SHORT_VRS,
    WELL_KNOWN_UIDS,
)
from locutus_dagster.deid.encode import DUMMIES, Encoder, file_meta
from locutus_dagster.deid.part10 import Instance
from locutus_dagster.deid.policy import ENGINE_VERSION, Action, Policy
from locutus_dagster.deid.pseudonyms import Pseudonyms
from locutus_dagster.deid.table import EDITION

__all__ = ["PIXEL_TAGS", "Output", "Segment", "StudyTransform", "UidMap"]

#: Pixel Data, Float Pixel Data, Double Float Pixel Data.
PIXEL_TAGS = (0x7FE00008, 0x7FE00009, PIXEL_DATA)

# What a decision can be, besides bytes that take the element's place.
_KEEP = None
_GONE = b""
_MAP_UIDS = 1
_RECURSE = 2
_UNDECIDED = 3
_Decision: TypeAlias = "bytes | int | None"

_PATIENT_NAME = 0x00100010
_PATIENT_ID = 0x00100020
_METHOD_FIRST = 0x00120062
_METHOD = (0x00120062, 0x00120063, 0x00120064)
_LONGITUDINAL = 0x00280303
#: Attributes that the engine itself states in every instance; what the input says goes.
_STATED = frozenset((*_METHOD, _LONGITUDINAL))

#: A kept value of more bytes than this is handed on as a view instead of being copied.
_LARGE = 1 << 18


@dataclass(frozen=True)
class Segment:
    """A piece of the output, in order.

    Attributes:
        data: the bytes: whole elements, or one large value.
        tag: the tag of the large value, None for elements.
        tail: bytes at the end of `data` that are the header of the large value that follows.
        native: whether this is native pixel data, which nobody searches for text.
    """

    data: bytes | memoryview
    tag: int | None = None
    tail: int = 0
    native: bool = False

    def __repr__(self) -> str:
        return f"Segment({len(self.data)} bytes)"


@dataclass(frozen=True)
class Output:
    """A de-identified instance: file meta information, then the data set in segments."""

    meta: bytes
    segments: list[Segment]
    explicit: bool
    little: bool

    def __repr__(self) -> str:
        return f"Output({self.size} bytes)"

    @property
    def size(self) -> int:
        """Size of the file in bytes."""
        return len(self.meta) + sum(len(segment.data) for segment in self.segments)

    @property
    def held(self) -> int:
        """Bytes of memory that the output holds; large values are views and not counted."""
        return len(self.meta) + sum(
            len(segment.data) for segment in self.segments if segment.tag is None
        )


class UidMap:
    """Raw UI values and what takes their place, for one study."""

    __slots__ = ("_mapped", "_pseudonyms")

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms
        self._mapped: dict[bytes, bytes] = {}

    def value(self, raw: bytes) -> bytes:
        """Return the new value; several values are mapped one by one.

        Registered UIDs name concepts and stay, also where the profile says U: a well-known frame
        of reference such as the Talairach atlas is no patient's (PS3.6 Annex A).
        """
        mapped = self._mapped.get(raw)
        if mapped is None:
            mapped = b"\\".join(self._one(uid) for uid in raw.split(b"\\"))
            self._mapped[raw] = mapped
        return mapped

    def _one(self, raw: bytes) -> bytes:
        uid = raw.strip(b" \0").decode("utf-8", "surrogateescape")
        if not uid or uid in WELL_KNOWN_UIDS:
            return raw.strip(b" \0")
        return self._pseudonyms.uid(uid).encode()


class StudyTransform:
    """Transforms the instances of one study.

    Args:
        policy: what to do.
        pseudonyms: the keyed identities.
        subject_id: the research identity; checked by the caller.
    """

    def __init__(self, policy: Policy, pseudonyms: Pseudonyms, subject_id: str) -> None:
        self._policy = policy
        self._uids = UidMap(pseudonyms)
        self._subject = subject_id.encode("ascii")
        self._encodings: dict[tuple[bool, bool], _Encoding] = {}

    def apply(self, instance: Instance, sop_class: str) -> Output:
        """Return the de-identified instance.

        Raises:
            UnreadableError: a new value does not fit its element.
        """
        key = (instance.explicit, instance.little)
        encoding = self._encodings.get(key)
        if encoding is None:
            encoding = _Encoding(self._policy, self._uids, self._subject, *key)
            self._encodings[key] = encoding
        sop_instance = self._uids.value(instance.value(0x00080018)).decode()
        meta = file_meta(sop_class, sop_instance, instance.transfer_syntax)
        return Output(meta, encoding.top(instance), *key)


class _Encoding:
    """The policy in one encoding: decisions as bytes.

    Args:
        dummies: whether this is the inside of a sequence that the profile replaces by a dummy.
            Such a sequence stays a valid one of its kind, and nothing that it says survives: the
            code of a person, say, whose value and meaning no rule names for themselves.
    """

    def __init__(
        self,
        policy: Policy,
        uids: UidMap,
        subject: bytes,
        explicit: bool,
        little: bool,
        dummies: bool = False,
    ) -> None:
        self._policy = policy
        self._uids = uids
        self._subject = subject
        self._encoder = Encoder(explicit=explicit, little=little)
        vrs = (*SHORT_VRS.values(), *LONG_VRS.values())
        self._decisions: dict[str, dict[int, _Decision]] = {vr: {} for vr in vrs}
        # Sequences inside UN are written in implicit VR little endian, whatever surrounds them.
        self._unknown = self
        if explicit or not little:
            self._unknown = _Encoding(policy, uids, subject, False, True, dummies)
        self._dummies = dummies
        self._dummy = self
        if not dummies:
            self._dummy = _Encoding(policy, uids, subject, explicit, little, dummies=True)
        element = self._encoder.element
        self._name = element(_PATIENT_NAME, "PN", subject)
        self._id = element(_PATIENT_ID, "LO", subject)
        self._method = self._state_method()
        self._longitudinal = element(_LONGITUDINAL, "CS", b"REMOVED")

    def _state_method(self) -> bytes:
        """Return the attributes that say how the instance was de-identified (PS3.15 E.1-1)."""
        element, policy = self._encoder.element, self._policy
        method = (
            f"Locutus on Dagster {ENGINE_VERSION}\\PS3.15 {EDITION} {policy.name.capitalize()}"
            f"\\policy {policy.fingerprint}"
        )
        code = (  # CID 7050
            element(0x00080100, "SH", b"113100")
            + element(0x00080102, "SH", b"DCM")
            + element(0x00080104, "LO", b"Basic Application Confidentiality Profile")
        )
        return (
            element(0x00120062, "CS", b"YES")
            + element(0x00120063, "LO", method.encode("ascii"))
            + element(0x00120064, "SQ", self._encoder.item(code))
        )

    def top(self, instance: Instance) -> list[Segment]:
        """Return the segments of a whole data set."""
        elements, tags = instance.elements, instance.tags
        inserts = [(_METHOD_FIRST, self._method), (_LONGITUDINAL, self._longitudinal)]
        if instance.find(_PATIENT_ID) is None:
            inserts.insert(0, (_PATIENT_ID, self._id))
        if instance.find(_PATIENT_NAME) is None:
            inserts.insert(0, (_PATIENT_NAME, self._name))
        pieces: list[bytes | memoryview] = []
        segments: list[Segment] = []
        done = 0
        for tag, stated in inserts:
            at = bisect_left(tags, tag)
            self._stretch(instance, done, at, pieces, segments)
            pieces.append(stated)
            done = at
        at = bisect_left(tags, PIXEL_TAGS[0])
        self._stretch(instance, done, at, pieces, segments)
        self._stretch(instance, at, len(elements), pieces, segments)
        if pieces:
            segments.append(Segment(b"".join(pieces)))
        return segments

    def _stretch(
        self,
        instance: Instance,
        first: int,
        last: int,
        pieces: list[bytes | memoryview],
        segments: list[Segment],
    ) -> None:
        """Transform a stretch of top-level elements, cutting out large values."""
        elements, buf = instance.elements, instance.buf
        done = first
        if first < last and (
            elements[last - 1][4] - elements[first][2] > _LARGE
            or elements[last - 1][0] >= PIXEL_TAGS[0]
        ):
            for at in range(first, last):
                element = elements[at]
                tag, vr, start, value, end, items = element
                pixels = tag in PIXEL_TAGS
                if not pixels and (end - value <= _LARGE or items):
                    continue
                if self._decide(vr, tag, items) is not _KEEP:
                    continue
                self._elements(buf, elements[done:at], pieces)
                done = at + 1
                pieces.append(buf[start:value])
                segments.append(Segment(b"".join(pieces), tail=value - start))
                pieces.clear()
                native = pixels and items is not FRAGMENTS and not instance.encapsulated
                segments.append(Segment(memoryview(buf)[value:end], tag=tag, native=native))
        self._elements(buf, elements[done:last], pieces)

    def _elements(
        self, buf: Buffer, elements: list[Element], pieces: list[bytes | memoryview]
    ) -> bool:
        """Append the transformed elements; return whether anything differs from the input."""
        decisions = self._decisions
        append = pieces.append
        changed = False
        first = last = -1  # the run of kept bytes that is still to be copied
        for tag, vr, start, value, end, items in elements:
            decision = decisions[vr].get(tag, _UNDECIDED)
            if decision is _KEEP:
                if start != last:
                    if first >= 0:
                        append(buf[first:last])
                    first = start
                last = end
                continue
            if decision is _UNDECIDED:
                decision = self._decide(vr, tag, items)
            if decision is _GONE:
                changed = True  # the gap it leaves ends the run
                continue
            new: bytes | None
            if decision is _RECURSE:
                new = self._sequence(buf, tag, vr, items)
            elif decision is _MAP_UIDS:
                new = self._uid(buf, tag, value, end)
            else:
                assert decision is None or isinstance(decision, bytes)
                new = decision
            if new is not None:
                changed = True
                if first >= 0:
                    append(buf[first:last])
                    first = last = -1
                append(new)
            else:
                if start != last:
                    if first >= 0:
                        append(buf[first:last])
                    first = start
                last = end
        if first >= 0:
            append(buf[first:last])
        return changed

    def _uid(self, buf: Buffer, tag: int, value: int, end: int) -> bytes | None:
        raw = bytes(buf[value:end])
        new = self._uids.value(raw)
        if new == raw.strip(b" \0"):
            return None
        return self._encoder.element(tag, "UI", new)

    def _sequence(
        self, buf: Buffer, tag: int, vr: str, items: list[list[Element]] | None
    ) -> bytes | None:
        """Return the cleaned sequence, None where nothing in it changes."""
        if items is None:
            # Declared UN, and not a sequence after all: nobody can vouch for it.
            return _GONE
        inner = self._dummy if self._policy.action(tag) is Action.DUMMY else self
        if vr == "UN":
            inner = inner._unknown
        changed = False
        rebuilt = []
        for elements in items:
            pieces: list[bytes | memoryview] = []
            changed |= inner._elements(buf, elements, pieces)
            rebuilt.append(inner._encoder.item(b"".join(pieces)))
        return self._encoder.element(tag, vr, b"".join(rebuilt)) if changed else None

    def _decide(self, vr: str, tag: int, items: object) -> _Decision:
        decisions = self._decisions[vr]
        if tag not in decisions:
            decisions[tag] = self._decision(vr, tag)
        decision = decisions[tag]
        # An attribute with fragments that is not pixel data cannot be kept or recursed into;
        # the codec lets fragments pass for pixel data only, so there is nothing to do here.
        assert items is not FRAGMENTS or tag == PIXEL_DATA
        return decision

    def _decision(self, vr: str, tag: int) -> _Decision:
        """Decide about an attribute as found: what to do, in the terms of this encoding."""
        if tag in _STATED:
            return _GONE
        allowed = ALLOWED_VRS.get(tag)
        action = self._policy.action(tag)
        if action is Action.REMOVE or allowed is None:
            # What the dictionary does not know can be anything; the attributes that the table
            # knows and this dictionary does not are removals, all of them (tested).
            return _GONE
        standard = allowed[0]
        element = self._encoder.element
        if action is Action.SUBJECT:
            return element(tag, standard, self._subject)
        if action is Action.EMPTY:
            return element(tag, standard, b"")
        plausible = vr in allowed or vr == "UN"
        if standard == "SQ":
            # An attribute that is no sequence where it should be one cannot be cleaned.
            return _RECURSE if plausible else _GONE
        if action is Action.UID or (standard == "UI" and tag not in CLASS_LIKE_UIDS):
            return _MAP_UIDS
        if action is Action.DUMMY or (self._dummies and tag not in CLASS_LIKE_UIDS):
            return element(tag, standard, DUMMIES[standard])
        return _KEEP if plausible else _GONE
