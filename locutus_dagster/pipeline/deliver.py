"""Phase 5: the de-identified zip, to every target of the workspace.

What belongs here: the delivery's key, and each target's confirmation into the ledger. What does
not: how a target stores (`targets/`), and targets that are added to what was delivered long ago
(`completing.py`).

Each target is asked by itself: what one has confirmed is recorded at once, and stays so when
another fails. The accession is delivered when every required target has confirmed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from locutus_dagster.errors import LocutusError, describe_unexpected
from locutus_dagster.identifying_text import holds_a_number
from locutus_dagster.ledger import LedgerError
from locutus_dagster.ledger.claims import ClaimLostError
from locutus_dagster.ledger.fingerprints import Kind, MadeFrom, changes, fingerprint_of
from locutus_dagster.ledger.work import (
    Announced,
    ArtifactRecord,
    Attempt,
    DeliveryRecord,
    Place,
    WorkItem,
)
from locutus_dagster.pipeline.extract import RAW
from locutus_dagster.pipeline.fingerprints import delivered_subject, delivery_made_from
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.pipeline.transform import DEIDENTIFIED
from locutus_dagster.pipeline.unrecorded import take_back, taken_back_if_lost
from locutus_dagster.targets import OccupiedError, TargetError, delivery_key, store_of
from locutus_dagster.targets.keys import safe_part

__all__ = [
    "SUPERSEDED",
    "Delivering",
    "NotDeliveredError",
    "Parcel",
    "deliver",
    "key_of",
    "put_into",
    "target_failed",
]

SUPERSEDED = "superseded by a later delivery"
_SHORT = 4  # characters; a value that is but a number, such as an age, names no shorter accession
_BARE_NUMBER = re.compile(r"[0-9]+([.,][0-9]+)?")


class NotDeliveredError(TargetError):
    """One required target at least has not confirmed; what others have confirmed is recorded."""


@dataclass(frozen=True)
class Parcel:
    """What is delivered.

    Attributes:
        zip_file: the de-identified zip, of which the artifact says the checksum.
        study_token: the study's pseudonym in the key.
        withdraw: what is superseded by it is to be removed from its target.
    """

    item: WorkItem
    artifact: ArtifactRecord
    study_token: str
    zip_file: Path
    withdraw: bool = False


@dataclass(frozen=True)
class Delivering:
    """What came of it: the confirmations, and of targets that are not required why they failed."""

    records: tuple[DeliveryRecord, ...]
    failed: tuple[str, ...] = ()


def key_of(item: WorkItem, study_token: str, parts: Parts, target: str) -> str:
    """The key under which the accession is delivered to a target.

    Raises:
        TargetError: it would carry the accession number, however that is written there; or the
            template is wrong.
    """
    told = parts.workspace_settings.targets[target]
    values = {
        "subject_id": delivered_subject(item, parts),
        "imaging_type": item.imaging_type,
        "age": item.age,
        "anatomical_position": item.anatomical_position,
    }
    key = partial(delivery_key, told.key_template, top=told.top)
    # As it is written, and as it would be written in a path.
    written = item.accession_number, safe_part(item.accession_number)
    for number in {*written} - {safe_part("")}:
        judged = values
        if len(number) < _SHORT:
            judged = {name: _no_bare_number(value) for name, value in values.items()}
        texts = *judged.values(), key(**judged, study="")
        if any(holds_a_number(text, [number]) for text in texts):
            raise TargetError(
                "The delivery's path would carry the accession number.",
                "Mend the manifest's columns or the key template.",
            )
    return key(**values, study=study_token)


def _no_bare_number(value: str) -> str:
    return "" if _BARE_NUMBER.fullmatch(value.strip()) else value


def deliver(parcel: Parcel, parts: Parts, by: Attempt) -> Delivering:
    """Put the zip into every target that has not confirmed it yet, and record the receipts.

    Raises:
        NotDeliveredError: a required target did not confirm it, or another accession lies there.
        ClaimLostError: another worker has taken the accession over.
    """
    identity = parcel.item.accession_id
    confirmed = _confirmed(parcel, parts)
    due = [name for name in parts.targets if name not in confirmed]
    missing: list[str] = []  # required, and not confirmed
    failed: list[str] = []
    finished = False
    for name in due:
        try:
            record = put_into(name, parcel, parts, by)
        except (ClaimLostError, LedgerError, OSError):
            raise  # no fault of the target's
        except Exception as error:  # noqa: BLE001 - one target must not hide what others confirm
            why = target_failed(name, parcel.item, error, parts, by)
            required = parts.workspace_settings.targets[name].required
            (missing if required else failed).append(why)
            continue
        finished = name == due[-1] and not missing
        _record(record, parcel, parts, by, finished=finished)
        confirmed[name] = record
    if missing:
        raise NotDeliveredError("; ".join(missing))
    if not finished:
        parts.ledger.record_delivered(identity, None, spent=_spent(parts), by=by)
        parts.checkpoint("deliver:recorded")
    records = (confirmed[name] for name in parts.targets if name in confirmed)
    return Delivering(tuple(records), tuple(failed))


def put_into(name: str, parcel: Parcel, parts: Parts, by: Attempt) -> DeliveryRecord:
    """Put the zip into one target; what it confirms is returned, and not recorded yet.

    Raises:
        TargetError: the target did not confirm it, is known to be down, or another accession lies
            there.
        ClaimLostError: another worker has taken the accession over.
    """
    item, artifact, target = parcel.item, parcel.artifact, parts.targets[name]
    parts.health.refuse(name)
    key = key_of(item, parcel.study_token, parts, name)
    place = Place(name, target.uri(key), store_of(target))
    announced = _announce(item.accession_id, place, parts, by)
    try:
        receipt = target.put(parcel.zip_file, key, sha256=artifact.sha256)
    except Exception as error:
        if isinstance(error, OccupiedError) and announced is Announced.NEW:
            # Nothing of this accession has ever lain there, so that a recall need not look.
            parts.ledger.forget_announced(item.accession_id, place, owner=by.owner)
        elif by.owner is not None and not parts.ledger.holds(item.accession_id, by.owner):
            take_back(item.accession_id, place, parts)  # whatever has come to lie there
        raise
    parts.checkpoint("deliver:put")
    made_from = _made_from(parcel, parts, name)
    return DeliveryRecord(
        target=name,
        uri=receipt.uri,
        sha256=receipt.sha256,
        size=receipt.size,
        instances=artifact.instances,
        fingerprint=fingerprint_of(made_from),
        made_from=made_from,
        row_id=item.row_id,
        checksum=receipt.checksum,
        version=receipt.version,
        store=place.store,
    )


def _announce(accession_id: int, place: Place, parts: Parts, by: Attempt) -> Announced:
    target, uri, store = place
    announced = Announced.TAKEN
    if not parts.ledger.delivered_elsewhere(accession_id, target, uri):
        announced = parts.ledger.announce_delivery(accession_id, target, uri, by.owner, store=store)
    if announced is Announced.TAKEN:
        raise TargetError(
            "Another accession of this study has been delivered to the same place.",
            "The source holds one study under two accession numbers: withdraw one of the rows.",
        )
    return announced


def target_failed(name: str, item: WorkItem, error: Exception, parts: Parts, by: Attempt) -> str:
    """Note that a target has failed, and find out whether it will fail the next one, too.

    Returns:
        Why, in words; with the target's name where there are several.
    """
    reason = str(error) if isinstance(error, LocutusError) else describe_unexpected(error)
    parts.ledger.record_target_failed(item.accession_id, name, reason, by=by)
    parts.health.failed(name)
    return reason if len(parts.targets) == 1 else f"target '{name}': {reason}"


def _made_from(parcel: Parcel, parts: Parts, target: str) -> MadeFrom:
    """What a delivery of the parcel to a target is made from, as the settings are now."""
    made = parcel.artifact.made_from or {}
    return delivery_made_from(
        made[Kind.SOURCE.value], parcel.item, parts, made[Kind.KEY.value], target
    )


def _confirmed(parcel: Parcel, parts: Parts) -> dict[str, DeliveryRecord]:
    """What targets have confirmed of the zip at hand, before another of them failed.

    What a target has confirmed in another place, or under another key, than it has now is not
    confirmed: nothing of it lies where it is looked for.
    """
    if len(parts.targets) == 1:
        return {}
    states = parts.ledger.target_states(parcel.item.accession_id)
    if not any(state.confirmed for state in states.values()):
        return {}
    found = {}
    for record in parts.ledger.standing(parcel.item.accession_id):
        state = states.get(record.target)
        if state is None or not state.confirmed or record.target not in parts.targets:
            continue
        if not changes(record.made_from or {}, _made_from(parcel, parts, record.target)):
            found[record.target] = record
    return found


def _record(
    record: DeliveryRecord, parcel: Parcel, parts: Parts, by: Attempt, *, finished: bool
) -> None:
    identity, why = parcel.item.accession_id, SUPERSEDED if parcel.withdraw else ""
    with taken_back_if_lost(identity, record.place, parts):
        if finished:
            parts.ledger.record_delivered(
                identity, record, spent=_spent(parts), withdraw=why, by=by
            )
        else:
            parts.ledger.record_delivery(identity, record, withdraw=why, by=by)
    parts.checkpoint("deliver:recorded")


def _spent(parts: Parts) -> Sequence[str]:
    return () if parts.settings.keep_interim_files else (RAW, DEIDENTIFIED)
