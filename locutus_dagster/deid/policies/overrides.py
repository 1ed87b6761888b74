"""The rules of a site, as they stand in a policy file.

What belongs here: one entry of `overrides`, from YAML to `Override`. What does not: the rest of
the file (`reading.py`), which actions fit which attribute (`attributes.py`).
"""

from __future__ import annotations

from locutus_dagster.deid.policies.attributes import (
    ACTIONS,
    check_action,
    check_private_action,
    check_replacement,
    parse_path,
    parse_private,
    parse_vr,
    private_vr,
)
from locutus_dagster.deid.policies.model import Action, Override
from locutus_dagster.deid.policies.problems import MistakeError, Problems, suggestion
from locutus_dagster.deid.policies.strict_yaml import Entries, Node, items, line_of, text_of
from locutus_dagster.deid.standard.dictionary import VR_OF

__all__ = ["read_overrides"]

#: All but `why`, which is for people only.
_KEYS = ("attribute", "private", "element", "vr", "action", "replace")


def read_overrides(node: Node, problems: Problems) -> tuple[Override, ...]:
    """Return the rules in the order in which they are written.

    Args:
        node: the list.
        problems: receives what is wrong, each with the line in which the rule starts.

    Raises:
        MistakeError: it is no list.
    """
    found: list[Override] = []
    lines: dict[object, int] = {}
    for entry in items(node):
        if problems.many:
            break
        line = line_of(entry)
        with problems.at(line):
            texts = _texts(entry, problems)
            if texts is None:
                continue
            override = _override(texts, problems.place(line))
            place = override.private or override.path
            if place in lines:
                raise MistakeError(
                    f"line {lines[place]} has a rule about this already; leave one out"
                )
            lines[place] = line
            found.append(override)
    return tuple(found)


def _texts(entry: Node, problems: Problems) -> dict[str, str] | None:
    """Return what the keys of a rule say, None where that is known to be wrong."""
    keys = Entries(entry, (*_KEYS, "why"), problems)
    texts: dict[str, str] = {}
    for key in _KEYS:
        text = keys.take(key, text_of, None)
        if text is not None:
            texts[key] = text
        elif key in keys:
            return None
    return texts if keys.complete else None


def _override(texts: dict[str, str], source: str) -> Override:
    if ("attribute" in texts) == ("private" in texts):
        raise MistakeError("write either attribute: or private:, to say what the rule is about")
    action = _action(texts)
    text = texts.get("replace", "")
    if "private" in texts:
        if "element" not in texts:
            raise MistakeError("add element: (0019,xx0C), the number of the private attribute")
        private = parse_private(texts["private"], texts["element"])
        vr = parse_vr(texts["vr"]) if "vr" in texts else private_vr(private)
        check_private_action(action, vr)
        override = Override(source, action, private=private, vr=vr, text=text)
    else:
        if "element" in texts or "vr" in texts:
            raise MistakeError("element: and vr: belong to private:; leave them out")
        path = parse_path(texts["attribute"])
        check_action(action, path[-1], nested=len(path) > 1)
        vr = VR_OF.get(path[-1], "")
        override = Override(source, action, path=path, text=text)
    if action is Action.REPLACE:
        check_replacement(text, vr)
    return override


def _action(texts: dict[str, str]) -> Action:
    if "action" not in texts:
        if "replace" not in texts:
            raise MistakeError("say what happens; add action: or replace:")
        return Action.REPLACE
    word = texts["action"]
    if word not in ACTIONS:
        raise MistakeError(
            f"there is no such action; write one of {', '.join(ACTIONS)}{suggestion(word, ACTIONS)}"
        )
    if (word == "replace") != ("replace" in texts):
        raise MistakeError(
            "replace: holds the text to write; it stands alone or with action: replace"
        )
    return ACTIONS[word]
