"""The counts of a report: the bucket that a status belongs to, and the order of the buckets.

What belongs here: labels, and the rules that sort a status under one of them. What does not: how a
row comes to its status (`lines.py`).

Every status is in one bucket, but for NOT_FOUND, which the reference counts above them. Its own
words come first and in its order; then come those that it has no words for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from locutus_dagster.summarizer.model import Bucket

__all__ = ["ERRORS", "LABELS", "NOT_FOUND", "OTHER", "REJECTED", "bucket_of", "counted", "grouped"]

NOT_FOUND, REJECTED = "NOT_FOUND", "REJECTED"
ERRORS, OTHER = "ERROR[*] (other errors)", "other"
_ON_DECK = "other ZZZ-ONDECK-[*]"
_EXACT = (
    "PROCESSED",
    "PENDING_CHANGE",
    "PENDING_CHANGE_RADIOLOGY_MERGE",
    "PENDING_CHANGE_RADIOLOGY_RESEND",
    "RECALLED",
)
#: The beginning of a status → its bucket; the first that fits counts. The reference asks for
#: PROCESSING_CHANGE before PROCESSING_CHANGE_MOMENTARILY, so that nothing ever is in the latter.
_PREFIXES = {
    "PROCESSING_CHANGE_MOMENTARILY": "PROCESSING_CHANGE_MOMENTARILY[*]",
    "PROCESSING_CHANGE": "PROCESSING_CHANGE[*]",
    "ACCESSION_HAS_MULTIPLE_SPLITS": "ACCESSION_HAS_MULTIPLE_SPLITS[*]",
    "ERROR_MULTIPLE_CHANGE_UUIDS": "ERROR_MULTIPLE_CHANGE_UUIDS[*]",
    "ERROR": ERRORS,
    "PREVIOUS_PROCESSING_USED_": "PREVIOUS_PROCESSING_USED_[*]",
    "ZZZ-ONDECK-PENDING_CHANGE": "ZZZ-ONDECK-PENDING_CHANGE[*]",
    "ZZZ-ONDECK-4-PROCESSING_CHANGE": "ZZZ-ONDECK-4-PROCESSING_CHANGE[*]",
    "ZZZ-ONDECK-4-RE-PROCESSING_CHANGE": "ZZZ-ONDECK-4-RE-PROCESSING_CHANGE[*]",
    "ZZZ-ONDECK-2-RESOLVE-ERROR_MULTIPLE_CHANGE_UUIDS": (
        "ZZZ-ONDECK-2-RESOLVE-ERROR_MULTIPLE_CHANGE_UUIDS[*]"
    ),
    "ZZZ-ONDECK-": _ON_DECK,
    "RE-PROCESSING_CHANGE": "RE-PROCESSING_CHANGE[*]",
    "RESOLVED_MULTIUUIDS": "RESOLVED_MULTIUUIDS[*]",
    REJECTED: REJECTED,
}
#: The buckets in the order in which they are shown; none is left out when it is empty.
LABELS = (
    "ACCESSION_HAS_MULTIPLE_SPLITS[*]",
    "PENDING_CHANGE",
    "PENDING_CHANGE_RADIOLOGY_MERGE",
    "PENDING_CHANGE_RADIOLOGY_RESEND",
    "PREVIOUS_PROCESSING_USED_[*]",
    "PROCESSED",
    "PROCESSING_CHANGE[*]",
    "PROCESSING_CHANGE_MOMENTARILY[*]",
    "ZZZ-ONDECK-PENDING_CHANGE[*]",
    "ZZZ-ONDECK-4-PROCESSING_CHANGE[*]",
    "ZZZ-ONDECK-4-RE-PROCESSING_CHANGE[*]",
    "ZZZ-ONDECK-2-RESOLVE-ERROR_MULTIPLE_CHANGE_UUIDS[*]",
    _ON_DECK,
    "ERROR_MULTIPLE_CHANGE_UUIDS[*]",
    ERRORS,
    "RE-PROCESSING_CHANGE[*]",
    "RESOLVED_MULTIUUIDS[*]",
    "RECALLED",
    REJECTED,
    OTHER,
)
_MOST_NOTED = 20
_BETWEEN = "; "


def bucket_of(status: str) -> str:
    """The label of the bucket that a status is counted in; NOT_FOUND for what nobody knows."""
    known = status.upper()
    if known.startswith(NOT_FOUND):
        return NOT_FOUND
    if known in _EXACT:
        return known
    return next((label for begins, label in _PREFIXES.items() if known.startswith(begins)), OTHER)


def counted(statuses: Mapping[str, int], *, name_errors: bool) -> tuple[Bucket, ...]:
    """Every bucket with its count, in order; what is not found is in none of them.

    Args:
        statuses: status → number of rows.
        name_errors: say beside the errors which there are, as the reference does where the report
            has no rows that would say it.
    """
    counts: Counter[str] = Counter()
    texts: dict[str, list[str]] = {}
    for status, number in statuses.items():
        label = bucket_of(status)
        counts[label] += number
        texts.setdefault(label, []).append(status)
    noted = {OTHER, ERRORS} if name_errors else {OTHER}
    return tuple(
        Bucket(label, counts[label], _note(texts.get(label, ())) if label in noted else "")
        for label in LABELS
    )


def grouped(statuses: Mapping[str, int]) -> tuple[Bucket, ...]:
    """The distinct statuses with their counts, the most frequent first."""
    ordered = sorted(statuses.items(), key=lambda one: (-one[1], one[0]))
    return tuple(Bucket(status, number) for status, number in ordered)


def _note(texts: Iterable[str]) -> str:
    distinct = sorted(set(texts))
    more = len(distinct) - _MOST_NOTED
    named = _BETWEEN.join(distinct[:_MOST_NOTED])
    return f"{named}{_BETWEEN}and {more} more" if more > 0 else named
