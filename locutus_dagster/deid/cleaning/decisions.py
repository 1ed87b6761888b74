"""What is done to an element, in the terms of one encoding.

What belongs here: the value that `transform.py` looks up for each element. What does not: making
one.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from locutus_dagster.deid.cleaning.values import New
from locutus_dagster.deid.policies.model import Action

__all__ = ["Decision", "Kind"]


class Kind(Enum):
    """How an element is dealt with; elements that stay as they are have no decision."""

    GONE = "gone"
    WRITE = "write"
    VALUE = "value"
    RECURSE = "recurse"
    CONTENT = "content"


class Decision(NamedTuple):
    """What is done to an element.

    Attributes:
        kind: how.
        action: as which action it is counted.
        data: the whole element that is written: always (WRITE), or where a value is unusable
            (VALUE; b"" where nothing is).
        method: makes the new value of the old one (VALUE).
        vr: the VR that the new value is written with (VALUE).
    """

    kind: Kind
    action: Action
    data: bytes = b""
    method: Callable[[bytes], New] | None = None
    vr: str = ""
