"""Downloading a study's instances from Orthanc: ahead in threads, in order, in bounded memory.

What belongs here: getting every byte of the listed instances, verified. What does not: which
instances a study has, and why one was lost (`orthanc.py`).
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager

from locutus_dagster.sources.base import InstanceSink, SourceUnavailableError
from locutus_dagster.sources.orthanc_api import OrthancApi
from locutus_dagster.sources.orthanc_terms import (
    GoneError,
    ListedInstance,
    LostInstanceError,
    TransientError,
    begins_like_dicom,
    changed,
    in_url,
)
from locutus_dagster.sources.orthanc_wire import Answer

__all__ = ["Downloader"]

_MIB = 1024 * 1024
_HELD_AT_MOST = 32 * _MIB
"""Instances up to this size are held in memory; larger ones flow through in chunks."""
_CHUNK = _MIB
_AHEAD_PER_CONNECTION = 4


class Downloader:
    """Downloads instances into a sink.

    Args:
        api: the Orthanc to download from.
        connections: how many instances are downloaded at the same time.
        verify_md5: see `OrthancSource`.
    """

    def __init__(self, api: OrthancApi, *, connections: int, verify_md5: bool) -> None:
        self._api = api
        self._connections = connections
        self._verify_md5 = verify_md5

    def write_all(self, instances: Sequence[ListedInstance], sink: InstanceSink) -> int:
        """Download ahead in threads, write in order; returns the bytes written.

        Raises:
            LostInstanceError: one instance could not be had.
            StudyChangedError: an instance is no longer the one that its download began with.
        """
        upcoming = deque(instances)
        window: deque[tuple[ListedInstance, Future[bytes] | None]] = deque()
        held = written = 0
        budget = self._connections * _HELD_AT_MOST
        halt = threading.Event()
        with ThreadPoolExecutor(self._connections, thread_name_prefix="orthanc") as pool:
            try:
                while upcoming or window:
                    while upcoming and len(window) < self._connections * _AHEAD_PER_CONNECTION:
                        instance = upcoming[0]
                        if instance.size > _HELD_AT_MOST:
                            window.append((instance, None))
                        elif held + instance.size <= budget:
                            held += instance.size
                            window.append((instance, pool.submit(self._download, instance, halt)))
                        else:
                            break
                        upcoming.popleft()
                    instance, download = window.popleft()
                    if download is None:
                        sink.add(self._chunks_retried(instance))
                    else:
                        sink.add(download.result())
                        held -= instance.size
                    del download
                    written += instance.size
            except BaseException:
                halt.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return written

    def _download(self, instance: ListedInstance, halt: threading.Event) -> bytes:
        """One instance, verified; runs in a thread."""
        try:
            return self._api.retrying(halt)(self._whole, instance)
        except TransientError as error:
            reason = str(error)
        except GoneError:
            reason = "Orthanc lists it but has no file of it"
        raise LostInstanceError(reason)

    def _whole(self, instance: ListedInstance) -> bytes:
        """The body of one instance in one piece, verified."""
        with self._asked(instance) as answer:
            # One byte more than is listed would show an unannounced length that is another.
            data = answer.read(instance.size + (answer.length is None))
        if len(data) != instance.size:
            raise _another_length()
        if not begins_like_dicom(data):
            raise _no_dicom()
        if self._verify_md5:
            self._compare(hashlib.md5(data, usedforsecurity=False).hexdigest(), instance)
        return data

    def _chunks_retried(self, instance: ListedInstance) -> Iterator[bytes]:
        """One large instance, chunk by chunk; an interrupted download is taken up where it broke.

        Orthanc serves no ranges, so what was handed over already is downloaded again and compared.
        """
        handed_over: list[bytes] = []
        reason = ""
        try:
            for attempt in self._api.retrying():
                with attempt, closing(self._chunks(instance)) as chunks:
                    for number, chunk in enumerate(chunks):
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
            reason = "Orthanc lists it but has no file of it"
        raise LostInstanceError(reason)

    def _chunks(self, instance: ListedInstance) -> Generator[bytes, None, None]:
        """The body of one instance in chunks; ends normally only if it is complete."""
        md5 = hashlib.md5(usedforsecurity=False)
        arrived = 0
        with self._asked(instance) as answer:
            while chunk := answer.read(_CHUNK):
                if not arrived and not begins_like_dicom(chunk):
                    raise _no_dicom()
                arrived += len(chunk)
                if arrived > instance.size:
                    break
                if self._verify_md5:
                    md5.update(chunk)
                yield chunk
                if arrived == answer.length:
                    break
        if arrived != instance.size:
            raise _another_length()
        if self._verify_md5:
            self._compare(md5.hexdigest(), instance)

    @contextmanager
    def _asked(self, instance: ListedInstance) -> Iterator[Answer]:
        """The answer that brings an instance, as long as Orthanc lists it to be."""
        with self._api.wire.ask("GET", self._path(instance, "file")) as answer:
            self._api.refuse(answer.status)
            if "content-encoding" in answer.headers:
                raise SourceUnavailableError(
                    f"What answers at {self._api.place} compresses files unasked.",
                    "Tell the reverse proxy before Orthanc to leave `application/dicom` as it is.",
                )
            if answer.length is not None and answer.length != instance.size:
                raise _another_length()
            yield answer

    def _compare(self, md5: str, instance: ListedInstance) -> None:
        """Compare with the MD5 that Orthanc took when it received the instance.

        An Orthanc with `StoreMD5ForAttachments` off has none, and there is nothing to compare.
        """
        with self._api.wire.ask("GET", self._path(instance, "attachments/dicom/info")) as answer:
            self._api.refuse(answer.status)
            body = answer.read()
        try:
            recorded = json.loads(body)["UncompressedMD5"]
        except (ValueError, KeyError, TypeError):
            recorded = None
        if not isinstance(recorded, str):
            raise self._api.not_an_orthanc()
        if recorded and recorded != md5:
            raise TransientError("its MD5 is not the one that Orthanc recorded")

    def _path(self, instance: ListedInstance, what: str) -> str:
        return f"{self._api.path}/instances/{in_url(instance.orthanc_id)}/{what}"


def _another_length() -> TransientError:
    return TransientError("its length is not the one that Orthanc lists")


def _no_dicom() -> TransientError:
    return TransientError("what arrived is not DICOM")
