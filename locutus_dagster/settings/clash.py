"""The error by which a model of settings refuses values that do not go together.

What belongs here: the one way to raise it, with the keys that it is about. What does not: what goes
together (the models themselves; `contradictions.py` for what concerns several groups).
"""

from __future__ import annotations

from pydantic_core import PydanticCustomError

__all__ = ["CLASH", "clash"]

CLASH = "clash"


def clash(message: str, *keys: tuple[str, ...]) -> PydanticCustomError:
    """The error to raise in a validator.

    Args:
        message: what is wrong, without any value.
        keys: below the group that is validated; the first one is where the fault is shown.
    """
    return PydanticCustomError(CLASH, "{said}", {"said": message, "keys": keys})
