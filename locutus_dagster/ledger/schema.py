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
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = [
    "Accession",
    "Artifact",
    "Base",
    "DeidReport",
    "Delivery",
    "Disposition",
    "Event",
    "Manifest",
    "ManifestRow",
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


def now() -> datetime:
    """The current time, in UTC, with its zone."""
    return datetime.now(timezone.utc)


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time, UTC in and UTC out; SQLite forgets zones, so it is put back here."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Put the zone back where the database dropped it."""
        if value is not None and value.tzinfo is None:
            return value.replace(tzinfo=timezone.utc)
        return value


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


class Delivery(Base):
    """A zip that a target has confirmed."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("target", "uri"),
        Index(None, "accession_id"),
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


class DeidReport(Base):
    """What the engine reported when the study was last de-identified, instance by instance."""

    __tablename__ = "deid_report"

    accession_id: Mapped[int] = mapped_column(ForeignKey("accession.id"), primary_key=True)
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
