"""The kinds of sources by name, as a workspace's settings name them.

What belongs here: finding the function that opens a kind. What does not: any kind. Kinds register
as entry points of the group `locutus_dagster.sources`, Locutus' own among them (pyproject.toml):
name = kind, object = a function `(settings, context) -> StudySource`.
"""

from __future__ import annotations

from typing import cast

from locutus_dagster.entry_points import registered
from locutus_dagster.settings import SourceSettings
from locutus_dagster.sources.base import SourceContext, SourceError, StudySource

__all__ = ["GROUP", "open_source"]

GROUP = "locutus_dagster.sources"


def open_source(settings: SourceSettings, context: SourceContext) -> StudySource:
    """Build the source that the settings name.

    Raises:
        SourceError: there is no such kind, or a package that it needs is not installed.
    """
    return cast(StudySource, registered(GROUP, settings.kind, SourceError)(settings, context))
