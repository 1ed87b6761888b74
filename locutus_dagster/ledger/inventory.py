"""What the ledger believes to lie in the interim stores, for whoever holds it against the disk.

What belongs here: questions about artifacts that have not been deleted, and striking off those
that are gone. What does not: looking at a disk (`pipeline/sweeping.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select, update

from locutus_dagster.ledger.connection import LedgerConnection
from locutus_dagster.ledger.schema import Accession, Artifact, Workspace, now
from locutus_dagster.ledger.states import State

__all__ = ["Lying", "known_workspaces", "lying", "record_gone", "standing"]

_IN_CHUNK = 500  # bound parameters in one statement: SQLite's old limit is 999


@dataclass(frozen=True)
class Lying:
    """A row of an artifact that has not been deleted. `size` is in bytes."""

    identity: int
    accession_id: int
    kind: str
    host: str
    path: str
    size: int


def known_workspaces(ledger: LedgerConnection) -> set[str]:
    """Every workspace that the ledger knows."""
    with ledger.session(reads_only=True) as session:
        return set(session.scalars(select(Workspace.name)))


def standing(
    ledger: LedgerConnection, workspace: str, accession_ids: Sequence[int]
) -> dict[int, State]:
    """The states of accessions; those that the workspace does not have are left out."""
    found: dict[int, State] = {}
    with ledger.session(reads_only=True) as session:
        for start in range(0, len(accession_ids), _IN_CHUNK):
            rows = session.execute(
                select(Accession.id, Accession.state).where(
                    Accession.workspace == workspace,
                    Accession.id.in_(accession_ids[start : start + _IN_CHUNK]),
                )
            )
            found.update({identity: State(state) for identity, state in rows})
    return found


def lying(
    ledger: LedgerConnection, *, workspace: str | None = None, accession_id: int | None = None
) -> list[Lying]:
    """What lies in an interim store, on whatever host: all of it, or a part."""
    statement = (
        select(
            Artifact.id,
            Artifact.accession_id,
            Artifact.kind,
            Artifact.host,
            Artifact.path,
            Artifact.size,
        )
        .where(Artifact.deleted_at.is_(None))
        .order_by(Artifact.id)
    )
    if accession_id is not None:
        statement = statement.where(Artifact.accession_id == accession_id)
    if workspace is not None:
        statement = statement.join(Accession, Accession.id == Artifact.accession_id).where(
            Accession.workspace == workspace
        )
    with ledger.session(reads_only=True) as session:
        return [Lying(*row) for row in session.execute(statement)]


def record_gone(ledger: LedgerConnection, identities: Iterable[int]) -> None:
    """Strike off rows whose file is gone; one that was struck off before stays as it is.

    By row, not by accession: a worker may have made the same file anew in the meantime.
    """
    wanted = list(identities)
    with ledger.session() as session:
        for start in range(0, len(wanted), _IN_CHUNK):
            session.execute(
                update(Artifact)
                .where(
                    Artifact.id.in_(wanted[start : start + _IN_CHUNK]),
                    Artifact.deleted_at.is_(None),
                )
                .values(deleted_at=now())
                .execution_options(synchronize_session=False)
            )
