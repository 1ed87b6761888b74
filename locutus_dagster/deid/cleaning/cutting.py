"""Cutting parts out of a text so that what remains still reads like one.

What belongs here: what separates words, and what becomes of the separators around a cut. What does
not: which parts go (`known_identifiers.py`, `descriptor_patterns.py`, `descriptor_tokens.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["SEPARATORS", "cut", "merged"]

#: Everything that may stand between words. What is neither here nor in a word of the lexicon
#: (marks of other scripts, pictures, control characters) counts as a letter: cleaning removes it.
SEPARATORS = "".join(
    (
        " \t\n\r\f\v\xa0\u2009\u202f\u3000",
        "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
        "\xa1\xa7\xab\xae\xb0\xb1\xb7\xbb\xbf\xd7\u2022\u2026\u2122\u2248\u2260\u2264\u2265",
        *map(chr, range(0x2010, 0x2016)),  # hyphens and dashes
        *map(chr, range(0x2018, 0x201F)),  # quotation marks
        "\u2032\u2033\u2190\u2191\u2192\u2193\u2116",  # prime, arrows, the sign for "number"
        "\u060c\u061b\u061f\u066a\u066b\u066c\u06d4",  # Arabic
        "\u05be\u05c0\u05c3\u05f3\u05f4",  # Hebrew
        "\u0387\u037e",  # Greek
        *map(chr, range(0x3001, 0x3004)),  # East Asian, from here on
        *map(chr, range(0x3008, 0x3012)),
        *map(chr, range(0x3014, 0x301D)),
        "\u30fb",
        *map(chr, range(0xFF01, 0xFF10)),
        *map(chr, range(0xFF1A, 0xFF21)),
        *map(chr, range(0xFF3B, 0xFF41)),
        *map(chr, range(0xFF5B, 0xFF66)),
    )
)
_BREAKS = re.compile(r"[\n\r\f\v]")
_BLANKS = re.compile(r"\s+")
_ASCII_CLOSING_OF = {"(": ")", "[": "]", "{": "}", "<": ">"}
_CLOSING_OF = _ASCII_CLOSING_OF | dict(
    zip("\uff08\uff3b\u300c\u300e\u3010", "\uff09\uff3d\u300d\u300f\u3011", strict=True)
)
_OPENING_OF = {closing: opening for opening, closing in _CLOSING_OF.items()}
_NOT_BETWEEN = str.maketrans("", "", "".join((*_CLOSING_OF, *_OPENING_OF, "\"'")))


def merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans in order, with those that touch or overlap made one, without empty ones."""
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

    Of the separators around a cut one stays; at the ends of the text none does. Line breaks stay
    between words, and so do brackets that have something in them.

    Args:
        text: any text.
        spans: begin and end of the parts, in any order; they may overlap.

    Returns:
        The text itself where there is nothing to cut.
    """
    ordered = merged(spans)
    if not ordered:
        return text
    begins = [0, *(end for _, end in ordered)]
    ends = [*(start for start, _ in ordered), len(text)]
    joined = _Joined()
    for number, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        part = text[begin:end]
        core = part.lstrip(SEPARATORS) if number else part
        before = part[: len(part) - len(core)]
        stripped = core.rstrip(SEPARATORS)
        if not stripped:
            joined.gap.append(part)
        elif number == len(ordered):
            joined.add(before, core, "")
        else:
            joined.add(before, stripped, core[len(stripped) :])
    return joined.finish()


class _Joined:
    """The parts that were kept so far, and the separators since the last of them."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._open = dict.fromkeys(_CLOSING_OF, 0)
        self.gap: list[str] = []

    def add(self, before: str, part: str, after: str) -> None:
        self.gap.append(before)
        if self._parts:
            self._append(self._between())
        else:
            self._append(_pairs("".join(self.gap))[1])
        self._append(part)
        self.gap = [after]

    def finish(self) -> str:
        if self._parts:
            self._append(self._closing(_pairs("".join(self.gap))[0]))
        return "".join(self._parts)

    def _append(self, part: str) -> None:
        if part:
            self._parts.append(part)
            pairs = _ASCII_CLOSING_OF if part.isascii() else _CLOSING_OF
            for opening, closing in pairs.items():
                self._open[opening] += part.count(opening) - part.count(closing)

    def _between(self) -> str:
        whole = "".join(self.gap)
        unmatched, opening = _pairs(whole)
        closing = self._closing(unmatched)
        breaks = "".join(_BREAKS.findall(whole))
        if breaks:
            return closing + breaks + opening
        plain = (gap.translate(_NOT_BETWEEN) for gap in self.gap)
        sign = next((gap for gap in plain if gap.strip()), " ")
        return closing + _BLANKS.sub(" ", sign) + opening

    def _closing(self, unmatched: str) -> str:
        """Return the closing brackets that close something in the parts that were kept."""
        closing = ""
        count = dict(self._open)
        for character in unmatched:
            count[_OPENING_OF[character]] -= 1
            if count[_OPENING_OF[character]] >= 0:
                closing += character
        return closing


def _pairs(gap: str) -> tuple[str, str]:
    """Return the closing and the opening brackets that have no partner in a gap."""
    closing: list[str] = []
    opening: list[str] = []
    for character in gap:
        if character in _CLOSING_OF:
            opening.append(character)
        elif character in _OPENING_OF:
            if opening and _CLOSING_OF[opening[-1]] == character:
                opening.pop()
            else:
                closing.append(character)
    return "".join(closing), "".join(opening)
