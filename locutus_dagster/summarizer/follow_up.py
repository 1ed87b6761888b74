"""The manifest for the next step: what failed, what to resolve, what to chase, ready to be loaded.

What belongs here: choosing one row for each accession, and writing the file. What does not: the
words that choose (`pipeline/choosing.py`), and loading it (`manifests/`).
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from locutus_dagster.durable_files import atomic_file
from locutus_dagster.errors import LocutusError
from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.selection import Selection
from locutus_dagster.ledger.summary_records import SummaryRow
from locutus_dagster.manifests.reading import (
    MANIFEST_COLUMNS,
    RESOLVE_COLUMN,
    RESOLVER_VERSION_COLUMN,
)

__all__ = ["FollowUp", "FollowUpError", "write_follow_up"]

_RESOLVER_COLUMNS = (*MANIFEST_COLUMNS[:-1], RESOLVER_VERSION_COLUMN, RESOLVE_COLUMN)


class FollowUpError(LocutusError):
    """There is nothing to write, or no place to write it."""


@dataclass(frozen=True)
class FollowUp:
    """A manifest as it was written.

    Attributes:
        rows: each with an accession of its own.
        to_resolve: it has the reference's resolver format, with RESOLVE_VIA to be filled in.
        taken: a manifest of the file's name has been loaded into the workspace before.
    """

    path: Path
    rows: int
    to_resolve: bool
    taken: bool


def write_follow_up(
    ledger: Ledger, workspace: str, chosen: Selection, path: Path, *, overwrite: bool = False
) -> FollowUp:
    """Write the accessions of a selection as a manifest that can be loaded as it is.

    Each accession comes once, with the attributes that it is, or was last, processed with; or with
    those of the last row that is chosen, where that one is not, or where it is chosen because it
    has changed. Where the source holds several
    studies for one of them, the manifest has the reference's resolver format.

    Args:
        overwrite: a file that is there is replaced.

    Raises:
        FollowUpError: nothing stands so, something is there already, or it cannot be written.
    """
    if not overwrite and os.path.lexists(path):  # a person may have worked on it
        raise FollowUpError(f"{path} exists already.", "Name another file, or use --overwrite.")
    rows = _one_for_each(ledger, workspace, chosen)
    if not rows:
        raise FollowUpError(
            "No accession stands so; nothing was written.",
            "See how they stand with: locutus status",
        )
    to_resolve = any(row.state is State.AMBIGUOUS for row in rows)
    try:
        with atomic_file(path) as stream:
            stream.write(_content(rows, to_resolve))
    except OSError as error:
        raise FollowUpError(
            f"{path} cannot be written ({error.strerror}).", "Name a file in a folder of yours."
        ) from None
    taken = path.stem in ledger.manifest_names(workspace)
    return FollowUp(path, len(rows), to_resolve, taken)


def _one_for_each(ledger: Ledger, workspace: str, chosen: Selection) -> list[SummaryRow]:
    """A row for each accession, in the order in which accessions are named first."""
    # Of what has changed the last word counts: the current row is the one before the change.
    last = chosen.changed or any(one.changed for one in chosen.any_of)
    found: dict[int, SummaryRow] = {}
    for row in ledger.summary_rows(workspace, chosen):
        if row.accession_id is None or row.partition_key is None:
            continue  # rejected, or an earlier row of the same manifest names it
        before = found.get(row.accession_id)
        if last or before is None or not before.current:
            found[row.accession_id] = row
    return list(found.values())


def _content(rows: Sequence[SummaryRow], to_resolve: bool) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_RESOLVER_COLUMNS if to_resolve else MANIFEST_COLUMNS)
    further = [""] * (2 if to_resolve else 1)  # the version's column, which is empty, and commands
    for row in rows:
        writer.writerow([*row.attributes, row.accession_number, row.qc_status, *further])
    return text.getvalue().encode("utf-8")
