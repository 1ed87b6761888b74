"""One key of the reference's configuration.

What belongs here: what is known of a key, and how the tables spell one. What does not: the tables
(`keys.py`, `other_keys.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Kind", "ReferenceKey", "both", "entry", "file", "variable"]

Kind = Literal["bool", "mode", "path", "seconds", "text", "vault"]
Place = Literal["config", "environment", "vault"]


@dataclass(frozen=True)
class ReferenceKey:
    """One key of the reference's.

    Attributes:
        name: as the reference spells it.
        becomes: our dotted key, or nothing where there is none any more.
        why: what it does here, or why there is no such setting any more and what is in its place.
        kind: what its value is.
        environment: the variable that wins over the file; None where the file alone is heard.
        place: where it stands: the configuration, the environment alone, or an entry of Vault.
        secret: its value must not be shown.
    """

    name: str
    becomes: str
    why: str
    kind: Kind = "bool"
    environment: str | None = None
    place: Place = "config"
    secret: bool = False


def file(name: str, becomes: str, why: str, kind: Kind = "bool") -> ReferenceKey:
    """A key that only the file is heard about."""
    return ReferenceKey(name, becomes, why, kind)


def both(
    name: str, becomes: str, why: str, kind: Kind = "bool", variable: str = ""
) -> ReferenceKey:
    """A key that a variable wins over; of its own name, if none is given."""
    return ReferenceKey(name, becomes, why, kind, variable or name)


def variable(name: str, becomes: str, why: str, *, secret: bool = False) -> ReferenceKey:
    """A variable that has no key in the file."""
    return ReferenceKey(name, becomes, why, "text", name, "environment", secret)


def entry(name: str, becomes: str, why: str, *, secret: bool = False) -> ReferenceKey:
    """A key of an entry of Vault, which a path in the file leads to."""
    return ReferenceKey(name, becomes, why, "text", None, "vault", secret)
