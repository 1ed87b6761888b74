"""The workspace's policy: which one its settings name, with what they say about it.

What belongs here: finding the policy and putting the workspace's own settings in the place of the
policy's. What does not: what a policy file may say and what it means (`deid/policies/`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from locutus_dagster.deid import DEFAULT_MODALITIES, DeidError, Policy, compile_policy
from locutus_dagster.deid.policies.reading import read_policy
from locutus_dagster.errors import LocutusError
from locutus_dagster.settings import Settings

__all__ = ["PolicyUnusableError", "workspace_policy"]


class PolicyUnusableError(LocutusError):
    """A workspace's policy is not there or has problems; the hint names each with its line."""


def workspace_policy(settings: Settings, workspace: str) -> Policy:
    """Return the policy of a workspace, compiled.

    A path is relative to the working directory, as other paths of the settings are, and "~" is the
    user's home folder. Which modalities are let through is said by the workspace, or else by the
    policy, or else by the list of the reference system.

    Raises:
        PolicyUnusableError: there is no such policy, or it has problems.
        SettingsError: no workspace has that name.
    """
    own = settings.workspace(workspace)
    name = str(Path(own.policy).expanduser()) if own.policy.startswith("~/") else own.policy
    try:
        spec = read_policy(name)
        # Before compiling, because it is part of the fingerprint.
        if own.several_patients is not None:
            changed = replace(spec.settings, several_patients=own.several_patients)
            spec = replace(spec, settings=changed)
        if own.subject_preface is not None:
            spec = replace(
                spec, settings=replace(spec.settings, subject_preface=own.subject_preface)
            )
        modalities = own.modalities
        if modalities is None and spec.settings.modalities is None:
            modalities = DEFAULT_MODALITIES
        return compile_policy(spec, modalities=modalities)
    except DeidError as error:
        raise PolicyUnusableError(
            f"The policy '{own.policy}' of workspace '{workspace}' cannot be used. {error.message}",
            error.hint,
        ) from None
