"""A report without accession numbers and subjects, for those who must not see them.

What belongs here: taking them out of every part of a report, before any form is written from it.
What does not: making the report (`gathering.py`).

Columns that hold an identifier are replaced or emptied, whatever they hold. Texts in which one
could stand by mistake (reasons, labels, names of files) are searched for all that the ledger knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

from ahocorasick_rs import AhoCorasick

from locutus_dagster.identifying_text import REDACTED_ACCESSION, REDACTED_SUBJECT
from locutus_dagster.ledger.reference_status import previous_processing_used
from locutus_dagster.summarizer.buckets import REJECTED
from locutus_dagster.summarizer.lines import ELIDED, settings_among
from locutus_dagster.summarizer.model import (
    Bucket,
    Failure,
    Identifiers,
    Line,
    Stage,
    StudyOfSeveral,
    Summary,
)

__all__ = ["REDACTED_ACCESSION", "REDACTED_SUBJECT", "redacted"]

#: A shorter identifier, such as the accession number 7, is looked for where nothing adjoins it.
_LONG = 4
_CHANGED = "PREVIOUS_PROCESSING_USED_["


def redacted(summary: Summary) -> Summary:
    """The report without any accession number or subject; counts, states and times stay."""
    known = summary.identifiers
    numbers = {line.accession_number for line in summary.lines}
    numbers.update(known.accession_numbers, summary.not_found)
    if summary.stage is not None:
        numbers.update(summary.stage.unnamed)
    subjects = {line.subject_id for line in summary.lines}
    subjects.update(known.subjects)
    clean = _Cleaner(numbers, subjects)
    return replace(
        summary,
        title=clean(summary.title),
        manifests=tuple(map(clean, summary.manifests)),
        redacted=True,
        settings={label: clean(value) for label, value in summary.settings.items()},
        not_found=(REDACTED_ACCESSION,) * len(summary.not_found),
        buckets=tuple(replace(one, note=clean(one.note)) for one in summary.buckets),
        grouped=_grouped(summary.grouped, clean),
        failures=_failures(summary.failures, clean),
        lines=tuple(_line(one, clean) for one in summary.lines),
        stage=summary.stage and _stage(summary.stage, clean),
        identifiers=Identifiers(),
    )


class _Cleaner:
    """Takes identifiers out of texts; a text is searched once, however often it comes."""

    def __init__(self, numbers: Iterable[str], subjects: Iterable[str]) -> None:
        found = {one.lower(): REDACTED_SUBJECT for one in subjects if one}
        found.update((one.lower(), REDACTED_ACCESSION) for one in numbers if one)
        self._known = list(found.items())
        self._search = AhoCorasick([identifier for identifier, _ in self._known])
        self._cleaned: dict[str, str] = {"": ""}

    def __call__(self, text: str) -> str:
        """The text with each identifier that it holds replaced, in whatever case it stands."""
        cleaned = self._cleaned.get(text)
        if cleaned is None:
            cleaned = self._cleaned[text] = self._clean(text)
        return cleaned

    def _clean(self, text: str) -> str:
        lowered = text.lower()
        if len(lowered) != len(text):
            text = lowered  # a few letters become two; the places must be those of the text
        places = [
            (start, end, which)
            for which, start, end in self._search.find_matches_as_indexes(lowered, overlapping=True)
            if end - start >= _LONG or _stands_alone(lowered, start, end)
        ]
        pieces = []
        done = 0
        for start, end, which in sorted(places, key=lambda one: (one[0], -one[1])):
            if start >= done:
                pieces += [text[done:start], self._known[which][1]]
            done = max(done, end)
        return "".join([*pieces, text[done:]])


def _stands_alone(text: str, start: int, end: int) -> bool:
    before, after = text[start - 1 : start], text[end : end + 1]
    return not (before.isalnum() or after.isalnum())


def _line(line: Line, clean: Callable[[str], str]) -> Line:
    if line.bucket == REJECTED:
        # Its cells may stand under the wrong headings.
        line = replace(line, imaging_type="", age="", anatomical_position="", qc_status="")
    return replace(
        line,
        manifest=clean(line.manifest),
        partition_key=line.partition_key and _key(line.partition_key, clean),
        subject_id=line.subject_id and REDACTED_SUBJECT,
        imaging_type=clean(line.imaging_type),
        age=clean(line.age),
        anatomical_position=clean(line.anatomical_position),
        accession_number=line.accession_number and REDACTED_ACCESSION,
        status=_status(line, clean),
        reason=clean(line.reason),
        label=clean(line.label),
        targets=line.target_names,
        file_name="",
        qc_status=clean(line.qc_status),
        qc_url="",
        studies=tuple(_study(one, clean) for one in line.studies),
    )


def _status(line: Line, clean: Callable[[str], str]) -> str:
    """The status; of one that quotes attributes no more than which settings have changed."""
    if line.status.startswith(_CHANGED):
        return previous_processing_used([ELIDED], [ELIDED], settings_among(line.changed))
    return clean(line.status)


def _study(study: StudyOfSeveral, clean: Callable[[str], str]) -> StudyOfSeveral:
    facts = {label: clean(value) for label, value in study.facts.items()}
    return replace(study, facts=facts)


def _grouped(buckets: Iterable[Bucket], clean: Callable[[str], str]) -> tuple[Bucket, ...]:
    """The statuses without identifiers; those that are alike then are counted together."""
    counts: Counter[str] = Counter()
    for one in buckets:
        counts[clean(one.label)] += one.count
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return tuple(Bucket(label, number) for label, number in ordered)


def _failures(failures: Iterable[Failure], clean: Callable[[str], str]) -> tuple[Failure, ...]:
    counts: Counter[tuple[int, str]] = Counter()
    for one in failures:
        counts[one.phase, clean(one.reason)] += one.accessions
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return tuple(Failure(phase, reason, number) for (phase, reason), number in ordered)


def _stage(stage: Stage, clean: Callable[[str], str]) -> Stage:
    return replace(
        stage,
        unnamed=("",) * len(stage.unnamed),
        lacking=tuple(_key(one, clean) for one in stage.lacking),
    )


def _key(partition_key: str, clean: Callable[[str], str]) -> str:
    """A partition key, in which the manifest's name is a person's; the number is the row's."""
    manifest, mark, number = partition_key.rpartition("~")
    return clean(manifest) + mark + number
