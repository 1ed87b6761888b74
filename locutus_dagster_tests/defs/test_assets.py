"""The four assets: what Dagster is told, partition by partition."""

from __future__ import annotations

import logging

import dagster as dg
import pytest

from locutus_dagster.defs import build_defs
from locutus_dagster.defs.names import GATE, asset_key, chain_keys
from locutus_dagster.defs.partitions import accession_partitions
from locutus_dagster.ledger import State
from locutus_dagster.pipeline.outcomes import Artifact
from locutus_dagster_tests.defs.conftest import MANIFEST, Home

STEP = "accession_chain"


def _run(home: Home, **options: object) -> dg.ExecuteInProcessResult:
    job = build_defs(home.settings).resolve_job_def("process_manifest")
    return job.execute_in_process(instance=home.instance, raise_on_error=False, **options)  # type: ignore[arg-type]


def _run_range(home: Home, keys: list[str]) -> dg.ExecuteInProcessResult:
    return _run(
        home,
        tags={
            "dagster/asset_partition_range_start": keys[0],
            "dagster/asset_partition_range_end": keys[-1],
        },
    )


def _run_manifest(home: Home, **config: str) -> dg.ExecuteInProcessResult:
    return _run(home, run_config={"ops": {STEP: {"config": config}}})


def _statuses(home: Home, artifact: Artifact) -> dict[str, set[str]]:
    """Partition keys by what the UI shows of them: materialized, failed, none."""
    partitions = accession_partitions("default")
    keys = partitions.get_partition_keys(dynamic_partitions_store=home.instance)
    found = home.instance.get_status_by_partition(
        asset_key("default", artifact), list(keys), partitions
    )
    by_status: dict[str, set[str]] = {"materialized": set(), "failed": set(), "none": set()}
    for key in keys:
        status = (found or {}).get(key)
        by_status[status.value.lower() if status else "none"].add(key)
    return by_status


def _assert_exact(home: Home, keys: list[str]) -> None:
    missing = home.item(home.pacs.missing_accession).partition_key
    blocked = home.item(home.pacs.residue_accession or "").partition_key
    good = set(keys) - {missing, blocked}
    raw = {"materialized": good | {blocked}, "failed": set(), "none": {missing}}
    rest = {"materialized": good, "failed": {blocked}, "none": {missing}}
    assert _statuses(home, Artifact.RAW) == raw
    for artifact in (Artifact.DEIDENTIFIED, Artifact.DELIVERED, Artifact.SUMMARY):
        assert _statuses(home, artifact) == rest


def test_a_range_of_partitions_shows_exactly_which_succeeded_failed_and_wait(home: Home) -> None:
    keys = home.load()

    result = _run_range(home, keys)

    assert not result.success
    _assert_exact(home, keys)


def test_a_run_that_loads_its_manifest_shows_the_same(home: Home) -> None:
    result = _run_manifest(home, file=str(home.pacs.manifest), name=MANIFEST)

    assert not result.success
    _assert_exact(home, home.load())


def test_a_run_over_a_loaded_manifest_shows_the_same(home: Home) -> None:
    keys = home.load()

    _run_manifest(home, manifest=MANIFEST)

    _assert_exact(home, keys)


def test_a_pending_accession_alone_does_not_fail_its_run(home: Home) -> None:
    home.load()
    missing = home.item(home.pacs.missing_accession).partition_key

    result = _run_range(home, [missing])

    assert result.success
    assert _statuses(home, Artifact.RAW)["failed"] == set()
    assert home.item(home.pacs.missing_accession).state is State.PENDING


def test_the_gate_is_a_check_of_each_partition(home: Home) -> None:
    keys = home.load()

    result = _run_range(home, keys)

    missing = home.item(home.pacs.missing_accession).partition_key
    blocked = home.item(home.pacs.residue_accession or "").partition_key
    passed = {e.partition: e.passed for e in result.get_asset_check_evaluations()}
    assert passed == {key: key != blocked for key in keys if key != missing}
    (failing,) = [e for e in result.get_asset_check_evaluations() if not e.passed]
    assert failing.check_name == GATE
    assert failing.severity is dg.AssetCheckSeverity.ERROR
    assert failing.metadata["places"].value == "(0018,1020)"


def test_materializations_say_what_an_operator_wants_to_see(home: Home) -> None:
    keys = home.load()

    result = _run_range(home, keys[:1])

    seen = {
        m.asset_key.path[-1]: {name: value.value for name, value in m.metadata.items()}
        for m in (e.materialization for e in result.get_asset_materialization_events())
    }
    for name in ("raw_dicom_zip", "deidentified_zip", "delivered_object"):
        assert {"instances", "bytes", "seconds", "sha256"} <= set(seen[name])
    assert seen["deidentified_zip"]["study UID (pseudonym)"].startswith("2.25.")
    assert seen["delivered_object"]["uri"].startswith("file://")
    assert seen["summary_row"]["instances delivered"] == seen["deidentified_zip"]["instances"]


def test_no_event_carries_an_identifier(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    result = _run_range(home, home.load())

    stored = [repr(record.event_log_entry) for record in _records(home, result.run_id)]
    said = "\n".join([*stored, caplog.text]).casefold()
    assert len(stored) > 100
    assert [n for n in home.pacs.invented_identifiers if n.casefold() in said] == []


def _records(home: Home, run_id: str) -> list[dg.EventLogRecord]:
    return list(home.instance.get_records_for_run(run_id).records)


def test_a_bad_row_fails_the_run_after_everything_else_is_done(home: Home) -> None:
    lines = home.pacs.manifest.read_text(encoding="utf-8").splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("C9"))
    bad = home.root / "bad.csv"
    bad.write_text("\n".join([*lines[: first + 1], ",CT,12,head,,,"]), encoding="utf-8")

    result = _run_manifest(home, file=str(bad))

    assert not result.success
    items = home.ledger.manifest_items("default", "bad")
    assert [item.state for item in items] == [State.DELIVERED]
    (failure,) = [e for e in result.all_events if e.is_step_failure]
    assert "1 rows of the manifest were rejected" in str(failure.event_specific_data)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, "Nothing was selected"),
        ({"manifest": "nosuch"}, "no manifest named"),
        ({"file": "nosuch.csv"}, "cannot be read"),
    ],
)
def test_what_cannot_be_run_fails_with_one_clear_message(
    home: Home, config: dict[str, str], expected: str
) -> None:
    result = _run_manifest(home, **config)

    (failure,) = [e for e in result.all_events if e.is_step_failure]
    data = failure.event_specific_data
    assert expected in data.user_failure_data.description  # type: ignore[union-attr]


def test_keeping_interim_files_is_said_loudly(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCUTUS_KEEP_INTERIM_FILES", "true")

    result = _run_range(home, home.load()[:1])

    logged = [
        record.event_log_entry.user_message
        for record in _records(home, result.run_id)
        if record.event_log_entry.level == logging.WARNING
    ]
    assert any("IDENTIFIED studies stay" in message for message in logged)


def test_selecting_one_asset_reports_that_one_alone(home: Home) -> None:
    keys = home.load()
    job = build_defs(home.settings).resolve_job_def("process_manifest")

    result = job.execute_in_process(
        instance=home.instance,
        partition_key=keys[0],
        asset_selection=[asset_key("default", Artifact.DELIVERED)],
    )

    reported = {e.asset_key for e in result.get_asset_materialization_events()}
    assert reported == {asset_key("default", Artifact.DELIVERED)}


def test_the_assets_are_described_for_the_catalogue(home: Home) -> None:
    graph = build_defs(home.settings).resolve_asset_graph()
    keys = chain_keys("default")
    order = list(keys.values())

    for index, key in enumerate(order):
        node = graph.get(key)
        assert node.group_name == "default"
        assert node.owners == ["team:imaging"]
        assert node.description
        assert node.code_version
        assert node.kinds
        assert node.parent_keys == set(order[index - 1 : index])
        assert node.is_partitioned
    assert graph.get(order[1]).check_keys == {dg.AssetCheckKey(order[1], GATE)}


def test_a_changed_policy_changes_the_code_version(home: Home) -> None:
    own = home.settings.workspaces["default"]
    fewer = home.settings.model_copy(
        update={"workspaces": {"default": own.model_copy(update={"modalities": ("CT",)})}}
    )
    key = asset_key("default", Artifact.DEIDENTIFIED)

    versions = {
        build_defs(settings).resolve_asset_graph().get(key).code_version
        for settings in (home.settings, fewer)
    }

    assert len(versions) == 2


def test_each_workspace_has_assets_partitions_and_a_job_of_its_own(home: Home) -> None:
    own = home.settings.workspaces["default"]
    two = home.settings.model_copy(update={"workspaces": {"default": own, "spine": own}})

    defs = build_defs(two)

    keys = set(defs.resolve_asset_graph().get_all_asset_keys())
    assert {dg.AssetKey(["default", a.value]) for a in Artifact} <= keys
    assert {dg.AssetKey(["spine", a.value]) for a in Artifact} <= keys
    assert defs.resolve_job_def("spine__process_manifest")
    definitions = {
        defs.resolve_asset_graph().get(asset_key(w, Artifact.RAW)).partitions_def.name  # type: ignore[union-attr]
        for w in ("default", "spine")
    }
    assert definitions == {"accessions__default", "accessions__spine"}
