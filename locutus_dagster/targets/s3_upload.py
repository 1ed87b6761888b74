"""Uploading one file to a bucket: in one request, or in parts by several threads.

What belongs here: reading a file's checksums before anything is sent, sending it so that the store
verifies each part, and aborting what was not finished. What does not: whether the file should be
sent at all, and what lies in its place (`s3.py`).

Nothing is held in memory but what a socket takes: parts are read from the disk as they are sent.
The file is read twice, because its checksums go ahead of its bytes; the second time it comes out of
the page cache.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

from locutus_dagster.targets.base import TargetError
from locutus_dagster.targets.s3_answers import RefusedError, hex_of
from locutus_dagster.targets.s3_client import Bucket, library

__all__ = ["Survey", "abort_unfinished", "survey", "upload"]

_CHUNK = 1024 * 1024
_MAX_PARTS = 10_000  # of S3
_FULL = {"SHA256": "COMPOSITE", "CRC64NVME": "FULL_OBJECT"}


@dataclass(frozen=True)
class Survey:
    """A file as it was read before it was sent.

    Attributes:
        size: in bytes.
        sha256: of the file, in hex.
        algorithm: of the checksums, in S3's spelling.
        whole: the file's checksum by that algorithm, base64.
        parts: those of its parts, base64; one where it goes in one request.
        part_size: in bytes.
    """

    size: int
    sha256: str
    algorithm: str
    whole: str
    parts: tuple[str, ...]
    part_size: int

    @property
    def checksums(self) -> frozenset[str]:
        """What a store may state of the object that was sent, as `stated_checksum` words it."""
        kind, full = self.algorithm.lower(), hex_of(self.whole)
        if len(self.parts) == 1 or _FULL[self.algorithm] == "FULL_OBJECT":
            return frozenset({f"{kind}:{full}"})
        joined = b"".join(base64.b64decode(part) for part in self.parts)
        composite = hashlib.sha256(joined).hexdigest()
        return frozenset(
            {f"{kind}-composite-{len(self.parts)}:{composite}", f"{kind}-composite:{composite}"}
        )

    def contradicts(self, stated: str) -> bool:
        """Whether a checksum of a whole object, as a store states it, is not this file's."""
        kind, _, value = stated.partition(":")
        known = {"sha256": self.sha256, self.algorithm.lower(): hex_of(self.whole)}
        return kind in known and known[kind] != value


def survey(file: BinaryIO, *, algorithm: str, part_size: int) -> Survey:
    """Read a file's checksums.

    Args:
        algorithm: SHA256 or CRC64NVME.
        part_size: in bytes; it becomes larger where the file would have too many parts.
    """
    size = os.fstat(file.fileno()).st_size
    least = -(-size // _MAX_PARTS)
    part_size = max(part_size, -(-least // _CHUNK) * _CHUNK)
    sha256 = hashlib.sha256()
    whole = sha256 if algorithm == "SHA256" else _checksum(algorithm)
    parts: list[str] = []
    # What goes in one request has one checksum.
    part, filled, read = whole if size <= part_size else _checksum(algorithm), 0, 0
    while chunk := os.pread(file.fileno(), min(_CHUNK, part_size - filled), read):
        for one in {id(sha256): sha256, id(whole): whole, id(part): part}.values():
            one.update(chunk)
        read += len(chunk)
        filled += len(chunk)
        if filled == part_size:
            parts.append(_base64(part))
            part, filled = _checksum(algorithm), 0
    if filled or not parts:
        parts.append(_base64(part))
    return Survey(read, sha256.hexdigest(), algorithm, _base64(whole), tuple(parts), part_size)


def upload(
    bucket: Bucket,
    key: str,
    file: BinaryIO,
    of: Survey,
    *,
    condition: Mapping[str, str],
    about: Mapping[str, Any],
    connections: int,
) -> str:
    """Send a file; all of it is there afterwards, or nothing.

    Args:
        of: the file's survey. The store refuses other bytes.
        condition: `IfNoneMatch` or `IfMatch`, for the moment in which the object appears.
        about: what the object is begun with: metadata, type, encryption.
        connections: parts sent at a time.

    Returns:
        The version that the store has made of it; empty where it keeps none.

    Raises:
        RefusedError: the store did not take it; see `is_contested`.
        TargetError: the store did not answer.
    """
    if len(of.parts) == 1:
        body = _Section(file, 0, of.size, threading.Event())
        checksum = {"ChecksumAlgorithm": of.algorithm, f"Checksum{of.algorithm}": of.whole}
        answer = _sent(
            body,
            lambda: bucket.ask("put_object", Key=key, Body=body, **checksum, **about, **condition),
        )
        return str(answer.get("VersionId") or "")
    begun = bucket.ask(
        "create_multipart_upload",
        Key=key,
        ChecksumAlgorithm=of.algorithm,
        ChecksumType=_FULL[of.algorithm],
        **about,
    )
    upload_id = str(begun["UploadId"])
    try:
        parts = _send_parts(bucket, key, upload_id, file, of, connections)
        whole = {"ChecksumCRC64NVME": of.whole} if of.algorithm == "CRC64NVME" else {}
        answer = bucket.ask(
            "complete_multipart_upload",
            Key=key,
            UploadId=upload_id,
            MultipartUpload={"Parts": parts},
            ChecksumType=_FULL[of.algorithm],
            MpuObjectSize=of.size,
            **whole,
            **condition,
        )
    except BaseException:
        # After an answer that was lost there may be nothing to abort: it is complete.
        with suppress(TargetError):
            _abort(bucket, key, upload_id)
        raise
    if begun["ResponseMetadata"]["RetryAttempts"]:
        # It may have been begun more than once. Whoever else is at it has lost by now anyway.
        abort_unfinished(bucket, key)
    return str(answer.get("VersionId") or "")


def abort_unfinished(bucket: Bucket, key: str) -> int:
    """Abort every upload to `key` that has not been finished; returns how many there were.

    Whoever calls it is about to deliver there, or to withdraw. A live writer whose upload it
    aborts is refused; of several that do this to each other, the last to begin goes on.

    Raises:
        TargetError: the store does not let them be seen or aborted.
    """
    aborted = 0
    markers: dict[str, Any] = {}
    while True:
        try:
            page = bucket.ask("list_multipart_uploads", Prefix=key, **markers)
        except RefusedError as error:
            if error.is_unknown_operation:
                return aborted  # then it has none
            raise
        for one in page.get("Uploads", ()):
            if one.get("Key") == key:
                _abort(bucket, key, str(one["UploadId"]))
                aborted += 1
        # Keys come in their order, and this one is the first of those that begin with it.
        if not page.get("IsTruncated") or page.get("NextKeyMarker") != key:
            return aborted
        markers = {
            "KeyMarker": page["NextKeyMarker"],
            "UploadIdMarker": page.get("NextUploadIdMarker", ""),
        }


def _abort(bucket: Bucket, key: str, upload_id: str) -> None:
    try:
        bucket.ask("abort_multipart_upload", Key=key, UploadId=upload_id)
    except RefusedError as error:
        if error.status != 404:
            raise


def _send_parts(
    bucket: Bucket, key: str, upload_id: str, file: BinaryIO, of: Survey, connections: int
) -> list[dict[str, Any]]:
    """Send every part; on the first failure the others are stopped, and have ended."""
    stop = threading.Event()

    def send(index: int) -> dict[str, Any]:
        start = index * of.part_size
        body = _Section(file, start, min(of.part_size, of.size - start), stop)
        checksum = {f"Checksum{of.algorithm}": of.parts[index]}
        number = index + 1
        answer = _sent(
            body,
            lambda: bucket.ask(
                "upload_part",
                Key=key,
                UploadId=upload_id,
                PartNumber=number,
                Body=body,
                ChecksumAlgorithm=of.algorithm,
                **checksum,
            ),
        )
        return {"PartNumber": number, "ETag": answer["ETag"], **checksum}

    pool = ThreadPoolExecutor(min(connections, len(of.parts)), thread_name_prefix="s3-part")
    try:
        sending = [pool.submit(send, index) for index in range(len(of.parts))]
        done, _ = wait(sending, return_when=FIRST_EXCEPTION)
        failures = [error for one in done if (error := one.exception()) is not None]
        for error in failures:
            if not isinstance(error, _StoppedError):
                raise error
        return [one.result() for one in sending]
    finally:
        # Aborting an upload whose parts are still under way may leave them in the store.
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _sent(body: _Section, send: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Send, and blame the disk for what the disk did."""
    try:
        return send()
    except _StoppedError:
        if body.fault is not None:
            raise body.fault from None
        raise


class _StoppedError(BaseException):
    """Sending was given up. No `Exception`, because botocore would send again after one."""


class _Section:
    """A stretch of a file as a request's body. Several of them share one open file."""

    def __init__(self, file: BinaryIO, start: int, size: int, stop: threading.Event) -> None:
        self._descriptor = file.fileno()
        self._start = start
        self._size = size
        self._at = 0
        self._stop = stop
        self.fault: OSError | None = None

    def __len__(self) -> int:
        return self._size

    def read(self, size: int | None = -1) -> bytes:
        if self._stop.is_set():
            raise _StoppedError
        left = self._size - self._at
        wanted = left if size is None or size < 0 else min(size, left)
        try:
            data = os.pread(self._descriptor, wanted, self._start + self._at)
            if wanted and not data:
                raise OSError(errno.EIO, "the file has become shorter")
        except OSError as error:
            self.fault = error
            raise _StoppedError from None
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at


def _checksum(algorithm: str) -> Any:
    return hashlib.sha256() if algorithm == "SHA256" else _Crc64Nvme()


def _base64(checksum: Any) -> str:
    return base64.b64encode(checksum.digest()).decode("ascii")


class _Crc64Nvme:
    """CRC-64/NVME in the manner of hashlib."""

    def __init__(self) -> None:
        self._update = library("awscrt.checksums").crc64nvme
        self._value = 0

    def update(self, data: bytes) -> None:
        self._value = self._update(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(8, "big")
