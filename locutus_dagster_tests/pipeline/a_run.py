"""A run over a small world in a process of its own, as another host would make it.

`python -m locutus_dagster_tests.pipeline.a_run SETTINGS KEYS OPTIONS`, all JSON; faults are asked
for by the environment (`small_world.py`). Prints how many accessions ended in which way.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence

from locutus_dagster.pipeline.batch import Batch
from locutus_dagster.pipeline.options import RunOptions
from locutus_dagster.pipeline.outcomes import Finished
from locutus_dagster.pipeline.passes import run_passes
from locutus_dagster.settings import Settings
from locutus_dagster_tests.pipeline.small_world import PARTS

__all__ = ["start"]


def start(
    settings: Settings, keys: Sequence[str], environment: dict[str, str], **asked: object
) -> subprocess.Popen[str]:
    """Start a run; the caller waits for it."""
    command = [sys.executable, "-m", "locutus_dagster_tests.pipeline.a_run"]
    return subprocess.Popen(
        [*command, settings.model_dump_json(), json.dumps(list(keys)), json.dumps(asked)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def main() -> None:
    """Run, and print the last word on each accession, counted."""
    settings = Settings.model_validate_json(sys.argv[1])
    random.seed(os.getpid())
    batch = Batch(
        settings,
        "default",
        f"run-{os.getpid()}",
        PARTS,
        RunOptions.of(settings, **json.loads(sys.argv[3])),
    )
    last: dict[str, str] = {}
    for outcome in run_passes(batch, json.loads(sys.argv[2])):
        if isinstance(outcome, Finished):
            last[outcome.partition_key] = outcome.result.value
    print(json.dumps(Counter(last.values())))


if __name__ == "__main__":
    main()
