"""The reference's file and environment: precedence, types, and all faults at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locutus_dagster.reference_config import ReferenceConfigError, config_path, layer
from locutus_dagster.reference_config.reading import read_config, tell
from locutus_dagster.settings import load_settings
from locutus_dagster_tests.reference_config.fakes import (
    BASE,
    QC_STAGE,
    STAGE,
    FakeVault,
    at,
    read,
    settings_of,
    write,
)

DEBUG = "locutus_debug_onprem_dicom_"
ONPREM = "locutus_onprem_dicom_"


def faults(folder: Path, content: Any, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(ReferenceConfigError) as refusal:
        read(folder, content, environment)
    return refusal.value.message


# -- where it is ---------------------------------------------------------------------------------


def test_without_a_file_there_is_no_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert config_path({}) is None
    assert layer({}, FakeVault) is None


def test_the_file_in_the_working_folder_is_read_if_it_is_the_references(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "server: {port: 80}\n")
    assert layer({}, FakeVault) is None
    write(tmp_path, "locutus_test: true\n")
    found = layer({}, FakeVault)
    assert found is not None
    assert found.origins["run.dry_run"] == "config.yaml:1 locutus_test"


def test_the_path_may_be_a_file_or_its_folder(tmp_path: Path) -> None:
    path = write(tmp_path, "locutus_test: true\n")
    for told in (path, tmp_path):
        found = layer({"PATH_TO_CONFIG": str(told)}, FakeVault)
        assert found is not None
        assert found.values == {"run": {"dry_run": True}}


def test_a_path_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReferenceConfigError, match=r"gone\.yaml cannot be read"):
        layer({"PATH_TO_CONFIG": str(tmp_path / "gone.yaml")}, FakeVault)


def test_an_old_configuration_applies_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCUTUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(
        "PATH_TO_CONFIG",
        str(write(tmp_path, "locutus_test: 'True'\nlocutus_debug_keep_interim_files: true\n")),
    )
    settings = load_settings()
    assert (settings.run.dry_run, settings.keep_interim_files) == (True, True)
    monkeypatch.setenv("locutus_test", "False")
    assert load_settings().run.dry_run is False


# -- what is in it ---------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["True", "true", "TRUE", "' true '", '"True"', "yes", "on"])
def test_true_is_true_in_any_spelling_of_yaml_or_python(word: str, tmp_path: Path) -> None:
    assert settings_of(read(tmp_path, f"locutus_test: {word}\n")).run.dry_run is True


@pytest.mark.parametrize("word", ["'False'", '"false"', "'FALSE'"])
def test_a_quoted_false_is_false_and_is_noted_as_it_was_true_before(
    word: str, tmp_path: Path
) -> None:
    found = read(tmp_path, f"locutus_debug_keep_interim_files: {word}\n")
    assert settings_of(found).keep_interim_files is False
    assert any("config.yaml:1" in note and "was true" in note for note in found.notes)


def test_a_quoted_false_that_was_false_before_is_not_noted(tmp_path: Path) -> None:
    found = read(tmp_path, "locutus_DB_use_dev_suffix: 'False'\nlocutus_test: false\n")
    assert not any("was true" in note for note in found.notes)


@pytest.mark.parametrize("nothing", ["", "~", "''", "'  '"])
def test_a_switch_without_a_value_is_not_set(nothing: str, tmp_path: Path) -> None:
    found = read(tmp_path, f"locutus_test: {nothing}\n")
    assert [fate.name for fate in found.fates] == ["PATH_TO_CONFIG"]
    assert found.values == {}


def test_every_fault_is_named_with_file_line_and_key_at_once(tmp_path: Path) -> None:
    said = faults(
        tmp_path,
        "locutus_test: perhaps\n"
        "locutus_continuous_wait_secs: soon\n"
        "locutus_run_mode: twice\n"
        "locutus_target_s3_bucket: [one, two]\n"
        "locutus_DB_vault_path: nowhere\n"
        "locutus_target_use_gs: 1\n",
        {"locutus_force_success": "maybe"},
    )
    path = tmp_path / "config.yaml"
    for line, key in enumerate(
        (
            "locutus_test",
            "locutus_continuous_wait_secs",
            "locutus_run_mode",
            "locutus_target_s3_bucket",
            "locutus_DB_vault_path",
            "locutus_target_use_gs",
        ),
        start=1,
    ):
        assert f"{path}:{line} {key}:" in said
    assert "environment locutus_force_success: neither true nor false" in said
    assert "7 fault(s)" in said


@pytest.mark.parametrize("seconds", ["-1", "'-0.5'", ".inf", ".nan", "true", "1e999"])
def test_a_wait_is_a_finite_number_of_seconds(seconds: str, tmp_path: Path) -> None:
    assert "not a number of seconds" in faults(
        tmp_path, f"locutus_continuous_wait_secs: {seconds}\n"
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("locutus_test: {\n", "not valid YAML"),
        ("- locutus_test\n", "does not hold keys and values"),
        ("locutus_test: !!python/object:os.system x\n", "not valid YAML"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_fault(content: str, words: str, tmp_path: Path) -> None:
    assert words in faults(tmp_path, content)


def test_of_a_key_that_stands_there_twice_the_last_one_counts(tmp_path: Path) -> None:
    found = read(tmp_path, "locutus_test: true\nlocutus_test: false\n")
    assert settings_of(found).run.dry_run is False
    assert any("config.yaml:2 locutus_test: stands there twice" in note for note in found.notes)


def test_a_key_that_nobody_knows_is_noted_and_stops_nothing(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "locutus_target_use_S3: true\nprocess_gcp_dicom_images: true\ncompletely_else: hush\n",
    )
    assert list(found.unknown) == [
        "locutus_target_use_S3",
        "process_gcp_dicom_images",
        "completely_else",
    ]
    notes = "\n".join(found.notes)
    assert "did you mean locutus_target_use_s3?" in notes
    assert "belongs to the reference's part for GCP" in notes
    assert "completely_else: no key" in notes
    assert "hush" not in notes
    assert found.values == {}


@given(st.text(max_size=200) | st.text("locutus_:{}[]&*!<> \n\t-?'\"|tef#%@`,.0", max_size=120))
def test_no_file_whatever_breaks_the_reader(text: str) -> None:
    told = tell(read_config(text, "config.yaml"), {})
    assert all(fault.startswith("config.yaml") for fault in told.faults)


# -- what contradicts what -------------------------------------------------------------------------


def test_all_three_targets_at_once(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        {
            **BASE,
            "locutus_target_use_s3": "True",
            "locutus_target_s3_bucket": "deid-s3",
            "locutus_target_use_gs": "true",
            "locutus_target_gs_bucket": "deid-gs",
            f"{ONPREM}bucket_path_top_level": "radiology",
        },
    )
    workspace = settings_of(found).workspace("default")
    assert list(workspace.targets) == ["share", "s3", "gcs"]
    assert [workspace.targets[name].top for name in ("s3", "gcs")] == ["radiology", "radiology"]
    assert any("each of them" in note for note in found.notes)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({**BASE, "locutus_target_isilon_path": ""}, "locutus_target_isilon_path is not set"),
        ({**BASE, "locutus_target_use_isilon": False}, "no target is switched on"),
        ({**BASE, "onprem_dicom_stage_config_vault_path": None}, "there is no source"),
        ({"process_onprem_dicom_images": True}, "no source and no target"),
        (
            {**BASE, "locutus_workspaces_enable": True, "locutus_workspace_name": ""},
            "locutus_workspace_name: empty",
        ),
        (
            {**BASE, f"{ONPREM}deid_pause4manual_QC_disable": False},
            "manual_deid_QC_orthanc_config_vault_path is not set",
        ),
        (
            {
                **BASE,
                f"{ONPREM}deid_pause4manual_QC_disable": False,
                f"{ONPREM}manual_deid_QC_orthanc_config_vault_path": STAGE,
            },
            "is the same Orthanc",
        ),
    ],
)
def test_what_cannot_work_is_refused(content: dict[str, Any], words: str, tmp_path: Path) -> None:
    assert words in faults(tmp_path, content)


def test_what_a_switch_leaves_off_is_said_not_to_be_used(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        {
            **BASE,
            "locutus_target_s3_bucket": "deid-s3",
            "locutus_workspace_name": "brain",
            "locutus_DB_dev_suffix": "_dev",
            f"{ONPREM}manual_deid_QC_orthanc_config_vault_path": QC_STAGE,
        },
    )
    why = {fate.name: fate.why for fate in found.fates if not fate.became}
    assert why["locutus_target_s3_bucket"] == "not used: locutus_target_use_s3 is not on"
    assert why["locutus_workspace_name"] == "not used: locutus_workspaces_enable is not on"
    assert why["locutus_DB_dev_suffix"] == "not used: locutus_DB_vault_path is not set"
    assert "manual QC is off" in why[f"{ONPREM}manual_deid_QC_orthanc_config_vault_path"]


@pytest.mark.parametrize(
    ("name", "ours"), [("Brain-2", "brain_2"), ("2024", "ws_2024"), ("x" * 60, "x" * 41)]
)
def test_a_workspaces_name_is_made_legal_and_that_is_noted(
    name: str, ours: str, tmp_path: Path
) -> None:
    found = read(
        tmp_path, {**BASE, "locutus_workspaces_enable": True, "locutus_workspace_name": name}
    )
    assert list(settings_of(found).workspaces) == [ours]
    assert any(f"is called {ours} here" in note for note in found.notes)


def test_the_first_switch_of_the_ladder_decides_and_the_others_say_so(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        {
            f"{DEBUG}preretire_accession_status": True,
            f"{DEBUG}predelete_accession_status": True,
        },
        {f"{DEBUG}force_reprocess_accession_status": "False"},
    )
    assert at(settings_of(found), "run.reprocess").value == "predelete"
    why = {fate.name: fate.why for fate in found.fates if not fate.became}
    assert f"{DEBUG}predelete_accession_status is on" in why[f"{DEBUG}preretire_accession_status"]
    assert found.origins["run.reprocess"].endswith(f":2 {DEBUG}predelete_accession_status")


def test_a_variable_that_turns_one_switch_off_leaves_the_files_other_one_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, {f"{DEBUG}preretire_accession_status": True})
    monkeypatch.setenv("LOCUTUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH_TO_CONFIG", str(path))
    monkeypatch.setenv(f"{DEBUG}force_reprocess_accession_status", "False")
    assert load_settings().run.reprocess.value == "preretire"
    monkeypatch.setenv(f"{DEBUG}preretire_accession_status", "False")
    assert load_settings().run.reprocess.value == "none"


def test_the_token_is_in_nothing_that_is_shown(tmp_path: Path) -> None:
    found = read(tmp_path, BASE, {"VAULT_TOKEN": "hush-token", "VAULT_ADDR": "https://v.example"})
    assert "hush-token" not in repr(found)
    for secret in ("hush-orthanc", "hush-database"):
        assert secret not in repr(found)
