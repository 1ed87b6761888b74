"""The ledger's tables.

What belongs here: tables, columns, keys. What does not: queries and writes (`store.py`), and how
one version of the schema becomes the next (`migrations/`).

The ledger is inside the privacy boundary: accession numbers and the source's study handles stand
here, and nowhere else outside the interim store.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = [
    "Accession",
    "Announcement",
    "Artifact",
    "Base",
    "DeidReport",
    "Delivery",
    "Disposition",
    "Event",
    "Manifest",
    "ManifestRow",
    "Pause",
    "Recall",
    "Resolution",
    "Retired",
    "StageCursor",
    "StageStudy",
    "TargetState",
    "Workspace",
    "now",
]

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
# SQLite counts up INTEGER keys only; PostgreSQL gets room for billions of rows.
_ID = BigInteger().with_variant(Integer(), "sqlite")
_EMPTY = text("''")  # as both databases tell it back, so that migrations can be held against it


def now() -> datetime:
    """The current time, in UTC, with its zone."""
    return datetime.now(timezone.utc)


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time, in any zone on its way in and in UTC on its way out.

    SQLite forgets zones and compares times as texts; PostgreSQL answers in the zone of its session.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Write every time in UTC; one without a zone is taken to be that already."""
        return _in_utc(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Put the zone back where the database dropped it, or answered in another."""
        return _in_utc(value)


def _in_utc(value: datetime | None) -> datetime | None:
    if value is None or value.tzinfo is None:
        return value and value.replace(tzinfo=timezone.utc)
    return value.astimezone(timezone.utc)


class Base(DeclarativeBase):
    """All tables of the ledger."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON, str: Text}  # noqa: RUF012


class Workspace(Base):
    """A project: its own accessions, its own pseudonyms."""

    __tablename__ = "workspace"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    key_id: Mapped[str | None]  # tells a lost or exchanged secret from a new workspace
    created_at: Mapped[datetime] = mapped_column(default=now)


class Manifest(Base):
    """A manifest as it was loaded; `name` is the first part of its partition keys."""

    __tablename__ = "manifest"
    __table_args__ = (UniqueConstraint("workspace", "name"),)

    id: Mapped[int] = mapped_column(_ID, primary_key=True)
    workspace: Mapped[str] = mapped_column(ForeignKey("workspace.name"))
    name: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64))
    columns: Mapped[dict[str, Any]]  # {"columns": [...]} as the file's header had them
    loaded_at: Mapped[datetime] = mapped_column(default=now)


class Accession(Base):
    """One accession of one workspace: the unit of work and of state."""

    __tablename__ = "accession"
    __table_args__ = (
        UniqueConstraint("workspace", "accession_number"),
        Index(None, "workspace", "state"),
        Index(None, "run_id"),
    )

    id: Mapped[int] = mapped_column(_ID, primary_key=True)
    workspace: Mapped[str] = mapped_column(ForeignKey("workspace.name"))
    accession_number: Mapped[str]
    state: Mapped[str] = mapped_column(String(32))
    phase: Mapped[int | None]  # of the failure, when failed
    reason: Mapped[str] = mapped_column(default="")  # free of identifiers
    source_study: Mapped[str | None]
    source_fingerprint: Mapped[str | None] = mapped_column(String(64))
    study_uid: Mapped[str | None]  # pseudonymous
    study_token: Mapped[str | None] = mapped_column(String(64))
    instances: Mapped[int | None]
    delivered: Mapped[int | None]
    withheld: Mapped[int | None]
    run_id: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(default=now)
    # The row of a manifest that it is, or was last, processed for. No foreign key: the two tables
    # would refer to each other, and SQLite cannot add one afterwards.
    row_id: Mapped[int | None] = mapped_column(_ID)
    generation: Mapped[int] = mapped_column(server_default="1", default=1)
    label: Mapped[str] = mapped_column(server_default=_EMPTY, default="")  # of a batch, for people
    # Marked for a batch, and nobody has come to it since (the reference's ZZZ-ONDECK).
    on_deck: Mapped[bool] = mapped_column(server_default=false(), default=False)
    claimed_by: Mapped[str | None]  # the worker that has it in hand
    claimed_until: Mapped[datetime | None]  # unless the worker says again that it lives


class ManifestRow(Base):
    """One data row of a manifest, accepted or rejected; every row of the file is here."""

    __tablename__ = "manifest_row"
    __table_args__ = (
        UniqueConstraint("manifest_id", "row_number"),
        UniqueConstraint("workspace", "partition_key"),
        Index(None, "accession_id"),
    )

    id: Mapped[int] = mapped_column(_ID, primary_key=True)
    manifest_id: Mapped[int] = mapped_column(ForeignKey("manifest.id"))
    workspace: Mapped[str] = mapped_column(ForeignKey("workspace.name"))
    row_number: Mapped[int]  # from 1, data rows only
    line: Mapped[int]  # in the file, from 1
    partition_key: Mapped[str | None] = mapped_column(String(100))  # null when rejected
    accession_id: Mapped[int | None] = mapped_column(ForeignKey("accession.id"))
    subject_id: Mapped[str] = mapped_column(default="")
    imaging_type: Mapped[str] = mapped_column(default="")
    age: Mapped[str] = mapped_column(default="")  # days, as the manifest wrote it
    anatomical_position: Mapped[str] = mapped_column(default="")
    deid_qc_status: Mapped[str] = mapped_column(default="")
    extra: Mapped[dict[str, Any]]  # further columns, kept as they came
    rejected: Mapped[str] = mapped_column(default="")  # why, empty when accepted
    rejected_column: Mapped[str] = mapped_column(default="")
    resolve_via: Mapped[str] = mapped_column(server_default=_EMPTY, default="")
    # An earlier row of the same manifest with the same accession; then `rejected` is empty, and
    # the row has a partition only where duplicates are to be processed again.
    duplicate_of: Mapped[int | None] = mapped_column(_ID)
    # Kinds of change that a run found between this row and a delivery that stands, joined by ",".
    changed: Mapped[str] = mapped_column(server_default=_EMPTY, default="")


class Artifact(Base):
    """A file in the interim store, with what it was made from."""

    __tablename__ = "artifact"
    __table_args__ = (Index(None, "accession_id", "kind"),)

    id: Mapped[int] = mapped_column(_ID, primary_key=True)
    accession_id: Mapped[int] = mapped_column(ForeignKey("accession.id"))
    kind: Mapped[str] = mapped_column(String(16))  # raw, deidentified
    host: Mapped[str]
    path: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(_ID)
    instances: Mapped[int]
    fingerprint: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=now)
    deleted_at: Mapped[datetime | None]
    generation: Mapped[int] = mapped_column(server_default="1", default=1)
    made_from: Mapped[dict[str, Any] | None]  # fingerprints by kind


_STANDS = text("superseded_at IS NULL AND withdrawn_at IS NULL")


class Delivery(Base):
    """A zip that a target has confirmed.

    It stands until another of the same accession takes its place (superseded) or it has been
    removed from the target (withdrawn); the row stays in either case.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        Index(
            "uq_delivery_standing",
            "target",
            "uri",
            unique=True,
            sqlite_where=_STANDS,
            postgresql_where=_STANDS,
        ),
        Index(None, "accession_id"),
        Index(None, "uri"),  # also of what stands no more
    )

    id: Mapped[int] = mapped_column(_ID, primary_key=True)
    accession_id: Mapped[int] = mapped_column(ForeignKey("accession.id"))
    target: Mapped[str] = mapped_column(String(64))
    uri: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(_ID)
    instances: Mapped[int]
    fingerprint: Mapped[str] = mapped_column(String(64))
    delivered_at: Mapped[datetime] = mapped_column(default=now)
    generation: Mapped[int] = mapped_column(server_default="1", default=1)
    made_from: Mapped[dict[str, Any] | None]  # fingerprints by kind
    row_id: Mapped[int | None] = mapped_column(_ID)  # the manifest's row that asked for it
    run_id: Mapped[str | None]
    superseded_at: Mapped[datetime | None]
    superseded_by: Mapped[int | None] = mapped_column(_ID)  # the delivery that took its place
    withdrawal: Mapped[str] = mapped_column(
        server_default=_EMPTY, default=""
    )  # why; empty: not asked
    withdrawn_at: Mapped[datetime | None]  # when the target confirmed that it is gone
    withdrawn: Mapped[str] = mapped_column(server_default=_EMPTY, default="")  # what was removed
    checksum: Mapped[str] = mapped_column(server_default=_EMPTY, default="")  # as the store says
    version: Mapped[str] = mapped_column(server_default=_EMPTY, default="")  # if it keeps several
    # Where the URI does not say in which store; empty where it does, or nobody knows any more.
    store: Mapped[str] = mapped_column(server_default=_EMPTY, default="")


class TargetState(Base):
    """How one target stands with an accession, beside what it has confirmed (`Delivery`).

    Either it has confirmed the de-identified zip at hand while another target has not, so that a
    rerun need not ask it again; or it has failed, and says why.
    """

    __tablename__ = "target_state"

    accession_id: Mapped[int] = mapped_column(ForeignKey("accession.id"), primary_key=True)
    target: Mapped[str] = mapped_column(String(64), primary_key=True)
    confirmed: Mapped[bool]
    reason: Mapped[str]  # of the failure, free of identifiers
    tries: Mapped[int]  # that failed, one after the other
    at: Mapped[datetime]


class Announcement(Base):
    """A place that is about to be delivered to; gone as soon as the delivery is recorded.

    One that is found later says that a worker died in between: what lies there is in no other
    row, and is removed.
    """

    __tablename__ = "announcement"
    __table_args__ = (Index(None, "accession_id"),)

    target: Mapped[str] = mapped_column(String(64), primary_key=True)
    uri: Mapped[str] = mapped_column(primary_key=True)
    accession_id: Mapped[int] = mapped_column(ForeignKey("accession.id"), primary_key=True)
    store: Mapped[str] = mapped_column(
        server_default=_EMPTY, default="", primary_key=True
    )  # as for a delivery
    announced_at: Mapped[datetime] = mapped_column(default=now)


class Disposition(Base):
    """What became of a study's instances: one row for each kind of fate, with its count."""

    __tablename__ = "disposition"
    __table_args__ = (Index(None, "accession_id"),)

    id: Mapped[int] = mapped_column(_ID, primary_key=True)
    accession_id: Mapped[int] = mapped_column(ForeignKey("accession.id"))
    sop_class: Mapped[str]
    modality: Mapped[str]
    disposition: Mapped[str] = mapped_column(String(32))
    reason: Mapped[str]
    instances: Mapped[int]
    policy_fingerprint: Mapped[str] = mapped_column(String(64))
    generation: Mapped[int] = mapped_column(server_default="1", default=1)


class DeidReport(Base):
    """What the engine reported when the study was last de-identified, instance by instance."""

    __tablename__ = "deid_report"

    accession_id: Mapped[int] = mapped_column(ForeignKey("accession.id"), primary_key=True)
    generation: Mapped[int] = mapped_column(server_default="1", default=1, primary_key=True)
    policy_name: Mapped[str]
    policy_fingerprint: Mapped[str] = mapped_column(String(64))
    key_id: Mapped[str]  # public name of the key, or "fresh"
    engine_version: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(default=now)
    report: Mapped[bytes] = mapped_column(LargeBinary)  # gzip of CSV, free of identifiers


class Event(Base):
    """One change of an accession's state; appended, never changed."""

    __tablename__ = "event"
    __table_args__ = (Index(None, "accession_id"),)

    id: Mapped[int] = mapped_column(_ID, primary_key=True)
    accession_id: Mapped[int] = mapped_column(ForeignKey("accession.id"))
    at: Mapped[datetime] = mapped_column(default=now)
    before: Mapped[str] = mapped_column(String(32))
    after: Mapped[str] = mapped_column(String(32))
    phase: Mapped[int | None]
    reason: Mapped[str] = mapped_column(default="")
    run_id: Mapped[str | None]
    settings: Mapped[str] = mapped_column(
        String(64), server_default=_EMPTY, default=""
    )  # fingerprint
    row_id: Mapped[int | None] = mapped_column(_ID)
    generation: Mapped[int] = mapped_column(server_default="1", default=1)
    label: Mapped[str] = mapped_column(server_default=_EMPTY, default="")


class Retired(Base):
    """A generation of an accession that has been retired: how it stood when a new one began.

    Its dispositions, report, artifacts and deliveries carry the same generation, and stay, unless
    it was deleted rather than retired (the reference's predelete).
    """

    __tablename__ = "retired"

    accession_id: Mapped[int] = mapped_column(ForeignKey("accession.id"), primary_key=True)
    generation: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(32))
    phase: Mapped[int | None]
    reason: Mapped[str] = mapped_column(default="")  # why the state
    why: Mapped[str] = mapped_column(default="")  # why retired
    deleted: Mapped[bool] = mapped_column(default=False)
    row_id: Mapped[int | None] = mapped_column(_ID)
    source_fingerprint: Mapped[str | None] = mapped_column(String(64))
    study_uid: Mapped[str | None]
    instances: Mapped[int | None]
    delivered: Mapped[int | None]
    withheld: Mapped[int | None]
    run_id: Mapped[str | None]  # that retired it
    retired_at: Mapped[datetime] = mapped_column(default=now)


class Recall(Base):
    """What must not be delivered any more: one accession, or every accession of a subject."""

    __tablename__ = "recall"
    __table_args__ = (Index(None, "workspace", "subject_id"), Index(None, "accession_id"))

    id: Mapped[int] = mapped_column(_ID, primary_key=True)
    workspace: Mapped[str] = mapped_column(ForeignKey("workspace.name"))
    accession_id: Mapped[int | None] = mapped_column(ForeignKey("accession.id"))
    subject_id: Mapped[str | None]  # the research identity; set when the whole subject is recalled
    reason: Mapped[str]
    recalled_at: Mapped[datetime] = mapped_column(default=now)
    lifted_at: Mapped[datetime | None]
    lifted_reason: Mapped[str] = mapped_column(default="")


class Resolution(Base):
    """What a person decided about an accession for which the source held several studies."""

    __tablename__ = "resolution"
    __table_args__ = (Index(None, "accession_id"),)

    id: Mapped[int] = mapped_column(_ID, primary_key=True)
    accession_id: Mapped[int] = mapped_column(ForeignKey("accession.id"))
    command: Mapped[str] = mapped_column(String(32))
    chosen: Mapped[str | None]  # the source's handle of the study to use
    passed_over: Mapped[dict[str, Any]]  # handle -> its version at that time, of the others
    reason: Mapped[str] = mapped_column(default="")
    run_id: Mapped[str | None]
    resolved_at: Mapped[datetime] = mapped_column(default=now)
    closed_at: Mapped[datetime | None]  # when a later decision took its place


class Pause(Base):
    """A part of the system that has been told to pause; a missing row means that it runs."""

    __tablename__ = "pause"

    scope: Mapped[str] = mapped_column(String(200), primary_key=True)
    paused: Mapped[bool]
    reason: Mapped[str] = mapped_column(default="")
    changed_at: Mapped[datetime] = mapped_column(default=now)
    changed_by: Mapped[str] = mapped_column(default="")  # user and host


_DUE = text("gone_at IS NULL AND handled < revision")
_UNSETTLED = text("gone_at IS NULL AND stable_since IS NULL")


class StageStudy(Base):
    """A study that the source has, or had, as its log of changes told it; one row for each."""

    __tablename__ = "stage_study"
    __table_args__ = (
        UniqueConstraint("workspace", "source_study"),
        Index(None, "workspace", "accession_number"),
        Index(None, "workspace", "looked_at"),
        Index("ix_stage_study_due", "workspace", "id", sqlite_where=_DUE, postgresql_where=_DUE),
        Index(
            "ix_stage_study_unsettled",
            "workspace",
            sqlite_where=_UNSETTLED,
            postgresql_where=_UNSETTLED,
        ),
    )

    id: Mapped[int] = mapped_column(_ID, primary_key=True)
    workspace: Mapped[str] = mapped_column(ForeignKey("workspace.name"))
    source_study: Mapped[str]
    accession_number: Mapped[str] = mapped_column(default="")  # empty: it has none
    formerly: Mapped[str] = mapped_column(default="")  # its number before it was corrected
    patient_id: Mapped[str] = mapped_column(default="")
    instances: Mapped[int]
    series: Mapped[int]
    modalities: Mapped[str] = mapped_column(default="")  # joined by ","
    version: Mapped[str] = mapped_column(String(64))  # digest of its content, for comparing
    revision: Mapped[int]  # counts the versions that were seen, from 1
    handled: Mapped[int] = mapped_column(default=0)  # the revision up to which all is done
    seq: Mapped[int] = mapped_column(_ID, default=0)  # of the log, when it was last named there
    first_seen: Mapped[datetime]
    changed_at: Mapped[datetime]  # when this version was first seen
    stable_since: Mapped[datetime | None]  # null: it grows
    gone_at: Mapped[datetime | None]
    looked_at: Mapped[datetime | None]  # when the source was last asked; null: look soon
    verdict: Mapped[str] = mapped_column(default="")  # what was decided, free of identifiers
    refused: Mapped[bool] = mapped_column(default=False)  # settings may come to say otherwise
    asked_at: Mapped[datetime | None]  # a run was asked for
    asked_run: Mapped[str] = mapped_column(default="")  # key of that request
    asked_revision: Mapped[int] = mapped_column(default=0)
    asked_event: Mapped[int] = mapped_column(_ID, default=0)  # the accession's latest until then
    attempts: Mapped[int] = mapped_column(default=0)  # requests for that revision
    not_before: Mapped[datetime | None]  # put off until then


class StageCursor(Base):
    """How far a workspace has read its source's log of changes."""

    __tablename__ = "stage_cursor"

    workspace: Mapped[str] = mapped_column(ForeignKey("workspace.name"), primary_key=True)
    place: Mapped[str] = mapped_column(default="")  # digest of the source's address
    seq: Mapped[int] = mapped_column(_ID, default=0)
    mark: Mapped[dict[str, Any] | None]  # the entry read last, to know the log again by
    polled_at: Mapped[datetime | None]  # the last success
    failed_at: Mapped[datetime | None]  # the last failure since then
    failure: Mapped[str] = mapped_column(default="")  # free of identifiers
    restarts: Mapped[int] = mapped_column(default=0)  # how often the log began anew
    judged_by: Mapped[str] = mapped_column(default="")  # digest of the rule that refused studies
