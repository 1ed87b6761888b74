"""Cleaning free text: descriptions, comments, names of protocols (PS3.15 E.3.5, edition 2026d).

What belongs here: the order of the steps. What does not: each step (`known_identifiers.py`,
`descriptor_patterns.py`, `descriptor_tokens.py`, `cutting.py`), and which attributes are cleaned
(`policies/`).

Clean Descriptors asks that identifying text goes. Searching for identifiers alone would let
through whatever the study does not give away, such as the name of a neighbour. So of a description
only words of a lexicon of radiology and measurements are kept. Other text, in attributes that
nobody has described, loses the identifiers that were found and is not judged by words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from locutus_dagster.deid.cleaning.cutting import cut
from locutus_dagster.deid.cleaning.descriptor_patterns import pattern_spans
from locutus_dagster.deid.cleaning.descriptor_tokens import has_words, unknown_tokens
from locutus_dagster.deid.cleaning.known_identifiers import KnownIdentifiers
from locutus_dagster.deid.cleaning.lexicon import Lexicon

__all__ = ["TextCleaner"]

#: A cut can bring together what then looks like an identifier. A text that has not come to rest
#: after this many rounds was made to resist, and nothing of it stays.
_ROUNDS = 8


class TextCleaner:
    """Cleans the texts of one study; what it does depends on the text alone, not on order.

    Args:
        lexicon: the words that may stay.
        known: identifiers as text: numbers, telephone numbers, addresses, accession numbers, dates.
        names: names of patient, physicians, operators, as DICOM writes them ("Doe^Jane^A").
    """

    def __init__(
        self, lexicon: Lexicon, known: Iterable[str] = (), names: Iterable[str] = ()
    ) -> None:
        self._lexicon = lexicon
        self._known = KnownIdentifiers(known, names, lexicon)

    def __repr__(self) -> str:
        return f"TextCleaner({self._lexicon!r}, {self._known!r})"

    def clean(self, text: str) -> str:
        """Return what may stay of a description: known words and measurements.

        A text of which everything may stay comes back as it is, character by character; what has
        no word in it comes back empty. Cleaning twice is the same as cleaning once.
        """
        return _settle(text, self._clean_once)

    def scrub(self, text: str) -> str:
        """Return a text without identifiers; everything else stays, character by character."""
        return _settle(text, self._scrub_once)

    def _clean_once(self, text: str) -> str:
        text = cut(text, self._identifying(text, strict=True))
        text = cut(text, unknown_tokens(text, self._lexicon))
        return text if has_words(text) else ""

    def _scrub_once(self, text: str) -> str:
        return cut(text, self._identifying(text, strict=False))

    def _identifying(self, text: str, *, strict: bool) -> list[tuple[int, int]]:
        return [*self._known.spans(text), *pattern_spans(text, self._lexicon, strict=strict)]


def _settle(text: str, clean_once: Callable[[str], str]) -> str:
    """Repeat a step until it changes nothing more."""
    for _ in range(_ROUNDS):
        cleaned = clean_once(text)
        if cleaned == text:
            return text
        text = cleaned
    return ""
