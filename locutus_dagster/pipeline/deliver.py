"""Phase 5: the de-identified zip, to the target.

What belongs here: the delivery's key, and the target's confirmation into the ledger. What does
not: how a target stores (`targets/`).
"""

from __future__ import annotations

from locutus_dagster.deid.study import check_subject_id
from locutus_dagster.interim import Room
from locutus_dagster.ledger.work import ArtifactRecord, DeliveryRecord, WorkItem, digest
from locutus_dagster.pipeline.extract import RAW
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.pipeline.transform import DEIDENTIFIED
from locutus_dagster.targets import TargetError, delivery_key

__all__ = ["deliver", "delivered_subject", "delivery_fingerprint", "key_of"]


def delivered_subject(item: WorkItem, parts: Parts) -> str:
    """The research identity that the delivered files carry: with the policy's preface.

    The delivery's path carries the same one, so that a folder is called as the patient in it.

    Raises:
        DeidError: it cannot stand in Patient ID and Patient's Name.
    """
    return check_subject_id(parts.policy.settings.subject_preface + item.subject_id)


def key_of(item: WorkItem, study_token: str, parts: Parts) -> str:
    """The key under which the accession is delivered.

    Raises:
        TargetError: it would carry the accession number, or the template is wrong.
    """
    target = parts.workspace_settings.target
    key = delivery_key(
        target.key_template,
        top=target.top,
        subject_id=delivered_subject(item, parts),
        imaging_type=item.imaging_type,
        age=item.age,
        anatomical_position=item.anatomical_position,
        study=study_token,
    )
    if item.accession_number.casefold() in key.replace(study_token, "").casefold():
        raise TargetError(
            "The delivery's path would carry the accession number.",
            "Mend the manifest's columns or the key template.",
        )
    return key


def delivery_fingerprint(deidentified_fingerprint: str, uri: str) -> str:
    """What a delivery was made from and where it went."""
    return digest(deidentified_fingerprint, uri)


def deliver(
    item: WorkItem,
    artifact: ArtifactRecord,
    study_token: str,
    room: Room,
    parts: Parts,
    run_id: str | None,
) -> DeliveryRecord:
    """Put `deidentified.zip` into the target and record its receipt.

    Raises:
        TargetError: the target did not confirm it, or another accession lies there.
    """
    key = key_of(item, study_token, parts)
    uri = parts.target.uri(key)
    if parts.ledger.delivered_elsewhere(item.accession_id, parts.target.name, uri):
        raise TargetError(
            "Another accession of this study has been delivered to the same place.",
            "The source holds one study under two accession numbers: withdraw one of the rows.",
        )
    receipt = parts.target.put(room.deidentified_zip, key, sha256=artifact.sha256)
    parts.checkpoint("deliver:put")
    record = DeliveryRecord(
        target=parts.target.name,
        uri=receipt.uri,
        sha256=receipt.sha256,
        size=receipt.size,
        instances=artifact.instances,
        fingerprint=delivery_fingerprint(artifact.fingerprint, receipt.uri),
    )
    spent = () if parts.settings.keep_interim_files else (RAW, DEIDENTIFIED)
    parts.ledger.record_delivered(item.accession_id, record, spent=spent, run_id=run_id)
    parts.checkpoint("deliver:recorded")
    return record
