"""Phase 5: the de-identified zip, to the target.

What belongs here: the delivery's key, and the target's confirmation into the ledger. What does
not: how a target stores (`targets/`).
"""

from __future__ import annotations

from locutus_dagster.interim import Room
from locutus_dagster.ledger.claims import ClaimLostError
from locutus_dagster.ledger.fingerprints import Kind, fingerprint_of
from locutus_dagster.ledger.work import ArtifactRecord, Attempt, DeliveryRecord, WorkItem
from locutus_dagster.pipeline.extract import RAW
from locutus_dagster.pipeline.fingerprints import delivered_subject, delivery_made_from
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.pipeline.transform import DEIDENTIFIED
from locutus_dagster.pipeline.unrecorded import take_back
from locutus_dagster.targets import TargetError, delivery_key

__all__ = ["SUPERSEDED", "deliver", "key_of"]

SUPERSEDED = "superseded by a later delivery"


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


def deliver(
    item: WorkItem,
    artifact: ArtifactRecord,
    study_token: str,
    room: Room,
    parts: Parts,
    by: Attempt,
    *,
    withdraw: bool = False,
) -> DeliveryRecord:
    """Put `deidentified.zip` into the target and record its receipt.

    Args:
        withdraw: what is superseded by it is to be removed from the target.

    Raises:
        TargetError: the target did not confirm it, or another accession lies there.
        ClaimLostError: another worker has taken the accession over.
    """
    key = key_of(item, study_token, parts)
    uri = parts.target.uri(key)
    target = parts.target.name
    if parts.ledger.delivered_elsewhere(
        item.accession_id, target, uri
    ) or not parts.ledger.announce_delivery(item.accession_id, target, uri, by.owner):
        raise TargetError(
            "Another accession of this study has been delivered to the same place.",
            "The source holds one study under two accession numbers: withdraw one of the rows.",
        )
    receipt = parts.target.put(room.deidentified_zip, key, sha256=artifact.sha256)
    parts.checkpoint("deliver:put")
    made = artifact.made_from or {}
    made_from = delivery_made_from(made[Kind.SOURCE.value], item, parts, made[Kind.KEY.value])
    record = DeliveryRecord(
        target=parts.target.name,
        uri=receipt.uri,
        sha256=receipt.sha256,
        size=receipt.size,
        instances=artifact.instances,
        fingerprint=fingerprint_of(made_from),
        made_from=made_from,
        row_id=item.row_id,
    )
    try:
        parts.ledger.record_delivered(
            item.accession_id,
            record,
            spent=() if parts.settings.keep_interim_files else (RAW, DEIDENTIFIED),
            withdraw=SUPERSEDED if withdraw else "",
            by=by,
        )
    except ClaimLostError:
        # Slept through its lease before the put, perhaps: whoever took the accession over, or
        # recalled it, has looked at this place before anything lay there.
        take_back(item.accession_id, record.uri, parts)
        raise
    parts.checkpoint("deliver:recorded")
    return record
