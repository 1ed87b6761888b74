"""Cutting parts out of a text so that what remains still reads like one.

What belongs here: what separates words, and what becomes of the separators around a cut. What does
not: which parts go (`known_identifiers.py`, `descriptor_patterns.py`, `descriptor_tokens.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["SEPARATORS", "cut", "merged"]

#: Everything that may stand between words, as the inside of a character class. What is neither
#: here nor in a word of the lexicon (marks of other scripts, pictures, control characters) counts
#: as a letter, so cleaning removes it.
SEPARATORS = (
    r" \t\n\r\f\v\xa0\u2009\u202f\u3000"
    r"!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~"
    "\xa1\xa7\xab\xae\xb0\xb1\xb7\xbb\xbf\xd7\u2010-\u2015\u2018-\u201e\u2022\u2026\u2122"
    "\u2248\u2260\u2264\u2265"
)
_LEADING = re.compile(f"[{SEPARATORS}]*")
_TRAILING = re.compile(f"[{SEPARATORS}]*\\Z")
_BREAKS = re.compile(r"[\n\r\f\v]")
_BLANKS = re.compile(r"[\s\xa0]+")
_OPENING = {"(": ")", "[": "]", "{": "}", "<": ">"}
_CLOSING = frozenset(_OPENING.values())


def merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans in order, with those that touch or overlap made one."""
    result: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if result and start <= result[-1][1]:
            if end > result[-1][1]:
                result[-1] = (result[-1][0], end)
        elif end > start:
            result.append((start, end))
    return result


def cut(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """Return a text without some of its parts, tidied where something went and nowhere else.

    Of the separators around a cut one stays; at the ends of the text none does. Line breaks stay,
    and so do brackets that have something in them.

    Args:
        text: any text.
        spans: begin and end of the parts, in any order; they may overlap.

    Returns:
        The text itself where there is nothing to cut.
    """
    ordered = merged(spans)
    if not ordered:
        return text
    kept: list[str] = []
    gap: list[str] = []
    place = 0
    for start, end in [*ordered, (len(text), len(text))]:
        part = text[place:start]
        begins = _leading(part) if place else 0
        ends = len(part) if start == len(text) and end == start else _trailing(part)
        if begins >= ends or not part[begins:ends].strip():
            gap.append(part)
        else:
            if place:
                kept.append(_bridge([*gap, part[:begins]], inside=bool(kept)))
            kept.append(part[begins:ends])
            gap = [part[ends:]]
        place = end
    if kept and ordered[-1][1] <= len(text):
        kept.append(_tail(gap))
    return "".join(kept)


def _leading(part: str) -> int:
    match = _LEADING.match(part)
    return match.end() if match else 0


def _trailing(part: str) -> int:
    end = len(part)
    while end and _LEADING.fullmatch(part, end - 1, end):
        end -= 1
    return end


def _bridge(gaps: list[str], *, inside: bool) -> str:
    """Return what stands between two kept parts, or before the first (`inside` is False)."""
    whole = "".join(gaps)
    closing, opening = _unmatched(whole)
    if not inside:
        return opening
    breaks = "".join(_BREAKS.findall(whole))
    if breaks:
        return closing + breaks + opening
    between = ""
    for gap in gaps:
        plain = "".join(c for c in gap if c not in _OPENING and c not in _CLOSING and c not in "\"'")
        if plain.strip():
            between = _BLANKS.sub(" ", plain)
            break
    return closing + (between or " ") + opening


def _tail(gaps: list[str]) -> str:
    """Return what stands after the last kept part."""
    return _unmatched("".join(gaps))[0]


def _unmatched(gap: str) -> tuple[str, str]:
    """Return the closing and the opening brackets that have no partner in a gap."""
    closing: list[str] = []
    opening: list[str] = []
    for character in gap:
        if character in _OPENING:
            opening.append(character)
        elif character in _CLOSING:
            if opening and _OPENING[opening[-1]] == character:
                opening.pop()
            else:
                closing.append(character)
    return "".join(closing), "".join(opening)
