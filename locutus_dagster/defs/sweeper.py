"""The sweeper of the interim store in Dagster: an asset, its job and a nightly schedule.

What belongs here: what Dagster is told of a sweep. What does not: the sweep itself
(`pipeline/sweeping.py`).
"""

# No `from __future__ import annotations` here: Dagster reads the annotations of the step.
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
from pydantic import Field

from locutus_dagster.defs.names import OPERATIONS
from locutus_dagster.defs.resources import EngineResource
from locutus_dagster.errors import describe_unexpected
from locutus_dagster.pipeline.sweep_report import SweepReport, Swept
from locutus_dagster.pipeline.sweeping import MAX_AGE, sweep

__all__ = ["SWEEP", "SweepConfig", "sweeper_defs"]

SWEEP = "interim_sweep"
_JOB, _SCHEDULE = "sweep_interim", "interim_sweep_nightly"
_NIGHTLY = "30 3 * * *"
_FILES_TOLD = 100  # events are kept for ever


class SweepConfig(dg.Config):
    """How a sweep goes about it."""

    max_age_days: float = Field(
        default=MAX_AGE / timedelta(days=1),
        ge=0,
        description="Days that an identified file may wait for a rerun.",
    )


@dg.asset(
    name=SWEEP,
    group_name=OPERATIONS,
    kinds={"file"},
    description="Removes from the scratch folder of the host on which it runs what nobody needs "
    "any more: half-written files, files that the ledger does not claim, what is left of finished "
    "accessions, identified files that have waited too long for a rerun. It is safe beside "
    "batches at work. Each host has its own scratch folder: on the others, let cron call "
    "`locutus sweep`.",
)
def interim_sweep(
    context: dg.AssetExecutionContext, config: SweepConfig, engine: EngineResource
) -> Iterator[dg.MaterializeResult[Any]]:
    """Sweep this host's scratch folder; fails when something could not be removed."""
    try:
        ledger = engine.ledger()
        try:
            report = sweep(engine.settings(), ledger, max_age=timedelta(days=config.max_age_days))
        finally:
            ledger.close()
    except Exception as error:  # noqa: BLE001 - Dagster would store its text and its frames
        raise dg.Failure(describe_unexpected(error), allow_retries=False) from None
    for done, why, files, _ in report.groups():
        context.log.info("%d %s: %s", files, done, why)
    yield dg.MaterializeResult(metadata=_metadata(report))
    if report.stuck:
        raise dg.Failure(
            f"{len(report.stuck)} files or folders could not be removed, which may identify "
            "somebody. Look at their owner and permissions.",
            metadata={"could not be removed": _table(report.stuck)},
            allow_retries=False,
        )


def sweeper_defs() -> dg.Definitions:
    """The sweeper, once for the code location.

    The schedule runs from the start: it keeps a promise about identified files, which must not
    hang on somebody's remembering to switch it on. Who does not want it switches it off in the UI.
    """
    job = dg.define_asset_job(
        _JOB,
        selection=dg.AssetSelection.assets(interim_sweep),
        description="Sweep the scratch folder of the host on which this runs.",
    )
    nightly = dg.ScheduleDefinition(
        name=_SCHEDULE,
        job=job,
        cron_schedule=_NIGHTLY,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every night at half past three (UTC).",
    )
    return dg.Definitions(assets=[interim_sweep], jobs=[job], schedules=[nightly])


def _metadata(report: SweepReport) -> dict[str, Any]:
    made: dict[str, Any] = {
        "host": report.host,
        "scratch folder": dg.MetadataValue.path(str(report.scratch)),
        "rooms looked at": report.rooms,
        "rooms in use": report.in_use,
        "files removed": len(report.removed),
        "bytes removed": report.removed_bytes,
        "rows struck off": len(report.struck_off),
        "identified files left": report.identified_left,
    }
    for done, why, files, _ in report.groups():
        made[f"{done}: {why}"] = files
    for host, files in sorted(report.elsewhere.items()):
        made[f"files on host {host}"] = files
    if report.removed:
        made["removed"] = _table(report.removed)
    if report.left:
        made["left"] = _table(report.left)
    return made


def _table(swept: list[Swept]) -> dg.TableMetadataValue:
    columns = [dg.TableColumn("path"), dg.TableColumn("bytes", "int"), dg.TableColumn("why")]
    records = [
        dg.TableRecord({"path": str(one.path), "bytes": one.size, "why": one.reason})
        for one in swept[:_FILES_TOLD]
    ]
    if len(swept) > _FILES_TOLD:
        rest = swept[_FILES_TOLD:]
        size = sum(one.size for one in rest)
        last: dict[str, str | int] = {
            "path": f"and {len(rest)} more",
            "bytes": size,
            "why": "cut off here",
        }
        records.append(dg.TableRecord({**last}))
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))
