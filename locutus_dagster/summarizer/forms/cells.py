"""What has to be done to a value before it may stand in a cell of a spreadsheet.

What belongs here: characters that a format cannot hold, and values that a spreadsheet would take
for a formula. What does not: which value stands in which cell (`columns.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["all_plain", "is_formula", "one_line", "one_line_of_xml", "shielded"]

#: What a formula begins with, also as it is typed with a Japanese keyboard.
_STARTS = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")
_SUSPICIOUS = tuple(f",{start}" for start in (" ", *sorted(_STARTS)))
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NOT_XML = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def all_plain(cells: Sequence[str]) -> bool:
    """Whether a row can be written as it is; False where `one_line` or `shielded` may have work."""
    # One look at the whole row takes a fifth of the time that a look at each cell takes.
    row = f",{','.join(cells)}"
    return row.isprintable() and not any(start in row for start in _SUSPICIOUS)


def one_line(text: str) -> str:
    """`text` with a blank for every control character, and whatever is no text at all."""
    return _CONTROL.sub(" ", text)


def one_line_of_xml(text: str) -> str:
    """The same for XML, which can hold less."""
    return _NOT_XML.sub(" ", text)


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may take it for a formula."""
    return text.lstrip()[:1] in _STARTS if text else False


def shielded(text: str, *, loads_back: bool) -> str:
    """`text` on one line, so that no spreadsheet calculates it.

    Args:
        loads_back: the cell is read when the report is loaded as a manifest. It is shielded by a
            blank, which the loader drops; any other by an apostrophe, which spreadsheets know.
    """
    plain = one_line(text)
    if not is_formula(plain):
        return plain
    return f"{' ' if loads_back else chr(39)}{plain}"
