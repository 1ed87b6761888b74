"""`python -m benchmarks.peers`: the engine beside two peers from PyPI, in one run on equal terms.

What belongs here: what is compared, how the peers come in, and the table. What does not: the
figures of the project alone (`run.py`), making studies (`generate.py`, `enhanced.py`).

The conditions:

- One CPU, one process, one interpreter, the same pydicom for all. The tasks take turns, so that a
  drifting machine hits all alike; the fastest turn of each counts. Multiples are those of CPU
  seconds, which whatever else the machine does disturbs least; all files fit into its page cache.
- Zip to zip: a raw zip, deflated, becomes a deflated zip on disk. So that the figures are about
  de-identification and not about zips, the peers read and write with the engine's own zip code,
  isal at level 1; beside that stands what they take with the standard library's zipfile at its
  default level, as one would write it. The floor inflates and deflates the same bytes with isal.
- File to file: files of a folder become files of another. The floor copies them.
- The peers run with their defaults, one object a study where they have such: dcmread, anonymise,
  save_as. The engine does what it always does, the search of each output for the study's
  identifiers included, which neither peer has.
- Before a figure counts, the outputs are read with pydicom: all instances are there with another
  name of the patient and the same pixels.

The peers are no dependencies of the project: where they cannot be imported, pip installs them into
`bench-results/.peers`, which comes last on the path.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from importlib.metadata import version
from pathlib import Path

from isal import isal_zlib
from pydicom import Dataset, dcmread
from rich.console import Console
from rich.table import Table

from benchmarks.enhanced import enhanced_mr_study
from benchmarks.generate import ct_study, mr_study
from benchmarks.measure import Figure, machine
from locutus_dagster.deid import Policy, Pseudonyms, StudyDisposition, deidentify_study, load_policy
from locutus_dagster.deid.encoding.archive import RawZip, write_zip
from locutus_dagster.deid.study import StudyWork

__all__ = ["main", "measure"]

RESULTS = Path("bench-results")
PEERS = ("dicognito==0.19.0", "dicom-anonymizer==2.1.0")
POLICIES = ("basic", "research")
REPEATS = int(os.environ.get("BENCH_REPEATS", "3"))
SECRET = b"a secret for measurements only.."
SUBJECT = "C000001"

_FLOOR = "floor"
_OURS = f"Locutus, {POLICIES[0]}"

Task = Callable[[], object]
#: Changes a dataset; made anew for every study.
Anonymize = Callable[[Dataset], object]


def install_peers() -> bool:
    """Make the peers importable; returns whether they are."""
    folder = RESULTS / ".peers"
    if str(folder.resolve()) not in sys.path:
        sys.path.append(str(folder.resolve()))
    for attempt in (1, 2):
        importlib.invalidate_caches()
        try:
            importlib.import_module("dicognito.anonymizer")
            importlib.import_module("dicomanonymizer")
        except ImportError:
            if attempt == 1:
                wanted = (*PEERS, f"pydicom=={version('pydicom')}")
                pip = (sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder))
                subprocess.run((*pip, *wanted), check=False)
        else:
            return True
    return False


def peers() -> dict[str, Callable[[], Anonymize]]:
    """Return name and version of each peer -> what makes its anonymiser for one study."""
    from dicognito.anonymizer import Anonymizer  # type: ignore[import-not-found]
    from dicomanonymizer import anonymize_dataset  # type: ignore[import-not-found]

    return {
        f"dicognito {version('dicognito')}": lambda: Anonymizer(seed="measurements").anonymize,
        f"dicom-anonymizer {version('dicom-anonymizer')}": lambda: anonymize_dataset,
    }


@contextmanager
def one_cpu() -> Iterator[None]:
    """Bind this process to one CPU, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def fastest(
    tasks: dict[str, Task], repeats: int, check: Callable[[str], None]
) -> dict[str, Figure]:
    """Run the tasks in turn, `repeats` times round; return the least seconds of each.

    `check` is called with a task's name after its first run, off the clock.
    """
    least: dict[str, Figure] = {}
    for turn in range(repeats):
        for name, task in tasks.items():
            wall, cpu = time.perf_counter(), time.process_time()
            task()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            best = least.get(name, Figure(wall, cpu))
            least[name] = Figure(min(wall, best.wall), min(cpu, best.cpu))
            if not turn:
                check(name)
    return least


class Files:
    """A study's files in a folder, as the engine wants them."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def size(self) -> int:
        return sum(path.stat().st_size for path in self._paths)

    def read(self, index: int) -> memoryview:
        return memoryview(self._paths[index].read_bytes())


class Comparison:
    """The tasks of one study, each of which leaves its output in a place of its own."""

    def __init__(self, files: list[Path], work: Path) -> None:
        self._files = files
        self._raw = work / "raw.zip"
        self._work = work
        self._size = sum(path.stat().st_size for path in files)
        with self._raw.open("wb") as stream:
            members = (
                (f"{number:06d}.dcm", [path.read_bytes()]) for number, path in self._numbered
            )
            write_zip(members, stream, expected_size=self._size, expected_members=len(files))
        self.zip_tasks: dict[str, Task] = {_FLOOR: self._floor_zip}
        self.file_tasks: dict[str, Task] = {_FLOOR: self._floor_files}
        for name in POLICIES:
            self._add_engine(f"Locutus, {name}", load_policy(name))
        for name, make in peers().items():
            self._add_peer(name, make)

    @property
    def _numbered(self) -> Iterable[tuple[int, Path]]:
        return enumerate(self._files, start=1)

    def _zip(self, name: str) -> Path:
        return self._work / f"{name}.zip"

    def _folder(self, name: str) -> Path:
        folder = self._work / name
        folder.mkdir(exist_ok=True)
        return folder

    def _floor_zip(self) -> None:
        with RawZip(self._raw) as raw, self._zip(_FLOOR).open("wb") as stream:
            for index in range(len(raw)):
                press = isal_zlib.compressobj(1, isal_zlib.DEFLATED, -15)
                stream.write(press.compress(raw.read(index)))
                stream.write(press.flush())

    def _floor_files(self) -> None:
        folder = self._folder(_FLOOR)
        for number, path in self._numbered:
            (folder / f"{number:06d}.dcm").write_bytes(path.read_bytes())

    def _add_engine(self, name: str, policy: Policy) -> None:
        pseudonyms = Pseudonyms(SECRET)

        def to_zip() -> None:
            with self._zip(name).open("wb") as stream:
                report = deidentify_study(
                    self._raw, stream, policy=policy, pseudonyms=pseudonyms, subject_id=SUBJECT
                )
            _require_whole(report)

        def to_files() -> None:
            folder = self._folder(name)
            work = StudyWork(Files(self._files), policy, pseudonyms, SUBJECT)
            for one in work.deliver():
                with (folder / f"{one.index:06d}.dcm").open("wb") as stream:
                    stream.writelines(one.parts)
            _require_whole(work.report())

        self.zip_tasks[name] = to_zip
        self.file_tasks[name] = to_files

    def _add_peer(self, name: str, make: Callable[[], Anonymize]) -> None:
        def to_zip() -> None:
            anonymize = make()
            with RawZip(self._raw) as raw, self._zip(name).open("wb") as stream:
                members = (
                    (f"{index:06d}.dcm", [_cleaned(raw.read(index), anonymize)])
                    for index in range(len(raw))
                )
                write_zip(
                    members, stream, expected_size=self._size, expected_members=len(self._files)
                )

        def to_plain_zip() -> None:
            anonymize = make()
            with (
                zipfile.ZipFile(self._raw) as raw,
                zipfile.ZipFile(self._zip(plain), "w", zipfile.ZIP_DEFLATED) as out,
            ):
                for member in raw.namelist():
                    out.writestr(member, _cleaned(raw.read(member), anonymize))

        def to_files() -> None:
            anonymize, folder = make(), self._folder(name)
            for number, path in self._numbered:
                dataset = dcmread(path)
                anonymize(dataset)
                dataset.save_as(folder / f"{number:06d}.dcm")

        plain = f"{name}, zipfile"
        self.zip_tasks[name] = to_zip
        self.zip_tasks[plain] = to_plain_zip
        self.file_tasks[name] = to_files

    def check_zip(self, name: str) -> None:
        """End the run if a zip does not hold the study, cleaned."""
        if name != _FLOOR:
            with zipfile.ZipFile(self._zip(name)) as archive:
                self._check(name, (archive.read(member) for member in archive.namelist()))

    def check_files(self, name: str) -> None:
        """End the run if a folder does not hold the study, cleaned."""
        if name != _FLOOR:
            folder = self._folder(name)
            self._check(name, (path.read_bytes() for path in sorted(folder.iterdir())))

    def _check(self, name: str, outputs: Iterable[bytes]) -> None:
        before = [dcmread(path) for path in self._files]
        after = [dcmread(io.BytesIO(output)) for output in outputs]
        alike = len(before) == len(after) and all(
            old.PatientName != new.PatientName and old.PixelData == new.PixelData
            for old, new in zip(before, after, strict=True)
        )
        if not alike:
            raise SystemExit(f"{name} did not clean the study whole: no figure")


def _cleaned(content: bytes | memoryview, anonymize: Anonymize) -> bytes:
    dataset = dcmread(io.BytesIO(content))
    anonymize(dataset)
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def _require_whole(report: StudyDisposition) -> None:
    if not report.clean or report.withheld:
        raise SystemExit("the generated study was not delivered whole: no figure")


def compare(title: str, files: list[Path], work: Path, console: Console) -> dict[str, object]:
    """Measure one study and print its table, with multiples of the floor's and our seconds."""
    work.mkdir()
    comparison = Comparison(files, work)
    size = sum(path.stat().st_size for path in files)
    ways = {
        "zip to zip": fastest(comparison.zip_tasks, REPEATS, comparison.check_zip),
        "file to file": fastest(comparison.file_tasks, REPEATS, comparison.check_files),
    }
    shutil.rmtree(work)
    table = Table(title=f"{title}: {len(files)} files, {size / 1e6:.0f} MB")
    table.add_column("from and to", no_wrap=True)
    table.add_column("what", no_wrap=True)
    for heading in ("seconds", "CPU s", "files/s", "MB/s", "x floor", "x ours"):
        table.add_column(heading, justify="right")
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for way, least in ways.items():
        table.add_section()
        figures[way] = {}
        for what, figure in least.items():
            row = {
                "seconds": figure.wall,
                "CPU seconds": figure.cpu,
                "files/s": len(files) / figure.wall,
                "MB/s": size / 1e6 / figure.wall,
                "x floor": figure.cpu / least[_FLOOR].cpu,
                "x ours": figure.cpu / least[_OURS].cpu,
            }
            figures[way][what] = row
            seconds, cpu, rate, bytes_rate, of_floor, of_ours = row.values()
            table.add_row(
                way if what == _FLOOR else "",
                what,
                f"{seconds:.3f}",
                f"{cpu:.3f}",
                f"{rate:.1f}",
                f"{bytes_rate:.0f}",
                f"{of_floor:.1f}",
                f"{of_ours:.2f}",
            )
    console.print(table)
    return {"files": len(files), "bytes": size, "figures": figures}


def measure(work: Path) -> dict[str, object]:
    """Compare on three studies; print tables, keep the figures as JSON, and return them."""
    console = Console(width=104)
    if not install_peers():
        console.print("The peers cannot be installed here: they were not measured.")
        return {}
    results: dict[str, object] = {
        "machine": machine(),
        "date": date.today().isoformat(),  # noqa: DTZ011
        "repeats": REPEATS,
        "versions": {name: version(name) for name in ("pydicom", "dicognito", "dicom-anonymizer")},
    }
    console.print(f"{results['machine']}; one CPU, the fastest of {REPEATS} turns.")
    with one_cpu():
        for title, files in (
            ("CT 512x512x16", ct_study(work / "peers-ct", instances=60)),
            ("MR 256x256x16", mr_study(work / "peers-mr", instances=120)),
            ("Enhanced MR 64x64x16, 200 frames", enhanced_mr_study(work / "peers-emr", 6)),
        ):
            results[title] = compare(title, files, work / "peers-work", console)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "peers.json"
    path.write_text(json.dumps(results, indent=1))
    console.print(f"Figures: {path}")
    return results


def main() -> None:
    """Measure in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="locutus-peers-") as name:
        measure(Path(name))


if __name__ == "__main__":
    main()
