"""A report with everything in it, put together by hand at a fixed time.

What belongs here: one summary in which every state, every part of the model and hostile values
occur. What does not: gathering one from a ledger.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from locutus_dagster.ledger.states import State
from locutus_dagster.summarizer.model import (
    Bucket,
    Failure,
    Line,
    Moment,
    Stage,
    StudyOfSeveral,
    Summary,
    Worked,
)

__all__ = ["AS_OF", "HOSTILE", "IDENTIFIERS", "a_line", "a_summary", "many_lines"]

AS_OF = datetime(2026, 11, 22, 6, 30, tzinfo=timezone.utc)
_HOUR = timedelta(hours=1)
#: An accession number that the loader accepts, and that a spreadsheet would calculate.
HOSTILE = "=1+1|A"
#: What identifies in the report below.
IDENTIFIERS = ("ACC0", HOSTILE, "-77X", "NOWHERE", "UNNAMED", "SUBJ-")
_STATUS = {
    State.LOADED: "ZZZ-ONDECK-4-PROCESSING_CHANGE:autumn batch",
    State.PENDING: "PENDING_CHANGE",
    State.AMBIGUOUS: "ERROR_MULTIPLE_CHANGE_UUIDS",
    State.WAITING: "PENDING_CHANGE_RADIOLOGY_MERGE",
    State.DROPPED: "RESOLVED_MULTIUUIDS_DELETED_LOCALLY",
    State.EXTRACTED: "PROCESSING_CHANGE_at_PHASE03",
    State.DEIDENTIFIED: "PROCESSING_CHANGE_at_PHASE04",
    State.DELIVERED: "PROCESSED",
    State.FAILED: "ERROR_PHASE04=[no pixel data, or <none> that | can be read]",
    State.REQUESTED: "RE-PROCESSING_CHANGE_MOMENTARILY",
    State.RECALLED: "RECALLED",
}
_BUCKET = {
    State.LOADED: "ZZZ-ONDECK-4-PROCESSING_CHANGE[*]",
    State.AMBIGUOUS: "ERROR_MULTIPLE_CHANGE_UUIDS[*]",
    State.DROPPED: "RESOLVED_MULTIUUIDS[*]",
    State.EXTRACTED: "PROCESSING_CHANGE[*]",
    State.DEIDENTIFIED: "PROCESSING_CHANGE[*]",
    State.FAILED: "ERROR[*] (other errors)",
    State.REQUESTED: "RE-PROCESSING_CHANGE[*]",
}


def a_line(number: int, state: State | None = State.DELIVERED, **values: object) -> Line:
    """A row of the manifest `autumn`, whole for its state, but for what is named."""
    status = _STATUS[state] if state else "NOT_FOUND"
    fields: dict[str, object] = {
        "manifest": "autumn",
        "row_number": number,
        "partition_key": f"autumn~{number:06d}",
        "subject_id": f"SUBJ-{number}",
        "imaging_type": "MR",
        "age": str(4000 + number),
        "anatomical_position": "BRAIN",
        "accession_number": f"ACC{number:04d}",
        "duplicate": False,
        "status": status,
        "bucket": _BUCKET.get(state, status) if state else status,
        "state": state,
        "last_change": AS_OF - number * 5 * _HOUR,
        "line": number + 1,
    }
    if state is State.DELIVERED:
        uri = f"s3://research/SUBJ-{number}/SUBJ-{number}_{4000 + number}d_BRAIN.zip"
        fields |= {
            "processed_at": AS_OF - number * 5 * _HOUR,
            "targets": (uri,),
            "file_name": uri.rpartition("/")[2],
            "target_names": ("s3",),
            "instances": 120 + number,
            "delivered": 118 + number,
            "withheld": 2,
            "qc_status": "PASS",
        }
    if state is State.FAILED:
        fields |= {"phase": 4, "reason": "no pixel data, or <none> that | can be read"}
    return Line(**{**fields, **values})  # type: ignore[arg-type]


def _lines() -> tuple[Line, ...]:
    states = [a_line(number, state) for number, state in enumerate(State, start=1)]
    states[0] = replace(states[0], label="autumn batch")
    states[2] = replace(
        states[2],
        studies=(
            StudyOfSeveral(1, {"Modality": "MR", "NumSeries": "6", "NumImages": "812"}),
            StudyOfSeveral(2, {"Modality": "MR", "NumSeries": "1", "NumImages": "30"}),
        ),
    )
    previous = "PREVIOUS_PROCESSING_USED_[SUBJ-0/MR]_PRERETIRE_OR_PREDELETE_TO_REPROCESS_[SUBJ-12]"
    return (
        *states,
        a_line(
            12,
            status=previous,
            bucket="PREVIOUS_PROCESSING_USED_[*]",
            changed=("subject", "policy"),
            qc_url="https://qc.example/study/12?a=1&b=2",
        ),
        a_line(13, State.PENDING, duplicate=True, partition_key=None, accession_number="ACC0002"),
        a_line(14, State.PENDING, accession_number=HOSTILE, imaging_type='CT, "low dose"'),
        a_line(15, State.PENDING, accession_number="-77X", anatomical_position="@HOME"),
        a_line(
            16,
            None,
            partition_key=None,
            subject_id="",
            status="REJECTED=[SUBJECT_ID: empty]",
            bucket="REJECTED",
            reason="SUBJECT_ID: empty",
            last_change=None,
        ),
        a_line(
            17,
            None,
            manifest="",
            partition_key=None,
            accession_number="NOWHERE1",
            last_change=None,
        ),
    )


def _redacted(line: Line) -> Line:
    return replace(
        line,
        subject_id="REDACTED_SUBJECT" if line.subject_id else "",
        accession_number="REDACTED_ACCESSION",
        status=line.status.replace("SUBJ-", "REDACTED_SUBJECT "),
        targets=line.target_names,
        file_name="",
    )


def a_summary(
    *, detailed: bool = True, redacted: bool = False, lines: tuple[Line, ...] | None = None
) -> Summary:
    """The report; of an overview, and of a redacted one, as gathering them leaves it."""
    found = _lines() if lines is None else lines
    states = {state: sum(line.state is state for line in found) for state in State}
    labels = list(dict.fromkeys(line.bucket for line in found))
    shown = tuple(map(_redacted, found)) if redacted else found
    counts = {label: sum(line.bucket == label for line in found) for label in labels}
    buckets = [Bucket(label, count) for label, count in counts.items() if label != "NOT_FOUND"]
    not_found = [line.accession_number for line in shown if line.bucket == "NOT_FOUND"]
    statuses = dict.fromkeys(line.status for line in found)
    return Summary(
        title="Workspace neuro, manifest autumn <2026>",
        workspace="neuro",
        manifests=("autumn",),
        as_of=AS_OF,
        detailed=detailed,
        redacted=redacted,
        settings={"APP_VERSION": "1.2.3", "SHOW_MULTIUUIDS": "True", "SELECTION": "all of it"},
        rows=len(found),
        duplicates=sum(line.duplicate for line in found),
        with_text=len(found) - 1,
        workspace_accessions=4321,
        not_found=not_found,
        rejected=counts.get("REJECTED", 0),
        buckets=(*buckets, Bucket("other", 0, "")),
        grouped=tuple(
            Bucket(status.replace("SUBJ-", "…"), sum(line.status == status for line in found))
            for status in statuses
        ),
        states={state: number for state, number in states.items() if number},
        failures=(
            Failure(4, "no pixel data, or <none> that | can be read", 1),
            Failure(5, "=the target refused the zip", 3),
        ),
        lines=shown if detailed else (),
        history=_history(states),
        work=tuple(
            Worked(AS_OF - (24 - hour) * _HOUR, max(0, 9 - abs(12 - hour)), int(hour % 7 == 3))
            for hour in range(24)
        ),
        work_width=_HOUR,
        pace=84.6,
        eta=timedelta(hours=3, minutes=12),
        stage=Stage(
            812,
            ("", "") if redacted else ("UNNAMED1", "UNNAMED2"),
            ("autumn~000002",),
            AS_OF - timedelta(minutes=3),
        ),
    )


def _history(states: dict[State, int]) -> tuple[Moment, ...]:
    total = sum(states.values())
    moments = [Moment(AS_OF - 24 * _HOUR, {})]
    for step in range(1, 12):
        reached = {state: number * step // 12 for state, number in states.items()}
        reached[State.LOADED] += total - sum(reached.values())
        moments.append(Moment(AS_OF - (24 - 2 * step) * _HOUR, reached))
    return (*moments, Moment(AS_OF, states))


def many_lines(number: int) -> tuple[Line, ...]:
    """So many rows: most are delivered, some wait, a few have failed."""
    kinds = (*[State.DELIVERED] * 16, State.PENDING, State.PENDING, State.LOADED, State.FAILED)
    return tuple(a_line(at, kinds[at % len(kinds)]) for at in range(1, number + 1))
