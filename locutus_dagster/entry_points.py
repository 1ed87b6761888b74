"""What packages register with Locutus, and Locutus with itself.

What belongs here: finding an entry point by group and name. What does not: the groups
(`sources/registry.py`, `targets/registry.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import metadata
from typing import Any, cast

from locutus_dagster.errors import LocutusError

__all__ = ["registered"]


@cache
def _group(group: str) -> dict[str, metadata.EntryPoint]:
    return {point.name: point for point in metadata.entry_points(group=group)}


def registered(group: str, kind: str, error: type[LocutusError]) -> Callable[..., object]:
    """The object that is registered under `kind`.

    Raises:
        LocutusError: of the class `error`; none is registered, or it cannot be imported.
    """
    what = group.rpartition(".")[2].rstrip("s")
    points = _group(group)
    if kind not in points:
        known = ", ".join(sorted(points)) or "none: install Locutus anew"
        raise error(f"There is no {what} of kind '{kind}'.", f"Known kinds: {known}.")
    try:
        loaded: Any = points[kind].load()
    except ImportError as missing:
        name = f" ({missing.name})" if missing.name else ""
        raise error(
            f"A package that the {what} '{kind}' needs is not installed{name}.",
            f"Install it with: pip install 'locutus-dagster[{kind}]'",
        ) from None
    return cast(Callable[..., object], loaded)
