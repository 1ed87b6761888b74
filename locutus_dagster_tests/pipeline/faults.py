"""Parts that end their process, or misbehave, at a place that the environment names.

What belongs here: the faults. `KILL_AT` names a checkpoint of the chain, or `extract:middle`,
`transform:middle`, `deliver:middle`; the process kills itself there once (`KILL_MARK` remembers
it), so that a rerun with the same environment goes on.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from locutus_dagster.deid import StudyDisposition
from locutus_dagster.pipeline import transform
from locutus_dagster.pipeline.batch import Batch
from locutus_dagster.pipeline.parts import Parts, build_parts
from locutus_dagster.settings import Settings
from locutus_dagster.sources.base import FetchReceipt, FoundStudy, InstanceSink
from locutus_dagster.targets import Receipt
from locutus_dagster.targets.share import ShareTarget

_SKIP = 2  # let this many pass, so that something has been finished before


class _Killer:
    def __init__(self) -> None:
        self.place = os.environ.get("KILL_AT", "")
        self.mark = Path(os.environ.get("KILL_MARK", os.devnull))
        self.seen = 0

    def __call__(self, place: str) -> None:
        if place != self.place or self.mark.exists():
            return
        self.seen += 1
        if self.seen > _SKIP:
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class _DyingSource:
    """The real source, whose process may die after the first instance of a study."""

    def __init__(self, parts: Parts, killer: _Killer) -> None:
        self._source = parts.source
        self._killer = killer

    def check(self) -> dict[str, str]:
        return self._source.check()

    def find(self, accession_number: str) -> list[FoundStudy]:
        return self._source.find(accession_number)

    def fetch(self, study: FoundStudy, sink: InstanceSink) -> FetchReceipt:
        killer = self._killer

        class Sink:
            def add(self, data: bytes | Iterable[bytes]) -> None:
                sink.add(data)
                killer("extract:middle")

        return self._source.fetch(study, Sink())

    def close(self) -> None:
        self._source.close()


class _DyingTarget(ShareTarget):
    """The real share, whose process may die when half of the file is there."""

    killer: _Killer

    def put(self, source: Path, key: str, *, sha256: str) -> Receipt:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        half = source.read_bytes()[: source.stat().st_size // 2]
        path.with_name(f".{path.name}.part").write_bytes(half)
        self.killer("deliver:middle")
        return super().put(source, key, sha256=sha256)


def parts(settings: Settings, workspace: str) -> Parts:
    """The real parts, with the fault that the environment names."""
    made = build_parts(settings, workspace)
    killer = _Killer()
    made.checkpoint = killer
    made.source = _DyingSource(made, killer)
    target = _DyingTarget(settings.workspace(workspace).targets["share"].path)
    target.killer = killer
    made.targets = {"share": target}
    if "pytest" in sys.modules:
        return made  # the test's own process hands the work to others, and must stay as it is
    real = transform.deidentify_study

    def dying(raw_zip: Path, out: object, **options: object) -> StudyDisposition:
        def progress(done: int, _total: int) -> None:
            if done >= 1:
                killer("transform:middle")

        return real(raw_zip, out, progress=progress, **options)  # type: ignore[arg-type]

    transform.deidentify_study = dying  # type: ignore[assignment]
    return made


if __name__ == "__main__":
    chosen = Settings.model_validate_json(sys.argv[1])
    batch = Batch(chosen, "default", "run-0", "locutus_dagster_tests.pipeline.faults:parts")
    for _outcome in batch.run(json.loads(sys.argv[2])):
        pass
