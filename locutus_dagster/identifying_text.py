"""Whether a text that people give names an accession: reasons, labels, names of manifests, paths.

What belongs here: finding accession numbers in short texts before they are kept where many look.
What does not: taking them out of texts that are kept already (`summarizer/redacting.py`), and
identifiers inside DICOM files (`deid/`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

__all__ = ["REDACTED_ACCESSION", "REDACTED_SUBJECT", "holds_a_number"]

#: What stands in a report for an identifier that its reader must not see.
REDACTED_ACCESSION, REDACTED_SUBJECT = "REDACTED_ACCESSION", "REDACTED_SUBJECT"

_SHORT = 4  # characters; a shorter number counts where nothing adjoins it: 7 is not in "night7"
_SHORTEST_SQUEEZED = 5  # characters; shorter numbers stand in many a harmless sentence


def holds_a_number(text: str, numbers: Iterable[str]) -> bool:
    """Whether one of these accession numbers stands in a text, however it is written there.

    Case, width (NFKC), and what separates letters and digits make no difference.
    """
    said, squeezed = _folded(text), _squeezed(text)
    for number in numbers:
        meant, core = _folded(number).strip(), _squeezed(number)
        if not meant:
            continue
        if _stands_in(said, meant) or (len(core) >= _SHORTEST_SQUEEZED and core in squeezed):
            return True
    return False


def _stands_in(said: str, meant: str) -> bool:
    at = said.find(meant)
    while at >= 0:
        end = at + len(meant)
        adjoined = said[at - 1 : at].isalnum() or said[end : end + 1].isalnum()
        if len(meant) >= _SHORT or not adjoined:
            return True
        at = said.find(meant, at + 1)
    return False


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _squeezed(text: str) -> str:
    return "".join(character for character in _folded(text) if character.isalnum())
