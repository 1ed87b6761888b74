"""The plain values that reports over whole manifests are made from.

What belongs here: frozen dataclasses. What does not: the questions (`summaries.py`,
`summary_past.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from locutus_dagster.ledger.resolutions import ResolveCommand
from locutus_dagster.ledger.selection import Selection
from locutus_dagster.ledger.states import State

__all__ = ["Done", "RowGroup", "Scope", "Shift", "StandingDelivery", "SummaryRow"]


@dataclass(frozen=True)
class Scope:
    """The accessions that a report is about.

    Attributes:
        selection: those that its rows name.
        accession_ids: exactly these instead; None where the selection decides.
    """

    workspace: str
    selection: Selection = field(default_factory=Selection)
    accession_ids: tuple[int, ...] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class StandingDelivery:
    """A delivery that stands.

    Attributes:
        made_for: subject, imaging type, age and position of the row that it was made for; None
            where that is not known.
    """

    target: str
    uri: str
    delivered_at: datetime
    made_for: tuple[str, str, str, str] | None = None


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """A row of a manifest with all that a report says of it.

    Attributes:
        line: in the manifest's file.
        partition_key: None for a rejected row or a duplicate.
        accession_id: None for a rejected row.
        accession_number: of a rejected row: what it named.
        duplicate: an earlier row of the same manifest names the accession.
        state: None for a rejected row.
        changed: kinds that a run noted, joined by ",".
        rejected: why, empty when it was accepted.
        current: it is the row that the accession is, or was last, processed for.
        standing: deliveries, oldest first.
        on_deck: the accession is marked for a batch that has not come to it.
    """

    manifest: str
    row_number: int
    line: int
    partition_key: str | None
    accession_id: int | None
    accession_number: str = field(repr=False)
    attributes: tuple[str, str, str, str]
    qc_status: str
    duplicate: bool
    changed: str
    rejected: str
    rejected_column: str
    state: State | None
    phase: int | None
    reason: str
    label: str
    command: ResolveCommand | None
    in_hand: bool
    updated_at: datetime | None
    instances: int | None
    delivered: int | None
    withheld: int | None
    current: bool
    standing: tuple[StandingDelivery, ...] = ()
    on_deck: bool = False

    @property
    def made_for(self) -> tuple[str, str, str, str] | None:
        """The attributes that the last standing delivery was made with, where they are known."""
        return self.standing[-1].made_for if self.standing else None


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Rows that a report tells the same of; the fields are as in `SummaryRow`.

    Attributes:
        compared: it is known which row the delivery that stands was made for.
        other_subject: that row has another subject.
        other_attributes: that row differs in imaging type, age or position.
        with_text: the accession numbers are no plain whole numbers.
        rows: how many.
    """

    state: State | None
    phase: int | None
    reason: str
    label: str
    command: ResolveCommand | None
    in_hand: bool
    changed: str
    rejected: str
    rejected_column: str
    duplicate: bool
    compared: bool
    other_subject: bool
    other_attributes: bool
    with_text: bool
    rows: int
    on_deck: bool = False


@dataclass(frozen=True)
class Shift:
    """Accessions that came from one state to another in a stretch of time.

    Attributes:
        stretch: its number, counted from the beginning of 1970 (UTC) in stretches of that width.
        before: None for accessions that were named for the first time.
    """

    stretch: int
    before: State | None
    after: State
    accessions: int


@dataclass(frozen=True)
class Done:
    """Accessions that were delivered, or failed, in a stretch of time; `stretch` as for `Shift`."""

    stretch: int
    state: State
    accessions: int
