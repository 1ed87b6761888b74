"""The plain values that the ledger hands out and takes, free of sessions and tables.

What belongs here: frozen dataclasses. What does not: SQLAlchemy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from locutus_dagster.ledger.fingerprints import MadeFrom, digest
from locutus_dagster.ledger.states import State

__all__ = [
    "Announced",
    "ArtifactRecord",
    "Attempt",
    "DeliveryRecord",
    "DispositionCount",
    "EventRecord",
    "Place",
    "ReportRecord",
    "RetiredRecord",
    "TargetRecord",
    "WorkItem",
    "digest",
]


@dataclass(frozen=True)
class Attempt:
    """In whose name the ledger is changed, and for which row of a manifest.

    Attributes:
        run_id: of the Dagster run.
        owner: of the claim that the change depends on; a change by who has lost its claim is
            refused. None: the change depends on no claim.
        settings: fingerprint of the settings at hand.
        row_id: the manifest's row that the accession is processed for.
        label: of the batch, for people; None leaves the accession's as it is.
    """

    run_id: str | None = None
    owner: str | None = None
    settings: str = ""
    row_id: int | None = None
    label: str | None = None


@dataclass(frozen=True)
class WorkItem:
    """One partition's row of the manifest, with the state of its accession.

    Attributes:
        age: age at imaging in days, as the manifest wrote it.
        duplicate: an earlier row of the same manifest names the same accession.
        changed: kinds of change, joined by ",", that a run found between this row and a delivery
            that stands.
        current_row_id: the row that the accession was last processed for.
        claimed_until: when the claim of the worker that has it in hand ends, None if none has.
        on_deck: it has been marked for a batch, and nobody has come to it since.
    """

    workspace: str
    partition_key: str
    manifest: str
    row_number: int
    accession_id: int
    accession_number: str = field(repr=False)
    subject_id: str
    imaging_type: str
    age: str
    anatomical_position: str
    state: State
    phase: int | None = None
    reason: str = ""
    instances: int | None = None
    delivered: int | None = None
    withheld: int | None = None
    study_uid: str | None = None
    study_token: str | None = None
    source_fingerprint: str | None = None
    row_id: int = 0
    line: int = 0
    current_row_id: int | None = None
    generation: int = 1
    label: str = ""
    changed: str = ""
    duplicate: bool = False
    resolve_via: str = ""
    updated_at: datetime | None = None
    claimed_until: datetime | None = None
    on_deck: bool = False

    @property
    def attributes(self) -> tuple[str, str, str, str]:
        """The manifest's attributes: subject, imaging type, age, position."""
        return (self.subject_id, self.imaging_type, self.age, self.anatomical_position)

    @property
    def attributes_fingerprint(self) -> str:
        """Digest over the manifest's attributes but for the subject: they make the path."""
        return digest(self.imaging_type, self.age, self.anatomical_position)


@dataclass(frozen=True)
class ArtifactRecord:
    """A file of the interim store as the ledger knows it. `size` is in bytes."""

    kind: str
    host: str
    path: str
    sha256: str
    size: int
    instances: int
    fingerprint: str
    made_from: MadeFrom | None = None


@dataclass(frozen=True)
class DeliveryRecord:
    """A delivery as the target confirmed it. `size` is in bytes.

    Attributes:
        made_from: None for one of an earlier version of Locutus.
        superseded_at: when another delivery of the accession took its place.
        withdrawal: why it is, or is to be, removed from the target; empty when nobody asked.
        withdrawn_at: when the target confirmed that it is gone.
        withdrawn: what was removed, in words.
        checksum: as the target confirmed it, such as `crc32c:…`.
        version: the target's name for this version of the object; empty where it keeps one only.
        store: in which the URI is to be looked for; empty where the URI says it all, and for one
            of an earlier version of Locutus.
    """

    target: str
    uri: str
    sha256: str
    size: int
    instances: int
    fingerprint: str
    made_from: MadeFrom | None = None
    row_id: int | None = None
    identity: int = 0
    generation: int = 1
    run_id: str | None = None
    delivered_at: datetime | None = None
    superseded_at: datetime | None = None
    withdrawal: str = ""
    withdrawn_at: datetime | None = None
    withdrawn: str = ""
    checksum: str = ""
    version: str = ""
    store: str = ""

    @property
    def stands(self) -> bool:
        """Whether it is what the accession's delivery is at present."""
        return self.superseded_at is None and self.withdrawn_at is None

    @property
    def place(self) -> Place:
        """Where it lies."""
        return Place(self.target, self.uri, self.store)


class Announced(Enum):
    """What came of announcing a delivery."""

    TAKEN = "another accession is about to deliver there, or died when it was"
    NEW = "nothing of it can lie there yet"
    AGAIN = "it was announced before, and something of it may lie there"


class Place(NamedTuple):
    """Where a delivery lies or is about to be made. `store` is as for `DeliveryRecord`."""

    target: str
    uri: str
    store: str = ""


@dataclass(frozen=True)
class TargetRecord:
    """How one target stands with an accession, beside its deliveries.

    Attributes:
        confirmed: it has the zip at hand, while another target has not.
        reason: why it failed, free of identifiers; empty when it has confirmed.
        tries: how often in a row it has failed.
    """

    target: str
    confirmed: bool
    reason: str
    tries: int
    at: datetime


@dataclass(frozen=True)
class DispositionCount:
    """How many instances of one SOP class and modality met one fate."""

    sop_class: str
    modality: str
    disposition: str
    reason: str
    instances: int


@dataclass(frozen=True)
class ReportRecord:
    """What the engine reported of a study when it was last de-identified.

    Attributes:
        policy_name: of the policy applied, for people.
        policy_fingerprint: of the policy applied.
        key_id: public name of the key used, "fresh" for one that was kept nowhere.
        engine_version: version of the engine's rules.
        table: gzip of a CSV with one line for each instance, free of identifiers.
        created_at: when it was recorded; set by the ledger.
    """

    policy_name: str
    policy_fingerprint: str
    key_id: str
    engine_version: str
    table: bytes = field(repr=False)
    created_at: datetime | None = None


@dataclass(frozen=True)
class EventRecord:
    """One change of an accession's state, as it was appended."""

    at: datetime
    before: State
    after: State
    phase: int | None
    reason: str
    run_id: str | None
    settings: str
    row_id: int | None
    generation: int
    label: str


@dataclass(frozen=True)
class RetiredRecord:
    """How an earlier generation of an accession stood when it was retired, and why it was."""

    generation: int
    state: State
    phase: int | None
    reason: str
    why: str
    deleted: bool
    row_id: int | None
    study_uid: str | None
    instances: int | None
    delivered: int | None
    withheld: int | None
    run_id: str | None
    retired_at: datetime
