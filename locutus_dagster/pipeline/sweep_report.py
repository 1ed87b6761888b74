"""What a sweep of the scratch folder found and did, file by file, free of identifiers.

What belongs here: the values, and adding them up. What does not: sweeping (`sweeping.py`), and how
it is shown.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from locutus_dagster.pipeline.host import HOST

__all__ = ["SweepReport", "Swept", "Why"]


class Why(str, Enum):
    """Why a file was removed, or left where it is, or struck off."""

    # Removed.
    HALF_WRITTEN = "half-written"
    UNCLAIMED = "the ledger does not claim it"
    FINISHED = "its accession is finished"
    NO_ACCESSION = "the ledger does not know its accession"
    NO_WORKSPACE = "the ledger does not know its workspace"
    TOO_OLD = "identified, and older than the limit"
    # Left where it is.
    RESUMABLE = "a rerun resumes from it"
    KEPT = "LOCUTUS_KEEP_INTERIM_FILES is on"
    ELSEWHERE = "belongs to host"
    OUTSIDE = "lies outside of the scratch folder"
    FOREIGN = "holds what is not ours"
    STUCK = "cannot be removed"
    # The ledger's row alone.
    GONE = "its file is gone"
    OUT_OF_SIGHT = "its scratch folder is not there"


@dataclass(frozen=True)
class Swept:
    """One file, or one row of the ledger, and what was decided about it.

    Attributes:
        path: free of identifiers; a folder where it holds what is not ours or cannot be read.
        size: bytes; of a row without a file, what the ledger has.
        more: the host that it belongs to, the system's reason, or how many things are not ours.
    """

    path: Path
    size: int
    why: Why
    more: str = ""

    @property
    def identified(self) -> bool:
        """Whether it is a study as the source gave it."""
        return self.path.name in ("raw.zip", "raw.zip.part")

    @property
    def reason(self) -> str:
        """Why, in words."""
        if self.why is Why.ELSEWHERE:
            return f"{self.why.value} {self.more}"
        return f"{self.why.value} ({self.more})" if self.more else self.why.value


@dataclass
class SweepReport:
    """What a sweep of one host's scratch folder found and did.

    Attributes:
        workspace: the only one that was looked at; None for all of them.
        dry_run: nothing was removed; `removed` and `struck_off` say what would have been.
        rooms: that were looked at, those in use included.
        in_use: rooms that somebody works in, of which nothing is said.
        struck_off: rows of the ledger whose file is gone.
        elsewhere: how many files the ledger has on other hosts, by host; their own sweepers look
            after them.
    """

    scratch: Path
    workspace: str | None = None
    dry_run: bool = False
    host: str = HOST
    rooms: int = 0
    in_use: int = 0
    removed: list[Swept] = field(default_factory=list)
    left: list[Swept] = field(default_factory=list)
    struck_off: list[Swept] = field(default_factory=list)
    elsewhere: Counter[str] = field(default_factory=Counter)

    @property
    def removed_bytes(self) -> int:
        """The size of all that was removed."""
        return sum(swept.size for swept in self.removed)

    @property
    def identified_left(self) -> int:
        """How many identified files lie there still, those of rooms in use not counted."""
        return sum(one.identified and one.why is not Why.OUT_OF_SIGHT for one in self.left)

    @property
    def stuck(self) -> list[Swept]:
        """What should have been removed and could not be."""
        return [swept for swept in self.left if swept.why is Why.STUCK]

    def groups(self) -> list[tuple[str, str, int, int]]:
        """What was done, why, to how many files, of how many bytes."""
        found: list[tuple[str, str, int, int]] = []
        gone = "would be removed" if self.dry_run else "removed"
        struck = "would be struck off" if self.dry_run else "struck off"
        for done, swept in ((gone, self.removed), (struck, self.struck_off), ("left", self.left)):
            sizes: dict[str, list[int]] = {}
            for one in swept:
                sizes.setdefault(one.reason, []).append(one.size)
            found += [(done, why, len(of), sum(of)) for why, of in sorted(sizes.items())]
        return found
