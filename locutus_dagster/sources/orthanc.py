"""Studies out of an Orthanc server, over its REST API.

What belongs here: asking Orthanc, downloading from it, and telling a study that changed from a
server that is ill. What does not: what happens to the instances afterwards.

Measured against Orthanc 1.10: a study fetched instance by instance over kept-alive connections
with `Accept-Encoding: identity` is an order of magnitude faster than `/studies/{id}/archive`,
which deflates in one thread, and it can be verified: an archive has no Content-Length, so a cut
one looks like a complete one.
"""

from __future__ import annotations

import hashlib
import ssl
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tenacity

from locutus_dagster.sources.accession import unpadded, wanted_accession
from locutus_dagster.sources.base import (
    FetchReceipt,
    FoundStudy,
    InstanceSink,
    SourceError,
    SourceUnavailableError,
    StudyIncompleteError,
)
from locutus_dagster.sources.orthanc_terms import (
    Address,
    GoneError,
    ListedInstance,
    LostInstanceError,
    TransientError,
    UnreachableError,
    bad_url,
    begins_like_dicom,
    changed,
    fingerprint,
    in_url,
)
from locutus_dagster.sources.quiet import hush_http_loggers

if TYPE_CHECKING:
    import httpx
    import pyorthanc

__all__ = ["OrthancSource"]

_MIB = 1024 * 1024
_HELD_AT_MOST = 32 * _MIB
"""Instances up to this size are held in memory; larger ones flow through in chunks."""
_CHUNK = _MIB
_AHEAD_PER_CONNECTION = 4
_LONGEST_WAIT = 30.0
_CONNECT_TIMEOUT = 10.0
_WILDCARDS = frozenset("*?\\")


class OrthancSource:
    """A `StudySource` that asks Orthanc.

    The client is built at the first question, so that building a source costs nothing; after
    `close()` the next question opens it again.

    The environment's proxy variables are not obeyed: a PACS stands in one's own network, and its
    studies must not travel through whatever proxy a shell happens to name.

    Args:
        url: where Orthanc's REST API is, e.g. `https://pacs.example:8042`; credentials in it are
            used and never shown.
        username: for basic authentication; None for none.
        password: see `username`.
        verify: True checks a TLS certificate against the system's authorities, a path against the
            authorities in that file, False not at all.
        timeout: seconds to wait for the next bytes of an answer (and at most 10 to connect).
        attempts: how often one request is tried before giving up.
        connections: how many instances are downloaded at the same time.
        backoff: seconds before the second attempt; doubled, with jitter, before each further one.
        verify_md5: compare each instance with the MD5 that Orthanc took when it received the
            instance. Off by default: it costs one more request an instance (fetching is then
            about half as fast), and the length of every answer is compared anyway.
    """

    def __init__(
        self,
        url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        verify: bool | str | Path = True,
        timeout: float = 30.0,
        attempts: int = 4,
        connections: int = 4,
        backoff: float = 1.0,
        verify_md5: bool = False,
    ) -> None:
        if attempts < 1 or connections < 1:
            raise SourceError(
                "An Orthanc source needs at least one attempt and one connection.",
                "Correct `attempts` and `connections` of the source.",
            )
        address = Address.parse(url)
        self._base = address.base
        self._place = address.place
        self._username = username if username is not None else address.username
        self._password = password if password is not None else address.password
        self._verify = verify
        self._timeout = timeout
        self._attempts = attempts
        self._connections = connections
        self._backoff = backoff
        self._verify_md5 = verify_md5
        self._open_client: pyorthanc.Orthanc | None = None

    def __repr__(self) -> str:
        return f"OrthancSource({self._place!r}, username={self._username!r})"

    # --- StudySource ---------------------------------------------------------------------------

    def find(self, accession_number: str) -> list[FoundStudy]:
        """List the studies with exactly this accession number; see `StudySource.find`.

        Raises:
            SourceError: the accession number is empty or contains a wildcard of DICOM matching
                (`*`, `?`, `\\`), with which Orthanc cannot be asked for one study only.
            SourceUnavailableError: Orthanc does not answer, or refuses us.
        """
        wanted = wanted_accession(accession_number)
        if _WILDCARDS.intersection(wanted):
            raise SourceError(
                "The accession number contains a wildcard of DICOM matching (*, ? or \\), with "
                "which Orthanc cannot be asked for exactly one study.",
                "Correct the accession number in the manifest.",
            )
        question = {
            "Level": "Study",
            "Query": {"AccessionNumber": wanted},
            "CaseSensitive": True,
            "Expand": True,
        }
        try:
            answers = self._ask(lambda orthanc: orthanc.post_tools_find(json=question), list)
        except GoneError:
            raise self._not_an_orthanc() from None
        found: list[FoundStudy] = []
        for study_id in self._exact_matches(answers, wanted):
            try:
                instances = self._list_instances(study_id)
            except GoneError:  # deleted since: no longer a study of this accession number
                continue
            found.append(
                FoundStudy(
                    source_id=study_id,
                    instances=len(instances),
                    size=sum(instance.size for instance in instances),
                    fingerprint=fingerprint(instances),
                )
            )
        return found

    def fetch(self, study: FoundStudy, sink: InstanceSink) -> FetchReceipt:
        """Write every instance to `sink`, in the order of their SOP Instance UIDs.

        At most `connections` times 32 MiB are held in memory, whatever the study's size: larger
        instances are handed to the sink in chunks, and a dropped connection is resumed inside an
        instance by asking again and skipping what was already handed over.
        """
        instances = self._relist(study)
        try:
            size = self._write_all(instances, sink)
        except LostInstanceError as lost:
            failure = self._explain(study, str(lost))
        else:
            self._relist(study)
            return FetchReceipt(instances=len(instances), size=size, fingerprint=study.fingerprint)
        raise failure

    def close(self) -> None:
        """Close the connections."""
        if self._open_client is not None:
            self._open_client.close()
            self._open_client = None

    def check(self) -> dict[str, object]:
        """What Orthanc says about itself, for a preflight.

        Raises:
            SourceUnavailableError: Orthanc does not answer, or refuses us.
        """
        try:
            system = self._ask(lambda orthanc: orthanc.get_system(), dict)
        except GoneError:
            raise self._not_an_orthanc() from None
        if "Version" not in system:
            raise self._not_an_orthanc()
        return {
            "kind": "orthanc",
            "place": self._place,
            "name": system.get("Name", ""),
            "version": system["Version"],
            "api_version": system.get("ApiVersion"),
        }

    # --- asking --------------------------------------------------------------------------------

    @property
    def _client(self) -> pyorthanc.Orthanc:
        if self._open_client is None:
            import httpx
            import pyorthanc

            hush_http_loggers()
            auth = None
            if self._username is not None:
                auth = httpx.BasicAuth(self._username, self._password or "")
            self._open_client = pyorthanc.Orthanc(
                self._base,
                return_raw_response=True,
                auth=auth,
                headers={"Accept-Encoding": "identity"},
                timeout=httpx.Timeout(
                    self._timeout, connect=min(self._timeout, _CONNECT_TIMEOUT), pool=None
                ),
                limits=httpx.Limits(
                    max_connections=self._connections,
                    max_keepalive_connections=self._connections,
                ),
                verify=self._tls(),
                trust_env=False,
            )
        return self._open_client

    def _tls(self) -> ssl.SSLContext | bool:
        if self._verify is False or not self._base.startswith("https:"):
            return False
        try:
            return ssl.create_default_context(
                cafile=None if self._verify is True else str(self._verify)
            )
        except OSError:
            raise SourceUnavailableError(
                "The file of certificate authorities for Orthanc cannot be read.",
                "Check `verify` of the source: it names a PEM file.",
            ) from None

    def _retrying(self, halt: threading.Event | None = None) -> tenacity.Retrying:
        """Bounded attempts with exponential back-off and jitter; `halt` ends the waiting early."""
        halt = halt or threading.Event()
        return tenacity.Retrying(
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(self._attempts), tenacity.stop_when_event_set(halt)
            ),
            wait=tenacity.wait_exponential(multiplier=self._backoff, max=_LONGEST_WAIT)
            + tenacity.wait_random(0, self._backoff),
            sleep=tenacity.sleep_using_event(halt),
            retry=tenacity.retry_if_exception_type(TransientError),
            reraise=True,
        )

    def _ask(self, call: Callable[[pyorthanc.Orthanc], Any], expected: type) -> Any:
        """One question with a JSON answer, retried.

        Raises:
            GoneError: Orthanc says 404.
            SourceUnavailableError: after the last attempt.
        """
        try:
            return self._retrying()(self._ask_once, call, expected)
        except TransientError as error:
            failure = self._unavailable(error)
        raise failure

    def _ask_once(self, call: Callable[[pyorthanc.Orthanc], Any], expected: type) -> Any:
        import httpx

        failure: Exception
        try:
            response = call(self._client)
        except httpx.InvalidURL:
            failure = bad_url()
        except httpx.HTTPError as error:
            failure = self._translated(error)
        else:
            self._refuse(response)
            try:
                answer = response.json()
            except ValueError:
                answer = None
            if isinstance(answer, expected):
                return answer
            failure = self._not_an_orthanc()
        # Raised here and not in the handler, so that no exception chain leads to a foreign text
        # that quotes an address.
        raise failure

    def _exact_matches(self, answers: Sequence[dict[str, Any]], wanted: str) -> list[str]:
        """The Orthanc IDs of those studies that carry exactly this accession number, in order."""
        matches: list[tuple[str, str]] = []
        try:
            for answer in answers:
                tags = answer["MainDicomTags"]
                if unpadded(tags.get("AccessionNumber", "")) == wanted:
                    matches.append((tags.get("StudyInstanceUID", ""), answer["ID"]))
        except (AttributeError, KeyError, TypeError):
            raise self._not_an_orthanc() from None
        return [study_id for _, study_id in sorted(matches)]

    def _list_instances(self, study_id: str) -> list[ListedInstance]:
        return self._instances_in(
            self._ask(lambda orthanc: orthanc.get_studies_id_instances(id_=in_url(study_id)), list)
        )

    def _instances_in(self, answers: Sequence[dict[str, Any]]) -> list[ListedInstance]:
        try:
            instances = [
                ListedInstance(
                    orthanc_id=answer["ID"],
                    sop_uid=unpadded(answer["MainDicomTags"]["SOPInstanceUID"]),
                    size=int(answer["FileSize"]),
                    file_uuid=answer.get("FileUuid", ""),
                )
                for answer in answers
            ]
        except (KeyError, TypeError, ValueError):
            raise self._not_an_orthanc() from None
        return sorted(instances, key=lambda instance: (instance.sop_uid, instance.orthanc_id))

    def _relist(self, study: FoundStudy) -> list[ListedInstance]:
        """The study's instances, if it still is the study that `find` saw."""
        try:
            instances = self._list_instances(study.source_id)
        except GoneError:
            raise changed() from None
        if fingerprint(instances) != study.fingerprint:
            raise changed()
        return instances

    # --- downloading ---------------------------------------------------------------------------

    def _write_all(self, instances: Sequence[ListedInstance], sink: InstanceSink) -> int:
        """Download ahead in threads, write in order; returns the bytes written."""
        upcoming = deque(instances)
        window: deque[tuple[ListedInstance, Future[list[bytes]] | None]] = deque()
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
            return self._retrying(halt)(lambda: list(self._chunks(instance)))
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
            for attempt in self._retrying():
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
        url = f"{self._base}/instances/{in_url(instance.orthanc_id)}/file"
        try:
            with self._client.stream("GET", url) as response:
                self._refuse(response)
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
            failure = self._translated(error)
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
            response = self._client.get_instances_id_attachments_name_md5(
                id_=in_url(instance.orthanc_id), name="dicom"
            )
        except httpx.HTTPError as error:
            failure = self._translated(error)
        else:
            self._refuse(response)
            return str(response.text).strip()
        raise failure

    def _explain(self, study: FoundStudy, reason: str) -> SourceError:
        """Why an instance was lost: the study changed, the server is down, or just this instance.

        The difference matters to a batch: a server that is down fails every accession, one sick
        instance only its own.
        """
        failure: SourceError
        try:
            answers = self._ask_once(
                lambda orthanc: orthanc.get_studies_id_instances(id_=in_url(study.source_id)),
                list,
            )
            unchanged = fingerprint(self._instances_in(answers)) == study.fingerprint
        except TransientError as error:
            failure = self._unavailable(error)
        except GoneError:
            failure = changed()
        except SourceError as error:
            failure = error
        else:
            failure = (
                StudyIncompleteError(
                    f"One of {study.instances} instances did not arrive: {reason}.",
                    "Look into Orthanc's log and storage, then run this accession again.",
                )
                if unchanged
                else changed()
            )
        return failure

    # --- naming failures -----------------------------------------------------------------------

    def _refuse(self, response: httpx.Response) -> None:
        """Turn a status other than success into the error that fits it."""
        status = response.status_code
        if 200 <= status < 300:
            return
        if status in (401, 403):
            raise SourceUnavailableError(
                f"Orthanc at {self._place} refuses these credentials (HTTP {status}).",
                "Check the source's username and password, and that this user may read studies.",
            )
        if status == 404:
            raise GoneError
        if status == 429 or status >= 500:
            raise TransientError(f"Orthanc answered with HTTP status {status}")
        if 300 <= status < 400:
            raise SourceUnavailableError(
                f"Orthanc at {self._place} redirects elsewhere (HTTP {status}).",
                "Give the source the URL of Orthanc's REST API itself.",
            )
        raise SourceError(
            f"Orthanc at {self._place} does not accept the request (HTTP {status}).",
            "Look into Orthanc's log.",
        )

    def _translated(self, error: httpx.HTTPError) -> Exception:
        """Our own error for one of httpx, whose text may quote an address."""
        import httpx

        if isinstance(error, httpx.ConnectError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
            return SourceUnavailableError(
                f"The TLS certificate of Orthanc at {self._place} is not trusted.",
                "Give the source the file of its certificate authority in `verify`.",
            )
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return UnreachableError("Orthanc did not accept the connection")
        if isinstance(error, httpx.TimeoutException):
            return TransientError(f"Orthanc sent nothing for {self._timeout:g} s")
        return TransientError("the connection broke")

    def _unavailable(self, error: TransientError) -> SourceUnavailableError:
        if isinstance(error, UnreachableError):
            return SourceUnavailableError(
                f"Orthanc does not answer at {self._place}.",
                "Check the source's URL and the network, and that Orthanc runs.",
            )
        return SourceUnavailableError(
            f"Orthanc at {self._place} failed {self._attempts} times; at last: {error}.",
            "Look into Orthanc's log and load, then run again.",
        )

    def _not_an_orthanc(self) -> SourceUnavailableError:
        return SourceUnavailableError(
            f"What answers at {self._place} does not answer like Orthanc's REST API.",
            "Check the source's URL, with the path of a reverse proxy if there is one.",
        )
