"""Finding a study's own identifiers in text, in the ways in which people write them.

What belongs here: parts and joined forms of names, numbers with and without separators, initials
beside a name. What does not: which values of a study identify (`identities/identifiers.py`), what
is too common to search for (`identities/tokens.py`), identifiers that the study does not give away
(`descriptor_patterns.py`).

Whatever `verification/residue.py` would find in the output is found here, and more.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from ahocorasick_rs import AhoCorasick

from locutus_dagster.deid.cleaning.cutting import merged
from locutus_dagster.deid.cleaning.descriptor_titles import PARTICLES
from locutus_dagster.deid.cleaning.folding import fold, fold_with_places, spellings
from locutus_dagster.deid.cleaning.lexicon import Lexicon
from locutus_dagster.deid.identities.searching import CrowdedError, matches
from locutus_dagster.deid.identities.tokens import GENERIC, Rule, name_tokens, rule_for

__all__ = ["KnownIdentifiers"]

#: Of a longer name (a note in a field for names) no joined forms are made.
_MOST_PARTS = 6
#: A number of fewer digits is searched for only as it is, without separators.
_DIGITS_APART = 6
#: Part of a value with letters and digits that is worth searching for on its own.
_SHORTEST_PART = 5

_PARTS = re.compile(r"[\W_]+")
_NAME_PARTS = re.compile(r"[\^\s,;\\]+")
_NO_LETTER = re.compile(r"[\W\d_]+")
_NUMBER = re.compile(r"[0-9]+(?:[ ./()-]{1,2}[0-9]+)*")
_DIGITS = re.compile(r"[0-9]")
# Scripts without spaces: a name is a name wherever it stands.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7ff\uf900-\ufaff]")
_INITIAL_BEFORE = re.compile(r"(?<![^\W_])([^\W\d_])(\.?)['\u2019]?[ \t,^_.-]{0,2}\Z")
_INITIAL_AFTER = re.compile(r"[ \t,^_.-]{0,2}(?<![^\W_])([^\W\d_])(?:(\.)|(?![^\W_]))")
#: Names are inflected where they are written in these scripts, and Slavic ones in Latin letters.
_INFLECTED = re.compile(
    r"(?P<stem>[\u0400-\u04ff]{3,60}?)(?:ого|ому|ыми|ими|ая|яя|ую|юю|ои|еи|ыи|ии|ые|ие|ых|их|ым|им|ом|"
    r"ем|а|я|у|ю|е|о|ы|и|ь)?"
    r"|(?P<greek>[\u03b1-\u03c9]{3,60}?)(?:ους|ουσ|οι|ου|οσ|ησ|ασ|εσ|ων|ον|η|α|ο|ε)?"
    r"|(?P<slavic>[a-z]{3,60}(?:sk|ck|dzk|ov|ow|ev|in))(?:[aiy]|e|iego|iej)"
)
#: What may follow a short stem: "ольг" and "ольгой". A longer stem tells enough by itself.
_ENDINGS = re.compile(r"[\u0430-\u044f\u0456\u0457\u03b1-\u03c9a-z]{0,3}")
_LONG_STEM = 5
_POSSESSIVE = re.compile(r"['\u2019`]s(?![^\W_])", re.IGNORECASE)


class KnownIdentifiers:
    """Finds identifiers of one study in text.

    Args:
        known: identifiers as text: numbers, telephone numbers, addresses. Words of the lexicon
            that are a part of one are not searched for on their own.
        names: person names as DICOM writes them (PS3.5 6.2.1). All their parts are searched for,
            also words of the lexicon: a patient may be called Hand.
        lexicon: the words of descriptions.
    """

    def __init__(self, known: Iterable[str], names: Iterable[str], lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        #: Folded text -> whether it is (a part of) a name.
        self._words: dict[str, bool] = {}
        self._numbers: set[str] = set()
        self._initials: set[str] = set()
        #: Beginnings of names that are inflected.
        self._stems: set[str] = set()
        for name in names:
            self._add_name(name.strip(" \0"))
        for value in known:
            self._add_value(value.strip(" \0"))
        self._stems -= self._words.keys()
        self._patterns = [*self._words, *self._stems]
        self._automaton = AhoCorasick(self._patterns)
        self._longest = max(map(len, self._patterns), default=0)
        self._digits = sorted(self._numbers)
        self._digit_automaton = AhoCorasick(self._digits)
        self._longest_number = max(map(len, self._digits), default=0)

    def __repr__(self) -> str:
        return f"KnownIdentifiers({len(self._words) + len(self._numbers)} forms)"

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield begin and end of every identifier in a text, with what belongs to it.

        A text that was made to hold more of them than anybody could write is one as a whole.
        """
        if not (self._words or self._numbers):
            return
        try:
            yield from self._spans(text)
        except CrowdedError:
            yield 0, len(text)

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        folded, places = fold_with_places(text)
        words = list(self._word_spans(text, folded, places))
        names = [(start, end) for start, end, is_name in words if is_name]
        yield from ((start, end) for start, end, _ in words)
        for start, end in merged(names):
            yield self._with_initials(text, start, end)
        if self._numbers and len(_DIGITS.findall(folded)) >= 4:
            for start, end in self._number_spans(folded):
                yield _original(text, places, start, end)

    # --- collecting -------------------------------------------------------------------------------

    def _add_name(self, name: str) -> None:
        for token in name_tokens(name):
            rule = rule_for(token)
            inflected = _INFLECTED.fullmatch(fold(token))
            if inflected and rule is not None:
                stem = inflected["stem"] or inflected["greek"] or inflected["slavic"]
                self._stems.add(stem)
            if rule is Rule.DIGITS:
                self._add_number(token)
            elif rule is not None:
                self._add_word(token, is_name=True)
        for group in name.split("="):
            parts = [part for part in _NAME_PARTS.split(group) if part]
            self._add_joined(parts[:_MOST_PARTS])
            pieces = [piece for part in parts for piece in _PARTS.split(part) if piece]
            for piece in pieces:
                if not _DIGITS.search(piece) and piece.casefold() not in GENERIC:
                    self._initials.add(fold(piece)[:1])
                    if len(piece) == 2 and fold(piece) not in PARTICLES:
                        self._words[fold(piece)] = True

    def _add_joined(self, parts: list[str]) -> None:
        """Add the parts of a name written as one word: "DoeJane", "JDoe", "DoeJA"."""
        letters = [_NO_LETTER.sub("", fold(part)) for part in parts]
        letters = [part for part in letters if part]
        for place, one in enumerate(letters):
            if rule_for(one) is not None:  # "OBrien"
                self._words[one] = True
            others = letters[:place] + letters[place + 1 :]
            initials = "".join(other[0] for other in others)
            joined = {initials + one, one + initials, *(other[0] + one for other in others)}
            joined |= {one + other[0] for other in others}
            if len(one) >= 3 and one not in GENERIC:
                joined |= {one + other for other in others} | {other + one for other in others}
                for form in joined - {one}:
                    self._words.setdefault(form, True)
        if rule_for("".join(letters)) and not all(part in GENERIC for part in letters):
            self._words["".join(letters)] = True
            self._words["".join(letters[1:] + letters[:1])] = True

    def _add_value(self, value: str) -> None:
        core = _PARTS.sub("", value)
        if core.isascii() and core.isdigit():
            self._add_number(core)
            return
        for form in (value, core):
            if rule_for(form) is not None:
                self._add_word(form, is_name=False)
        for part in _PARTS.split(value):
            rule = rule_for(part)
            if rule is Rule.DIGITS and len(part) >= _SHORTEST_PART:
                self._add_number(part)
            elif (
                rule in (Rule.WORD, Rule.ANYWHERE)
                and (part.isalpha() or len(part) >= _SHORTEST_PART)
                and part not in self._lexicon
            ):
                self._add_word(part, is_name=False)

    def _add_word(self, word: str, *, is_name: bool) -> None:
        for form in spellings(word):
            self._words[form] = is_name or self._words.get(form, False)

    def _add_number(self, digits: str) -> None:
        """Add a number, and the same without zeros in front."""
        for form in (digits, digits.lstrip("0")):
            if rule_for(form) is Rule.DIGITS:
                self._numbers.add(form)

    # --- finding ----------------------------------------------------------------------------------

    def _word_spans(
        self, text: str, folded: str, places: list[int] | None
    ) -> Iterator[tuple[int, int, bool]]:
        covered = 0  # end of the last word that was taken whole
        for index, first, last in matches(self._automaton, folded, self._longest):
            pattern = self._patterns[index]
            start, end = _original(text, places, first, last)
            if end <= covered:
                continue
            if pattern in self._stems:
                whole = self._end_of_inflected(text, start, end, pattern)
                if whole > start:
                    covered = whole
                    yield start, whole, True
                continue
            is_name = self._words[pattern]
            if _UNSPACED.search(pattern):
                yield start, end, is_name
            elif len(pattern) >= 6:
                start, covered = _whole_word(text, start, end)
                yield start, covered, is_name
            elif _is_border(text, start) and _is_border(text, end):
                yield start, end, is_name
            elif len(pattern) > 2 and not (
                _is_plain(text[max(0, start - 1) : start]) or _is_plain(text[end : end + 1])
            ):
                start, covered = _whole_word(text, start, end)
                yield start, covered, is_name

    def _end_of_inflected(self, text: str, start: int, end: int, stem: str) -> int:
        """Return where the word ends that begins with a stem; `start` if it is no such name."""
        if not _is_border(text, start):
            return start
        _, whole = _whole_word(text, start, end)
        fits = len(stem) >= _LONG_STEM or _ENDINGS.fullmatch(fold(text[end:whole]))
        return whole if fits and text[start:whole] not in self._lexicon else start

    def _with_initials(self, text: str, start: int, end: int) -> tuple[int, int]:
        """Widen the place of a name by "'s" and by one or two initials on each side."""
        possessive = _POSSESSIVE.match(text, end)
        if possessive:
            end = possessive.end()
        for _ in range(2):
            after = _INITIAL_AFTER.match(text, end)
            if after and (after[2] or fold(after[1]) in self._initials):
                end = after.end()
            before = _INITIAL_BEFORE.search(text, max(0, start - 5), start)
            if before and (before[2] or fold(before[1]) in self._initials):
                start = before.start()
        return start, end

    def _number_spans(self, folded: str) -> Iterator[tuple[int, int]]:
        """Yield where a number stands, with zeros in front and separators inside."""
        for run in _NUMBER.finditer(folded):
            at = [run.start() + match.start() for match in _DIGITS.finditer(run[0])]
            compact = "".join(folded[place] for place in at)
            for _, place, end in matches(self._digit_automaton, compact, self._longest_number):
                first, last = at[place], at[end - 1]
                zeros = place
                while zeros and compact[zeros - 1] == "0" and at[zeros] - at[zeros - 1] == 1:
                    zeros -= 1
                alone = not folded[at[zeros] - 1 : at[zeros]].isdigit()
                alone = alone and not folded[last + 1 : last + 2].isdigit()
                together = last - first == end - place - 1
                if alone and (together or end - place >= _DIGITS_APART):
                    yield at[zeros], last + 1


def _original(text: str, places: list[int] | None, start: int, end: int) -> tuple[int, int]:
    """Return the place in the original text of a match in the folded one."""
    if places is None:
        return start, end
    stop = places[end - 1] + 1
    while stop < len(text) and unicodedata.combining(text[stop]):
        stop += 1
    return places[start], stop


def _is_border(text: str, place: int) -> bool:
    """Tell whether a word may begin or end at a place: not between two letters or two digits.

    Between a small letter and a capital one may: "BrainDoe".
    """
    if place <= 0 or place >= len(text):
        return True
    before, after = text[place - 1], text[place]
    if unicodedata.combining(before):
        before = "a"
    if unicodedata.combining(after):
        return False
    if before.isalpha() and after.isalpha():
        if before.isascii() != after.isascii() and _UNSPACED.search(before + after):
            return True
        return before.islower() and after.isupper()
    return not (before.isdigit() and after.isdigit())


def _is_plain(character: str) -> bool:
    """Tell whether a character is an ASCII letter or digit: all that the residue scan looks at."""
    return character.isascii() and character.isalnum()


def _whole_word(text: str, start: int, end: int) -> tuple[int, int]:
    """Widen a place to the borders of the word around it."""
    while not _is_border(text, start):
        start -= 1
    while not _is_border(text, end):
        end += 1
    return start, end
