"""Looking at one item: what a run would do about it, and what the source says of its study.

What belongs here: asking the decision, the source and the interim store's records. What does not:
the decision (`deciding.py`), the forecast about an instance (`deid/foresight.py`), many items
(`preflight.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from locutus_dagster.deid import foreseen
from locutus_dagster.errors import LocutusError
from locutus_dagster.ledger import LedgerError, Phase, WorkItem
from locutus_dagster.ledger.fingerprints import fingerprint_of
from locutus_dagster.ledger.inventory import lying
from locutus_dagster.ledger.resolutions import ResolveCommand
from locutus_dagster.ledger.selection import Selection, Standing
from locutus_dagster.ledger.work import ArtifactRecord
from locutus_dagster.pipeline.deciding import Decision, Do, decide, look
from locutus_dagster.pipeline.deliver import key_of
from locutus_dagster.pipeline.extract import RAW, scratch_need
from locutus_dagster.pipeline.fingerprints import usable_key_ids, zip_made_from
from locutus_dagster.pipeline.foreseen import Foreseen, Would, decided, record_of
from locutus_dagster.pipeline.host import HOST
from locutus_dagster.pipeline.options import RunOptions
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.pipeline.resolving import Ambiguous, Dropped, Settled, Waiting, settle
from locutus_dagster.pipeline.transform import DEIDENTIFIED
from locutus_dagster.sources.base import (
    FetchReceipt,
    FoundStudy,
    InstanceSink,
    SourceUnavailableError,
    StudyChangedError,
    StudyOverview,
    StudySource,
)

__all__ = ["TWO_PATIENTS", "Asides", "Looker"]

#: The reason that the engine gives for each instance of such a study.
TWO_PATIENTS = "two patients in one study"


@dataclass(frozen=True)
class Asides:
    """Accessions that the ledger has more about, so that it need not be asked for each of many.

    Attributes:
        artifacts: something of them lies in an interim store.
        decided: a person's decision about several studies stands.
    """

    artifacts: frozenset[int]
    decided: frozenset[int]

    @classmethod
    def of(cls, parts: Parts) -> Asides:
        """Those of the workspace at this moment."""
        decision = Standing(commands=frozenset(ResolveCommand))
        decided = parts.ledger.select(parts.workspace, Selection(any_of=(decision,)))
        return cls(
            frozenset(one.accession_id for one in lying(parts.ledger, workspace=parts.workspace)),
            frozenset(item.accession_id for item in decided),
        )


class Looker:
    """Looks at one item after the other, with a source of its own."""

    def __init__(self, parts: Parts, options: RunOptions, asides: Asides) -> None:
        self.asides = asides
        self.source = _Remembering(parts.source)
        self.parts = replace(parts, source=self.source)
        self.options = options
        self.ledger = parts.ledger
        self._reasons: dict[tuple[str, str], str] = {}

    def foresee(self, item: WorkItem) -> Foreseen:
        """One record; what is wrong with this accession alone is said in it.

        Raises:
            SourceUnavailableError, LedgerError: see `preflight`.
        """
        try:
            decision = decide(item, look(item, self.parts, self.options), self.options)
            if decision.do not in (Do.PROCESS, Do.AGAIN):
                return decided(item, decision)
            self._check_paths(item)
            return self._work(item, decision)
        except (SourceUnavailableError, LedgerError):
            raise
        except LocutusError as error:
            return record_of(item, Would.FAIL, str(error))

    def _check_paths(self, item: WorkItem) -> None:
        """Raise what delivering would raise about the row's values, before anything is fetched."""
        for name, told in self.parts.workspace_settings.targets.items():
            if told.required:
                key_of(item, "", self.parts, name)

    def _work(self, item: WorkItem, decision: Decision) -> Foreseen:
        here, elsewhere = self._artifacts(item, decision)
        resumed = here.get(DEIDENTIFIED)
        if resumed is not None:
            return record_of(
                item,
                Would.PROCESS,
                phase=Phase.DELIVER,
                studies=1,
                instances=item.instances or resumed.instances,
                size=resumed.size,
                withheld=tuple(self.ledger.withheld_by_reason([item.accession_id]).items()),
                resumable=(DEIDENTIFIED,),
                scratch=resumed.size,
                delivery=resumed.size,
            )
        found = self.source.find(item.accession_number)
        resolution = None
        if item.accession_id in self.asides.decided:
            resolution = self.ledger.resolution(item.accession_id)
        study = settle(found, resolution)
        raw = here.get(RAW)
        if not isinstance(study, FoundStudy):
            if raw is None:
                return replace(self._no_study(item, study, found), elsewhere=elsewhere)
            # A run takes what it has, and does not ask.
            return record_of(
                item,
                Would.PROCESS,
                phase=Phase.TRANSFORM,
                studies=len(found),
                instances=raw.instances,
                size=raw.size,
                resumable=(RAW,),
                scratch=2 * raw.size,
                delivery=raw.size,
            )
        overview = self.source.overview(study)
        withheld = self._withheld(overview)
        left = max(0, study.instances - sum(withheld.values()))
        return record_of(
            item,
            Would(decision.do.value),
            decision.why,
            kinds=decision.kinds,
            phase=Phase.EXTRACT if raw is None else Phase.TRANSFORM,
            studies=len(found),
            instances=study.instances,
            size=study.size,
            withheld=tuple(sorted(withheld.items())),
            patients=len(overview.patients),
            resumable=() if raw is None else (RAW,),
            elsewhere=elsewhere if raw is None else (),
            scratch=scratch_need(study.size) if raw is None else 2 * raw.size,
            delivery=study.size * left // study.instances if study.instances else 0,
        )

    def _no_study(self, item: WorkItem, why: Settled, found: list[FoundStudy]) -> Foreseen:
        match why:
            case Ambiguous():
                return record_of(
                    item,
                    Would.AMBIGUOUS,
                    f"the source holds {why.studies} studies for this accession",
                    studies=why.studies,
                    instances=sum(study.instances for study in found),
                    patients=self._patients(found),
                )
            case Waiting():
                reason = f"radiology has been asked to act ({why.command.value})"
                return record_of(item, Would.WAITING, reason, studies=len(found))
            case Dropped():
                reason = "a person has decided that its studies are not used"
                return record_of(item, Would.LEAVE, reason, studies=len(found))
            case _:
                return record_of(item, Would.PENDING, "the source holds no study for it yet")

    def _patients(self, studies: Iterable[FoundStudy]) -> int:
        """How many patients stand in studies of one accession."""
        digests: set[str] = set()
        for study in studies:
            with suppress(StudyChangedError):  # it has gone since; the others can be told apart
                digests.update(self.source.overview(study).patients)
        return len(digests)

    def _withheld(self, overview: StudyOverview) -> Counter[str]:
        settings = self.parts.policy.settings
        mixed = len(overview.patients) > 1 and settings.several_patients == "withhold"
        counts: Counter[str] = Counter()
        for kind, count in overview.kinds.items():
            reason = self._reason(kind) or (TWO_PATIENTS if mixed else "")
            if reason:
                counts[reason] += count
        return counts

    def _reason(self, kind: tuple[str, str]) -> str:
        if kind not in self._reasons:
            self._reasons[kind] = foreseen(*kind, self.parts.policy)
        return self._reasons[kind]

    def _artifacts(
        self, item: WorkItem, decision: Decision
    ) -> tuple[dict[str, ArtifactRecord], tuple[str, ...]]:
        """What a run could go on from here, by kind, and the other hosts that have something.

        A run also compares checksums; to read whole files for a forecast takes too long.
        """
        here: dict[str, ArtifactRecord] = {}
        hosts: set[str] = set()
        if item.accession_id not in self.asides.artifacts or decision.do is Do.AGAIN:
            return here, ()  # there is nothing, or it starts from the source nevertheless
        folder = self.parts.interim.folder(self.parts.workspace, item.accession_id)
        for record in self.ledger.artifacts(item.accession_id):
            if not self._fits(item, record):
                continue
            if record.host != HOST:
                hosts.add(record.host)
            elif Path(record.path).parent == folder and _lies_there(record):
                here[record.kind] = record
        return here, tuple(sorted(hosts))

    def _fits(self, item: WorkItem, record: ArtifactRecord) -> bool:
        """Whether an artifact is made from what a run would make it from."""
        if record.kind == RAW:
            return record.made_from is not None
        if record.kind != DEIDENTIFIED or not item.source_fingerprint or not item.study_token:
            return False
        current = usable_key_ids(self.parts)[-1]
        wanted = zip_made_from(item.source_fingerprint, item, self.parts, current)
        return record.fingerprint == fingerprint_of(wanted)


class _Remembering:
    """A source that is asked once where the decision and the forecast both ask."""

    def __init__(self, source: StudySource) -> None:
        self._source = source
        self._asked: str | None = None
        self._found: list[FoundStudy] = []

    def check(self) -> Any:
        """See `StudySource`."""
        return self._source.check()

    def find(self, accession_number: str) -> list[FoundStudy]:
        """The studies of an accession number; those of the last one are remembered."""
        if accession_number != self._asked:
            self._asked = None
            self._found = self._source.find(accession_number)
            self._asked = accession_number
        return self._found

    def overview(self, study: FoundStudy) -> StudyOverview:
        """See `StudySource`."""
        return self._source.overview(study)

    def fetch(self, study: FoundStudy, sink: InstanceSink) -> FetchReceipt:
        """See `StudySource`."""
        return self._source.fetch(study, sink)

    def close(self) -> None:
        """See `StudySource`."""
        self._source.close()


def _lies_there(record: ArtifactRecord) -> bool:
    try:
        return Path(record.path).stat().st_size == record.size
    except OSError:
        return False
