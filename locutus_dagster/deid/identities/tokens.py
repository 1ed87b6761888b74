"""Which identifiers are worth searching for, and when a match counts.

What belongs here: the treatment of short and common tokens, in one place, because it decides
between a missed identifier and a delivery blocked for nothing. What does not: the search itself
(`residue.py`), collecting identifiers (`identifiers.py`).

| token | searched | counts where |
|---|---|---|
| of digits only, 4 or more, not one digit repeated | yes | no digit, and no dot with a digit, \
beside it; in DS and IS only from 6 digits on |
| birth date, in six ways of writing | yes | as for digits |
| word of 3 to 5 letters (2 if ideographs) | yes | no ASCII letter or digit beside it |
| word, number with letters, or phrase from 6 characters on | yes | anywhere |
| number with letters, 4 or 5 characters | yes | no ASCII letter or digit beside it |
| UID of 10 characters or more | yes | anywhere, unless it is part of a registered UID |
| shorter than any of these | no | |
| generic word (`GENERIC`), or phrase of nothing else | no | |
| any, of less than 6 bytes, in a binary value | no | |
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum

__all__ = ["GENERIC", "Rule", "is_free_standing", "name_tokens", "rule_for"]

#: Words that identify nobody: what stands in name fields of phantoms and anonymised studies,
#: titles, and the dummies that the engine itself writes. In lower case.
GENERIC: frozenset[str] = frozenset(
    """
    anon anonym anonymous anonymized anonymised anonymize anonymise deidentified de-identified
    identified removed redacted cleaned unknown unspecified none null nil empty test tests testing
    tester phantom phantoms patient pat subject sample samples demo dummy example name noname
    nobody volunteer research study clinical trial quality assurance daily qa qc service
    hospital clinic center centre department dept radiology imaging institute university
    operator oper user admin administrator tech technologist technician physician doctor
    radiologist referring performing reading attending staff nurse default system
    mr mrs ms miss dr md do phd prof sir jr sr ii iii iv von van der den del the and
    head brain chest neck spine knee hip foot hand abdomen pelvis heart body whole liver
    axial coronal sagittal left right male female other adult child
    cr ct dx nm ot rf us xa xr pet
    siemens philips toshiba canon hitachi healthineers medical systems
    19000101 19000101000000 000000 000y
    """.split()  # noqa: SIM905 - a list of words reads better than a list of quotes
)

_SEPARATORS = re.compile(r"[\^\s,;]+")
_HYPHENS = re.compile(r"[-'._/()]+")
_IDEOGRAPHS = re.compile(r"[\u0e00-\u0eff\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7ff\uf900-\ufaff]")


class Rule(Enum):
    """When a match counts."""

    ANYWHERE = "anywhere"
    WORD = "word"
    DIGITS = "digits"
    UID = "uid"


def rule_for(text: str) -> Rule | None:
    """Return when a match of a token counts, None where it is not worth searching for."""
    folded = text.casefold().strip()
    core = re.sub(r"[\W_]+", "", folded)
    words = [word for word in _words(folded) if word]
    if not core or all(word in GENERIC for word in words):
        return None
    if text.isascii() and text.isdigit():
        return Rule.DIGITS if len(text) >= 4 and len(set(text)) > 1 else None
    if len(set(core)) == 1 and core.isascii():
        return None
    shortest = 2 if _IDEOGRAPHS.search(core) else 4 if re.search(r"\d", core) else 3
    if len(core) < shortest:
        return None
    return Rule.ANYWHERE if len(folded) >= 6 else Rule.WORD


def _words(text: str) -> Iterable[str]:
    yield from _SEPARATORS.split(text)


def name_tokens(name: str) -> Iterator[str]:
    """Yield a person name (PS3.5 6.2.1) whole, in the usual orders, and its parts."""
    for group in name.split("="):
        parts = [part for part in _SEPARATORS.split(group) if part]
        if not parts:
            continue
        yield from parts
        for part in parts:
            yield from (piece for piece in _HYPHENS.split(part) if piece)
        if len(parts) > 1:
            yield group.strip("^ ")
            yield " ".join(parts)
            yield "".join(parts)
            first, last = parts[1], parts[0]
            yield from (f"{first} {last}", f"{last}, {first}", f"{last},{first}")
            yield from (f"{last}_{first}", f"{first}_{last}", f"{first}{last}")


def is_free_standing(rule: Rule, text: bytes, start: int, end: int, width: int) -> bool:
    """Tell whether a match counts, from what stands beside it.

    Args:
        rule: of the token; not `Rule.UID`.
        text: the value in lower case.
        start, end: the match.
        width: bytes of a character, 1, or 2 for UTF-16.
    """
    if rule is Rule.ANYWHERE:
        return True
    before, after = _character(text, start - width, width), _character(text, end, width)
    if rule is Rule.WORD:
        return not (before.isalnum() or after.isalnum())
    if before.isdigit() or after.isdigit():
        return False
    further = _character(text, start - 2 * width, width)
    if before == b"." and further.isdigit():
        return False
    further = _character(text, end + width, width)
    return not (after == b"." and further.isdigit())


def _character(text: bytes, at: int, width: int) -> bytes:
    """Return the ASCII character at an offset, b"" where there is none."""
    if at < 0 or at + width > len(text) or (width == 2 and text[at + 1]):
        return b""
    return text[at : at + 1]
