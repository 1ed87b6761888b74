"""A PACS with a log of changes, as Orthanc's is, and a workspace that watches it.

What belongs here: the hand-written PACS, a ledger that runs leave behind, and asking for both. What
does not: assertions. Nothing is downloaded here; what a run does to the ledger is done as the chain
does it.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import event

from locutus_dagster.ledger import Ledger, State, WorkItem
from locutus_dagster.ledger.work import Attempt
from locutus_dagster.manifests import MANIFEST_COLUMNS, load_manifest
from locutus_dagster.pipeline.arrivals import RunRequestPlan
from locutus_dagster.pipeline.parts import Parts, build_parts
from locutus_dagster.pipeline.resolving import Ambiguous, settle
from locutus_dagster.pipeline.watching import Watcher
from locutus_dagster.run_modes import Reprocess
from locutus_dagster.settings import Settings
from locutus_dagster.sources.base import FoundStudy, SourceError, SourceUnavailableError
from locutus_dagster.sources.orthanc_changes import Change, ChangesPage, CounterWentBackError
from locutus_dagster.sources.orthanc_studies import StudyFacts
from locutus_dagster_tests.ledger.rows import CT, artifact, delivery, report

__all__ = ["FakePacs", "Study", "Watched", "keys_of"]

_TOKENS = itertools.count(1)
BEGIN = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)


@dataclass
class Study:
    """One study of the PACS."""

    study_id: str
    accession: str
    patient: str = "MRN1"
    modalities: tuple[str, ...] = ("CT",)
    stations: tuple[str, ...] = ("CT01",)
    description: str = "Head"
    instances: list[str] = field(default_factory=list)
    resting: bool = False
    updated_at: datetime = BEGIN

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256("\n".join(self.instances).encode()).hexdigest()


class FakePacs:
    """Studies and their log; a deleted study takes its entries with it, as in Orthanc."""

    def __init__(self) -> None:
        self.studies: dict[str, Study] = {}
        self.log: list[Change] = []
        self.seq = 0
        self.at = BEGIN
        self.down = False
        self.refuses = ""  # to answer for this number
        self.asked: list[str] = []  # questions, by their names
        self._of: dict[str, str] = {}  # instance → study

    # -- what happens in it --------------------------------------------------------------------

    def arrive(self, study_id: str, accession: str, instances: int = 1, **facts: Any) -> Study:
        """Instances come, of a new study or of one that is there."""
        study = self.studies.get(study_id)
        if study is None:
            study = self.studies[study_id] = Study(study_id, accession, **facts)
            self._note("NewStudy", "Study", study_id)
        for _ in range(instances):
            token = f"i{next(_TOKENS)}"
            study.instances.append(token)
            self._of[token] = study_id
            self._note("NewInstance", "Instance", token)
        study.resting, study.updated_at = False, self.at
        return study

    def rest(self, *study_ids: str) -> None:
        """Studies come to rest; all by default."""
        for study_id in study_ids or tuple(self.studies):
            if not self.studies[study_id].resting:
                self.studies[study_id].resting = True
                self._note("StableStudy", "Study", study_id)

    def restart(self) -> None:
        """As when Orthanc is ended and started: all rests, and the log does not say so."""
        for study in self.studies.values():
            study.resting = True

    def delete(self, study_id: str) -> None:
        del self.studies[study_id]
        gone = {study_id, *(token for token, of in self._of.items() if of == study_id)}
        self.log = [one for one in self.log if one.resource_id not in gone]

    def correct(self, study_id: str, accession: str) -> None:
        """The study is sent anew, under another accession number."""
        study = self.studies[study_id]
        count = len(study.instances)
        self.delete(study_id)
        self.arrive(study_id, accession, count, patient=study.patient)

    def restore(self) -> None:
        """Another database takes this one's place, with the same studies in it."""
        studies = list(self.studies.values())
        self.log, self.seq = [], 0
        for study in studies:
            self._note("NewStudy", "Study", study.study_id)
            if study.resting:
                self._note("StableStudy", "Study", study.study_id)

    def _note(self, kind: str, level: str, resource_id: str) -> None:
        self.seq += 1
        self.log.append(Change(self.seq, kind, level, resource_id, self.at))

    # -- as a source and as a log --------------------------------------------------------------

    def _ask(self, name: str) -> None:
        self.asked.append(name)
        if self.down:
            raise SourceUnavailableError("The PACS does not answer.", "Start it.")

    def changes(self) -> FakePacs:
        return self

    def page(self, since: int, limit: int = 100) -> ChangesPage:
        self._ask("page")
        if self.seq < since:
            raise CounterWentBackError("It counts anew.", "Read it again.")
        left = [one for one in self.log if one.seq > since]
        some = tuple(left[:limit])
        done = len(some) == len(left)
        return ChangesPage(some, self.seq if done else some[-1].seq, done)

    def confirm(self, change: Change) -> None:
        self._ask("confirm")
        there = [one for one in self.log if one.seq == change.seq]
        if self.seq < change.seq or (there and there != [change]):
            raise CounterWentBackError("It counts anew.", "Read it again.")

    def describe(
        self, study_ids: Collection[str], parts: Collection[str] = ()
    ) -> dict[str, StudyFacts]:
        self._ask("describe")
        wanted = {*study_ids, *(self._of[one] for one in parts if one in self._of)}
        return {one: _facts(self.studies[one]) for one in sorted(wanted) if one in self.studies}

    def find(self, accession_number: str) -> list[FoundStudy]:
        self._ask("find")
        if accession_number == self.refuses:
            raise SourceError("The PACS answers with 413.", "Look at its proxy.")
        return [
            FoundStudy(one.study_id, len(one.instances), 1, one.fingerprint, one.updated_at)
            for one in self.studies.values()
            if one.accession == accession_number
        ]

    def check(self) -> None:
        self._ask("check")

    def close(self) -> None:
        pass


def _facts(study: Study) -> StudyFacts:
    told = f"{study.accession} {study.patient} {study.updated_at} {study.fingerprint}"
    return StudyFacts(
        study.study_id,
        study.accession,
        study.patient,
        study.description,
        len(study.instances),
        1,
        study.modalities,
        study.stations,
        hashlib.sha256(told.encode()).hexdigest(),
        study.resting,
        study.updated_at,
    )


@dataclass
class Watched:
    """A workspace `default` that watches a fake PACS; the time is its own."""

    root: Path
    pacs: FakePacs
    settings: Settings
    parts: Parts
    watcher: Watcher
    at: datetime = BEGIN
    page_size: int = 500

    @classmethod
    def build(
        cls, root: Path, *, ledger_url: str | None = None, page_size: int = 500, **watch: Any
    ) -> Watched:
        (root / "share").mkdir(parents=True, exist_ok=True)
        (root / "share" / ".locutus-share").touch()  # nothing is put there, and it is no mistake
        settings = Settings(
            home=root / "home",
            workers=0,
            ledger_url=ledger_url,
            workspaces={
                "default": {
                    "source": {"kind": "orthanc", "url": "http://127.0.0.1:1"},
                    "target": {"kind": "share", "path": str(root / "share")},
                    "watch": {"mode": "both", **watch},
                }
            },
        )
        if ledger_url is None:
            _blank_ledger(Path(settings.ledger_address.removeprefix("sqlite:///")))
        made = cls(root, FakePacs(), settings, None, None, page_size=page_size)  # type: ignore[arg-type]
        made.start()
        return made

    def start(self, **watch: Any) -> None:
        """Begin to watch (again), as a new process does; with other settings if they are given."""
        if watch:
            own = self.settings.workspace("default")
            told = own.model_copy(
                update={"watch": own.watch.model_validate({**own.watch.model_dump(), **watch})}  # type: ignore[union-attr]
            )
            self.settings = self.settings.model_copy(update={"workspaces": {"default": told}})
        if self.parts is not None:
            self.parts.close()
        self.parts = build_parts(self.settings, "default")
        if self.settings.ledger_url is None:
            # Whether a disk keeps its word is not what is tested here.
            event.listen(self.parts.ledger._engine, "connect", _hurry)
            self.parts.ledger._engine.dispose()
        self.parts.source = self.pacs  # type: ignore[assignment]
        self.watcher = Watcher(self.parts, clock=lambda: self.at, page_size=self.page_size)

    @property
    def ledger(self) -> Ledger:
        return self.parts.ledger

    def later(self, **time: float) -> None:
        """Let time pass, here and in the PACS."""
        self.at += timedelta(**time)
        self.pacs.at = self.at

    def load(self, *accession_numbers: str, name: str = "asked") -> list[str]:
        """Load a manifest that asks for these; gives back its partition keys."""
        path = self.root / f"{name}.csv"
        with path.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(MANIFEST_COLUMNS)
            for number, accession in enumerate(accession_numbers, start=1):
                writer.writerow([f"S{name}{number}", "CT", "12", "head", accession, "", ""])
        loaded = load_manifest(self.ledger, path, workspace="default")
        return list(loaded.partition_keys)

    # -- a watcher's round ---------------------------------------------------------------------

    def round(self, *, ask: bool = True) -> list[RunRequestPlan]:
        """Poll, decide, and ask for what is planned."""
        self.watcher.poll()
        plans = self.watcher.requests()
        for plan in plans if ask else ():
            self.watcher.asked(plan)
        return plans

    def asked_for(self, *, ask: bool = True) -> list[str]:
        """The accession numbers that a round asks for."""
        plans = self.round(ask=ask)
        return sorted(self.item(key).accession_number for p in plans for key in p.partition_keys)

    def live(self, *, times: int = 1) -> list[str]:
        """Rounds whose requests are carried out at once; the accessions, one after the other."""
        done: list[str] = []
        for _ in range(times):
            for plan in self.round():
                self.carry_out(plan)
                done += [self.item(key).accession_number for key in plan.partition_keys]
        return done

    # -- what a run does -----------------------------------------------------------------------

    def carry_out(self, plan: RunRequestPlan) -> None:
        for key in plan.partition_keys:
            self.process(key, plan.reprocess)

    def process(self, key: str, reprocess: Reprocess | None = None) -> None:
        """One accession, as far as the ledger is concerned."""
        item, ledger = self.item(key), self.ledger
        found = settle(self.pacs.find(item.accession_number), ledger.resolution(item.accession_id))
        by = Attempt(row_id=item.row_id)
        if item.state is State.DELIVERED:
            changed = isinstance(found, FoundStudy) and found.fingerprint != self.made_from(item)
            if not changed or reprocess is not Reprocess.PRERETIRE_ONLY_CHANGED:
                return
            ledger.request_reprocessing(item.accession_id, "changed", retire=True, by=by)
        if isinstance(found, FoundStudy):
            self._deliver(item, found, by)
        else:
            state = State.AMBIGUOUS if isinstance(found, Ambiguous) else State.PENDING
            ledger.record_state(item.accession_id, state, by=by)

    def _deliver(self, item: WorkItem, found: FoundStudy, by: Attempt) -> None:
        ledger, made_from = self.ledger, {"source": found.fingerprint}
        ledger.record_extracted(
            item.accession_id,
            artifact(),
            source_study=found.source_id,
            source_fingerprint=found.fingerprint,
            by=by,
        )
        ledger.record_deidentified(
            item.accession_id,
            artifact("deidentified"),
            [CT],
            report(),
            study_uid="2.25.1",
            study_token="token",
            by=by,
        )
        place = self.parts.targets["share"].uri(f"{item.subject_id}/{found.source_id}.zip")
        made = delivery(uri=place, made_from=made_from)
        ledger.record_delivered(item.accession_id, made, by=by)

    # -- how it stands -------------------------------------------------------------------------

    def item(self, key: str) -> WorkItem:
        return self.ledger.work_items("default", [key])[0]

    def items(self) -> dict[str, WorkItem]:
        """Every accession's work item, by number."""
        names = self.ledger.manifest_names("default")
        found = [item for name in names for item in self.ledger.manifest_items("default", name)]
        return {item.accession_number: item for item in found}

    def made_from(self, item: WorkItem) -> str:
        """The fingerprint of the study that the standing delivery was made from."""
        standing = self.ledger.standing(item.accession_id)
        return (standing[-1].made_from or {})["source"] if standing else ""

    def verdict(self, study_id: str) -> str:
        """What was decided about a study."""
        return next(
            one.verdict for one in self.ledger.staged("default") if one.source_study == study_id
        )

    def delivered(self) -> dict[str, str]:
        """Accession number → fingerprint of the study in its standing delivery."""
        return {
            number: self.made_from(item)
            for number, item in self.items().items()
            if item.state is State.DELIVERED
        }


def _hurry(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")


@cache
def _blank() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "private" / "ledger.sqlite"
        ledger = Ledger.open(f"sqlite:///{path}")
        ledger.close()
        return path.read_bytes()


def _blank_ledger(path: Path) -> None:
    """A ledger with nothing in it, in a fraction of the time that making one takes."""
    path.parent.mkdir(mode=0o700, parents=True)
    path.write_bytes(_blank())
    path.chmod(0o600)


def keys_of(plans: Sequence[RunRequestPlan]) -> list[str]:
    """Every partition key of these plans, in order."""
    return [key for plan in plans for key in plan.partition_keys]
