"""The states of an accession and the transitions between them that are allowed.

What belongs here: the enumerations, the transition table, and the reference's status text for
each state. What does not: how a state is stored (`schema.py`, `store.py`).
"""

from __future__ import annotations

from enum import Enum, IntEnum

from locutus_dagster.errors import LocutusError

__all__ = ["TRANSITIONS", "IllegalTransitionError", "Phase", "State", "check_transition", "status"]


class Phase(IntEnum):
    """The reference's phase numbers: what has been done when a phase has succeeded."""

    PREPARE = 2
    EXTRACT = 3
    TRANSFORM = 4
    DELIVER = 5


class State(str, Enum):
    """Where an accession stands."""

    LOADED = "loaded"  # a manifest names it; nobody has looked for it yet
    PENDING = "pending"  # the source holds no study for it (yet)
    AMBIGUOUS = "ambiguous"  # the source holds several studies for it
    EXTRACTED = "extracted"  # the raw zip lies in the interim store
    DEIDENTIFIED = "deidentified"  # the de-identified zip lies in the interim store
    DELIVERED = "delivered"  # the target has confirmed the zip
    FAILED = "failed"  # the phase and the reason are recorded beside it


_BEGIN = frozenset({State.PENDING, State.AMBIGUOUS, State.EXTRACTED, State.FAILED})

# A study may vanish from the source, or gain a second one, between any two attempts; and an
# attempt may start again from the first phase when an artifact is gone or was made under other
# settings. Delivered is the end of the road until something asks for it again.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.LOADED: _BEGIN,
    State.PENDING: _BEGIN,
    State.AMBIGUOUS: _BEGIN,
    State.EXTRACTED: _BEGIN | {State.DEIDENTIFIED},
    State.DEIDENTIFIED: _BEGIN | {State.DELIVERED},
    State.FAILED: _BEGIN | {State.DEIDENTIFIED, State.DELIVERED},
    State.DELIVERED: frozenset(),
}


class IllegalTransitionError(LocutusError):
    """A change of state that the table does not allow: a fault in the program, not in the data."""


def check_transition(before: State, after: State) -> None:
    """Raise `IllegalTransitionError` unless the table allows `before` → `after`."""
    if after not in TRANSITIONS[before]:
        raise IllegalTransitionError(
            f"An accession cannot go from {before.value} to {after.value}.",
            "Please report this as a bug.",
        )


def status(state: State, phase: int | None = None, reason: str = "") -> str:
    """The reference's status text (reference: manifest_status) for people who know it."""
    if state is State.FAILED:
        return f"ERROR_PHASE{phase or Phase.PREPARE:02d}=[{reason}]"
    return {
        State.LOADED: "ZZZ-ONDECK-4-PROCESSING_CHANGE",
        State.PENDING: "PENDING_CHANGE",
        State.AMBIGUOUS: "ERROR_MULTIPLE_CHANGE_UUIDS",
        State.EXTRACTED: "PROCESSING_CHANGE_at_PHASE03",
        State.DEIDENTIFIED: "PROCESSING_CHANGE_at_PHASE04",
        State.DELIVERED: "PROCESSED",
    }[state]
