"""Which of the collected identifiers identify.

What belongs here: telling an identifier from a description that stands in an identifier's place.
What does not: collecting (`identities/identifiers.py`), how each kind is searched for
(`identities/tokens.py`).

Sites write "CT Upper Abdomen with contrast" into Requested Procedure ID. To look for that as for a
number would withhold every series that is described by it.
"""

from __future__ import annotations

import re

from locutus_dagster.deid.cleaning.lexicon import Lexicon
from locutus_dagster.deid.identities.identifiers import Found, Identifiers

__all__ = ["identifying", "is_term"]

_WORD = re.compile(r"[^\W_]+")


def identifying(identifiers: Identifiers) -> list[Found]:
    """Return what was collected without the IDs that are made of the lexicon's words only."""
    return [one for one in identifiers.found() if one.kind != "id" or not is_term(one.text)]


def is_term(text: str) -> bool:
    """Tell whether a text is made of the lexicon's words only, without numbers.

    A coded value (CS) that is one is a term: HAND is no Mr Hand there.
    """
    if any(character.isdigit() for character in text):
        return False
    words = _WORD.findall(text)
    lexicon = Lexicon.standard()
    return bool(words) and all(word in lexicon for word in words)
