"""What a report as JSON looks like, for the programs that read it.

What belongs here: the schema (JSON Schema 2020-12) and its version. What does not: writing a report
(`json.py`).

`version` grows by one when a field that was there changes its meaning or goes; a new field alone
does not change it, so readers pass over fields that they do not know.
"""

from __future__ import annotations

from typing import Any

from locutus_dagster.ledger.states import State

__all__ = ["FORMAT", "VERSION", "report_schema"]

FORMAT, VERSION = "locutus-report", 1

_TEXT: dict[str, Any] = {"type": "string"}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
_NUMBER: dict[str, Any] = {"type": ["number", "null"]}
_MAYBE_COUNT: dict[str, Any] = {"type": ["integer", "null"], "minimum": 0}
_MAYBE_TEXT: dict[str, Any] = {"type": ["string", "null"]}
_TIME: dict[str, Any] = {"type": "string", "format": "date-time", "description": "UTC"}
_MAYBE_TIME: dict[str, Any] = {**_TIME, "type": ["string", "null"]}
_STATE: dict[str, Any] = {"enum": [state.value for state in State]}
_STATES: dict[str, Any] = {
    "type": "object",
    "propertyNames": _STATE,
    "additionalProperties": _COUNT,
    "description": "state → rows",
}
_FACTS: dict[str, Any] = {"type": "object", "additionalProperties": _TEXT}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: dict[str, Any], description: str = "") -> dict[str, Any]:
    told = {"description": description} if description else {}
    return {"type": "array", "items": items, **told}


def _line() -> dict[str, Any]:
    return _object(
        manifest=_TEXT,
        row_number=_COUNT,
        partition_key=_MAYBE_TEXT,
        subject_id=_TEXT,
        imaging_type=_TEXT,
        age=_TEXT,
        anatomical_position=_TEXT,
        accession_number=_TEXT,
        duplicate={"type": "boolean"},
        status={**_TEXT, "description": "in the reference's words"},
        bucket={**_TEXT, "description": "the label among `buckets` that it is counted under"},
        state={"enum": [*_STATE["enum"], None]},
        phase=_MAYBE_COUNT,
        reason=_TEXT,
        label=_TEXT,
        changed=_list(_TEXT, "kinds in which it differs from the delivery that stands"),
        last_change=_MAYBE_TIME,
        hours_since_last_change={**_NUMBER, "minimum": 0},
        processed_at=_MAYBE_TIME,
        targets=_list(_TEXT, "URIs of deliveries; names of targets in a redacted report"),
        file_name=_TEXT,
        qc_status=_TEXT,
        qc_url=_TEXT,
        instances=_MAYBE_COUNT,
        delivered=_MAYBE_COUNT,
        withheld=_MAYBE_COUNT,
        studies=_list(_object(number=_COUNT, facts=_FACTS)),
    )


def report_schema() -> dict[str, Any]:
    """The schema of a report."""
    bucket = _object(label=_TEXT, count=_COUNT, note=_TEXT)
    stage = _object(
        studies=_COUNT,
        unnamed_count=_COUNT,
        unnamed=_list(_TEXT, "accession numbers; empty in a redacted report"),
        lacking=_list(_TEXT, "partition keys"),
        polled_at=_MAYBE_TIME,
    )
    report = _object(
        format={"const": FORMAT},
        version={"const": VERSION},
        title=_TEXT,
        workspace=_TEXT,
        manifests=_list(_TEXT),
        as_of=_TIME,
        detailed={"type": "boolean"},
        redacted={"type": "boolean"},
        head={**_FACTS, "description": "label → value, in the reference's order"},
        rows=_COUNT,
        duplicates=_COUNT,
        with_text=_COUNT,
        workspace_accessions=_COUNT,
        rejected=_COUNT,
        not_found_count=_COUNT,
        not_found=_list(_TEXT, "accession numbers; empty in a redacted report"),
        buckets=_list(bucket, "with `not_found_count` they add up to `rows`"),
        grouped=_list(bucket, "distinct statuses, the most frequent first"),
        states=_STATES,
        failures=_list(_object(phase=_COUNT, reason=_TEXT, accessions=_COUNT)),
        pace={**_NUMBER, "description": "accessions an hour; null when nothing is at work"},
        eta_seconds=_NUMBER,
        history=_list(_object(at=_TIME, states=_STATES)),
        work_seconds={**_NUMBER, "description": "how long each stretch of `work` is"},
        work=_list(_object(at=_TIME, delivered=_COUNT, failed=_COUNT)),
        stage={**stage, "type": ["object", "null"]},
        lines=_list(_line(), "a row each in a detailed report, else empty"),
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A report of Locutus on Dagster",
        **report,
    }
