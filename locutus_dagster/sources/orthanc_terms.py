"""The plain parts of talking to Orthanc: its address, its listings, and what may go wrong.

What belongs here: values, and failures by the meaning they have for a retry. What does not: the
connection itself (`orthanc.py`). Nothing here leaves the room.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from locutus_dagster.sources.base import SourceError, StudyChangedError

__all__ = [
    "Address",
    "GoneError",
    "ListedInstance",
    "LostInstanceError",
    "TransientError",
    "UnreachableError",
    "bad_url",
    "begins_like_dicom",
    "changed",
    "fingerprint",
    "in_url",
    "issuers",
    "utc_time",
]


_TIME = re.compile(r"\d{8}T\d{6}", re.ASCII)


class TransientError(Exception):
    """A failure that may pass; its text is free of identifiers."""


class UnreachableError(TransientError):
    """Nothing accepted the connection."""


class GoneError(Exception):
    """Orthanc says that there is no such resource."""


class LostInstanceError(Exception):
    """One instance could not be had after bounded retries; its text is free of identifiers."""


@dataclass(frozen=True)
class ListedInstance:
    orthanc_id: str
    sop_uid: str
    size: int
    file_uuid: str


@dataclass(frozen=True)
class Address:
    base: str
    place: str
    host: str
    port: int
    path: str
    username: str | None
    password: str | None = field(repr=False)

    @property
    def tls(self) -> bool:
        return self.place.startswith("https:")

    @classmethod
    def parse(cls, url: str) -> Address:
        try:
            parts = urlsplit(url)
            port = parts.port or {"http": 80, "https": 443}[parts.scheme]
            host = parts.hostname or ""
        except (KeyError, ValueError):
            host, port = "", 0
        if not host or parts.query or parts.fragment:
            raise bad_url()
        shown_host = f"[{host}]" if ":" in host else host
        place = f"{parts.scheme}://{shown_host}:{port}"
        return cls(
            base=place + parts.path.rstrip("/"),
            place=place,
            host=host,
            port=port,
            path=parts.path.rstrip("/"),
            username=unquote(parts.username) if parts.username is not None else None,
            password=unquote(parts.password) if parts.password is not None else None,
        )


def bad_url() -> SourceError:
    return SourceError(
        "The URL of the Orthanc source is not one.",
        "Write it as http://host:8042 or https://host/path.",
    )


def in_url(orthanc_id: str) -> str:
    return quote(orthanc_id, safe="")


def issuers(tags: Mapping[str, Any]) -> set[str]:
    """Who issued the accession number, under each name; `tags` as from `/tags?short`."""
    items = tags.get("0008,0051")
    return {
        value.strip(" \0")
        for item in (items if isinstance(items, list) else [])
        if isinstance(item, dict)
        for value in (item.get("0040,0031"), item.get("0040,0032"))
        if isinstance(value, str)
    }


def utc_time(text: object) -> datetime | None:
    """A time as Orthanc writes it, in UTC (`20260131T235959`); None for anything else."""
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def fingerprint(instances: Sequence[ListedInstance]) -> str:
    """Hex digest over what identifies the stored files.

    The UUID of the file is part of it, because an instance that is overwritten by one of the same
    length keeps its UID and its size.
    """
    digest = hashlib.sha256()
    for line in sorted(f"{one.sop_uid}\t{one.size}\t{one.file_uuid}\n" for one in instances):
        digest.update(line.encode())
    return digest.hexdigest()


def begins_like_dicom(head: bytes) -> bool:
    """Whether this is the start of a Part 10 file, or of a bare data set.

    Orthanc accepts some files without preamble and serves them as they came, so they are
    let through here; the de-identification engine decides about them.
    """
    return head[128:132] == b"DICM" or head[:2] in (b"\x02\0", b"\x08\0", b"\0\x02", b"\0\x08")


def changed() -> StudyChangedError:
    return StudyChangedError(
        "The study changed in Orthanc since it was found.",
        "Run this accession again once the study is complete there.",
    )
