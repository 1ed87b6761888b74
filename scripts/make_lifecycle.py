"""Write docs/lifecycle.md: an accession's states, drawn and told from the program's own tables.

What belongs here: the page's words, and the diagram's groups. What does not: what is allowed
(`locutus_dagster/ledger/states.py`) and what a change leads back to (`ledger/fingerprints.py`).

Run it after changing one of those; a test compares what it writes with what is in docs/:

    python scripts/make_lifecycle.py

A state, a phase, a column of an event or a kind of fingerprint that this page has no words for
stops it, and so does a transition that the diagram's groups would not show.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields
from itertools import product
from pathlib import Path

from locutus_dagster.ledger.fingerprints import CONFIGURATION, Kind, phase_of
from locutus_dagster.ledger.reference_status import previous_processing_used, status
from locutus_dagster.ledger.resolutions import ResolveCommand
from locutus_dagster.ledger.states import MEANINGS, TRANSITIONS, Phase, State
from locutus_dagster.ledger.work import EventRecord

__all__ = ["diagram", "main", "page"]

PAGE = Path(__file__).parents[1] / "docs" / "lifecycle.md"

# The diagram's groups: one arrow from or to a group stands for those of each of its states.
_NO_STUDY = (State.PENDING, State.AMBIGUOUS, State.WAITING, State.DROPPED)
_ATTEMPT = (State.EXTRACTED, State.DEIDENTIFIED, State.FAILED)
_BEFORE = (State.LOADED, State.REQUESTED)
#: What a person may ask for in any state but those that cannot be left in this way.
_ANYTIME = (State.REQUESTED, State.RECALLED)
_NEVER_LEFT_SO = (State.RECALLED,)

_COMMANDS: dict[State, Sequence[ResolveCommand]] = {
    State.WAITING: (ResolveCommand.RESEND,),
    State.REQUESTED: (
        ResolveCommand.NEWEST,
        ResolveCommand.CHOOSE,
        ResolveCommand.DROP_FROM_STAGE,
    ),
}
_PHASES = {
    Phase.PREPARE: "a manifest's row names the accession, and a worker has taken it in hand",
    Phase.EXTRACT: "the study lies in the interim store as `raw.zip`, verified",
    Phase.TRANSFORM: "it is de-identified and searched for residue: `deidentified.zip`",
    Phase.DELIVER: "the target has confirmed the zip",
}
_EVENT = {
    "at": "when, in UTC",
    "before": "the state that it left",
    "after": "the state that it came to",
    "phase": "which phase failed, or found no one study to process; empty otherwise",
    "reason": "why, free of identifiers",
    "run_id": "the Dagster run that did it; empty when it was none",
    "settings": "fingerprint of the settings at hand: policy, key, source, target",
    "row_id": "the manifest's row that it was processed for",
    "generation": "the generation of the accession that it belongs to",
    "label": "of the batch, for people",
}
_KINDS = {
    Kind.SOURCE: ("the study: its instances, their identities and sizes", "the source"),
    Kind.SUBJECT: ("the research identity in the manifest's row", "the manifest"),
    Kind.POLICY: ("the rules of the workspace's policy", "the operator"),
    Kind.ENGINE: ("the version of the engine's rules", "the operator"),
    Kind.KEY: (
        "the key that pseudonyms are made with; one that has only been rotated is as good",
        "the operator",
    ),
    Kind.ATTRIBUTES: ("the rest of the manifest's row, which makes the path", "the manifest"),
    Kind.TARGET: ("where deliveries go, and under which key template", "the operator"),
    Kind.DELIVERY: (
        "the object itself: whether it is still there",
        "whoever can reach the target",
    ),
}

_TEMPLATE = """\
# The life of an accession

<!-- Written by scripts/make_lifecycle.py from the program's tables: change those, run it again. -->

An accession of a workspace is in one state at a time. The ledger holds it, it changes only as the
table below allows, and each change appends an event that stays as it is. A change that the table
does not allow is refused and leaves nothing behind.

## The states

```mermaid
{diagram}
```

Not drawn, so that the rest can be read:

- {anytime} may follow any state but {never}: a person may ask for anything again,
  and recall anything. A recall can only be lifted.
- An attempt may end as the one before it did, which appends an event too. So these may follow
  themselves: {repeated}.

{states}

Whether a run is at an accession or has it on its list, and the label that a run may give its batch,
show in the reference's status as well:

{cases}

Work is resumed from {resumable} alone. When an accession comes to
another state, what lies of it in the interim store is written off, and the next attempt starts from
the first phase.

## The phases

The numbers are the reference's. A failure is recorded with the phase that it happened in.

{phases}

## Events

One row for each change of state, in the transaction that makes the change. An accession's events
add up: the first leaves {first}, each further one leaves the state that the one before it came to,
and the last came to the state that the accession is in.

{event}

## Generations

What is made of an accession belongs to a generation, counted from 1: artifacts, counts of
instances, the report of the de-identification, deliveries, events. When a run processes an
accession again, the run's mode says what becomes of the generation that stands:

| mode | generation | what stays of it |
| --- | --- | --- |
| `force` | the same | everything, until the new attempt replaces it |
| `preretire`, `preretire-only-changed` | a new one | how it stood and why it was retired, its \
counts and its report: all of it can be read |
| `predelete` | a new one | how it stood and why it was deleted; counts and report are deleted |

Events and deliveries stay in every mode. A delivery stands until another one of the accession takes
its place or it is withdrawn: asking for an accession again takes nothing from the target.

## What a delivery was made from

Beside each delivery stands a fingerprint of everything that it depends on, by kind. A later run
compares them with those of what it would deliver now, and tells the kinds that differ and the
earliest phase that any of them leads back to. A kind that was not recorded with the delivery is not
compared. The reference's text for such a row is
`{previous}`.

{kinds}

What the operator changes is what `allow-if-only-config-changed` forgives. After a delivery the
interim store holds nothing of the study any more, so processing it again begins by fetching it,
whatever has changed.
"""


def page() -> str:
    """The whole page.

    Raises:
        KeyError: there are no words here for something that the program knows.
        ValueError: the diagram would not show what the table allows.
    """
    return _TEMPLATE.format(
        diagram=diagram(),
        anytime=_listed(_ANYTIME),
        never=_listed(_NEVER_LEFT_SO),
        repeated=_listed(state for state in State if state in TRANSITIONS[state]),
        states=_table(
            ("state", "meaning", "the reference's status", "may become"),
            ((_code(state), MEANINGS[state], _statuses(state), _targets(state)) for state in State),
        ),
        cases=_table(("an accession", "the reference's status"), _cases()),
        resumable=_listed(_ATTEMPT),
        phases=_table(
            ("phase", "what has been done when it has succeeded"),
            ((_phase(phase), _PHASES[phase]) for phase in Phase),
        ),
        first=_code(State.LOADED),
        event=_table(
            ("column", "what it holds"),
            ((f"`{field.name}`", _EVENT[field.name]) for field in fields(EventRecord)),
        ),
        previous=previous_processing_used(["old"], ["new"]),
        kinds=_table(
            ("kind", "what it is", "leads back to", "changed by"),
            ((f"`{kind.value}`", _KINDS[kind][0], _back_to(kind), _changer(kind)) for kind in Kind),
        ),
    )


def diagram() -> str:
    """The states as a mermaid `stateDiagram-v2`.

    Raises:
        ValueError: it would not show what the table allows.
    """
    begun, ready = _begun(), _ready()
    _check_groups(begun, ready)
    within = [
        (one, other)
        for one, other in product(_ATTEMPT, repeat=2)
        if one is not other and other in TRANSITIONS[one]
    ]
    lines = [
        "stateDiagram-v2",
        f"    [*] --> {State.LOADED.value}",
        *(f"    {state.value} --> attempt" for state in _BEFORE),
        *(f"    {state.value} --> no_study" for state in _BEFORE),
        "    attempt --> no_study",
        "    no_study --> attempt",
        f"    attempt --> {State.DELIVERED.value}",
        *(f"    {State.DELIVERED.value} --> {state.value}" for state in _ANYTIME),
        f"    {State.RECALLED.value} --> {State.LOADED.value}",
        '    state "an attempt" as attempt {',
        "        direction LR",
        *(f"        [*] --> {state.value}" for state in begun),
        *(f"        {one.value} --> {other.value}" for one, other in within),
        *(f"        {state.value} --> [*]" for state in ready),
        "    }",
        '    state "no one study to process (each may follow the others)" as no_study {',
        *(f"        {state.value}" for state in _NO_STUDY),
        "    }",
    ]
    return "\n".join(lines)


def _begun() -> list[State]:
    """What an attempt may come to first."""
    return [state for state in _ATTEMPT if state in TRANSITIONS[State.LOADED]]


def _ready() -> list[State]:
    """What a delivery may follow."""
    return [state for state in _ATTEMPT if State.DELIVERED in TRANSITIONS[state]]


def _check_groups(begun: Sequence[State], ready: Sequence[State]) -> None:
    """Raise ValueError unless the arrows, the groups' included, are those of the table."""
    drawn: dict[State, set[State]] = {state: set() for state in State}
    for sources, targets in (
        ((*_BEFORE, *_NO_STUDY, *_ATTEMPT), _NO_STUDY),
        ((*_BEFORE, *_NO_STUDY), begun),
        (ready, [State.DELIVERED]),
        ([State.RECALLED], [State.LOADED]),
        ([state for state in State if state not in _NEVER_LEFT_SO], _ANYTIME),
    ):
        for source, target in product(sources, targets):
            drawn[source].add(target)
    for state in _ATTEMPT:
        drawn[state] |= TRANSITIONS[state].intersection(_ATTEMPT)
    for state in State:
        if drawn[state] - {state} != TRANSITIONS[state] - {state}:
            raise ValueError(f"the diagram's groups do not show what may follow '{state.value}'")


def _statuses(state: State) -> str:
    """The texts of a state, by the decision that stands for the accession."""
    if state is State.FAILED:
        return "`ERROR_PHASE0n=[reason]`"
    if state is State.RECALLED:
        return f"`{status(state)}`, a word of our own: the reference has no recall"
    commands = (None, *_COMMANDS.get(state, ()))
    return "<br>".join(f"`{status(state, command=command)}`" for command in commands)


def _cases() -> list[tuple[str, str]]:
    """What a status depends on beside the state and a decision."""
    found: dict[tuple[str, str], list[State]] = {}
    for state in State:
        for when, text in (
            ("a worker has it in hand", status(state, in_hand=True)),
            ("a run has it on its list", status(state, on_deck=True)),
        ):
            if text != status(state):
                found.setdefault((when, text), []).append(state)
    rows = [
        (f"{_listed(states)}: {when}", f"`{text}`")
        for (when, text), states in sorted(found.items(), key=lambda item: item[0][0], reverse=True)
    ]
    labelled = [state for state in State if status(state, label="label") != status(state)]
    return [
        *rows,
        (
            f"{_listed(labelled)}, and whatever is on a run's list: its batch has a label",
            "as above, and `:label` after it",
        ),
    ]


def _targets(state: State) -> str:
    return ", ".join(
        "itself" if target is state else _code(target)
        for target in State
        if target in TRANSITIONS[state]
    )


def _back_to(kind: Kind) -> str:
    phase = phase_of([kind])
    if phase is None:
        raise ValueError(f"'{kind.value}' leads back to no phase")
    return _phase(phase)


def _changer(kind: Kind) -> str:
    changer = _KINDS[kind][1]
    if (changer == "the operator") != (kind in CONFIGURATION):
        raise ValueError(f"this page and the program disagree about who changes '{kind.value}'")
    return changer


def _phase(phase: Phase) -> str:
    return f"{phase:02d} {phase.name.lower()}"


def _code(state: State) -> str:
    return f"`{state.value}`"


def _listed(states: Iterable[State]) -> str:
    *most, last = (_code(state) for state in states)
    return f"{', '.join(most)} and {last}" if most else last


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> int:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.name}: {len(State)} states, {len(Kind)} kinds of fingerprints\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
