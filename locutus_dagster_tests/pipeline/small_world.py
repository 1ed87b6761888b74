"""A workspace over a source of tiny studies, quick enough to live many lives in.

What belongs here: the hand-written source, a target that notes what it was given, building the
workspace, and asking how it stands. What does not: assertions, and faults of the chain
(`faults.py`).

The source is a folder `<accession>/<study>/<n>.dcm` that is listed anew at each question, so that
any process sees what a test has put there. Everything else is the real part.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import shutil
import signal
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import cache
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from locutus_dagster.errors import LocutusError
from locutus_dagster.ledger import Ledger, WorkItem
from locutus_dagster.manifests import load_manifest
from locutus_dagster.manifests.reading import MANIFEST_COLUMNS
from locutus_dagster.pipeline.batch import Batch
from locutus_dagster.pipeline.options import RunOptions
from locutus_dagster.pipeline.outcomes import Finished, Outcome
from locutus_dagster.pipeline.parts import Parts, build_parts
from locutus_dagster.settings import Settings, ShareTargetSettings, WorkspaceSettings
from locutus_dagster.sources.base import (
    FetchReceipt,
    FoundStudy,
    InstanceSink,
    SourceError,
    StudyChangedError,
    StudyOverview,
)
from locutus_dagster.targets import Receipt, TargetError
from locutus_dagster.targets.share import ShareTarget


def research_subject(accession_number: str) -> str:
    """A research identity for an accession that does not hold its number."""
    return f"R{zlib.crc32(accession_number.encode()):08x}"


PARTS = "locutus_dagster_tests.pipeline.small_world:parts"
DELIVERIES = "deliveries.log"


def tiny_instance(accession_number: str, study: str, number: int) -> bytes:
    """A CT slice of 8 by 8 pixels that names its patient where the Basic Profile looks."""
    return _instance(accession_number, study, number)


@cache
def _instance(accession_number: str, study: str, number: int) -> bytes:
    made = FileDataset(None, Dataset(), preamble=b"\0" * 128)  # type: ignore[arg-type]
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = CTImageStorage
    uid = generate_uid(entropy_srcs=[accession_number, study, str(number)])
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = uid
    made.SOPClassUID, made.Modality = CTImageStorage, "CT"
    made.StudyInstanceUID = generate_uid(entropy_srcs=[accession_number, study])
    made.SeriesInstanceUID = generate_uid(entropy_srcs=[accession_number, study, "series"])
    made.PatientName, made.PatientID = f"Doe^{accession_number}", f"MRN{accession_number}"
    made.AccessionNumber, made.StudyDate = accession_number, "20200102"
    made.InstanceNumber = number
    made.Rows = made.Columns = 8
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation = 15, 0
    made.PixelData = bytes(128)
    stream = BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


class SmallSource:
    """A source over the folder; its answers are never older than the question."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def check(self) -> dict[str, str]:
        return {"kind": "small"}

    def find(self, accession_number: str) -> list[FoundStudy]:
        folder = self.root / accession_number
        return [self._study(study) for study in sorted(folder.glob("*")) if study.is_dir()]

    def _study(self, folder: Path) -> FoundStudy:
        files = sorted(folder.glob("*.dcm"))
        listed = [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]
        return FoundStudy(
            source_id=f"{folder.parent.name}/{folder.name}",
            instances=len(files),
            size=sum(path.stat().st_size for path in files),
            fingerprint=hashlib.sha256(json.dumps(listed).encode()).hexdigest(),
            changed_at=datetime.fromtimestamp(folder.stat().st_mtime, timezone.utc),
        )

    def overview(self, study: FoundStudy) -> StudyOverview:
        return StudyOverview(1, {(CTImageStorage, "CT"): study.instances}, ("patient",))

    def fetch(self, study: FoundStudy, sink: InstanceSink) -> FetchReceipt:
        _fault("fetch", SourceError)
        folder = self.root / study.source_id
        if not folder.is_dir() or self._study(folder).fingerprint != study.fingerprint:
            raise StudyChangedError("The study has changed.", "Run it again.")
        size = 0
        for path in sorted(folder.glob("*.dcm")):
            data = path.read_bytes()
            sink.add(data)
            size += len(data)
        return FetchReceipt(study.instances, size, study.fingerprint)

    def close(self) -> None:
        pass


class NotingShare(ShareTarget):
    """The real share, which notes each delivery in a file before it is confirmed."""

    def put(self, source: Path, key: str, *, sha256: str) -> Receipt:
        _fault("put", TargetError)
        receipt = super().put(source, key, sha256=sha256)
        with (self.root.parent / DELIVERIES).open("a") as stream:
            stream.write(f"{key} {sha256}\n")  # one write, which O_APPEND keeps whole
        return receipt


def _fault(place: str, error: type[LocutusError]) -> None:
    """Raise at random, as often as `FAULTS_<PLACE>` says (0 to 1); no two messages are alike."""
    if random.random() < float(os.environ.get(f"FAULTS_{place.upper()}", "0")):
        raise error(f"It broke off after {random.randrange(10**9)} bytes.", "Run it again.")


class _KillAt:
    """Kill this process at the nth passing of a place; `KILL_AT` is `place` or `place#n`."""

    def __init__(self) -> None:
        self.place, _, nth = os.environ.get("KILL_AT", "").partition("#")
        self.left = int(nth or 1)

    def __call__(self, place: str) -> None:
        if place == self.place:
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)


def parts(settings: Settings, workspace: str) -> Parts:
    """The real parts, but for the source."""
    made = build_parts(settings, workspace)
    own = settings.workspace(workspace)
    made.source = SmallSource(Path(str(own.source.path)))  # type: ignore[union-attr]
    shares = {
        name: NotingShare(told.path, name=name)
        for name, told in own.targets.items()
        if isinstance(told, ShareTargetSettings)
    }
    made.targets = {**made.targets, **shares}
    made.checkpoint = _KillAt()
    return made


@dataclass
class SmallWorld:
    """A workspace `default`, its source, its share and its ledger."""

    root: Path
    settings: Settings
    ledger: Ledger
    manifests: int = field(default=0)

    @classmethod
    def build(cls, root: Path, *, ledger_url: str | None = None, **settings: object) -> SmallWorld:
        """Make an empty one under `root`."""
        for name in ("pacs", "share"):
            (root / name).mkdir(parents=True)
        made = Settings(
            home=root / "home",
            workers=0,
            ledger_url=ledger_url,
            workspaces={
                "default": {
                    "source": {"kind": "folder", "path": str(root / "pacs")},
                    "target": {"kind": "share", "path": str(root / "share")},
                }
            },
        ).model_copy(update=settings)
        return cls(root, made, Ledger.open(made.ledger_address))

    def with_targets(self, **required: bool) -> SmallWorld:
        """The same with these targets, each a folder of its name; whether each is required."""
        for name in required:
            (self.root / name).mkdir(exist_ok=True)
        return self.delivering_to(
            {
                name: {"kind": "share", "path": str(self.root / name), "required": must}
                for name, must in required.items()
            }
        )

    def delivering_to(self, targets: dict[str, dict[str, object]]) -> SmallWorld:
        """The same with these targets, as settings have them."""
        own = self.settings.workspace("default").model_dump()
        own["targets"] = targets
        workspaces = {"default": WorkspaceSettings.model_validate(own)}
        changed = self.settings.model_copy(update={"workspaces": workspaces})
        return replace(self, settings=changed)

    # -- the source ------------------------------------------------------------------------

    def put_study(self, accession_number: str, study: str = "one", instances: int = 1) -> None:
        """Let the source hold a study of so many instances; more of them is a later arrival."""
        folder = self.root / "pacs" / accession_number / study
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, instances + 1):
            path = folder / f"{number}.dcm"
            if not path.exists():
                path.write_bytes(tiny_instance(accession_number, study, number))

    def drop_study(self, accession_number: str, study: str = "one") -> None:
        """Let the source forget a study."""
        shutil.rmtree(self.root / "pacs" / accession_number / study)

    # -- manifests -------------------------------------------------------------------------

    def load(
        self,
        *accession_numbers: str,
        name: str = "",
        subject: str = "",
        imaging_type: str = "CT",
        **options: object,
    ) -> list[str]:
        """Load a manifest with these accessions; gives back its partition keys."""
        self.manifests += 1
        path = self.root / f"{name or f'm{self.manifests}'}.csv"
        with path.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(MANIFEST_COLUMNS)
            for number in accession_numbers:
                writer.writerow(
                    [
                        subject or research_subject(number),
                        imaging_type,
                        "12",
                        "head",
                        number,
                        "",
                        "",
                    ]
                )
        report = load_manifest(self.ledger, path, workspace="default", **options)  # type: ignore[arg-type]
        return list(report.partition_keys)

    # -- running ---------------------------------------------------------------------------

    def options(self, **asked: object) -> RunOptions:
        """Options of a run that starts now."""
        return RunOptions.of(self.settings, **asked)

    def batch(self, **asked: object) -> Batch:
        """A batch with these options."""
        return Batch(self.settings, "default", "run-1", PARTS, self.options(**asked))

    def run(self, keys: Sequence[str], **asked: object) -> list[Outcome]:
        """Run a batch here; gives back all that it said."""
        return list(self.batch(**asked).run(keys))

    def end(self, key: str, **asked: object) -> Finished:
        """Run one partition; gives back the last word on it."""
        last = self.run([key], **asked)[-1]
        assert isinstance(last, Finished)
        return last

    def killed(self, keys: Sequence[str], place: str, **asked: object) -> bool:
        """Run in a process of its own that kills itself at a place; whether it came to that."""
        pid = os.fork()
        if pid == 0:
            try:
                os.environ["KILL_AT"] = place
                own = SmallWorld(self.root, self.settings, self.ledger)
                own.run(keys, **asked)
            finally:
                os._exit(0)
        _, status = os.waitpid(pid, 0)
        return os.WIFSIGNALED(status)

    # -- how it stands ---------------------------------------------------------------------

    def item(self, key: str) -> WorkItem:
        """The work item of a partition as it stands."""
        return self.ledger.work_items("default", [key])[0]

    def zips(self) -> list[Path]:
        """Every zip on the share."""
        return sorted((self.root / "share").rglob("*.zip"))

    def noted(self) -> list[str]:
        """Each delivery that the share took, in order: its key and checksum."""
        path = self.root / DELIVERIES
        return path.read_text().splitlines() if path.exists() else []

    def leftovers(self) -> list[str]:
        """Files in the scratch space, and unfinished files on the share."""
        scratch = [p for p in self.settings.scratch_dir.rglob("*") if p.is_file()]
        parts_left = (self.root / "share").rglob("*.part")
        return sorted(p.name for p in [*scratch, *parts_left] if p.name != ".budget")
