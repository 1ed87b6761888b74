"""Reading and writing the ledger.

What belongs here: connections, transactions, and one method for each thing that happens to an
accession. What does not: what a manifest looks like (`manifests/`), and when something happens
(`pipeline/`).

Every method is one transaction. A method that changes an accession's state checks the change
against the transition table and appends an event.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, delete, event, func, inspect, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from locutus_dagster.errors import LocutusError
from locutus_dagster.ledger.schema import (
    Accession,
    Artifact,
    Delivery,
    Disposition,
    Event,
    Manifest,
    ManifestRow,
    Workspace,
    now,
)
from locutus_dagster.ledger.states import State, check_transition
from locutus_dagster.ledger.work import (
    ArtifactRecord,
    DeliveryRecord,
    DispositionCount,
    WorkItem,
)

__all__ = ["Ledger", "LedgerError"]

_SQLITE_PATIENCE = 60.0  # seconds that a writer waits for another
_IN_CHUNK = 500  # bound parameters in one statement: SQLite's old limit is 999


class LedgerError(LocutusError):
    """The ledger cannot be opened or does not hold what was asked for."""


class Ledger:
    """The status database at `url` (SQLAlchemy), opened lazily, safe to share between threads.

    Args:
        url: SQLite for one machine, PostgreSQL (`postgresql+psycopg2://`) for several.
    """

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        options: dict[str, Any] = {"hide_parameters": True}  # errors must not quote values
        if self._url.get_backend_name() == "sqlite":
            options["connect_args"] = {"timeout": _SQLITE_PATIENCE}
        else:
            options["pool_pre_ping"] = True
        self._engine = create_engine(self._url, **options)
        if self._url.get_backend_name() == "sqlite":
            event.listen(self._engine, "connect", _prepare_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        self._reader = self._engine.execution_options(locutus_reads_only=True)

    def __repr__(self) -> str:
        return f"Ledger({self._url.render_as_string(hide_password=True)!r})"

    @classmethod
    def open(cls, url: str) -> Ledger:
        """Open the ledger, creating it or bringing its schema up to date first.

        Raises:
            LedgerError: the database cannot be reached or written.
        """
        try:
            ledger = cls(url)
        except (SQLAlchemyError, ImportError, ValueError) as error:
            raise LedgerError(
                f"The ledger's address names no database that can be opened "
                f"({type(error).__name__}).",
                "Write sqlite:///… or postgresql://… into LOCUTUS_LEDGER_URL, and install the "
                "extra 'postgres' for the latter.",
            ) from None
        try:
            ledger._create_file()
            ledger._migrate()
        except (SQLAlchemyError, OSError) as error:
            kind = type(getattr(error, "orig", None) or error).__name__
            raise LedgerError(
                f"The ledger at {ledger._url.render_as_string(hide_password=True)} cannot be "
                f"opened ({kind}).",
                "Check LOCUTUS_LEDGER_URL, that the database runs and that its folder is writable.",
            ) from None
        return ledger

    def _create_file(self) -> None:
        if self._url.get_backend_name() != "sqlite" or not self._url.database:
            return
        path = Path(self._url.database)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            # SQLite gives its -wal and -shm files the mode of the database itself.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))

    def _migrate(self) -> None:
        from locutus_dagster.ledger.migrations import HEAD, upgrade

        with self._engine.connect() as connection:
            if _current_revision(connection) == HEAD:
                return
        with self._engine.begin() as connection:
            upgrade(connection)

    def close(self) -> None:
        """Return every connection."""
        self._engine.dispose()

    @contextmanager
    def session(self, *, reads_only: bool = False) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back on an exception.

        Raises:
            LedgerError: the database stopped answering, has no room left, or refused a change.
        """
        try:
            bind = self._reader if reads_only else self._engine
            with Session(bind, expire_on_commit=False) as session, session.begin():
                yield session
        except OperationalError as error:
            raise LedgerError(
                f"The ledger stopped answering ({type(error.orig).__name__}).",
                "Check that the database runs and has disk space; a rerun resumes from here.",
            ) from None
        except DBAPIError as error:
            # PostgreSQL quotes the offending row in the text of such an error.
            raise LedgerError(
                f"The ledger refused a question or a change ({type(error.orig).__name__}).",
                "If its tables are as Locutus made them, please report this as a bug.",
            ) from None

    # -- workspaces ------------------------------------------------------------------------

    def ensure_workspace(self, name: str) -> None:
        """Register the workspace unless it is known."""
        with self.session() as session:
            # Another process may register it at this moment; either will do.
            dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
            session.execute(dialect.insert(Workspace).values(name=name).on_conflict_do_nothing())

    def workspace_key_id(self, name: str) -> str | None:
        """The identifier of the secret that this workspace's pseudonyms were made with."""
        with self.session(reads_only=True) as session:
            workspace = session.get(Workspace, name)
            return workspace.key_id if workspace else None

    def set_workspace_key_id(self, name: str, key_id: str) -> None:
        """Remember the workspace's key, the first time only."""
        with self.session() as session:
            session.execute(
                update(Workspace)
                .where(Workspace.name == name, Workspace.key_id.is_(None))
                .values(key_id=key_id)
            )

    # -- reading ---------------------------------------------------------------------------

    def work_items(self, workspace: str, partition_keys: Sequence[str]) -> list[WorkItem]:
        """The work items of `partition_keys`, in that order.

        Raises:
            LedgerError: a key is unknown (partition keys identify nobody and may be quoted).
        """
        found: dict[str, WorkItem] = {}
        with self.session(reads_only=True) as session:
            for start in range(0, len(partition_keys), _IN_CHUNK):
                chunk = partition_keys[start : start + _IN_CHUNK]
                for item in _select_items(session, workspace, ManifestRow.partition_key.in_(chunk)):
                    found[item.partition_key] = item
        missing = [key for key in partition_keys if key not in found]
        if missing:
            raise LedgerError(
                f"The ledger knows no manifest row for {len(missing)} partition(s) of workspace "
                f"'{workspace}', the first being {missing[0]}.",
                "Load the manifest with 'locutus load-manifest'; partitions are not made by hand.",
            )
        return [found[key] for key in partition_keys]

    def state_of(self, accession_id: int) -> State | None:
        """The state of an accession, or None when the ledger does not know it."""
        with self.session(reads_only=True) as session:
            accession = session.get(Accession, accession_id)
            return State(accession.state) if accession else None

    def manifest_items(self, workspace: str, manifest: str) -> list[WorkItem]:
        """The work items of one manifest, in the manifest's order."""
        with self.session(reads_only=True) as session:
            return _select_items(session, workspace, Manifest.name == manifest)

    def manifest_names(self, workspace: str) -> list[str]:
        """The names of the workspace's manifests, in the order they were loaded."""
        with self.session(reads_only=True) as session:
            statement = (
                select(Manifest.name).where(Manifest.workspace == workspace).order_by(Manifest.id)
            )
            return list(session.scalars(statement))

    def touched_by(self, run_id: str, states: Sequence[State] = tuple(State)) -> int:
        """How many accessions a run was the last to touch and left in one of `states`."""
        with self.session(reads_only=True) as session:
            statement = select(func.count()).where(
                Accession.run_id == run_id,
                Accession.state.in_([state.value for state in states]),
            )
            return session.scalar(statement) or 0

    def state_counts(self, workspace: str, manifest: str) -> dict[State, int]:
        """How many of a manifest's accepted rows stand in which state."""
        with self.session(reads_only=True) as session:
            statement = (
                select(Accession.state, func.count())
                .join(ManifestRow, ManifestRow.accession_id == Accession.id)
                .join(Manifest, Manifest.id == ManifestRow.manifest_id)
                .where(
                    Manifest.workspace == workspace,
                    Manifest.name == manifest,
                    ManifestRow.partition_key.is_not(None),
                )
                .group_by(Accession.state)
            )
            return {State(state): count for state, count in session.execute(statement)}

    def rejected_rows(self, workspace: str, manifest: str) -> list[ManifestRow]:
        """The rows of a manifest that were not accepted, in the file's order."""
        with self.session(reads_only=True) as session:
            statement = (
                select(ManifestRow)
                .join(Manifest, Manifest.id == ManifestRow.manifest_id)
                .where(
                    Manifest.workspace == workspace,
                    Manifest.name == manifest,
                    ManifestRow.rejected != "",
                )
                .order_by(ManifestRow.row_number)
            )
            return list(session.scalars(statement))

    def artifact(self, accession_id: int, kind: str) -> ArtifactRecord | None:
        """The accession's newest artifact of that kind that has not been deleted."""
        with self.session(reads_only=True) as session:
            row = session.scalars(
                select(Artifact)
                .where(
                    Artifact.accession_id == accession_id,
                    Artifact.kind == kind,
                    Artifact.deleted_at.is_(None),
                )
                .order_by(Artifact.id.desc())
                .limit(1)
            ).first()
            return _artifact_record(row) if row else None

    def deliveries(self, accession_id: int) -> list[DeliveryRecord]:
        """The accession's confirmed deliveries, oldest first."""
        with self.session(reads_only=True) as session:
            rows = session.scalars(
                select(Delivery).where(Delivery.accession_id == accession_id).order_by(Delivery.id)
            )
            return [
                DeliveryRecord(r.target, r.uri, r.sha256, r.size, r.instances, r.fingerprint)
                for r in rows
            ]

    def delivered_elsewhere(self, accession_id: int, target: str, uri: str) -> bool:
        """Whether another accession has already been delivered to `uri`."""
        with self.session(reads_only=True) as session:
            owner = session.scalar(
                select(Delivery.accession_id).where(Delivery.target == target, Delivery.uri == uri)
            )
            return owner is not None and owner != accession_id

    def dispositions(self, accession_id: int) -> list[DispositionCount]:
        """What became of the study's instances when it was last de-identified."""
        with self.session(reads_only=True) as session:
            rows = session.scalars(
                select(Disposition)
                .where(Disposition.accession_id == accession_id)
                .order_by(Disposition.id)
            )
            return [
                DispositionCount(r.sop_class, r.modality, r.disposition, r.reason, r.instances)
                for r in rows
            ]

    def events(self, accession_id: int) -> list[Event]:
        """The accession's history, oldest first."""
        with self.session(reads_only=True) as session:
            return list(
                session.scalars(
                    select(Event).where(Event.accession_id == accession_id).order_by(Event.id)
                )
            )

    # -- writing ---------------------------------------------------------------------------

    def record_state(
        self,
        accession_id: int,
        state: State,
        *,
        phase: int | None = None,
        reason: str = "",
        run_id: str | None = None,
        values: dict[str, Any] | None = None,
    ) -> None:
        """Move an accession to `state`, and set further columns of it in the same transaction."""
        with self.session() as session:
            _move(session, accession_id, state, phase, reason, run_id, values)

    def record_extracted(
        self,
        accession_id: int,
        artifact: ArtifactRecord,
        *,
        source_study: str,
        run_id: str | None = None,
    ) -> None:
        """The raw zip lies in the interim store, verified."""
        values = {
            "source_study": source_study,
            "source_fingerprint": artifact.fingerprint,
            "instances": artifact.instances,
        }
        with self.session() as session:
            _replace_artifact(session, accession_id, artifact)
            _move(session, accession_id, State.EXTRACTED, None, "", run_id, values)

    def record_deidentified(
        self,
        accession_id: int,
        artifact: ArtifactRecord,
        dispositions: Iterable[DispositionCount],
        *,
        policy_fingerprint: str,
        study_uid: str,
        study_token: str,
        run_id: str | None = None,
    ) -> None:
        """The de-identified zip lies in the interim store, verified and free of residue."""
        with self.session() as session:
            _replace_artifact(session, accession_id, artifact)
            counts = _replace_dispositions(session, accession_id, dispositions, policy_fingerprint)
            values = {"study_uid": study_uid, "study_token": study_token, **counts}
            _move(session, accession_id, State.DEIDENTIFIED, None, "", run_id, values)

    def record_blocked(
        self,
        accession_id: int,
        dispositions: Iterable[DispositionCount],
        *,
        policy_fingerprint: str,
        phase: int,
        reason: str,
        run_id: str | None = None,
    ) -> None:
        """De-identification ran, and its result must not be delivered."""
        with self.session() as session:
            counts = _replace_dispositions(session, accession_id, dispositions, policy_fingerprint)
            counts["delivered"] = 0
            _move(session, accession_id, State.FAILED, phase, reason, run_id, counts)

    def record_delivered(
        self, accession_id: int, delivery: DeliveryRecord, *, run_id: str | None = None
    ) -> None:
        """The target has confirmed the zip."""
        with self.session() as session:
            known = session.scalars(
                select(Delivery).where(
                    Delivery.target == delivery.target, Delivery.uri == delivery.uri
                )
            ).first()
            if known is None:
                known = Delivery(
                    accession_id=accession_id, target=delivery.target, uri=delivery.uri
                )
                session.add(known)
            known.sha256 = delivery.sha256
            known.size = delivery.size
            known.instances = delivery.instances
            known.fingerprint = delivery.fingerprint
            known.delivered_at = now()
            _move(session, accession_id, State.DELIVERED, None, "", run_id, None)

    def record_deleted(self, accession_id: int, kind: str) -> None:
        """Every artifact of that kind has been removed from the interim store."""
        with self.session() as session:
            session.execute(
                update(Artifact)
                .where(
                    Artifact.accession_id == accession_id,
                    Artifact.kind == kind,
                    Artifact.deleted_at.is_(None),
                )
                .values(deleted_at=now())
            )


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where `_begin_sqlite` says
    cursor = connection.cursor()
    _switch_to_wal(cursor)
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _switch_to_wal(cursor: sqlite3.Cursor) -> None:
    # Here SQLite may say "locked" at once, without waiting: when processes open a new ledger
    # together. So the waiting is done here.
    deadline = time.monotonic() + _SQLITE_PATIENCE
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:  # noqa: PERF203 - to wait is the point
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once when another process wrote in
    # between; one that takes the write lock at its start waits its turn instead.
    reads_only = connection.get_execution_options().get("locutus_reads_only", False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")


def _current_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(
        text("SELECT version_num FROM alembic_version")
    ).scalar()
    return revision


def _select_items(session: Session, workspace: str, where: Any) -> list[WorkItem]:
    statement = (
        select(ManifestRow, Accession, Manifest.name)
        .join(Accession, Accession.id == ManifestRow.accession_id)
        .join(Manifest, Manifest.id == ManifestRow.manifest_id)
        .where(ManifestRow.workspace == workspace, ManifestRow.partition_key.is_not(None), where)
        .order_by(ManifestRow.manifest_id, ManifestRow.row_number)
    )
    return [
        WorkItem(
            workspace=workspace,
            partition_key=row.partition_key or "",
            manifest=name,
            row_number=row.row_number,
            accession_id=accession.id,
            accession_number=accession.accession_number,
            subject_id=row.subject_id,
            imaging_type=row.imaging_type,
            age=row.age,
            anatomical_position=row.anatomical_position,
            state=State(accession.state),
            phase=accession.phase,
            reason=accession.reason,
            instances=accession.instances,
            delivered=accession.delivered,
            withheld=accession.withheld,
            study_uid=accession.study_uid,
            study_token=accession.study_token,
            source_fingerprint=accession.source_fingerprint,
        )
        for row, accession, name in session.execute(statement)
    ]


def _artifact_record(row: Artifact) -> ArtifactRecord:
    return ArtifactRecord(
        row.kind, row.host, row.path, row.sha256, row.size, row.instances, row.fingerprint
    )


def _move(
    session: Session,
    accession_id: int,
    state: State,
    phase: int | None,
    reason: str,
    run_id: str | None,
    values: dict[str, Any] | None,
) -> None:
    accession = session.get_one(Accession, accession_id, with_for_update=True)
    before = State(accession.state)
    check_transition(before, state)
    accession.state = state.value
    accession.phase = phase
    accession.reason = reason
    accession.run_id = run_id
    accession.updated_at = now()
    for column, value in (values or {}).items():
        setattr(accession, column, value)
    session.add(
        Event(
            accession_id=accession_id,
            before=before.value,
            after=state.value,
            phase=phase,
            reason=reason,
            run_id=run_id,
        )
    )


def _replace_artifact(session: Session, accession_id: int, record: ArtifactRecord) -> None:
    session.execute(
        update(Artifact)
        .where(
            Artifact.accession_id == accession_id,
            Artifact.kind == record.kind,
            Artifact.deleted_at.is_(None),
        )
        .values(deleted_at=now())
    )
    session.add(
        Artifact(
            accession_id=accession_id,
            kind=record.kind,
            host=record.host,
            path=record.path,
            sha256=record.sha256,
            size=record.size,
            instances=record.instances,
            fingerprint=record.fingerprint,
        )
    )


def _replace_dispositions(
    session: Session,
    accession_id: int,
    dispositions: Iterable[DispositionCount],
    policy_fingerprint: str,
) -> dict[str, Any]:
    session.execute(delete(Disposition).where(Disposition.accession_id == accession_id))
    counts = {"delivered": 0, "withheld": 0}
    for item in dispositions:
        counts["withheld" if item.disposition == "withheld" else "delivered"] += item.instances
        session.add(
            Disposition(
                accession_id=accession_id,
                sop_class=item.sop_class,
                modality=item.modality,
                disposition=item.disposition,
                reason=item.reason,
                instances=item.instances,
                policy_fingerprint=policy_fingerprint,
            )
        )
    return dict(counts)
