"""Write docs/lifecycle.md: an accession's states, drawn and told from the program's own tables.

What belongs here: the page's words, and the diagram's grouping. What does not: what is allowed
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
from locutus_dagster.ledger.reference_status import status
from locutus_dagster.ledger.resolutions import ResolveCommand
from locutus_dagster.ledger.states import MEANINGS, TRANSITIONS, Phase, State
from locutus_dagster.ledger.work import EventRecord

__all__ = ["diagram", "main", "page"]

PAGE = Path(__file__).parents[1] / "docs" / "lifecycle.md"

# The diagram's groups. All states of one follow, and are followed by, the same other ones, so
# that one arrow stands for many; `_check_groups` holds that against the table.
_NO_STUDY = (State.PENDING, State.AMBIGUOUS, State.WAITING, State.DROPPED)
_UNDER_WAY = (State.EXTRACTED, State.DEIDENTIFIED, State.FAILED)
_TO_BEGIN = (State.LOADED, State.REQUESTED)
#: What a person may decide at any time, but for the states that cannot be left in this way.
_ANYTIME = (State.REQUESTED, State.RECALLED)
_NEVER_LEFT_SO = frozenset({State.RECALLED})

_COMMANDS: dict[State, Sequence[ResolveCommand]] = {
    State.WAITING: (ResolveCommand.RESEND,),
    State.REQUESTED: (
        ResolveCommand.NEWEST,
        ResolveCommand.CHOOSE,
        ResolveCommand.DROP_FROM_STAGE,
    ),
}
_PHASES = {
    Phase.PREPARE: "a manifest's row names the accession, and it has been looked for",
    Phase.EXTRACT: "the study lies in the interim store as `raw.zip`, verified",
    Phase.TRANSFORM: "it is de-identified and searched for residue: `deidentified.zip`",
    Phase.DELIVER: "the target has confirmed the zip",
}
_EVENT = {
    "at": "when, in UTC",
    "before": "the state that it left",
    "after": "the state that it came to",
    "phase": "where it failed, or which phase found that there is no study to process",
    "reason": "why, free of identifiers",
    "run_id": "the Dagster run that did it; empty for a command of a person",
    "settings": "fingerprint of the settings at hand: policy, key, source, target",
    "row_id": "the manifest's row that it was processed for",
    "generation": "which generation of the accession it belongs to",
    "label": "of the batch, for people",
}
_KINDS = {
    Kind.SOURCE: "the study: its instances, their identities and sizes",
    Kind.SUBJECT: "the research identity that the manifest's row gives it",
    Kind.POLICY: "the rules of the workspace's policy",
    Kind.ENGINE: "the version of the engine's rules",
    Kind.KEY: "the key that pseudonyms are made with; one that was only rotated is as good",
    Kind.ATTRIBUTES: "the rest of the manifest's row, which makes the path",
    Kind.TARGET: "where deliveries go, and under which key template",
    Kind.DELIVERY: "the object itself: whether it is still there",
}


def page() -> str:
    """The whole page.

    Raises:
        KeyError: there are no words here for something that the program knows.
        ValueError: the diagram would not show what the table allows.
    """
    return "\n\n".join(
        (
            "# The life of an accession",
            "<!-- Written by scripts/make_lifecycle.py from the program's tables: change those, "
            "and run it again. -->",
            "An accession of a workspace is in one state at a time. It stands in the ledger, "
            "changes only as the table below allows, and each change leaves an event that is "
            "never changed afterwards. A change that the table does not allow is refused and "
            "leaves nothing behind.",
            "## The states",
            f"```mermaid\n{diagram()}\n```",
            "Not drawn, so that the rest can be read:",
            "- An attempt may end as the one before it did. "
            f"{_listed(state for state in State if state in TRANSITIONS[state])} may each follow "
            "themselves; that leaves an event too.\n"
            f"- {_and(_code(state) for state in _ANYTIME)} may follow every state "
            f"but {_and(_code(state) for state in sorted(_NEVER_LEFT_SO))}: a person may ask for "
            "anything again, and recall anything. A recall can only be lifted.",
            _table(
                ("state", "meaning", "the reference's status", "may become"),
                (
                    (_code(state), MEANINGS[state], _statuses(state), _targets(state))
                    for state in State
                ),
            ),
            "The status depends on more than the state in these cases; a label is the name of a "
            "batch, which a run may be given.",
            _table(("when", "the reference's status"), _cases()),
            "Nothing is resumed from any state but "
            f"{_listed((*_UNDER_WAY, State.DELIVERED))}: when an accession comes to one of the "
            "others, what lies of it in the interim store is written off, and the next attempt "
            "starts from the first phase.",
            "## The phases",
            "The numbers are the reference's. A failure is recorded with the phase that it "
            "happened in.",
            _table(
                ("phase", "what has been done when it has succeeded"),
                ((f"{phase:02d} {phase.name.lower()}", _PHASES[phase]) for phase in Phase),
            ),
            "## Events",
            "One row for each change of state, appended in the transaction that makes the change. "
            "An accession's events add up: each one leaves the state that the one before it came "
            f"to, the first leaves {_code(State.LOADED)}, and the last came to the state that the "
            "accession is in.",
            _table(
                ("column", "what it holds"),
                ((f"`{field.name}`", _EVENT[field.name]) for field in fields(EventRecord)),
            ),
            "## Generations",
            "What is made of an accession belongs to a generation, counted from 1: artifacts, "
            "counts of instances, the report of the de-identification, deliveries, events. When "
            "an accession that has been processed is processed again, the mode of the run says "
            "what becomes of that:",
            _table(
                ("mode", "generation", "what was known of the one before"),
                (
                    ("`force`", "the same", "is replaced as the new attempt comes to it"),
                    (
                        "`preretire`, `preretire-only-changed`",
                        "the next one",
                        "is kept as history and can be read: how it stood, why it was retired, "
                        "its counts and its report",
                    ),
                    (
                        "`predelete`",
                        "the next one",
                        "counts and report are deleted; that it was there, and why it was "
                        "deleted, is kept",
                    ),
                ),
            ),
            "In every mode events and deliveries are kept. A delivery stands until another one "
            "of the accession takes its place or it is withdrawn: asking for an accession again "
            "takes nothing from the target.",
            "## What a delivery was made from",
            "Beside each delivery stands a fingerprint for everything that it depends on. A later "
            "run compares them with what it would make now; for what differs it names the "
            "kind, and a run that processes changed accessions again goes back to the earliest "
            "phase of the kinds found. A kind that an earlier version of the program did not "
            "record is not compared.",
            _table(
                ("kind", "what it is", "goes back to phase", "changed by"),
                (
                    (f"`{kind.value}`", _KINDS[kind], _back_to(kind), _changed_by(kind))
                    for kind in Kind
                ),
            ),
            "`allow-if-only-config-changed` forgives what the operator has changed, and nothing "
            "else.\n",
        )
    )


def diagram() -> str:
    """The states as a mermaid `stateDiagram-v2`.

    Raises:
        ValueError: it would not show what the table allows.
    """
    _check_groups()
    inside = [
        f"{one.value} --> {other.value}"
        for one, other in product(_UNDER_WAY, repeat=2)
        if one is not other and other in TRANSITIONS[one]
    ]
    begun = [state for state in _UNDER_WAY if state in TRANSITIONS[State.LOADED]]
    ready = [state for state in _UNDER_WAY if State.DELIVERED in TRANSITIONS[state]]
    lines = [
        "stateDiagram-v2",
        "    direction LR",
        f"    [*] --> {State.LOADED.value}",
        '    state "no one study to process" as no_study {',
        *(f"        {state.value}" for state in _NO_STUDY),
        "    }",
        '    state "an attempt" as under_way {',
        *(f"        [*] --> {state.value}" for state in begun),
        *(f"        {arrow}" for arrow in inside),
        *(f"        {state.value} --> [*]" for state in ready),
        "    }",
        *(f"    {state.value} --> under_way" for state in _TO_BEGIN),
        *(f"    {state.value} --> no_study" for state in _TO_BEGIN),
        "    no_study --> under_way",
        "    under_way --> no_study",
        f"    under_way --> {State.DELIVERED.value}",
        *(f"    {State.DELIVERED.value} --> {state.value}" for state in _ANYTIME),
        f"    {State.RECALLED.value} --> {State.LOADED.value}",
        "    note right of no_study",
        "        Any of these may follow another.",
        "    end note",
    ]
    return "\n".join(lines)


def _check_groups() -> None:
    """Raise ValueError unless the groups, and the arrows between them, show the whole table."""
    drawn: dict[State, set[State]] = {state: set() for state in State}

    def arrows(sources: Iterable[State], targets: Iterable[State]) -> None:
        for source, target in product(sources, targets):
            drawn[source].add(target)

    begun = [state for state in _UNDER_WAY if state in TRANSITIONS[State.LOADED]]
    arrows((*_TO_BEGIN, *_NO_STUDY, *_UNDER_WAY), _NO_STUDY)
    arrows((*_TO_BEGIN, *_NO_STUDY), begun)
    for state in _UNDER_WAY:
        arrows([state], TRANSITIONS[state] & {*_UNDER_WAY, State.DELIVERED})
    arrows([State.RECALLED], [State.LOADED])
    arrows(set(State) - _NEVER_LEFT_SO, _ANYTIME)
    for state in State:
        if drawn[state] - {state} != TRANSITIONS[state] - {state}:
            raise ValueError(f"the diagram's groups do not show what may follow '{state.value}'")


def _statuses(state: State) -> str:
    """The texts of a state that stands still, by the decision that stands for it."""
    if state is State.FAILED:
        return "`ERROR_PHASE0n=[reason]`"
    commands = (None, *_COMMANDS.get(state, ()))
    return "<br>".join(f"`{status(state, command=command)}`" for command in commands)


def _cases() -> list[tuple[str, str]]:
    """What else a status depends on: who is at it, what waits for a run, and a label."""
    found: dict[str, list[str]] = {}
    for when, known in (("in hand of a worker", "in_hand"), ("on the list of a run", "on_deck")):
        for state in State:
            text = status(state, **{known: True})
            if text != status(state):
                found.setdefault(f"{when} | {text}", []).append(_code(state))
    rows = []
    for key, states in found.items():
        when, text = key.split(" | ")
        rows.append((f"{_and(states)}, {when}", f"`{text}`"))
    labelled = [state for state in State if status(state, label="label") != status(state)]
    rows.append((f"{_listed(labelled)}, with a label", "the same, and `:label` after it"))
    return rows


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
    return f"{phase:02d} {phase.name.lower()}"


def _changed_by(kind: Kind) -> str:
    if kind in CONFIGURATION:
        return "the operator"
    if kind in (Kind.SUBJECT, Kind.ATTRIBUTES):
        return "the manifest"
    return "the source" if kind is Kind.SOURCE else "whoever has access to the target"


def _code(state: State) -> str:
    return f"`{state.value}`"


def _listed(states: Iterable[State]) -> str:
    return _and(_code(state) for state in states)


def _and(words: Iterable[str]) -> str:
    *most, last = words
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
