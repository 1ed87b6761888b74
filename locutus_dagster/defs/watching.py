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
from locutus_dagster.defs.run_failures import failure_of
from locutus_dagster.errors import LocutusError, describe_unexpected
from locutus_dagster.pipeline.arrivals import Hours
from locutus_dagster.pipeline.queueing import PauseSwitch
from locutus_dagster.pipeline.watching import PollReport, RunRequestPlan, Watcher
from locutus_dagster.settings import Settings

__all__ = ["ARRIVALS_TAG", "config_of", "forget_lost", "outside_hours", "watch_sensor"]

#: Says of a run for which request it was made.
ARRIVALS_TAG = "locutus/arrivals"
# Of the minute that Dagster gives a tick.
_POLL, _DECIDE = 20.0, 20.0
_ON_ITS_WAY = timedelta(minutes=2)
_IN_ONE_QUESTION = 100
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
        waiting = forget_lost(context.instance, watcher)
        report = watcher.poll(_POLL)
        paused = PauseSwitch(parts.ledger).why()
        plans = []
        if not paused:  # what arrives meanwhile is noted, and asked for afterwards
            plans = watcher.requests(waiting=waiting, deadline_seconds=_DECIDE)
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
        config["check_source"] = True  # that the study has changed is why it is asked for
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


def forget_lost(instance: dg.DagsterInstance, watcher: Watcher) -> list[str]:
    """Let requests come again that never became a run, or what a run has left when it ended.

    What a run has come to, it has answered, be it by a failure. What it has left comes again at
    once if it was told to leave it, and otherwise after a while.

    Returns:
        The keys of requests whose run waits in the queue or is at work.
    """
    late = datetime.now(timezone.utc) - _ON_ITS_WAY
    outstanding = watcher.outstanding()
    runs = _runs_of(instance, list(outstanding))
    at_work: list[str] = []
    for key, asked_at in outstanding.items():
        of_it = runs.get(key, [])
        if not of_it and asked_at < late:
            watcher.forget(key)
        elif any(not run.is_finished for run in of_it):
            at_work.append(key)
        elif of_it and of_it[0].status in _BROKEN_OFF:
            told_to = failure_of(instance, of_it[0].run_id).paused
            watcher.forget(key) if told_to else watcher.broke_off(key)
    return at_work


def outside_hours(run: dg.DagsterRun, settings: Settings, workspace: str) -> str:
    """Why a run that was asked for here is not to begin now; empty if it may.

    It may have waited in the queue until the hours were over. A person who starts it again by hand
    means it so.
    """
    watch = settings.workspace(workspace).watch
    if watch is None or ARRIVALS_TAG not in run.tags or run.parent_run_id is not None:
        return ""
    if Hours(watch.hours, watch.timezone).open_at(datetime.now(timezone.utc)):
        return ""
    return f"runs for arrivals begin between {watch.hours} ({watch.timezone})"


def _runs_of(instance: dg.DagsterInstance, keys: list[str]) -> dict[str, list[dg.DagsterRun]]:
    """The runs that were made for requests, by key, the latest first."""
    found: dict[str, list[dg.DagsterRun]] = {}
    for start in range(0, len(keys), _IN_ONE_QUESTION):
        asked = {ARRIVALS_TAG: keys[start : start + _IN_ONE_QUESTION]}
        for run in instance.get_runs(filters=dg.RunsFilter(tags=asked)):
            found.setdefault(run.tags[ARRIVALS_TAG], []).append(run)
    return found
