"""Folding of text, so that two ways of writing one word compare as equal.

What belongs here: case, accents, points, ligatures and width, and the way back from the folded text
to the original. What does not: which words matter (`lexicon.py`, `known_identifiers.py`).

Folding goes character by character. So the folding of a text is the folding of its parts, and a
match in folded text has a place in the original.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

__all__ = ["fold", "fold_with_places", "spellings", "umlaut_forms"]

#: Letters that Unicode does not take apart into a letter and a mark, and forms of one letter that
#: people take for each other.
_OTHER_LETTERS = str.maketrans({
    "æ": "ae",
    "œ": "oe",
    "ø": "o",
    "ł": "l",
    "đ": "d",
    "ð": "d",
    "þ": "th",
    "ħ": "h",
    "\u0131": "i",  # without a dot
    "ŋ": "n",
    "ґ": "г",
    "\u0649": "\u064a",  # alef maksura
    "\u0629": "\u0647",  # teh marbuta
    "\u06a9": "\u0643",  # Persian keheh
    "\u06cc": "\u064a",  # Persian yeh
})  # fmt: skip
#: Accents; points and vowels of Hebrew and Arabic, and the stroke that stretches an Arabic word.
#: The marks that voice kana stay: they tell words apart.
_MARKS = re.compile(
    "[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640"
    "\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed]"
)
_WRITTEN_OUT = (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ø", "oe"), ("å", "aa"))
_UMLAUT = re.compile("[äöüøå]")
_DIGRAPH = re.compile("ae|oe|ue")
#: "Sue" is not taken for "Sü".
_SHORTEST_GUESS = 4


@lru_cache(maxsize=4096)
def _fold_character(character: str) -> str:
    apart = unicodedata.normalize("NFKD", character.casefold())
    return _MARKS.sub("", apart).casefold().translate(_OTHER_LETTERS)


def fold(text: str) -> str:
    """Return a text without case, accents, ligatures and full-width forms ("Müller": "muller")."""
    if text.isascii():
        return text.lower()
    return "".join(map(_fold_character, text))


def fold_with_places(text: str) -> tuple[str, list[int] | None]:
    """Return the folded text, and for each of its characters the place in the original.

    The list has one more entry, the length of the original. It is None where the two texts have
    the same places.
    """
    if text.isascii():
        return text.lower(), None
    folded: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        part = _fold_character(character)
        folded.append(part)
        places.extend([place] * len(part))
    places.append(len(text))
    return "".join(folded), places


def umlaut_forms(word: str) -> set[str]:
    """Return the foldings of a word with its umlauts left out and written out.

    "Müller" gives "muller" and "mueller".
    """
    folded = fold(word)
    if word.isascii():
        return {folded}
    composed = unicodedata.normalize("NFC", word).casefold()
    if not _UMLAUT.search(composed):
        return {folded}
    for umlaut, written in _WRITTEN_OUT:
        composed = composed.replace(umlaut, written)
    return {folded, fold(composed)}


def spellings(word: str) -> set[str]:
    """Return `umlaut_forms`, and the way back: "Mueller" gives "muller", too."""
    forms = umlaut_forms(word)
    shorter = {_DIGRAPH.sub(lambda match: match[0][0], form) for form in forms}
    return forms | {form for form in shorter if len(form) >= _SHORTEST_GUESS}
