"""The sensor that follows a workspace's Orthanc: studies that arrive or change become runs.

What belongs here: turning plans into run requests, and runs back into what the watcher is to know
of them. What does not: what is read, and what is decided (`pipeline/watching.py`).

A tick that fails has changed nothing that the next one would not find: what was read is kept in the
ledger, and a request that was lost on its way comes again.
"""

# No `from __future__ import annotations` here: Dagster reads the annotations of the sensor.
from datetime import datetime, timedelta, timezone
from typing import Any

import dagster as dg

from locutus_dagster.defs.names import scoped
from locutus_dagster.defs.partitions import register_partitions
from locutus_dagster.defs.resources import EngineResource
from locutus_dagster.errors import LocutusError, describe_unexpected
from locutus_dagster.pipeline.queueing import PauseSwitch
from locutus_dagster.pipeline.watching import PollReport, RunRequestPlan, Watcher
from locutus_dagster.settings import Settings

__all__ = ["ARRIVALS_TAG", "config_of", "forget_lost", "watch_sensor"]

#: Says of a run for which request it was made.
ARRIVALS_TAG = "locutus/arrivals"
# Of the minute that Dagster gives a tick.
_POLL, _DECIDE = 20.0, 20.0
_ON_ITS_WAY = timedelta(minutes=2)
_BROKEN_OFF = (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE)


def watch_sensor(workspace: str, settings: Settings, job_name: str) -> list[dg.SensorDefinition]:
    """The sensor of a workspace whose settings ask for one, else none."""
    told = settings.workspace(workspace).watch
    if told is None:
        return []

    @dg.sensor(
        name=scoped(workspace, "arrivals"),
        job_name=job_name,
        minimum_interval_seconds=max(1, int(told.interval)),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Follows what arrives and changes at the source, and processes it "
        f"({told.mode}).",
    )
    def arrivals(context: dg.SensorEvaluationContext, engine: EngineResource) -> dg.SensorResult:
        failure = ""
        try:
            return _tick(context, workspace, engine)
        except Exception as error:  # noqa: BLE001 - Dagster would store its text and its frames
            failure = describe_unexpected(error)
        raise LocutusError(failure)

    return [arrivals]


def _tick(
    context: dg.SensorEvaluationContext, workspace: str, engine: EngineResource
) -> dg.SensorResult:
    parts = engine.parts(workspace)
    try:
        watcher = Watcher(parts)
        forget_lost(context.instance, watcher)
        report = watcher.poll(_POLL)
        paused = PauseSwitch(parts.ledger).why()
        plans = []
        if not paused:  # what arrives meanwhile is noted, and asked for afterwards
            plans = watcher.requests(
                waiting=_at_work(context.instance, watcher), deadline_seconds=_DECIDE
            )
        for plan in plans:
            register_partitions(context.instance, workspace, plan.partition_keys)
            watcher.asked(plan)
        told = _told(report, plans, watcher) + (f"; {paused}" if paused else "")
    finally:
        parts.close()
    context.log.info("%s", told)
    if not plans:
        return dg.SensorResult(skip_reason=dg.SkipReason(told))
    return dg.SensorResult(run_requests=[_request(workspace, plan) for plan in plans])


def config_of(plan: RunRequestPlan) -> dict[str, Any]:
    """What the step of a run for this plan is told."""
    config: dict[str, Any] = {"partitions": list(plan.partition_keys)}
    if plan.reprocess is not None:
        config["reprocess"] = plan.reprocess.value
    if plan.withdraw:
        config["withdraw"] = True
    return config


def _request(workspace: str, plan: RunRequestPlan) -> dg.RunRequest:
    step = scoped(workspace, "accession_chain")
    return dg.RunRequest(
        run_key=plan.run_key,
        run_config={"ops": {step: {"config": config_of(plan)}}},
        tags={ARRIVALS_TAG: plan.run_key},
    )


def _told(report: PollReport, plans: list[RunRequestPlan], watcher: Watcher) -> str:
    """What a tick has done, free of identifiers."""
    counts = f"{report.new} new studies, {report.changed} changed, {report.gone} gone"
    told = [f"{report.entries} changes read: {counts}"]
    if not report.done:
        told.append("there is more to read")
    if report.restarted:
        told.append("the source counts its changes anew and is read from the beginning")
    asked = sum(len(plan.partition_keys) for plan in plans)
    told.append(f"{asked} accessions in {len(plans)} runs")
    told += [f"{notice.partition_key}: {notice.words}" for notice in watcher.notices]
    told += watcher.problems
    return "; ".join(told)


def _at_work(instance: dg.DagsterInstance, watcher: Watcher) -> list[str]:
    """Requests whose run waits in the queue or is at work."""
    return [key for key in watcher.outstanding() if _run_of(instance, key, ended=False)]


def forget_lost(instance: dg.DagsterInstance, watcher: Watcher) -> None:
    """Let requests come again that never became a run, or what a run has left when it ended.

    What a run has come to, it has answered, be it by a failure.
    """
    late = datetime.now(timezone.utc) - _ON_ITS_WAY
    for key, asked_at in watcher.outstanding().items():
        run = _run_of(instance, key)
        if run is None:
            if asked_at < late:
                watcher.forget(key)
            continue
        if run.status in _BROKEN_OFF:
            watcher.forget(key)


def _run_of(instance: dg.DagsterInstance, key: str, *, ended: bool = True) -> dg.DagsterRun | None:
    runs = instance.get_runs(filters=dg.RunsFilter(tags={ARRIVALS_TAG: key}), limit=1)
    return next((run for run in runs if ended or not run.is_finished), None)
