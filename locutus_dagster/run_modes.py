"""The ways in which a run may go about accessions that are not new to it.

What belongs here: the words, for settings, options and commands alike. What does not: what they
lead to (`pipeline/deciding.py`), or where they are set (`settings.py`).
"""

from __future__ import annotations

from enum import Enum

__all__ = ["Reprocess", "Sweep"]


class Reprocess(str, Enum):
    """What becomes of an accession that is finished when a run comes to it (reference: §3)."""

    NONE = "none"  # unchanged: reported and skipped; changed: reported as changed
    FORCE = "force"  # processed again, changed or not
    PREDELETE = "predelete"  # the same, and what the ledger has of it is deleted first
    PRERETIRE = "preretire"  # the same, and what the ledger has of it becomes history first
    PRERETIRE_ONLY_CHANGED = "preretire-only-changed"  # that, where something has changed
    # Nothing again; a change of settings alone is no change.
    ALLOW_IF_ONLY_CONFIG_CHANGED = "allow-if-only-config-changed"


class Sweep(str, Enum):
    """Which accessions that stand in the middle of their walk a run goes on with."""

    MANIFEST = "manifest"  # those that it was asked for
    WORKSPACE = "workspace"  # any of the workspace
    OFF = "off"  # none: they are left as they stand
