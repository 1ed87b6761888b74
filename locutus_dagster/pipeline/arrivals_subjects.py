"""Whose a study is that no manifest asked for: the subject from a file, or a keyed pseudonym.

What belongs here: reading the file, and the one answer. What does not: whether the study is taken
(`arrivals.py`), and writing its row (`manifests/arriving.py`).

The file is CSV in UTF-8 with a header: SUBJECT_ID, and MRN or ACCESSION_NUM or both. Messages about
it name lines, never values.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from locutus_dagster.deid.faults import DeidError
from locutus_dagster.deid.identities.keys import KeyRing
from locutus_dagster.ledger.fingerprints import digest
from locutus_dagster.manifests.arriving import subject_fault
from locutus_dagster.pipeline.arrivals import WatchingError

__all__ = ["NobodyKnowsError", "SubjectsFile", "pseudonymous_subject"]

_SUBJECT, _PATIENT, _ACCESSION = "SUBJECT_ID", "MRN", "ACCESSION_NUM"


class NobodyKnowsError(WatchingError):
    """Nobody says whose a study is; the message is the verdict about it."""


class SubjectsFile:
    """The subjects that a file names, by patient and by accession number.

    Raises:
        WatchingError: the file cannot be read, or one of its lines cannot be used.
    """

    def __init__(self, path: Path) -> None:
        try:
            content = path.read_bytes()
            text = content.decode("utf-8-sig")
        except OSError as error:
            raise self._unreadable(error.strerror or "it cannot be opened") from None
        except UnicodeDecodeError:
            raise self._unreadable("it is no text in UTF-8") from None
        self.sha256 = digest(text)
        self._by_patient: dict[str, str] = {}
        self._by_accession: dict[str, str] = {}
        for line, cells in self._lines(text):
            self._keep(line, cells)

    def subject(self, accession_number: str, patient_id: str) -> str:
        """The subject of a study; what the file says of its accession number goes first.

        Raises:
            NobodyKnowsError: the file names neither.
        """
        found = self._by_accession.get(accession_number.strip())
        found = found or self._by_patient.get(_alike(patient_id))
        if not found:
            raise NobodyKnowsError("the subjects file does not name its patient")
        return found

    def _lines(self, text: str) -> Iterator[tuple[int, dict[str, str]]]:
        reader = csv.reader(StringIO(text), strict=True)
        names: list[str] | None = None
        try:
            for cells in reader:
                if not any(cell.strip() for cell in cells) or cells[0].startswith("#"):
                    continue
                if names is None:
                    names = [cell.strip().upper() for cell in cells]
                    if _SUBJECT not in names or not {_PATIENT, _ACCESSION}.intersection(names):
                        raise self._wrong(
                            reader.line_num, f"needs {_SUBJECT}, and {_PATIENT} or {_ACCESSION}"
                        )
                    continue
                if len(cells) != len(names):
                    raise self._wrong(
                        reader.line_num, f"has {len(cells)} fields under a header of {len(names)}"
                    )
                yield (
                    reader.line_num,
                    {name: cell.strip() for name, cell in zip(names, cells, strict=True)},
                )
        except csv.Error:
            raise self._wrong(reader.line_num, "is not CSV") from None
        if names is None:
            raise self._unreadable("it is empty")

    def _keep(self, line: int, cells: dict[str, str]) -> None:
        subject = cells[_SUBJECT]
        fault = subject_fault(subject)
        if fault:
            raise self._wrong(line, f"has no usable {_SUBJECT}: {fault}")
        patient, accession = _alike(cells.get(_PATIENT, "")), cells.get(_ACCESSION, "")
        if not patient and not accession:
            raise self._wrong(line, "names neither patient nor accession")
        if subject.casefold() in (patient, accession.casefold()):
            raise self._wrong(line, f"has as {_SUBJECT} what identifies the patient")
        for known, name in ((self._by_patient, patient), (self._by_accession, accession)):
            if name and known.setdefault(name, subject) != subject:
                raise self._wrong(line, "contradicts an earlier line")

    def _wrong(self, line: int, what: str) -> WatchingError:
        return WatchingError(
            f"The subjects file cannot be used: line {line} {what}.",
            "Mend the line; until then no study is taken that no manifest asked for.",
        )

    def _unreadable(self, why: str) -> WatchingError:
        return WatchingError(
            f"The subjects file cannot be read ({why}).",
            "Check 'subjects' below 'watch' in the workspace's settings, and its permissions.",
        )


def pseudonymous_subject(keys: KeyRing, patient_id: str) -> str:
    """The keyed pseudonym that stands for a patient's subject.

    It is made with the oldest key of the ring, so that a patient stays one subject when the key is
    rotated: a new key makes new pseudonyms within the files, and none of the subject.

    Raises:
        NobodyKnowsError: there is no patient ID.
    """
    oldest = keys.find(keys.key_ids[0]) or keys.current
    try:
        return oldest.subject(patient_id)
    except DeidError:
        raise NobodyKnowsError("it has no patient ID, so nobody can say whose it is") from None


def _alike(patient_id: str) -> str:
    """What different systems of one hospital write differently does not count."""
    text = unicodedata.normalize("NFC", patient_id.replace("\0", " ")).casefold()
    return " ".join(unicodedata.normalize("NFC", text).split())
