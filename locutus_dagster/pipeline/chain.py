"""One accession through every phase, depth first; errors are values.

What belongs here: the order of the phases, where to resume, and what is deleted when. What does
not: how one phase works (`extract.py`, `transform.py`, `deliver.py`), and many accessions at once
(`batch.py`).

The order that survives a crash at any instant: write under a temporary name, fsync, rename,
verify, commit to the ledger, and only then delete what it was made from. A resume looks for the
*next* artifact first, and trusts a file only if the ledger has its checksum.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from locutus_dagster.durable_files import sha256_of
from locutus_dagster.errors import LocutusError, describe_unexpected
from locutus_dagster.interim import Room
from locutus_dagster.ledger import LedgerError, Phase, State
from locutus_dagster.ledger.work import ArtifactRecord, DeliveryRecord, WorkItem
from locutus_dagster.pipeline.deid_report import summarise
from locutus_dagster.pipeline.deliver import (
    deliver,
    delivered_subject,
    delivery_fingerprint,
    key_of,
)
from locutus_dagster.pipeline.extract import HOST, RAW, Ambiguous, Nothing, extract, find_one
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
from locutus_dagster.pipeline.transform import (
    DEIDENTIFIED,
    made_from,
    transform,
    usable_key_ids,
)
from locutus_dagster.sources.base import SourceUnavailableError
from locutus_dagster.targets import TargetError

__all__ = ["process_accession"]

_PLACES_TOLD = 20


def process_accession(
    partition_key: str, parts: Parts, *, run_id: str | None = None
) -> Iterator[Outcome]:
    """Take one accession as far as it will go; the last outcome is always a `Finished`.

    Nothing is raised for what concerns this accession alone: it is recorded, and said in the
    `Finished`.
    """
    walk = _Walk(partition_key, parts, run_id)
    try:
        yield from walk.run()
    except Exception as error:  # noqa: BLE001 - a fault in one accession must not end the batch
        yield walk.fail(error)


class _Walk:
    """One attempt at one accession: remembers the phase it is in, for whoever asks why."""

    def __init__(self, partition_key: str, parts: Parts, run_id: str | None) -> None:
        self.key = partition_key
        self.parts = parts
        self.ledger = parts.ledger
        self.run_id = run_id
        self.phase = Phase.PREPARE
        self.item: WorkItem | None = None

    def run(self) -> Iterator[Outcome]:
        item = self._item()
        with self.parts.interim.claim(self.parts.workspace, item.accession_id) as room:
            # Another run may have finished it while this one waited for the room.
            self.item = item = self._item()
            room.discard_parts()
            try:
                if item.state is State.DELIVERED:
                    yield from self._already_delivered(item)
                    self._delete(room.raw_zip, room.deidentified_zip)
                else:
                    yield from self._process(item, room)
            except BaseException:
                self._forget_identified(item, room)
                raise

    def _item(self) -> WorkItem:
        return self.ledger.work_items(self.parts.workspace, [self.key])[0]

    # -- the phases ------------------------------------------------------------------------

    def _process(self, item: WorkItem, room: Room) -> Iterator[Outcome]:
        artifact = self._resumable_deidentified(item, room)
        report = self.ledger.deid_report(item.accession_id) if artifact else None
        if artifact is not None and report is not None and item.study_token:
            yield PhaseDone(self.key, Artifact.RAW, {"resumed": "from the de-identified zip"})
            yield PhaseDone(self.key, Artifact.DEIDENTIFIED, _facts(artifact) | {"resumed": "yes"})
            found = summarise(report)
            gate = _gate_facts(found.searched, found.residue, found.places)
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
        if raw is not None:
            room.reserve(2 * raw.size)
            yield PhaseDone(self.key, Artifact.RAW, _facts(raw) | {"resumed": "yes"})
            return raw
        study = find_one(item, self.parts)
        if isinstance(study, Nothing):
            self._record(item, State.PENDING)
            self._forget_identified(item, room)
            yield Finished(self.key, Result.PENDING, "the source holds no study for it yet")
            return None
        if isinstance(study, Ambiguous):
            reason = f"the source holds {study.studies} studies for this accession"
            self._record(item, State.AMBIGUOUS, reason)
            self._forget_identified(item, room)
            yield Finished(self.key, Result.FAILED, f"ERROR_MULTIPLE_CHANGE_UUIDS: {reason}")
            return None
        raw = extract(item, study, room, self.parts, self.run_id)
        yield PhaseDone(self.key, Artifact.RAW, _facts(raw) | _since(started, study.size))
        return raw

    def _transform(
        self, item: WorkItem, raw: ArtifactRecord, room: Room
    ) -> Generator[Outcome, None, tuple[ArtifactRecord, str] | None]:
        self.phase = Phase.TRANSFORM
        started = time.perf_counter()
        made = transform(item, raw, room, self.parts, self.run_id)
        found = made.disposition
        residue = len({hit.instance for hit in found.residue})
        facts = _gate_facts(
            found.delivered + residue, residue, sorted({hit.place for hit in found.residue})
        )
        yield GateChecked(self.key, found.clean, made.artifact is not None, facts)
        if made.artifact is None:
            self._forget_identified(item, room)
            yield Finished(self.key, Result.FAILED, made.blocked)
            return None
        withheld: Metadata = {
            f"withheld: {reason}": count
            for reason, count in sorted(found.withheld_by_reason.items())
        }
        yield PhaseDone(
            self.key,
            Artifact.DEIDENTIFIED,
            _facts(made.artifact)
            | {
                "instances withheld": found.withheld,
                "study UID (pseudonym)": found.study_uid,
                "policy": self.parts.policy.name,
                "policy fingerprint": found.policy_fingerprint,
                "key identifier": found.key_id,
            }
            | withheld
            | _since(started, found.size_in),
        )
        return made.artifact, found.study_token

    def _deliver(
        self, item: WorkItem, artifact: ArtifactRecord, token: str, room: Room
    ) -> Iterator[Outcome]:
        self.phase = Phase.DELIVER
        started = time.perf_counter()
        record = deliver(item, artifact, token, room, self.parts, self.run_id)
        self._delete(room.raw_zip, room.deidentified_zip)
        self.parts.checkpoint("deliver:cleared")
        spent = _since(started, record.size)
        now = self._item()
        yield PhaseDone(self.key, Artifact.DELIVERED, _receipt(record, now) | spent)
        yield PhaseDone(self.key, Artifact.SUMMARY, self._summary(now))
        yield Finished(self.key, Result.DELIVERED)

    # -- what was done before --------------------------------------------------------------

    def _already_delivered(self, item: WorkItem) -> Iterator[Outcome]:
        self.phase = Phase.DELIVER
        before = self.ledger.deliveries(item.accession_id)
        if not self._same_as(item, before):
            yield Finished(
                self.key,
                Result.CHANGED,
                "delivered before from other manifest attributes or settings; that delivery stands",
            )
            return
        earlier: Metadata = {"delivered before": "yes, from the same attributes and settings"}
        yield PhaseDone(self.key, Artifact.RAW, earlier)
        yield PhaseDone(self.key, Artifact.DEIDENTIFIED, earlier)
        yield PhaseDone(self.key, Artifact.DELIVERED, _receipt(before[-1], item) | earlier)
        yield PhaseDone(self.key, Artifact.SUMMARY, self._summary(item) | earlier)
        yield Finished(self.key, Result.UNCHANGED)

    def _same_as(self, item: WorkItem, before: list[DeliveryRecord]) -> bool:
        if not before or item.source_fingerprint is None or item.study_token is None:
            return False
        uri = self.parts.target.uri(key_of(item, item.study_token, self.parts))
        # A key that has been rotated since is as good: the delivery stands.
        return before[-1].fingerprint in {
            delivery_fingerprint(made_from(item.source_fingerprint, item, self.parts, key_id), uri)
            for key_id in usable_key_ids(self.parts)
        }

    def _resumable_deidentified(self, item: WorkItem, room: Room) -> ArtifactRecord | None:
        record = self._resumable(item, DEIDENTIFIED, room.deidentified_zip)
        if record is None or item.source_fingerprint is None:
            return None
        current = usable_key_ids(self.parts)[-1]
        wanted = made_from(item.source_fingerprint, item, self.parts, current)
        return record if record.fingerprint == wanted else None

    def _resumable(self, item: WorkItem, kind: str, path: Path) -> ArtifactRecord | None:
        """The ledger's record of an artifact, if the file is there and is that file."""
        record = self.ledger.artifact(item.accession_id, kind)
        if record is None or record.host != HOST or record.path != str(path) or not path.exists():
            return None
        return record if sha256_of(path) == (record.sha256, record.size) else None

    def _summary(self, item: WorkItem) -> Metadata:
        return {
            "status": "PROCESSED",
            "subject": delivered_subject(item, self.parts),
            "imaging type": item.imaging_type,
            "age at imaging (days)": item.age,
            "anatomical position": item.anatomical_position,
            "instances found": item.instances or 0,
            "instances delivered": item.delivered or 0,
            "instances withheld": item.withheld or 0,
            "study UID (pseudonym)": item.study_uid or "",
        }

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
            item.accession_id, state, phase=self.phase, reason=reason, run_id=self.run_id
        )

    def fail(self, error: Exception) -> Finished:
        """Record the failure and say it; nothing but the reason leaves this place."""
        reason = _reason(error, self.parts)
        stop = isinstance(error, SourceUnavailableError | LedgerError)
        if isinstance(error, TargetError):
            stop = not _usable(self.parts)
        if self.item is not None and self.item.state is not State.DELIVERED:
            try:
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


def _usable(parts: Parts) -> bool:
    try:
        parts.target.check()
    except TargetError:
        return False
    return True


def _since(started: float, size: int) -> Metadata:
    seconds = time.perf_counter() - started
    return {
        "seconds": round(seconds, 3),
        "MB per second": round(size / 1e6 / max(seconds, 1e-6), 1),
    }


def _facts(record: ArtifactRecord) -> Metadata:
    return {"instances": record.instances, "bytes": record.size, "sha256": record.sha256}


def _gate_facts(searched: int, residue: int, places: Sequence[str]) -> Metadata:
    facts: Metadata = {
        "instances searched": searched,
        "instances withheld for residue": residue,
    }
    if places:
        facts["places"] = ", ".join(places[:_PLACES_TOLD])
    return facts


def _receipt(record: DeliveryRecord, item: WorkItem) -> Metadata:
    return {
        "study UID (pseudonym)": item.study_uid or "",
        "instances": record.instances,
        "bytes": record.size,
        "sha256": record.sha256,
        "target": record.target,
        "uri": record.uri,
    }
