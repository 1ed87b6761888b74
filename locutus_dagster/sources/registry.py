"""The kinds of sources by name, as a workspace's configuration names them.

What belongs here: one line per kind. A new kind needs its module and its line, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from inspect import signature
from typing import Any

from locutus_dagster.sources.base import SourceError, StudySource

__all__ = ["KINDS", "open_source"]

KINDS: dict[str, tuple[str, str]] = {
    "folder": ("locutus_dagster.sources.folder", "FolderSource"),
    "orthanc": ("locutus_dagster.sources.orthanc", "OrthancSource"),
}
"""Kind → module and class; imported only when asked for."""


def open_source(kind: str, **options: Any) -> StudySource:
    """Build the source of this kind with its options.

    Raises:
        SourceError: there is no such kind, or it does not take these options.
    """
    if kind not in KINDS:
        raise SourceError(
            f"There is no source of kind {kind!r}.", f"Choose one of: {', '.join(sorted(KINDS))}."
        )
    module, name = KINDS[kind]
    factory: Callable[..., StudySource] = getattr(import_module(module), name)
    expected = signature(factory)
    try:
        expected.bind(**options)
    except TypeError as error:  # its text names options, never their values
        raise SourceError(
            f"The options of the source of kind {kind!r} do not fit: {error}.",
            f"It takes: {', '.join(expected.parameters)}.",
        ) from None
    return factory(**options)
