"""A report as JSON, for programs.

What belongs here: making it. What does not: what it looks like, which is written down in
`json_schema.py`.

Each row stands on a line of its own, so that a report can be compared and searched as text, and is
written as it is read.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, BinaryIO

from locutus_dagster.summarizer.forms.facts import head, named_accessions
from locutus_dagster.summarizer.forms.json_schema import FORMAT, VERSION
from locutus_dagster.summarizer.forms.wording import hours_since, utc
from locutus_dagster.summarizer.model import Bucket, Line, Stage, Summary

__all__ = ["write"]

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def write(summary: Summary, stream: BinaryIO, beside: str = "") -> None:
    """Write the report; `beside` is not used."""

    def put(text: str) -> None:
        stream.write(text.encode("utf-8", "replace"))

    put("{\n")
    for key, value in _fields(summary).items():
        put(f"{_encode(key)}: {_encode(value)},\n")
    put('"lines": [')
    between = "\n"
    for line in summary.lines if summary.detailed else ():
        put(between + _encode(_line(line, summary.as_of)))
        between = ",\n"
    put("\n]\n}\n")


def _fields(summary: Summary) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "title": summary.title,
        "workspace": summary.workspace,
        "manifests": list(summary.manifests),
        "as_of": _time(summary.as_of),
        "detailed": summary.detailed,
        "redacted": summary.redacted,
        "head": head(summary),
        "rows": summary.rows,
        "duplicates": summary.duplicates,
        "with_text": summary.with_text,
        "workspace_accessions": summary.workspace_accessions,
        "rejected": summary.rejected,
        "not_found_count": len(summary.not_found),
        "not_found": named_accessions(summary, summary.not_found),
        "buckets": [_bucket(one) for one in summary.buckets],
        "grouped": [_bucket(one) for one in summary.grouped],
        "states": {state.value: number for state, number in summary.states.items()},
        "failures": [
            {"phase": one.phase, "reason": one.reason, "accessions": one.accessions}
            for one in summary.failures
        ],
        "pace": summary.pace,
        "eta_seconds": None if summary.eta is None else summary.eta.total_seconds(),
        "history": [
            {
                "at": _time(one.at),
                "states": {state.value: number for state, number in one.states.items()},
            }
            for one in summary.history
        ],
        "work_seconds": (
            None if summary.work_width is None else summary.work_width.total_seconds()
        ),
        "work": [
            {"at": _time(one.at), "delivered": one.delivered, "failed": one.failed}
            for one in summary.work
        ],
        "stage": None if summary.stage is None else _stage(summary, summary.stage),
    }


def _stage(summary: Summary, stage: Stage) -> dict[str, Any]:
    return {
        "studies": stage.studies,
        "unnamed_count": len(stage.unnamed),
        "unnamed": named_accessions(summary, stage.unnamed),
        "lacking": list(stage.lacking),
        "polled_at": _time(stage.polled_at),
    }


def _bucket(bucket: Bucket) -> dict[str, Any]:
    return {"label": bucket.label, "count": bucket.count, "note": bucket.note}


def _line(line: Line, as_of: datetime) -> dict[str, Any]:
    return {
        "manifest": line.manifest,
        "row_number": line.row_number,
        "partition_key": line.partition_key,
        "subject_id": line.subject_id,
        "imaging_type": line.imaging_type,
        "age": line.age,
        "anatomical_position": line.anatomical_position,
        "accession_number": line.accession_number,
        "duplicate": line.duplicate,
        "status": line.status,
        "bucket": line.bucket,
        "state": line.state.value if line.state else None,
        "phase": line.phase,
        "reason": line.reason,
        "label": line.label,
        "changed": line.changed,
        "last_change": _time(line.last_change),
        "hours_since_last_change": hours_since(line.last_change, as_of),
        "processed_at": _time(line.processed_at),
        "targets": line.targets,
        "file_name": line.file_name,
        "qc_status": line.qc_status,
        "qc_url": line.qc_url,
        "instances": line.instances,
        "delivered": line.delivered,
        "withheld": line.withheld,
        "studies": [{"number": study.number, "facts": dict(study.facts)} for study in line.studies],
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else utc(at).isoformat().replace("+00:00", "Z")
