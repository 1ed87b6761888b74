"""One set of definitions for each workspace, merged into one code location.

What belongs here: putting assets, jobs and resources together. Tests swap parts through
`resource_overrides` and need to patch nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from locutus_dagster.defs.assets import chain_asset
from locutus_dagster.defs.io_managers import (
    InterimZipIOManager,
    SummaryIOManager,
    TargetIOManager,
)
from locutus_dagster.defs.names import INTERIM, SUMMARY, TARGET, chain_keys, io_keys, scoped
from locutus_dagster.defs.pause import pause_check
from locutus_dagster.defs.preflight import preflight_asset
from locutus_dagster.defs.processing_schedule import processing_schedule
from locutus_dagster.defs.reports import report_defs
from locutus_dagster.defs.resources import EngineResource
from locutus_dagster.defs.sweeper import sweeper_defs
from locutus_dagster.defs.watching import watch_sensor
from locutus_dagster.settings import Settings, load_settings

__all__ = ["build_defs"]


def build_defs(
    settings: Settings | None = None,
    *,
    resource_overrides: Mapping[str, Any] | None = None,
) -> dg.Definitions:
    """The definitions of every workspace in `settings` (by default, those that apply here).

    Args:
        resource_overrides: resources by key (`engine`) that replace the built ones.
    """
    settings = settings or load_settings()
    overrides = dict(resource_overrides or {})
    engine = overrides.pop("engine", None) or EngineResource()
    merged = dg.Definitions.merge(
        dg.Definitions(resources={"engine": engine, **overrides}, executor=dg.in_process_executor),
        sweeper_defs(),
        *(_workspace_defs(name, settings, engine) for name in sorted(settings.workspaces)),
    )
    dg.Definitions.validate_loadable(merged)
    return merged


def _workspace_defs(workspace: str, settings: Settings, engine: EngineResource) -> dg.Definitions:
    keys = list(chain_keys(workspace).values())
    io = io_keys(workspace)
    process_manifest = dg.define_asset_job(
        scoped(workspace, "process_manifest"),
        selection=dg.AssetSelection.assets(*keys),
        description="Load a manifest and process it in one run: for CI and the command line. "
        "Configure the step with `file` (a manifest to load) or `manifest` (one loaded before).",
    )
    chain = dg.Definitions(
        assets=[chain_asset(workspace, settings), preflight_asset(workspace, settings)],
        asset_checks=[pause_check(workspace)],
        jobs=[process_manifest],
        schedules=processing_schedule(workspace, settings, process_manifest.name),
        sensors=watch_sensor(workspace, settings, process_manifest.name),
        resources={
            io[INTERIM]: InterimZipIOManager(engine, workspace),
            io[TARGET]: TargetIOManager(engine, workspace),
            io[SUMMARY]: SummaryIOManager(engine, workspace),
        },
    )
    return dg.Definitions.merge(chain, report_defs(workspace, settings))
