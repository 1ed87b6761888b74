"""The residue scan: does the output hold anything that identified the input?

What belongs here: searching the bytes that were written. What does not: what is worth searching
for (`tokens.py`), where identifiers come from (`identifiers.py`), what a hit means for delivery
(the caller's).

One automaton over all tokens runs over each instance's lower-cased bytes. Where it finds nothing,
which is nearly always, that was all. Where it finds something, the output is walked once more and
each value is judged on its own; only matches inside of a value count. Native pixel data is not
searched: its bytes are samples. Encapsulated pixel data is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any

from ahocorasick_rs import BytesAhoCorasick

from locutus_dagster.deid.cleaning.folding import umlaut_forms
from locutus_dagster.deid.cleaning.identifying import identifying, is_term
from locutus_dagster.deid.cleaning.output import Output, Segment
from locutus_dagster.deid.encoding.codec import Element, Shared, Sharing, Walker
from locutus_dagster.deid.encoding.encode import DUMMIES
from locutus_dagster.deid.encoding.part10 import Sharings
from locutus_dagster.deid.faults import UnreadableError
from locutus_dagster.deid.identities.identifiers import Identifiers
from locutus_dagster.deid.identities.searching import CrowdedError, matches
from locutus_dagster.deid.identities.tokens import Rule, is_free_standing, name_tokens, rule_for
from locutus_dagster.deid.standard.dictionary import SHORT_VRS, VR_OF, WELL_KNOWN_UIDS

__all__ = ["ResidueScan"]

#: Original UIDs of a study share long beginnings. Searching for the beginnings and comparing the
#: rest on a match keeps the automaton small, whatever the number of instances.
_UID_PREFIX = 24
_SHORTEST_UID = 10
#: In binary values only tokens of at least this many bytes count.
_BINARY_BYTES = 6
#: In numeric text only tokens of at least this many digits count: 1000 is a repetition time.
_NUMERIC_DIGITS = 6
_BINARY_VRS = frozenset(
    ("AT", "FD", "FL", "OB", "OD", "OF", "OL", "OV", "OW", "SL", "SS", "SV", "UL", "UN", "US", "UV")
)
#: Dates were moved or removed by their rules; where they are kept, they are no residue.
_TEMPORAL = frozenset(("DA", "DT", "TM"))
_WINDOW = 1 << 20
#: What the engine itself writes: whoever is called "Anonymou" is not found again in "Anonymous".
_DUMMIES = frozenset(dummy.lower() for dummy in DUMMIES.values())


class ResidueScan:
    """Searches outputs for the identifiers of one study.

    Args:
        identifiers: of the whole study.
        kept_uids: original UIDs that may stand in an output; looked at when an output is searched.
    """

    def __init__(
        self, identifiers: Identifiers, kept_uids: Collection[bytes] = frozenset()
    ) -> None:
        self._kept_uids = kept_uids
        self._tokens: dict[bytes, tuple[Rule, int]] = {}
        self._uids: frozenset[bytes] = frozenset()
        self._uid_lengths: list[int] = []
        self._add_tokens(identifiers)
        self._add_uids(identifiers.uids())
        self._patterns = list(self._tokens)
        self._all = BytesAhoCorasick(self._patterns)
        self._long_patterns = [p for p in self._patterns if len(p) >= _BINARY_BYTES]
        self._long = BytesAhoCorasick(self._long_patterns)
        self._sharing: Sharings = defaultdict(Sharing)
        self._longest = max(map(len, self._patterns), default=1)
        self._overlap = self._longest + 256

    def __repr__(self) -> str:
        return f"ResidueScan({len(self._patterns)} tokens)"

    def _add_tokens(self, identifiers: Identifiers) -> None:
        for found in identifying(identifiers):
            texts = name_tokens(found.text) if found.kind == "name" else (found.text,)
            for text in texts:
                rule = Rule.DIGITS if found.kind == "date" else rule_for(text)
                if rule is not None:
                    for pattern, width in _encoded(text, found.codecs):
                        self._tokens.setdefault(pattern, (rule, width))

    def _add_uids(self, uids: set[str]) -> None:
        searched = {uid.lower() for uid in uids if len(uid) >= _SHORTEST_UID}
        self._uids = frozenset(uid.encode("latin-1", "replace") for uid in searched)
        self._uid_lengths = sorted({len(uid) for uid in self._uids})
        for uid in searched:
            prefix = uid[:_UID_PREFIX]
            self._tokens.setdefault(prefix.encode("latin-1", "replace"), (Rule.UID, 1))
            self._tokens.setdefault(prefix.encode("utf-16-le"), (Rule.UID, 2))

    def places(self, output: Output) -> list[str]:
        """Return the places of an output that hold an identifier, as paths of tags."""
        places: list[str] = []
        for segment in output.segments:
            if segment.native:
                continue
            if not segment.large:
                data = bytes(segment.data)
                offsets = self._offsets(data, output.little)
                if offsets is None or offsets:
                    places += self._judge_elements(data, segment, output, offsets)
            elif self._large(segment):
                places.append(_path(segment.tag))
        return list(dict.fromkeys(places))

    def _offsets(self, data: bytes, little: bool) -> list[int] | None:
        """Return where matches start that may count, in ascending order.

        Most matches are short names inside of longer words, such as "oda" in "modality". None
        where there are so many that each value is to be judged.
        """
        text = data.lower()
        if not self._all.find_matches_as_indexes(text):
            return []
        found = matches(self._all, text, self._longest)
        try:
            return sorted(
                {
                    start
                    for index, start, end in found
                    if not little or self._may_count(index, start, end, text)
                }
            )
        except CrowdedError:
            return None

    def _may_count(self, index: int, start: int, end: int, text: bytes) -> bool:
        """Tell whether a match can be free-standing, from the bytes around it alone.

        In little endian order the byte before a value is the last one of its length, which is no
        letter unless the value is longer than 12 kB, or else its VR stands before that. Behind a
        value follow two bytes of a group number, and no group has a number of two letters.
        """
        rule, width = self._tokens[self._patterns[index]]
        if rule is not Rule.WORD or width != 1 or not start:
            return True
        if (
            text[start - 1 : start].isalnum()
            and text[start - 4 : start - 2].upper() not in SHORT_VRS
        ):
            return False
        behind = text[end : end + 2]
        return not (len(behind) == 2 and behind.isalnum())

    def _judge_elements(
        self, data: bytes, segment: Segment, output: Output, offsets: list[int] | None
    ) -> Iterator[str]:
        """Walk a segment of the output and judge the values in which matches lie."""
        encoding = (output.explicit, output.little)
        sharing = self._sharing[encoding]
        walker = Walker(data, explicit=output.explicit, little=output.little, sharing=sharing)
        try:
            elements = walker.data_set(0, len(data) - segment.tail)
        except UnreadableError:  # there is a match in something that we wrote and cannot read
            yield "unknown"
            return
        yield from self._judge(data, elements, "", offsets)

    def _judge(
        self, data: bytes, elements: list[Element], prefix: str, offsets: list[int] | None
    ) -> Iterator[str]:
        """Judge the values of one level; without offsets, all of them."""
        for tag, vr, _, value, end, items in elements:
            if offsets is not None:
                at = bisect_left(offsets, value)
                if at == len(offsets) or offsets[at] >= end:
                    continue
            path = prefix + _path(tag)
            if items:
                inner, within = data, offsets
                if type(items) is Shared:
                    inner, within = items.buf, None
                for index, item in enumerate(items):
                    yield from self._judge(inner, item, f"{path}[{index}]>", within)
            elif self._counts(data[value:end].lower(), VR_OF.get(tag, vr) if vr == "UN" else vr):
                yield path

    def _counts(self, value: bytes, vr: str) -> bool:
        """Tell whether a value in lower case holds an identifier.

        One that was made to hold more of them than anybody could write does.
        """
        try:
            return self._holds(value, vr)
        except CrowdedError:
            return True

    def _holds(self, value: bytes, vr: str) -> bool:
        if value.strip(b" \0") in _DUMMIES:
            return False
        if vr == "CS" and all(map(_is_term, value.split(b"\\"))):
            return False
        binary = vr in _BINARY_VRS
        patterns = self._long_patterns if binary else self._patterns
        automaton = self._long if binary else self._all
        for index, start, end in matches(automaton, value, self._longest):
            rule, width = self._tokens[patterns[index]]
            if vr in _TEMPORAL and rule is not Rule.ANYWHERE:
                continue
            if rule is Rule.UID:
                if self._is_uid(value, start, width):
                    return True
            elif rule is Rule.DIGITS and vr in ("DS", "IS") and end - start < _NUMERIC_DIGITS:
                continue
            elif is_free_standing(rule, value, start, end, width):
                return True
        return False

    def _is_uid(self, value: bytes, start: int, width: int) -> bool:
        """Tell whether an original UID stands where the beginning of one was found."""
        text = value[start::width]
        if not any(text[:length] in self._uids for length in self._uid_lengths):
            return False
        # The registered UID that the characters around may belong to.
        stop = 0
        while stop < len(text) and text[stop : stop + 1] in b"0123456789.":
            stop += 1
        before = value[start % width : start : width]
        first = len(before)
        while first and before[first - 1 : first] in b"0123456789.":
            first -= 1
        whole = (before[first:] + text[:stop]).strip(b".")
        if whole in self._kept_uids:
            return False
        return whole.decode("ascii", "replace") not in WELL_KNOWN_UIDS

    def _large(self, segment: Segment) -> bool:
        """Search a large value window by window."""
        data: Any = memoryview(segment.data)
        for start in range(0, len(data), _WINDOW):
            window = bytes(data[max(0, start - self._overlap) : start + _WINDOW]).lower()
            if self._long.find_matches_as_indexes(window) and self._counts(window, "UN"):
                return True
        return False


def _is_term(value: bytes) -> bool:
    """Tell whether a coded value is a term of the field."""
    return is_term(value.strip(b" \0").decode("ascii", "replace"))


def _path(tag: int) -> str:
    return f"({tag >> 16:04x},{tag & 0xFFFF:04x})"


def _encoded(text: str, codecs: tuple[str, ...]) -> Iterator[tuple[bytes, int]]:
    """Yield the lower-cased bytes that a token may appear as, and the width of a character.

    Lower-casing bytes folds ASCII only, so other letters are tried in each case, and as those who
    have no such keys write them: Müller as Muller and Mueller, Weiß as Weiss.
    """
    cases = {text}
    if not text.isascii():
        cases = {text, text.lower(), text.upper(), text.title(), *umlaut_forms(text)}
    for case in cases:
        for codec in {"utf-8", "latin-1", *codecs} if not text.isascii() else {"ascii"}:
            with suppress(UnicodeEncodeError, LookupError):
                yield case.encode(codec).lower(), 1
        yield case.encode("utf-16-le", "replace").lower(), 2
        # Neighbours are not judged in big endian order, which hardly anybody writes.
        yield case.encode("utf-16-be", "replace").lower(), 1
