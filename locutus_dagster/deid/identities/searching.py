"""Running an automaton over a text so that its matches cannot fill the memory.

What belongs here: the search itself, in windows. What does not: what is searched for
(`identifiers.py`, `tokens.py`), and what a match means.

Matches overlap, so a text has as many at each of its characters as there are patterns that end
alike. A study of honest names has one or two. Whoever puts a thousand names into a file, each one
the end of the next, and a text that repeats them, asks for a thousand matches at every letter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

__all__ = ["CrowdedError", "matches"]

Text = TypeVar("Text", str, bytes)

_WINDOW = 1024
#: More matches than this for each character were made on purpose.
_MOST_A_CHARACTER = 16


class CrowdedError(Exception):
    """A stretch of text has more matches than anybody could write."""


def matches(automaton: Any, text: Text, longest: int) -> Iterator[tuple[int, int, int]]:
    """Yield pattern, begin and end of every match, overlapping ones too, in order of their ends.

    Args:
        automaton: `AhoCorasick` for str, `BytesAhoCorasick` for bytes.
        text: what is searched.
        longest: length of the longest pattern.

    Raises:
        CrowdedError: there are too many.
    """
    for begin in range(0, len(text), _WINDOW):
        first = max(0, begin - longest + 1)
        window = text[first : begin + _WINDOW]
        found = automaton.find_matches_as_indexes(window, overlapping=True)
        if len(found) > _MOST_A_CHARACTER * len(window):
            raise CrowdedError
        for pattern, start, end in found:
            if first + end > begin:  # the others were found in the window before
                yield pattern, first + start, first + end
