"""One line of an explanation.

What belongs here: what a line says, and the words for it. What does not: finding it out
(`walk.py`).
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from locutus_dagster.deid.policies.model import Action

__all__ = ["Explained", "Result", "action_word", "tag_path"]


class Result(str, Enum):
    """What comes of an element."""

    KEPT = "kept"
    CHANGED = "changed"
    EMPTIED = "emptied"
    REMOVED = "removed"
    ADDED = "added"

    def __str__(self) -> str:
        return self.value


class Explained(NamedTuple):
    """One element, or one content item that goes as a whole.

    Attributes:
        path: of tags, such as "(0008,1030)" or "(0040,0275)[0]>(0040,0007)"; a content item's ends
            with its index.
        name: the attribute's name.
        vr: its VR as found; "" for a content item.
        type: 1, 2 or 3 in the IOD, None where that is not known.
        action: what the rule asks for: a word of policy files, or one of the engine's own.
        result: what comes of it. A removed sequence goes with all that it holds.
        source: why: the rule, and what else counted.
    """

    path: str
    name: str
    vr: str
    type: int | None
    action: str
    result: Result
    source: str


#: The engine's action -> what policy files call it, where that is not its own name.
_WORDS = {Action.UID: "map-uid"}


def action_word(action: Action) -> str:
    """Return the word for an action: that of policy files, or one of the engine's own."""
    return _WORDS.get(action, action.name.lower())


def tag_path(tag: int) -> str:
    """Return a tag as paths write it, such as "(0008,1030)"."""
    return f"({tag >> 16:04x},{tag & 0xFFFF:04x})"
