"""The steps of `scale.py`, each run by an interpreter of its own: `python -m … STEP [NAME]`.

What belongs here: doing one thing and saying on standard output, in JSON, how long it took. What
does not: memory, which is watched from outside, and tables (`scale.py`). Imports stand in the
steps, so that each one's memory is what it needs itself.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from locutus_dagster.ledger import Ledger
    from locutus_dagster.pipeline.parts import Parts

__all__ = ["LISTINGS", "MANIFEST", "WORKSPACE"]

WORKSPACE, MANIFEST = "default", "scale"
#: What is asked of the ledger, by what it is called in the table.
LISTINGS = {
    "everything": "list all accessions, as items of work",
    "failed": "list those that failed",
    "manifest": "list one manifest",
    "subject": "list one subject",
    "since": "list those changed within a day",
    "numbers": "list 1,000 accession numbers",
    "resolved": "list those with a decision of a person",
    "counts": "count what `locutus status` shows",
    "rows": "read every row, page by page",
}
_LISTED = 3  # times; the median counts
_WALKED = 200

Result = dict[str, Any]


def _ledger() -> Ledger:
    from locutus_dagster.ledger import Ledger
    from locutus_dagster.settings import load_settings

    return Ledger.open(load_settings().find_ledger)


def _timed(what: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    found = what()
    return time.perf_counter() - start, found


def load(path: str, name: str = MANIFEST, dry_run: bool = False) -> Result:
    """Load the manifest, or say what loading it under another name would do."""
    from locutus_dagster.manifests import load_manifest

    ledger = _ledger()
    seconds, report = _timed(
        lambda: load_manifest(ledger, Path(path), workspace=WORKSPACE, name=name, dry_run=dry_run)
    )
    return {
        "seconds": seconds,
        "rows": report.rows,
        "accepted": report.accepted,
        "rejected": len(report.rejected),
        "duplicates": len(report.duplicates),
        "new": report.new,
    }


def register() -> Result:
    """Make every partition known to a new Dagster instance, and list them."""
    from locutus_dagster.defs.instance import open_instance
    from locutus_dagster.defs.names import partitions_name
    from locutus_dagster.defs.partitions import register_partitions
    from locutus_dagster.settings import load_settings

    ledger = _ledger()
    keys = [item.partition_key for item in ledger.manifest_items(WORKSPACE, MANIFEST)]
    with open_instance(load_settings()) as instance:
        seconds, _ = _timed(lambda: register_partitions(instance, WORKSPACE, keys))
        again, _ = _timed(lambda: register_partitions(instance, WORKSPACE, keys))
        name = partitions_name(WORKSPACE)
        listing, found = _timed(lambda: instance.get_dynamic_partitions(name))
    if sorted(found) != sorted(keys):
        raise SystemExit("not every partition was registered: no figure")
    return {"seconds": seconds, "again": again, "listing": listing, "keys": len(keys)}


def spread() -> Result:
    """Give the accessions states and histories."""
    from benchmarks import scale_data
    from locutus_dagster.pipeline.parts import build_parts
    from locutus_dagster.settings import load_settings

    parts = build_parts(load_settings(), WORKSPACE)
    seconds, _ = _timed(lambda: scale_data.spread(parts))
    parts.close()
    return {"seconds": seconds}


def listing(name: str, rows: str) -> Result:
    """Ask the ledger one thing."""
    ledger = _ledger()
    ask = _questions(ledger, int(rows))[name]
    taken, found = [], 0
    for _ in range(_LISTED):
        seconds, found = _timed(ask)
        taken.append(seconds)
    if not found and name != "resolved":
        raise SystemExit("nothing was listed: no figure")
    return {"seconds": statistics.median(taken), "first": taken[0], "found": found}


def _questions(ledger: Ledger, rows: int) -> dict[str, Callable[[], int]]:
    from benchmarks.scale_data import accession_number, subject_of
    from locutus_dagster.ledger import State
    from locutus_dagster.ledger.overview import OPEN
    from locutus_dagster.ledger.resolutions import ResolveCommand
    from locutus_dagster.ledger.selection import Selection, Standing

    yesterday = datetime.now(timezone.utc) - timedelta(days=1)
    step = max(1, rows // 1000)
    numbers = tuple(accession_number(index) for index in range(0, rows, step))[:1000]
    decided = Standing(commands=frozenset(ResolveCommand))
    selections = {
        "everything": Selection(),
        "failed": Selection(states=frozenset({State.FAILED})),
        "manifest": Selection(manifests=(MANIFEST,)),
        "subject": Selection(subjects=(subject_of(rows // 2),)),
        "since": Selection(changed_since=yesterday),
        "numbers": Selection(accession_numbers=numbers),
        "resolved": Selection(any_of=(decided,)),
    }

    def counts() -> int:
        found = ledger.counts(WORKSPACE)
        ledger.pace(WORKSPACE, timedelta(minutes=10))
        ledger.accessions_in(WORKSPACE, OPEN)
        ledger.failures(WORKSPACE)
        ledger.pauses()
        return sum(one.rows for one in found)

    def selected(selection: Selection) -> Callable[[], int]:
        return lambda: len(ledger.select(WORKSPACE, selection))

    return {
        **{name: selected(selection) for name, selection in selections.items()},
        "counts": counts,
        "rows": lambda: sum(1 for _ in ledger.listing(WORKSPACE)),
    }


def preflight(csv: str) -> Result:
    """Foresee every accession, and write the table, as `locutus preflight --all --csv` does."""
    from locutus_dagster.durable_files import atomic_file
    from locutus_dagster.ledger.selection import Selection
    from locutus_dagster.pipeline.options import RunOptions
    from locutus_dagster.pipeline.preflight import chosen
    from locutus_dagster.pipeline.preflight import preflight as foresee
    from locutus_dagster.pipeline.preflight_csv import PreflightCsv
    from locutus_dagster.pipeline.preflight_report import PreflightSummary, circumstances

    parts = _parts_to_look()
    options = RunOptions.of(parts.settings)
    summary = PreflightSummary(circumstances(parts))

    def run() -> None:
        items, _ = chosen(parts, Selection(), options)
        with atomic_file(Path(csv)) as stream:
            table = PreflightCsv(stream)
            for record in foresee(items, parts, options):
                summary.add(record)
                table.add(record, summary.attention_for(record))

    seconds, _ = _timed(run)
    parts.close()
    return {
        "seconds": seconds,
        "items": summary.items,
        "outcomes": {would.value: count for would, count in summary.outcomes.items()},
    }


def _parts_to_look() -> Parts:
    from benchmarks.scale_data import FakeSource
    from locutus_dagster.pipeline.parts import build_parts
    from locutus_dagster.settings import load_settings

    parts = build_parts(load_settings(), WORKSPACE, look_only=True)
    parts.source.close()
    # Each thread has a source of its own, as with Orthanc.
    return replace(parts, source=FakeSource(), another_source=FakeSource)


def walks() -> Result:
    """What the ledger is told of an accession on its walk: seconds for each thing, in a median."""
    from locutus_dagster.ledger import State
    from locutus_dagster.ledger.selection import Selection
    from locutus_dagster.ledger.work import Attempt
    from locutus_dagster_tests.ledger import rows

    ledger = _ledger()
    loaded = ledger.select(WORKSPACE, Selection(states=frozenset({State.LOADED})))[:_WALKED]
    taken: dict[str, list[float]] = {}
    owner = "here|bench"
    for item in loaded:
        by, identity = Attempt(owner=owner, run_id="run", row_id=item.row_id), item.accession_id
        delivery = rows.delivery(uri=f"file:///share/{identity}.zip")
        place = (identity, delivery.target, delivery.uri)
        walk: dict[str, Callable[[], Any]] = {
            "claim": partial(ledger.claim, identity, owner, 120),
            "extracted": partial(rows.extract, ledger, item, by),
            "de-identified": partial(rows.deidentify, ledger, item, rows.CT, rows.SR, by=by),
            "is the place free": partial(ledger.delivered_elsewhere, *place),
            "about to deliver": partial(ledger.announce_delivery, *place, owner),
            "delivered": partial(ledger.record_delivered, identity, delivery, by=by),
            "release": partial(ledger.release, identity, owner),
        }
        for what, step in walk.items():
            taken.setdefault(what, []).append(_timed(step)[0])
    if any(ledger.state_of(item.accession_id) is not State.DELIVERED for item in loaded):
        raise SystemExit("an accession was not delivered: no figure")
    medians = {what: statistics.median(all_of) for what, all_of in taken.items()}
    return {"accessions": len(loaded), "seconds": sum(medians.values()), "each": medians}


_STEPS: dict[str, Callable[..., Result]] = {
    "load": load,
    "load-elsewhere": lambda path: load(path, "elsewhere", True),
    "register": register,
    "spread": spread,
    "listing": listing,
    "preflight": preflight,
    "walks": walks,
}

if __name__ == "__main__":
    print(json.dumps(_STEPS[sys.argv[1]](*sys.argv[2:])))
