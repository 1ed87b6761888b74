"""The commands by which a person decides between studies, and what each one comes to.

What belongs here: a command as it was asked for, the decision that it comes to over the studies
that a source holds now, and its consequence in words. What does not: asking the source, plans and
carrying them out (`resolution_plans.py`), and what a run makes of a decision (`resolving.py`).

Nothing is ever removed from the research PACS, which other workspaces use: this workspace passes
studies over, by handle and version. No message quotes what was typed, as that may be a handle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from locutus_dagster.errors import LocutusError
from locutus_dagster.ledger import State
from locutus_dagster.ledger.fingerprints import digest
from locutus_dagster.ledger.resolutions import ResolutionRecord, ResolveCommand
from locutus_dagster.manifests.resolve_via import COMMANDS, canonical_command
from locutus_dagster.pipeline.resolving import left_open
from locutus_dagster.sources.base import FoundStudy, StudyOverview

__all__ = [
    "Asked",
    "ResolveError",
    "Studies",
    "consequence",
    "decide",
    "parse_command",
    "short_handle",
]

_CHOOSE_SYNTAX = f"{ResolveCommand.CHOOSE.value}:uuid=<study>"
_KEPT_THERE = "nothing is deleted in the research PACS"


class ResolveError(LocutusError):
    """A command that cannot be carried out for the studies at hand."""


@dataclass(frozen=True)
class Asked:
    """A command as a person gave it.

    Attributes:
        choose: the study's handle in the source, or its short form; empty for other commands.
    """

    command: ResolveCommand
    choose: str = field(default="", repr=False)


def parse_command(text: str) -> Asked | None:
    """Read a command as manifests and plans write it; None for a blank one.

    Raises:
        ResolveError: it is none.
    """
    written = canonical_command(text.strip())
    if written is None:
        raise ResolveError("There is no such command.", f"Use one of: {', '.join(COMMANDS)}.")
    if not written:
        return None
    command, _, choose = written.partition(":uuid=")
    return Asked(ResolveCommand(command), choose)


def short_handle(source_id: str) -> str:
    """A name for a study that is the same every time and says nothing about it."""
    return hashlib.sha256(source_id.encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Studies:
    """The studies that a source holds for one accession, and what was decided about them before.

    Attributes:
        overviews: by the source's handle; what was not looked at is missing.
    """

    found: tuple[FoundStudy, ...] = field(repr=False)
    standing: ResolutionRecord | None = None
    overviews: Mapping[str, StudyOverview] = field(default_factory=dict, repr=False)

    @property
    def in_question(self) -> tuple[FoundStudy, ...]:
        """Those that a command is about.

        Where several have not been passed over before, these; else all of them: then a decision
        that stands is made anew.
        """
        left = left_open(self.found, self.standing)
        return left if len(left) > 1 else self.found

    @property
    def newest(self) -> FoundStudy | None:
        """Of those in question the one that changed last, None where that is not certain."""
        times = {one.source_id: one.changed_at for one in self.in_question}
        known = [at for at in times.values() if at is not None]
        if not known or len(known) < len(times) or known.count(max(known)) > 1:
            return None
        return next(one for one in self.in_question if times[one.source_id] == max(known))

    def patients(self, studies: Sequence[FoundStudy]) -> tuple[str, ...]:
        """What tells the patients of these studies apart."""
        seen = (self.overviews[one.source_id].patients for one in studies)
        return tuple(sorted({patient for several in seen for patient in several}))

    def fingerprint(self, workspace: str, accession_id: int) -> str:
        """Says that source and ledger are as they were: the studies, and the decision before."""
        versions = sorted(digest(one.source_id, one.version) for one in self.found)
        before = self.standing.identity if self.standing else 0
        return f"plan:{digest(workspace, str(accession_id), *versions)[:24]}-{before}"


def decide(studies: Studies, asked: Asked, reason: str = "") -> ResolutionRecord:
    """The decision that a command comes to, for the studies as they are now.

    Raises:
        ResolveError: it comes to none; the message says why.
    """
    command, found = asked.command, studies.found
    if studies.standing is None and len(found) < 2:
        raise _nothing_to_decide(len(found))
    chosen = None
    if command is ResolveCommand.CHOOSE:
        chosen = _chosen(found, asked.choose)
    elif command is ResolveCommand.NEWEST:
        chosen = _newest(studies)
    question = {one.source_id for one in studies.in_question}
    earlier = studies.standing.passed_over if studies.standing else {}
    passed_over = {handle: seen for handle, seen in earlier.items() if handle not in question}
    for one in found:
        if one.source_id not in question or command is not ResolveCommand.MERGE:
            passed_over[one.source_id] = one.version
    if chosen is not None:
        passed_over.pop(chosen.source_id, None)
    handle = chosen.source_id if chosen else None
    return ResolutionRecord(command, handle, passed_over, reason)


def _nothing_to_decide(studies: int) -> ResolveError:
    if studies:
        return ResolveError(
            "The source holds one study for it: there is nothing to decide.",
            "The next run takes that study.",
        )
    return ResolveError(
        "The source holds no study for it: there is nothing to decide.", "A run looks for it again."
    )


def _chosen(found: Sequence[FoundStudy], choose: str) -> FoundStudy:
    meant = [
        one
        for one in found
        if choose == one.source_id or choose.casefold() == short_handle(one.source_id)
    ]
    if not meant:
        raise ResolveError(
            "The study that was chosen is not among those that the source holds for it.",
            "Choose one by its short handle in the plan.",
        )
    if len(meant) > 1:
        raise ResolveError(
            "Two of its studies have the same short handle.",
            "Choose by the source's own handle of the study.",
        )
    return meant[0]


def _newest(studies: Studies) -> FoundStudy:
    """The one that changed last, unless time says nothing about which one is meant."""
    if not studies.found:
        raise ResolveError(
            "The source holds no study for it at present.", "A run looks for it again."
        )
    if len(studies.patients(studies.in_question)) > 1:
        raise ResolveError(
            "Its studies are of different patients: which one changed last decides nothing.",
            f"Use {_CHOOSE_SYNTAX}, or ask radiology.",
        )
    newest = studies.newest
    if newest is None:
        raise ResolveError(
            "Which of its studies changed last is undecided: two of them changed at the same "
            "time, or the source does not say when.",
            f"Use {_CHOOSE_SYNTAX}.",
        )
    return newest


def consequence(decision: ResolutionRecord, studies: Studies, state: State) -> str:
    """What follows from a decision, for whoever reads the plan."""
    count = len(studies.in_question)
    these = "its study" if count == 1 else f"these {count} studies"
    over = f"this workspace passes {these} over; {_KEPT_THERE}"
    match decision.command:
        case ResolveCommand.MERGE:
            words = "waits until radiology has made one study of them; a run then takes it"
        case ResolveCommand.RESEND:
            words = f"waits until radiology sends it anew; {over}"
        case ResolveCommand.DROP:
            words = f"none of its studies is used, and no run looks for it again; {_KEPT_THERE}"
        case ResolveCommand.DROP_FROM_STAGE:
            words = f"{over}; a study that arrives later is used"
        case _:
            others = sum(one.source_id != decision.chosen for one in studies.found)
            which = " (it changed last)" if decision.command is ResolveCommand.NEWEST else ""
            words = (
                f"the next run processes study {short_handle(decision.chosen or '')}{which}; "
                f"this workspace passes {others} other{'s' * (others != 1)} over; {_KEPT_THERE}"
            )
    if state is State.DELIVERED:
        words += (
            "; what was delivered before stands until it is recalled"
            if decision.chosen is None
            else "; it then takes the place of what was delivered before"
        )
    return words
