"""The kinds of targets by name, as a workspace's settings name them.

What belongs here: finding the function that opens a kind. What does not: any kind. Kinds register
as entry points of the group `locutus_dagster.targets`, Locutus' own among them (pyproject.toml):
name = kind, object = a function `(settings, context) -> Target`.
"""

from __future__ import annotations

from typing import cast

from locutus_dagster.entry_points import registered
from locutus_dagster.settings import TargetSettings
from locutus_dagster.targets.base import Target, TargetContext, TargetError

__all__ = ["GROUP", "open_target"]

GROUP = "locutus_dagster.targets"


def open_target(settings: TargetSettings, context: TargetContext) -> Target:
    """Build the target that the settings name.

    Raises:
        TargetError: there is no such kind, or a package that it needs is not installed.
    """
    kind = str(getattr(settings, "kind", ""))
    return cast(Target, registered(GROUP, kind, TargetError)(settings, context))
