"""Whether a study is about one patient.

What belongs here: comparing the patients that a study's instances name. What does not: what
happens to a study of several (`study.py`, the policy).

Patients differ where their Patient IDs differ (case and padding aside), or their birth dates do.
Names count only where an ID is missing: one person's name is spelled in many ways.
"""

from __future__ import annotations

from locutus_dagster.deid.encoding.part10 import Instance
from locutus_dagster.deid.identities.pseudonyms import Pseudonyms

__all__ = ["Patients"]

_NAME, _ID, _ISSUER, _BIRTH_DATE = 0x00100010, 0x00100020, 0x00100021, 0x00100030


class Patients:
    """Collects the patients that instances name."""

    def __init__(self) -> None:
        self._ids: set[bytes] = set()
        self._births: set[bytes] = set()
        self._names: set[bytes] = set()
        self._without_id = False
        #: Raw Patient ID and its issuer, of the first instance that has an ID.
        self.first: tuple[str, str] = ("", "")
        #: Raw name of the first instance that has one.
        self.first_name = ""

    def __repr__(self) -> str:
        return "Patients()"

    def add(self, instance: Instance) -> None:
        """Note whom an instance is about."""
        patient_id = instance.value(_ID)
        name = instance.value(_NAME)
        if patient_id:
            if not self._ids:
                issuer = instance.value(_ISSUER)
                self.first = (_text(patient_id), _text(issuer))
            self._ids.add(patient_id.upper())
        else:
            self._without_id = True
        birth = instance.value(_BIRTH_DATE).replace(b".", b"")
        if len(birth) == 8 and birth.isdigit():
            self._births.add(birth)
        if name:
            self.first_name = self.first_name or _text(name)
            self._names.add(b"^".join(part.strip() for part in name.upper().split(b"^") if part))

    def subject(self, pseudonyms: Pseudonyms, study_uid: str) -> str:
        """Return the research identity of the first patient named.

        Whoever has no ID at all is told apart by name, and if need be by study.
        """
        patient, issuer = self.first
        return pseudonyms.subject(patient or self.first_name or study_uid, issuer)

    @property
    def several(self) -> bool:
        """Whether more than one patient is named."""
        if len(self._ids) > 1 or len(self._births) > 1:
            return True
        return self._without_id and len(self._names) > 1


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
