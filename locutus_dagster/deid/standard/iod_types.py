"""The Type of attributes in IODs (PS3.3): whether an attribute must be there, and with a value.

What belongs here: looking up what the modules of an IOD say about an attribute at its place. What
does not: which of "X/Z/D" follows from it; that is in `policies/rulebook.py`. The tables in `data/`
are written by `scripts/make_iod_types.py`.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

__all__ = ["EDITION", "IodTypes", "iod_types"]

#: Edition of PS3.3 that the shipped tables were taken from.
EDITION = "2024c"

#: Tags of the enclosing sequences, outermost first; () is the data set itself.
_Place = tuple[int, ...]
#: Tag -> Type, for the attributes at one place.
_Kinds = Mapping[int, int]


class IodTypes:
    """The Types of the attributes of one IOD.

    Types are 1, 2 and 3. A conditional Type counts as its strict one (1C as 1, 2C as 2): conditions
    are prose, nobody can evaluate them here, and a value that was not needed does no harm. For the
    same reason all modules of the IOD count, mandatory or not, and the strictest Type of an
    attribute wins: an optional module that an instance does contain (Clinical Trial Subject, say)
    stays valid. The price is a dummy or an empty value where removal had been allowed; nothing
    that identifies is kept by it.

    Sequences that contain themselves (Content Sequence) are listed once; a repeated sequence in a
    place counts as one.

    Args:
        places: place -> tag -> Type.
    """

    __slots__ = ("_places",)

    def __init__(self, places: Mapping[_Place, _Kinds]) -> None:
        self._places = places

    def type_of(self, path: tuple[int, ...], tag: int) -> int | None:
        """Return the Type of an attribute at a place.

        Args:
            path: tags of the enclosing sequences, outermost first; () for the data set itself.
            tag: the attribute.

        Returns:
            1, 2 or 3; None where the IOD does not have the attribute at this place. Overlays
            (60xx) are not listed.
        """
        kinds = self._at(path)
        if kinds is None:
            return None
        kind = kinds.get(tag)
        if kind is None and path and path[-1] == tag:
            # A sequence in an item of its own kind: listed where the outermost one stands.
            return self._places.get(_once(path)[:-1], {}).get(tag)
        return kind

    def has_place(self, path: tuple[int, ...]) -> bool:
        """Tell whether the IOD says what stands in the items of this sequence at this place."""
        return self._at(path) is not None

    def _at(self, path: _Place) -> _Kinds | None:
        kinds = self._places.get(path)
        return self._places.get(_once(path)) if kinds is None else kinds


def _once(path: _Place) -> _Place:
    """Return a place with each run of the same sequence as one."""
    return tuple(tag for n, tag in enumerate(path) if n == 0 or path[n - 1] != tag)


@lru_cache(maxsize=256)
def iod_types(sop_class: str) -> IodTypes | None:
    """Return the Types of the IOD that a SOP class stores (PS3.3, edition: `EDITION`).

    Args:
        sop_class: SOP Class UID, without padding.

    Returns:
        None where the IOD is not known: private and most retired SOP classes.
    """
    names = _modules_of_sop_classes().get(sop_class)
    if names is None:
        return None
    modules = _modules()
    places: dict[_Place, _Kinds] = {}
    for name in names:
        # Overlay Plane consists of repeating groups only, hence has no row.
        for place, kinds in modules.get(name, ()):
            known = places.get(place)
            places[place] = kinds if known is None else _strictest(known, kinds)
    return IodTypes(places)


def _strictest(one: _Kinds, other: _Kinds) -> _Kinds:
    merged = dict(one)
    for tag, kind in other.items():
        merged[tag] = min(kind, merged.get(tag, kind))
    return merged


@lru_cache(maxsize=1)
def _modules_of_sop_classes() -> dict[str, tuple[str, ...]]:
    return {
        sop_class: tuple(module.partition(":")[0] for module in row["modules"].split())
        for row in _rows(f"iods_{EDITION}.csv")
        for sop_class in row["sop_classes"].split()
    }


@lru_cache(maxsize=1)
def _modules() -> dict[str, list[tuple[_Place, _Kinds]]]:
    """Return module -> what stands at its places. Equal lists of attributes are one object."""
    modules: dict[str, list[tuple[_Place, _Kinds]]] = {}
    for row in _rows(f"iod_attributes_{EDITION}.csv"):
        kinds = {int(tag, 16): kind for kind in (1, 2, 3) for tag in row[f"type_{kind}"].split()}
        places = [
            () if text == "." else tuple(int(tag, 16) for tag in text.split("/"))
            for text in row["places"].split()
        ]
        for module in row["modules"].split():
            modules.setdefault(module, []).extend((place, kinds) for place in places)
    return modules


def _rows(name: str) -> list[dict[str, str]]:
    source = files("locutus_dagster.deid.standard") / "data" / name
    lines = source.read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))
