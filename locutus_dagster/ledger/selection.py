"""Choosing accessions of a workspace by what the ledger knows of them.

What belongs here: the filter, and the question that it becomes. What does not: files and words of
a command line (`pipeline/choosing.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select

from locutus_dagster.ledger.reading import LedgerReader, select_items
from locutus_dagster.ledger.schema import Accession, Manifest, ManifestRow
from locutus_dagster.ledger.states import State
from locutus_dagster.ledger.work import WorkItem

__all__ = ["Selecting", "Selection"]

_IN_CHUNK = 500


@dataclass(frozen=True)
class Selection:
    """Which accessions; what is empty or None restricts nothing.

    Attributes:
        manifests: names; then each of their rows is an item.
        states: of the accessions.
        changed: only rows that a run found to differ from the delivery that stands.
        subjects: research identities, as manifests write them.
        accession_numbers: exact; None for all, an empty tuple for none.
        changed_since: accessions whose state has changed at or after this time.
        partition_keys: exactly these.
    """

    manifests: tuple[str, ...] = ()
    states: frozenset[State] | None = None
    changed: bool = False
    subjects: tuple[str, ...] = ()
    accession_numbers: tuple[str, ...] | None = field(default=None, repr=False)
    changed_since: datetime | None = None
    partition_keys: tuple[str, ...] = ()

    @property
    def everything(self) -> bool:
        """Whether nothing is restricted."""
        return self == Selection()


class Selecting(LedgerReader):
    """Items of work by a filter."""

    def select(self, workspace: str, selection: Selection) -> list[WorkItem]:
        """The work items that the selection asks for, in the order of their manifests.

        Where no manifest or partition is named, an accession that several rows name comes once:
        with the row that it was last processed for, or else the first one.
        """
        where: list[ColumnElement[bool]] = []
        if selection.manifests:
            where.append(Manifest.name.in_(selection.manifests))
        if selection.states is not None:
            where.append(Accession.state.in_([state.value for state in selection.states]))
        if selection.changed:
            where.append(ManifestRow.changed != "")
        if selection.subjects:
            where.append(ManifestRow.subject_id.in_(selection.subjects))
        if selection.changed_since is not None:
            where.append(Accession.updated_at >= selection.changed_since)
        one_row_each = not selection.manifests and not selection.partition_keys
        if one_row_each and not selection.changed:
            first = (
                select(func.min(ManifestRow.id))
                .where(ManifestRow.accession_id == Accession.id)
                .where(ManifestRow.partition_key.is_not(None))
                .correlate(Accession)
                .scalar_subquery()
            )
            where.append(
                or_(
                    ManifestRow.id == Accession.row_id,
                    Accession.row_id.is_(None) & (ManifestRow.id == first),
                )
            )
        with self.session(reads_only=True) as session:
            found: list[WorkItem] = []
            for chunk in _chunks(selection):
                found += select_items(session, workspace, *where, *chunk)
        if len(_chunks(selection)) > 1:
            found.sort(key=lambda item: item.row_id)
        return found


def _chunks(selection: Selection) -> list[list[ColumnElement[bool]]]:
    """The conditions that hold long lists, in pieces that a statement can carry."""
    numbers, keys = selection.accession_numbers, selection.partition_keys
    if numbers is not None:
        return [[Accession.accession_number.in_(piece)] for piece in _pieces(numbers)]
    if keys:
        return [[ManifestRow.partition_key.in_(piece)] for piece in _pieces(keys)]
    return [[]]


def _pieces(values: Sequence[str]) -> list[Sequence[str]]:
    unique = list(dict.fromkeys(values))
    return [unique[start : start + _IN_CHUNK] for start in range(0, len(unique), _IN_CHUNK)]
