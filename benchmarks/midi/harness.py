"""One run: choose, plant, write the key, de-identify, score, search.

What belongs here: the order of work, and what a run has found. What does not: printing it
(`report.py`), the command line (`__main__.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.midi.answer_key import KeyFile, read_key, read_maps, write_key, write_maps
from benchmarks.midi.engines import Engine
from benchmarks.midi.leaks import Leak, Search
from benchmarks.midi.planting import PlantedStudy, Refused, plant_all
from benchmarks.midi.scoring import Score, score
from benchmarks.midi.sources import find_sources, select

__all__ = ["Run", "planted_studies", "run"]


@dataclass
class Run:
    """What a run has found.

    Attributes:
        engine: its name.
        options: of its policy.
        key: the answer key, as read back from its file.
        score: the verdicts.
        paths: of the key's files, where each was made from.
        leaks: number of the file in the key -> what is left in its output.
        searched: letter of a kind -> number of identifiers that were searched for.
        withheld: reason -> number of files that were not delivered for it.
        withheld_classes: SOP class UID -> number of files not delivered.
        refused: files that could not be planted.
        studies, patients: how many.
    """

    engine: str
    options: frozenset[str]
    key: list[KeyFile]
    score: Score
    paths: list[Path]
    leaks: dict[int, list[Leak]] = field(default_factory=dict)
    searched: Counter[str] = field(default_factory=Counter)
    withheld: Counter[str] = field(default_factory=Counter)
    withheld_classes: Counter[str] = field(default_factory=Counter)
    refused: list[Refused] = field(default_factory=list)
    studies: int = 0
    patients: int = 0

    @property
    def percent(self) -> float:
        """The score."""
        return self.score.share()

    @property
    def left(self) -> int:
        """How many planted identifiers are left, counted by file."""
        return sum(map(len, self.leaks.values()))


def planted_studies(
    folders: Sequence[Path], count: int, seed: int, engine: Engine, refused: list[Refused]
) -> list[PlantedStudy]:
    """Choose files that an engine lets through by its modalities, and plant them."""
    chosen = select(find_sources(folders), count, seed, engine.modalities)
    return list(plant_all(chosen, seed, refused))


def run(engine: Engine, studies: Sequence[PlantedStudy], work: Path) -> Run:
    """De-identify planted studies, and score what came out.

    Args:
        engine: what to run.
        studies: what to run it on.
        work: an existing folder; gets `input/`, `output/`, `answer_key.sqlite` and the two maps.
            What is scored is read back from there.
    """
    files = [file for study in studies for file in study.files]
    write_key(work / "answer_key.sqlite", files)
    found = Run(engine.name, engine.options, [], Score(), [file.source.path for file in files])
    delivered: dict[str, bytes] = {}
    index = 0
    for study in studies:
        search = Search(study.needles, engine.options)
        found.searched.update(search.kinds.values())
        for file, written in zip(study.files, engine.run(study), strict=True):
            name = f"{index:05d}.dcm"
            _save(work / "input" / name, file.data)
            if written.data is None:
                found.withheld[written.reason] += 1
                found.withheld_classes[file.source.sop_class] += 1
            else:
                _save(work / "output" / name, written.data)
                delivered[file.sop] = written.data
                leaks = search.leaks(written.data)
                if leaks:
                    found.leaks[index] = leaks
            index += 1
    pairs = ((file, delivered[file.sop]) for file in files if file.sop in delivered)
    write_maps(work, engine.maps(pairs))
    found.key = list(read_key(work / "answer_key.sqlite"))
    found.score = score(found.key, delivered, read_maps(work), engine.options)
    found.studies = len(studies)
    found.patients = len({study.person.subject for study in studies})
    return found


def _save(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
