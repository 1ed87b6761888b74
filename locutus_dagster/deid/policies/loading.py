"""A policy by its name or from a file, ready to work with.

What belongs here: reading and compiling in one step. What does not: either of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from locutus_dagster.deid.policies.compiling import compile_policy
from locutus_dagster.deid.policies.model import Policy
from locutus_dagster.deid.policies.reading import read_policy

__all__ = ["load_policy"]


def load_policy(name_or_path: str | Path, *, modalities: Iterable[str] | None = None) -> Policy:
    """Return a shipped policy by its name, or one from a file.

    Args:
        name_or_path: such as "research", or the path of a policy file (YAML) or of a spec file of
            the reference system (.dat).
        modalities: takes the place of the policy's modalities; "any" lets all through.

    Raises:
        DeidError: there is no such policy, or its file has errors; each is named with its line.
    """
    return compile_policy(read_policy(name_or_path), modalities=modalities)
