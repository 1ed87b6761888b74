"""The errors of the engine, none of which can carry a value out of a data set.

What belongs here: error classes. What does not: texts that quote a header, a path or a UID. A
person reads `DeidError`; `UnreadableError` never leaves the engine, it becomes the reason of a
withheld instance.
"""

from __future__ import annotations

from locutus_dagster.errors import LocutusError

__all__ = ["DeidError", "UnreadableError"]


class DeidError(LocutusError):
    """The study as a whole cannot be de-identified; the message says what to do next."""


class UnreadableError(Exception):
    """One instance does not add up.

    Args:
        code: a short fixed phrase such as "truncated value"; never made from the data.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
