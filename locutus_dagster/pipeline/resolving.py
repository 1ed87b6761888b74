"""Which of the studies that a source lists for an accession is the one, after what was decided.

What belongs here: `settle`, one decision over one answer of a source. What does not: making
decisions (`resolution_plans.py`), keeping them (`ledger/resolutions.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from locutus_dagster.ledger.resolutions import ResolutionRecord, ResolveCommand
from locutus_dagster.sources.base import FoundStudy

__all__ = ["Ambiguous", "Dropped", "Nothing", "Settled", "Waiting", "settle"]


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


Settled = FoundStudy | Nothing | Ambiguous | Waiting | Dropped


def settle(found: Sequence[FoundStudy], decision: ResolutionRecord | None) -> Settled:
    """The accession's study, or why there is none."""
    if decision is None:
        return _only(found)
    match decision.command:
        case ResolveCommand.DROP:
            return Dropped()
        case ResolveCommand.MERGE:
            return found[0] if len(found) == 1 else Waiting(decision.command)
        case ResolveCommand.RESEND | ResolveCommand.DROP_FROM_STAGE:
            # A study that is sent anew may carry the identifiers that it had before.
            passed_over = decision.passed_over
            fresh = [one for one in found if passed_over.get(one.source_id) != one.version]
            if not fresh and decision.command is ResolveCommand.RESEND:
                return Waiting(decision.command)
            return _only(fresh)
        case _:
            left = [one for one in found if one.source_id not in decision.passed_over]
            return _only(left)  # the chosen one, unless further ones have arrived since


def _only(found: Sequence[FoundStudy]) -> FoundStudy | Nothing | Ambiguous:
    if not found:
        return Nothing()
    return found[0] if len(found) == 1 else Ambiguous(len(found))
