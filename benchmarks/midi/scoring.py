"""The scorer: every check of the answer key, judged against what an engine has written.

What belongs here: the rules of passing, and the figures made of verdicts. What does not: the
search for what is left anywhere else (`leaks.py`), printing (`report.py`).

A file that was not delivered passes what demands removal or change, and fails what demands that
something stays, is consistent, or has its pixels. Stricter than the rules that MIDI-style scorers
are known to have:

- a date must be moved by a whole number of days, the same for all dates of a patient;
- a UID must become the same one in all files of the run, and no two may become one; likewise a
  patient's ID. An absent one passes only if no other file has that UID in that attribute;
- numbers are compared value by value;
- a check without words is a mistake in the key, not a blank.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import TypeVar

from benchmarks.midi.answer_key import KeyFile, Maps
from benchmarks.midi.checks import Action, Check
from benchmarks.midi.outputs import Output, UnreadableOutputError
from benchmarks.midi.places import Place, without_items

__all__ = ["Outcome", "Score", "Verdict", "score", "survives"]

_Value = TypeVar("_Value")

_NUMERIC = frozenset(("DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"))
_KEPT_SPLIT = re.compile(r"[\s\\_^,;/]+")
_REMOVED_SPLIT = re.compile(r"[\s\\^=,;]+")
#: Shorter tokens count only where they stand alone: "93" is in many numbers.
_FREE_LENGTH = 5
_PASS_IF_MISSING = frozenset((Action.TEXT_REMOVED, Action.DATE_SHIFTED, Action.UID_CHANGED))


class Outcome(str, Enum):
    """How a check came out."""

    PASS = "pass"
    FAIL = "fail"
    WAIVED = "waived"


@dataclass(frozen=True)
class Verdict:
    """How one check of one file came out.

    Attributes:
        index: number of the file in the key, from 0.
        check: the check.
        outcome: how it came out.
        note: a fixed phrase that says why it failed.
        lost: of the words that must stay, those that did not.
    """

    index: int
    check: Check
    outcome: Outcome
    note: str = ""
    lost: tuple[str, ...] = ()


@dataclass
class Score:
    """All verdicts of a run."""

    verdicts: list[Verdict] = field(default_factory=list)

    def share(self, chosen: Callable[[Verdict], bool] = lambda _: True) -> float:
        """Return passes / (passes + fails) in percent over the chosen verdicts; 100 for none."""
        counts = Counter(verdict.outcome for verdict in self.verdicts if chosen(verdict))
        judged = counts[Outcome.PASS] + counts[Outcome.FAIL]
        return 100.0 * counts[Outcome.PASS] / judged if judged else 100.0

    def by(self, name: Callable[[Verdict], str]) -> dict[str, Counter[Outcome]]:
        """Count outcomes by what `name` calls a verdict."""
        groups: dict[str, Counter[Outcome]] = defaultdict(Counter)
        for verdict in self.verdicts:
            groups[name(verdict)][verdict.outcome] += 1
        return dict(sorted(groups.items()))

    def failures(self) -> list[Verdict]:
        """Return the checks that failed, in the order of the key."""
        return [verdict for verdict in self.verdicts if verdict.outcome is Outcome.FAIL]


def score(
    key: Iterable[KeyFile],
    outputs: Mapping[str, bytes],
    maps: Maps,
    options: Collection[str] = (),
) -> Score:
    """Judge every check.

    Args:
        key: the answer key.
        outputs: planted SOP Instance UID -> what the engine wrote for that file; files that it
            did not deliver are not among them.
        maps: what the engine says that identities became.
        options: the options of the Basic Profile that the engine's policy has; checks that one of
            them waives are not judged.
    """
    judge = _Judge(maps, frozenset(options))
    for index, file in enumerate(key):
        judge.file(index, file, outputs.get(file.sop))
    return judge.finish()


@dataclass(frozen=True)
class _Seen:
    """An identity or date of an output that can be judged when all outputs are known."""

    slot: int
    owner: str
    old: str
    new: str
    place: Place


class _Judge:
    """Judges file after file, and in the end what concerns several files."""

    def __init__(self, maps: Maps, options: frozenset[str]) -> None:
        self._maps = maps
        self._options = options
        self._score = Score()
        self._uids: list[_Seen] = []
        self._patients: list[_Seen] = []
        self._shifts: dict[str, list[tuple[int, int]]] = defaultdict(list)

    def file(self, index: int, file: KeyFile, data: bytes | None) -> None:
        """Judge the checks of one file."""
        output, missing = None, "not delivered"
        if data is not None:
            try:
                output = Output(data)
            except UnreadableOutputError:
                missing = "output unreadable"
        for check in file.checks:
            if check.waived_by and check.waived_by in self._options:
                self._add(index, check, Outcome.WAIVED)
            elif output is None:
                passed = check.action in _PASS_IF_MISSING
                self._add(index, check, Outcome.PASS if passed else Outcome.FAIL, missing)
            else:
                lost: tuple[str, ...] = ()
                try:
                    if check.action is Action.TEXT_RETAINED:
                        note, lost = _kept(check, output.text(check.place, check.vr))
                    else:
                        note = self._judge(file, check, output)
                except UnreadableOutputError:
                    note = "value unreadable"
                self._add(index, check, Outcome.FAIL if note else Outcome.PASS, note, lost)

    def _add(
        self,
        index: int,
        check: Check,
        outcome: Outcome,
        note: str = "",
        lost: tuple[str, ...] = (),
    ) -> None:
        self._score.verdicts.append(Verdict(index, check, outcome, note, lost))

    def _judge(self, file: KeyFile, check: Check, output: Output) -> str:
        """Return why a check fails, "" if it passes or is judged in the end."""
        if check.action is Action.PIXELS_RETAINED:
            return "" if output.pixels() == check.text else "other pixels"
        if check.action is Action.TAG_RETAINED:
            return "" if output.element(check.place) is not None else "absent"
        new = output.text(check.place, check.vr)
        if check.action is Action.TEXT_NOTNULL:
            return "" if new and new.strip() else "absent or empty"
        if check.action is Action.TEXT_REMOVED:
            return _removed(check, new)
        if check.action is Action.UID_CHANGED:
            return "unchanged" if new and check.text in new else ""
        slot = len(self._score.verdicts)
        if check.action is Action.DATE_SHIFTED:
            days, note = _shift(check.text, new)
            if days is not None:
                self._shifts[file.patient].append((slot, days))
            return note
        seen = _Seen(slot, file.patient, check.text, new or "", without_items(check.place))
        patient = check.action is Action.PATID_CONSISTENT
        (self._patients if patient else self._uids).append(seen)
        return ""

    def finish(self) -> Score:
        """Judge what concerns several files, and return the score."""
        for shifts in self._shifts.values():
            usual = _most_common(days for _, days in shifts)
            for slot, days in shifts:
                if days != usual:
                    self._fail(slot, "moved unlike the patient's other dates")
        self._consistent(self._uids, self._maps.uids)
        self._consistent(self._patients, self._maps.patients)
        return self._score

    def _consistent(self, seen: list[_Seen], claimed: Mapping[str, str]) -> None:
        """Fail what became another identity than the map says, or than elsewhere."""
        found: dict[str, list[str]] = defaultdict(list)
        present: set[tuple[str, Place]] = set()
        for one in seen:
            if one.new:
                found[one.old].append(one.new)
                present.add((one.old, one.place))
        expected = {old: claimed.get(old) or _most_common(news) for old, news in found.items()}
        olds: dict[str, set[str]] = defaultdict(set)
        for old, new in expected.items():
            olds[new].add(old)
        for one in seen:
            if not one.new:
                if (one.old, one.place) in present:
                    self._fail(one.slot, "absent here, present in other files")
            elif one.new != expected[one.old]:
                self._fail(one.slot, "inconsistent")
            elif len(olds[one.new]) > 1:
                self._fail(one.slot, "two identities became one")

    def _fail(self, slot: int, note: str) -> None:
        verdict = self._score.verdicts[slot]
        self._score.verdicts[slot] = Verdict(verdict.index, verdict.check, Outcome.FAIL, note)


def _most_common(values: Iterable[_Value]) -> _Value:
    """Return the value that occurs most often, of several the one that came first."""
    return Counter(values).most_common(1)[0][0]


def _kept(check: Check, new: str | None) -> tuple[str, tuple[str, ...]]:
    """Return why a check of retained text fails, "" if it passes, and the words that are lost."""
    tokens = [token for token in _KEPT_SPLIT.split(check.text) if token]
    if not tokens:
        raise ValueError("a check of retained text without words")
    if new is None:
        return "absent", tuple(tokens)
    if check.vr in _NUMERIC:
        same = _same_numbers(check.text, new)
        return ("", ()) if same else ("other numbers" if new else "empty", tuple(tokens))
    folded = new.casefold()
    lost = tuple(token for token in tokens if token.casefold() not in folded)
    return ("words lost" if new.strip() else "empty") if lost else "", lost


def _same_numbers(old: str, new: str) -> bool:
    before, after = old.split("\\"), new.split("\\")
    if len(before) != len(after):
        return False
    try:
        pairs = [(float(one), float(other)) for one, other in zip(before, after, strict=True)]
    except ValueError:  # such as an empty value among others
        return [one.strip() for one in before] == [other.strip() for other in after]
    return all(abs(one - other) <= 1e-6 * max(abs(one), 1e-6) for one, other in pairs)


def _removed(check: Check, new: str | None) -> str:
    tokens = [token for token in _REMOVED_SPLIT.split(check.text) if token]
    if not tokens:
        raise ValueError("a check of removed text without words")
    return "left" if new and any(survives(token, new) for token in tokens) else ""


def survives(token: str, text: str) -> bool:
    """Tell whether a token is left in a text, case not counting.

    A token of fewer than five ASCII characters is only left where it stands as a word.
    """
    token, text = token.casefold(), text.casefold()
    if token not in text:
        return False
    if len(token) >= _FREE_LENGTH or not token.isascii():
        return True
    return re.search(rf"(?<![^\W_]){re.escape(token)}(?![^\W_])", text) is not None


def _shift(old: str, new: str | None) -> tuple[int | None, str]:
    """Return the number of days between two dates, and why the new one fails, "" if not yet."""
    if not new:
        return None, ""
    if old[:8] in new:
        return None, "unchanged"
    if new[8:] != old[8:]:
        return None, "not moved by whole days"
    try:
        return (_day(old) - _day(new)).days, ""
    except ValueError:
        return None, "not a date"


def _day(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
