"""Studies out of an Orthanc server, over its REST API.

What belongs here: which studies there are, what they list, and telling a study that changed from a
server that is ill. What does not: the connection (`orthanc_api.py`), downloading
(`orthanc_download.py`), what a study consists of (`orthanc_overview.py`), and what happens to the
instances afterwards.

Measured against Orthanc 1.10: a study fetched instance by instance over kept-alive connections
with `Accept-Encoding: identity` is an order of magnitude faster than `/studies/{id}/archive`,
which deflates in one thread, and it can be verified: an archive has no Content-Length, so a cut
one looks like a complete one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from locutus_dagster.settings import OrthancSourceSettings
from locutus_dagster.sources.accession import unpadded, wanted_accession
from locutus_dagster.sources.base import (
    FetchReceipt,
    FoundStudy,
    InstanceSink,
    SourceContext,
    SourceError,
    StudyIncompleteError,
    StudyOverview,
)
from locutus_dagster.sources.orthanc_access import Access, Given
from locutus_dagster.sources.orthanc_api import OrthancApi
from locutus_dagster.sources.orthanc_changes import OrthancChanges
from locutus_dagster.sources.orthanc_download import Downloader
from locutus_dagster.sources.orthanc_overview import look_over
from locutus_dagster.sources.orthanc_terms import (
    Address,
    GoneError,
    ListedInstance,
    LostInstanceError,
    TransientError,
    changed,
    fingerprint,
    in_url,
    issuers,
    utc_time,
)
from locutus_dagster.sources.orthanc_wire import Wire

__all__ = ["OrthancSource", "open_orthanc"]

_WILDCARDS = frozenset("*?\\")


def open_orthanc(settings: OrthancSourceSettings, context: SourceContext) -> OrthancSource:
    """A workspace's Orthanc."""
    resolve = context.secrets.resolve

    def given(reference: str | None) -> Given:
        if reference is None:
            return None
        resolve(reference)  # a reference that leads nowhere is said now
        return lambda fresh: resolve(reference, fresh=fresh)

    return OrthancSource(
        settings.url,
        username=settings.username,
        password=given(settings.password),
        token=given(settings.token),
        verify=settings.verify,
        timeout=settings.timeout,
        slowest=settings.slowest,
        attempts=settings.attempts,
        connections=settings.connections,
        verify_md5=settings.verify_md5,
        issuer=settings.issuer,
    )


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
        password: see `username`; or a function that fetches it, and fetches it afresh when it is
            called with True, because Orthanc refused the one at hand.
        token: a bearer token instead of both, given like `password`.
        verify: True checks a TLS certificate against the system's authorities, a path against the
            authorities in that file, False not at all.
        timeout: seconds to wait for the next bytes of an answer (and at most 10 to connect).
        slowest: bytes a second below which an answer is given up and asked for again, once it has
            been waited for longer than `timeout`.
        attempts: how often one request is tried before giving up.
        connections: how many instances are downloaded at the same time.
        backoff: seconds before the second attempt; doubled, with jitter, before each further one.
        verify_md5: compare each instance with the MD5 that Orthanc took when it received the
            instance, where Orthanc keeps one (`StoreMD5ForAttachments`). It costs one more
            request an instance; the length of every answer is compared anyway.
        issuer: only studies whose Issuer of Accession Number (0008,0051) has this Local Namespace
            Entity ID or Universal Entity ID are this source's; None for all.
    """

    def __init__(
        self,
        url: str,
        *,
        username: str | None = None,
        password: Given = None,
        token: Given = None,
        verify: bool | str | Path = True,
        timeout: float = 30.0,
        slowest: float = 10_000.0,
        attempts: int = 4,
        connections: int = 4,
        backoff: float = 1.0,
        verify_md5: bool = True,
        issuer: str | None = None,
    ) -> None:
        if attempts < 1 or connections < 1:
            raise SourceError(
                "An Orthanc source needs at least one attempt and one connection.",
                "Correct `attempts` and `connections` of the source.",
            )
        address = Address.parse(url)
        access = Access(
            username=username if username is not None else address.username,
            password=password if password is not None else address.password,
            token=token,
        )
        wire = Wire(
            address,
            access,
            verify=verify,
            timeout=timeout,
            slowest=slowest,
            connections=connections,
        )
        self._username = access.username
        self._issuer = issuer
        self._api = OrthancApi(address, wire, attempts=attempts, backoff=backoff)
        self._downloader = Downloader(self._api, connections=connections, verify_md5=verify_md5)

    def __repr__(self) -> str:
        return f"OrthancSource({self._api.place!r}, username={self._username!r})"

    # --- StudySource ---------------------------------------------------------------------------

    def find(self, accession_number: str) -> list[FoundStudy]:
        """List the studies with exactly this accession number; see `StudySource.find`.

        `changed_at` is Orthanc's LastUpdate, to the second: when an instance was added, and since
        Orthanc 1.12.1 also when one was deleted. An instance that is sent again is no change to an
        Orthanc that does not overwrite (`OverwriteInstances`).

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
        self._api.system()
        question = {
            "Level": "Study",
            "Query": {"AccessionNumber": wanted},
            "CaseSensitive": True,
            "Expand": True,
        }
        try:
            answers = self._api.ask(lambda orthanc: orthanc.post_tools_find(json=question), list)
        except GoneError:
            raise self._api.not_an_orthanc() from None
        found: list[FoundStudy] = []
        for study_id, changed_at in self._exact_matches(answers, wanted):
            try:
                instances = self._list_instances(study_id)
                if not self._is_of_our_issuer(instances):
                    continue
            except GoneError:  # deleted since: no longer a study of this accession number
                continue
            found.append(
                FoundStudy(
                    source_id=study_id,
                    instances=len(instances),
                    size=sum(instance.size for instance in instances),
                    fingerprint=fingerprint(instances),
                    changed_at=changed_at,
                )
            )
        return found

    def overview(self, study: FoundStudy) -> StudyOverview:
        """Look what the study consists of; see `StudySource.overview`, and `look_over`."""
        return look_over(self._api, study.source_id)

    def fetch(self, study: FoundStudy, sink: InstanceSink) -> FetchReceipt:
        """Write every instance to `sink`, in the order of their SOP Instance UIDs.

        At most `connections` times 32 MiB are held in memory, whatever the study's size: larger
        instances are handed to the sink in chunks, and a dropped connection is resumed inside an
        instance by asking again and skipping what was already handed over.
        """
        instances = self._relist(study)
        try:
            size = self._downloader.write_all(instances, sink)
        except LostInstanceError as lost:
            failure = self._explain(study, str(lost))
        else:
            self._relist(study)
            return FetchReceipt(instances=len(instances), size=size, fingerprint=study.fingerprint)
        raise failure

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def check(self) -> dict[str, object]:
        """What Orthanc says about itself, for a preflight.

        Raises:
            SourceUnavailableError: Orthanc does not answer, or refuses us.
        """
        system = self._api.system(again=True)
        return {
            "kind": "orthanc",
            "place": self._api.place,
            "name": system.name,
            "version": system.version,
            "api_version": system.api_version,
        }

    def changes(self) -> OrthancChanges:
        """The log of what has happened in this Orthanc."""
        return OrthancChanges(self._api)

    # --- reading answers -----------------------------------------------------------------------

    def _exact_matches(
        self, answers: Sequence[dict[str, Any]], wanted: str
    ) -> list[tuple[str, datetime | None]]:
        """Orthanc ID and time of change of the studies with exactly this accession number."""
        matches: list[tuple[str, str, datetime | None]] = []
        try:
            for answer in answers:
                tags = answer["MainDicomTags"]
                if unpadded(tags.get("AccessionNumber", "")) == wanted:
                    uid = tags.get("StudyInstanceUID", "")
                    matches.append((uid, answer["ID"], utc_time(answer.get("LastUpdate"))))
        except (AttributeError, KeyError, TypeError):
            raise self._api.not_an_orthanc() from None
        matches.sort(key=lambda match: match[:2])
        return [(study_id, changed_at) for _, study_id, changed_at in matches]

    def _is_of_our_issuer(self, instances: Sequence[ListedInstance]) -> bool:
        """Whether the study's accession number is one of our issuer, by its first instance."""
        if self._issuer is None:
            return True
        if not instances:
            return False
        tags = self._api.ask(
            lambda orthanc: orthanc.get_instances_id_tags(
                id_=in_url(instances[0].orthanc_id), params={"short": ""}
            ),
            dict,
        )
        return self._issuer in issuers(tags)

    def _list_instances(self, study_id: str) -> list[ListedInstance]:
        return self._instances_in(
            self._api.ask(
                lambda orthanc: orthanc.get_studies_id_instances(id_=in_url(study_id)), list
            )
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
            raise self._api.not_an_orthanc() from None
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

    def _explain(self, study: FoundStudy, reason: str) -> SourceError:
        """Why an instance was lost: the study changed, the server is down, or just this instance.

        The difference matters to a batch: a server that is down fails every accession, one sick
        instance only its own.
        """
        failure: SourceError
        try:
            answers = self._api.ask_once(
                lambda orthanc: orthanc.get_studies_id_instances(id_=in_url(study.source_id)),
                list,
            )
            unchanged = fingerprint(self._instances_in(answers)) == study.fingerprint
        except TransientError as error:
            failure = self._api.unavailable(error)
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
