"""Where in a data set an explanation is, and what is known about the elements there.

What belongs here: following places, contexts and private creators down the sequences. What does
not: what is said about an element (`walk.py`).
"""

from __future__ import annotations

from typing import NamedTuple

from locutus_dagster.deid.cleaning.contexts import Context
from locutus_dagster.deid.encoding.codec import Buffer, Element
from locutus_dagster.deid.explaining.rows import tag_path
from locutus_dagster.deid.policies.rulebook import Place

__all__ = ["Level", "Spot"]


class Spot(NamedTuple):
    """Where the walk is: the data set itself, or the items of a sequence.

    Attributes:
        context: decides.
        place: the enclosing sequences as the rulebook sees them.
        dummies: whether nothing here survives.
        prefix: what paths begin with.
    """

    context: Context
    place: Place
    dummies: bool = False
    prefix: str = ""

    def inside(self, tag: int, *, unknown: bool = False, dummies: bool = False) -> Spot:
        """Return the inside of a sequence; its prefix still lacks the item's index."""
        dummies = dummies or self.dummies
        return Spot(
            self.context.inside(tag, unknown=unknown, dummies=dummies),
            None if dummies else self.context.rulebook.inside(self.place, tag),
            dummies,
            self.prefix + tag_path(tag),
        )

    def item(self, index: int) -> Spot:
        """Return the inside of one item."""
        return self._replace(prefix=f"{self.prefix}[{index}]>")


class Level:
    """The elements of one level, with what is known about its private ones."""

    def __init__(self, spot: Spot, buf: Buffer, elements: list[Element]) -> None:
        self.spot = spot
        self.elements = elements
        self.private = spot.context.private_of(buf, elements)
        self._creators: dict[int, str] = {}
        for tag, _, _, value, end, _ in elements:
            if tag >> 16 & 1 and 0x0010 <= tag & 0xFFFF <= 0x00FF:
                name = bytes(buf[value : min(end, value + 64)]).strip(b" \0")
                self._creators[tag >> 16 << 8 | tag & 0xFF] = name.decode("ascii", "replace")

    def creator(self, tag: int) -> str:
        """Return the creator of a private attribute, or what a creator's element itself says."""
        number = tag & 0xFFFF
        return self._creators.get(tag >> 16 << 8 | (number if number <= 0xFF else number >> 8), "")
