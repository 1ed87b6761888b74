"""A de-identified instance, ready to be searched and written.

What belongs here: the pieces of an output and what the search needs to know about them. What does
not: making them (`transform.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from locutus_dagster.deid.policies.model import Action

__all__ = ["Output", "Segment"]


@dataclass(frozen=True)
class Segment:
    """A piece of the output, in order.

    Attributes:
        data: the bytes: whole elements, or one large value.
        tag: the tag of the large value that this is or whose header this ends with.
        tail: bytes at the end of `data` that are the header of the large value that follows.
        large: whether this is one large value.
        native: whether this is native pixel data, which nobody searches for text.
    """

    data: bytes | memoryview
    tag: int = 0
    tail: int = 0
    large: bool = False
    native: bool = False

    def __repr__(self) -> str:
        return f"Segment({len(self.data)} bytes)"


@dataclass(frozen=True)
class Output:
    """A de-identified instance: file meta information, then the data set in segments.

    Attributes:
        counts: action -> elements that it changed or removed.
    """

    meta: bytes
    segments: list[Segment]
    explicit: bool
    little: bool
    counts: Mapping[Action, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Output({self.size} bytes)"

    @property
    def size(self) -> int:
        """Size of the file in bytes."""
        return len(self.meta) + sum(len(segment.data) for segment in self.segments)

    @property
    def parts(self) -> list[bytes | memoryview]:
        """The file's bytes, in order."""
        return [self.meta, *(segment.data for segment in self.segments)]
