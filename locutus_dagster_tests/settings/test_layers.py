"""Layers: which one wins, key by key, and that the origin of every value is kept."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from locutus_dagster.settings import (
    FolderSourceSettings,
    Origin,
    OrthancSourceSettings,
    S3TargetSettings,
    Settings,
    ShareTargetSettings,
    effective,
    load_settings,
    origins_of,
)
from locutus_dagster_tests.settings.conftest import Home

PLAIN = """\
batch_size: 7
workspaces:
  chop:
    source: {kind: folder, path: /in}
    target:
      path: /out
"""


def test_each_layer_wins_over_those_below_it_and_the_origin_says_which(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One key for each layer, said in that layer and in all below it."""
    said = {
        "run.max_passes": Origin("environment", "LOCUTUS_RUN__MAX_PASSES"),
        "run.force_success": Origin("reference environment", "locutus_force_success"),
        "workers": Origin("call", "the program"),
        "run.pass_wait": Origin("file", "locutus.yaml:6:3"),
        "keep_interim_files": Origin("reference file", ""),
        "batch_size": Origin("default", "default"),
    }
    monkeypatch.setenv("LOCUTUS_RUN__MAX_PASSES", "3")
    monkeypatch.setenv("locutus_force_success", "True")
    home.write(
        """\
workers: 4
run:
  max_passes: 4
  force_success: false

  pass_wait: 4
"""
    )
    old = tmp_path / "config.yaml"
    old.write_text(
        "locutus_debug_keep_interim_files: True\n"
        "locutus_force_success: False\nlocutus_continuous_wait_secs: 5\n"
    )
    monkeypatch.setenv("PATH_TO_CONFIG", str(old))
    settings = load_settings(workers=3)
    origins = origins_of(settings)
    assert settings.run.max_passes == 3
    assert settings.run.force_success is True
    assert settings.workers == 3
    assert settings.run.pass_wait == 4
    assert settings.keep_interim_files is True
    assert settings.batch_size == 50
    for key, origin in said.items():
        assert origins[key].layer == origin.layer, key
        assert origins[key].place.startswith(origin.place), key
    place = origins["keep_interim_files"].place
    assert place.endswith("config.yaml:1 locutus_debug_keep_interim_files")


def test_the_reference_s_file_stands_in_only_where_there_is_no_file_of_ours(
    home: Home, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text("locutus_debug_keep_interim_files: True\n")
    assert load_settings().keep_interim_files is True
    home.write("batch_size: 7\n")
    assert load_settings().keep_interim_files is False


def test_somebody_else_s_config_yaml_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("theme: dark\n")
    assert load_settings().batch_size == 50


def test_switches_of_the_variables_are_heard_together_with_those_of_the_reference_s_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the reference's ladder forcing comes before retiring, wherever the two are said."""
    prefix = "locutus_debug_onprem_dicom_"
    (tmp_path / "config.yaml").write_text(f"{prefix}force_reprocess_accession_status: True\n")
    monkeypatch.setenv(f"{prefix}preretire_accession_status", "True")
    settings = load_settings()
    assert settings.run.reprocess == "force"
    place = f"config.yaml:1 {prefix}force_reprocess_accession_status"
    assert settings.origins["run.reprocess"] == Origin("reference file", place)


@pytest.mark.parametrize(
    ("variable", "applies"), [("False", "none"), ("True", "preretire"), (None, "none")]
)
def test_the_reference_s_file_never_wins_over_ours_whatever_its_variables_say(
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str | None,
    applies: str,
) -> None:
    prefix = "locutus_debug_onprem_dicom_"
    (tmp_path / "old.yaml").write_text(f"{prefix}predelete_accession_status: True\n")
    monkeypatch.setenv("PATH_TO_CONFIG", str(tmp_path / "old.yaml"))
    name = f"{prefix}preretire_accession_status"
    if variable:
        monkeypatch.setenv(name, variable)
    assert load_settings().run.reprocess == "predelete"
    home.write("run: {reprocess: none}\n")
    settings = load_settings()
    assert settings.run.reprocess == applies
    assert settings.origins["run.reprocess"].place == (name if variable else "locutus.yaml:1:7")
    home.file.unlink()
    assert load_settings(run={"reprocess": "none"}).run.reprocess == applies


def test_one_key_of_a_workspace_in_the_environment_leaves_the_others_to_the_file(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.write(PLAIN)
    monkeypatch.setenv("LOCUTUS_WORKSPACES__CHOP__TARGET__TOP", "Other")
    settings = load_settings()
    target = settings.workspace("chop").targets["share"]
    assert isinstance(target, ShareTargetSettings)
    assert (target.path, target.top) == (Path("/out"), "Other")
    origins = origins_of(settings)
    assert origins["workspaces.chop.targets.share.path"].place == "locutus.yaml:6:7"
    assert origins["workspaces.chop.targets.share.top"] == Origin(
        "environment", "LOCUTUS_WORKSPACES__CHOP__TARGET__TOP"
    )
    assert origins["workspaces.chop.targets.share.kind"].layer == "default"


def test_a_workspace_may_be_told_in_the_environment_alone_key_by_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "SOURCE__KIND": "orthanc",
        "SOURCE__URL": "https://pacs",
        "SOURCE__USERNAME": "0123",
        "SOURCE__PASSWORD": "{no: json}",
        "SOURCE__VERIFY": "false",
        "TARGETS": '{"s3": {"kind": "s3", "bucket": "deliveries"}}',
        "TARGETS__S3__KEY_TEMPLATE": "{top}/{study}.zip",
        "TARGETS__S3__ENCRYPTION": "null",
        "MODALITIES": "ct, MR",
        "OWNERS": '["team:a", "team:b"]',
    }.items():
        monkeypatch.setenv(f"LOCUTUS_WORKSPACES__SPINE__{name}", value)
    workspace = load_settings().workspace("spine")
    source, target = workspace.source, workspace.targets["s3"]
    assert isinstance(source, OrthancSourceSettings)
    assert (source.username, source.password, source.verify) == ("0123", "{no: json}", False)
    assert isinstance(target, S3TargetSettings)
    assert (target.key_template, target.encryption) == ("{top}/{study}.zip", None)
    assert workspace.modalities == ("CT", "MR")
    assert workspace.owners == ("team:a", "team:b")


def test_a_workspace_as_json_has_the_variable_for_the_origin_of_all_that_is_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = {"two": {"source": {"kind": "folder", "path": "/in"}, "target": {"path": "/out"}}}
    monkeypatch.setenv("LOCUTUS_WORKSPACES", json.dumps(told))
    settings = load_settings()
    assert isinstance(settings.workspace("two").source, FolderSourceSettings)
    assert origins_of(settings)["workspaces.two.targets.share.path"].place == "LOCUTUS_WORKSPACES"


def test_the_higher_layer_s_way_to_the_ledger_wins_whichever_it_is(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.write("ledger: {host: db, name: l, user: u}\n")
    assert load_settings().ledger_address == "postgresql+psycopg2://u@db:5432/l"
    monkeypatch.setenv("LOCUTUS_LEDGER_URL", "postgresql://u@other/l")
    assert load_settings().ledger_address == "postgresql+psycopg2://u@other/l"


def test_a_group_whose_keys_are_all_comments_is_not_said(home: Home) -> None:
    home.write("run:\n  #sweep: off\nvault:\nworkspaces:\nledger:\n")
    settings = load_settings()
    assert settings.run.sweep == "manifest"
    assert settings.workspaces == {}


def test_anchors_and_merges_are_read_and_have_the_place_where_they_are_written(home: Home) -> None:
    home.write(
        """\
workspaces:
  one: &one
    source: {kind: folder, path: /in}
    target: {path: /out/one}
  two:
    <<: *one
    target: {path: /out/two}
"""
    )
    settings = load_settings()
    origins = origins_of(settings)
    assert settings.workspace("two").source == settings.workspace("one").source
    assert origins["workspaces.two.source.path"].place == "locutus.yaml:3:28"
    assert origins["workspaces.two.targets.share.path"].place == "locutus.yaml:7:14"


def test_origins_reach_a_worker(home: Home) -> None:
    home.write(PLAIN)
    settings = load_settings()
    arrived: Settings = pickle.loads(pickle.dumps(settings))
    assert origins_of(arrived) == origins_of(settings)
    assert effective(arrived) == effective(settings)
    assert origins_of(arrived)["batch_size"].place == "locutus.yaml:1:1"
    changed = settings.model_copy(update={"workers": 1})
    assert origins_of(changed) == origins_of(settings)


def test_a_variable_that_may_be_somebody_else_s_is_named_and_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Such as what Kubernetes announces of a service that is called locutus."""
    monkeypatch.setenv("LOCUTUS_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("LOCUTUS_PORT_80_TCP", "tcp://10.0.0.1:80")
    notes = load_settings().notes
    assert [note.partition(" ")[0] for note in sorted(notes)] == [
        "LOCUTUS_PORT_80_TCP",
        "LOCUTUS_SERVICE_HOST",
    ]


def test_settings_that_are_made_in_a_program_ask_no_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOCUTUS_BATCH_SIZE", "9")
    assert Settings().batch_size == 50
