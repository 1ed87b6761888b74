"""A few planted studies from the files of pydicom's wheel, which are always there.

What belongs here: what several of these tests share. What does not: judging.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from benchmarks.midi.calibration import Identity
from benchmarks.midi.harness import planted_studies
from benchmarks.midi.planting import PlantedStudy

WHEEL = Path(str(files("pydicom"))) / "data" / "test_files"


@pytest.fixture(scope="session")
def planted() -> list[PlantedStudy]:
    """Some forty files of CT, MR, ultrasound and reports, in many encodings."""
    return planted_studies([WHEEL], 40, 1, Identity(), [])
