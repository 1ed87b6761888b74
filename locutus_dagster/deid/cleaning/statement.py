"""What each output says about its own de-identification (PS3.15 E.1, PS3.3 C.12.1, C.7.1.1).

What belongs here: the attributes that the engine adds. What does not: what it removes.
"""

from __future__ import annotations

from collections.abc import Iterator

from locutus_dagster.deid.encoding.encode import Encoder
from locutus_dagster.deid.encoding.part10 import Instance
from locutus_dagster.deid.policies.model import Option, Policy
from locutus_dagster.deid.policies.rulebook import LONGITUDINAL, METHOD
from locutus_dagster.deid.standard.table import EDITION
from locutus_dagster.deid.version import ENGINE_VERSION

__all__ = ["METHOD_CODES", "Statement"]

_PATIENT_NAME = 0x00100010
_PATIENT_ID = 0x00100020

#: CID 7050 "De-identification Method" (PS3.16, edition 2026d): code and meaning.
_PROFILE_CODE = ("113100", "Basic Application Confidentiality Profile")
METHOD_CODES: dict[Option, tuple[str, str]] = {
    Option.CLEAN_GRAPHICS: ("113103", "Clean Graphics Option"),
    Option.CLEAN_STRUCTURED_CONTENT: ("113104", "Clean Structured Content Option"),
    Option.CLEAN_DESCRIPTORS: ("113105", "Clean Descriptors Option"),
    Option.RETAIN_LONGITUDINAL_FULL_DATES: (
        "113106",
        "Retain Longitudinal Temporal Information Full Dates Option",
    ),
    Option.RETAIN_LONGITUDINAL_MODIFIED_DATES: (
        "113107",
        "Retain Longitudinal Temporal Information Modified Dates Option",
    ),
    Option.RETAIN_PATIENT_CHARACTERISTICS: ("113108", "Retain Patient Characteristics Option"),
    Option.RETAIN_DEVICE_IDENTITY: ("113109", "Retain Device Identity Option"),
    Option.RETAIN_UIDS: ("113110", "Retain UIDs Option"),
    Option.RETAIN_SAFE_PRIVATE: ("113111", "Retain Safe Private Option"),
    Option.RETAIN_INSTITUTION_IDENTITY: ("113112", "Retain Institution Identity Option"),
}


class Statement:
    """The added attributes in one encoding.

    Args:
        policy: what was applied.
        subject: the research identity, ASCII.
        encoder: writes elements.
    """

    def __init__(self, policy: Policy, subject: bytes, encoder: Encoder) -> None:
        element = encoder.element
        self._name = element(_PATIENT_NAME, "PN", subject)
        self._id = element(_PATIENT_ID, "LO", subject)
        self._method = _method(policy, encoder)
        options = policy.options
        information = "REMOVED"
        if Option.RETAIN_LONGITUDINAL_FULL_DATES in options:
            information = "UNMODIFIED"
        elif Option.RETAIN_LONGITUDINAL_MODIFIED_DATES in options:
            information = "MODIFIED"
        self._longitudinal = element(LONGITUDINAL, "CS", information.encode())

    def inserts(self, instance: Instance) -> Iterator[tuple[int, bytes]]:
        """Yield tags and the elements that are to be inserted before them, in order of tags."""
        if instance.find(_PATIENT_NAME) is None:
            yield _PATIENT_NAME, self._name
        if instance.find(_PATIENT_ID) is None:
            yield _PATIENT_ID, self._id
        yield METHOD[0], self._method
        yield LONGITUDINAL, self._longitudinal


def _method(policy: Policy, encoder: Encoder) -> bytes:
    """Return the attributes that say how the instance was de-identified.

    A policy that keeps more than the profile allows says how many attributes these are, and claims
    none of the profile's codes.
    """
    element = encoder.element
    lines = [
        f"Locutus on Dagster {ENGINE_VERSION}",
        f"PS3.15 {EDITION} policy {policy.name}"[:64],
        f"policy {policy.fingerprint}",
    ]
    if policy.departures:
        lines.append(f"departs from PS3.15 in {policy.departures} attributes")
    stated = element(METHOD[0], "CS", b"YES")
    stated += element(METHOD[1], "LO", "\\".join(lines).encode("ascii"))
    if policy.departures:
        return stated
    codes = [
        _PROFILE_CODE,
        *(METHOD_CODES[option] for option in Option if option in policy.options),
    ]
    items = (
        encoder.item(
            element(0x00080100, "SH", code.encode())
            + element(0x00080102, "SH", b"DCM")
            + element(0x00080104, "LO", meaning.encode())
        )
        for code, meaning in codes
    )
    return stated + element(METHOD[2], "SQ", b"".join(items))
