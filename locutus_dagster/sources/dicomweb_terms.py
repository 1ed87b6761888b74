"""The plain parts of talking to a DICOMweb server: addresses, listings, and what may go wrong.

What belongs here: values, and failures by the meaning they have for a retry. What does not: the
connection (`dicomweb_api.py`). Nothing here leaves the room.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from locutus_dagster.sources.accession import unpadded
from locutus_dagster.sources.base import SourceError, StudyChangedError

__all__ = [
    "Answer",
    "GoneError",
    "ListedInstance",
    "LostInstanceError",
    "Place",
    "TransientError",
    "UnreachableError",
    "bad_url",
    "changed",
    "fingerprint",
    "listed_instance",
    "number",
    "text",
]

Answer = dict[str, Any]
"""One data set in the DICOM JSON model."""

_SOP_CLASS = "00080016"
_SOP_INSTANCE = "00080018"
_MODALITY = "00080060"
_PATIENT_ID = "00100020"
_SERIES_INSTANCE = "0020000E"
_SAMPLES, _FRAMES, _ROWS, _COLUMNS, _BITS = (
    *("00280002", "00280008", "00280010", "00280011", "00280100"),
)
_UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
"""What may stand in an address as it is. Real UIDs are stricter, real archives are not."""
_HEADER_SIZE = 64 * 1024
_UNKNOWN_SIZE = 1024 * 1024
_LARGEST_SIZE = 2**40


class TransientError(Exception):
    """A failure that may pass; its text is free of identifiers."""


class UnreachableError(TransientError):
    """Nothing accepted the connection."""


class GoneError(Exception):
    """The server says that there is no such resource."""


class LostInstanceError(Exception):
    """One instance could not be had after bounded retries; its text is free of identifiers."""


@dataclass(frozen=True)
class ListedInstance:
    """One instance as QIDO-RS lists it; `size` is an estimate, which DICOMweb does not tell."""

    sop_uid: str = field(repr=False)
    series_uid: str = field(repr=False)
    sop_class: str
    modality: str
    frames: str
    patient_id: str = field(repr=False)
    size: int


@dataclass(frozen=True)
class Place:
    """Where a server is.

    Attributes:
        base: the DICOMweb root, without a slash at its end.
        shown: scheme, host and port, which may be shown to people.
    """

    base: str
    shown: str

    @classmethod
    def parse(cls, url: str) -> Place:
        """Read the setting.

        Raises:
            SourceError: it is no URL of a DICOMweb server, or holds credentials.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or {"http": 80, "https": 443}[parts.scheme]
            host = parts.hostname or ""
        except (KeyError, ValueError):
            host = ""
        if not host or parts.query or parts.fragment:
            raise bad_url()
        if parts.username is not None or parts.password is not None:
            raise SourceError(
                "The URL of the DICOMweb source holds a user's name or password.",
                "Write them under `username` and `password`, the latter as a reference.",
            )
        shown_host = f"[{host}]" if ":" in host else host
        shown = f"{parts.scheme}://{shown_host}:{port}"
        return cls(base=shown + parts.path.rstrip("/"), shown=shown)


def bad_url() -> SourceError:
    """The error for a setting that is no address."""
    return SourceError(
        "The URL of the DICOMweb source is not one.",
        "Write it as https://host/dicom-web, up to what stands before /studies.",
    )


def text(answer: Answer, tag: str) -> str:
    """The first value of an attribute without padding, "" if there is none."""
    values = answer.get(tag, {}).get("Value") or [""]
    return unpadded(str(values[0])) if values[0] is not None else ""


def number(answer: Answer, tag: str) -> int | None:
    """The first value of an attribute as a number, None if there is none."""
    found = text(answer, tag)
    try:
        return int(found)
    except ValueError:
        return None


def listed_instance(answer: Answer) -> ListedInstance:
    """Read one answer of QIDO-RS at the level of instances.

    Raises:
        ValueError: it lacks the UIDs that an instance is fetched by, or they cannot be in a URL.
    """
    sop_uid, series_uid = text(answer, _SOP_INSTANCE), text(answer, _SERIES_INSTANCE)
    if not _UID.fullmatch(sop_uid) or not _UID.fullmatch(series_uid):
        raise ValueError
    return ListedInstance(
        sop_uid=sop_uid,
        series_uid=series_uid,
        sop_class=text(answer, _SOP_CLASS),
        modality=text(answer, _MODALITY).upper(),
        frames=text(answer, _FRAMES),
        patient_id=text(answer, _PATIENT_ID),
        size=_size(answer),
    )


def _size(answer: Answer) -> int:
    """How large the instance is if its pixels are not compressed."""
    rows, columns, bits = (number(answer, tag) for tag in (_ROWS, _COLUMNS, _BITS))
    if not rows or not columns or not bits:
        return _UNKNOWN_SIZE
    samples = number(answer, _SAMPLES) or (3 if bits == 8 else 1)
    frames = number(answer, _FRAMES) or 1
    pixels = rows * columns * samples * frames * -(-bits // 8)
    return min(max(pixels, 0) + _HEADER_SIZE, _LARGEST_SIZE)


def fingerprint(instances: Iterable[ListedInstance]) -> str:
    """Hex digest over what QIDO-RS tells of the instances' identities.

    The patient is part of it, so that a study that was attributed to another one has changed.
    """
    digest = hashlib.sha256()
    for line in sorted(
        f"{one.series_uid}\t{one.sop_uid}\t{one.frames}\t{one.patient_id}\n" for one in instances
    ):
        digest.update(line.encode(errors="surrogatepass"))
    return digest.hexdigest()


def changed() -> StudyChangedError:
    """The error for a study that is no longer the one that was found."""
    return StudyChangedError(
        "The study changed on the DICOMweb server since it was found.",
        "Run this accession again once the study is complete there.",
    )
