"""The reference's tables, row by row: what each key does here, or why it does nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from locutus_dagster.reference_config import REFERENCE_KEYS
from locutus_dagster.settings import KEY_TEMPLATES, Reprocess, Sweep
from locutus_dagster_tests.reference_config.fakes import (
    BASE,
    DATABASE,
    QC_STAGE,
    STAGE,
    at,
    read,
    settings_of,
)

DEBUG = "locutus_debug_onprem_dicom_"
ONPREM = "locutus_onprem_dicom_"
STATS = "dicom_summarize_stats_"
SHARE = "workspaces.default.targets.share"
S3 = "workspaces.default.targets.s3"
GCS = "workspaces.default.targets.gcs"
QC = "workspaces.default.qc"

# -- the names, as the reference's documents have them ---------------------------------------------

GENERAL = """
locutus_target_use_isilon locutus_target_isilon_path locutus_target_use_s3 locutus_target_s3_bucket
locutus_target_use_gs locutus_target_gs_bucket locutus_DB_vault_path locutus_DB_use_dev_suffix
locutus_DB_dev_suffix locutus_DB_drop_tables locutus_run_mode locutus_continuous_wait_secs
locutus_dicom_run_mode_continue_to_manifest_convergence locutus_verbose locutus_test
locutus_force_success locutus_debug_keep_interim_files locutus_allow_processing_of_duplicates
locutus_disable_phase_sweep locutus_expand_phase_sweep_beyond_manifest locutus_workspaces_enable
locutus_workspace_name
"""
JENKINS = """
JOB_DESCRIPTION INPUT_MANIFEST_NAME ENV_CONFIG_PATH JENKINS_BUILD_NAME JENKINS_BUILD_NUMBER
LOCUTUS_DOCKERHOST_CONTAINER_NAME LOCUTUS_DOCKERHOST_IMAGE_TAG XTRA_DOCKER_RUN_FLAGS
"""
MODULE = f"""
process_onprem_dicom_images {ONPREM}input_manifest_csv onprem_dicom_stage_config_vault_path
{ONPREM}zip_dir {ONPREM}deidentified_dir {ONPREM}bucket_path_top_level
{DEBUG}force_reprocess_accession_status {DEBUG}predelete_accession_status
{DEBUG}preretire_accession_status {DEBUG}preretire_accession_status_only_changed
{DEBUG}allow_continued_processing_if_only_cfgs_changed
{ONPREM}manual_deid_QC_orthanc_config_vault_path {ONPREM}deid_pause4manual_QC_disable
{ONPREM}use_manifest_QC_status {ONPREM}use_manifest_QC_status_if_fail_remove_study_from_deidqc
{ONPREM}subject_ID_preface
"""
FURTHER = f"""
locutus_dicom_use_zip_archive_structure {ONPREM}alignment_mode_GCP
locutus_dicom_remove_text_from_input_accessions
locutus_dicom_force_alphanum_reupgrade_during_migration
locutus_dicom_remove_zombie_change_seq_ids_at_migration locutus_dicom_bypass_migration
process_locutus_system_status locutus_use_system_status_node locutus_use_system_status_node_name
locutus_use_system_status_module locutus_use_system_status_module_name
locutus_system_status_enable_db_updates locutus_set_system_status
locutus_set_system_status_to_value
"""
SUMMARIZER = f"""
process_dicom_summarize_stats {STATS}manifest_csv {STATS}module {STATS}show_accessions
{STATS}redact_accessions {STATS}show_multiuuids {STATS}enable_db_updates
{STATS}preload_new_accessions_per_manifest
{STATS}preload_new_accessions_per_manifest_preprocessing_suffix {STATS}preset_reprocessing_status
{STATS}preset_reprocessing_status_suffix {STATS}resolve_multiuuids
dicom_summarize_dicom_stage_config_vault_path dicom_summarize_onprem_flywheel_group
dicom_summarize_onprem_flywheel_project
"""
VARIABLES = """
VAULT_ADDR VAULT_TOKEN VAULT_NAMESPACE PATH_TO_CONFIG DOCKERHOST_HOSTNAME DOCKERHOST_CONTAINER_NAME
DOCKERHOST_IMAGE_TAG JOB_DESCRIPTION INPUT_MANIFEST_NAME JOB_NAME BUILD_NUMBER CURR_ENV
GOOGLE_APPLICATION_CREDENTIALS GOOGLE_APPLICATION_CREDENTIALS_SOURCE_VAULT_PATH
"""
ENTRIES = """
db_host db_name user password orthanc_hostname orthanc_portnum orthanc_user orthanc_password
dicom_stage_DB_vault_path dicom_stage_DB_use_dev_suffix dicom_stage_DB_dev_suffix
"""
IN_FILE = (GENERAL + MODULE + FURTHER + SUMMARIZER).split()
NAMES = set(IN_FILE + (JENKINS + VARIABLES + ENTRIES).split())

#: Those that the environment wins over; the file alone is heard about the others.
BY_ENVIRONMENT = set(
    f"""
locutus_verbose locutus_test locutus_force_success locutus_continuous_wait_secs
locutus_dicom_run_mode_continue_to_manifest_convergence locutus_allow_processing_of_duplicates
locutus_disable_phase_sweep locutus_expand_phase_sweep_beyond_manifest locutus_workspaces_enable
locutus_workspace_name process_onprem_dicom_images {ONPREM}input_manifest_csv
{ONPREM}bucket_path_top_level {DEBUG}force_reprocess_accession_status
{DEBUG}predelete_accession_status {DEBUG}preretire_accession_status
{DEBUG}preretire_accession_status_only_changed
{DEBUG}allow_continued_processing_if_only_cfgs_changed {ONPREM}use_manifest_QC_status
{ONPREM}use_manifest_QC_status_if_fail_remove_study_from_deidqc {ONPREM}subject_ID_preface
{FURTHER} {SUMMARIZER}
""".split()
)


@dataclass(frozen=True)
class Effect:
    """One row: what a key is set to, and what of our settings that makes."""

    name: str
    value: Any
    dotted: str
    expected: Any
    beside: dict[str, Any] = field(default_factory=dict)
    otherwise: Any = None  # what the file says where the environment wins


USE_S3 = {"locutus_target_use_s3": True, "locutus_target_s3_bucket": "deid-bucket"}
USE_GS = {"locutus_target_use_gs": True, "locutus_target_gs_bucket": "deid-bucket"}
IN_WORKSPACE = {"locutus_workspaces_enable": True}
NAMED = {"locutus_workspace_name": "brain"}
DB = {"locutus_DB_vault_path": DATABASE}
SUFFIX = {**DB, "locutus_DB_use_dev_suffix": True, "locutus_DB_dev_suffix": "_dev"}
WITH_QC = {
    f"{ONPREM}deid_pause4manual_QC_disable": False,
    f"{ONPREM}manual_deid_QC_orthanc_config_vault_path": QC_STAGE,
}

IN_CONFIG = [
    Effect("locutus_target_use_isilon", True, f"{SHARE}.key_template", KEY_TEMPLATES["share"]),
    Effect("locutus_target_isilon_path", "/mnt/other", f"{SHARE}.path", Path("/mnt/other")),
    Effect("locutus_target_use_s3", True, f"{S3}.key_template", KEY_TEMPLATES["bucket"], USE_S3),
    Effect("locutus_target_s3_bucket", "another", f"{S3}.bucket", "another", USE_S3),
    Effect("locutus_target_use_gs", True, f"{GCS}.key_template", KEY_TEMPLATES["bucket"], USE_GS),
    Effect("locutus_target_gs_bucket", "another", f"{GCS}.bucket", "another", USE_GS),
    Effect("locutus_DB_vault_path", DATABASE, "ledger.host", f"vault:{DATABASE}#db_host"),
    Effect("locutus_DB_use_dev_suffix", "True", "ledger.name_suffix", "_dev", SUFFIX),
    Effect("locutus_DB_use_dev_suffix", "False", "ledger.name_suffix", "", SUFFIX),
    Effect("locutus_DB_dev_suffix", "_test", "ledger.name_suffix", "_test", SUFFIX),
    Effect("locutus_continuous_wait_secs", 7, "run.pass_wait", 7.0, otherwise=9),
    Effect(
        "locutus_continuous_wait_secs",
        7,
        "workspaces.default.watch.interval",
        7.0,
        {"locutus_run_mode": "continuous"},
        otherwise=9,
    ),
    Effect(
        "dicom_summarize_onprem_flywheel_group",
        "Brain",
        "workspaces.default.reports.flywheel_group",
        "Brain",
        otherwise="Spine",
    ),
    Effect(
        "dicom_summarize_onprem_flywheel_project",
        "Growth",
        "workspaces.default.reports.flywheel_project",
        "Growth",
        otherwise="Other",
    ),
    Effect("locutus_run_mode", "continuous", "workspaces.default.watch.mode", "manifest"),
    Effect(
        "locutus_dicom_run_mode_continue_to_manifest_convergence", True, "run.until_converged", True
    ),
    Effect("locutus_test", True, "run.dry_run", True),
    Effect("locutus_force_success", True, "run.force_success", True),
    Effect("locutus_debug_keep_interim_files", True, "keep_interim_files", True),
    Effect(
        "locutus_allow_processing_of_duplicates", True, "run.allow_processing_of_duplicates", True
    ),
    Effect("locutus_disable_phase_sweep", True, "run.sweep", Sweep.OFF),
    Effect("locutus_expand_phase_sweep_beyond_manifest", True, "run.sweep", Sweep.WORKSPACE),
    Effect(
        "locutus_workspaces_enable", True, "workspaces.brain.targets.share.kind", "share", NAMED
    ),
    Effect(
        "locutus_workspace_name",
        "brain",
        "workspaces.brain.targets.share.kind",
        "share",
        IN_WORKSPACE,
        otherwise="spine",
    ),
    Effect(
        "onprem_dicom_stage_config_vault_path",
        STAGE,
        "workspaces.default.source.password",
        f"vault:{STAGE}#orthanc_password",
    ),
    Effect(f"{ONPREM}zip_dir", "/data/zips", "scratch", Path("/data/zips")),
    Effect(f"{ONPREM}deidentified_dir", "/data/deid", "scratch", Path("/data/deid")),
    Effect(f"{ONPREM}bucket_path_top_level", "top", f"{S3}.top", "top", USE_S3, "elsewhere"),
    Effect(f"{DEBUG}force_reprocess_accession_status", True, "run.reprocess", Reprocess.FORCE),
    Effect(f"{DEBUG}predelete_accession_status", True, "run.reprocess", Reprocess.PREDELETE),
    Effect(f"{DEBUG}preretire_accession_status", True, "run.reprocess", Reprocess.PRERETIRE),
    Effect(
        f"{DEBUG}preretire_accession_status_only_changed",
        True,
        "run.reprocess",
        Reprocess.PRERETIRE_ONLY_CHANGED,
    ),
    Effect(
        f"{DEBUG}allow_continued_processing_if_only_cfgs_changed",
        True,
        "run.reprocess",
        Reprocess.ALLOW_IF_ONLY_CONFIG_CHANGED,
    ),
    Effect(f"{ONPREM}alignment_mode_GCP", True, "workspaces.default.policy", "locutus-bgd"),
    Effect(f"{ONPREM}deid_pause4manual_QC_disable", False, f"{QC}.enabled", True, WITH_QC),
    Effect(f"{ONPREM}deid_pause4manual_QC_disable", True, f"{QC}.enabled", False, WITH_QC),
    Effect(
        f"{ONPREM}manual_deid_QC_orthanc_config_vault_path",
        QC_STAGE,
        f"{QC}.orthanc.url",
        "http://qc.example:8043",
        WITH_QC,
    ),
    Effect(f"{ONPREM}use_manifest_QC_status", True, f"{QC}.use_manifest_status", True),
    Effect(
        f"{ONPREM}use_manifest_QC_status_if_fail_remove_study_from_deidqc",
        True,
        f"{QC}.remove_failed",
        True,
    ),
    Effect(
        f"{ONPREM}subject_ID_preface",
        "QC_",
        "workspaces.default.subject_preface",
        "QC_",
        otherwise="Q2_",
    ),
]
IN_ENVIRONMENT = [
    Effect("VAULT_ADDR", "https://vault.example", "vault.address", "https://vault.example"),
    Effect("VAULT_NAMESPACE", "imaging", "vault.namespace", "imaging"),
    Effect("VAULT_TOKEN", "hush-token", "vault.token", "env:VAULT_TOKEN"),
    Effect(
        "GOOGLE_APPLICATION_CREDENTIALS_SOURCE_VAULT_PATH",
        "namespace:/rootpath/google",
        f"{GCS}.credentials",
        "vault:namespace:/rootpath/google#account",
        USE_GS,
    ),
]
IN_VAULT = [
    Effect("db_host", None, "ledger.host", f"vault:{DATABASE}#db_host", DB),
    Effect("db_name", None, "ledger.name", f"vault:{DATABASE}#db_name", DB),
    Effect("user", None, "ledger.user", f"vault:{DATABASE}#user", DB),
    Effect("password", None, "ledger.password", f"vault:{DATABASE}#password", DB),
    Effect("orthanc_hostname", None, "workspaces.default.source.url", "http://pacs.example:8042"),
    Effect("orthanc_portnum", None, "workspaces.default.source.url", "http://pacs.example:8042"),
    Effect("orthanc_user", None, "workspaces.default.source.username", "reader"),
    Effect(
        "orthanc_password",
        None,
        "workspaces.default.source.password",
        f"vault:{STAGE}#orthanc_password",
    ),
]
#: Which configuration is read, is shown in test_reading.py and test_vault_layout.py.
CHOOSING = {"PATH_TO_CONFIG", "CURR_ENV"}
WITH_EFFECT = {effect.name for effect in IN_CONFIG + IN_ENVIRONMENT + IN_VAULT}
WITHOUT = sorted(NAMES - WITH_EFFECT - CHOOSING - set(ENTRIES.split()))


def label(effect: Effect) -> str:
    return f"{effect.name}={effect.value}"


def test_the_table_of_keys_has_every_row_of_the_references() -> None:
    assert set(REFERENCE_KEYS) == NAMES


def test_a_key_has_an_effect_here_if_and_only_if_the_table_says_what_it_becomes() -> None:
    assert {name for name, key in REFERENCE_KEYS.items() if key.becomes} == WITH_EFFECT


def test_the_environment_is_heard_about_the_keys_that_the_reference_names() -> None:
    heard = {name for name in IN_FILE if REFERENCE_KEYS[name].environment}
    assert heard == BY_ENVIRONMENT


@pytest.mark.parametrize("effect", IN_CONFIG, ids=label)
def test_a_key_of_the_file_has_its_effect(effect: Effect, tmp_path: Path) -> None:
    found = read(tmp_path, {**BASE, **effect.beside, effect.name: effect.value})
    assert at(settings_of(found), effect.dotted) == effect.expected
    (fate,) = (fate for fate in found.fates if fate.name == effect.name)
    assert fate.became or effect.value in ("False", False)
    line = list({**BASE, **effect.beside, effect.name: effect.value}).index(effect.name) + 1
    assert fate.place == f"{tmp_path / 'config.yaml'}:{line}"


@pytest.mark.parametrize(
    "effect", [one for one in IN_CONFIG if one.name in BY_ENVIRONMENT], ids=label
)
def test_the_environment_wins_over_the_file(effect: Effect, tmp_path: Path) -> None:
    variable = REFERENCE_KEYS[effect.name].environment
    assert variable
    otherwise = not effect.value if isinstance(effect.value, bool) else effect.otherwise
    content = {**BASE, **effect.beside, effect.name: otherwise}
    found = read(tmp_path, content, {variable: str(effect.value)})
    assert at(settings_of(found), effect.dotted) == effect.expected
    assert [fate.place for fate in found.fates if fate.name == effect.name] == ["environment"]
    unset = read(tmp_path, {**content, effect.name: effect.value}, {variable: " "})
    assert at(settings_of(unset), effect.dotted) == effect.expected


@pytest.mark.parametrize(
    "effect", [one for one in IN_CONFIG if one.name not in BY_ENVIRONMENT], ids=label
)
def test_where_the_file_alone_is_heard_a_variable_changes_nothing(
    effect: Effect, tmp_path: Path
) -> None:
    content = {**BASE, **effect.beside, effect.name: effect.value}
    assert read(tmp_path, content, {effect.name: "elsewhere"}) == read(tmp_path, content)


@pytest.mark.parametrize("effect", IN_ENVIRONMENT, ids=label)
def test_a_variable_has_its_effect(effect: Effect, tmp_path: Path) -> None:
    found = read(tmp_path, {**BASE, **effect.beside}, {effect.name: effect.value})
    assert at(settings_of(found), effect.dotted) == effect.expected


@pytest.mark.parametrize("effect", IN_VAULT, ids=label)
def test_a_key_in_vault_has_its_effect(effect: Effect, tmp_path: Path) -> None:
    found = read(tmp_path, {**BASE, **effect.beside})
    assert at(settings_of(found), effect.dotted) == effect.expected
    (fate,) = (fate for fate in found.fates if fate.name == effect.name)
    assert fate.became == (effect.dotted,)
    assert fate.place == f"vault:{DATABASE if effect.beside else STAGE}"
    assert (fate.value == "********") is REFERENCE_KEYS[effect.name].secret


@pytest.mark.parametrize("name", WITHOUT)
def test_a_key_without_an_equivalent_changes_nothing_and_says_why(
    name: str, tmp_path: Path
) -> None:
    key = REFERENCE_KEYS[name]
    value: Any = {"bool": True, "mode": "single", "vault": STAGE}.get(key.kind, "something")
    plain = read(tmp_path, BASE)
    if key.place == "config":
        found = read(tmp_path, {**BASE, name: value})
    else:
        found = read(tmp_path, BASE, {name: value})
    assert settings_of(found) == settings_of(plain)
    (fate,) = (fate for fate in found.fates if fate.name == name)
    assert (fate.became, fate.why) == ((), key.why)
    assert len(key.why) > 20


@pytest.mark.parametrize("name", [name for name in ENTRIES.split() if "stage_DB" in name])
def test_of_the_stagers_database_nothing_is_left(name: str, tmp_path: Path) -> None:
    found = read(tmp_path, BASE)
    (fate,) = (fate for fate in found.fates if fate.name == name)
    assert (fate.became, fate.why) == ((), REFERENCE_KEYS[name].why)
    assert "trig_dicom_staging" not in str(found.values)
