"""A target that was added, or that has failed: it gets what stands at another target.

What belongs here: bringing a delivery back, verified, and putting it into the targets that miss
it. What does not: the first delivery (`deliver.py`), and whether it is wanted (`deciding.py`).

Nothing is extracted or de-identified for it: the very bytes that were delivered before are
delivered again, and only if they still are what the ledger says.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from locutus_dagster.durable_files import atomic_file
from locutus_dagster.interim import Room
from locutus_dagster.ledger import LedgerError
from locutus_dagster.ledger.claims import ClaimLostError
from locutus_dagster.ledger.work import ArtifactRecord, Attempt, DeliveryRecord, WorkItem
from locutus_dagster.pipeline.deliver import (
    Delivering,
    NotDeliveredError,
    Parcel,
    put_into,
    target_failed,
)
from locutus_dagster.pipeline.host import HOST
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.pipeline.transform import DEIDENTIFIED
from locutus_dagster.pipeline.unrecorded import taken_back_if_lost
from locutus_dagster.pipeline.withdrawing import why_kept
from locutus_dagster.targets import TargetError, refuse_elsewhere

__all__ = ["complete"]

_CHUNK = 1024 * 1024


def complete(
    item: WorkItem, missing: Sequence[str], room: Room, parts: Parts, by: Attempt
) -> Delivering:
    """Deliver to the targets that miss what stands elsewhere.

    Raises:
        NotDeliveredError: a required target did not confirm it; what stood before still stands.
        TargetError: no target gives the delivery back.
        ClaimLostError: another worker has taken the accession over.
    """
    standing = parts.ledger.standing(item.accession_id)
    artifact = _bring_back(standing, room, parts)
    parcel = Parcel(item, artifact, item.study_token or "", room.deidentified_zip)
    made: list[DeliveryRecord] = []
    lacking: list[str] = []  # required, and not confirmed
    failed: list[str] = []
    for name in missing:
        try:
            record = put_into(name, parcel, parts, by)
        except (ClaimLostError, LedgerError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - one target must not hide what others confirm
            why = target_failed(name, item, error, parts, by)
            required = parts.workspace_settings.targets[name].required
            (lacking if required else failed).append(why)
            continue
        with taken_back_if_lost(item.accession_id, record.place, parts):
            parts.ledger.record_delivery(item.accession_id, record, withdraw="", by=by)
        parts.checkpoint("complete:recorded")
        made.append(record)
    room.deidentified_zip.unlink(missing_ok=True)
    if lacking:
        raise NotDeliveredError("; ".join(lacking), "What was delivered before still stands.")
    return Delivering((*standing, *made), tuple(failed))


def _bring_back(standing: Sequence[DeliveryRecord], room: Room, parts: Parts) -> ArtifactRecord:
    """Fetch a delivery into the room from the first target that still has its very bytes."""
    refusals = []
    for one in reversed(standing):
        target = parts.targets.get(one.target)
        if target is None:
            continue
        room.reserve(one.size)
        try:
            refuse_elsewhere(target, one.store)
            with target.open(one.uri) as stream, atomic_file(room.deidentified_zip, 0o600) as into:
                hasher = hashlib.sha256()
                while chunk := stream.read(_CHUNK):
                    hasher.update(chunk)
                    into.write(chunk)
                if hasher.hexdigest() != one.sha256:
                    raise TargetError(
                        f"Target '{one.target}' holds other bytes than were delivered there.",
                        "Somebody has changed them: look at it, and process the accession again.",
                    )
        except OSError:
            raise  # of the scratch disk
        except Exception as error:  # noqa: BLE001 - another target may give it back
            refusals.append(why_kept(error))
            continue
        return _artifact(one, room.deidentified_zip)
    raise TargetError("; ".join(refusals) or "No configured target holds the delivery.")


def _artifact(one: DeliveryRecord, path: Path) -> ArtifactRecord:
    return ArtifactRecord(
        kind=DEIDENTIFIED,
        host=HOST,
        path=os.fspath(path),
        sha256=one.sha256,
        size=one.size,
        instances=one.instances,
        fingerprint=one.fingerprint,
        made_from=one.made_from,
    )
