"""The several studies that stand in the way of an accession, as the source lists them.

What belongs here: asking the source about them, and what may be told: numbers and kinds, nothing
that identifies. What does not: deciding between them (`pipeline/resolving.py`).
"""

from __future__ import annotations

from dataclasses import replace

from locutus_dagster.ledger.states import State
from locutus_dagster.sources.base import (
    FoundStudy,
    SourceError,
    SourceUnavailableError,
    StudyOverview,
    StudySource,
)
from locutus_dagster.summarizer.model import StudyOfSeveral, Summary

__all__ = ["expand"]

#: Modality is whatever a file says. Told are two capitals, which most of the standard's terms are,
#: and its longer terms for what a hospital's archive holds (PS3.3 C.7.3.1.1.1).
_LONGER = frozenset(
    """
    BDUS CFM CTPROTOCOL DMS DOC ECG EEG EMG EOG EPS FID IVOCT IVUS KER M3D OAM OCT OPM OPT OPTBSV
    OPTENF OPV OSS PLAN POS REG RESP RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN
    RTSTRUCT SEG SMR SRF STAIN TEXTUREMAP XAPROTOCOL
    """.split()  # noqa: SIM905 - a list of words reads better than a list of quotes
)
_SEVERAL = frozenset({State.AMBIGUOUS, State.WAITING})


def expand(summary: Summary, source: StudySource) -> Summary:
    """The report with the studies of each accession for which there are several.

    Each accession is looked at once, for its first line. To be asked for before a report is
    redacted: afterwards nobody knows which accession is meant.

    Raises:
        SourceUnavailableError: the source cannot be asked at all.
    """
    seen: set[str] = set()
    lines = []
    for line in summary.lines:
        if line.state in _SEVERAL and line.accession_number not in seen:
            seen.add(line.accession_number)
            lines.append(replace(line, studies=_studies(line.accession_number, source)))
        else:
            lines.append(line)
    settings = {**summary.settings, "SHOW_MULTIUUIDS": str(True)}
    return replace(summary, lines=tuple(lines), settings=settings)


def _studies(accession_number: str, source: StudySource) -> tuple[StudyOfSeveral, ...]:
    try:
        found = source.find(accession_number)
    except SourceUnavailableError:
        raise
    except SourceError:
        return ()  # something about this accession; the others are told all the same
    return tuple(
        StudyOfSeveral(number, _facts(study, source)) for number, study in enumerate(found, start=1)
    )


def _facts(study: FoundStudy, source: StudySource) -> dict[str, str]:
    facts = {"Instances": str(study.instances)}
    if study.changed_at is not None:
        facts["Last change"] = f"{study.changed_at:%Y-%m-%d %H:%M:%S} UTC"
    try:
        seen = source.overview(study)
    except SourceUnavailableError:
        raise
    except SourceError:
        return {**facts, "Note": "it changed or went away while it was looked at"}
    return {**facts, "Series": str(seen.series), "Modalities": _modalities(seen)}


def _modalities(seen: StudyOverview) -> str:
    """The modalities with the number of instances of each."""
    counts: dict[str, int] = {}
    for (_, modality), instances in sorted(seen.kinds.items(), key=lambda one: one[0][1]):
        told = modality if _may_be_told(modality) else "other"
        counts[told] = counts.get(told, 0) + instances
    return ", ".join(f"{modality} {number}" for modality, number in counts.items())


def _may_be_told(modality: str) -> bool:
    two_capitals = len(modality) == 2 and modality.isascii() and modality.isalpha()
    return (two_capitals and modality.isupper()) or modality in _LONGER
