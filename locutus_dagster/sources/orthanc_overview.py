"""What a study in Orthanc consists of, out of Orthanc's index and without its files.

What belongs here: the questions for an overview, and reading their answers. What does not: asking
(`orthanc_api.py`).

`/tools/bulk-content` (Orthanc 1.9.4 and later) describes many resources at once, with the metadata
that Orthanc keeps of each. That makes two requests and one for each thousand instances, and reads
no file; `/studies/{id}/instances-tags` would read them all, and is some twenty times slower.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from locutus_dagster.sources.accession import unpadded
from locutus_dagster.sources.base import SourceUnavailableError, StudyOverview
from locutus_dagster.sources.orthanc_api import OrthancApi
from locutus_dagster.sources.orthanc_terms import GoneError, changed
from locutus_dagster.sources.patient_digests import patient_digests

__all__ = ["look_over"]

_AT_ONCE = 1000
"""Instances asked about in one request, so that a slow index answers within the timeout."""

_Answers = list[dict[str, Any]]


def look_over(api: OrthancApi, study_id: str) -> StudyOverview:
    """What the study consists of, as Orthanc's index has it.

    - Series, instances and their SOP classes are exact: Orthanc notes the SOP class of each
      instance when it takes it in. "" stands for an instance whose header has none.
    - The modality is that of the series, of which Orthanc notes one, from the first instance it
      received. That is exact unless a series mixes modalities, which no series may.
    - The patient is exact: a study of two Patient IDs is two studies to Orthanc.

    Raises:
        StudyChangedError: the study, or a part of it, went away.
        SourceUnavailableError: Orthanc does not answer, refuses us, or is too old.
    """
    try:
        return _Asking(api).overview(study_id)
    except (AttributeError, KeyError, TypeError):
        failure = api.not_an_orthanc()
    raise failure


class _Asking:
    def __init__(self, api: OrthancApi) -> None:
        self._api = api

    def overview(self, study_id: str) -> StudyOverview:
        studies = self._describe([study_id], Level="Study", Metadata=False)
        series = self._describe([study_id], Level="Series", Metadata=False)
        if not studies or not series:
            raise changed()
        modalities = {
            str(instance_id): unpadded(one["MainDicomTags"].get("Modality", "")).upper()
            for one in series
            for instance_id in one["Instances"]
        }
        classes = dict(self._sop_classes(list(modalities)))
        if classes.keys() != modalities.keys():
            raise changed()
        kinds = Counter((classes[one], modality) for one, modality in modalities.items())
        patients = [
            one["PatientMainDicomTags"].get("PatientID", "").encode(errors="surrogatepass")
            for one in studies
        ]
        return StudyOverview(
            series=len(series),
            kinds=dict(sorted(kinds.items())),
            patients=patient_digests(patients),
        )

    def _sop_classes(self, instance_ids: list[str]) -> Iterator[tuple[str, str]]:
        for first in range(0, len(instance_ids), _AT_ONCE):
            asked = instance_ids[first : first + _AT_ONCE]
            for one in self._describe(asked, Level="Instance", Metadata=True):
                yield one["ID"], unpadded(one["Metadata"].get("SopClassUid", ""))

    def _describe(self, resources: list[str], **options: object) -> _Answers:
        """The resources that are (still) there."""
        question = {"Resources": resources, **options}
        try:
            answers: _Answers = self._api.ask(
                lambda orthanc: orthanc.post_tools_bulk_content(json=question), list
            )
        except GoneError:
            failure = SourceUnavailableError(
                f"Orthanc at {self._api.place} has no /tools/bulk-content.",
                "Orthanc has it since version 1.9.4; a reverse proxy before it must let it pass.",
            )
        else:
            return answers
        raise failure
