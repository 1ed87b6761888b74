"""`python -m benchmarks.fuzz`: give the engine damaged and hostile files for as long as wanted.

What belongs here: drawing inputs by a seed, counting what becomes of them, keeping what goes wrong.
What does not: making the files and judging the outcome (`locutus_dagster_tests/deid`: `hostile.py`,
`hostile_texts.py`, `hostile_zips.py`, `mutations.py`, `judging.py`).

An input is drawn from seed and number alone: `--seed 1 --input 4711` repeats one. What goes wrong
is kept in bench-results/fuzz as the zip that was given; inputs made from files of a folder named
with --source are not, for nobody knows whose they are. A process that dies leaves `running.zip`
there, whatever it is.
Exits with 0 if nothing was wrong, with 1 if not.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import itertools
import json
import math
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from locutus_dagster_tests.deid.hostile import STRUCTURES
from locutus_dagster_tests.deid.hostile_texts import TEXTS
from locutus_dagster_tests.deid.hostile_zips import DEFLATED, STORED, ZIPS, Member, zip_of
from locutus_dagster_tests.deid.judging import Verdict, judge, policies
from locutus_dagster_tests.deid.mutations import PYDICOM_FILES, mutated, seeds
from locutus_dagster_tests.deid.wire import LE, WIRES, extended

__all__ = ["main"]

_ROOT = Path(__file__).resolve().parents[1]
_KEPT = _ROOT / "bench-results" / "fuzz"
#: Files of more bytes are no seeds: there is little to hit in them but pixels.
_LARGEST_SEED = 400_000
#: Hostile files have from so many to so many bytes: a million elements, or texts that take seconds.
_SMALLEST, _LARGEST_STRUCTURE, _LARGEST_TEXT = 1_000, 8_000_000, 1_500_000
#: Hostile zips inflate to no more than this.
_LARGEST_ZIP = 64 << 20
#: How often an input is of a kind.
_KINDS = {"damaged files": 60, "hostile structure": 18, "hostile values": 16, "hostile zips": 6}
#: The process may not have more than this, so that a bomb kills it and nothing else.
_ADDRESS_SPACE = 12 << 30
#: After so many seconds on one input, the process says where it is and ends.
_HANG = 300
_WIDTH = 150


@dataclass(frozen=True)
class Input:
    """One raw zip to be given to the engine.

    Attributes:
        kind, name: what it is.
        policy: the policy's name.
        raw: the zip.
        originals: its members; None where only the zip knows.
        size: of all members, in bytes, inflated.
        may_be_kept: whether all in it is fictitious.
        good: whether the first member has to be delivered.
    """

    kind: str
    name: str
    policy: str
    raw: bytes
    originals: list[bytes] | None
    size: int
    may_be_kept: bool = True
    good: bool = False


@dataclass
class Tally:
    """What became of the inputs of one kind."""

    inputs: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    slowest: tuple[float, int, str] = (0.0, -1, "")
    largest: tuple[int, int, str] = (0, -1, "")
    problems: list[str] = field(default_factory=list)

    def add(self, number: int, given: Input, verdict: Verdict) -> None:
        """Count an input."""
        self.inputs += 1
        self.reasons.update(verdict.reasons)
        self.seconds += verdict.seconds
        self.slowest = max(self.slowest, (verdict.seconds, number, given.name))
        self.largest = max(self.largest, (verdict.memory, number, given.name))
        told = f"input {number}, {given.name}, {given.policy}"
        self.problems += [f"{told}: {problem}" for problem in verdict.problems]


class Inputs:
    """Draws inputs.

    Args:
        public: folders of files that may be copied.
        others: folders of files that may not.
    """

    def __init__(self, public: list[Path], others: list[Path]) -> None:
        policy = policies()["research"]
        self._public = list(seeds(public, _LARGEST_SEED, policy))
        self._seeds = self._public + list(seeds(others, _LARGEST_SEED, policy))

    def __len__(self) -> int:
        return len(self._seeds)

    def draw(self, seed: int, number: int) -> Input:
        """Return the input of a number, which is always the same."""
        draw = random.Random(f"{seed}/{number}")
        kind = draw.choices(list(_KINDS), list(_KINDS.values()))[0]
        policy = draw.choice(list(policies()))
        if kind == "damaged files":
            return self._damaged(draw, policy)
        if kind == "hostile zips":
            name = draw.choice(list(ZIPS))
            return Input(kind, name, policy, ZIPS[name](), None, _LARGEST_ZIP)
        makers, largest = STRUCTURES, _LARGEST_STRUCTURE
        if kind == "hostile values":
            makers, largest = TEXTS, _LARGEST_TEXT
        name, wire = draw.choice(list(makers)), draw.choice(list(WIRES))
        size = int(math.exp(draw.uniform(math.log(_SMALLEST), math.log(largest))))
        files = [extended(LE, {}, number=2), makers[name](WIRES[wire], size)]
        if draw.random() < 0.3:
            files[1] = mutated(draw, files[1], files[0])
        raw = _zip(draw, files)
        return Input(kind, f"{name} ({wire})", policy, raw, files, 2 * size, good=True)

    def _damaged(self, draw: random.Random, policy: str) -> Input:
        """Return a good file and another instance of it, which is damaged."""
        at = draw.randrange(len(self._seeds))
        other = draw.randrange(len(self._seeds))
        first, second = self._seeds[at]
        files = [first, mutated(draw, second, self._seeds[other][0])]
        return Input(
            "damaged files",
            f"seed {at}",
            policy,
            _zip(draw, files),
            files,
            sum(map(len, files)),
            may_be_kept=max(at, other) < len(self._public),
            good=policy != "basic",
        )


def _zip(draw: random.Random, files: list[bytes]) -> bytes:
    method = draw.choice((STORED, DEFLATED))
    return zip_of([Member(one, name=b"%d.dcm" % at, method=method) for at, one in enumerate(files)])


def fuzz(
    inputs: Inputs, seed: int, numbers: Sequence[int] | itertools.count[int], until: float
) -> dict[str, Tally]:
    """Give inputs to the engine until a time of `time.monotonic`; return what became of them."""
    tallies = {kind: Tally() for kind in _KINDS}
    _KEPT.mkdir(parents=True, exist_ok=True)
    running = _KEPT / "running.zip"
    for number in numbers:
        if time.monotonic() >= until:
            break
        given = inputs.draw(seed, number)
        running.write_bytes(given.raw)
        faulthandler.dump_traceback_later(_HANG, exit=True)
        verdict = judge(
            running,
            policies()[given.policy],
            given.originals,
            size=given.size,
            good=0 if given.good else None,
            repeat=number % 8 == 0,
            weigh=given.kind != "damaged files",  # which are small
        )
        tallies[given.kind].add(number, given, verdict)
        if verdict.problems and given.may_be_kept:
            (_KEPT / f"{seed}-{number}.zip").write_bytes(given.raw)
    faulthandler.cancel_dump_traceback_later()
    running.unlink(missing_ok=True)
    return tallies


def print_report(console: Console, tallies: dict[str, Tally]) -> None:
    """Print the tables of a run."""
    table = Table("Inputs", "", "Slowest", "", "Largest", "", title="Damaged and hostile files")
    for kind, tally in tallies.items():
        seconds, slow, slow_name = tally.slowest
        memory, large, large_name = tally.largest
        table.add_row(
            kind, f"{tally.inputs:,}", f"{seconds:.2f} s", f"{slow}: {slow_name}",
            f"{memory >> 20} MB", f"{large}: {large_name}",
        )  # fmt: skip
    console.print(table)
    kinds = list(tallies)
    outcomes = Table("What became of the members", *kinds, title="Members, good ones included")
    total: Counter[str] = sum((tally.reasons for tally in tallies.values()), Counter())
    for reason, _ in total.most_common():
        outcomes.add_row(reason, *(f"{tallies[kind].reasons[reason] or ''}" for kind in kinds))
    console.print(outcomes)
    for tally in tallies.values():
        for problem in tally.problems:
            console.print(f"[red]WRONG[/red] {problem}", highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz; return the exit status."""
    given = _parser().parse_args(arguments)
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, hard))
    inputs = Inputs([PYDICOM_FILES], given.source)
    console.print(f"{len(inputs)} files to damage.")
    gc.freeze()  # what is here by now need not be looked at before each input
    numbers = itertools.count() if given.input is None else [given.input]
    began = time.monotonic()
    tallies = fuzz(inputs, given.seed, numbers, began + given.seconds)
    print_report(console, tallies)
    problems = [problem for tally in tallies.values() for problem in tally.problems]
    figures = {
        "seed": given.seed,
        "seconds": round(time.monotonic() - began),
        "problems": problems,
        "kinds": {
            kind: {
                "inputs": tally.inputs,
                "cpu_seconds": round(tally.seconds, 1),
                "slowest_seconds": round(tally.slowest[0], 2),
                "largest_bytes": tally.largest[0],
                "members": dict(tally.reasons),
            }
            for kind, tally in tallies.items()
        },
    }
    (_KEPT / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    count = sum(tally.inputs for tally in tallies.values())
    console.print(f"{count:,} inputs, {len(problems)} problems. Figures: bench-results/fuzz")
    return 1 if problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzz",
        description="Give the engine damaged and hostile files, and look at what it makes of them.",
    )
    parser.add_argument("--seconds", type=float, default=300, help="for how long")
    parser.add_argument("--seed", type=int, default=1, help="another seed draws other inputs")
    parser.add_argument("--input", type=int, help="only the input of this number")
    parser.add_argument(
        "--source", type=Path, action="append", default=[], help="a folder of more DICOM files"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
