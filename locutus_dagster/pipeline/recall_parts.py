"""What a recall works with, whom it is about, and the reason that is given for it.

What belongs here: gathering these. What does not: carrying a recall out (`recalling.py`).

A recall needs neither the source nor the workspace's keys nor its policy: a patient who withdraws
cannot wait until these are mended. That is why it does not ask for `Parts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from locutus_dagster.errors import LocutusError
from locutus_dagster.identifying_text import holds_a_number
from locutus_dagster.interim import InterimStore
from locutus_dagster.ledger import Ledger, WorkItem
from locutus_dagster.ledger.work import DeliveryRecord
from locutus_dagster.pipeline.claiming import Claimant
from locutus_dagster.pipeline.host import new_owner
from locutus_dagster.pipeline.parts import build_targets
from locutus_dagster.pipeline.withdrawing import Withdrawing
from locutus_dagster.settings import Settings
from locutus_dagster.targets import Target

__all__ = [
    "Concerned",
    "RecallError",
    "RecallParts",
    "Recalling",
    "checked_reason",
    "concerned",
    "recall_parts",
]


class RecallError(LocutusError):
    """Something cannot be recalled, or a recall cannot be lifted."""


class Recalling(Withdrawing, Protocol):
    """What a recall works with; `Parts` has it all, and `RecallParts` no more than that."""

    @property
    def interim(self) -> InterimStore:
        """The interim store of this host."""

    @property
    def claimant(self) -> Claimant:
        """What this process has in hand."""


def _carry_on(_place: str) -> None:
    """Do nothing at a checkpoint."""


@dataclass
class RecallParts:
    """Parts for a recall, which work where the source, the keys or the policy do not."""

    settings: Settings
    workspace: str
    ledger: Ledger
    targets: Mapping[str, Target]
    interim: InterimStore
    checkpoint: Callable[[str], None] = field(default=_carry_on)
    claimant: Claimant = field(init=False)

    def __post_init__(self) -> None:
        self.claimant = Claimant(self.ledger, new_owner(), self.settings.run.lease)

    def close(self) -> None:
        """Return connections."""
        self.claimant.close()
        self.ledger.close()


def recall_parts(settings: Settings, workspace: str) -> RecallParts:
    """Put together what a recall needs.

    Raises:
        LocutusError: the workspace is unknown, or the ledger cannot be opened.
    """
    return RecallParts(
        settings,
        workspace,
        Ledger.open(settings.find_ledger),
        build_targets(settings, workspace),
        InterimStore(settings.scratch_dir, settings.scratch_limit),
    )


@dataclass(frozen=True)
class Concerned:
    """What a recall is about.

    Attributes:
        rows: every row of a manifest that names one of the accessions.
        deliveries: what may still lie on the target, oldest first.
    """

    accession_ids: tuple[int, ...]
    rows: tuple[WorkItem, ...]
    deliveries: tuple[DeliveryRecord, ...]


def concerned(
    ledger: Ledger,
    workspace: str,
    *,
    accession_id: int | None = None,
    subject_id: str | None = None,
) -> Concerned:
    """What a recall of an accession, or of a subject, is about at this moment."""
    if (accession_id is None) == (subject_id is None):
        raise ValueError("either an accession or a subject")
    if subject_id is not None:
        ids = ledger.accessions_of_subject(workspace, subject_id)
    else:
        ids = [] if accession_id is None else [accession_id]
    return Concerned(
        tuple(ids),
        tuple(ledger.items_naming(workspace, ids)),
        tuple(
            delivery
            for identity in ids
            for delivery in ledger.deliveries(identity)
            if delivery.withdrawn_at is None
        ),
    )


def checked_reason(reason: str, rows: Iterable[WorkItem]) -> str:
    """The reason as it is kept: on one line.

    It is kept with events and deliveries, and shown wherever they are.

    Raises:
        RecallError: it is empty, or names an accession.
    """
    kept = " ".join(reason.split())
    if not kept:
        raise RecallError("A reason is missing.", "Say why in words that identify nobody.")
    if holds_a_number(kept, {row.accession_number for row in rows}):
        raise RecallError(
            "The reason holds an accession number.",
            "Say why in words that identify nobody: the reason is shown in reports and logs.",
        )
    return kept
