"""What an engine is to the harness.

What belongs here: what every engine offers. What does not: the engines
(`calibration.py`, `locutus_engine.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field

from benchmarks.midi.answer_key import Maps
from benchmarks.midi.outputs import claimed_maps
from benchmarks.midi.planting import PlantedFile, PlantedStudy

__all__ = ["Engine", "Written"]


@dataclass(frozen=True)
class Written:
    """What became of one file: its bytes, or None and the reason."""

    data: bytes | None = field(repr=False)
    reason: str = ""


class Engine(ABC):
    """Something that de-identifies.

    Attributes:
        name: for the report.
        options: values of the engine's `Option`s that its policy has.
        modalities: those that it lets through; None means all.
    """

    name: str
    options: frozenset[str] = frozenset()
    modalities: frozenset[str] | None = None

    @abstractmethod
    def run(self, study: PlantedStudy) -> list[Written]:
        """De-identify a study; one result a file, in order."""

    def maps(self, pairs: Iterable[tuple[PlantedFile, bytes]]) -> Maps:
        """Say what identities became, given the files delivered: what the outputs imply."""
        return claimed_maps(pairs)
