"""A workspace with a schedule goes on by itself with what is not finished."""

from __future__ import annotations

from datetime import datetime, timezone

import dagster as dg

from locutus_dagster.defs.build import build_defs
from locutus_dagster.defs.names import DEFAULT_WORKSPACE as WS
from locutus_dagster.ledger import State
from locutus_dagster.settings import ScheduleSettings
from locutus_dagster_tests.defs.conftest import Home


def scheduled(home: Home) -> dg.RepositoryDefinition:
    told = ScheduleSettings(cron="30 2 * * *", timezone="America/New_York")
    own = home.settings.workspace(WS).model_copy(update={"schedule": told})
    settings = home.settings.model_copy(update={"workspaces": {WS: own}})
    return build_defs(settings).get_repository_def()


def test_a_workspace_without_one_has_none(home: Home) -> None:
    names = [one.name for one in build_defs(home.settings).get_repository_def().schedule_defs]
    assert "process_unfinished" not in names


def test_it_processes_what_is_unfinished_and_does_not_join_a_run_at_work(home: Home) -> None:
    home.load()
    repository = scheduled(home)
    (schedule,) = [one for one in repository.schedule_defs if "unfinished" in one.name]
    assert (schedule.cron_schedule, schedule.execution_timezone) == (
        "30 2 * * *",
        "America/New_York",
    )
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    context = dg.build_schedule_context(
        home.instance, scheduled_execution_time=datetime.now(timezone.utc)
    )
    (request,) = schedule.evaluate_tick(context).run_requests
    job = repository.get_job(schedule.job_name)
    job.execute_in_process(
        run_config=request.run_config, instance=home.instance, raise_on_error=False
    )
    assert home.item(home.pacs.accessions[0]).state is State.DELIVERED

    home.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert not schedule.evaluate_tick(context).run_requests
