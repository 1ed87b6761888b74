"""From the words of a command line to a filter over accessions.

What belongs here: words for how accessions stand, times, and names that nobody knows. What does
not: the filter and its question (`ledger/selection.py`), files that list accessions
(`accession_list.py`). Messages name words, lines and research identities, never an accession.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from locutus_dagster.errors import LocutusError
from locutus_dagster.ledger import Ledger, Phase, State
from locutus_dagster.ledger.lookup import FoundBy
from locutus_dagster.ledger.reference_status import status
from locutus_dagster.ledger.resolutions import ResolveCommand
from locutus_dagster.ledger.selection import Selection, Standing
from locutus_dagster.pipeline.accession_list import read_accessions

__all__ = [
    "STATUS_WORDS",
    "ChoosingError",
    "check_names",
    "parse_since",
    "selection",
    "unknown_accessions",
]

#: A state, with the phase where it failed.
_Point = tuple[State, int | None]
_POINTS: frozenset[_Point] = frozenset(
    (state, phase)
    for state in State
    for phase in ([int(one) for one in Phase] if state is State.FAILED else [None])
)
_FINISHED = frozenset({State.DELIVERED, State.RECALLED, State.DROPPED})
_CHANGED = Standing(changed=True)
_IN_HAND = Standing(in_hand=True)
_ON_DECK = Standing(on_deck=True)
_COMMANDS: tuple[ResolveCommand | None, ...] = (None, *ResolveCommand)
_CHANGED_TEXT = "PREVIOUS_PROCESSING_USED_["
_ANY = "label"  # what is marked for a batch always has one

#: What a word means: points that are meant whatever else holds, and what points cannot say.
_Meaning = tuple[frozenset[_Point], tuple[Standing, ...]]


def _points(states: Iterable[State]) -> frozenset[_Point]:
    wanted = frozenset(states)
    return frozenset(point for point in _POINTS if point[0] in wanted)


_OWN_WORDS: dict[str, _Meaning] = {
    **{state.value: (_points([state]), ()) for state in State},
    "all": (_POINTS, ()),
    "unfinished": (_points(set(State) - _FINISHED), ()),
    "changed": (frozenset(), (_CHANGED,)),
    "in-hand": (frozenset(), (_IN_HAND,)),
    "on-deck": (frozenset(), (_ON_DECK,)),
}
#: The words of our own; beside them there is the beginning of any of the reference's.
STATUS_WORDS = tuple(_OWN_WORDS)

_AGE = re.compile(r"(\d{1,9})\s*([smhdw])", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class ChoosingError(LocutusError):
    """What was asked for cannot be understood, or does not exist."""


def selection(
    *,
    manifests: Sequence[str] = (),
    statuses: Sequence[str] = (),
    subjects: Sequence[str] = (),
    accession_file: Path | None = None,
    changed_since: str | None = None,
    partitions: Sequence[str] = (),
    labels: Sequence[str] = (),
) -> Selection:
    """Turn words into a filter; everything that is given has to hold.

    Args:
        statuses: how accessions stand. A word of `STATUS_WORDS`, or the beginning of a status of
            the reference in any case; several are united, and those with `!` or `not:` before
            them are taken away. One may hold several, separated by commas.
        accession_file: one accession number a line, or a CSV with a column ACCESSION_NUM.
        changed_since: a date or time, local where it names no zone, or an age such as 2h, 3d, 1w.
        labels: of batches, as they were given; one of them.

    Raises:
        ChoosingError: a word or the time cannot be understood.
        AccessionListError: the file cannot be read or understood.
    """
    listed = None if accession_file is None else read_accessions(accession_file)
    return replace(
        _by_status(statuses),
        manifests=tuple(manifests),
        subjects=tuple(subjects),
        accession_numbers=None if listed is None else tuple(number for _, number in listed),
        accession_lines=() if listed is None else tuple(line for line, _ in listed),
        changed_since=None if changed_since is None else parse_since(changed_since),
        partition_keys=tuple(partitions),
        labels=tuple(labels),
    )


def unknown_accessions(ledger: Ledger, workspace: str, chosen: Selection) -> list[int]:
    """The lines of the accession file whose number the workspace does not know."""
    numbers = chosen.accession_numbers or ()
    known = ledger.known(workspace, FoundBy.ACCESSION, tuple(dict.fromkeys(numbers)))
    named = zip(chosen.accession_lines, numbers, strict=False)
    return [line for line, number in named if number not in known]


def check_names(ledger: Ledger, workspace: str, chosen: Selection) -> None:
    """Refuse manifests, subjects and partitions that the workspace does not know.

    Raises:
        ChoosingError: names the first of them; what it names identifies nobody.
    """
    manifests = ledger.manifest_names(workspace)
    for name in chosen.manifests:
        if name not in manifests:
            raise ChoosingError(
                f"Workspace '{workspace}' has no manifest named '{name}' "
                f"(manifests: {', '.join(manifests) or 'none'}).",
                "Load one with: locutus load-manifest FILE.csv",
            )
    for kind, names, hint in (
        (FoundBy.SUBJECT, chosen.subjects, "Subjects are matched exactly, case included."),
        (FoundBy.PARTITION, chosen.partition_keys, "They are written as manifest~000001."),
    ):
        known = ledger.known(workspace, kind, names)
        missing = [name for name in names if name not in known]
        if missing:
            raise ChoosingError(
                f"Workspace '{workspace}' knows no {kind.value} '{missing[0]}'"
                + (f", nor {len(missing) - 1} more that were named." if missing[1:] else "."),
                hint,
            )


def parse_since(text: str, now: datetime | None = None) -> datetime:
    """A point in time, in UTC, from a date, a time, or an age.

    Args:
        now: what an age is counted back from; the present by default.

    Raises:
        ChoosingError: it is none of these.
    """
    wanted = text.strip()
    try:
        if age := _AGE.fullmatch(wanted):
            back = timedelta(seconds=int(age[1]) * _SECONDS[age[2].lower()])
            return (now or datetime.now(timezone.utc)) - back
        # Python 3.10 does not know Z, and takes a T or a space between date and time.
        at = datetime.fromisoformat(re.sub(r"(?<=\d)[zZ]$", "+00:00", wanted))
        return at.astimezone(timezone.utc)  # without a zone it is local
    except (ValueError, OverflowError, OSError):
        raise ChoosingError(
            f"'{text}' is no time that can be understood.",
            "Give a date or time such as 2026-11-20 or 2026-11-20T14:30, or an age: 45m, 2h, 3d, "
            "1w.",
        ) from None


def _by_status(statuses: Sequence[str]) -> Selection:
    """What is chosen by words for how accessions stand."""
    words = [word.strip() for one in statuses for word in one.split(",")]
    if not words:
        return Selection()
    wanted: set[_Point] = set()
    unwanted: set[_Point] = set()
    also: list[Standing] = []
    but: list[Standing] = []
    for word in words:
        negated = re.match(r"(!|not:)\s*", word, re.IGNORECASE)
        points, further = _meaning(word[negated.end() :] if negated else word)
        (unwanted if negated else wanted).update(points)
        (but if negated else also).extend(further)
    if also:
        ways = (*_as_standing(wanted), *also)
        exceptions = (*_as_standing(unwanted), *but)
        if set(ways) == {_CHANGED} and not exceptions:
            return Selection(changed=True)
        return Selection(any_of=ways, none_of=exceptions)
    left = _as_standing((wanted or _POINTS) - unwanted)  # negations alone: from everything
    if not left:
        raise ChoosingError(
            f"The words {', '.join(words)} together choose nothing.",
            "Words are united; those with '!' before them are taken away.",
        )
    return Selection(states=left[0].states, phases=left[0].phases, none_of=tuple(but))


def _as_standing(points: Iterable[_Point]) -> tuple[Standing, ...]:
    """The one way of standing that these points are; none where there are no points."""
    chosen = frozenset(points)
    if not chosen:
        return ()
    phases = frozenset(phase for _, phase in chosen if phase is not None)
    some_phases = phases if phases and phases < frozenset(map(int, Phase)) else None
    return (Standing(frozenset(state for state, _ in chosen), some_phases),)


def _meaning(word: str) -> _Meaning:
    """What one word means, without what negates it."""
    known = _OWN_WORDS.get(word.casefold())
    if known is not None:
        return known
    found = _reference_meaning(word.casefold()) if word else (frozenset(), ())
    if found == (frozenset(), ()):
        near = difflib.get_close_matches(word.casefold(), STATUS_WORDS, n=1)
        raise ChoosingError(
            f"'{word}' is no status that accessions could be chosen by."
            + (f" Did you mean '{near[0]}'?" if near else ""),
            f"Known are {', '.join(STATUS_WORDS)}, and the beginning of a status of the reference "
            "as far as '=', '[' or ':', such as PROCESSED, PENDING_CHANGE or ERROR_PHASE04. A '!' "
            "before a word takes it away.",
        )
    return found


def _reference_meaning(beginning: str) -> _Meaning:
    """What is shown with a status of the reference that begins so.

    An accession that a worker has in hand is found by what it is shown with now, and also by what
    it stands at: a filter must not lose an accession because somebody looks at it.
    """

    def begins(text: str) -> bool:
        return text.casefold().startswith(beginning)

    points: set[_Point] = set()
    further: list[Standing] = []
    for state, phase in sorted(_POINTS, key=lambda point: (point[0].value, point[1] or 0)):
        commands = frozenset(
            command
            for command in _COMMANDS
            if begins(status(state, phase, command=command).removesuffix("]"))
        )
        if len(commands) == len(_COMMANDS):
            points.add((state, phase))
        elif commands:
            further.append(Standing(frozenset({state}), commands=commands))
    at_work = frozenset(
        state
        for state in State
        if status(state, in_hand=True) != status(state) and begins(status(state, in_hand=True))
    )
    if at_work:
        further.append(Standing(at_work, in_hand=True))
    marked = frozenset(
        state
        for state in State
        if (shown := status(state, on_deck=True, label=_ANY)) != status(state, label=_ANY)
        and begins(shown.partition(":")[0])
    )
    if marked:
        further.append(Standing(marked, on_deck=True))
    if begins(_CHANGED_TEXT):
        further.append(_CHANGED)
    return frozenset(points), tuple(further)
