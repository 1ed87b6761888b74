"""What every target promises, whatever stands behind it.

What belongs here: the `Target` protocol, its receipt and its errors. What does not: one kind of
target (`share.py`), the ledger, or what the delivered file means.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from locutus_dagster.errors import LocutusError

__all__ = ["Receipt", "Target", "TargetError", "Withdrawal"]


class TargetError(LocutusError):
    """A target did not take, or does not have, a delivery."""


@dataclass(frozen=True)
class Receipt:
    """A delivery as the target confirms it: checksum and size were read back from there."""

    uri: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Withdrawal:
    """What was removed from a target. `size` is in bytes, 0 when nothing was there any more."""

    uri: str
    removed: bool
    size: int


class Target(Protocol):
    """A place that takes one object for each accession."""

    @property
    def name(self) -> str:
        """The target's name in the ledger."""

    @property
    def place(self) -> str:
        """Where it is, as part of the target's fingerprint; no secret."""

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

    def holds(self, uri: str, *, size: int) -> bool:
        """Whether a delivery of that many bytes still lies at `uri`; its bytes are not read.

        Raises:
            TargetError: the target cannot be asked, or `uri` does not lie on it. A target that is
                as a whole not there must not be taken for one that the delivery is gone from.
        """

    def withdraw(self, uri: str) -> Withdrawal:
        """Remove a delivery and confirm that it is gone; harmless when it is gone already.

        Folders that become empty by it are removed too: their names say who was delivered. So is
        what a crash has left of an unfinished `put` to that place.

        Raises:
            TargetError: it is still there, `uri` does not lie on this target, or the target as a
                whole cannot be asked.
        """

    def free_bytes(self) -> int | None:
        """What the target still has room for, None where that is not known."""

    def open(self, uri: str) -> BinaryIO:
        """Read a delivery.

        Raises:
            TargetError: there is nothing at `uri`.
        """
