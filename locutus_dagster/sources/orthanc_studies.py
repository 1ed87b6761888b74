"""What studies in Orthanc are, many at once: number, patient, series, and whether they still grow.

What belongs here: the questions to Orthanc's index, and reading their answers. What does not: which
studies are asked about, and what follows (`pipeline/watching.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from locutus_dagster.sources.accession import unpadded
from locutus_dagster.sources.base import SourceUnavailableError
from locutus_dagster.sources.orthanc_api import OrthancApi
from locutus_dagster.sources.orthanc_terms import GoneError, utc_time

__all__ = ["StudyFacts", "describe_studies"]

_STUDIES_AT_ONCE = 200
_RESOURCES_AT_ONCE = 1000
_Answers = list[dict[str, Any]]


@dataclass(frozen=True)
class StudyFacts:
    """One study as Orthanc's index has it.

    Attributes:
        study_id: Orthanc's handle, as in `FoundStudy.source_id`.
        patient_id: Patient ID (0010,0020); empty where there is none.
        description: Study Description (0008,1030).
        modalities: of its series, in upper case, sorted.
        stations: Station Names of its series, sorted.
        version: hex digest that changes with its number, its patient, and whenever an instance
            comes, goes or is replaced.
        resting: nothing has come for Orthanc's `StableAge`. An Orthanc that was just started says
            so of every study.
        updated_at: when Orthanc last took something in for it (UTC), to the second.
    """

    study_id: str = field(repr=False)
    accession_number: str = field(repr=False)
    patient_id: str = field(repr=False)
    description: str = field(repr=False)
    instances: int
    series: int
    modalities: tuple[str, ...]
    stations: tuple[str, ...] = field(repr=False)
    version: str
    resting: bool
    updated_at: datetime | None = None


def describe_studies(
    api: OrthancApi, study_ids: Collection[str], parts: Collection[str] = ()
) -> dict[str, StudyFacts]:
    """What Orthanc has of these studies at this moment; one that it has no more is left out.

    Args:
        parts: handles of series and instances, whose studies are described too.

    Raises:
        SourceUnavailableError: Orthanc does not answer, refuses us, is none, or is too old.
    """
    wanted = set(study_ids)
    try:
        for some in _pieces(sorted(parts), _RESOURCES_AT_ONCE):
            wanted.update(str(one["ID"]) for one in _ask(api, some, "Study"))
        found: dict[str, StudyFacts] = {}
        for some in _pieces(sorted(wanted), _STUDIES_AT_ONCE):
            # Series first: what comes in between makes the study one that still grows.
            series: dict[str, _Answers] = {}
            for one in _ask(api, some, "Series"):
                series.setdefault(one["ParentStudy"], []).append(one)
            for one in _ask(api, some, "Study"):
                found[one["ID"]] = _facts(one, series.get(one["ID"], []))
    except (AttributeError, KeyError, TypeError):
        failure = api.not_an_orthanc()
    else:
        return found
    raise failure


def _facts(study: dict[str, Any], series: _Answers) -> StudyFacts:
    accession = unpadded(study["MainDicomTags"].get("AccessionNumber", ""))
    patient = unpadded(study["PatientMainDicomTags"].get("PatientID", ""))
    instances = sorted(instance for one in series for instance in one["Instances"])
    digest = hashlib.sha256()
    for text in (accession, patient, str(study.get("LastUpdate")), *instances):
        digest.update(f"{len(text)}:{text}".encode(errors="surrogatepass"))
    return StudyFacts(
        study_id=study["ID"],
        accession_number=accession,
        patient_id=patient,
        description=unpadded(study["MainDicomTags"].get("StudyDescription", "")),
        instances=len(instances),
        series=len(series),
        modalities=_values(series, "Modality"),
        stations=_values(series, "StationName"),
        version=digest.hexdigest(),
        resting=bool(study["IsStable"]),
        updated_at=utc_time(study.get("LastUpdate")),
    )


def _values(series: _Answers, keyword: str) -> tuple[str, ...]:
    values = {unpadded(one["MainDicomTags"].get(keyword, "")) for one in series} - {""}
    return tuple(sorted({one.upper() for one in values} if keyword == "Modality" else values))


def _ask(api: OrthancApi, resources: Sequence[str], level: str) -> _Answers:
    question = {"Resources": list(resources), "Level": level, "Metadata": False}
    try:
        answers: _Answers = api.ask(
            lambda orthanc: orthanc.post_tools_bulk_content(json=question), list
        )
    except GoneError:
        failure = SourceUnavailableError(
            f"Orthanc at {api.place} has no /tools/bulk-content.",
            "Orthanc has it since version 1.9.4; a reverse proxy before it must let it pass.",
        )
    else:
        return answers
    raise failure


def _pieces(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]
