"""What attributes and SOP classes are called: PS3.6, and the tables that know newer ones.

What belongs here: names for people. What does not: VRs and UIDs (`dictionary.py`).

A private creator is text out of a file and could be anything, somebody's name included. It is
repeated only where a public list has it.
"""

from __future__ import annotations

from functools import lru_cache

from pydicom._private_dict import private_dictionaries
from pydicom.datadict import dictionary_description, private_dictionary_description

from locutus_dagster.deid.standard.dictionary import SOP_CLASSES
from locutus_dagster.deid.standard.safe_private import load_safe_private, safe_private
from locutus_dagster.deid.standard.storage_classes import storage_class
from locutus_dagster.deid.standard.table import load_table

__all__ = ["attribute_name", "is_public_creator", "private_name", "sop_class_name"]


def attribute_name(tag: int) -> str:
    """Return the name of a standard attribute, "" where neither table has it."""
    try:
        return dictionary_description(tag)
    except KeyError:
        return _of_table().get(tag, "")


@lru_cache(maxsize=1)
def _of_table() -> dict[int, str]:
    return {row.tag: row.name for row in load_table() if row.tag is not None}


def is_public_creator(creator: str) -> bool:
    """Tell whether a private creator is in a public list.

    The lists are pydicom's dictionary of private attributes and PS3.15 Table E.3.10-1.
    """
    return creator in private_dictionaries or creator in _safe_creators()


@lru_cache(maxsize=1)
def _safe_creators() -> frozenset[str]:
    return frozenset(row.creator for row in load_safe_private())


def private_name(creator: str, tag: int) -> str:
    """Return the name of a private attribute, "" where no public list has it.

    Args:
        creator: the private creator of its block, without padding.
        tag: its tag; the block may be any.
    """
    row = safe_private(creator, tag >> 16, tag)
    if row is not None and row.meaning:
        return row.meaning
    try:
        # The dictionary puts unknown names into brackets, as a reader's own.
        return private_dictionary_description(tag, creator).strip("[]")
    except KeyError:
        return ""


def sop_class_name(uid: str) -> str:
    """Return the name of a SOP class, "" where it is not registered or has none."""
    known = storage_class(uid)
    return SOP_CLASSES.get(uid) or (known.name if known else "")
