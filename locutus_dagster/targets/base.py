"""What every target promises, whatever stands behind it.

What belongs here: the `Target` protocol, its receipt and its errors. What does not: one kind of
target (`share.py`), the ledger, or what the delivered file means.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from locutus_dagster.errors import LocutusError
from locutus_dagster.secret_refs import Secrets

__all__ = [
    "OccupiedError",
    "Receipt",
    "Target",
    "TargetContext",
    "TargetError",
    "Withdrawal",
    "resolved",
]


class TargetError(LocutusError):
    """A target did not take, or does not have, a delivery."""


class OccupiedError(TargetError):
    """Something that Locutus has not put there lies in the place of a delivery.

    Of `put`, it says that nothing has been sent there.
    """


@dataclass(frozen=True)
class Receipt:
    """A delivery as the target confirms it.

    Attributes:
        uri: where it lies.
        sha256: of what was put, confirmed by the target or read back from it.
        size: in bytes, as the target says it.
        checksum: in the target's own words, such as `crc32c:…` (hex after the colon).
        version: the target's name for this version of the object; empty where it keeps only one.
    """

    uri: str
    sha256: str
    size: int
    checksum: str = ""
    version: str = ""


@dataclass(frozen=True)
class Withdrawal:
    """What was removed from a target. `size` is in bytes, 0 when nothing was there any more."""

    uri: str
    removed: bool
    size: int


@dataclass(frozen=True)
class TargetContext:
    """What a target is opened with, besides its settings.

    Attributes:
        workspace: the project's name.
        name: the target's name in the workspace and in the ledger.
        secrets: resolves the references among its settings. A target that is refused (401, 403)
            resolves them again with `fresh=True`, once, so that a rotated secret does no harm.
    """

    workspace: str
    name: str
    secrets: Secrets = field(repr=False)


class Target(Protocol):
    """A place that takes one object for each accession.

    Targets are built inside each worker process and used by one thread at a time; they may use
    threads of their own. A kind of target is one module with a function
    `(settings, context) -> Target`, registered as an entry point (`registry.py`).

    A kind whose addresses do not say in which store they are to be looked for has a method
    `store() -> str` besides, which says it; see `stores.py`.
    """

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

        Putting the same file again under the same key is harmless. What Locutus has put there
        before is replaced; where another writer does so at the same moment, one of the two is
        refused.

        Raises:
            TargetError: it was not delivered.
        """

    def holds(self, uri: str, *, size: int, version: str = "") -> bool:
        """Whether a delivery of that many bytes still lies at `uri`; its bytes are not read.

        Args:
            version: it must be that one, where the target keeps versions.

        Raises:
            TargetError: the target cannot be asked, or `uri` does not lie on it. A target that is
                as a whole not there must not be taken for one that the delivery is gone from.
        """

    def withdraw(self, uri: str, *, version: str = "") -> Withdrawal:
        """Remove a delivery and confirm that it is gone; harmless when it is gone already.

        Where the target keeps versions, all of them are removed, with every marker of a deletion,
        unless one `version` is named: then that one alone.

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

    def close(self) -> None:
        """Release connections; what is asked afterwards opens them again."""


def resolved(secrets: Secrets, reference: str, *, fresh: bool = False) -> str:
    """What a reference among a target's settings leads to.

    Raises:
        TargetError: nowhere, or Vault does not answer. It concerns this target alone.
    """
    try:
        return secrets.resolve(reference, fresh=fresh)
    except LocutusError as error:
        raise TargetError(error.message, error.hint) from None
