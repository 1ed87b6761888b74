"""The four assets: what Dagster is told, partition by partition."""

from __future__ import annotations

import json
import logging

import dagster as dg
import pytest

from locutus_dagster.defs import build_defs
from locutus_dagster.defs.names import GATE, asset_key, chain_keys
from locutus_dagster.defs.partitions import accession_partitions
from locutus_dagster.ledger import State
from locutus_dagster.pipeline.outcomes import Artifact
from locutus_dagster.settings import Settings
from locutus_dagster_tests.defs.conftest import MANIFEST, Home
from locutus_dagster_tests.pipeline.arrivals import leaky_instance

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


def _gates(result: dg.ExecuteInProcessResult) -> list[dg.AssetCheckEvaluation]:
    """What the gate said of each partition."""
    return [e for e in result.get_asset_check_evaluations() if e.check_name == GATE]


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
    passed = {e.partition: e.passed for e in _gates(result)}
    assert passed == {key: key != blocked for key in keys if key != missing}
    (failing,) = [e for e in _gates(result) if not e.passed]
    assert failing.check_name == GATE
    assert failing.severity is dg.AssetCheckSeverity.ERROR
    assert failing.metadata["places"].value == "(0018,1020)"
    held = home.item(home.pacs.residue_accession or "").instances
    assert failing.metadata["instances withheld for residue"].value == held


def test_the_gate_warns_where_the_rest_of_a_study_is_delivered(home: Home) -> None:
    key = home.load()[0]

    with leaky_instance(home.pacs, home.pacs.accessions[0]):
        result = _run_range(home, [key])

    assert result.success
    (check,) = _gates(result)
    assert (check.check_name, check.partition, check.passed) == (GATE, key, False)
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert check.metadata["instances withheld for residue"].value == 1
    assert check.metadata["places"].value == "(0018,1020)"
    for artifact in Artifact:
        assert _statuses(home, artifact)["materialized"] == {key}
    assert home.item(home.pacs.accessions[0]).withheld == 1
    (warning,) = [text for text in _warnings(home, result.run_id) if "identifier" in text]
    assert warning.startswith(f"{key}: 1 of ")


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


def _warnings(home: Home, run_id: str) -> list[str]:
    return [
        record.event_log_entry.user_message
        for record in _records(home, run_id)
        if record.event_log_entry.level == logging.WARNING
    ]


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

    logged = _warnings(home, result.run_id)
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


def _with_workspaces(home: Home, **own: dict[str, object]) -> Settings:
    """The home's settings with these workspaces, each like the default one but for what is said."""
    like = home.settings.workspaces["default"]
    changed = {name: like.model_copy(update=update) for name, update in own.items()}
    return home.settings.model_copy(update={"workspaces": changed})


def _code_version(settings: Settings) -> str | None:
    key = asset_key("default", Artifact.DEIDENTIFIED)
    return build_defs(settings).resolve_asset_graph().get(key).code_version


@pytest.mark.parametrize(
    "update",
    [{"modalities": ("CT",)}, {"policy": "research"}, {"several_patients": "allow"}],
    ids=lambda update: next(iter(update)),
)
def test_another_policy_is_another_code_version(home: Home, update: dict[str, object]) -> None:
    assert _code_version(_with_workspaces(home, default=update)) != _code_version(home.settings)


def test_editing_a_site_s_policy_file_changes_the_code_version(home: Home) -> None:
    path = home.root / "site.yaml"
    settings = _with_workspaces(home, default={"policy": str(path)})
    path.write_text("name: site\n", encoding="utf-8")
    before = _code_version(settings)

    path.write_text("name: site\nuids: fresh\n", encoding="utf-8")

    assert _code_version(settings) != before


def test_a_policy_with_a_mistake_is_told_where_it_belongs_and_spares_other_workspaces(
    home: Home,
) -> None:
    path = home.root / "site.yaml"
    path.write_text("name: site\nuids: fresch\n", encoding="utf-8")
    settings = _with_workspaces(home, default={}, spine={"policy": str(path)})

    graph = build_defs(settings).resolve_asset_graph()

    told = graph.get(asset_key("spine", Artifact.RAW)).description or ""
    assert "workspace 'spine' cannot be used" in told
    assert "site.yaml, line 2" in told
    fine = graph.get(asset_key("default", Artifact.RAW))
    assert "cannot be used" not in (fine.description or "")
    assert fine.code_version == _code_version(home.settings)


def test_a_run_under_a_policy_with_a_mistake_fails_with_its_lines(home: Home) -> None:
    key = home.load()[0]
    path = home.root / "site.yaml"
    path.write_text("name: site\nuids: fresch\n", encoding="utf-8")
    config = json.loads((home.root / "locutus.yaml").read_text(encoding="utf-8"))
    config["workspaces"]["default"]["policy"] = str(path)
    (home.root / "locutus.yaml").write_text(json.dumps(config), encoding="utf-8")

    result = _run_range(home, [key])

    (failure,) = [e for e in result.all_events if e.is_step_failure]
    told = failure.event_specific_data.user_failure_data.description  # type: ignore[union-attr]
    assert "site.yaml, line 2" in told
    assert home.item(home.pacs.accessions[0]).state is State.LOADED


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
