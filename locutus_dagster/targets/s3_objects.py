"""Looking at one key of a bucket: what lies there, in which versions; and removing one of them.

What belongs here: single objects as the store describes them. What does not: what may be done to
them (`s3.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from locutus_dagster.targets.s3_answers import RefusedError, stated_checksum
from locutus_dagster.targets.s3_client import Bucket

__all__ = ["METADATA", "Standing", "look", "remove", "standing", "versions"]

#: The metadata that says whose an object is, and what it must be: its SHA-256 in hex.
METADATA = "locutus-sha256"


@dataclass(frozen=True)
class Standing:
    """An object as a HEAD describes it.

    Attributes:
        size: in bytes.
        etag: as the store writes it.
        sha256: what its metadata say; empty if Locutus has not put it there.
        checksum: see `stated_checksum`.
        version: empty where the store keeps only one.
        encryption: at rest, as the store says it.
    """

    size: int
    etag: str
    sha256: str
    checksum: str
    version: str
    encryption: str


def look(bucket: Bucket, key: str, version: str = "") -> Standing | None:
    """What lies there; None when nothing does, and it is not the bucket that is gone.

    Raises:
        TargetError: the bucket cannot be asked, or is gone.
    """
    found = standing(bucket, key, version)
    if found is None:
        bucket.ask("head_bucket")
    return found


def standing(bucket: Bucket, key: str, version: str = "") -> Standing | None:
    """What lies there; None when nothing does, or the bucket is gone.

    Raises:
        TargetError: the bucket cannot be asked.
    """
    found = _described(bucket, key, version)
    if found is not None and not found.sha256:
        # An answer that broke off in its head may have lost just that.
        found = _described(bucket, key, version)
    return found


def _described(bucket: Bucket, key: str, version: str) -> Standing | None:
    which = {"VersionId": version} if version else {}
    try:
        answer = bucket.ask("head_object", Key=key, ChecksumMode="ENABLED", **which)
    except RefusedError as error:
        if error.is_absent:
            return None
        raise
    about = {name.lower(): value for name, value in answer.get("Metadata", {}).items()}
    stated = str(answer.get("VersionId") or "")
    return Standing(
        size=int(answer.get("ContentLength", -1)),
        etag=str(answer.get("ETag", "")),
        sha256=str(about.get(METADATA, "")),
        checksum=stated_checksum(answer),
        version="" if stated == "null" else stated,
        encryption=str(answer.get("ServerSideEncryption") or ""),
    )


def versions(bucket: Bucket, key: str) -> Iterator[str]:
    """The versions of a key, markers of deletions too; `null` where versions are not kept.

    Raises:
        TargetError: the bucket cannot be asked, or is gone.
    """
    markers: dict[str, Any] = {}
    while True:
        try:
            page = bucket.ask("list_object_versions", Prefix=key, **markers)
        except RefusedError as error:
            if not error.is_unknown_operation:
                raise
            if look(bucket, key) is not None:
                yield "null"
            return
        for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            if one["Key"] == key:
                yield str(one.get("VersionId") or "null")
        # Keys come in their order, and this one is the first of those that begin with it.
        if not page.get("IsTruncated") or page.get("NextKeyMarker") != key:
            return
        markers = {"KeyMarker": key, "VersionIdMarker": page["NextVersionIdMarker"]}


def remove(bucket: Bucket, key: str, version: str) -> None:
    """Remove one version for good; harmless when it is gone.

    Args:
        version: `null` for the one that has no number. Without any, a bucket that keeps versions
            would only put a marker over them.

    Raises:
        TargetError: the store does not let it go.
    """
    try:
        bucket.ask("delete_object", Key=key, VersionId=version)
    except RefusedError as error:
        if not error.is_absent:
            raise
