"""Tell the reference's configuration in our words.

What belongs here: what each key becomes, and what contradicts what. What does not: where values
come from (`reading.py`, `vault_layout.py`), and the Orthancs and databases behind paths in Vault
(`vault_values.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from locutus_dagster.reference_config.reading import Told
from locutus_dagster.reference_config.results import Result
from locutus_dagster.reference_config.vault_layout import VaultReader
from locutus_dagster.reference_config.vault_values import (
    ledger_values,
    only_reference,
    orthanc_values,
)
from locutus_dagster.reference_settings import REFERENCE_SWITCHES, run_settings_from

__all__ = ["POLICY", "translate"]

#: The reference's specification file, which it has no key for.
POLICY = "locutus-bgd"
_DEFAULT_WORKSPACE = "default"
_DEFAULT_TOP = ".TopLevel"
_LONGEST_NAME = 41
_ONPREM = "locutus_onprem_dicom_"
_TOP = f"{_ONPREM}bucket_path_top_level"
_STAGE = "onprem_dicom_stage_config_vault_path"
_QC_STAGE = f"{_ONPREM}manual_deid_QC_orthanc_config_vault_path"
_CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS_SOURCE_VAULT_PATH"

Vault = Callable[[], VaultReader]


def translate(told: Told, vault: Vault) -> Result:
    """Say in our words what file and environment say.

    Args:
        vault: gives the Vault, which is asked only if a path leads into it.

    Never raises for what is wrong with the configuration; `Result.faults` has all of it.
    """
    result = Result(told)
    _vault_itself(result)
    _run(result)
    _installation(result, vault)
    _workspace(result, vault)
    return result


def _vault_itself(result: Result) -> None:
    result.take("VAULT_ADDR", "vault.address")
    result.take("VAULT_NAMESPACE", "vault.namespace")
    if "VAULT_TOKEN" in result.told.said:
        result.put("VAULT_TOKEN", "vault.token", "env:VAULT_TOKEN")


def _run(result: Result) -> None:
    said = result.told.said
    # As the environment would say it.
    switches = {name: said[name].shown for name in REFERENCE_SWITCHES if name in said}
    decided = run_settings_from(switches)
    for field, value in decided.items():
        of_field = [
            name for name in switches if REFERENCE_SWITCHES[name].startswith(f"run.{field}")
        ]
        # REFERENCE_SWITCHES is in the order of the ladder: the first one that is on decides.
        ordered = sorted(of_field, key=list(REFERENCE_SWITCHES).index)
        on = [name for name in ordered if switches[name] == "true"]
        deciding = (on or ordered)[0]
        for name in ordered:
            if name == deciding or switches[name] == "false":
                result.put(name, f"run.{field}", value)
            else:
                result.unused(name, f"{deciding} is on, too, and comes first")
        result.origins[f"run.{field}"] = said[deciding].origin


def _installation(result: Result, vault: Vault) -> None:
    told = result.told
    result.take("locutus_debug_keep_interim_files", "keep_interim_files")
    zips, others = f"{_ONPREM}zip_dir", f"{_ONPREM}deidentified_dir"
    result.take(zips, "scratch")
    if zips in told.said:
        result.unused(others, f"{zips} is the scratch space for both")
    else:
        result.take(others, "scratch")
    if told.text("locutus_DB_vault_path"):
        ledger_values(result, vault)
    else:
        for name in ("locutus_DB_use_dev_suffix", "locutus_DB_dev_suffix"):
            result.unused(name, "locutus_DB_vault_path is not set")
    if told.on("locutus_DB_drop_tables"):
        result.notes.append(
            f"{told.said['locutus_DB_drop_tables'].origin}: no table is dropped, now or ever"
        )


def _workspace(result: Result, vault: Vault) -> None:
    told = result.told
    name = _workspace_name(result)
    root = f"workspaces.{name}"
    targets = _targets(result, f"{root}.targets", vault)
    if not targets and not told.text(_STAGE):
        if told.on("process_onprem_dicom_images"):
            result.fault("process_onprem_dicom_images", "no source and no target is set")
        else:
            result.notes.append("Neither a source nor a target is set: no workspace is made of it")
        result.nothing_below("workspaces.", "there is no workspace without source and target")
        return
    if not targets:
        result.fault(_STAGE, "no target is switched on (locutus_target_use_isilon, …_s3, …_gs)")
    if told.text(_STAGE):
        orthanc_values(result, vault, _STAGE, f"{root}.source")
    else:
        result.faults.append(f"{told.name} {_STAGE}: not set, so there is no source")
    _watching(result, root)
    for column in ("group", "project"):
        result.take(
            f"dicom_summarize_onprem_flywheel_{column}", f"{root}.reports.flywheel_{column}"
        )
    _policy(result, root)
    result.take(f"{_ONPREM}subject_ID_preface", f"{root}.subject_preface")
    _qc(result, root, vault)


def _watching(result: Result, root: str) -> None:
    """A system that runs again and again becomes one that follows what arrives at the source."""
    mode, wait = "locutus_run_mode", "locutus_continuous_wait_secs"
    if result.told.text(mode) != "continuous":
        if mode in result.told.said:
            result.unused(mode, "single: a run ends when its work is done")
        return
    result.put(mode, f"{root}.watch.mode", "manifest")
    if wait in result.told.said:
        # Its least is a second; the reference's was none at all.
        seconds = result.told.said[wait].value
        result.put(wait, f"{root}.watch.interval", max(1.0, float(str(seconds))))


def _workspace_name(result: Result) -> str:
    told = result.told
    enable, named = "locutus_workspaces_enable", "locutus_workspace_name"
    if not told.on(enable):
        result.became(enable, f"workspaces.{_DEFAULT_WORKSPACE}")
        result.unused(named, f"{enable} is not on")
        return _DEFAULT_WORKSPACE
    said = told.said.get(named)
    if said is None:
        result.became(enable, f"workspaces.{_DEFAULT_WORKSPACE}")
        return _DEFAULT_WORKSPACE
    if not str(said.value):
        result.fault(named, f"empty, while {enable} is on")
        return _DEFAULT_WORKSPACE
    name = re.sub(r"[^a-z0-9_]", "_", str(said.value).lower())
    name = (name if re.match(r"[a-z]", name) else f"ws_{name}")[:_LONGEST_NAME]
    if name != said.value:
        result.notes.append(
            f"{said.origin}: the workspace is called {name} here; names are a lower-case letter, "
            "then lower-case letters, digits or _"
        )
    result.became(enable, f"workspaces.{name}")
    result.became(named, f"workspaces.{name}")
    return name


def _targets(result: Result, root: str, vault: Vault) -> list[str]:
    told = result.told
    made: list[str] = []
    buckets: list[str] = []
    for use, where, kind, field in (
        ("locutus_target_use_isilon", "locutus_target_isilon_path", "share", "path"),
        ("locutus_target_use_s3", "locutus_target_s3_bucket", "s3", "bucket"),
        ("locutus_target_use_gs", "locutus_target_gs_bucket", "gcs", "bucket"),
    ):
        if not told.on(use):
            result.unused(where, f"{use} is not on")
            if use in told.said:
                result.unused(use, "it is off")
            continue
        made.append(kind)
        if not told.text(where):
            result.fault(use, f"{where} is not set")
            continue
        template = "share" if kind == "share" else "bucket"
        result.put(use, f"{root}.{kind}.kind", kind, shown=f"{root}.{kind}")
        result.take(where, f"{root}.{kind}.{field}")
        result.put(use, f"{root}.{kind}.key_template", template, shown="")
        if template == "bucket":
            buckets.append(kind)
    for kind in buckets:
        if _TOP in told.said:
            result.take(_TOP, f"{root}.{kind}.top")
        else:
            result.set(f"{root}.{kind}.top", _DEFAULT_TOP, "the reference's default")
    if not buckets:
        result.unused(_TOP, "no bucket is delivered to; a share's keys never had it")
    if len(made) > 1:
        result.notes.append(
            "Several targets are on: an accession counts as delivered when each of them has "
            "confirmed it; to the reference one was enough (targets.NAME.required)"
        )
    _google_credentials(result, f"{root}.gcs", vault, used="gcs" in buckets)
    return made


def _google_credentials(result: Result, target: str, vault: Vault, *, used: bool) -> None:
    if _CREDENTIALS not in result.told.said:
        return
    if not used:
        result.unused(_CREDENTIALS, "locutus_target_use_gs is not on")
        return
    reference = only_reference(result, vault, _CREDENTIALS)
    if reference:
        result.put(_CREDENTIALS, f"{target}.credentials", reference)


def _policy(result: Result, root: str) -> None:
    key = f"{_ONPREM}alignment_mode_GCP"
    said = result.told.said.get(key)
    if said is None:
        result.set(f"{root}.policy", POLICY, "the reference's specification file")
        return
    result.put(key, f"{root}.policy", POLICY)
    if not said.value:
        result.notes.append(
            f"{said.origin}: dicom-anon's own mode has no policy here; {POLICY} leaves dates and "
            "identifiers empty, as the other mode does"
        )


def _qc(result: Result, root: str, vault: Vault) -> None:
    told = result.told
    paused = f"{_ONPREM}deid_pause4manual_QC_disable"
    obeyed = f"{_ONPREM}use_manifest_QC_status"
    removed = f"{obeyed}_if_fail_remove_study_from_deidqc"
    enabled = not told.on(paused, default=True)
    if paused in told.said:
        result.put(paused, f"{root}.qc.enabled", enabled)
    result.take(obeyed, f"{root}.qc.use_manifest_status")
    result.take(removed, f"{root}.qc.remove_failed")
    if not told.text(_QC_STAGE):
        if enabled:
            result.fault(paused, f"{_QC_STAGE} is not set")
        return
    if not (enabled or told.on(obeyed)):
        result.unused(_QC_STAGE, f"manual QC is off ({paused})")
        return
    orthanc_values(result, vault, _QC_STAGE, f"{root}.qc.orthanc")
    source: Any = result.at(f"{root}.source.url")
    if source and source == result.at(f"{root}.qc.orthanc.url"):
        result.fault(_QC_STAGE, f"is the same Orthanc as {_STAGE}")
