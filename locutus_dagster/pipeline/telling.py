"""What is told of each phase: counts, bytes, checksums and pseudonyms, never an identifier.

What belongs here: the metadata of outcomes. What does not: when an outcome is yielded (`chain.py`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from locutus_dagster.deid import StudyDisposition
from locutus_dagster.ledger.work import ArtifactRecord, DeliveryRecord, WorkItem
from locutus_dagster.pipeline.fingerprints import delivered_subject
from locutus_dagster.pipeline.outcomes import Metadata
from locutus_dagster.pipeline.parts import Parts

__all__ = ["disposed", "facts", "gate_facts", "receipt", "since", "summary"]

_PLACES_TOLD = 20


def since(started: float, size: int) -> Metadata:
    """How long a phase took and at which rate; `size` is in bytes."""
    seconds = time.perf_counter() - started
    return {
        "seconds": round(seconds, 3),
        "MB per second": round(size / 1e6 / max(seconds, 1e-6), 1),
    }


def facts(record: ArtifactRecord) -> Metadata:
    """What there is to say of a file of the interim store."""
    return {"instances": record.instances, "bytes": record.size, "sha256": record.sha256}


def gate_facts(searched: int, residue: int, places: Sequence[str]) -> Metadata:
    """What the check before delivery found."""
    found: Metadata = {
        "instances searched": searched,
        "instances withheld for residue": residue,
    }
    if places:
        found["places"] = ", ".join(places[:_PLACES_TOLD])
    return found


def disposed(found: StudyDisposition, parts: Parts) -> Metadata:
    """What became of a study's instances, and by which policy and key."""
    told: Metadata = {
        "instances withheld": found.withheld,
        "study UID (pseudonym)": found.study_uid,
        "policy": parts.policy.name,
        "policy fingerprint": found.policy_fingerprint,
        "key identifier": found.key_id,
    }
    for reason, count in sorted(found.withheld_by_reason.items()):
        told[f"withheld: {reason}"] = count
    return told


def receipt(records: Sequence[DeliveryRecord], item: WorkItem) -> Metadata:
    """What the targets have confirmed; at least one has."""
    first = records[0]
    told: Metadata = {
        "study UID (pseudonym)": item.study_uid or "",
        "instances": first.instances,
        "bytes": first.size,
        "sha256": first.sha256,
        "target": ", ".join(record.target for record in records),
        "uri": first.uri,
    }
    for record in records:
        of = f" ({record.target})" if len(records) > 1 else ""
        told[f"uri{of}"] = record.uri
        told[f"checksum{of}"] = record.checksum
        if record.version:
            told[f"version{of}"] = record.version
    return told


def summary(item: WorkItem, parts: Parts) -> Metadata:
    """An accession's row, without its number."""
    return {
        "status": "PROCESSED",
        "subject": delivered_subject(item, parts),
        "imaging type": item.imaging_type,
        "age at imaging (days)": item.age,
        "anatomical position": item.anatomical_position,
        "instances found": item.instances or 0,
        "instances delivered": item.delivered or 0,
        "instances withheld": item.withheld or 0,
        "study UID (pseudonym)": item.study_uid or "",
    }
