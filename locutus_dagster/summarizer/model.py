"""What a Summarizer report says, whatever form it takes.

What belongs here: the values that every form is written from. What does not: finding them out
(`gathering.py`), and writing them (`forms/`).

A redacted report is made redacted (`redacting.py`) before any form sees it, so that no form can
forget to.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from locutus_dagster.ledger.states import State

__all__ = [
    "Bucket",
    "Failure",
    "Identifiers",
    "Line",
    "Moment",
    "Stage",
    "StudyOfSeveral",
    "Summary",
    "Worked",
]


class Identifiers:
    """Every accession number and subject that a report's workspace knows, to be taken out of texts.

    No data class: nothing that writes the parts of a report writes these.
    """

    __slots__ = ("accession_numbers", "subjects")

    def __init__(
        self, accession_numbers: Collection[str] = (), subjects: Collection[str] = ()
    ) -> None:
        self.accession_numbers = frozenset(accession_numbers)
        self.subjects = frozenset(subjects)

    def __repr__(self) -> str:
        return f"Identifiers({len(self.accession_numbers)}, {len(self.subjects)})"


@dataclass(frozen=True, slots=True)
class StudyOfSeveral:
    """One of several studies that the source holds for an accession; asked for on request.

    Attributes:
        number: 1, 2, …: the handle of the study identifies, and is not told.
        facts: label → value, such as "Modality" → "CT"; free of identifiers.
    """

    number: int
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a manifest as it stands; a detailed report has one for each.

    Attributes:
        manifest: its name; empty for a row that was asked about and is in none.
        row_number: in the manifest, from 1; in the file that was asked with, where one was.
        partition_key: None for a duplicate, a rejected row or one that nobody knows.
        accession_number: identifies; "REDACTED_ACCESSION" in a redacted report.
        duplicate: an earlier row of the same manifest names the accession.
        status: in the reference's words; NOT_FOUND for what no manifest of the ledger names.
        bucket: the label of the bucket that it is counted in.
        state: None for what the ledger does not know, and for rejected rows.
        changed: kinds in which it differs from the delivery that stands.
        last_change: when the state last changed (UTC).
        processed_at: when it was last delivered (UTC).
        targets: URIs of standing deliveries; the names of their targets in a redacted report.
        file_name: last part of the first of them.
        qc_status: as the manifest gives it.
        studies: where several studies stand in the way and they were asked for.
        line: in the file that the row stands in, from 1.
        target_names: the names of the targets, one for each of `targets`.
    """

    manifest: str
    row_number: int
    partition_key: str | None
    subject_id: str
    imaging_type: str
    age: str
    anatomical_position: str
    accession_number: str = field(repr=False)
    duplicate: bool
    status: str
    bucket: str
    state: State | None
    phase: int | None = None
    reason: str = ""
    label: str = ""
    changed: tuple[str, ...] = ()
    last_change: datetime | None = None
    processed_at: datetime | None = None
    targets: tuple[str, ...] = ()
    file_name: str = ""
    qc_status: str = ""
    qc_url: str = ""
    instances: int | None = None
    delivered: int | None = None
    withheld: int | None = None
    studies: tuple[StudyOfSeveral, ...] = ()
    line: int | None = None
    target_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bucket:
    """One line of the counts, with the reference's label; in its order."""

    label: str
    count: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Accessions that failed in the same phase for the same reason, each counted once."""

    phase: int
    reason: str
    accessions: int


@dataclass(frozen=True, slots=True)
class Moment:
    """How many accessions stood in which state at a point in time (UTC), for the plots."""

    at: datetime
    states: Mapping[State, int]


@dataclass(frozen=True, slots=True)
class Worked:
    """What was done in one stretch of time.

    Attributes:
        at: its beginning (UTC).
        delivered: accessions delivered.
        failed: accessions that failed.
    """

    at: datetime
    delivered: int
    failed: int


@dataclass(frozen=True, slots=True)
class Stage:
    """The manifests held against what the source is known to hold; None where nobody watches it.

    Attributes:
        unnamed: accession numbers of studies that no manifest names; empty strings when redacted.
        lacking: rows of manifests whose accession the source does not hold.
    """

    studies: int
    unnamed: Sequence[str] = field(default=(), repr=False)
    lacking: Sequence[str] = field(default=(), repr=False)  # partition keys
    polled_at: datetime | None = None


@dataclass(frozen=True)
class Summary:
    """A whole report.

    Attributes:
        title: what it is about: the workspace, or manifests, or a file.
        workspace: the project.
        manifests: the names of those that it covers.
        as_of: when it was made (UTC).
        detailed: whether there is a line for each row.
        redacted: whether accession numbers and subjects have been taken out.
        settings: facts for the head of the report, in order: what was asked for, and where.
        rows: all rows that were counted; the buckets and `not_found` add up to it.
        duplicates: rows that repeat an accession of the same manifest.
        with_text: rows whose accession number is no plain whole number: with letters, signs, blanks
            or leading zeros.
        workspace_accessions: distinct accessions of the whole workspace.
        not_found: accession numbers that no manifest of the ledger names, one for each row that
            asked for one (ad hoc reports).
        rejected: rows that were not accepted when their manifest was loaded.
        buckets: how the rows stand, in the reference's words and order.
        grouped: label → count over distinct texts of status, the most frequent first.
        states: rows by typed state; those of rejected rows and unknown accessions are in none.
        failures: errors grouped by message.
        lines: one for each row, where detailed; they may be read as often as there are forms.
        history: how the states developed.
        work: what was done when, in stretches of `work_width`, those without any included.
        pace: accessions an hour that are open no more, None when nothing is at work.
        eta: how long what is open will take at that pace.
        stage: the source's side.
        work_width: how long a stretch of `work` is; None where there is none.
        identifiers: what redacting looks for; nothing once it has been done. No form shows it.
    """

    title: str
    workspace: str
    manifests: tuple[str, ...]
    as_of: datetime
    detailed: bool
    redacted: bool
    settings: Mapping[str, str]
    rows: int
    duplicates: int
    with_text: int
    workspace_accessions: int
    not_found: Sequence[str] = field(repr=False)
    rejected: int
    buckets: Sequence[Bucket]
    grouped: Sequence[Bucket]
    states: Mapping[State, int]
    failures: Sequence[Failure]
    lines: Sequence[Line] = field(repr=False)
    history: Sequence[Moment] = ()
    work: Sequence[Worked] = ()
    pace: float | None = None
    eta: timedelta | None = None
    stage: Stage | None = None
    work_width: timedelta | None = None
    identifiers: Identifiers = field(default_factory=Identifiers, repr=False, compare=False)
