"""The reference's names for how a run goes about its accessions, as they stand in the environment.

What belongs here: names, and what of ours each one means. What does not: what the settings do
(`settings/`, `pipeline/`), and the reference's other keys (`reference_config/`). A variable that is
empty is not set; a switch is `true` or `false`, in any case, as the reference has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from locutus_dagster.errors import LocutusError

__all__ = ["REFERENCE_SWITCHES", "ReferenceSettingError", "run_settings_from"]

_DEBUG = "locutus_debug_onprem_dicom_"

#: The first one that is on decides, as on the reference's ladder; `_only_changed` says that only
#: what has changed is retired.
_REPROCESS = {
    f"{_DEBUG}force_reprocess_accession_status": "force",
    f"{_DEBUG}predelete_accession_status": "predelete",
    f"{_DEBUG}preretire_accession_status_only_changed": "preretire-only-changed",
    f"{_DEBUG}preretire_accession_status": "preretire",
    f"{_DEBUG}allow_continued_processing_if_only_cfgs_changed": "allow-if-only-config-changed",
}
_SWEEP = {
    "locutus_disable_phase_sweep": "off",
    "locutus_expand_phase_sweep_beyond_manifest": "workspace",
}
_BOOLEANS = {
    "locutus_dicom_run_mode_continue_to_manifest_convergence": "until_converged",
    "locutus_allow_processing_of_duplicates": "allow_processing_of_duplicates",
    "locutus_force_success": "force_success",
    "locutus_test": "dry_run",
}
_WAIT = "locutus_continuous_wait_secs"

#: Every name that is understood, for documentation and tests: what of ours it sets.
REFERENCE_SWITCHES: dict[str, str] = {
    **{name: f"run.reprocess: {mode}" for name, mode in _REPROCESS.items()},
    **{name: f"run.sweep: {mode}" for name, mode in _SWEEP.items()},
    **{name: f"run.{field}" for name, field in _BOOLEANS.items()},
    _WAIT: "run.pass_wait",
}


class ReferenceSettingError(LocutusError):
    """A variable of the reference's has a value that it cannot have."""


def run_settings_from(environment: Mapping[str, str]) -> dict[str, Any]:
    """What the environment says under the reference's names, as values of `RunSettings`.

    Raises:
        ReferenceSettingError: names every variable that cannot be understood.
    """
    faults: list[str] = []

    def switch(name: str) -> bool | None:
        word = environment.get(name, "").strip().lower()
        if word and word not in ("true", "false"):
            faults.append(f"{name}: neither true nor false")
        return word == "true" if word in ("true", "false") else None

    said: dict[str, Any] = {}
    for names, field, otherwise in (
        (_REPROCESS, "reprocess", "none"),
        (_SWEEP, "sweep", "manifest"),
    ):
        heard = {name: switch(name) for name in names}
        on = [names[name] for name, value in heard.items() if value]
        if on or any(value is False for value in heard.values()):
            said[field] = on[0] if on else otherwise
    for name, field in _BOOLEANS.items():
        value = switch(name)
        if value is not None:
            said[field] = value
    seconds = environment.get(_WAIT, "").strip()
    if seconds:
        try:
            said["pass_wait"] = float(seconds)
        except ValueError:
            faults.append(f"{_WAIT}: not a number of seconds")
    if faults:
        raise ReferenceSettingError(
            "The environment holds settings that cannot be understood: " + "; ".join(faults) + ".",
            "Write true or false, or unset them.",
        )
    return said
