"""A process of its own that writes into a ledger at the same moment as others.

python -m locutus_dagster_tests.ledger.at_work URL GO TIMES ACCESSION_ID...
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from locutus_dagster.ledger import Ledger, State


def main(url: str, go: str, times: str, *accessions: str) -> None:
    print("ready", flush=True)
    while not Path(go).exists():
        time.sleep(0.001)
    ledger = Ledger.open(url)
    for number in range(int(times)):
        for accession in accessions:
            state = (State.PENDING, State.FAILED)[number % 2]
            ledger.record_state(int(accession), state, run_id=f"{accessions}")
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
