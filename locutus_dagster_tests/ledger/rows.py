"""Accessions for tests of the ledger, put there as loading a manifest does, and walked on from."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from sqlalchemy import select

from locutus_dagster.ledger import Ledger, State, WorkItem
from locutus_dagster.ledger.schema import Accession, Manifest, ManifestRow
from locutus_dagster.ledger.selection import point_at_first_rows
from locutus_dagster.ledger.work import (
    ArtifactRecord,
    Attempt,
    DeliveryRecord,
    DispositionCount,
    ReportRecord,
)
from locutus_dagster.manifests.bulk import refresh_figures

__all__ = [
    "CT",
    "LEGAL_WALK",
    "SR",
    "WAY_TO",
    "accession",
    "add_items",
    "artifact",
    "bring_to",
    "deidentify",
    "delivery",
    "extract",
    "hand_over",
    "history",
    "report",
    "walk",
]

_NUMBERS = itertools.count(1)
LEGAL_WALK = (State.EXTRACTED, State.DEIDENTIFIED, State.DELIVERED)
#: Shortest ways to each state from the one that a manifest's row begins in.
WAY_TO: dict[State, Sequence[State]] = {
    State.LOADED: (),
    State.PENDING: (State.PENDING,),
    State.AMBIGUOUS: (State.AMBIGUOUS,),
    State.WAITING: (State.WAITING,),
    State.DROPPED: (State.DROPPED,),
    State.EXTRACTED: LEGAL_WALK[:1],
    State.DEIDENTIFIED: LEGAL_WALK[:2],
    State.DELIVERED: LEGAL_WALK,
    State.FAILED: (State.FAILED,),
    State.REQUESTED: (State.REQUESTED,),
    State.RECALLED: (State.RECALLED,),
}
CT = DispositionCount("1.2.840.10008.5.1.4.1.1.2", "CT", "delivered", "", 5)
SR = DispositionCount("1.2.840.10008.5.1.4.1.1.88.11", "SR", "withheld", "structured report", 2)
_NOBODY = Attempt()


def add_items(
    ledger: Ledger,
    *accession_numbers: str,
    name: str = "",
    workspace: str = "ws",
    subjects: Sequence[str] = (),
) -> list[WorkItem]:
    """A manifest whose rows name these accessions; those that are new are as loaded.

    Args:
        subjects: one for each row; S1, S2 … by default.
    """
    name = name or f"m{next(_NUMBERS)}"
    ledger.ensure_workspace(workspace)
    with ledger.session() as session:
        manifest = Manifest(workspace=workspace, name=name, sha256="0" * 64, columns={})
        session.add(manifest)
        session.flush()
        known = {
            found.accession_number: found
            for found in session.scalars(select(Accession).where(Accession.workspace == workspace))
        }
        for number in accession_numbers:
            if number not in known:
                known[number] = Accession(
                    workspace=workspace, accession_number=number, state=State.LOADED.value
                )
        session.add_all(known.values())
        session.flush()
        session.add_all(
            ManifestRow(
                manifest_id=manifest.id,
                workspace=workspace,
                row_number=number,
                line=number + 1,
                partition_key=f"{name}~{number:06d}",
                accession_id=known[accession_number].id,
                subject_id=subjects[number - 1] if subjects else f"S{number}",
                extra={},
            )
            for number, accession_number in enumerate(accession_numbers, start=1)
        )
        session.flush()
        point_at_first_rows(session, manifest.id)
        if len(accession_numbers) > 1000:
            refresh_figures(session)  # as a loaded manifest does
    return ledger.manifest_items(workspace, name)


def bring_to(ledger: Ledger, item: WorkItem, state: State, by: Attempt = _NOBODY) -> None:
    """Bring an accession that is as loaded into `state`."""
    for step in WAY_TO[state]:
        ledger.record_state(item.accession_id, step, by=by)


def extract(ledger: Ledger, item: WorkItem, by: Attempt = _NOBODY) -> None:
    """Record a raw zip."""
    ledger.record_extracted(
        item.accession_id,
        artifact(),
        source_study="handle",
        source_fingerprint="2" * 64,
        by=by,
    )


def deidentify(
    ledger: Ledger,
    item: WorkItem,
    *counts: DispositionCount,
    by: Attempt = _NOBODY,
    **of_report: object,
) -> None:
    """Record a de-identified zip."""
    ledger.record_deidentified(
        item.accession_id,
        artifact("deidentified"),
        counts,
        report(**of_report),
        study_uid="2.25.1",
        study_token="token",
        by=by,
    )


def hand_over(
    ledger: Ledger,
    item: WorkItem,
    by: Attempt = _NOBODY,
    withdraw: str = "",
    **of_delivery: object,
) -> DeliveryRecord:
    """Record a delivery; returns it as the ledger has it."""
    ledger.record_delivered(item.accession_id, delivery(**of_delivery), withdraw=withdraw, by=by)
    return ledger.deliveries(item.accession_id)[-1]


def walk(
    ledger: Ledger,
    item: WorkItem,
    *,
    by: Attempt = _NOBODY,
    withdraw: str = "",
    **of_delivery: object,
) -> DeliveryRecord:
    """Take an accession through every phase; returns its delivery."""
    extract(ledger, item, by)
    deidentify(ledger, item, CT, SR, by=by)
    return hand_over(ledger, item, by, withdraw, **of_delivery)


def accession(ledger: Ledger, identity: int) -> Accession:
    """The accession's row as it is committed."""
    with ledger.session(reads_only=True) as session:
        return session.get_one(Accession, identity)


def history(ledger: Ledger, identity: int) -> list[tuple[State, State]]:
    """The accession's changes of state: (before, after)."""
    return [(event.before, event.after) for event in ledger.events(identity)]


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
        "made_from": {"source": "2" * 64},
        **values,
    }
    return ArtifactRecord(**fields)  # type: ignore[arg-type]


def delivery(**values: object) -> DeliveryRecord:
    """A record of a delivery, with everything set that the target or the run knows."""
    fields: dict[str, object] = {
        "target": "share",
        "uri": "file:///share/one.zip",
        "sha256": "3" * 64,
        "size": 4_000_000_000,
        "instances": 2,
        "fingerprint": "4" * 64,
        "made_from": {"source": "2" * 64, "target": "6" * 64},
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
