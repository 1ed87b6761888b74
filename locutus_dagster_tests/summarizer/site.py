"""A workspace for reports to be about: manifests loaded from files, and accessions walked on.

What belongs here: what the tests of reports share. What does not: assertions.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import select, update

from locutus_dagster.ledger import Ledger, State, WorkItem
from locutus_dagster.ledger.schema import Event
from locutus_dagster.ledger.work import Attempt
from locutus_dagster.manifests import load_manifest
from locutus_dagster_tests.ledger.rows import WAY_TO, bring_to, walk
from locutus_dagster_tests.manifests.files import write

__all__ = ["bring", "deliver", "item", "load", "move_events"]

_NUMBERS = itertools.count(1)


def load(
    ledger: Ledger, folder: Path, *rows: str, name: str = "", workspace: str = "ws"
) -> list[WorkItem]:
    """Load a manifest of these lines; gives back its items of work."""
    name = name or f"m{next(_NUMBERS)}"
    path = write(folder, *rows, name=f"{name}.csv")
    load_manifest(ledger, path, workspace=workspace)
    return ledger.manifest_items(workspace, name)


def deliver(ledger: Ledger, of: WorkItem, **of_delivery: object) -> None:
    """Take an accession through every phase, for its row."""
    uri = f"file:///share/{of.subject_id}/{of.accession_id}.zip"
    walk(ledger, of, by=Attempt(row_id=of.row_id), **{"uri": uri, **of_delivery})


def bring(ledger: Ledger, of: WorkItem, state: State, label: str = "", reason: str = "") -> None:
    """Bring an accession that is as loaded into a state; one that is delivered has a delivery."""
    by = Attempt(row_id=of.row_id, label=label)
    if state is State.DELIVERED:
        deliver(ledger, of)
    elif state is State.FAILED:
        ledger.record_state(of.accession_id, state, phase=4, reason=reason, by=by)
    elif WAY_TO[state]:
        bring_to(ledger, of, state, by)


def item(items: Sequence[WorkItem], accession_number: str) -> WorkItem:
    """The first item of an accession."""
    return next(one for one in items if one.accession_number == accession_number)


def move_events(ledger: Ledger, of: WorkItem, *times: datetime) -> None:
    """Let an accession's events have happened at these times."""
    with ledger.session() as session:
        events = select(Event.id).where(Event.accession_id == of.accession_id).order_by(Event.id)
        for identity, at in zip(session.scalars(events).all(), times, strict=True):
            session.execute(update(Event).where(Event.id == identity).values(at=at))
