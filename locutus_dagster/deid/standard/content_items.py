"""Table E.3.4-1 of PS3.15: content items of structured reports that may identify somebody.

What belongs here: reading the dated table into typed rows, and finding the rows of a concept. What
does not: cleaning a tree of content items; that is in `cleaning/`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from locutus_dagster.deid.standard.table import OPTIONS

__all__ = ["EDITION", "ContentItem", "content_item", "content_items", "load_content_items"]

#: Edition of PS3.15 that the shipped table was taken from.
EDITION = "2026d"

#: Names under which SNOMED codes have been written (PS3.16 8, Table 8-1): today's SNOMED CT
#: identifiers are SCT, the older letter-and-digit codes were SRT, SNM3 or 99SDM. The two kinds of
#: code cannot be taken for one another, so one name serves for all.
_SNOMED = frozenset(("SCT", "SRT", "SNM3", "99SDM"))


@dataclass(frozen=True)
class ContentItem:
    """One row of PS3.15 Table E.3.4-1.

    Attributes:
        code: Code Value of the concept name.
        scheme: Coding Scheme Designator of the concept name, as the standard writes it; a version
            follows in brackets where it gives one: "NCDR [2.0b]".
        meaning: Code Meaning, for people.
        value_type: Value Type of the content item (PS3.3 C.17.3.2.1), such as "TEXT".
        basic: action without any option: "X", "D" or "X/D".
        options: option column -> action, only the cells that are not empty.
        srt: the concept's code in SNOMED's older form, "" where there is none.
    """

    code: str
    scheme: str
    meaning: str
    value_type: str
    basic: str
    options: dict[str, str]
    srt: str = ""


@lru_cache(maxsize=1)
def load_content_items() -> tuple[ContentItem, ...]:
    """Return the rows of PS3.15 Table E.3.4-1 (edition: `EDITION`), in the standard's order."""
    source = files("locutus_dagster.deid.standard") / "data" / f"table_e_3_4_1_{EDITION}.csv"
    lines = source.read_text(encoding="utf-8").splitlines()
    return tuple(
        ContentItem(
            code=row["code"],
            scheme=row["scheme"],
            meaning=row["meaning"],
            value_type=row["value_type"],
            basic=row["basic"],
            options={option: row[option] for option in OPTIONS if row.get(option)},
            srt=row["srt"],
        )
        for row in csv.DictReader(line for line in lines if not line.startswith("#"))
    )


def content_items(code: str, scheme: str) -> tuple[ContentItem, ...]:
    """Return the rows of a concept, one for each Value Type; () where the table has none.

    Args:
        code: Code Value, or Long Code Value. Padding around it does not count.
        scheme: Coding Scheme Designator. Padding, case and a version in brackets do not count, and
            the names of SNOMED are one.
    """
    return _by_concept().get((_plain(code), _scheme(scheme)), ())


def content_item(code: str, scheme: str, value_type: str = "") -> ContentItem | None:
    """Return the row of a concept, None where the table has none.

    Seven concepts have several rows, which differ in Value Type. The one of `value_type` is
    returned, or else the first of them: a report may use another Value Type than the standard's
    templates do, and `ContentItem.value_type` lets the caller see it.

    Args:
        code: as for `content_items`.
        scheme: as for `content_items`.
        value_type: Value Type of the content item, "" where any will do.
    """
    rows = content_items(code, scheme)
    wanted = _plain(value_type)
    for row in rows:
        if row.value_type == wanted:
            return row
    return rows[0] if rows else None


@lru_cache(maxsize=1)
def _by_concept() -> dict[tuple[str, str], tuple[ContentItem, ...]]:
    found: dict[tuple[str, str], tuple[ContentItem, ...]] = {}
    for row in load_content_items():
        for code in {row.code, row.srt} - {""}:
            concept = code, _scheme(row.scheme)
            found[concept] = (*found.get(concept, ()), row)
    return found


def _plain(text: str) -> str:
    return text.strip(" \0")


def _scheme(text: str) -> str:
    name = _plain(_plain(text).partition("[")[0]).upper()
    return "SCT" if name in _SNOMED else name
