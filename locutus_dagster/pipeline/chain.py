"""One accession through every phase, depth first; errors are values.

What belongs here: the order of the phases, where to resume, and what is deleted when. What does
not: whether anything is done at all (`deciding.py`), how one phase works (`extract.py`,
`transform.py`, `deliver.py`), and many accessions at once (`batch.py`).

The order that survives a crash at any instant: write under a temporary name, rename, verify,
commit to the ledger, and only then delete what it was made from. A resume looks for the *next*
artifact first, and trusts a file only if the ledger has its checksum. Every commit depends on the
claim that this worker has on the accession.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from locutus_dagster.durable_files import sha256_of
from locutus_dagster.errors import LocutusError, describe_unexpected
from locutus_dagster.interim import Room
from locutus_dagster.ledger import LedgerError, Phase, State
from locutus_dagster.ledger.claims import ClaimLostError
from locutus_dagster.ledger.fingerprints import fingerprint_of
from locutus_dagster.ledger.work import ArtifactRecord, Attempt, WorkItem
from locutus_dagster.pipeline.completing import complete
from locutus_dagster.pipeline.deciding import Decision, Do, decide, look
from locutus_dagster.pipeline.deid_report import summarise
from locutus_dagster.pipeline.deliver import Parcel, deliver
from locutus_dagster.pipeline.extract import RAW, find_and_extract
from locutus_dagster.pipeline.fingerprints import (
    settings_fingerprint,
    usable_key_ids,
    zip_made_from,
)
from locutus_dagster.pipeline.host import HOST
from locutus_dagster.pipeline.options import RunOptions
from locutus_dagster.pipeline.outcomes import (
    Artifact,
    Finished,
    GateChecked,
    Metadata,
    Outcome,
    PhaseDone,
    Result,
)
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.pipeline.resolving import Ambiguous, Dropped, Nothing, Waiting
from locutus_dagster.pipeline.telling import (
    disposed,
    facts,
    gate_facts,
    receipt,
    since,
    summary,
)
from locutus_dagster.pipeline.transform import DEIDENTIFIED, transform
from locutus_dagster.pipeline.unrecorded import withdraw_unrecorded
from locutus_dagster.pipeline.withdrawing import withdraw_superseded
from locutus_dagster.run_modes import Reprocess
from locutus_dagster.sources.base import SourceUnavailableError
from locutus_dagster.targets import TargetError

__all__ = ["process_accession"]

_BUSY = "another run has it in hand"
_NO_STUDY = "the source holds no study for it yet"


def process_accession(
    partition_key: str,
    parts: Parts,
    options: RunOptions | None = None,
    *,
    run_id: str | None = None,
) -> Iterator[Outcome]:
    """Take one accession as far as it will go; the last outcome is always a `Finished`.

    Nothing is raised for what concerns this accession alone: it is recorded, and said in the
    `Finished`.
    """
    walk = _Walk(partition_key, parts, options or RunOptions.of(parts.settings), run_id)
    try:
        yield from walk.run()
    except Exception as error:  # noqa: BLE001 - a fault in one accession must not end the batch
        yield walk.fail(error)


class _Walk:
    """One attempt at one accession: remembers the phase it is in, for whoever asks why."""

    def __init__(
        self, partition_key: str, parts: Parts, options: RunOptions, run_id: str | None
    ) -> None:
        self.key = partition_key
        self.parts = parts
        self.options = options
        self.ledger = parts.ledger
        self.phase = Phase.PREPARE
        self.item: WorkItem | None = None
        self.by = Attempt(
            run_id=run_id,
            owner=parts.claimant.owner,
            settings=settings_fingerprint(parts),
            label=options.label,
        )

    def run(self) -> Iterator[Outcome]:
        item = self._item()
        with self.parts.claimant.hold(item.accession_id) as held:
            if not held:
                yield Finished(self.key, Result.BUSY, _BUSY)
                return
            # Another run may have finished it before the claim was this one's.
            self.item = item = self._item()
            self.by = replace(self.by, row_id=item.row_id)
            found = look(item, self.parts, self.options)
            for name in found.unasked:
                self.parts.health.failed(name)  # so that the next one need not wait for it
            yield from self._carry_out(item, decide(item, found, self.options), found.missing)

    def _carry_out(
        self, item: WorkItem, decision: Decision, missing: Sequence[str]
    ) -> Iterator[Outcome]:
        match decision.do:
            case Do.REFUSE:
                yield Finished(self.key, Result.REFUSED, decision.why)
            case Do.LEAVE:
                yield Finished(self.key, Result.LEFT, decision.why)
            case Do.CHANGED:
                kinds = ",".join(kind.value for kind in decision.kinds)
                if kinds != item.changed:
                    self.ledger.note_changed(item.row_id, kinds)
                yield Finished(self.key, Result.CHANGED, decision.why)
            case Do.UNCHANGED:
                yield from self._already_delivered(item, decision.why)
            case Do.COMPLETE:
                yield from self._complete(item, missing)
            case Do.PROCESS | Do.AGAIN:
                yield from self._in_its_room(item, decision)

    def _in_its_room(self, item: WorkItem, decision: Decision) -> Iterator[Outcome]:
        with self.parts.interim.claim(self.parts.workspace, item.accession_id) as room:
            room.discard_parts()
            if decision.do is Do.AGAIN:
                item = self._start_again(item, decision.why, room)
            try:
                yield from self._process(item, room)
            except BaseException:
                self._forget_identified(item, room)
                raise

    def _start_again(self, item: WorkItem, why: str, room: Room) -> WorkItem:
        mode = self.options.reprocess
        self.ledger.request_reprocessing(
            item.accession_id,
            why,
            retire=mode in (Reprocess.PRERETIRE, Reprocess.PRERETIRE_ONLY_CHANGED),
            delete_record=mode is Reprocess.PREDELETE,
            by=self.by,
        )
        self.parts.checkpoint("again:recorded")
        room.raw_zip.unlink(missing_ok=True)
        room.deidentified_zip.unlink(missing_ok=True)
        self.item = self._item()
        return self.item

    def _item(self) -> WorkItem:
        return self.ledger.work_items(self.parts.workspace, [self.key])[0]

    # -- the phases ------------------------------------------------------------------------

    def _process(self, item: WorkItem, room: Room) -> Iterator[Outcome]:
        artifact = self._resumable_deidentified(item, room)
        report = self.ledger.deid_report(item.accession_id) if artifact else None
        if artifact is not None and report is not None and item.study_token:
            yield PhaseDone(self.key, Artifact.RAW, {"resumed": "from the de-identified zip"})
            yield PhaseDone(self.key, Artifact.DEIDENTIFIED, facts(artifact) | {"resumed": "yes"})
            found = summarise(report)
            gate = gate_facts(found.searched, found.residue, found.places)
            yield GateChecked(self.key, not found.residue, metadata=gate | {"resumed": "yes"})
            token = item.study_token
        else:
            raw = yield from self._raw(item, room)
            if raw is None:
                return
            transformed = yield from self._transform(item, raw, room)
            if transformed is None:
                return
            artifact, token = transformed
        self._delete(room.raw_zip)
        self.parts.checkpoint("transform:cleared")
        yield from self._deliver(item, artifact, token, room)

    def _raw(self, item: WorkItem, room: Room) -> Generator[Outcome, None, ArtifactRecord | None]:
        self.phase = Phase.EXTRACT
        started = time.perf_counter()
        raw = self._resumable(item, RAW, room.raw_zip)
        if raw is not None and raw.made_from is not None:
            room.reserve(2 * raw.size)
            yield PhaseDone(self.key, Artifact.RAW, facts(raw) | {"resumed": "yes"})
            return raw
        found = find_and_extract(item, room, self.parts, self.by)
        if not isinstance(found, tuple):
            yield self._no_study(item, found)
            self._forget_identified(item, room)
            return None
        raw, study = found
        yield PhaseDone(self.key, Artifact.RAW, facts(raw) | since(started, study.size))
        return raw

    def _no_study(self, item: WorkItem, why: Nothing | Ambiguous | Waiting | Dropped) -> Finished:
        match why:
            case Ambiguous():
                reason = f"the source holds {why.studies} studies for this accession"
                self._record(item, State.AMBIGUOUS, reason)
                return Finished(self.key, Result.FAILED, f"ERROR_MULTIPLE_CHANGE_UUIDS: {reason}")
            case Waiting():
                reason = f"radiology has been asked to act ({why.command.value})"
                self._record(item, State.WAITING, reason)
                return Finished(self.key, Result.PENDING, reason)
            case Dropped():
                reason = "a person has decided that its studies are not used"
                self._record(item, State.DROPPED, reason)
                return Finished(self.key, Result.LEFT, reason)
            case _:
                self._record(item, State.PENDING)
                return Finished(self.key, Result.PENDING, _NO_STUDY)

    def _transform(
        self, item: WorkItem, raw: ArtifactRecord, room: Room
    ) -> Generator[Outcome, None, tuple[ArtifactRecord, str] | None]:
        self.phase = Phase.TRANSFORM
        started = time.perf_counter()
        made = transform(item, raw, room, self.parts, self.by)
        found = made.disposition
        residue = len({hit.instance for hit in found.residue})
        searched = gate_facts(
            found.delivered + residue, residue, sorted({hit.place for hit in found.residue})
        )
        yield GateChecked(self.key, found.clean, made.artifact is not None, searched)
        if made.artifact is None:
            self._forget_identified(item, room)
            yield Finished(self.key, Result.FAILED, made.blocked)
            return None
        yield PhaseDone(
            self.key,
            Artifact.DEIDENTIFIED,
            facts(made.artifact) | disposed(found, self.parts) | since(started, found.size_in),
        )
        return made.artifact, found.study_token

    def _deliver(
        self, item: WorkItem, artifact: ArtifactRecord, token: str, room: Room
    ) -> Iterator[Outcome]:
        self.phase = Phase.DELIVER
        started = time.perf_counter()
        parcel = Parcel(item, artifact, token, room.deidentified_zip, self.options.withdraw)
        made = deliver(parcel, self.parts, self.by)
        self._delete(room.raw_zip, room.deidentified_zip)
        self.parts.checkpoint("deliver:cleared")
        spent = since(started, sum(record.size for record in made.records))
        now = self._item()
        yield PhaseDone(self.key, Artifact.DELIVERED, receipt(made.records, now) | spent)
        yield PhaseDone(self.key, Artifact.SUMMARY, summary(now, self.parts))
        left = (*made.failed, self._withdraw(item))
        yield Finished(self.key, Result.DELIVERED, "; ".join(filter(None, left)))

    # -- what was done before --------------------------------------------------------------

    def _already_delivered(self, item: WorkItem, why: str) -> Iterator[Outcome]:
        """Report what is done, and make up for what a crash has kept a run from doing after it."""
        self.phase = Phase.DELIVER
        if item.changed:
            self.ledger.note_changed(item.row_id, "")
        if self.parts.interim.folder(self.parts.workspace, item.accession_id).exists():
            with self.parts.interim.claim(self.parts.workspace, item.accession_id) as room:
                room.discard_parts()
                self._delete(room.raw_zip, room.deidentified_zip)
        kept = self._withdraw(item)
        earlier: Metadata = {"delivered before": "yes, from the same attributes and settings"}
        standing = self.ledger.standing(item.accession_id)
        yield PhaseDone(self.key, Artifact.RAW, earlier)
        yield PhaseDone(self.key, Artifact.DEIDENTIFIED, earlier)
        yield PhaseDone(self.key, Artifact.DELIVERED, receipt(standing, item) | earlier)
        yield PhaseDone(self.key, Artifact.SUMMARY, summary(item, self.parts) | earlier)
        yield Finished(self.key, Result.UNCHANGED, "; ".join(filter(None, (why, kept))))

    def _complete(self, item: WorkItem, missing: Sequence[str]) -> Iterator[Outcome]:
        """Deliver what stands to the targets that were added since, or have failed."""
        self.phase = Phase.DELIVER
        started = time.perf_counter()
        with self.parts.interim.claim(self.parts.workspace, item.accession_id) as room:
            room.discard_parts()
            self._delete(room.raw_zip)
            try:
                made = complete(item, missing, room, self.parts, self.by)
            finally:
                self._delete(room.deidentified_zip)
        spent = since(started, sum(one.size for one in made.records if one.target in missing))
        earlier: Metadata = {"delivered before": "yes, to other targets"}
        yield PhaseDone(self.key, Artifact.RAW, earlier)
        yield PhaseDone(self.key, Artifact.DEIDENTIFIED, earlier)
        yield PhaseDone(self.key, Artifact.DELIVERED, receipt(made.records, item) | spent)
        yield PhaseDone(self.key, Artifact.SUMMARY, summary(item, self.parts))
        kept = "; ".join(filter(None, (*made.failed, self._withdraw(item))))
        confirmed = {one.target for one in made.records}
        result = Result.DELIVERED if confirmed.intersection(missing) else Result.UNCHANGED
        yield Finished(self.key, result, kept)

    def _withdraw(self, item: WorkItem) -> str:
        """Remove from the target what is to go; says what could not be removed."""
        unrecorded = withdraw_unrecorded(item.accession_id, self.parts)
        superseded = withdraw_superseded(item.accession_id, self.parts)
        return "; ".join(filter(None, (unrecorded, superseded)))

    def _resumable_deidentified(self, item: WorkItem, room: Room) -> ArtifactRecord | None:
        record = self._resumable(item, DEIDENTIFIED, room.deidentified_zip)
        if record is None or item.source_fingerprint is None:
            return None
        current = usable_key_ids(self.parts)[-1]
        wanted = zip_made_from(item.source_fingerprint, item, self.parts, current)
        return record if record.fingerprint == fingerprint_of(wanted) else None

    def _resumable(self, item: WorkItem, kind: str, path: Path) -> ArtifactRecord | None:
        """The ledger's record of an artifact, if the file is there and is that file."""
        record = self.ledger.artifact(item.accession_id, kind)
        if record is None or record.host != HOST or record.path != str(path) or not path.exists():
            return None
        return record if sha256_of(path) == (record.sha256, record.size) else None

    # -- clearing up -----------------------------------------------------------------------

    def _delete(self, *paths: Path) -> None:
        """Remove files that the ledger has already written off, in the commit before this."""
        if not self.parts.settings.keep_interim_files:
            for path in paths:
                path.unlink(missing_ok=True)

    def _forget_identified(self, item: WorkItem, room: Room) -> None:
        """Remove what still identifies the patient: the walk has ended without success."""
        if self.parts.settings.keep_interim_files:
            return
        with suppress(OSError):
            room.raw_zip.unlink(missing_ok=True)
            room.discard_parts()
        with suppress(LedgerError):  # the ledger's own failure is what will be reported
            if self.ledger.artifact(item.accession_id, RAW) is not None:
                self.ledger.record_deleted(item.accession_id, RAW)

    def _record(self, item: WorkItem, state: State, reason: str = "") -> None:
        self.ledger.record_state(
            item.accession_id, state, phase=self.phase, reason=reason, by=self.by
        )

    def fail(self, error: Exception) -> Finished:
        """Record the failure and say it; nothing but the reason leaves this place."""
        if isinstance(error, ClaimLostError):
            return Finished(self.key, Result.BUSY, error.message)
        reason = _reason(error, self.parts)
        stop = isinstance(error, SourceUnavailableError | LedgerError)
        if isinstance(error, TargetError):
            stop = not self.parts.health.any_usable()
        if self.item is not None:
            try:
                # The claim has been given back on the way here: another run may have taken it.
                with self.parts.claimant.hold(self.item.accession_id) as held:
                    if not held:
                        return Finished(self.key, Result.BUSY, _BUSY)
                    if self._item().state not in (State.DELIVERED, State.RECALLED):
                        self._record(self.item, State.FAILED, reason)
            except LedgerError as unrecorded:
                return Finished(self.key, Result.FAILED, f"{reason} ({unrecorded.message})", True)
        return Finished(self.key, Result.FAILED, reason, stop)


def _reason(error: Exception, parts: Parts) -> str:
    if isinstance(error, LocutusError):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"The file system under the scratch folder {parts.interim.root} is full. "
            "Make room or set LOCUTUS_SCRATCH to a larger disk, then run again; "
            "finished work is kept."
        )
    return describe_unexpected(error)
