"""Accessions for tests of the ledger, put there as loading a manifest does."""

from __future__ import annotations

import itertools

from locutus_dagster.ledger import Ledger, State, WorkItem
from locutus_dagster.ledger.schema import Accession, Event, Manifest, ManifestRow
from locutus_dagster.ledger.work import ArtifactRecord, DeliveryRecord, ReportRecord

__all__ = ["LEGAL_WALK", "accession", "add_items", "artifact", "delivery", "history", "report"]

_NUMBERS = itertools.count(1)
LEGAL_WALK = (State.EXTRACTED, State.DEIDENTIFIED, State.DELIVERED)


def add_items(
    ledger: Ledger, *accession_numbers: str, name: str = "", workspace: str = "ws"
) -> list[WorkItem]:
    """A manifest whose rows name these accessions, which are as loaded."""
    name = name or f"m{next(_NUMBERS)}"
    ledger.ensure_workspace(workspace)
    with ledger.session() as session:
        manifest = Manifest(workspace=workspace, name=name, sha256="0" * 64, columns={})
        session.add(manifest)
        session.flush()
        accessions = [
            Accession(workspace=workspace, accession_number=number, state=State.LOADED.value)
            for number in accession_numbers
        ]
        session.add_all(accessions)
        session.flush()
        for number, found in enumerate(accessions, start=1):
            session.add(
                ManifestRow(
                    manifest_id=manifest.id,
                    workspace=workspace,
                    row_number=number,
                    line=number + 1,
                    partition_key=f"{name}~{number:06d}",
                    accession_id=found.id,
                    subject_id=f"S{number}",
                    extra={},
                )
            )
    return ledger.manifest_items(workspace, name)


def accession(ledger: Ledger, identity: int) -> Accession:
    """The accession's row as it is committed."""
    with ledger.session(reads_only=True) as session:
        return session.get_one(Accession, identity)


def history(ledger: Ledger, identity: int) -> list[tuple[str, str]]:
    """The accession's changes of state: (before, after)."""
    events: list[Event] = ledger.events(identity)
    return [(event.before, event.after) for event in events]


def artifact(kind: str = "raw", **values: object) -> ArtifactRecord:
    """A record of an artifact, with everything set."""
    fields: dict[str, object] = {
        "kind": kind,
        "host": "here",
        "path": f"a/{kind}.zip",
        "sha256": "1" * 64,
        "size": 5_000_000_000,
        "instances": 3,
        "fingerprint": "2" * 64,
        **values,
    }
    return ArtifactRecord(**fields)  # type: ignore[arg-type]


def delivery(**values: object) -> DeliveryRecord:
    """A record of a delivery, with everything set."""
    fields: dict[str, object] = {
        "target": "share",
        "uri": "file:///share/one.zip",
        "sha256": "3" * 64,
        "size": 4_000_000_000,
        "instances": 2,
        "fingerprint": "4" * 64,
        **values,
    }
    return DeliveryRecord(**fields)  # type: ignore[arg-type]


def report(**values: object) -> ReportRecord:
    """A report of a study, with everything set but the time."""
    fields: dict[str, object] = {
        "policy_name": "research",
        "policy_fingerprint": "5" * 16,
        "key_id": "1-0a1b2c3d",
        "engine_version": "0.2",
        "table": b"\x1f\x8b compressed",
        **values,
    }
    return ReportRecord(**fields)  # type: ignore[arg-type]
