"""What the ledger knows of one accession, as plain values: what is printed, and what JSON says.

What belongs here: gathering, and leaving out what must not be shown. What does not: tables
(`show.py`), questions (`ledger/`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.fingerprints import Kind
from locutus_dagster.ledger.lookup import AccessionRecord, Found, FoundBy, RowRecord
from locutus_dagster.ledger.recalls import RecallRecord
from locutus_dagster.ledger.reference_status import previous_processing_used, status
from locutus_dagster.ledger.states import MEANINGS
from locutus_dagster.ledger.work import DeliveryRecord
from locutus_dagster.pipeline.host import HOST

__all__ = ["accession_facts", "brief_facts", "when"]

Facts = dict[str, Any]

_SHORT = 12  # digits of a fingerprint: enough to tell two apart, short enough to be compared by eye
_OF_THE_MANIFEST = (Kind.SUBJECT.value, Kind.ATTRIBUTES.value)


def when(at: datetime | None) -> str | None:
    """A time as it is shown everywhere."""
    return None if at is None else at.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def brief_facts(ledger: Ledger, found: Found, *, show_number: bool) -> Facts:
    """How an accession stands and what names it.

    Args:
        show_number: whether its accession number may be shown; else nothing of it is in the facts
            unless it was what the accession was found by.
    """
    record = ledger.accession_record(found.accession_id)
    decision = ledger.resolution(record.identity)
    busy = record.claimed_by is not None
    facts: Facts = {
        "workspace": record.workspace,
        "found_by": [way.value for way in found.by],
        "state": record.state.value,
        "meaning": MEANINGS[record.state],
        "reference_status": status(
            record.state,
            record.phase,
            record.reason,
            label=record.label,
            command=decision.command if decision else None,
            in_hand=busy,
            on_deck=record.on_deck,
        ),
        "reason": record.reason,
        "phase": record.phase,
        "label": record.label,
        "generation": record.generation,
        "updated_at": when(record.updated_at),
        "run": record.run_id,
        # A worker's name begins with its host's.
        "in_hand": {
            "host": (record.claimed_by or "").partition("|")[0],
            "until": when(record.claimed_until),
        }
        if busy
        else None,
        "study": {
            "uid": record.study_uid,
            "instances": record.instances,
            "delivered": record.delivered,
            "withheld": record.withheld,
        },
        "rows": _rows(ledger, record),
    }
    if show_number or FoundBy.ACCESSION in found.by:
        facts["accession_number"] = record.accession_number
    return facts


def accession_facts(
    ledger: Ledger, found: Found, recalls: Iterable[RecallRecord], *, show_number: bool
) -> Facts:
    """All that the ledger knows of an accession, but for the source's handles of its studies.

    Args:
        recalls: of the workspace.
        show_number: as for `brief_facts`.
    """
    identity = found.accession_id
    facts = brief_facts(ledger, found, show_number=show_number)
    keys = {row["id"]: row["partition"] for row in facts["rows"]}
    subjects = {row["subject_id"] for row in facts["rows"]}
    deliveries = ledger.deliveries(identity)
    standing = [one for one in deliveries if one.stands]
    report = ledger.deid_report(identity)
    fates: Counter[tuple[str, str]] = Counter()
    for one in ledger.dispositions(identity):
        fates[one.disposition, one.reason] += one.instances
    facts |= {
        "made_from": _short(standing[-1].made_from) if standing else {},
        "deidentified_with": report
        and {
            "policy": report.policy_name,
            "policy_fingerprint": report.policy_fingerprint,
            "key": report.key_id,
            "engine": report.engine_version,
            "at": when(report.created_at),
        },
        "instances": [
            {"disposition": disposition, "reason": reason, "instances": number}
            for (disposition, reason), number in sorted(fates.items())
        ],
        "deliveries": [_delivery(one, keys) for one in deliveries],
        "targets": [
            {
                "target": one.target,
                "stands": "has confirmed; others have not" if one.confirmed else "failed",
                "tries": one.tries or None,
                "at": when(one.at),
                "reason": one.reason,
            }
            for one in ledger.target_states(identity).values()
        ],
        "interim": [
            {
                "kind": one.kind,
                "host": one.host,
                "here": one.host == HOST,
                "bytes": one.size,
                "sha256": one.sha256,
                "made_from": _short(one.made_from),
            }
            for one in ledger.artifacts(identity)
        ],
        "retired": [
            {
                "generation": one.generation,
                "state": one.state.value,
                "reason": one.reason,
                "why": one.why,
                "record_deleted": one.deleted,
                "partition": keys.get(one.row_id),
                "study_uid": one.study_uid,
                "instances": one.instances,
                "delivered": one.delivered,
                "withheld": one.withheld,
                "run": one.run_id,
                "at": when(one.retired_at),
            }
            for one in ledger.retired(identity)
        ],
        "resolutions": _resolutions(ledger, identity),
        "recalls": [
            {
                "of": "subject" if one.subject_id is not None else "accession",
                "reason": one.reason,
                "at": when(one.recalled_at),
                "lifted_at": when(one.lifted_at),
                "lifted_reason": one.lifted_reason,
            }
            for one in recalls
            if one.accession_id == identity or one.subject_id in subjects
        ],
        "history": [
            {
                "at": when(one.at),
                "from": one.before.value,
                "to": one.after.value,
                "phase": one.phase,
                "why": one.reason,
                "partition": keys.get(one.row_id),
                "run": one.run_id,
                "settings": one.settings,
                "generation": one.generation,
                "label": one.label,
            }
            for one in ledger.events(identity)
        ],
    }
    return facts


def _rows(ledger: Ledger, record: AccessionRecord) -> list[Facts]:
    rows = ledger.rows_of(record.identity)
    standing = ledger.standing(record.identity) if any(row.changed for row in rows) else []
    made_for = next((row for row in rows if standing and row.row_id == standing[-1].row_id), None)
    return [
        {
            "id": row.row_id,
            "manifest": row.manifest,
            "loaded_at": when(row.loaded_at),
            "row": row.row_number,
            "line": row.line,
            "partition": row.partition_key,
            "duplicate_of_row": row.duplicate_of,
            "subject_id": row.subject_id,
            "imaging_type": row.imaging_type,
            "age_days": row.age,
            "anatomical_position": row.anatomical_position,
            "deid_qc_status": row.deid_qc_status,
            # What follows the command may be the source's handle of a study.
            "resolve_via": row.resolve_via.partition(":")[0],
            "processed_for": row.row_id == record.row_id,
            "changed": row.changed.split(",") if row.changed else [],
            "reference_status": _changed_status(row, made_for, record.state),
        }
        for row in rows
    ]


def _changed_status(row: RowRecord, made_for: RowRecord | None, state: State) -> str | None:
    """The reference's text for a row that differs from the delivery, None where it does not."""
    if not row.changed:
        return None
    settings = [kind for kind in row.changed.split(",") if kind not in _OF_THE_MANIFEST]
    return previous_processing_used(
        _attributes(made_for),
        _attributes(row),
        settings,
        reprocessing=state is not State.DELIVERED,
    )


def _attributes(row: RowRecord | None) -> list[str]:
    if row is None:
        return ["?"]
    return [row.subject_id, row.imaging_type, row.age, row.anatomical_position]


def _short(made_from: Mapping[str, str] | None) -> dict[str, str]:
    known = made_from or {}
    return {kind.value: known[kind.value][:_SHORT] for kind in Kind if kind.value in known}


def _delivery(one: DeliveryRecord, keys: Mapping[int, str | None]) -> Facts:
    stands = "standing"
    if one.withdrawn_at is not None:
        stands = "withdrawn"
    elif one.superseded_at is not None:
        stands = "superseded"
    return {
        "stands": stands,
        "target": one.target,
        "uri": one.uri,
        "bytes": one.size,
        "sha256": one.sha256,
        "checksum": one.checksum,
        "version": one.version,
        "instances": one.instances,
        "generation": one.generation,
        "partition": None if one.row_id is None else keys.get(one.row_id),
        "run": one.run_id,
        "delivered_at": when(one.delivered_at),
        "superseded_at": when(one.superseded_at),
        "withdrawal_asked": one.withdrawal,
        "withdrawn_at": when(one.withdrawn_at),
        "withdrawn": one.withdrawn,
    }


def _resolutions(ledger: Ledger, accession_id: int) -> list[Facts]:
    standing = ledger.resolution(accession_id)
    return [
        {
            "command": one.command.value,
            "study_chosen": one.chosen is not None,
            "studies_passed_over": len(one.passed_over),
            "reason": one.reason,
            "at": when(one.resolved_at),
            "stands": one == standing,
        }
        for one in ledger.resolutions(accession_id)
    ]
