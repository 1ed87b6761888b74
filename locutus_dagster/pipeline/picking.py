"""What a run takes up beside what it was asked for: accessions that stand in the middle.

What belongs here: finding them. What does not: the files that nobody claims (`sweeping.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from locutus_dagster.ledger import Ledger, Phase, State
from locutus_dagster.ledger.selection import Selection
from locutus_dagster.run_modes import Sweep

__all__ = ["picked_up"]

_STANDS = frozenset({State.EXTRACTED, State.DEIDENTIFIED, State.REQUESTED, State.FAILED})


def picked_up(
    ledger: Ledger, workspace: str, partition_keys: Sequence[str], sweep: Sweep
) -> list[str]:
    """Partitions of the workspace to go on with, beside those that are asked for.

    They are those whose accession stands at a phase, whose delivery failed, or which were to be
    processed again when their run ended; whatever manifest names them.
    """
    if sweep is not Sweep.WORKSPACE:
        return []
    asked = {item.accession_id for item in ledger.work_items(workspace, partition_keys)}
    return [
        item.partition_key
        for item in ledger.select(workspace, Selection(states=_STANDS))
        if item.accession_id not in asked
        and (item.state is not State.FAILED or item.phase == Phase.DELIVER)
    ]
