"""Summarizer reports as an asset and on a schedule, by Dagster's own test tools."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime, timezone
from pathlib import Path

import dagster as dg
import pytest

from locutus_dagster.defs.build import build_defs
from locutus_dagster.defs.names import DEFAULT_WORKSPACE as WS
from locutus_dagster.defs.names import WHOLE
from locutus_dagster.settings import load_settings
from locutus_dagster_tests.defs.conftest import MANIFEST, Home

NIGHTLY, WEEKLY = "30 3 * * *", "0 6 * * 1"


@pytest.fixture
def reporting(home: Home) -> dg.RepositoryDefinition:
    """The home, with a nightly and a weekly report that hold identifiers for those in the house."""
    file = home.root / "locutus.yaml"
    content = json.loads(file.read_text())
    content["workspaces"][WS]["reports"] = {
        "detailed": {"cron": NIGHTLY, "timezone": "America/New_York"},
        "overview": {"cron": WEEKLY},
        "forms": "csv html json",
        "redact": False,
        "keep": 30,
    }
    file.write_text(json.dumps(content))
    home.load()
    return build_defs(load_settings()).get_repository_def()


def tick(home: Home, repository: dg.RepositoryDefinition, name: str) -> dg.RunRequest:
    (schedule,) = [one for one in repository.schedule_defs if one.name == name]
    at = datetime(2026, 11, 22, 8, 30, tzinfo=timezone.utc)
    context = dg.build_schedule_context(
        home.instance, scheduled_execution_time=at, repository_def=repository
    )
    (request,) = schedule.evaluate_tick(context).run_requests
    return request


def run(
    home: Home, repository: dg.RepositoryDefinition, request: dg.RunRequest
) -> dg.ExecuteInProcessResult:
    return repository.get_job("summarize").execute_in_process(
        instance=home.instance,
        partition_key=request.partition_key,
        run_config=request.run_config,
        raise_on_error=False,
    )


def reports(home: Home) -> list[Path]:
    return sorted((home.root / "reports" / WS).rglob("*.*"))


def test_a_schedule_is_there_where_the_settings_ask_for_one(
    home: Home, reporting: dg.RepositoryDefinition
) -> None:
    found = {one.name: one for one in reporting.schedule_defs if one.name.startswith("summary")}
    assert {name: one.cron_schedule for name, one in found.items()} == {
        "summary_detailed": NIGHTLY,
        "summary_overview": WEEKLY,
    }
    assert found["summary_detailed"].execution_timezone == "America/New_York"
    assert all(one.default_status is dg.DefaultScheduleStatus.RUNNING for one in found.values())
    bare = build_defs(home.settings).get_repository_def().schedule_defs
    assert not [one for one in bare if one.name.startswith("summary")]


def test_a_scheduled_report_needs_no_file_and_is_kept_under_its_date(
    home: Home, reporting: dg.RepositoryDefinition
) -> None:
    request = tick(home, reporting, "summary_detailed")
    assert request.partition_key == WHOLE
    result = run(home, reporting, request)
    assert result.success
    today = datetime.now(timezone.utc).date().isoformat()
    names = [path.name for path in reports(home)]
    assert names == [f"{WS}-detailed-{today}.{form}" for form in ("csv", "html", "json")]
    assert all(path.stat().st_mode & 0o077 == 0 for path in reports(home))
    csv = reports(home)[0].read_text()
    assert all(number in csv for number in home.pacs.accessions)


def test_dagster_is_shown_no_identifier_though_the_files_hold_them(
    home: Home, reporting: dg.RepositoryDefinition
) -> None:
    result = run(home, reporting, tick(home, reporting, "summary_detailed"))
    (event,) = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert metadata["rows"].value == len(home.ledger.manifest_items(WS, MANIFEST))
    told = repr(metadata) + repr([str(entry) for entry in home.instance.all_logs(result.run_id)])
    assert not [number for number in home.pacs.accessions if number in told]
    subjects = {item.subject_id for item in home.ledger.manifest_items(WS, MANIFEST)}
    assert not [subject for subject in subjects if subject in told]


def test_the_weekly_one_counts_alone(home: Home, reporting: dg.RepositoryDefinition) -> None:
    assert run(home, reporting, tick(home, reporting, "summary_overview")).success
    (csv, _, _) = reports(home)
    assert "-overview-" in csv.name
    assert not [number for number in home.pacs.accessions if number in csv.read_text()]


def test_a_manifest_has_a_report_of_its_own(home: Home, reporting: dg.RepositoryDefinition) -> None:
    request = dg.RunRequest(partition_key=MANIFEST)
    assert run(home, reporting, request).success
    assert {path.parent.name for path in reports(home) if path.is_file()} == {MANIFEST}


def test_old_reports_go_and_nothing_else(home: Home, reporting: dg.RepositoryDefinition) -> None:
    folder = home.root / "reports" / WS
    folder.mkdir(parents=True)
    old, mine = folder / f"{WS}-detailed-2026-01-01.csv", folder / "notes.csv"
    for path in (old, mine):
        path.write_text("x")
        os.utime(path, (time.time() - 31 * 86400,) * 2)
    assert run(home, reporting, tick(home, reporting, "summary_detailed")).success
    assert (old.exists(), mine.exists()) == (False, True)


def test_somebody_who_cannot_be_told_does_not_cost_the_report(
    home: Home, reporting: dg.RepositoryDefinition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("locutus_dagster.summarizer.notifying._PAUSES", ())
    file = home.root / "locutus.yaml"
    content = json.loads(file.read_text())
    notify = {"webhook": "http://127.0.0.1:9/hook"}
    content["workspaces"][WS]["reports"]["notify"] = notify
    file.write_text(json.dumps(content))
    result = run(home, reporting, tick(home, reporting, "summary_detailed"))
    assert result.success
    (event,) = result.get_asset_materialization_events()
    assert "nobody was told" in event.materialization.metadata
    assert len(reports(home)) == 3
