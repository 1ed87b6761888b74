"""A process of its own that loads a manifest at the same moment as others (see test_loading)."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from locutus_dagster.ledger import Ledger
from locutus_dagster.manifests import load_manifest


def main(url: str, go: str, path: str, name: str) -> None:
    ledger = Ledger.open(url)
    print("ready", flush=True)
    while not Path(go).exists():
        time.sleep(0.001)
    report = load_manifest(ledger, Path(path), workspace="ws", name=name)
    print(f"new={report.new} rows={report.rows}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
