"""The words that may stand in a description after cleaning (PS3.15 E.3.5).

What belongs here: reading the shipped word list, adding a site's words, telling whether a word is
in it. What does not: numbers and words with digits, which are judged by their form
(`descriptor_tokens.py`), and making the list (`scripts/make_lexicon.py`).

Plurals are in the list one by one. A rule for them would let "Waters" and "Fields" in.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import cached_property, lru_cache
from importlib.resources import files

from locutus_dagster.deid.cleaning.folding import fold, umlaut_forms

__all__ = ["Lexicon"]

_HYPHENS = re.compile("[-\u2010\u2011]")
#: Vowels of Thai are marks of their own.
_SITE_WORD = re.compile(r"[^\W_](?:[^\W_]|[\u0300-\u036f\u0e31-\u0e4e])*")


class Lexicon:
    """A set of words that identify nobody; case and accents do not count.

    Args:
        words: folded words (`folding.fold`).
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._words = frozenset(words)

    def __repr__(self) -> str:
        return f"Lexicon({len(self._words)} words)"

    def __len__(self) -> int:
        return len(self._words)

    @classmethod
    def standard(cls) -> Lexicon:
        """Return the shipped lexicon; it is read once."""
        return _standard()

    def with_words(self, extra: Iterable[str]) -> Lexicon:
        """Return a lexicon that also has a site's words; texts of several words are split."""
        added: set[str] = set()
        for text in extra:
            for word in _SITE_WORD.findall(text):
                added |= umlaut_forms(word)
        return Lexicon(self._words | added) if added - self._words else self

    def __contains__(self, token: str) -> bool:
        """Tell whether a word is in the lexicon, or every part of a word with hyphens."""
        folded = fold(token)
        if folded in self._words:
            return True
        parts = _HYPHENS.split(folded)
        return len(parts) > 1 and all(part in self._words for part in parts)

    def has_folded(self, word: str) -> bool:
        """Tell whether a word without hyphens, already folded, is in the lexicon."""
        return word in self._words

    def lengths(self, first: str) -> tuple[int, ...]:
        """Return how long the folded words are that begin with a character, the longest first."""
        return self._lengths.get(first, ())

    @cached_property
    def _lengths(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, set[int]] = {}
        for word in self._words:
            found.setdefault(word[:1], set()).add(len(word))
        return {first: tuple(sorted(these, reverse=True)) for first, these in found.items()}

    @cached_property
    def digest(self) -> str:
        """64 hexadecimal digits over the words, for fingerprints."""
        return hashlib.sha256("\n".join(sorted(self._words)).encode()).hexdigest()


@lru_cache(maxsize=1)
def _standard() -> Lexicon:
    source = files("locutus_dagster.deid.cleaning") / "data" / "lexicon.txt"
    words: set[str] = set()
    for line in source.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            words |= umlaut_forms(line)
    return Lexicon(words)
