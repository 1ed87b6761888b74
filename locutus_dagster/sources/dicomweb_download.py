"""Downloading the instances of a study from a DICOMweb server, several at a time, in order.

What belongs here: bytes, and whether all of them came. What does not: which instances there are,
and why one was lost (`dicomweb.py`).
"""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

from locutus_dagster.sources.base import InstanceSink
from locutus_dagster.sources.dicomweb_api import DicomWebApi
from locutus_dagster.sources.dicomweb_multipart import boundary_of, the_one_part
from locutus_dagster.sources.dicomweb_terms import (
    GoneError,
    ListedInstance,
    LostInstanceError,
    TransientError,
    changed,
)
from locutus_dagster.sources.folder_headers import read_header

if TYPE_CHECKING:
    import requests

__all__ = ["Downloader"]

_MIB = 1024 * 1024
_HELD_AT_MOST = 16 * _MIB
"""Instances up to this size are held in memory; larger ones flow through in chunks."""
_CHUNK = _MIB
_AHEAD_PER_CONNECTION = 4
_PATIENCE = 4
"""Timeouts that an answer may take before it has to keep up with `_SLOWEST`."""
_SLOWEST = 4096
"""Bytes a second on average, below which a connection is taken for a broken one."""
_MOST_EPILOGUE = 16
"""Chunks that may follow the last delimiter; they mean nothing."""
_META_UID = b"\x02\x00\x03\x00UI"

_Download = Future["bytes | None"]


class Downloader:
    """Downloads instances into a sink.

    One request brings one instance: a broken connection costs one instance and not a series, and
    every instance is held against the list.

    Args:
        api: the server to download from, over as many connections as it allows.
    """

    def __init__(self, api: DicomWebApi) -> None:
        self._api = api

    def write_all(
        self, study_uid: str, instances: Sequence[ListedInstance], sink: InstanceSink
    ) -> int:
        """Download ahead in threads, write in order; returns the bytes written.

        At most `connections` times 32 MiB are held in memory.

        Raises:
            LostInstanceError: one instance could not be had.
            StudyChangedError: an instance is no longer the one that its download began with.
        """
        upcoming = deque(instances)
        window: deque[tuple[ListedInstance, _Download]] = deque()
        written = 0
        budget = 2 * self._api.connections * _HELD_AT_MOST
        halt = threading.Event()
        with ThreadPoolExecutor(self._api.connections, thread_name_prefix="dicomweb") as pool:
            try:
                while upcoming or window:
                    while (
                        upcoming
                        and len(window) < self._api.connections * _AHEAD_PER_CONNECTION
                        and _held(window) + _HELD_AT_MOST <= budget
                    ):
                        one = upcoming.popleft()
                        window.append((one, pool.submit(self._download, study_uid, one, halt)))
                    instance, download = window.popleft()
                    data = download.result()
                    del download
                    if data is None:
                        written += self._stream(study_uid, instance, sink)
                    else:
                        sink.add(data)
                        written += len(data)
                    del data
            except BaseException:
                halt.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return written

    def _download(
        self, study_uid: str, instance: ListedInstance, halt: threading.Event
    ) -> bytes | None:
        """One instance, verified; None if it is too large to be held. Runs in a thread."""
        if instance.size > 4 * _HELD_AT_MOST:
            return None
        try:
            return self._api.retrying(halt)(self._held_whole, study_uid, instance)
        except TransientError as error:
            reason = str(error)
        except GoneError:
            reason = "the server lists it but does not have it"
        raise LostInstanceError(reason)

    def _held_whole(self, study_uid: str, instance: ListedInstance) -> bytes | None:
        collected: list[bytes] = []
        size = 0
        with closing(self._chunks(study_uid, instance)) as chunks:
            for chunk in chunks:
                size += len(chunk)
                if size > _HELD_AT_MOST:
                    return None
                collected.append(chunk)
        return b"".join(collected)

    def _stream(self, study_uid: str, instance: ListedInstance, sink: InstanceSink) -> int:
        counter = _Counter(self._chunks_retried(study_uid, instance))
        sink.add(counter)
        return counter.size

    def _chunks_retried(self, study_uid: str, instance: ListedInstance) -> Iterator[bytes]:
        """One large instance, chunk by chunk; an interrupted download is taken up where it broke.

        WADO-RS serves no ranges of an instance, so what was handed over already is downloaded
        again and compared.
        """
        handed_over: list[bytes] = []
        reason = ""
        try:
            for attempt in self._api.retrying():
                with attempt, closing(self._chunks(study_uid, instance)) as chunks:
                    for number, chunk in enumerate(_evened(chunks)):
                        digest = hashlib.blake2b(chunk, digest_size=16).digest()
                        if number == len(handed_over):
                            handed_over.append(digest)
                            yield chunk
                        elif digest != handed_over[number]:
                            raise changed()
            return
        except TransientError as error:
            reason = str(error)
        except GoneError:
            reason = "the server lists it but does not have it"
        raise LostInstanceError(reason)

    def _chunks(self, study_uid: str, instance: ListedInstance) -> Generator[bytes, None, None]:
        """One instance, verified; ends normally only if it is complete and the right one."""
        response = self._api.open_instance(study_uid, instance.series_uid, instance.sop_uid)
        with closing(response):
            content_type = response.headers.get("Content-Type", "")
            boundary = boundary_of(content_type)
            body = self._body(response)
            if boundary is not None:
                parts = the_one_part(body, boundary)
            elif content_type.lower().startswith("application/dicom") and _ends(response):
                parts = body  # not what the standard asks for, but some servers do it
            else:
                raise TransientError("what arrived is no message of WADO-RS")
            head = b""
            checked = False
            for chunk in parts:
                if not checked:
                    head += chunk
                    if len(head) < _CHUNK:
                        continue
                    _require_the_right_one(head, instance)
                    checked, chunk, head = True, head, b""
                yield chunk
            if not checked:
                _require_the_right_one(head, instance)
                yield head
            for _ in islice(body, _MOST_EPILOGUE):
                pass  # an answer that was read to its end leaves its connection open

    def _body(self, response: requests.Response) -> Iterator[bytes]:
        """The bytes as they come; a connection that only trickles is given up."""
        import requests
        import urllib3

        failure: Exception | None = None
        read = getattr(response.raw, "read1", response.raw.read)
        began = time.monotonic()
        arrived = 0
        while failure is None:
            try:
                chunk = read(_CHUNK, decode_content=True)
            except (OSError, urllib3.exceptions.HTTPError, requests.RequestException) as error:
                failure = self._api.failures.translated(error)
                break
            if not chunk:
                return
            arrived += len(chunk)
            spent = time.monotonic() - began
            if spent > _PATIENCE * self._api.timeout and arrived < spent * _SLOWEST:
                failure = TransientError("the server sends too slowly")
                break
            yield chunk
        if failure is not None:
            raise failure


class _Counter:
    """Chunks on their way to a sink, counted."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.size += len(chunk)
            yield chunk


def _held(window: deque[tuple[ListedInstance, _Download]]) -> int:
    """The most memory that these downloads hold or may come to hold."""
    held = 0
    for _, download in window:
        done = download.done() and not download.cancelled() and download.exception() is None
        held += len(download.result() or b"") if done else _HELD_AT_MOST
    return held


def _evened(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in chunks of one length, so that two downloads can be compared."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= _CHUNK:
            yield bytes(held[:_CHUNK])
            del held[:_CHUNK]
    if held:
        yield bytes(held)


def _ends(response: requests.Response) -> bool:
    """Whether a body that was cut would be noticed."""
    chunked = response.headers.get("Transfer-Encoding", "").lower() == "chunked"
    return chunked or "Content-Length" in response.headers


def _require_the_right_one(head: bytes, instance: ListedInstance) -> None:
    """See that this is DICOM, and the instance that was asked for.

    The file meta information is looked at first, which costs next to nothing; where it says
    something else, the data set decides.
    """
    if head[128:132] != b"DICM":
        raise TransientError("what arrived is not DICOM")
    at = head.find(_META_UID, 132, 1024)
    if at >= 0:
        length = int.from_bytes(head[at + 6 : at + 8], "little")
        if head[at + 8 : at + 8 + length].strip(b" \0") == instance.sop_uid.encode():
            return
    found = read_header(io.BytesIO(head))
    if found.sop_uid != instance.sop_uid:
        raise TransientError("another instance arrived than was asked for")
