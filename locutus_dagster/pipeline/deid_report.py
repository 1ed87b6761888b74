"""The report of one study, instance by instance, as it travels with the ledger.

What belongs here: a `StudyDisposition` as a compressed CSV, and reading one. What does not: where
it is kept (`ledger/`) and how it is shown (`cli/report.py`).

The table holds positions, pseudonyms, registered codes, fixed phrases, tags and numbers. It names
nobody, and may be handed to whoever judges a delivery.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass

from locutus_dagster.deid import (
    ENGINE_VERSION,
    RESIDUE,
    Action,
    Disposition,
    Policy,
    StudyDisposition,
)
from locutus_dagster.errors import LocutusError
from locutus_dagster.ledger.work import ReportRecord

__all__ = [
    "ReportError",
    "ReportSummary",
    "report_csv",
    "report_record",
    "summarise",
]

_FIXED = ("position", "instance", "sop_class", "modality", "disposition", "reason", "residue")
_ACTIONS = tuple(action for action in Action if action is not Action.KEEP)
_BETWEEN_PLACES = " "  # no place holds a space


class ReportError(LocutusError):
    """A report in the ledger cannot be read."""


@dataclass(frozen=True)
class ReportSummary:
    """A report, counted.

    Attributes:
        fates: (disposition, reason) -> number of instances.
        actions: name of an action -> number of elements that it removed or changed in what is
            delivered.
        residue: number of instances in which an identifier was found.
        places: where one was found, as paths of tags, each once and in order.
    """

    fates: dict[tuple[str, str], int]
    actions: dict[str, int]
    residue: int
    places: tuple[str, ...]

    @property
    def searched(self) -> int:
        """Number of instances that were searched for identifiers."""
        clean = Disposition.CLEAN.value
        return self.residue + sum(n for (fate, _), n in self.fates.items() if fate == clean)


def report_record(disposition: StudyDisposition, policy: Policy) -> ReportRecord:
    """Return what the ledger keeps of a study's disposition."""
    return ReportRecord(
        policy_name=policy.name,
        policy_fingerprint=disposition.policy_fingerprint,
        key_id=disposition.key_id,
        engine_version=ENGINE_VERSION,
        table=_compressed(disposition),
    )


def _compressed(disposition: StudyDisposition) -> bytes:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for hit in disposition.residue:
        places[hit.instance].append(hit.place)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*_FIXED, *(action.name.lower() for action in _ACTIONS)))
    for position, one in enumerate(disposition.instances, start=1):
        # A file that repeats another's UID is withheld for that, and was not searched.
        searched = places.get(one.instance, ()) if one.reason == RESIDUE else ()
        actions = one.actions if one.disposition is Disposition.CLEAN else {}
        writer.writerow(
            (
                position,
                one.instance,
                one.sop_class,
                one.modality,
                one.disposition.value,
                one.reason,
                _BETWEEN_PLACES.join(sorted(searched)),
                *(actions.get(action.value, 0) for action in _ACTIONS),
            )
        )
    # No time in it, and a quick level: UIDs are random digits, which no level makes much smaller.
    return gzip.compress(text.getvalue().encode("ascii"), compresslevel=1, mtime=0)


def report_csv(record: ReportRecord) -> bytes:
    """Return the report's table as a CSV in ASCII, with a header.

    Raises:
        ReportError: the table has been damaged.
    """
    try:
        return gzip.decompress(record.table)
    except (OSError, EOFError, zlib.error):
        raise ReportError(
            "The report in the ledger is damaged.", "Restore the ledger from your backup."
        ) from None


def summarise(record: ReportRecord) -> ReportSummary:
    """Count a report.

    Raises:
        ReportError: the table has been damaged.
    """
    fates: Counter[tuple[str, str]] = Counter()
    actions: Counter[str] = Counter()
    places: set[str] = set()
    residue = 0
    for row in csv.DictReader(io.StringIO(report_csv(record).decode("ascii"))):
        fates[row["disposition"], row["reason"]] += 1
        if row["residue"]:
            residue += 1
            places.update(row["residue"].split(_BETWEEN_PLACES))
        # Whatever actions the engine of that time knew.
        for action in row.keys() - set(_FIXED):
            if count := int(row[action]):
                actions[action] += count
    return ReportSummary(
        fates=dict(sorted(fates.items())),
        actions=dict(sorted(actions.items())),
        residue=residue,
        places=tuple(sorted(places)),
    )
