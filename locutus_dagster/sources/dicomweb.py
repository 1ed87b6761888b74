"""Studies from a DICOMweb server: searched with QIDO-RS, retrieved with WADO-RS.

What belongs here: which studies there are, what they list, and telling a study that changed from a
server that is ill. What does not: the connection (`dicomweb_api.py`), downloading
(`dicomweb_download.py`), and what happens to the instances afterwards.

DICOMweb tells less than a PACS knows: neither the size of an instance, nor a checksum, nor when a
study changed. So a study's fingerprint is made of its instances' UIDs and numbers of frames, and
an instance that was replaced by another one with the same UID is not noticed.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from locutus_dagster.settings import DicomWebSourceSettings
from locutus_dagster.sources.accession import wanted_accession
from locutus_dagster.sources.base import (
    FetchReceipt,
    FoundStudy,
    InstanceSink,
    SourceContext,
    SourceError,
    StudyIncompleteError,
    StudyOverview,
)
from locutus_dagster.sources.dicomweb_api import DicomWebApi
from locutus_dagster.sources.dicomweb_download import Downloader
from locutus_dagster.sources.dicomweb_terms import (
    Answer,
    GoneError,
    ListedInstance,
    LostInstanceError,
    TransientError,
    changed,
    fingerprint,
    listed_instance,
    number,
    text,
)
from locutus_dagster.sources.patient_digests import patient_digests

if TYPE_CHECKING:
    from dicomweb_client import DICOMwebClient

__all__ = ["DicomWebSource", "open_dicomweb"]

_WILDCARDS = frozenset("*?\\")
_ACCESSION_NUMBER = "00080050"
_STUDY_INSTANCE_UID = "0020000D"
_STUDY_INSTANCES = "00201208"
_STUDY_FIELDS = ("AccessionNumber", "NumberOfStudyRelatedInstances")
_INSTANCE_FIELDS = (
    *("SOPClassUID", "SeriesInstanceUID", "Modality", "PatientID"),
    *("SamplesPerPixel", "NumberOfFrames", "Rows", "Columns", "BitsAllocated"),
)
_PAGE = 1000
_SURELY_ALL = 20
"""No server cuts its answers below this number, so that a shorter one needs no second question."""


def open_dicomweb(settings: DicomWebSourceSettings, context: SourceContext) -> DicomWebSource:
    """A workspace's DICOMweb server."""
    return DicomWebSource(settings, context)


class DicomWebSource:
    """A `StudySource` that asks a DICOMweb server.

    The session is built at the first question, so that building a source costs nothing; after
    `close()` the next question opens it again.

    Args:
        settings: where the server is, and how it is reached.
        context: resolves the references to secrets.
        backoff: seconds before the second attempt; doubled, with jitter, before each further one.

    Raises:
        SourceError: the URL is none.
    """

    def __init__(
        self, settings: DicomWebSourceSettings, context: SourceContext, *, backoff: float = 1.0
    ) -> None:
        self._api = DicomWebApi(settings, context.secrets, backoff=backoff)
        self._downloader = Downloader(self._api)

    def __repr__(self) -> str:
        return f"DicomWebSource({self._api.place!r})"

    # --- StudySource ---------------------------------------------------------------------------

    def check(self) -> dict[str, object]:
        """Say where the server is, if it answers a search.

        Raises:
            SourceUnavailableError: it does not, or refuses us.
        """
        try:
            self._api.ask(lambda client: client.search_for_studies(limit=1))
        except GoneError:
            raise self._api.failures.not_dicomweb() from None
        return {"kind": "dicomweb", "place": self._api.place}

    def find(self, accession_number: str) -> list[FoundStudy]:
        """List the studies with exactly this accession number; see `StudySource.find`.

        `size` is an estimate out of rows, columns and frames, for a study without compression.
        `changed_at` is None: DICOMweb does not tell it.

        Raises:
            SourceError: the accession number is empty or contains a wildcard of DICOM matching
                (`*`, `?`, `\\`), with which a server cannot be asked for one study only.
            SourceUnavailableError: the server does not answer, or refuses us.
        """
        wanted = wanted_accession(accession_number)
        if _WILDCARDS.intersection(wanted):
            raise SourceError(
                "The accession number contains a wildcard of DICOM matching (*, ? or \\), with "
                "which a DICOMweb server cannot be asked for exactly one study.",
                "Correct the accession number in the manifest.",
            )
        found: list[FoundStudy] = []
        for study_uid in self._study_uids(wanted):
            instances = self._list_instances(study_uid)
            if not instances:
                self._require_none(study_uid)
            else:
                found.append(
                    FoundStudy(
                        source_id=study_uid,
                        instances=len(instances),
                        size=sum(one.size for one in instances),
                        fingerprint=fingerprint(instances),
                    )
                )
        return found

    def overview(self, study: FoundStudy) -> StudyOverview:
        """Look what the study consists of; see `StudySource.overview`.

        It is what the server lists of each instance. Patients are told apart by their Patient IDs.

        Raises:
            StudyChangedError: the study is no longer there.
            SourceUnavailableError: the server does not answer, or refuses us.
        """
        instances = self._list_instances(study.source_id)
        if not instances:
            raise changed()
        kinds = Counter((one.sop_class, one.modality) for one in instances)
        return StudyOverview(
            series=len({one.series_uid for one in instances}),
            kinds=dict(sorted(kinds.items())),
            patients=patient_digests(
                one.patient_id.encode(errors="surrogatepass") for one in instances
            ),
        )

    def fetch(self, study: FoundStudy, sink: InstanceSink) -> FetchReceipt:
        """Write every instance to `sink`, in the order of their SOP Instance UIDs.

        Raises:
            StudyChangedError: the study is no longer the one that `find` saw.
            StudyIncompleteError: an instance did not arrive, or the server says that the study has
                more instances than it lists.
            SourceUnavailableError: the server stopped answering.
        """
        instances = self._relist(study)
        self._require_all_listed(study)
        try:
            size = self._downloader.write_all(study.source_id, instances, sink)
        except LostInstanceError as lost:
            failure = self._explain(study, str(lost))
        else:
            self._relist(study)
            return FetchReceipt(instances=len(instances), size=size, fingerprint=study.fingerprint)
        raise failure

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    # --- reading answers -----------------------------------------------------------------------

    def _study_uids(self, wanted: str) -> list[str]:
        """The UIDs of the studies with exactly this accession number.

        Servers may ignore case, match by wildcards, or not look at the key at all, so each answer
        is looked at. Two answers with one UID (the study was sent under two patients) are one
        study here, because WADO-RS cannot tell them apart.
        """
        answers = self._all_studies({"AccessionNumber": wanted})
        found: set[str] = set()
        try:
            for answer in answers:
                study_uid = text(answer, _STUDY_INSTANCE_UID)
                if text(answer, _ACCESSION_NUMBER) == wanted and study_uid:
                    found.add(study_uid)
        except (AttributeError, KeyError, TypeError):
            raise self._api.failures.not_dicomweb() from None
        return sorted(found)

    def _all_studies(self, filters: dict[str, str]) -> list[Answer]:
        try:
            return self._all_pages("search_for_studies", filters, _STUDY_FIELDS)
        except GoneError:
            raise self._api.failures.not_dicomweb() from None

    def _list_instances(self, study_uid: str) -> list[ListedInstance]:
        """The study's instances by their UIDs; none if there is no such study."""
        try:
            answers = self._all_pages("search_for_instances", {}, _INSTANCE_FIELDS, study_uid)
        except GoneError:
            return []
        return self._instances_in(answers)

    def _instances_in(self, answers: list[Answer]) -> list[ListedInstance]:
        try:
            instances = {listed_instance(answer) for answer in answers}
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self._api.failures.not_dicomweb() from None
        return sorted(instances, key=lambda one: (one.sop_uid, one.series_uid, one.patient_id))

    def _all_pages(
        self,
        search: str,
        filters: dict[str, str],
        fields: tuple[str, ...],
        study_uid: str | None = None,
        *,
        once: bool = False,
    ) -> list[Answer]:
        """All answers to a search; a server may cut them at a number of its own.

        Asking goes on until nothing new comes, and not until nothing comes: some servers ignore
        `offset` and answer the same for ever.
        """
        options: dict[str, Any] = {"search_filters": filters, "fields": list(fields)}
        if study_uid is not None:
            options["study_instance_uid"] = study_uid
        ask = self._api.ask_once if once else self._api.ask
        answers: list[Answer] = []
        known: set[str] = set()
        while True:
            offset = len(answers)
            page = ask(partial(_search, search, offset=offset, **options))
            before = len(known)
            known.update(repr(answer) for answer in page)
            answers += page
            if len(known) == before or len(page) < _SURELY_ALL:
                return answers

    def _relist(self, study: FoundStudy) -> list[ListedInstance]:
        """The study's instances, if it still is the study that `find` saw."""
        instances = self._list_instances(study.source_id)
        if fingerprint(instances) != study.fingerprint:
            raise changed()
        return instances

    def _announced(self, study_uid: str) -> list[int | None]:
        """How many instances the server says the study has, in each answer that is about it."""
        answers = self._all_studies({"StudyInstanceUID": study_uid})
        try:
            return [
                number(answer, _STUDY_INSTANCES)
                for answer in answers
                if text(answer, _STUDY_INSTANCE_UID) == study_uid
            ]
        except (AttributeError, KeyError, TypeError):
            raise self._api.failures.not_dicomweb() from None

    def _require_none(self, study_uid: str) -> None:
        """See that a study of which no instance is listed has none, or was deleted since."""
        if any(one is None or one > 0 for one in self._announced(study_uid)):
            raise SourceError(
                "The DICOMweb server has the study, but lists no instance of it.",
                "Let it answer QIDO-RS for the instances of a study (/studies/…/instances).",
            )

    def _require_all_listed(self, study: FoundStudy) -> None:
        """See that the list is no shorter than the number that the server gives, if it does."""
        announced = sum(one or 0 for one in self._announced(study.source_id))
        if announced <= study.instances:
            return
        if fingerprint(self._list_instances(study.source_id)) != study.fingerprint:
            raise changed()
        raise StudyIncompleteError(
            f"The DICOMweb server lists {study.instances} of the {announced} instances that it"
            " says the study has.",
            "Let it list all instances of a study (QIDO-RS with limit and offset).",
        )

    def _explain(self, study: FoundStudy, reason: str) -> SourceError:
        """Why an instance was lost: the study changed, the server is down, or just this instance.

        The difference matters to a batch: a server that is down fails every accession, one sick
        instance only its own.
        """
        failure: SourceError
        try:
            answers = self._all_pages(
                "search_for_instances", {}, _INSTANCE_FIELDS, study.source_id, once=True
            )
            unchanged = fingerprint(self._instances_in(answers)) == study.fingerprint
        except TransientError as error:
            failure = self._api.failures.unavailable(error)
        except GoneError:
            failure = changed()
        except SourceError as error:
            failure = error
        else:
            failure = (
                StudyIncompleteError(
                    f"One of {study.instances} instances did not arrive: {reason}.",
                    "Look into the DICOMweb server's log and storage, then run this accession"
                    " again.",
                )
                if unchanged
                else changed()
            )
        return failure


def _search(kind: str, client: DICOMwebClient, *, offset: int, **options: Any) -> object:
    """One page; `offset` is only sent where it says something, as some servers mind it."""
    more = {"offset": offset} if offset else {}
    return getattr(client, kind)(limit=_PAGE, **more, **options)
