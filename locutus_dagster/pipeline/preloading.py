"""What marking a batch before it is processed does to each accession (as Preloader and Preset).

What belongs here: the rules, as a plan that can be shown before anything is written. What does
not: writing (`ledger/preloading.py`), words of a command line (`choosing.py`).

A preload marks what a run is going to process, and touches nothing that is finished unless it is
told to. A preset asks for what has been processed again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum

from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.preloading import Mark, Marked
from locutus_dagster.ledger.reference_status import status
from locutus_dagster.ledger.selection import Selection
from locutus_dagster.ledger.work import WorkItem

__all__ = [
    "PRELOADED",
    "REPROCESSING",
    "Mode",
    "Planned",
    "Preload",
    "Rule",
    "apply_preload",
    "plan_preload",
]

#: The suffixes that the reference writes where none is given.
PRELOADED = "summarizerPreLoaded"
REPROCESSING = "reprocessing in 3... 2... 1..."


class Mode(str, Enum):
    """What a batch is marked for."""

    PRELOAD = "preload"
    FORCED = "preload, finished ones included"
    PRESET = "preset"


class Rule(str, Enum):
    """What is done about an accession, as it is shown."""

    ON_DECK = "on deck"
    AGAIN = "to be processed again"
    LABELLED = "labelled, stands as it is"
    FINISHED = "untouched: finished"
    WAITS = "untouched: waits for its study"
    RECALLED = "untouched: recalled"
    DROPPED = "untouched: a person decided not to use it"
    IN_HAND = "skipped: a worker has it in hand"

    @property
    def writes(self) -> bool:
        """Whether anything is written for the accession."""
        return self in (Rule.ON_DECK, Rule.AGAIN, Rule.LABELLED)


_BY_STATE: dict[Mode, dict[State, Rule]] = {
    Mode.PRELOAD: dict.fromkeys(State, Rule.ON_DECK) | {State.DELIVERED: Rule.FINISHED},
    Mode.FORCED: dict.fromkeys(State, Rule.ON_DECK) | {State.DELIVERED: Rule.AGAIN},
    Mode.PRESET: dict.fromkeys(State, Rule.AGAIN)
    | dict.fromkeys((State.PENDING, State.WAITING), Rule.WAITS)
    # Nothing was made of these yet that could be made again, or a person has to decide first.
    | dict.fromkeys((State.LOADED, State.AMBIGUOUS, State.REQUESTED), Rule.LABELLED),
}
_NEVER = {State.RECALLED: Rule.RECALLED, State.DROPPED: Rule.DROPPED}


@dataclass(frozen=True, slots=True)
class Planned:
    """What is planned for one accession.

    Attributes:
        item: the row of a manifest that it is to be processed for.
        shown: the reference's status afterwards, without a reason.
    """

    item: WorkItem
    rule: Rule
    mark: Mark | None = None
    shown: str = ""


@dataclass(frozen=True)
class Preload:
    """A plan: one entry for each accession, in the order of the manifests.

    Attributes:
        label: the reference's suffix.
    """

    mode: Mode
    label: str
    entries: tuple[Planned, ...] = field(repr=False)

    @property
    def counts(self) -> dict[tuple[Rule, State, str], int]:
        """Accessions by what is done, how they stand before, and the status shown afterwards.

        What is written comes first; the counts add up to the accessions.
        """
        found = Counter((one.rule, one.item.state, one.shown) for one in self.entries)
        rules, states = list(Rule), list(State)
        order = sorted(found, key=lambda key: (rules.index(key[0]), states.index(key[1]), key[2]))
        return {key: found[key] for key in order}

    @property
    def marks(self) -> Iterator[Mark]:
        """What is to be written."""
        return (one.mark for one in self.entries if one.mark is not None)

    @property
    def in_hand(self) -> int:
        """How many accessions are skipped because a worker has them in hand."""
        return sum(one.rule is Rule.IN_HAND for one in self.entries)


def plan_preload(
    ledger: Ledger,
    workspace: str,
    chosen: Selection,
    label: str,
    mode: Mode = Mode.PRELOAD,
) -> Preload:
    """Say what marking a selection would do about each of its accessions; change nothing.

    Where several rows of the selection name an accession, it is marked for the last of them.
    """
    items = ledger.select(workspace, chosen)
    last = {item.accession_id: item for item in items}
    recalled = _Recalled.of(ledger, workspace)
    at = datetime.now(timezone.utc)
    entries = (_plan(item, mode, label, recalled, at) for item in items)
    return Preload(
        mode,
        label,
        tuple(one for one in entries if last[one.item.accession_id] is one.item),
    )


def apply_preload(ledger: Ledger, plan: Preload) -> Marked:
    """Carry a plan out; what stands differently by then is left as it is.

    Raises:
        LedgerError: the ledger stopped answering; carrying the plan out again writes the rest.
    """
    return ledger.mark(plan.marks, plan.label)


@dataclass(frozen=True)
class _Recalled:
    accession_ids: frozenset[int]
    subjects: frozenset[str]

    @classmethod
    def of(cls, ledger: Ledger, workspace: str) -> _Recalled:
        standing = ledger.recalls(workspace, standing_only=True)
        return cls(
            frozenset(one.accession_id for one in standing if one.accession_id is not None),
            frozenset(one.subject_id for one in standing if one.subject_id is not None),
        )

    def has(self, item: WorkItem) -> bool:
        return item.accession_id in self.accession_ids or item.subject_id in self.subjects


def _plan(item: WorkItem, mode: Mode, label: str, recalled: _Recalled, at: datetime) -> Planned:
    rule = _NEVER.get(item.state) or _BY_STATE[mode][item.state]
    if recalled.has(item):  # a run would refuse it, whatever its state is
        rule = Rule.RECALLED
    elif rule.writes and item.claimed_until is not None and item.claimed_until > at:
        rule = Rule.IN_HAND
    if not rule.writes:
        return Planned(item, rule)
    again = rule is Rule.AGAIN
    on_deck = _on_deck(mode, item.state, again)
    mark = Mark(item.accession_id, item.row_id, item.state, again, on_deck)
    shown = status(
        State.REQUESTED if again else item.state,
        item.phase,
        label=label,
        on_deck=item.on_deck if on_deck is None else on_deck,
    )
    # Without details, which no status with a label has; the label may hold anything.
    named = shown.endswith(f":{label}")
    return Planned(item, rule, mark, shown if named else shown.partition("=")[0])


def _on_deck(mode: Mode, state: State, again: bool) -> bool | None:
    """Whether an accession is on deck afterwards; None where it stays so or not so.

    A preset's word for what is to be processed again is another than a preload's.
    """
    if mode is not Mode.PRESET:
        return True
    return False if again or state is State.REQUESTED else None
