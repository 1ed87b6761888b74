"""The identifiers that a study contains, collected before anything is written.

What belongs here: knowing where identifiers live in a data set, at any depth, and taking them
out. What does not: searching for them (`residue.py`).

The attributes: every person name, also in private elements; the numbers by which a hospital
knows patient, visit, order and procedure; birth date, address, telephone; every UID of an object.
Attributes that the policy keeps on purpose are no identifiers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pydicom.datadict import tag_for_keyword

from locutus_dagster.deid.encoding.charsets import codecs_of, decode
from locutus_dagster.deid.encoding.codec import Buffer, Element, Shared
from locutus_dagster.deid.encoding.part10 import Instance
from locutus_dagster.deid.faults import UnreadableError
from locutus_dagster.deid.policies.model import Action, Option, Policy
from locutus_dagster.deid.standard.dictionary import CLASS_LIKE_UIDS, VR_OF, WELL_KNOWN_UIDS

__all__ = ["Found", "Identifiers"]

_KEYWORDS = (
    "AccessionNumber",
    "AdmissionID",
    "DeviceSerialNumber",
    "FillerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequestRetired",
    "FillerOrderNumberProcedure",
    "InstitutionAddress",
    "InstitutionName",
    "InsurancePlanIdentification",
    "MedicalRecordLocator",
    "OrderCallbackPhoneNumber",
    "OrderCallbackTelecomInformation",
    "OtherPatientIDs",
    "PatientAddress",
    "PatientBirthDate",
    "PatientID",
    "PatientTelecomInformation",
    "PatientTelephoneNumbers",
    "PerformedProcedureStepID",
    "PersonAddress",
    "PersonTelecomInformation",
    "PersonTelephoneNumbers",
    "PlacerOrderNumberImagingServiceRequest",
    "PlacerOrderNumberImagingServiceRequestRetired",
    "PlacerOrderNumberProcedure",
    "ReferringPhysicianAddress",
    "ReferringPhysicianTelephoneNumbers",
    "RequestedProcedureID",
    "ScheduledProcedureStepID",
    "ServiceEpisodeID",
    "StudyID",
)

_TAGS: dict[int, str] = {
    tag: keyword for keyword in _KEYWORDS if (tag := tag_for_keyword(keyword)) is not None
}
#: Study, Series, Acquisition and Content Date: when somebody was where.
_DATES = frozenset((0x00080020, 0x00080021, 0x00080022, 0x00080023))
_TAGS.update(dict.fromkeys(_DATES, "StudyDate"))
#: Said in one short word, these are as often the name of a device or a method.
_ONLY_PHRASES = frozenset(("InstitutionName", "InstitutionAddress"))
_CHARSET = 0x00080005
_LOOKED_AT = frozenset({*_TAGS, _CHARSET})
_NAMES_AND_UIDS = frozenset({"PN", "UI", "SQ", "UN"})
#: Free text in an identifying attribute is not collected beyond this many bytes.
_MAX_VALUE = 1024
#: A UID is no longer than this (PS3.5 9.1); of a longer one the beginning is searched for.
_MAX_UID = 64
#: Different values that a study may have, in bytes. Each is searched for in dozens of forms, and
#: real studies have a hundredth of this.
_MOST_VALUES = 128 << 10
_MOST_UIDS = 16 << 20
#: As long as an attribute of VR UI can be in explicit VR; what is longer is not delivered.
_LONGEST_UI = 0xFFFE
#: What a value costs besides.
_EACH = 16


_KEPT = frozenset((Action.KEEP, Action.DATE))


class Found:
    """An identifier as text, with the encodings in which it may appear.

    Attributes:
        kind: "name", "id" or "date".
        text: the identifier.
        codecs: Python codecs of the data sets that it was found in.
    """

    __slots__ = ("codecs", "kind", "text")

    def __init__(self, kind: str, text: str, codecs: tuple[str, ...]) -> None:
        self.kind = kind
        self.text = text
        self.codecs = codecs

    def __repr__(self) -> str:
        return f"Found({self.kind})"


class Identifiers:
    """Collects the identifiers of one study.

    Args:
        known: identifiers that are known from elsewhere, such as the manifest's accession number.
        policy: what it keeps is not collected; None collects everything.
    """

    def __init__(self, known: Iterable[str] = (), policy: Policy | None = None) -> None:
        self._known = [text for text in known if text.strip()]
        self._kept: frozenset[int] = frozenset()
        self._keep_uids = False
        if policy is not None:
            self._keep_uids = Option.RETAIN_UIDS in policy.options
            self._kept = frozenset(
                tag for tag, rule in policy.rules.items() if rule.actions[0] in _KEPT
            )
        self._uids: set[bytes] = set()
        # Raw values with the kind of attribute and the character set: most repeat in every
        # instance, so decoding waits until all are in.
        self._raw: set[tuple[str, bytes, bytes]] = set()
        self._room = _MOST_VALUES
        self._uid_room = _MOST_UIDS
        # What the instance at hand has that was not there before.
        self._new: list[tuple[str, bytes, bytes]] = []
        self._new_uids: list[bytes] = []

        self._seen: set[tuple[Shared, bytes]] = set()

    def __repr__(self) -> str:
        return f"Identifiers({len(self._raw) + len(self._uids)} values)"

    def add(self, instance: Instance) -> None:
        """Collect from one instance, at any depth.

        Raises:
            UnreadableError: with this instance the study would have more identifiers than anybody
                could search for; then none of it is collected.
        """
        self._new.clear()
        self._new_uids.clear()
        try:
            self._walk(instance.buf, instance.elements, instance.value(_CHARSET))
        except UnreadableError:
            self._raw.difference_update(self._new)
            self._room += sum(len(raw) + _EACH for _, _, raw in self._new)
            self._uids.difference_update(self._new_uids)
            self._uid_room += sum(len(raw) + _EACH for raw in self._new_uids)
            self._seen.clear()
            raise

    def _walk(self, buf: Buffer, elements: list[Element], charset: bytes) -> None:
        named = [one for one in elements if one[1] in _NAMES_AND_UIDS or one[0] in _LOOKED_AT]
        for tag, vr, _, value, end, items in named:
            if items:
                inner = buf
                if type(items) is Shared:
                    if (items, charset) in self._seen:
                        continue
                    self._seen.add((items, charset))
                    inner = items.buf
                for item in items:
                    self._walk(inner, item, charset)
                continue
            if value == end or items is not None:
                continue
            meant = VR_OF.get(tag, vr) if vr == "UN" else vr
            if tag == _CHARSET:
                charset = bytes(buf[value : min(end, value + _MAX_VALUE)])
            elif tag in self._kept:
                continue
            elif meant == "UI":
                if tag in VR_OF and tag not in CLASS_LIKE_UIDS and not self._keep_uids:
                    self._add_uid(bytes(buf[value : min(end, value + _LONGEST_UI)]))
            elif meant == "PN" or tag in _TAGS:
                kind = "PN" if meant == "PN" else _TAGS[tag]
                raw = bytes(buf[value : min(end, value + _MAX_VALUE)])
                self._add_value(kind, charset, raw)

    def _add_value(self, kind: str, charset: bytes, raw: bytes) -> None:
        entry = (kind, charset, raw)
        if entry not in self._raw:
            if self._room < len(raw) + _EACH:
                raise UnreadableError("too many identifiers")
            self._room -= len(raw) + _EACH
            self._raw.add(entry)
            self._new.append(entry)

    def _add_uid(self, raw: bytes) -> None:
        if raw not in self._uids:
            if self._uid_room < len(raw) + _EACH:
                raise UnreadableError("too many identifiers")
            self._uid_room -= len(raw) + _EACH
            self._uids.add(raw)
            self._new_uids.append(raw)

    def uids(self) -> set[str]:
        """Return the original UIDs that name objects, without the registered ones."""
        uids = set()
        for raw in self._uids:
            for part in raw.split(b"\\"):
                uid = part.strip(b" \0").decode("latin-1")
                if uid and uid not in WELL_KNOWN_UIDS:
                    uids.add(uid[:_MAX_UID])
        return uids

    def found(self) -> Iterator[Found]:
        """Yield what was collected, UIDs excepted, in no particular order."""
        for text in self._known:
            yield Found("id", text.strip(), ())
        for keyword, charset, raw in self._raw:
            codecs = codecs_of(charset)
            for text in decode(raw, charset)[0].split("\\"):
                text = text.strip(" \0")
                if not text:
                    continue
                if keyword == "PN":
                    yield Found("name", text, codecs)
                elif keyword in ("PatientBirthDate", "StudyDate"):
                    for date in _dates(text):
                        yield Found("date", date, ())
                elif keyword not in _ONLY_PHRASES or len(text.split()) > 1:
                    yield Found("id", text, codecs)
                    if "Telephone" in keyword or "Phone" in keyword:
                        yield Found("id", re.sub(r"[\s()/.+-]", "", text), ())


def _dates(text: str) -> Iterator[str]:
    """Yield a date in the ways in which people write one."""
    digits = text.replace(".", "")  # ACR-NEMA wrote YYYY.MM.DD
    if len(digits) != 8 or not digits.isdigit():
        return
    year, month, day = digits[:4], digits[4:6], digits[6:]
    yield digits
    yield f"{year}-{month}-{day}"
    yield f"{year}.{month}.{day}"
    yield f"{month}/{day}/{year}"
    yield f"{day}/{month}/{year}"
    yield f"{day}.{month}.{year}"
