"""The stage's looking: what the source was seen to have, and how far its log has been read.

What belongs here: keeping studies and the place in the log, each look in one transaction. What does
not: what is due, and what was done about it (`stage.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from locutus_dagster.ledger.connection import LedgerConnection
from locutus_dagster.ledger.schema import StageCursor, StageStudy, Workspace
from locutus_dagster.ledger.stage_records import Cursor, Recorded, Sighting

__all__ = ["SETTLED_AFTER", "StageLooks", "chunks", "locked_cursor"]

#: A study that rests for so long has come to rest, although the log does not say so: an Orthanc
#: that is ended while a study comes in never says so.
SETTLED_AFTER = timedelta(minutes=1)

_IN_CHUNK = 500


class StageLooks(LedgerConnection):
    """What the source was seen to have."""

    def stage_cursor(self, workspace: str) -> Cursor:
        """How far the workspace has read its source's log of changes."""
        with self.session(reads_only=True) as session:
            row = session.get(StageCursor, workspace)
            if row is None:
                return Cursor(workspace)
            return Cursor(
                workspace,
                row.place,
                row.seq,
                row.mark,
                row.polled_at,
                row.failed_at,
                row.failure,
                row.restarts,
                row.judged_by,
            )

    def record_poll(
        self,
        workspace: str,
        *,
        since: int,
        seq: int,
        mark: Mapping[str, Any] | None,
        at: datetime,
        sightings: Collection[Sighting] = (),
        gone: Collection[str] = (),
    ) -> Recorded:
        """Keep what one page of the log has brought, and the place to go on from: both or none.

        Where another process has read on in the meantime, its place in the log is kept.

        Args:
            since: the number after which was read.
            seq: the number to continue after.
            mark: the entry that was read last; None keeps the one before.
            gone: the source's handles of studies that it has no more.
        """
        with self.session() as session:
            cursor = locked_cursor(session, workspace)
            if cursor.seq == since:
                cursor.seq = seq
                if mark is not None:
                    cursor.mark = dict(mark)
            cursor.polled_at, cursor.failed_at, cursor.failure = at, None, ""
            return _see(session, workspace, sightings, at, seq) + _miss(
                session, workspace, gone, at
            )

    def record_looks(
        self,
        workspace: str,
        *,
        at: datetime,
        sightings: Collection[Sighting],
        gone: Collection[str] = (),
    ) -> Recorded:
        """Keep what studies are like that were looked for without the log."""
        with self.session() as session:
            locked_cursor(session, workspace)
            return _see(session, workspace, sightings, at, None) + _miss(
                session, workspace, gone, at
            )

    def record_gone(self, workspace: str, source_studies: Collection[str], at: datetime) -> int:
        """Note that the source has these studies no more; returns of how many that was new.

        Others with the same accession number become due: of several there may be one now.
        """
        with self.session() as session:
            return _miss(session, workspace, source_studies, at).gone

    def record_poll_failed(self, workspace: str, reason: str, at: datetime) -> None:
        """Note that the source could not be asked; everything else stays as it was."""
        with self.session() as session:
            cursor = locked_cursor(session, workspace)
            cursor.failed_at, cursor.failure = at, reason

    def restart_stage(self, workspace: str, place: str) -> None:
        """The log is read again from its beginning, and every study that is known looked for.

        What was done stays known, so that nothing is done twice.
        """
        with self.session() as session:
            cursor = locked_cursor(session, workspace)
            cursor.restarts += bool(cursor.place)
            cursor.place, cursor.seq, cursor.mark = place, 0, None
            session.execute(
                update(StageStudy)
                .where(StageStudy.workspace == workspace)
                .values(seq=0, looked_at=None)
                .execution_options(synchronize_session=False)
            )

    def stage_to_look_for(self, workspace: str, *, before: datetime, limit: int) -> list[str]:
        """The source's handles of studies that nobody has looked for since `before`.

        Those that grow come first, then the ones that were looked for the longest ago.
        """
        present = [StageStudy.workspace == workspace, StageStudy.gone_at.is_(None)]
        unseen = or_(StageStudy.looked_at.is_(None), StageStudy.looked_at < before)
        never = case((StageStudy.looked_at.is_(None), 0), else_=1)
        found: dict[str, None] = {}
        with self.session(reads_only=True) as session:
            for where, order in (
                ((StageStudy.stable_since.is_(None),), (StageStudy.id,)),
                ((unseen,), (never, StageStudy.looked_at)),
            ):
                statement = (
                    select(StageStudy.source_study)
                    .where(*present, *where)
                    .order_by(*order)
                    .limit(limit)
                )
                found.update(dict.fromkeys(session.scalars(statement)))
        return list(found)[:limit]


def locked_cursor(session: Session, workspace: str) -> StageCursor:
    """The workspace's row, locked: of two that look at once, one waits."""
    dialect: Any = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    for table, values in (
        (Workspace, {"name": workspace}),
        (
            StageCursor,
            {
                "workspace": workspace,
                "place": "",
                "seq": 0,
                "failure": "",
                "restarts": 0,
                "judged_by": "",
            },
        ),
    ):
        session.execute(dialect.insert(table).values(**values).on_conflict_do_nothing())
    return session.get_one(StageCursor, workspace, with_for_update=True)


def _see(
    session: Session,
    workspace: str,
    sightings: Collection[Sighting],
    at: datetime,
    seq: int | None,
) -> Recorded:
    seen = {one.source_study: one for one in sightings}
    new: list[dict[str, Any]] = []
    changed = 0
    renumbered: list[str] = []
    for some in chunks(sorted(seen)):
        rows = {
            row.source_study: row
            for row in session.scalars(
                select(StageStudy)
                .where(StageStudy.workspace == workspace, StageStudy.source_study.in_(some))
                .execution_options(populate_existing=True)
            )
        }
        for handle in some:
            sighting = seen[handle]
            facts = _facts(sighting)
            row = rows.get(handle)
            if row is None:
                stable = at if sighting.resting and sighting.settled else None
                new.append(
                    {
                        "workspace": workspace,
                        "source_study": handle,
                        **facts,
                        "revision": 1,
                        "seq": seq or 0,
                        "first_seen": at,
                        "changed_at": at,
                        "stable_since": stable,
                        "looked_at": at,
                    }
                )
                continue
            if row.version != sighting.version:
                changed += 1
                row.revision, row.changed_at, row.stable_since = row.revision + 1, at, None
                row.not_before = None
                if row.accession_number != facts["accession_number"]:
                    row.formerly = row.accession_number or row.formerly
                    renumbered.append(row.accession_number)
                    # Whatever was asked for was about another accession.
                    row.asked_at, row.asked_run, row.asked_revision = None, "", 0
                for column, value in facts.items():
                    setattr(row, column, value)
            elif row.gone_at is not None:
                changed += 1
                row.handled = min(row.handled, row.revision - 1)
            row.gone_at, row.looked_at = None, at
            row.seq = seq if seq is not None else row.seq
            settled = sighting.settled or at - row.changed_at >= SETTLED_AFTER
            if not sighting.resting:
                row.stable_since = None
            elif settled and row.stable_since is None:
                row.stable_since = at
        session.flush()
    if new:
        session.execute(StageStudy.__table__.insert(), [{**_FRESH, **one} for one in new])  # type: ignore[attr-defined]
    _wake(session, workspace, renumbered)
    return Recorded(new=len(new), changed=changed)


_FRESH: dict[str, Any] = {
    "formerly": "",
    "handled": 0,
    "verdict": "",
    "refused": False,
    "asked_run": "",
    "asked_revision": 0,
    "asked_event": 0,
    "attempts": 0,
}


def _facts(one: Sighting) -> dict[str, Any]:
    return {
        "accession_number": _storable(one.accession_number),
        "patient_id": _storable(one.patient_id),
        "instances": one.instances,
        "series": one.series,
        "modalities": _storable(",".join(one.modalities)),
        "version": one.version,
    }


def _storable(text: str) -> str:
    """`text` without what databases refuse: lone surrogates, and for PostgreSQL NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


def _miss(
    session: Session, workspace: str, source_studies: Collection[str], at: datetime
) -> Recorded:
    numbers: list[str] = []
    for some in chunks(sorted(source_studies)):
        rows = session.scalars(
            select(StageStudy)
            .where(
                StageStudy.workspace == workspace,
                StageStudy.source_study.in_(some),
                StageStudy.gone_at.is_(None),
            )
            .with_for_update()
        )
        for row in rows:
            row.gone_at = row.looked_at = at
            numbers.append(row.accession_number)
        session.flush()
    _wake(session, workspace, numbers)
    return Recorded(gone=len(numbers))


def _wake(session: Session, workspace: str, accession_numbers: Collection[str]) -> None:
    """What carries a number that another study has lost is due again: it may be alone now.

    So is what a run was asked for before that; what it comes to may be about both of them.
    """
    done = StageStudy.handled >= StageStudy.revision
    for some in chunks(sorted(set(accession_numbers) - {""})):
        session.execute(
            update(StageStudy)
            .where(
                StageStudy.workspace == workspace,
                StageStudy.accession_number.in_(some),
                StageStudy.gone_at.is_(None),
            )
            .values(
                handled=case((done, StageStudy.revision - 1), else_=StageStudy.handled),
                asked_revision=0,
            )
            .execution_options(synchronize_session=False)
        )


def chunks(values: Sequence[Any]) -> list[Sequence[Any]]:
    """The values in lists that one statement can carry."""
    return [values[start : start + _IN_CHUNK] for start in range(0, len(values), _IN_CHUNK)]
