"""Passes over a batch until nothing is left that can change.

What belongs here: which accessions a further pass looks at, when there is none, and the wait in
between. What does not: one pass (`batch.py`).

Each accession is compared with itself, so that one which fails again and again does not end the
passes while others still get on (the reference's did).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from locutus_dagster.errors import LocutusError
from locutus_dagster.pipeline.batch import Batch
from locutus_dagster.pipeline.options import RunOptions
from locutus_dagster.pipeline.outcomes import Finished, Outcome, PassDone, Result

__all__ = ["run_passes"]

_OPEN = frozenset({Result.PENDING, Result.FAILED})
_ALIKE = 3  # passes with one and the same result, after which nothing is expected any more

Ends = dict[str, tuple[Result, str]]


def run_passes(
    batch: Batch, partition_keys: Sequence[str], *, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Outcome | PassDone]:
    """Run the batch; where its options say so, again and again over what is left.

    Each pass ends with a `PassDone`, when there is more than one to come. `batch.not_attempted`
    and `batch.paused` speak of the last pass.

    Raises:
        LocutusError: as `Batch.run` does, in the first pass; a later one that cannot work is
            reported, and another one follows.
    """
    options = batch.options = batch.options or RunOptions.of(batch.settings)
    if not options.until_converged:
        yield from batch.run(partition_keys)
        return
    left: Sequence[str] = partition_keys
    before: Ends | None = None
    alike = 1
    for number in range(1, options.max_passes + 1):
        ends: Ends = {}
        fault = ""
        try:
            for outcome in batch.run(left):
                if isinstance(outcome, Finished):
                    ends[outcome.partition_key] = (outcome.result, outcome.reason)
                yield outcome
        except LocutusError as error:
            if number == 1:
                raise
            # The source was away, perhaps: what it had for the rest is unknown, not nothing.
            fault, batch.not_attempted = str(error), [key for key in left if key not in ends]
        missed = set(batch.not_attempted)
        left = [key for key in left if key in missed or ends.get(key, _NOT_OPEN)[0] in _OPEN]
        now = {key: ends.get(key, (Result.FAILED, fault)) for key in left}
        alike = alike + 1 if now == before else 1
        before = now
        ended = _why_over(batch, left, alike, number, options.max_passes)
        counts = Counter(result.value for result, _ in ends.values())
        yield PassDone(number, dict(counts), len(left), ended, fault)
        if ended:
            return
        sleep(options.pass_wait)


_NOT_OPEN = (Result.DELIVERED, "")


def _why_over(batch: Batch, left: Sequence[str], alike: int, number: int, most: int) -> str:
    if not left:
        return "nothing is left"
    if batch.paused:
        return batch.paused
    if alike >= _ALIKE:
        return f"{_ALIKE} passes have ended alike"
    return f"{most} passes have been made" if number == most else ""
