"""What every target promises, whatever stands behind it.

What belongs here: the `Target` protocol, its receipt and its errors. What does not: one kind of
target (`share.py`), the ledger, or what the delivered file means.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from locutus_dagster.errors import LocutusError

__all__ = ["Receipt", "Target", "TargetError"]


class TargetError(LocutusError):
    """A target did not take, or does not have, a delivery."""


@dataclass(frozen=True)
class Receipt:
    """A delivery as the target confirms it: checksum and size were read back from there."""

    uri: str
    sha256: str
    size: int


class Target(Protocol):
    """A place that takes one object for each accession."""

    @property
    def name(self) -> str:
        """The target's name in the ledger."""

    def check(self) -> None:
        """Raise `TargetError` unless deliveries can be made at this moment."""

    def uri(self, key: str) -> str:
        """Where a delivery with this key lies, or would lie."""

    def put(self, source: Path, key: str, *, sha256: str) -> Receipt:
        """Deliver the file: all of it under its key, confirmed by reading back, or nothing.

        Putting the same file again under the same key is harmless.

        Raises:
            TargetError: it was not delivered.
        """

    def open(self, uri: str) -> BinaryIO:
        """Read a delivery.

        Raises:
            TargetError: there is nothing at `uri`.
        """
