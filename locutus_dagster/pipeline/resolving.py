"""Which of the studies that a source lists for an accession is the one, after what was decided.

What belongs here: what one decision makes of one answer of a source. What does not: making
decisions (`resolution_plans.py`), keeping them (`ledger/resolutions.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from locutus_dagster.ledger.resolutions import ResolutionRecord, ResolveCommand
from locutus_dagster.sources.base import FoundStudy

__all__ = [
    "Ambiguous",
    "Dropped",
    "Nothing",
    "Settled",
    "Unsettled",
    "Waiting",
    "left_open",
    "settle",
]


@dataclass(frozen=True)
class Nothing:
    """The source holds no study for the accession (yet)."""


@dataclass(frozen=True)
class Ambiguous:
    """The source holds several; never merged, never guessed."""

    studies: int


@dataclass(frozen=True)
class Waiting:
    """Radiology has been asked to merge or resend, and nothing has come of it yet."""

    command: ResolveCommand


@dataclass(frozen=True)
class Dropped:
    """A person has decided that none of its studies is used."""


Unsettled = Nothing | Ambiguous | Waiting | Dropped
Settled = FoundStudy | Unsettled


def settle(found: Sequence[FoundStudy], decision: ResolutionRecord | None) -> Settled:
    """The accession's study, or why there is none."""
    left = left_open(found, decision)
    if decision is None:
        return _only(left)
    match decision.command:
        case ResolveCommand.DROP:
            return Dropped()
        case ResolveCommand.MERGE:
            return left[0] if len(left) == 1 else Waiting(decision.command)
        case ResolveCommand.RESEND:
            return _only(left) if left else Waiting(decision.command)
        case ResolveCommand.DROP_FROM_STAGE:
            return _only(left)
        case _:
            gone = all(one.source_id != decision.chosen for one in left)
            if gone and left and len(left) < len(found):
                # The others were passed over in favour of one that is no more: a person decides
                # between them and what has arrived since.
                return Ambiguous(len(found))
            return _only(left)


def left_open(
    found: Sequence[FoundStudy], decision: ResolutionRecord | None
) -> tuple[FoundStudy, ...]:
    """The studies that have not been passed over.

    One that has changed since it was passed over is another study: what radiology sends anew may
    carry the identifiers that it had before. Where a person has named the study to use, what
    becomes of the others changes nothing.
    """
    if decision is None:
        return tuple(found)
    if decision.command is ResolveCommand.CHOOSE:
        return tuple(one for one in found if one.source_id not in decision.passed_over)
    return tuple(one for one in found if decision.passed_over.get(one.source_id) != one.version)


def _only(found: Sequence[FoundStudy]) -> FoundStudy | Nothing | Ambiguous:
    if not found:
        return Nothing()
    return found[0] if len(found) == 1 else Ambiguous(len(found))
