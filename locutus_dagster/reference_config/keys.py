"""Every key of the reference's configuration: what of ours it becomes, or why nothing.

What belongs here: names and words. What does not: reading a value (`reading.py`) and what is made
of it (`translating.py`). `NAME` in a dotted key stands for a name of the operator's own.
"""

from __future__ import annotations

import difflib

from locutus_dagster.reference_config.key_model import Kind, ReferenceKey, both, file
from locutus_dagster.reference_config.other_keys import (
    ENTRIES,
    NO_STAGER,
    SUMMARIZER,
    SYSTEM_STATUS,
    VARIABLES,
)

__all__ = ["ENVIRONMENTS", "REFERENCE_KEYS", "Kind", "ReferenceKey", "nearest", "owner_of"]

#: The configurations that one entry of Vault may hold, by the reference's names of them; the
#: documents spell the last one in two ways.
ENVIRONMENTS = {
    "production": "production",
    "develop": "develop",
    "prod2dev": "prod2dev",
    "prod2develop": "prod2dev",
}


_DEBUG = "locutus_debug_onprem_dicom_"
_ONPREM = "locutus_onprem_dicom_"

_GENERAL = (
    both("locutus_verbose", "", "Each outcome is logged as an event of its own; there is one tier"),
    both("locutus_test", "run.dry_run", "Says what would happen; changes nothing at all"),
    both("locutus_force_success", "run.force_success", "Exit code 0 where accessions failed"),
    file(
        "locutus_run_mode",
        "workspaces.NAME.watch.mode",
        "continuous: what arrives for a manifest is processed by itself; single: a run ends when "
        "its work is done",
        "mode",
    ),
    both(
        "locutus_continuous_wait_secs",
        "run.pass_wait",
        "Seconds between two passes; where the mode is continuous also watch.interval",
        "seconds",
    ),
    both(
        "locutus_dicom_run_mode_continue_to_manifest_convergence",
        "run.until_converged",
        "Pass after pass until nothing changes, at most run.max_passes (11)",
    ),
    file(
        "locutus_debug_keep_interim_files", "keep_interim_files", "Keeps IDENTIFIED interim files"
    ),
    both(
        "locutus_allow_processing_of_duplicates",
        "run.allow_processing_of_duplicates",
        "A further row of an accession gets its own delivery",
    ),
    both("locutus_disable_phase_sweep", "run.sweep", "off: what is half done is left so"),
    both(
        "locutus_expand_phase_sweep_beyond_manifest",
        "run.sweep",
        "workspace: what is half done is resumed, of whatever manifest",
    ),
    both(
        "locutus_workspaces_enable",
        "workspaces.NAME",
        "Off: the workspace is called default, whatever locutus_workspace_name says",
    ),
    both("locutus_workspace_name", "workspaces.NAME", "The workspace's name", "text"),
    file(
        "locutus_DB_vault_path",
        "ledger",
        "The ledger's PostgreSQL: host, name, user and password as references into Vault",
        "vault",
    ),
    file("locutus_DB_use_dev_suffix", "ledger.name_suffix", "Puts the suffix behind the name"),
    file("locutus_DB_dev_suffix", "ledger.name_suffix", "Put behind the database's name", "text"),
    file(
        "locutus_DB_drop_tables",
        "",
        "Dropping tables is never done from a configuration; a database's owner drops a database",
    ),
    file("locutus_target_use_isilon", "workspaces.NAME.targets.share", "Delivers to the share"),
    file(
        "locutus_target_isilon_path",
        "workspaces.NAME.targets.share.path",
        "The share's folder; its keys have the reference's form for a share",
        "path",
    ),
    file("locutus_target_use_s3", "workspaces.NAME.targets.s3", "Delivers to S3"),
    file(
        "locutus_target_s3_bucket",
        "workspaces.NAME.targets.s3.bucket",
        "The bucket; its keys have the reference's form for a bucket",
        "text",
    ),
    file(
        "locutus_target_use_gs", "workspaces.NAME.targets.gcs", "Delivers to Google Cloud Storage"
    ),
    file(
        "locutus_target_gs_bucket",
        "workspaces.NAME.targets.gcs.bucket",
        "The bucket; its keys have the reference's form for a bucket",
        "text",
    ),
)

_MODULE = (
    both(
        "process_onprem_dicom_images",
        "",
        "Nothing runs by being switched on: 'locutus run MANIFEST', or a backfill in Dagster",
    ),
    both(
        f"{_ONPREM}input_manifest_csv",
        "",
        "A manifest is loaded once, by its own name: 'locutus load-manifest FILE'",
        "path",
        "onprem_dicom_images_manifest",
    ),
    file(
        "onprem_dicom_stage_config_vault_path",
        "workspaces.NAME.source",
        "The source Orthanc: its address, its user, and a reference to the password",
        "vault",
    ),
    file(
        f"{_ONPREM}zip_dir",
        "scratch",
        "The scratch space; both kinds of interim files live in it, for seconds",
        "path",
    ),
    file(
        f"{_ONPREM}deidentified_dir",
        "scratch",
        f"One scratch space holds both kinds; heard where {_ONPREM}zip_dir is not set",
        "path",
    ),
    both(
        f"{_ONPREM}bucket_path_top_level",
        "workspaces.NAME.targets.NAME.top",
        "The first part of the keys in buckets",
        "text",
    ),
    both(
        f"{_DEBUG}force_reprocess_accession_status",
        "run.reprocess",
        "force: processed again, changed or not",
    ),
    both(
        f"{_DEBUG}predelete_accession_status",
        "run.reprocess",
        "predelete: the same, and what the ledger has is deleted first",
    ),
    both(
        f"{_DEBUG}preretire_accession_status",
        "run.reprocess",
        "preretire: the same, and what the ledger has becomes history first",
    ),
    both(
        f"{_DEBUG}preretire_accession_status_only_changed",
        "run.reprocess",
        "preretire-only-changed: that, where something has changed",
    ),
    both(
        f"{_DEBUG}allow_continued_processing_if_only_cfgs_changed",
        "run.reprocess",
        "allow-if-only-config-changed: a change of settings alone is none",
    ),
    both(
        "locutus_dicom_use_zip_archive_structure",
        "",
        "Instances are fetched one by one and verified; neither /archive nor /media is asked",
    ),
    both(
        f"{_ONPREM}alignment_mode_GCP",
        "workspaces.NAME.policy",
        "locutus-bgd is the specification in this mode; for the other one there is no policy",
    ),
    file(
        f"{_ONPREM}deid_pause4manual_QC_disable",
        "workspaces.NAME.qc.enabled",
        "The other way round: false is enabled",
    ),
    file(
        f"{_ONPREM}manual_deid_QC_orthanc_config_vault_path",
        "workspaces.NAME.qc.orthanc",
        "The Orthanc in which studies are reviewed",
        "vault",
    ),
    both(
        f"{_ONPREM}use_manifest_QC_status",
        "workspaces.NAME.qc.use_manifest_status",
        "Obeys the manifest's DEID_QC_STATUS",
    ),
    both(
        f"{_ONPREM}use_manifest_QC_status_if_fail_remove_study_from_deidqc",
        "workspaces.NAME.qc.remove_failed",
        "Removes what failed from the Orthanc of the review",
    ),
    both(
        f"{_ONPREM}subject_ID_preface",
        "workspaces.NAME.subject_preface",
        "Put before every research identity",
        "text",
    ),
    both(
        "locutus_dicom_remove_text_from_input_accessions",
        "",
        "An accession number is looked up exactly as written; it had no effect before either",
    ),
    both(
        "locutus_dicom_force_alphanum_reupgrade_during_migration",
        "",
        "Accession numbers have always been text in this ledger; nothing is to be upgraded",
    ),
    both("locutus_dicom_remove_zombie_change_seq_ids_at_migration", "", NO_STAGER),
    both("locutus_dicom_bypass_migration", "", NO_STAGER),
)

#: All of them, in the order in which the reference's documents tell them.
REFERENCE_KEYS: dict[str, ReferenceKey] = {
    key.name: key
    for key in (*_GENERAL, *_MODULE, *SYSTEM_STATUS, *SUMMARIZER, *VARIABLES, *ENTRIES)
}


def nearest(name: str) -> str | None:
    """The key of the file that somebody may have meant by `name`; None where none is near."""
    known = {key.name.lower(): key.name for key in REFERENCE_KEYS.values() if key.place == "config"}
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.8)
    return known[near[0]] if near else None


def owner_of(name: str) -> str | None:
    """Which other part of the reference's an unknown key belongs to, if its name says so."""
    for word, owner in (("gcp", "GCP"), ("aperio", "Aperio"), ("compare", "comparing")):
        if word in name.lower():
            return owner
    return None
