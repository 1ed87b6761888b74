"""What Dagster is told that a run intends to materialize, and what it is told to forget.

A partition shows as failed when a run planned it, did not materialize it, and failed. Two things
follow that Dagster does not do by itself:

- a run that learns its partitions while it runs (from a manifest) must plan them itself, or its
  failures would show as never tried;
- an accession that is pending has not failed, though another one in its run has. Its plan is
  replaced by one that belongs to no run, which Dagster counts as neither failed nor in progress.
"""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg
from dagster._core.events import AssetMaterializationPlannedData
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID

__all__ = ["plan", "withdraw_plan"]


def plan(
    context: dg.AssetExecutionContext, keys: Iterable[dg.AssetKey], partition_keys: Iterable[str]
) -> None:
    """Announce that this run will materialize `keys` for each partition."""
    _report(context, context.run.run_id, context.run.job_name, keys, partition_keys)


def withdraw_plan(
    context: dg.AssetExecutionContext, keys: Iterable[dg.AssetKey], partition_keys: Iterable[str]
) -> None:
    """Take back what this run has announced for each partition."""
    _report(context, RUNLESS_RUN_ID, RUNLESS_JOB_NAME, keys, partition_keys)


def _report(
    context: dg.AssetExecutionContext,
    run_id: str,
    job_name: str,
    keys: Iterable[dg.AssetKey],
    partition_keys: Iterable[str],
) -> None:
    wanted = list(keys)
    step = context.op_execution_context.op_handle.name
    for partition_key in partition_keys:
        for key in wanted:
            event = dg.DagsterEvent.build_asset_materialization_planned_event(
                job_name, step, AssetMaterializationPlannedData(key, partition=partition_key)
            )
            context.instance.report_dagster_event(event, run_id)
