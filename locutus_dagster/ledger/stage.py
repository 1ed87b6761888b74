"""The stage: what the source has, as its log of changes told it, and what was done about it.

What belongs here: which studies are due, what was asked for and what came of it. What does not:
what was seen at the source (`stage_looks.py`), figures (`stage_reports.py`), and reading the log
and deciding (`pipeline/watching.py`).

A study's versions are counted (`revision`), and so is what has been done (`handled`). Numbers of
the source's log take no part in that: they begin anew when its database is replaced.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
from sqlalchemy.orm import Session

from locutus_dagster.ledger.claims import ClaimLostError, clock
from locutus_dagster.ledger.schema import (
    Accession,
    Delivery,
    Event,
    Manifest,
    ManifestRow,
    StageStudy,
    now,
)
from locutus_dagster.ledger.stage_looks import SETTLED_AFTER, StageLooks, chunks, locked_cursor
from locutus_dagster.ledger.stage_records import Mark, StagedStudy, Verdict
from locutus_dagster.ledger.stage_reports import LOST_AFTER, StageReports, answered, same_accession
from locutus_dagster.ledger.states import State
from locutus_dagster.ledger.work import Attempt

__all__ = ["LOST_AFTER", "SETTLED_AFTER", "Stage"]

#: For so long is put off what the first run that broke off has left; longer after each further one.
_PUT_OFF, _PUT_OFF_AT_MOST = timedelta(minutes=15), timedelta(hours=4)
_BROKE_OFF = "its run ended before it came to it; it is asked for again later"

_TO_BEGIN = (State.LOADED.value, State.REQUESTED.value)
_MID_WALK = (State.EXTRACTED.value, State.DEIDENTIFIED.value)


class Stage(StageLooks, StageReports):
    """Studies at the source, and what was done about them."""

    # -- what is due ---------------------------------------------------------------------------

    def due(
        self,
        workspace: str,
        *,
        at: datetime,
        limit: int = 200,
        after: int = 0,
        waiting: Collection[str] = (),
        only_manifests: str = "",
    ) -> list[StagedStudy]:
        """Studies at rest about which something may have to be done, the longest known first.

        That is: whose latest revision has not been handled, or whose accession somebody asks for.
        Left out are those that a worker has in hand, that are put off, and of whose request
        nothing was heard yet, unless it is lost.

        Args:
            after: only studies that became known after the one with this identity.
            waiting: keys of requests that are known to be in a queue, and so are not lost.
            only_manifests: of accessions that somebody asks for, only rows of manifests whose
                names begin so; empty for all.
        """
        with self.session(reads_only=True) as session:
            lost, this_moment = at - LOST_AFTER, clock(session)
            common = [
                StageStudy.workspace == workspace,
                StageStudy.id > after,
                StageStudy.gone_at.is_(None),
                StageStudy.stable_since.is_not(None),
                or_(StageStudy.not_before.is_(None), StageStudy.not_before <= at),
                or_(Accession.claimed_until.is_(None), Accession.claimed_until <= this_moment),
                or_(
                    StageStudy.asked_at.is_(None),
                    answered(),
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
                pieces = [[*some, column.in_(few)] for some in pieces for few in chunks(values)]
        found: list[StagedStudy] = []
        with self.session(reads_only=True) as session:
            for some in pieces:
                statement = _staged().where(*where, *some).order_by(StageStudy.id)
                found += [_record(row) for row in session.execute(statement)]
        return sorted(found, key=lambda one: one.identity)

    # -- what was done -------------------------------------------------------------------------

    def mark_asked(self, workspace: str, marks: Iterable[Mark], run_key: str, at: datetime) -> None:
        """Note that a run is being asked for on account of these studies."""
        wanted = {mark.identity: mark.revision for mark in marks}
        with self.session() as session:
            locked_cursor(session, workspace)
            for some in chunks(sorted(wanted)):
                latest = dict(
                    session.execute(
                        select(StageStudy.id, func.max(Event.id))
                        .join(Accession, same_accession())
                        .join(Event, Event.accession_id == Accession.id)
                        .where(StageStudy.id.in_(some))
                        .group_by(StageStudy.id)
                    ).all()
                )
                for row in session.scalars(select(StageStudy).where(StageStudy.id.in_(some))):
                    revision = wanted[row.id]
                    again = row.asked_revision == revision
                    row.attempts = row.attempts + 1 if again else 1
                    row.asked_at, row.asked_run, row.asked_revision = at, run_key, revision
                    row.asked_event = latest.get(row.id) or 0
                    row.not_before = None
                    # Due until what came of it has been looked at.
                    row.handled = min(row.handled, revision - 1)

    def mark_handled(self, workspace: str, verdicts: Iterable[Verdict]) -> None:
        """Note what was decided about revisions of studies; a later revision stays due."""
        by_id = {one.identity: one for one in verdicts}
        with self.session() as session:
            for row in _rows(session, workspace, by_id):
                one = by_id[row.id]
                row.handled = max(row.handled, one.revision)
                row.verdict, row.refused = one.words, one.refused
                # The request's key stays: the next one's follows from it.
                row.asked_at, row.not_before = None, None

    def put_off(self, workspace: str, verdicts: Iterable[Verdict], until: datetime) -> None:
        """Note that something is to be done later, and why not now."""
        by_id = {one.identity: one for one in verdicts}
        with self.session() as session:
            for row in _rows(session, workspace, by_id):
                row.not_before, row.verdict, row.refused = until, by_id[row.id].words, False

    def forget_asked(
        self, workspace: str, run_key: str, *, broke_off_at: datetime | None = None
    ) -> int:
        """Take back a request that never became a run, or whose run has ended before its time.

        What the run has come to stays asked for; returns how many studies are asked for again.

        Args:
            broke_off_at: when the run was found to have broken off: what it left is put off, the
                longer the oftener that has happened. None when nothing is wrong with it: it is due
                at once, and has not been tried.
        """
        # Where a study belongs to no accession yet, nothing can have happened to one.
        untouched = (
            select(StageStudy.id)
            .outerjoin(Accession, same_accession())
            .where(
                StageStudy.workspace == workspace,
                StageStudy.asked_run == run_key,
                StageStudy.asked_at.is_not(None),
                ~answered(),
            )
        )
        with self.session() as session:
            locked_cursor(session, workspace)
            left = list(session.scalars(untouched))
            for some in chunks(left):
                for row in session.scalars(select(StageStudy).where(StageStudy.id.in_(some))):
                    row.asked_at = None
                    if broke_off_at is None:
                        row.attempts = max(0, row.attempts - 1)
                        continue
                    wait = _PUT_OFF * 2 ** min(max(0, row.attempts - 1), 10)
                    row.not_before = broke_off_at + min(wait, _PUT_OFF_AT_MOST)
                    row.verdict, row.refused = _BROKE_OFF, False
            return len(left)

    def forget_former(self, workspace: str, identity: int) -> None:
        """All has been done about the number that a study had before it was corrected."""
        with self.session() as session:
            locked_cursor(session, workspace)
            session.get_one(StageStudy, identity).formerly = ""

    def made_of(self, workspace: str, source_study: str, *, besides: str) -> list[int]:
        """Delivered accessions that were made of this study, other than the number `besides`."""
        with self.session(reads_only=True) as session:
            return list(
                session.scalars(
                    select(Accession.id)
                    .where(
                        Accession.workspace == workspace,
                        Accession.accession_number != besides,
                        Accession.source_study == source_study,
                        Accession.state == State.DELIVERED.value,
                    )
                    .order_by(Accession.id)
                )
            )

    def supersede_moved(self, accession_id: int, *, withdraw: str, by: Attempt) -> None:
        """What was delivered of an accession stands no more: its study has another number now.

        Args:
            withdraw: why it is to be removed from its targets; empty when it stays there.

        Raises:
            ClaimLostError: another worker has taken the accession over.
        """
        with self.session() as session:
            accession = session.get_one(Accession, accession_id, with_for_update=True)
            if by.owner is not None and accession.claimed_by != by.owner:
                raise ClaimLostError
            values: dict[str, Any] = {"superseded_at": now()}
            if withdraw:
                values["withdrawal"] = withdraw
            session.execute(
                update(Delivery)
                .where(
                    Delivery.accession_id == accession_id,
                    Delivery.superseded_at.is_(None),
                    Delivery.withdrawn_at.is_(None),
                )
                .values(**values)
                .execution_options(synchronize_session=False)
            )

    def rejudge(self, workspace: str, judged_by: str) -> int:
        """Where the rule is another one than before, studies that it refused become due again."""
        with self.session() as session:
            cursor = locked_cursor(session, workspace)
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


def _rows(session: Session, workspace: str, identities: Collection[int]) -> Iterator[StageStudy]:
    locked_cursor(session, workspace)
    for some in chunks(sorted(identities)):
        yield from session.scalars(select(StageStudy).where(StageStudy.id.in_(some))).all()


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
        answered().label("answered"),
    ).outerjoin(Accession, same_accession())


def _record(row: Any) -> StagedStudy:
    fields = list(row)
    fields[_MODALITIES_AT] = tuple(filter(None, fields[_MODALITIES_AT].split(",")))
    *_, state, answered = fields
    fields[-2:] = [State(state) if state else None, bool(answered)]
    return StagedStudy(*fields)
