"""`python -m benchmarks.midi`: run the MIDI-style harness, print the score, keep the figures.

What belongs here: the command line. What does not: anything that a test needs (`harness.py`).
Exits with 0 if the score is at least 99.9 % and no planted identifier is left, with 1 if not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.midi.calibration import CALIBRATION
from benchmarks.midi.engines import Engine
from benchmarks.midi.harness import planted_studies, run
from benchmarks.midi.locutus_engine import Locutus
from benchmarks.midi.planting import Refused
from benchmarks.midi.report import passes, print_report, write_csv, write_json
from benchmarks.midi.sources import default_folders

__all__ = ["main"]

_ROOT = Path(__file__).resolve().parents[2]
#: Of the tables in a file or pipe, in characters.
_WIDTH = 150


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the harness; return the exit status."""
    given = _parser().parse_args(arguments)
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    engine: Engine = (
        Locutus.of(given.policy) if given.engine == "locutus" else CALIBRATION[given.engine]()
    )
    if given.keep and given.keep.exists() and any(given.keep.iterdir()):
        console.print("The folder of --keep is not empty. Name a new one.")
        return 1
    folders = given.source or default_folders(_ROOT)
    refused: list[Refused] = []
    studies = planted_studies(folders, given.files, given.seed, engine, refused)
    if not studies:
        console.print("No file to plant in was found. Name a folder with --source.")
        return 1
    with tempfile.TemporaryDirectory(prefix="midi-") as scratch:
        work = given.keep or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        found = run(engine, studies, work)
    found.refused = refused
    print_report(console, found, show_values=given.show_values)
    if isinstance(engine, Locutus) and engine.residue:
        console.print("The engine's own gate found identifiers:", dict(engine.residue))
    if given.report:
        write_csv(given.report, found, show_values=given.show_values)
    policy = given.policy if given.engine == "locutus" else ""
    write_json(given.figures, found, policy=policy, seed=given.seed)
    console.print(f"Figures: {given.figures}")
    return 0 if passes(found) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.midi",
        description="Plant identifiers in real DICOM files, de-identify them, score the result.",
    )
    parser.add_argument("--policy", default="research", help="name or file of a policy")
    parser.add_argument("--files", type=int, default=400, help="at most so many files")
    parser.add_argument("--seed", type=int, default=1, help="another seed plants otherwise")
    parser.add_argument("--engine", choices=["locutus", *CALIBRATION], default="locutus")
    parser.add_argument("--source", type=Path, action="append", help="a folder of DICOM files")
    parser.add_argument("--report", type=Path, help="a CSV of everything that failed")
    parser.add_argument(
        "--keep", type=Path, help="keep files, answer key and maps in this folder, a new one"
    )
    parser.add_argument(
        "--figures",
        type=Path,
        default=Path("bench-results", "midi.json"),
        help="where the figures go",
    )
    parser.add_argument(
        "--show-values", action="store_true", help="show planted values, which are fictitious"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
