"""Table E.3.10-1 of PS3.15: private attributes that are known to identify nobody.

What belongs here: reading the table into typed rows, and finding a row by creator, group and
element. What does not: deciding what is kept, or cleaning what is; several rows are UIDs, texts or
sequences and need the rules of their VR (`policies/rulebook.py`).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

__all__ = ["EDITION", "SafePrivate", "load_safe_private", "safe_private"]

#: Editions of PS3.15 that the shipped table was put together from.
EDITION = "2025b and 2026a"


@dataclass(frozen=True)
class SafePrivate:
    """One row of PS3.15 Table E.3.10-1.

    Attributes:
        creator: the private creator, without padding; compared exactly (PS3.5 7.8.1).
        group: the group number, odd.
        element: the low byte of the element number, 0x00 to 0xFF.
        vr: the VR, the first one where the standard gives two; "" for the five attributes to which
            the standard gives none (no public dictionary knows better than UN).
        vm: the value multiplicity, "" where the source leaves it out.
        meaning: the attribute's name, "" where the standard gives none.
    """

    creator: str
    group: int
    element: int
    vr: str
    vm: str
    meaning: str


@lru_cache(maxsize=1)
def load_safe_private() -> tuple[SafePrivate, ...]:
    """Return the rows of PS3.15 Table E.3.10-1 (editions: `EDITION`), by creator."""
    source = files("locutus_dagster.deid.standard") / "data" / "table_e_3_10_1.csv"
    lines = source.read_text(encoding="utf-8").splitlines()
    return tuple(
        SafePrivate(
            creator=row["creator"],
            group=int(row["group"], 16),
            element=int(row["element"], 16),
            vr=row["vr"].partition("/")[0],
            vm=row["vm"],
            meaning=row["meaning"],
        )
        for row in csv.DictReader(line for line in lines if not line.startswith("#"))
    )


def safe_private(creator: str, group: int, element: int) -> SafePrivate | None:
    """Return the row of a private attribute, None where it is on no list.

    Args:
        creator: the private creator of its block, without padding.
        group: the group number.
        element: the element number; only its low byte counts, the block may be any.
    """
    return _by_attribute().get((creator, group, element & 0xFF))


@lru_cache(maxsize=1)
def _by_attribute() -> dict[tuple[str, int, int], SafePrivate]:
    return {(row.creator, row.group, row.element): row for row in load_safe_private()}
