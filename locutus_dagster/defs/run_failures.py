"""Why a run failed as a whole, as its step has said it.

What belongs here: finding that in Dagster's records. What does not: saying it (`step.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

from locutus_dagster.defs.names import PAUSED

__all__ = ["RunFailure", "failure_of"]


@dataclass(frozen=True)
class RunFailure:
    """Why a run failed as a whole, in the words of its step.

    Attributes:
        paused: why it was stopped by the pause switch; empty when it was not.
    """

    description: str = ""
    paused: str = ""


def failure_of(instance: dg.DagsterInstance, run_id: str) -> RunFailure:
    """Why a run failed; empty when it did not."""
    for record in instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.STEP_FAILURE
    ).records:
        event = record.event_log_entry.dagster_event
        error = getattr(event.event_specific_data, "user_failure_data", None) if event else None
        if error is not None and error.description:
            paused = error.metadata.get(PAUSED)
            return RunFailure(str(error.description), str(paused.value) if paused else "")
    return RunFailure()
