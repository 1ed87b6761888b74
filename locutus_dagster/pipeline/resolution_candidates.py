"""The studies of one accession, as a person is shown them before deciding between them.

What belongs here: what of a study may be shown, and what tells the studies apart. What does not:
deciding (`resolution_commands.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from locutus_dagster.pipeline.resolution_commands import Studies, short_handle
from locutus_dagster.pipeline.resolving import left_open
from locutus_dagster.sources.base import StudyOverview

__all__ = ["Candidate", "candidates"]

# Modality (0008,0060) is whatever a file says. Shown are two letters, which most of the standard's
# terms have, and its longer terms for what a hospital's archive holds (PS3.3 C.7.3.1.1.1).
_MODALITY = re.compile(
    r"[A-Z]{2}|BDUS|CFM|CTPROTOCOL|DMS|DOC|ECG|EEG|EMG|EOG|EPS|FID|HC|IVOCT|IVUS|KER|M3D|OAM|OCT|"
    r"OPM|OPT|OPTBSV|OPTENF|OPV|OSS|PLAN|POS|REG|RESP|RTDOSE|RTIMAGE|RTINTENT|RTPLAN|RTRAD|"
    r"RTRECORD|RTSEGANN|RTSTRUCT|SEG|SMR|SRF|STAIN|TEXTUREMAP|XAPROTOCOL"
)
_OTHER = "other"


@dataclass(frozen=True)
class Candidate:
    """One of an accession's studies; it identifies nobody.

    Attributes:
        handle_short: what the study is called in a plan.
        size: bytes, as far as the source knows.
        newest: of the studies in question it certainly changed last.
        patients: letters, the same one for the same patient within this accession.
        passed_over: by an earlier decision.
    """

    handle_short: str
    instances: int
    size: int
    series: int
    modalities: tuple[str, ...]
    changed_at: datetime | None = None
    newest: bool = False
    patients: str = ""
    passed_over: bool = False


def candidates(studies: Studies) -> tuple[Candidate, ...]:
    """Every study that the source holds; each must have been looked at."""
    left = {one.source_id for one in left_open(studies.found, studies.standing)}
    newest = studies.newest if len(studies.in_question) > 1 else None
    letters = _letters(studies.patients(studies.found))
    made = []
    for one in studies.found:
        seen = studies.overviews[one.source_id]
        made.append(
            Candidate(
                handle_short=short_handle(one.source_id),
                instances=one.instances,
                size=one.size,
                series=seen.series,
                modalities=_modalities(seen),
                changed_at=one.changed_at,
                newest=one == newest,
                patients="+".join(letters[patient] for patient in seen.patients),
                passed_over=one.source_id not in left,
            )
        )
    return tuple(made)


def _letters(patients: Sequence[str]) -> Mapping[str, str]:
    """A, B, …: in the order of digests, which says nothing about the patients."""
    return {
        patient: chr(ord("A") + number) if number < 26 else f"#{number + 1}"
        for number, patient in enumerate(patients)
    }


def _modalities(seen: StudyOverview) -> tuple[str, ...]:
    known = {modality for _, modality in seen.kinds}
    return tuple(sorted(one if _MODALITY.fullmatch(one) else _OTHER for one in known))
