"""What an artifact was made from, by kind, and what a difference means.

What belongs here: the kinds, their comparison, and the phase that each one sends back to. What
does not: how a fingerprint is computed (`pipeline/fingerprints.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from enum import Enum

from locutus_dagster.ledger.states import Phase

__all__ = ["CONFIGURATION", "Kind", "MadeFrom", "changes", "digest", "fingerprint_of", "phase_of"]

#: Fingerprint by kind; what an artifact does not depend on is missing.
MadeFrom = dict[str, str]


class Kind(str, Enum):
    """What a delivery depends on."""

    SOURCE = "source"  # the study: its instances, their identities and sizes
    SUBJECT = "subject"  # the research identity that the files carry
    POLICY = "policy"
    ENGINE = "engine"  # the version of the engine's rules
    KEY = "key"  # the key that pseudonyms are made with
    ATTRIBUTES = "attributes"  # the rest of the manifest's row, which makes the path
    TARGET = "target"  # where deliveries go, and under which key template
    DELIVERY = "delivery"  # the object itself: whether it is still there


#: What the operator of the system, and not the author of a manifest, has changed.
CONFIGURATION = frozenset({Kind.POLICY, Kind.ENGINE, Kind.KEY, Kind.TARGET})

_BACK_TO = {
    Kind.SOURCE: Phase.EXTRACT,
    Kind.SUBJECT: Phase.TRANSFORM,
    Kind.POLICY: Phase.TRANSFORM,
    Kind.ENGINE: Phase.TRANSFORM,
    Kind.KEY: Phase.TRANSFORM,
    Kind.ATTRIBUTES: Phase.DELIVER,
    Kind.TARGET: Phase.DELIVER,
    Kind.DELIVERY: Phase.DELIVER,
}


def digest(*parts: str) -> str:
    """SHA-256 over `parts`, unambiguous about where one ends."""
    hasher = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        hasher.update(len(encoded).to_bytes(8, "big"))
        hasher.update(encoded)
    return hasher.hexdigest()


def fingerprint_of(made_from: Mapping[str, str]) -> str:
    """One fingerprint over several, in the order of their kinds."""
    return digest(*(f"{kind.value}={made_from[kind]}" for kind in Kind if kind in made_from))


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[Kind, ...]:
    """The kinds in which `now` differs from `before`, in the order of `Kind`.

    A kind that either of them does not have is not compared.
    """
    return tuple(
        kind for kind in Kind if kind in before and kind in now and before[kind] != now[kind]
    )


def phase_of(kinds: Iterable[Kind]) -> Phase | None:
    """The phase to go back to for all of `kinds`: the earliest of theirs, None for no change."""
    return min((_BACK_TO[kind] for kind in kinds), default=None)
