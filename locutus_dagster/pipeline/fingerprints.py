"""What an accession's artifacts are made from, as it is at this moment.

What belongs here: computing a fingerprint for each kind. What does not: what a difference means
(`ledger/fingerprints.py`), what is done about it (`deciding.py`).
"""

from __future__ import annotations

from locutus_dagster.deid import ENGINE_VERSION
from locutus_dagster.deid.study import FRESH, check_subject_id
from locutus_dagster.ledger.fingerprints import Kind, MadeFrom, digest
from locutus_dagster.ledger.work import WorkItem
from locutus_dagster.pipeline.parts import Parts

__all__ = [
    "delivered_subject",
    "delivery_made_from",
    "settings_fingerprint",
    "usable_key_ids",
    "zip_made_from",
]


def delivered_subject(item: WorkItem, parts: Parts) -> str:
    """The research identity that the delivered files carry: with the policy's preface.

    The delivery's path carries the same one, so that a folder is called as the patient in it.

    Raises:
        DeidError: it cannot stand in Patient ID and Patient's Name.
    """
    return check_subject_id(parts.policy.settings.subject_preface + item.subject_id)


def usable_key_ids(parts: Parts) -> tuple[str, ...]:
    """The names of the keys that a finished delivery may have been made with, the current one last.

    Under a policy that asks for fresh identities the workspace's keys have no part in it, and two
    runs over one study differ: a fingerprint then says what a zip was made from and not which bytes
    it holds. That is said by the checksum in the ledger alone.
    """
    if parts.policy.settings.identities == FRESH:
        return (FRESH,)
    return parts.keys.key_ids


def zip_made_from(source_fingerprint: str, item: WorkItem, parts: Parts, key_id: str) -> MadeFrom:
    """What a de-identified zip is made from, with the policy at hand."""
    return {
        Kind.SOURCE.value: source_fingerprint,
        Kind.SUBJECT.value: digest(item.subject_id),
        Kind.POLICY.value: parts.policy.rules_fingerprint,
        Kind.ENGINE.value: ENGINE_VERSION,
        Kind.KEY.value: key_id,
    }


def delivery_made_from(
    source_fingerprint: str, item: WorkItem, parts: Parts, key_id: str, target: str
) -> MadeFrom:
    """What a delivery is made from: the zip, the row's other attributes, and the target.

    Args:
        target: its name.
    """
    return {
        **zip_made_from(source_fingerprint, item, parts, key_id),
        Kind.ATTRIBUTES.value: item.attributes_fingerprint,
        Kind.TARGET.value: digest(*_target_parts(parts, target)),
    }


def settings_fingerprint(parts: Parts) -> str:
    """What an event remembers of the settings: policy, key, source, target; no secret."""
    targets = (part for name in parts.targets for part in _target_parts(parts, name))
    return digest(
        parts.policy.fingerprint,
        parts.keys.current.key_id,
        parts.workspace_settings.source.kind,
        *targets,
    )[:16]


def _target_parts(parts: Parts, name: str) -> tuple[str, str, str, str]:
    told = parts.workspace_settings.targets[name]
    return name, parts.targets[name].place, told.key_template, told.top
