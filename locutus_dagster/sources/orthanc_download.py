"""Downloading a study's instances from Orthanc: ahead in threads, in order, in bounded memory.

What belongs here: getting every byte of the listed instances, verified. What does not: which
instances a study has, and why one was lost (`orthanc.py`).
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

from locutus_dagster.sources.base import InstanceSink
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

__all__ = ["Downloader"]

_MIB = 1024 * 1024
_HELD_AT_MOST = 32 * _MIB
"""Instances up to this size are held in memory; larger ones flow through in chunks."""
_CHUNK = _MIB
_AHEAD_PER_CONNECTION = 4


class Downloader:
    """Downloads instances into a sink.

    Args:
        api: the Orthanc to download from, over as many connections as it allows.
        verify_md5: see `OrthancSource`.
    """

    def __init__(self, api: OrthancApi, *, verify_md5: bool) -> None:
        self._api = api
        self._verify_md5 = verify_md5

    def write_all(self, instances: Sequence[ListedInstance], sink: InstanceSink) -> int:
        """Download ahead in threads, write in order; returns the bytes written.

        Raises:
            LostInstanceError: one instance could not be had.
            StudyChangedError: an instance is no longer the one that its download began with.
        """
        upcoming = deque(instances)
        window: deque[tuple[ListedInstance, Future[list[bytes]] | None]] = deque()
        held = written = 0
        budget = self._api.connections * _HELD_AT_MOST
        halt = threading.Event()
        with ThreadPoolExecutor(self._api.connections, thread_name_prefix="orthanc") as pool:
            try:
                while upcoming or window:
                    while upcoming and len(window) < self._api.connections * _AHEAD_PER_CONNECTION:
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
                        chunks = download.result()
                        sink.add(chunks[0] if len(chunks) == 1 else chunks)
                        held -= instance.size
                        del chunks
                    del download
                    written += instance.size
            except BaseException:
                halt.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return written

    def _download(self, instance: ListedInstance, halt: threading.Event) -> list[bytes]:
        """One instance, verified, in chunks; runs in a thread."""
        try:
            return self._api.retrying(halt)(lambda: list(self._chunks(instance)))
        except TransientError as error:
            reason = str(error)
        except GoneError:
            reason = "Orthanc lists it but has no file of it"
        raise LostInstanceError(reason)

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
        """The body of one instance, verified; ends normally only if it is complete."""
        import httpx

        failure: Exception | None = None
        md5 = hashlib.md5(usedforsecurity=False) if self._verify_md5 else None
        arrived = 0
        url = f"{self._api.base}/instances/{in_url(instance.orthanc_id)}/file"
        try:
            with self._api.client.stream("GET", url) as response:
                self._api.refuse(response)
                announced = response.headers.get("content-length")
                if (
                    announced is not None
                    and "content-encoding" not in response.headers
                    and announced != str(instance.size)
                ):
                    raise TransientError("its length is not the one that Orthanc lists")
                for chunk in response.iter_bytes(_CHUNK):
                    if not arrived and not begins_like_dicom(chunk):
                        raise TransientError("what arrived is not DICOM")
                    arrived += len(chunk)
                    if arrived > instance.size:
                        break
                    if md5 is not None:
                        md5.update(chunk)
                    yield chunk
        except httpx.HTTPError as error:
            failure = self._api.translated(error)
        if failure is not None:
            raise failure
        if arrived != instance.size:
            raise TransientError("its length is not the one that Orthanc lists")
        if md5 is not None and md5.hexdigest() != self._recorded_md5(instance):
            raise TransientError("its MD5 is not the one that Orthanc recorded")

    def _recorded_md5(self, instance: ListedInstance) -> str:
        import httpx

        failure: Exception
        try:
            response = self._api.client.get_instances_id_attachments_name_md5(
                id_=in_url(instance.orthanc_id), name="dicom"
            )
        except httpx.HTTPError as error:
            failure = self._api.translated(error)
        else:
            self._api.refuse(response)
            return str(response.text).strip()
        raise failure
