"""What is to be done about each study of the stage, by the ledger as it stands.

What belongs here: the decision about every study that is due, and rows for studies that no manifest
asked for. What does not: the log (`watching_poll.py`), and runs (`watching.py`).

Decisions are made from the ledger's state, and for what is delivered from the source's fingerprint,
so that making one twice does no harm, and reading a log anew repeats nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from locutus_dagster.ledger import Phase, State
from locutus_dagster.ledger.fingerprints import Kind, digest
from locutus_dagster.ledger.stage_records import Mark, StagedStudy, Verdict
from locutus_dagster.ledger.work import DeliveryRecord, WorkItem
from locutus_dagster.manifests.arriving import ARRIVED, ArrivedRow, add_arrivals, arrived_name
from locutus_dagster.manifests.comparing import RECALLED
from locutus_dagster.pipeline.arrivals import (
    Arrival,
    ChangeLog,
    Hours,
    Notice,
    WatchingError,
    imaging_type,
    refusal,
)
from locutus_dagster.pipeline.arrivals_corrected import move_on
from locutus_dagster.pipeline.arrivals_subjects import (
    NobodyKnowsError,
    SubjectsFile,
    pseudonymous_subject,
)
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.pipeline.resolving import Ambiguous, settle
from locutus_dagster.pipeline.watching_poll import Budget, sighting
from locutus_dagster.run_modes import Reprocess
from locutus_dagster.settings import WatchSettings
from locutus_dagster.sources.base import FoundStudy, SourceError, SourceUnavailableError
from locutus_dagster.sources.orthanc_studies import StudyFacts

__all__ = ["Decider", "Decisions"]

_TOGETHER = 200  # studies that are looked at in one go
_ATTEMPTS = 3
_TRY_AGAIN = timedelta(minutes=15)
_TO_RUN = frozenset({State.LOADED, State.REQUESTED, State.EXTRACTED, State.DEIDENTIFIED})
_NO_NUMBER = "it has no accession number"
_UNNAMED = "no manifest asks for it"
_RECALLED = "it has been recalled"
_RECALLED_SUBJECT = "its subject has been recalled"
_BROKEN = "the subjects file cannot be used"
_NOT_ASKED = "the source cannot be asked for it"


@dataclass
class Decisions:
    """What was decided in one go.

    Attributes:
        arrivals: what should be processed now.
        notices: what a person should know of.
        problems: what keeps some studies from being decided about, free of identifiers.
    """

    arrivals: list[Arrival] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Decider:
    """Decides for one workspace."""

    def __init__(self, parts: Parts, watch: WatchSettings, log: ChangeLog, hours: Hours) -> None:
        self._parts = parts
        self._ledger = parts.ledger
        self._workspace = parts.workspace
        self._watch = watch
        self._log = log
        self._hours = hours

    def decide(
        self, at: datetime, waiting: Collection[str], limit: int, deadline_seconds: float
    ) -> Decisions:
        """Decide about what is due, until there are `limit` arrivals; see `Watcher.decide`."""
        budget = Budget(deadline_seconds)
        sitting = _Sitting(self, at)
        judged_by = sitting.judged_by()
        if self._ledger.stage_cursor(self._workspace).judged_by != judged_by:
            self._ledger.rejudge(self._workspace, judged_by)
        after = 0
        while True:
            due = self._ledger.due(
                self._workspace,
                at=at,
                limit=_TOGETHER,
                after=after,
                waiting=waiting,
                only_manifests=ARRIVED if self._watch.mode == "changes" else "",
            )
            if due:
                sitting.decide(self._as_they_are(due, at), budget)
                after = due[-1].identity
            enough = len(sitting.decisions.arrivals) >= limit
            if len(due) < _TOGETHER or enough or not budget.lasts():
                return sitting.decisions

    def _as_they_are(
        self, due: Sequence[StagedStudy], at: datetime
    ) -> list[tuple[StagedStudy, StudyFacts]]:
        """Those that the source still has as the stage has them; the others are noted."""
        facts = self._log.describe([one.source_study for one in due])
        self._ledger.record_looks(
            self._workspace,
            at=at,
            sightings=[sighting(one) for one in facts.values()],
            gone={one.source_study for one in due} - facts.keys(),
        )
        return [
            (one, now)
            for one in due
            if (now := facts.get(one.source_study)) and now.resting and now.version == one.version
        ]


class _Sitting:
    """One going through what is due."""

    def __init__(self, decider: Decider, at: datetime) -> None:
        self.decisions = Decisions()
        self._decider = decider
        self._parts = decider._parts
        self._ledger = decider._ledger
        self._workspace = decider._workspace
        self._watch = decider._watch
        self._at = at
        self._verdicts: list[Verdict] = []
        self._later: list[Verdict] = []
        self._arriving: list[tuple[StagedStudy, ArrivedRow]] = []
        self._arrivals: dict[str, Arrival] = {}
        self._subjects: SubjectsFile | None = None
        self._broken = ""
        if self._watch.subjects is not None and self._watch.mode != "manifest":
            try:
                self._subjects = SubjectsFile(self._watch.subjects)
            except WatchingError as error:
                self._broken = str(error)
                self.decisions.problems.append(self._broken)

    def judged_by(self) -> str:
        """Digest of everything that a refusal depends on."""
        watch = self._watch
        recalls = self._ledger.recalls(self._workspace, standing_only=True)
        return digest(
            watch.mode,
            watch.rule.model_dump_json(),
            str(watch.redeliver_changed),
            str(watch.subjects),
            self._subjects.sha256 if self._subjects else self._broken,
            *(str(one.identity) for one in recalls),
        )

    def decide(self, due: Sequence[tuple[StagedStudy, StudyFacts]], budget: Budget) -> None:
        items = self._items([one.accession_id for one, _ in due if one.accession_id is not None])
        for study, facts in due:
            self._judge(study, facts, items.get(study.accession_id or 0))
            if not budget.lasts():
                break  # the others stay due
        self._add_rows()
        if self._verdicts:
            self._ledger.mark_handled(self._workspace, self._verdicts)
        if self._later:
            self._ledger.put_off(self._workspace, self._later, self._at + _TRY_AGAIN)
        self._verdicts, self._later, self._arriving = [], [], []
        self.decisions.arrivals = list(self._arrivals.values())

    def _items(self, accession_ids: Sequence[int]) -> dict[int, WorkItem]:
        """By accession: the row that it is, or was last, processed for."""
        found: dict[int, WorkItem] = {}
        for item in self._ledger.items_naming(self._workspace, sorted(set(accession_ids))):
            if item.accession_id not in found or item.row_id == item.current_row_id:
                found[item.accession_id] = item
        return found

    def _judge(self, study: StagedStudy, facts: StudyFacts, item: WorkItem | None) -> None:
        if study.formerly and not self._moved_on(study):
            return
        if not study.accession_number:
            self._say(study, _NO_NUMBER)
        elif item is None:
            self._new(study, facts)
        elif self._recalled(item):
            self._say(study, _RECALLED, refused=True)
        elif item.state is State.DELIVERED:
            self._delivered(study, item)
        elif item.state is State.DROPPED:
            self._say(study, "a person has decided that its studies are not used")
        else:
            self._unfinished(study, facts, item)

    # -- studies that are new ----------------------------------------------------------------

    def _new(self, study: StagedStudy, facts: StudyFacts) -> None:
        if self._watch.mode == "manifest":
            self._say(study, _UNNAMED, refused=True)
            return
        refused = refusal(self._watch, facts)
        if refused:
            self._say(study, refused, refused=True)
        elif not self._of_our_issuer(study):
            self._say(study, "its accession number is of another issuer")
        elif self._broken:
            self._put_off(study, _BROKEN)
        else:
            try:
                subject = self._subject(study)
            except NobodyKnowsError as nobody:
                self._say(study, nobody.message, refused=True)
                return
            row = ArrivedRow(study.accession_number, subject, imaging_type(study.modalities))
            self._arriving.append((study, row))

    def _of_our_issuer(self, study: StagedStudy) -> bool:
        if not getattr(self._parts.workspace_settings.source, "issuer", None):
            return True
        try:
            found = self._parts.source.find(study.accession_number)
        except SourceUnavailableError:
            raise
        except SourceError:
            return True  # it will be refused for what it is
        return any(one.source_id == study.source_study for one in found)

    def _subject(self, study: StagedStudy) -> str:
        if self._subjects is not None:
            return self._subjects.subject(study.accession_number, study.patient_id)
        return pseudonymous_subject(self._parts.keys, study.patient_id)

    def _add_rows(self) -> None:
        if not self._arriving:
            return
        day = self._at.astimezone(self._decider._hours.zone).date()
        rows = [row for _, row in self._arriving]
        added = add_arrivals(self._ledger, self._workspace, arrived_name(day), rows)
        for (study, _), one in zip(self._arriving, added, strict=True):
            if one.refused:
                words = _RECALLED_SUBJECT if one.refused == RECALLED else one.refused
                self._say(study, words, refused=True)
            else:
                self._ask(study, one.partition_key, "it has arrived")

    # -- studies that somebody asked for -----------------------------------------------------

    def _unfinished(self, study: StagedStudy, facts: StudyFacts, item: WorkItem) -> None:
        refused = ""
        if self._watch.mode == "changes" and not item.manifest.startswith(ARRIVED):
            refused = refusal(self._watch, facts)
        answered = study.answered and study.asked_revision >= study.revision
        if refused:
            self._say(study, refused, refused=True)
        elif item.state in _TO_RUN or not answered:
            self._ask(study, item.partition_key, "it has arrived")
        elif item.state is State.FAILED:
            self._failed(study, item)
        else:
            self._say(study, f"processed: {item.state.value}")

    def _failed(self, study: StagedStudy, item: WorkItem) -> None:
        # What the engine refuses, it refuses again; the source or a target may have been ill.
        if item.phase == Phase.TRANSFORM or study.attempts >= _ATTEMPTS:
            self._say(study, "processed: failed")
        elif study.not_before is None:
            self._put_off(study, "it failed, and is tried again")
        else:
            self._ask(study, item.partition_key, "it failed before")

    def _recalled(self, item: WorkItem) -> bool:
        if item.state is State.RECALLED:
            return True
        recall = self._ledger.recall_of(self._workspace, item.accession_id, item.subject_id)
        return recall is not None

    # -- studies that were delivered ---------------------------------------------------------

    def _delivered(self, study: StagedStudy, item: WorkItem) -> None:
        try:
            found = self._parts.source.find(item.accession_number)
        except SourceUnavailableError:
            raise
        except SourceError:  # such as a proxy's answer; the next one may be another
            self._put_off(study, _NOT_ASKED)
            return
        settled = settle(found, self._ledger.resolution(item.accession_id))
        if isinstance(settled, Ambiguous):
            words = "several studies carry the number of one that was delivered; a person decides"
            self._notice(item, words)
            self._say(study, words)
            return
        standing = self._ledger.standing(item.accession_id)
        if not isinstance(settled, FoundStudy) or not standing:
            self._say(study, "it was delivered" if standing else "its delivery was withdrawn")
            return
        known = {(one.made_from or {}).get(Kind.SOURCE.value) for one in self._compared(standing)}
        known.discard(None)
        if (known or {item.source_fingerprint}) == {settled.fingerprint}:
            self._unnotice(item)
            self._say(study, "it was delivered as it is")
            return
        # Heard of or not: a run may find that nothing has changed, and leave no event.
        asked = study.asked_at is not None and study.asked_revision >= study.revision
        if not self._watch.redeliver_changed:
            words = "it has changed since it was delivered"
            self._notice(item, words)
            self._say(study, words, refused=True)
        elif asked and study.attempts >= _ATTEMPTS:
            words = "it has changed since it was delivered, and could not be delivered again"
            self._notice(item, words)
            self._say(study, words)
        else:
            words = "it has changed since it was delivered"
            self._notice(item, words)
            self._ask(study, item.partition_key, words, changed=True)

    def _compared(self, standing: Sequence[DeliveryRecord]) -> list[DeliveryRecord]:
        """The deliveries that a study is held against, as a run does it (`deciding.py`).

        One to a target that is configured no more says nothing, unless there is no other.
        """
        last = {one.target: one for one in standing if one.target in self._parts.targets}
        return [*last.values()] or [standing[-1]]

    def _notice(self, item: WorkItem, words: str) -> None:
        self.decisions.notices.append(Notice(item.partition_key, words))
        kinds = {*filter(None, item.changed.split(",")), Kind.SOURCE.value}
        self._note(item, kinds)

    def _unnotice(self, item: WorkItem) -> None:
        self._note(item, {*filter(None, item.changed.split(","))} - {Kind.SOURCE.value})

    def _note(self, item: WorkItem, kinds: Collection[str]) -> None:
        changed = ",".join(kind.value for kind in Kind if kind.value in kinds)
        if changed != item.changed:
            self._ledger.note_changed(item.row_id, changed)

    def _moved_on(self, study: StagedStudy) -> bool:
        """Do what is to be done about the number that a study had before; whether that is done."""
        try:
            done, notices = move_on(study, self._parts, self._watch)
        except SourceUnavailableError:
            raise
        except SourceError:
            self._put_off(study, _NOT_ASKED)
            return False
        self.decisions.notices += notices
        if done:
            self._ledger.forget_former(self._workspace, study.identity)
        return done

    # -- what is said ------------------------------------------------------------------------

    def _say(self, study: StagedStudy, words: str, *, refused: bool = False) -> None:
        self._verdicts.append(Verdict(study.identity, study.revision, words, refused))

    def _put_off(self, study: StagedStudy, words: str) -> None:
        self._later.append(Verdict(study.identity, study.revision, words))

    def _ask(self, study: StagedStudy, partition_key: str, why: str, changed: bool = False) -> None:
        before = self._arrivals.get(partition_key)  # of a further study of the same accession
        self._arrivals[partition_key] = Arrival(
            partition_key,
            why,
            (
                *(before.marks if before else ()),
                Mark(study.identity, study.revision, study.asked_run),
            ),
            Reprocess.PRERETIRE_ONLY_CHANGED if changed else None,
            changed and self._watch.withdraw_superseded,
        )
