"""The plain values that the ledger hands out, free of sessions and tables.

What belongs here: frozen dataclasses. What does not: SQLAlchemy.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from locutus_dagster.ledger.states import State

__all__ = [
    "ArtifactRecord",
    "DeliveryRecord",
    "DispositionCount",
    "ReportRecord",
    "WorkItem",
    "digest",
]


def digest(*parts: str) -> str:
    """SHA-256 over `parts`, unambiguous in where each part ends; 64 hex characters."""
    hasher = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        hasher.update(len(encoded).to_bytes(8, "big"))
        hasher.update(encoded)
    return hasher.hexdigest()


@dataclass(frozen=True)
class WorkItem:
    """One partition's row of the manifest, with the state of its accession.

    Attributes:
        age: age at imaging in days, as the manifest wrote it.
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

    @property
    def attributes_fingerprint(self) -> str:
        """Digest over the manifest's attributes: subject, imaging type, age, position."""
        return digest(self.subject_id, self.imaging_type, self.age, self.anatomical_position)


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


@dataclass(frozen=True)
class DeliveryRecord:
    """A delivery as the target confirmed it. `size` is in bytes."""

    target: str
    uri: str
    sha256: str
    size: int
    instances: int
    fingerprint: str


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
