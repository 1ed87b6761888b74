"""The settings that a run worked with, kept with the run (the reference's CFG_OUT).

What belongs here: the table in a run's events. What does not: what stands in it and what is masked
(`settings/effective.py`).
"""

from __future__ import annotations

import dagster as dg
from dagster._core.events import EngineEventData

from locutus_dagster.settings import Settings, effective

__all__ = ["TOLD", "tell_settings"]

#: The words by which the event is found again.
TOLD = "Effective settings"
_COLUMNS = ("key", "value", "origin")


def tell_settings(
    instance: dg.DagsterInstance, run: dg.DagsterRun, settings: Settings, workspace: str
) -> None:
    """Keep what applies to this run, secrets masked; other workspaces' settings are left out."""
    own = f"workspaces.{workspace}."
    records = [
        dg.TableRecord({"key": one.key, "value": one.value, "origin": str(one.origin.place)})
        for one in effective(settings)
        if one.key.startswith(own) or not one.key.startswith("workspaces.")
    ]
    schema = dg.TableSchema([dg.TableColumn(name) for name in _COLUMNS])
    instance.report_engine_event(
        TOLD,
        run,
        EngineEventData(metadata={TOLD: dg.MetadataValue.table(records, schema=schema)}),
    )
