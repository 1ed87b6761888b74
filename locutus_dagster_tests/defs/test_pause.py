"""The pause switch in Dagster: shown at once, by a check that no run can hide."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)
from dagster._core.test_utils import InProcessTestWorkspaceLoadTarget
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster_graphql.test.utils import execute_dagster_graphql

from locutus_dagster.defs import build_defs
from locutus_dagster.defs.names import asset_key
from locutus_dagster.defs.pause import NOT_PAUSED, report_pause, show_pause
from locutus_dagster.ledger.pauses import PauseRecord
from locutus_dagster.pipeline.outcomes import Artifact
from locutus_dagster.settings import load_settings
from locutus_dagster_tests.defs.conftest import Home

AT = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
PASSED, FAILED = AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED
_QUESTION = """
query Checks($assetKey: AssetKeyInput!) {
  assetNodeOrError(assetKey: $assetKey) {
    ... on AssetNode {
      assetChecksOrError {
        ... on AssetChecks {
          checks {
            name
            canExecuteIndividually
            executionForLatestMaterialization {
              status
              evaluation { severity metadataEntries { label ... on TextMetadataEntry { text } } }
            }
          }
        }
      }
    }
  }
}
"""


def raw(workspace: str = "default") -> dg.AssetKey:
    return asset_key(workspace, Artifact.RAW)


def check_key(workspace: str = "default") -> dg.AssetCheckKey:
    return dg.AssetCheckKey(raw(workspace), NOT_PAUSED)


def definitions() -> dg.Definitions:
    """The code location as it is loaded here."""
    return build_defs(load_settings())


def switch(scope: str = "system", paused: bool = True, reason: str = "why") -> PauseRecord:
    return PauseRecord(scope, paused, reason, AT, "ann@here")


def latest(home: Home, workspace: str = "default") -> AssetCheckExecutionRecord | None:
    """What Dagster has as the check's latest result."""
    key = check_key(workspace)
    storage = home.instance.event_log_storage
    summary = storage.get_asset_check_summary_records([key])[key]
    return summary.last_check_execution_record


def evaluation(home: Home, workspace: str = "default") -> dg.AssetCheckEvaluation:
    record = latest(home, workspace)
    assert record is not None
    assert record.evaluation is not None
    return record.evaluation


def run(home: Home, job: str, **options: Any) -> dg.ExecuteInProcessResult:
    found = definitions().resolve_job_def(job)
    return found.execute_in_process(instance=home.instance, raise_on_error=False, **options)


@pytest.fixture
def ui(home: Home, tmp_path: Path) -> Iterator[WorkspaceProcessContext]:
    """What the webserver answers from, over the home's instance."""
    source = tmp_path / "ui_definitions.py"
    source.write_text(
        "from locutus_dagster_tests.defs.test_pause import definitions\ndefs = definitions()\n"
    )
    origin = LoadableTargetOrigin(executable_path=sys.executable, python_file=str(source))
    target = InProcessTestWorkspaceLoadTarget(InProcessCodeLocationOrigin(origin))
    with WorkspaceProcessContext(home.instance, target) as process:
        yield process


def shown(ui: WorkspaceProcessContext) -> dict[str, Any]:
    """How the UI shows the check beside the asset."""
    answer = execute_dagster_graphql(
        ui.create_request_context(), _QUESTION, {"assetKey": {"path": list(raw().path)}}
    )
    checks = answer.data["assetNodeOrError"]["assetChecksOrError"]["checks"]
    found: dict[str, Any] = next(one for one in checks if one["name"] == NOT_PAUSED)
    return found


def test_a_pause_shows_at_once_without_a_run_and_so_does_its_end(
    home: Home, ui: WorkspaceProcessContext
) -> None:
    assert shown(ui)["executionForLatestMaterialization"] is None
    assert shown(ui)["canExecuteIndividually"] == "CAN_EXECUTE"

    report_pause(home.instance, ["default"], [switch(reason="the PACS moves house")])

    found = shown(ui)["executionForLatestMaterialization"]
    assert found["status"] == "FAILED"
    assert found["evaluation"]["severity"] == "WARN"
    entries = {
        entry["label"]: entry.get("text") for entry in found["evaluation"]["metadataEntries"]
    }
    assert entries["scope"] == "system"
    assert entries["reason"] == "the PACS moves house"
    assert entries["by"] == "ann@here"
    assert evaluation(home).metadata["since"].value == AT.timestamp()

    report_pause(home.instance, ["default"], [switch(paused=False)])

    found = shown(ui)["executionForLatestMaterialization"]
    assert found["status"] == "SUCCEEDED"
    assert found["evaluation"]["metadataEntries"] == []
    assert home.instance.get_runs() == []


def test_a_run_that_was_paused_shows_it_by_reporting_again_when_it_ends(
    home: Home, ui: WorkspaceProcessContext
) -> None:
    report_pause(home.instance, ["default"], [switch()])

    @dg.asset(key=raw())
    def at_hand_when_the_pause_was_set() -> None:
        """Any run's materialization of the asset."""

    assert dg.materialize([at_hand_when_the_pause_was_set], instance=home.instance).success
    # Dagster takes what was said before the latest materialization for something of the past.
    assert shown(ui)["executionForLatestMaterialization"] is None

    report_pause(home.instance, ["default"], [switch()])

    assert shown(ui)["executionForLatestMaterialization"]["status"] == "FAILED"


def test_every_workspace_is_told(home: Home) -> None:
    report_pause(home.instance, ["default", "spine"], [switch()])
    assert [evaluation(home, name).passed for name in ("default", "spine")] == [False, False]


@pytest.mark.parametrize(
    ("switches", "scope", "more"),
    [
        ([], None, None),
        ([switch("module:summarizer")], None, None),
        ([switch("system", paused=False)], None, None),
        ([switch("node:elsewhere")], "node:elsewhere", None),
        ([switch("module:processing"), switch("node:x", paused=False)], "module:processing", None),
        (
            [switch("module:processing"), switch("node:x", reason=""), switch("system")],
            "system",
            "module:processing: why; node:x",
        ),
    ],
)
def test_what_holds_up_processing_anywhere_fails_the_check(
    home: Home, switches: list[PauseRecord], scope: str | None, more: str | None
) -> None:
    report_pause(home.instance, ["default"], switches)
    found = evaluation(home)
    assert found.passed is (scope is None)
    assert found.blocking is False
    values = {name: value.value for name, value in found.metadata.items()}
    assert values.get("scope") == scope
    assert values.get("also paused") == more
    if scope is not None:
        assert found.severity is dg.AssetCheckSeverity.WARN


def test_the_check_can_be_executed_by_itself_and_reads_the_ledger(home: Home) -> None:
    job = dg.define_asset_job("look", selection=dg.AssetSelection.checks(check_key()))
    looking = dg.Definitions.merge(definitions(), dg.Definitions(jobs=[job]))
    look = looking.resolve_job_def("look")
    assert look.execute_in_process(instance=home.instance).success
    assert evaluation(home).passed

    home.ledger.set_pause("module:processing", True, reason="disk full", by="bob@there")
    result = look.execute_in_process(instance=home.instance)

    assert result.success  # a warning fails no run
    found = evaluation(home)
    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.WARN
    assert found.metadata["reason"].value == "disk full"
    assert found.partition is None


def test_the_check_goes_along_with_runs_and_is_not_skipped_when_their_chain_fails(
    home: Home,
) -> None:
    keys = home.load()
    blocked = home.item(home.pacs.residue_accession or "").partition_key
    for key, success in ((keys[0], True), (blocked, False)):
        tags = dict.fromkeys(
            ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end"), key
        )
        result = run(home, "process_manifest", tags=tags)
        assert result.success is success
        record = latest(home)
        assert record is not None
        assert (record.run_id, record.status) == (result.run_id, PASSED)


def test_a_run_that_meets_a_pause_shows_it(home: Home) -> None:
    key = home.load()[0]
    tags = dict.fromkeys(
        ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end"), key
    )
    home.ledger.set_pause("system", True, reason="the PACS moves house")
    report_pause(home.instance, ["default"], home.ledger.pauses())
    run(home, "process_manifest", tags=tags)
    record = latest(home)
    assert record is not None
    assert record.status == FAILED
    assert evaluation(home).metadata["reason"].value == "the PACS moves house"


def test_where_there_is_no_dagster_yet_none_is_made(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert not show_pause(home.settings, [switch()])
    assert not (home.root / "dagster").exists()


def test_the_instance_that_locutus_works_with_is_told(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    assert show_pause(home.settings, [switch()])
    with dg.DagsterInstance.get() as instance:
        found = instance.event_log_storage.get_asset_check_summary_records([check_key()])
        record = found[check_key()].last_check_execution_record
    assert record is not None
    assert record.status == FAILED
