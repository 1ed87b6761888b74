"""A workspace that goes on by itself: what is not finished is processed when its settings say so.

What belongs here: the schedule. What does not: what is processed (the chain's step decides by the
ledger), and studies that announce themselves at the source.
"""

from __future__ import annotations

import dagster as dg

from locutus_dagster.defs.names import scoped
from locutus_dagster.settings import Settings

__all__ = ["UNFINISHED", "processing_schedule"]

#: What a scheduled run is asked for: whatever no run has finished, of every manifest.
UNFINISHED = {"everything": True, "status": ["unfinished"]}

_ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def processing_schedule(
    workspace: str, settings: Settings, job_name: str
) -> list[dg.ScheduleDefinition]:
    """The schedule of a workspace whose settings ask for one, else none.

    A run that is still at work is not joined by another one.
    """
    told = settings.workspace(workspace).schedule
    if told is None:
        return []

    @dg.schedule(
        name=scoped(workspace, "process_unfinished"),
        job_name=job_name,
        cron_schedule=told.cron,
        execution_timezone=told.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Processes whatever of the workspace is not finished.",
    )
    def process_unfinished(
        context: dg.ScheduleEvaluationContext,
    ) -> dg.RunRequest | dg.SkipReason:
        at_work = context.instance.get_runs(
            filters=dg.RunsFilter(job_name=job_name, statuses=_ACTIVE), limit=1
        )
        if at_work:
            return dg.SkipReason("The run before is still at work.")
        step = scoped(workspace, "accession_chain")
        return dg.RunRequest(run_config={"ops": {step: {"config": UNFINISHED}}})

    return [process_unfinished]
