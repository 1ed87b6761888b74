"""Plans: what a person's commands would do about accessions with several studies, and doing it.

What belongs here: making a plan, and carrying one out, each accession against the source as it is
at that moment. What does not: what a command comes to (`resolution_commands.py`), and a plan's
form as a file (`resolution_files.py`).

Making a plan changes nothing. The order that survives a crash when one is carried out: the
decision is kept first, under a mark that names the plan, and then the accession's state is
changed. A run that comes between the two finds the decision and obeys it; carrying the plan out
again finds the mark and makes up for what is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from locutus_dagster.ledger import State
from locutus_dagster.ledger.claims import ClaimLostError
from locutus_dagster.ledger.resolutions import ResolutionRecord, ResolveCommand
from locutus_dagster.ledger.selection import Selection
from locutus_dagster.ledger.states import TRANSITIONS
from locutus_dagster.ledger.work import Attempt, WorkItem
from locutus_dagster.pipeline.fingerprints import settings_fingerprint
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.pipeline.resolution_candidates import Candidate, candidates
from locutus_dagster.pipeline.resolution_commands import (
    Asked,
    ResolveError,
    Studies,
    consequence,
    decide,
    parse_command,
    short_handle,
)
from locutus_dagster.sources.base import FoundStudy, SourceError, SourceUnavailableError

__all__ = ["Applied", "Candidate", "Plan", "PlanEntry", "PlanRow", "apply_plan", "make_plan"]

#: What a decision makes of the accession.
_AFTER = {
    ResolveCommand.MERGE: State.WAITING,
    ResolveCommand.RESEND: State.WAITING,
    ResolveCommand.NEWEST: State.REQUESTED,
    ResolveCommand.CHOOSE: State.REQUESTED,
    ResolveCommand.DROP: State.DROPPED,
    ResolveCommand.DROP_FROM_STAGE: State.PENDING,
}
#: As a run says it (`chain.py`), which comes to the same when it meets the decision.
_REASONS = {
    State.WAITING: "radiology has been asked to act ({command})",
    State.DROPPED: "a person has decided that its studies are not used",
}
_PATIENTS = "{count} PATIENTS UNDER ONE ACCESSION"


@dataclass(frozen=True)
class PlanRow:
    """One line of a plan as it is carried out: which accession, how, and for which studies.

    Attributes:
        via: the command as text.
        fingerprint: of the studies that the line was written for.
        line: of the file, None where there is none.
    """

    partition_key: str
    via: str = field(repr=False)
    fingerprint: str
    line: int | None = None


@dataclass(frozen=True)
class PlanEntry:
    """What is planned for one accession, in words free of identifiers.

    Attributes:
        command: None where none was given, or it cannot be carried out.
        chosen: short handle of the study to use; empty where none is.
        consequence: what carrying it out does; empty with a problem.
        problem: why nothing can be done; empty where something can.
        warning: what a person must know before deciding.
        standing: the decision that stands.
    """

    partition_key: str
    accession_id: int
    state: State
    candidates: tuple[Candidate, ...] = ()
    command: ResolveCommand | None = None
    chosen: str = ""
    consequence: str = ""
    problem: str = ""
    warning: str = ""
    standing: ResolveCommand | None = None
    fingerprint: str = ""

    @property
    def via(self) -> str:
        """The command as it is written; empty where there is none."""
        if self.command is None:
            return ""
        return f"{self.command.value}:uuid={self.chosen}" if self.chosen else self.command.value

    @property
    def row(self) -> PlanRow:
        """What `apply_plan` needs of it."""
        return PlanRow(self.partition_key, self.via, self.fingerprint)


@dataclass(frozen=True)
class Plan:
    """What is planned, one entry for each accession."""

    entries: tuple[PlanEntry, ...]


@dataclass(frozen=True)
class Applied:
    """What became of one line of a plan.

    Attributes:
        done: it has been carried out, now or before.
        why: what follows from it, or why it was not carried out.
        refused: it was to be carried out and could not be; a line without a command is neither.
    """

    partition_key: str
    done: bool
    why: str
    refused: bool = False


def make_plan(
    parts: Parts,
    items: Sequence[WorkItem],
    command: ResolveCommand | None = None,
    choose: str | None = None,
) -> Plan:
    """Ask the source about each accession and say what its command would do.

    Args:
        command: for every item; without it each row's own command is read.
        choose: the study, for `ResolveCommand.CHOOSE`: its handle or short handle.

    Raises:
        SourceUnavailableError: the source cannot be asked at all.
    """
    given = Asked(command, choose or "") if command else None
    return Plan(tuple(_entry(parts, item, given) for item in items))


def _entry(parts: Parts, item: WorkItem, given: Asked | None) -> PlanEntry:
    entry = PlanEntry(item.partition_key, item.accession_id, item.state)
    standing = parts.ledger.resolution(item.accession_id)
    try:
        found = tuple(parts.source.find(item.accession_number))
        studies = _looked_at(parts, found, Studies(found, standing))
    except SourceUnavailableError:
        raise
    except SourceError as error:
        return replace(entry, problem=str(error))
    patients = len(studies.patients(found))
    entry = replace(
        entry,
        candidates=candidates(studies),
        warning=_PATIENTS.format(count=patients) if patients > 1 else "",
        standing=standing.command if standing else None,
        fingerprint=studies.fingerprint(item.workspace, item.accession_id),
    )
    try:
        _refuse_recalled(parts, item)
        asked = given or parse_command(item.resolve_via)
        if asked is None:
            return replace(entry, problem=_no_command(standing))
        decision = decide(studies, asked)
    except ResolveError as error:
        return replace(entry, problem=str(error))
    chosen = decision.chosen if asked.command is ResolveCommand.CHOOSE else None
    return replace(
        entry,
        command=asked.command,
        chosen=short_handle(chosen) if chosen else "",
        consequence=consequence(decision, studies, item.state),
    )


def _looked_at(parts: Parts, wanted: Sequence[FoundStudy], studies: Studies) -> Studies:
    seen = {one.source_id: parts.source.overview(one) for one in wanted}
    return replace(studies, overviews=seen)


def _refuse_recalled(parts: Parts, item: WorkItem) -> None:
    recall = parts.ledger.recall_of(item.workspace, item.accession_id, item.subject_id)
    if recall is not None or item.state is State.RECALLED:
        raise ResolveError("It has been recalled.", "Lift the recall first.")


def _no_command(standing: ResolutionRecord | None) -> str:
    return f"No command; {standing.command.value} stands." if standing else "No command."


# -- carrying it out ---------------------------------------------------------------------------


def apply_plan(parts: Parts, rows: Iterable[PlanRow]) -> list[Applied]:
    """Carry out a plan, each line against the source as it is now.

    A line that does not fit any more is refused, and the rest goes on. Doing it again is harmless.

    Raises:
        LedgerError: the ledger cannot be used.
    """
    rows = list(rows)
    keys = tuple(row.partition_key for row in rows)
    known = parts.ledger.select(parts.workspace, Selection(partition_keys=keys)) if keys else []
    items = {item.partition_key: item for item in known}
    applied: list[Applied] = []
    gone = ""
    for row in rows:
        if gone:  # there is no use in asking the source about every other line
            applied.append(Applied(row.partition_key, False, gone, refused=True))
            continue
        done, gone = _line(parts, items.get(row.partition_key), row)
        applied.append(done)
    return applied


def _line(parts: Parts, item: WorkItem | None, row: PlanRow) -> tuple[Applied, str]:
    """What became of one line, and why the source cannot be asked any more."""
    try:
        return _apply(parts, item, row), ""
    except SourceUnavailableError as error:
        return Applied(row.partition_key, False, str(error), refused=True), str(error)
    except (ResolveError, SourceError, ClaimLostError) as error:
        return Applied(row.partition_key, False, str(error), refused=True), ""


def _apply(parts: Parts, item: WorkItem | None, row: PlanRow) -> Applied:
    asked = parse_command(row.via)
    if asked is None:
        return Applied(row.partition_key, False, "No command; left as it stands.")
    if item is None:
        raise ResolveError(
            f"Workspace '{parts.workspace}' has no such partition.", "Make the plan anew."
        )
    with parts.claimant.hold(item.accession_id) as held:
        if not held:
            raise ResolveError("A run has it in hand.", "Apply the plan again when that has ended.")
        # A run may have finished it before the claim was ours.
        item = parts.ledger.work_items(parts.workspace, [row.partition_key])[0]
        return _in_hand(parts, item, row, asked)


def _in_hand(parts: Parts, item: WorkItem, row: PlanRow, asked: Asked) -> Applied:
    _refuse_recalled(parts, item)
    standing = parts.ledger.resolution(item.accession_id)
    if standing is not None and row.fingerprint and standing.reason == row.fingerprint:
        return _again(parts, item, row, asked, standing)
    found = tuple(parts.source.find(item.accession_number))
    studies = Studies(found, standing)
    now = studies.fingerprint(item.workspace, item.accession_id)
    if now != row.fingerprint:
        raise ResolveError(_stale(row.fingerprint, now), "Make the plan anew.")
    if asked.command is ResolveCommand.NEWEST:
        studies = _looked_at(parts, studies.in_question, studies)
    decision = decide(studies, asked, row.fingerprint)
    parts.ledger.resolve(item.accession_id, decision, owner=parts.claimant.owner)
    parts.checkpoint("resolve:recorded")
    _carry_out(parts, item, decision)
    return Applied(row.partition_key, True, consequence(decision, studies, item.state))


def _again(
    parts: Parts, item: WorkItem, row: PlanRow, asked: Asked, standing: ResolutionRecord
) -> Applied:
    """A line whose decision is kept already: look whether the state was changed as well."""
    chosen = standing.chosen or ""
    same = asked.choose in (chosen, short_handle(chosen)) if asked.choose else True
    if asked.command is not standing.command or not same:
        raise ResolveError(
            "This line has been applied before, with another command.", "Make the plan anew."
        )
    unfinished = (
        item.updated_at is not None
        and standing.resolved_at is not None
        and item.updated_at <= standing.resolved_at
    )
    if not unfinished:
        return Applied(row.partition_key, True, "It was applied before; nothing was changed.")
    _carry_out(parts, item, standing)
    return Applied(row.partition_key, True, "It was begun before, and is finished now.")


def _stale(planned: str, now: str) -> str:
    if planned.rpartition("-")[0] == now.rpartition("-")[0]:
        return "Something else has been decided since the plan was made."
    return "The source's studies are not those that the plan was made for."


def _carry_out(parts: Parts, item: WorkItem, decision: ResolutionRecord) -> None:
    """Change the accession's state, and remove what was made of a study that may not be the one."""
    by = Attempt(owner=parts.claimant.owner, settings=settings_fingerprint(parts))
    after = _AFTER[decision.command]
    with parts.interim.claim(parts.workspace, item.accession_id) as room:
        if after is State.REQUESTED or after not in TRANSITIONS[item.state]:
            why = f"resolved ({decision.command.value})"
            parts.ledger.request_reprocessing(item.accession_id, why, by=by)
        if after is not State.REQUESTED:
            reason = _REASONS.get(after, "").format(command=decision.command.value)
            parts.ledger.record_state(item.accession_id, after, reason=reason, by=by)
        room.discard_parts()
        room.raw_zip.unlink(missing_ok=True)
        room.deidentified_zip.unlink(missing_ok=True)
