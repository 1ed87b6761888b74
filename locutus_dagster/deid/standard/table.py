"""Table E.1-1 of PS3.15, read from the package's own data.

What belongs here: reading the dated table into typed rows. What does not: choosing between the
variants of a composite action, options and site rules; those are in `policy.py`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

__all__ = ["EDITION", "OPTIONS", "TableRow", "load_table"]

#: Edition of PS3.15 that the shipped table was taken from.
EDITION = "2026d"

#: The option columns, in the standard's order (PS3.15 E.3).
OPTIONS = (
    "retain_safe_private",
    "retain_uids",
    "retain_device_identity",
    "retain_institution_identity",
    "retain_patient_characteristics",
    "retain_longitudinal_full_dates",
    "retain_longitudinal_modified_dates",
    "clean_descriptors",
    "clean_structured_content",
    "clean_graphics",
)


@dataclass(frozen=True)
class TableRow:
    """One row of PS3.15 Table E.1-1.

    Attributes:
        tag: the tag as a number, or None for a pattern (curves, overlays, private attributes).
        pattern: the pattern's text, "" for an exact tag.
        name: the attribute's name.
        basic: action of the Basic Profile as the standard writes it, such as "X/Z/D".
        options: option column -> action, only the cells that are not empty.
    """

    tag: int | None
    pattern: str
    name: str
    basic: str
    options: dict[str, str]


@lru_cache(maxsize=1)
def load_table() -> tuple[TableRow, ...]:
    """Return the rows of PS3.15 Table E.1-1 (edition: `EDITION`), exact tags first."""
    source = files("locutus_dagster.deid.standard") / "data" / f"table_e_1_1_{EDITION}.csv"
    lines = source.read_text(encoding="utf-8").splitlines()
    rows = []
    for row in csv.DictReader(line for line in lines if not line.startswith("#")):
        text = row["tag"]
        exact = len(text) == 8 and all(digit in "0123456789ABCDEF" for digit in text)
        rows.append(
            TableRow(
                tag=int(text, 16) if exact else None,
                pattern="" if exact else text,
                name=row["name"],
                basic=row["basic"],
                options={option: row[option] for option in OPTIONS if row[option]},
            )
        )
    return tuple(rows)
