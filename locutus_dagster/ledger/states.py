"""The states of an accession and the transitions between them that are allowed.

What belongs here: the enumerations and the transition table. What does not: how a state is stored
(`schema.py`, `store.py`), and the reference's words for it (`reference_status.py`). The diagram in
docs/lifecycle.md is drawn from this table; a test holds the two against each other.
"""

from __future__ import annotations

from enum import Enum, IntEnum

from locutus_dagster.errors import LocutusError

__all__ = [
    "MEANINGS",
    "TRANSITIONS",
    "IllegalTransitionError",
    "Phase",
    "State",
    "check_transition",
]


class Phase(IntEnum):
    """The reference's phase numbers: what has been done when a phase has succeeded."""

    PREPARE = 2
    EXTRACT = 3
    TRANSFORM = 4
    DELIVER = 5


class State(str, Enum):
    """Where an accession stands."""

    LOADED = "loaded"
    PENDING = "pending"
    AMBIGUOUS = "ambiguous"
    WAITING = "waiting"
    DROPPED = "dropped"
    EXTRACTED = "extracted"
    DEIDENTIFIED = "deidentified"
    DELIVERED = "delivered"
    FAILED = "failed"
    REQUESTED = "requested"
    RECALLED = "recalled"


MEANINGS: dict[State, str] = {
    State.LOADED: "a manifest names it; nobody has looked for it yet",
    State.PENDING: "the source holds no study for it yet",
    State.AMBIGUOUS: "the source holds several studies for it; a person decides",
    State.WAITING: "radiology has been asked to merge or resend its studies",
    State.DROPPED: "a person has decided that its studies are not used",
    State.EXTRACTED: "the raw zip lies in the interim store",
    State.DEIDENTIFIED: "the de-identified zip lies in the interim store",
    State.DELIVERED: "the target has confirmed the zip",
    State.FAILED: "the phase and the reason are recorded beside it; a rerun tries again",
    State.REQUESTED: "it was finished, and is to be processed again",
    State.RECALLED: "its deliveries have been withdrawn, and no new one is made",
}

# What an attempt that starts from the first phase may come to. A study may vanish from the source,
# or gain a second one, between any two attempts.
_BEGIN = frozenset(
    {State.PENDING, State.AMBIGUOUS, State.WAITING, State.EXTRACTED, State.FAILED, State.DROPPED}
)
# What a person may decide at any time.
_ANYTIME = frozenset({State.RECALLED, State.REQUESTED})

TRANSITIONS: dict[State, frozenset[State]] = {
    State.LOADED: _BEGIN | _ANYTIME,
    State.PENDING: _BEGIN | _ANYTIME,
    State.AMBIGUOUS: _BEGIN | _ANYTIME,
    State.WAITING: _BEGIN | _ANYTIME,
    State.DROPPED: _BEGIN | _ANYTIME,
    # An attempt may start again from the first phase when an artifact is gone or was made under
    # other settings.
    State.EXTRACTED: _BEGIN | _ANYTIME | {State.DEIDENTIFIED},
    State.DEIDENTIFIED: _BEGIN | _ANYTIME | {State.DELIVERED},
    State.FAILED: _BEGIN | _ANYTIME | {State.DEIDENTIFIED, State.DELIVERED},
    # Delivered is the end of the road until something asks for it again.
    State.DELIVERED: _ANYTIME,
    State.REQUESTED: _BEGIN | _ANYTIME,
    # A recall is only ever lifted; what had been finished is then processed anew.
    State.RECALLED: frozenset({State.LOADED}),
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
