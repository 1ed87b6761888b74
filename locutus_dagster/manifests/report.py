"""What loading a manifest did, or would do, in words for people.

What belongs here: the report and its parts. What does not: making it (`comparing.py`,
`loading.py`) and printing it (`cli/loading.py`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from locutus_dagster.manifests.reading import RejectedRow

__all__ = ["Duplicate", "DuplicateKind", "LoadReport"]

#: Where the accession of a row is named as well: earlier in the same manifest, in another manifest
#: of the workspace, or in another workspace.
DuplicateKind = Literal["manifest", "manifests", "workspaces"]


@dataclass(frozen=True)
class Duplicate:
    """A row whose accession is named elsewhere, too.

    Attributes:
        line: of the row.
        place: where it is named as well, for people: `line 3`, `spring~000002 and 2 more`,
            `workspace spine: spring~000002`. Free of identifiers.
        attributes_differ: subject, imaging type, age or position are not the same everywhere.
    """

    line: int
    kind: DuplicateKind
    place: str
    attributes_differ: bool


@dataclass(frozen=True)
class LoadReport:
    """What loading a manifest did; of a dry run: what it would do.

    Every data row is accepted, rejected, or a duplicate within the manifest.

    Attributes:
        new: False when the same file had been loaded before.
        partition_keys: of the accepted rows, and of the duplicates that are to be processed, in
            the file's order.
        rejected: the rows that were not accepted, in the file's order.
        duplicates: in the file's order. Those of the kind "manifest" are neither accepted nor
            rejected; the others are accepted rows.
        accepted: how many rows are accepted.
        added: how many of the partitions this load has made.
        dry_run: nothing was written.
    """

    workspace: str
    manifest: str
    file_name: str
    new: bool
    partition_keys: tuple[str, ...]
    rejected: tuple[RejectedRow, ...]
    duplicates: tuple[Duplicate, ...]
    accepted: int
    added: int
    dry_run: bool = False

    @property
    def counts(self) -> dict[DuplicateKind, int]:
        """How many duplicates there are of each kind."""
        found = Counter(one.kind for one in self.duplicates)
        return {kind: found[kind] for kind in ("manifest", "manifests", "workspaces")}

    @property
    def shared(self) -> int:
        """How many accepted rows name an accession that another manifest named before."""
        return self.counts["manifests"]

    @property
    def rows(self) -> int:
        """Data rows in the file: accepted, rejected and duplicates within the manifest."""
        return self.accepted + len(self.rejected) + self.counts["manifest"]
