"""The stage: what the source has, as its log of changes told it, and what was done about it.

What belongs here: keeping studies and the place in the log, which of them are due, what was asked
for and what came of it; and the stage held against manifests. What does not: reading the log, and
deciding (`pipeline/watching.py`).

A study's versions are counted (`revision`), and so is what has been done (`handled`). Numbers of
the source's log take no part in that: they begin anew when its database is replaced.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    case,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from locutus_dagster.ledger.claims import clock
from locutus_dagster.ledger.connection import LedgerConnection
from locutus_dagster.ledger.schema import (
    Accession,
    Event,
    Manifest,
    ManifestRow,
    StageCursor,
    StageStudy,
    Workspace,
)
from locutus_dagster.ledger.stage_records import (
    Cursor,
    Mark,
    Recorded,
    Sighting,
    StageCount,
    StagedStudy,
    Verdict,
)
from locutus_dagster.ledger.states import State

__all__ = ["LOST_AFTER", "SETTLED_AFTER", "Stage"]

#: A request of which nothing was heard for so long is taken to be lost.
LOST_AFTER = timedelta(minutes=15)
#: A study that rests for so long has come to rest, although the log does not say so: an Orthanc
#: that is ended while a study comes in never says so.
SETTLED_AFTER = timedelta(minutes=1)

_IN_CHUNK = 500
_TO_BEGIN = (State.LOADED.value, State.REQUESTED.value)
_MID_WALK = (State.EXTRACTED.value, State.DEIDENTIFIED.value)


class Stage(LedgerConnection):
    """Studies at the source, and what was done about them."""

    # -- looking at the source -----------------------------------------------------------------

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
            cursor = _cursor(session, workspace)
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
            _cursor(session, workspace)
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
            cursor = _cursor(session, workspace)
            cursor.failed_at, cursor.failure = at, reason

    def restart_stage(self, workspace: str, place: str) -> None:
        """The log is read again from its beginning, and every study that is known looked for.

        What was done stays known, so that nothing is done twice.
        """
        with self.session() as session:
            cursor = _cursor(session, workspace)
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

    # -- what is due ---------------------------------------------------------------------------

    def due(
        self,
        workspace: str,
        *,
        at: datetime,
        limit: int = 200,
        waiting: Collection[str] = (),
        only_manifests: str = "",
    ) -> list[StagedStudy]:
        """Studies at rest about which something may have to be done, the longest known first.

        That is: whose latest revision has not been handled, or whose accession somebody asks for.
        Left out are those that a worker has in hand, that are put off, and of whose request
        nothing was heard yet, unless it is lost.

        Args:
            waiting: keys of requests that are known to be in a queue, and so are not lost.
            only_manifests: of accessions that somebody asks for, only rows of manifests whose
                names begin so; empty for all.
        """
        with self.session(reads_only=True) as session:
            lost, this_moment = at - LOST_AFTER, clock(session)
            common = [
                StageStudy.workspace == workspace,
                StageStudy.gone_at.is_(None),
                StageStudy.stable_since.is_not(None),
                or_(StageStudy.not_before.is_(None), StageStudy.not_before <= at),
                or_(Accession.claimed_until.is_(None), Accession.claimed_until <= this_moment),
                or_(
                    StageStudy.asked_at.is_(None),
                    _answered(),
                    and_(
                        StageStudy.asked_at <= lost,
                        StageStudy.asked_run.not_in(list(waiting)),
                    ),
                ),
            ]
            wanted: list[ColumnElement[bool]] = [
                or_(
                    Accession.state.in_(_TO_BEGIN),
                    and_(Accession.state.in_(_MID_WALK), Accession.updated_at <= lost),
                )
            ]
            if only_manifests:
                wanted.append(
                    exists()
                    .where(
                        ManifestRow.id == Accession.row_id,
                        Manifest.id == ManifestRow.manifest_id,
                        Manifest.name.startswith(only_manifests, autoescape=True),
                    )
                    .correlate(Accession)
                )
            found: dict[int, StagedStudy] = {}
            for where in ([StageStudy.handled < StageStudy.revision], wanted):
                # Two questions, each of which has an index of its own.
                statement = _staged().where(*common, *where).order_by(StageStudy.id).limit(limit)
                found.update((row.id, _record(row)) for row in session.execute(statement))
        return [found[identity] for identity in sorted(found)][:limit]

    def staged(
        self,
        workspace: str,
        *,
        accession_numbers: Sequence[str] | None = None,
        identities: Sequence[int] | None = None,
        present_only: bool = False,
    ) -> list[StagedStudy]:
        """The studies of the stage, in the order in which they were first seen.

        Args:
            accession_numbers: only of these; None for all.
            identities: only these.
            present_only: leave out what the source has no more.
        """
        where: list[ColumnElement[bool]] = [StageStudy.workspace == workspace]
        if present_only:
            where.append(StageStudy.gone_at.is_(None))
        pieces: list[list[ColumnElement[bool]]] = [[]]
        for column, values in (
            (StageStudy.accession_number, accession_numbers),
            (StageStudy.id, identities),
        ):
            if values is not None:
                pieces = [[*some, column.in_(few)] for some in pieces for few in _chunks(values)]
        found: list[StagedStudy] = []
        with self.session(reads_only=True) as session:
            for some in pieces:
                statement = _staged().where(*where, *some).order_by(StageStudy.id)
                found += [_record(row) for row in session.execute(statement)]
        return sorted(found, key=lambda one: one.identity)

    # -- what was done -------------------------------------------------------------------------

    def mark_asked(self, marks: Iterable[Mark], run_key: str, at: datetime) -> None:
        """Note that a run is being asked for on account of these studies."""
        wanted = {mark.identity: mark.revision for mark in marks}
        with self.session() as session:
            for some in _chunks(sorted(wanted)):
                latest = dict(
                    session.execute(
                        select(StageStudy.id, func.max(Event.id))
                        .join(Accession, _same_accession())
                        .join(Event, Event.accession_id == Accession.id)
                        .where(StageStudy.id.in_(some))
                        .group_by(StageStudy.id)
                    ).all()
                )
                for row in session.scalars(
                    select(StageStudy).where(StageStudy.id.in_(some)).with_for_update()
                ):
                    revision = wanted[row.id]
                    again = row.asked_revision == revision
                    row.attempts = row.attempts + 1 if again else 1
                    row.asked_at, row.asked_run, row.asked_revision = at, run_key, revision
                    row.asked_event = latest.get(row.id) or 0
                    row.not_before = None

    def mark_handled(self, verdicts: Iterable[Verdict]) -> None:
        """Note what was decided about revisions of studies; a later revision stays due."""
        by_id = {one.identity: one for one in verdicts}
        with self.session() as session:
            for row in _locked(session, by_id):
                one = by_id[row.id]
                row.handled = max(row.handled, one.revision)
                row.verdict, row.refused = one.words, one.refused
                row.asked_at, row.asked_run, row.not_before = None, "", None

    def put_off(self, verdicts: Iterable[Verdict], until: datetime) -> None:
        """Note that something is to be done later, and why not now."""
        by_id = {one.identity: one for one in verdicts}
        with self.session() as session:
            for row in _locked(session, by_id):
                row.not_before, row.verdict, row.refused = until, by_id[row.id].words, False

    def forget_asked(self, workspace: str, run_key: str) -> int:
        """Take back a request that never became a run; returns how many studies that concerns."""
        with self.session() as session:
            taken = session.execute(
                update(StageStudy)
                .where(StageStudy.workspace == workspace, StageStudy.asked_run == run_key)
                .values(asked_at=None, asked_run="")
                .execution_options(synchronize_session=False)
            )
            return int(taken.rowcount)  # type: ignore[attr-defined]

    def stage_outstanding(self, workspace: str) -> dict[str, datetime]:
        """Requests of which nothing was heard yet, by key, with the time of each."""
        statement = (
            select(StageStudy.asked_run, func.min(StageStudy.asked_at))
            .outerjoin(Accession, _same_accession())
            .where(
                StageStudy.workspace == workspace,
                StageStudy.asked_at.is_not(None),
                ~_answered(),
            )
            .group_by(StageStudy.asked_run)
        )
        with self.session(reads_only=True) as session:
            return {key: at for key, at in session.execute(statement)}

    def forget_former(self, identity: int) -> None:
        """All has been done about the number that a study had before it was corrected."""
        with self.session() as session:
            session.get_one(StageStudy, identity, with_for_update=True).formerly = ""

    def rejudge(self, workspace: str, judged_by: str) -> int:
        """Where the rule is another one than before, studies that it refused become due again."""
        with self.session() as session:
            cursor = _cursor(session, workspace)
            if cursor.judged_by == judged_by:
                return 0
            cursor.judged_by = judged_by
            again = session.execute(
                update(StageStudy)
                .where(StageStudy.workspace == workspace, StageStudy.refused)
                .values(handled=StageStudy.revision - 1, refused=False)
                .execution_options(synchronize_session=False)
            )
            return int(again.rowcount)  # type: ignore[attr-defined]

    # -- for reports ---------------------------------------------------------------------------

    def stage_unnamed(self, workspace: str) -> list[str]:
        """Accession numbers at the source that no manifest of the workspace names, sorted."""
        named = exists().where(_same_accession()).correlate(StageStudy)
        statement = (
            select(StageStudy.accession_number)
            .where(
                StageStudy.workspace == workspace,
                StageStudy.gone_at.is_(None),
                StageStudy.accession_number != "",
                ~named,
            )
            .distinct()
        )
        with self.session(reads_only=True) as session:
            return sorted(session.scalars(statement))

    def stage_lacking(self, workspace: str, manifests: Sequence[str] = ()) -> list[str]:
        """Partition keys of rows whose accession the source does not have, in their order.

        Args:
            manifests: names; none for all of the workspace.
        """
        there = exists().where(_same_accession(), StageStudy.gone_at.is_(None)).correlate(Accession)
        statement = (
            select(ManifestRow.partition_key)
            .join(Accession, Accession.id == ManifestRow.accession_id)
            .join(Manifest, Manifest.id == ManifestRow.manifest_id)
            .where(
                ManifestRow.workspace == workspace, ManifestRow.partition_key.is_not(None), ~there
            )
            .order_by(ManifestRow.manifest_id, ManifestRow.row_number)
        )
        if manifests:
            statement = statement.where(Manifest.name.in_(manifests))
        with self.session(reads_only=True) as session:
            return [key for key in session.scalars(statement) if key is not None]

    def stage_count(self, workspace: str) -> StageCount:
        """The stage in numbers."""
        present = StageStudy.gone_at.is_(None)
        counted = (
            present,
            and_(present, StageStudy.stable_since.is_(None)),
            and_(present, StageStudy.handled < StageStudy.revision),
            and_(present, StageStudy.asked_at.is_not(None)),
            and_(present, StageStudy.refused),
            and_(present, StageStudy.accession_number == ""),
            ~present,
        )
        sums = [func.coalesce(func.sum(case((one, 1), else_=0)), 0) for one in counted]
        with self.session(reads_only=True) as session:
            row = session.execute(select(*sums).where(StageStudy.workspace == workspace)).one()
            return StageCount(*(int(value) for value in row))

    def stage_verdicts(self, workspace: str) -> dict[str, int]:
        """How many present studies were decided about in which words, the most frequent first."""
        statement = (
            select(StageStudy.verdict, func.count())
            .where(
                StageStudy.workspace == workspace,
                StageStudy.gone_at.is_(None),
                StageStudy.verdict != "",
            )
            .group_by(StageStudy.verdict)
        )
        with self.session(reads_only=True) as session:
            found = {words: count for words, count in session.execute(statement)}
        return dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))


def _same_accession() -> ColumnElement[bool]:
    return and_(
        Accession.workspace == StageStudy.workspace,
        Accession.accession_number == StageStudy.accession_number,
    )


def _answered() -> ColumnElement[bool]:
    """Whether something has happened to the accession since a run was asked for."""
    return and_(
        StageStudy.asked_at.is_not(None),
        exists()
        .where(Event.accession_id == Accession.id, Event.id > StageStudy.asked_event)
        .correlate(Accession, StageStudy),
    )


def _cursor(session: Session, workspace: str) -> StageCursor:
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
    for some in _chunks(sorted(seen)):
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
                if row.accession_number not in ("", facts["accession_number"]):
                    row.formerly = row.accession_number
                    renumbered.append(row.accession_number)
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
    for some in _chunks(sorted(source_studies)):
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
    """What carries a number that another study has lost is due again: it may be alone now."""
    for some in _chunks(sorted(set(accession_numbers) - {""})):
        session.execute(
            update(StageStudy)
            .where(
                StageStudy.workspace == workspace,
                StageStudy.accession_number.in_(some),
                StageStudy.gone_at.is_(None),
                StageStudy.handled >= StageStudy.revision,
            )
            .values(handled=StageStudy.revision - 1, asked_revision=0)
            .execution_options(synchronize_session=False)
        )


def _locked(session: Session, identities: Collection[int]) -> Iterable[StageStudy]:
    for some in _chunks(sorted(identities)):
        yield from session.scalars(
            select(StageStudy).where(StageStudy.id.in_(some)).with_for_update()
        ).all()


def _chunks(values: Sequence[Any]) -> list[Sequence[Any]]:
    return [values[start : start + _IN_CHUNK] for start in range(0, len(values), _IN_CHUNK)]


_PLAIN = (
    StageStudy.id,
    StageStudy.source_study,
    StageStudy.accession_number,
    StageStudy.formerly,
    StageStudy.patient_id,
    StageStudy.instances,
    StageStudy.series,
    StageStudy.modalities,
    StageStudy.version,
    StageStudy.revision,
    StageStudy.handled,
    StageStudy.first_seen,
    StageStudy.changed_at,
    StageStudy.stable_since,
    StageStudy.gone_at,
    StageStudy.verdict,
    StageStudy.refused,
    StageStudy.asked_at,
    StageStudy.asked_run,
    StageStudy.asked_revision,
    StageStudy.attempts,
    StageStudy.not_before,
)
_MODALITIES_AT = 7  # by its place, because comparing columns makes a condition of them


def _staged() -> Any:
    return select(
        *_PLAIN,
        Accession.id.label("accession"),
        Accession.state.label("state"),
        _answered().label("answered"),
    ).outerjoin(Accession, _same_accession())


def _record(row: Any) -> StagedStudy:
    fields = list(row)
    fields[_MODALITIES_AT] = tuple(filter(None, fields[_MODALITIES_AT].split(",")))
    *plain, accession, state, answered = fields
    return StagedStudy(
        *plain,
        accession_id=accession,
        state=State(state) if state else None,
        answered=bool(answered),
    )
