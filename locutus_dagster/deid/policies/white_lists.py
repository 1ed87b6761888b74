"""White lists: values of free-text attributes that somebody has read and found harmless.

What belongs here: reading a list, and the form in which values are compared. What does not:
cleaning a value that stands on no list (`cleaning/`).

A list is a JSON object: tags as "gggg,eeee", each with a list of texts.

    {"0008,103E": ["T1 axial", "scout"], "0018,1030": ["routine brain"]}
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from locutus_dagster.deid.policies.attributes import tag_text
from locutus_dagster.deid.policies.problems import MistakeError, Problems, read_text

__all__ = ["normalise", "read_white_list"]

_MOST_BYTES = 16 << 20
_KEY = re.compile(r"\(?([0-9A-Fa-f]{4}),\s*([0-9A-Fa-f]{4})\)?")
_DELETED = str.maketrans("", "", "-_,.")


def normalise(text: str) -> str:
    """Return the form in which two values are compared.

    Case, surrounding and repeated spaces do not count, nor do the signs - _ , and the full stop,
    which vanish: "T1-AX" and "t1ax" are the same, "T1 AX" is another. This is how the reference
    system compares, so that a site's lists keep their meaning.
    """
    return " ".join(text.lower().translate(_DELETED).split())


def read_white_list(path: Path) -> dict[int, frozenset[str]]:
    """Return the values of each attribute, normalised; empty values are left out.

    Args:
        path: a JSON file.

    Raises:
        PolicyFileError: all that is wrong with the file.
    """
    problems = Problems(path.name)
    found: dict[int, frozenset[str]] = {}
    with problems.at(None):
        pairs = _parse(read_text(path, most=_MOST_BYTES), problems)
        for number, (key, values) in enumerate(pairs, 1):
            match = _KEY.fullmatch(key)
            if match is None:
                problems.add(None, f'entry {number}: write the tag as "0008,103E"')
                continue
            tag = int(match[1] + match[2], 16)
            if tag in found:
                problems.add(None, f"entry {number}: {tag_text(tag)} stands in the list twice")
            with problems.at(None):
                found[tag] = _values(values, tag)
    problems.raise_any()
    return found


class _Pairs(list[tuple[str, object]]):
    """A JSON object with its entries in order, repeated ones included."""


def _parse(text: str, problems: Problems) -> _Pairs:
    """Return the entries of the outermost object.

    Raises:
        MistakeError: there is none.
    """
    content: object = None
    try:
        content = json.loads(text, object_pairs_hook=_Pairs)
    except json.JSONDecodeError as error:
        problems.add(error.lineno, f"cannot be read as JSON: {error.msg}")
        return _Pairs()
    except (ValueError, RecursionError):  # a number of thousands of digits; too many brackets
        pass
    if not isinstance(content, _Pairs):
        raise MistakeError('write one object: {"0008,103E": ["T1 axial", "scout"]}')
    return content


def _values(values: object, tag: int) -> frozenset[str]:
    if not isinstance(values, list) or isinstance(values, _Pairs):
        raise MistakeError(f'{tag_text(tag)}: write a list of texts, such as ["T1 axial", "scout"]')
    found = set()
    for number, value in enumerate(values, 1):
        if not isinstance(value, str) or not value.isprintable():
            raise MistakeError(f"{tag_text(tag)}: value {number} is not a text in one line")
        found.add(normalise(value))
    return frozenset(found - {""})
