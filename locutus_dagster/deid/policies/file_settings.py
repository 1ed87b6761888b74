"""The settings of a policy file: everything in it that is no rule about an attribute.

What belongs here: from YAML to `Settings`, checked. What does not: options and rules
(`reading.py`, `overrides.py`), what the settings do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from yaml import ScalarNode, SequenceNode

from locutus_dagster.deid.policies.model import Settings
from locutus_dagster.deid.policies.problems import (
    MistakeError,
    PolicyFileError,
    Problems,
    read_text,
)
from locutus_dagster.deid.policies.strict_yaml import (
    Entries,
    Node,
    items,
    line_of,
    text_of,
    texts_of,
)
from locutus_dagster.deid.policies.white_lists import read_white_list

__all__ = ["SETTING_KEYS", "read_settings"]

#: The keys of a policy file that are read here.
SETTING_KEYS = (
    "uids",
    "shift_days",
    "several_patients",
    "modalities",
    "exclude_series_descriptions",
    "subject_id_preface",
    "lexicon",
    "white_lists",
)

_MOST_WORD_BYTES = 4 << 20
_MOST_DAYS = 36500  # dates of the last hundred years stay far from year 1

_PREFACE = re.compile(r"[ !-<>-\[\]_-~]{0,32}")  # printable ASCII without = \ ^
_MODALITY = re.compile(r"[A-Z0-9_]{1,16}")
_DAYS = re.compile(r"[0-9]{1,5}")
_SPACE = re.compile(r"\s")


def read_settings(
    keys: Entries, base: Settings, problems: Problems, folder: Path | None
) -> Settings:
    """Return the settings of a policy file.

    Args:
        keys: the entries of the file.
        base: what is inherited. Words and white lists are added to it, everything else that the
            file names takes its place.
        problems: receives what is wrong.
        folder: where files are that the policy names; None if it may name none.
    """
    take = keys.take
    fresh = take("uids", partial(_first_of, "fresh", "keyed"), base.identities == "fresh")
    allow = take(
        "several_patients",
        partial(_first_of, "allow", "withhold"),
        base.several_patients == "allow",
    )
    lists = take("white_lists", partial(_white_lists, problems, folder), {})
    return Settings(
        modalities=take("modalities", partial(_modalities, problems), base.modalities),
        excluded_series=take(
            "exclude_series_descriptions", partial(_descriptions, problems), base.excluded_series
        ),
        subject_preface=take("subject_id_preface", _preface, base.subject_preface),
        identities="fresh" if fresh else "keyed",
        shift_days=take("shift_days", partial(_shift_days, problems), base.shift_days),
        several_patients="allow" if allow else "withhold",
        words=base.words | take("lexicon", partial(_words, problems, folder), frozenset()),
        white_lists=_merged(base.white_lists, lists),
    )


def _first_of(first: str, second: str, node: Node) -> bool:
    text = text_of(node)
    if text not in (first, second):
        raise MistakeError(f"write {first} or {second}")
    return text == first


def _shift_days(problems: Problems, node: Node) -> tuple[int, int]:
    days = [int(text) for _, text in texts_of(node, problems) if _DAYS.fullmatch(text)]
    if len(days) != 2 or not 1 <= days[0] < days[1] <= _MOST_DAYS:
        # One and the same number for everybody would be no secret.
        raise MistakeError(
            f"write the fewest and the most days, such as [30, 365]: two different numbers from "
            f"1 to {_MOST_DAYS}, the smaller one first"
        )
    return days[0], days[1]


def _modalities(problems: Problems, node: Node) -> frozenset[str] | None:
    if isinstance(node, ScalarNode):
        if text_of(node).lower() != "any":
            raise MistakeError("write any, or a list such as [CT, MR]")
        return None
    found = set()
    for line, text in texts_of(node, problems):
        modality = text.upper()
        if not _MODALITY.fullmatch(modality) or modality == "ANY":
            problems.add(line, "a modality is written as in DICOM, such as CT")
        found.add(modality)
    if not found:
        raise MistakeError("no modality is let through; write any, or a list such as [CT, MR]")
    return frozenset(found)


def _descriptions(problems: Problems, node: Node) -> tuple[str, ...]:
    found = []
    for line, text in texts_of(node, problems):
        if not 1 <= len(text) <= 64:
            problems.add(line, "write 1 to 64 characters; series that contain them are withheld")
        found.append(text)
    return tuple(dict.fromkeys(found))


def _preface(node: Node) -> str:
    text = text_of(node)
    if not _PREFACE.fullmatch(text):
        raise MistakeError(
            "write up to 32 printable ASCII characters without backslash, caret or ="
        )
    return text


def _words(problems: Problems, folder: Path | None, node: Node) -> frozenset[str]:
    if isinstance(node, SequenceNode):
        return frozenset(_word(text, line, problems) for line, text in texts_of(node, problems))
    keys = Entries(node, ("file",), problems)
    path = keys.take("file", partial(_beside, folder), None)
    if path is None:
        raise MistakeError("write a list of words, or {file: words.txt}")
    text = read_text(path, most=_MOST_WORD_BYTES)
    listed = Problems(path.name)
    found = set()
    for line, content in enumerate(text.split("\n"), 1):
        word = content.partition("#")[0].strip()
        if word:
            found.add(_word(word, line, listed))
    try:
        listed.raise_any()
    except PolicyFileError as error:
        problems.include(error)
    return frozenset(found)


def _word(text: str, line: int, problems: Problems) -> str:
    """Return a word in lower case; what is none becomes a problem."""
    letters = any(character.isalpha() for character in text)
    if len(text) > 64 or not letters or _SPACE.search(text) or not text.isprintable():
        problems.add(line, "write single words, each with a letter in it; split phrases up")
    return text.lower()


def _white_lists(
    problems: Problems, folder: Path | None, node: Node
) -> Mapping[int, frozenset[str]]:
    found: Mapping[int, frozenset[str]] = {}
    for one in items(node):
        with problems.at(line_of(one)):
            try:
                found = _merged(found, read_white_list(_beside(folder, one)))
            except PolicyFileError as error:
                problems.include(error)
    return found


def _beside(folder: Path | None, node: Node) -> Path:
    name = text_of(node)
    if folder is None or not name or "\0" in name:
        raise MistakeError("write the path of a file, relative to this one")
    return folder / name


def _merged(
    first: Mapping[int, frozenset[str]], second: Mapping[int, frozenset[str]]
) -> Mapping[int, frozenset[str]]:
    none: frozenset[str] = frozenset()
    tags = first.keys() | second.keys()
    return {tag: first.get(tag, none) | second.get(tag, none) for tag in sorted(tags)}
