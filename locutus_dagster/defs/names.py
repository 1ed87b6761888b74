"""The names under which a workspace appears in Dagster.

What belongs here: asset keys, and the names of partitions, steps, jobs and resources. They are
part of every stored event, so they do not change.
"""

from __future__ import annotations

import dagster as dg

from locutus_dagster.pipeline.outcomes import Artifact

__all__ = [
    "CHANGED",
    "DEFAULT_WORKSPACE",
    "GATE",
    "INTERIM",
    "OPERATIONS",
    "PAUSED",
    "ROUND",
    "SUMMARY",
    "TARGET",
    "WHOLE",
    "asset_key",
    "chain_keys",
    "io_keys",
    "manifests_name",
    "partitions_name",
    "scoped",
]

DEFAULT_WORKSPACE = "default"
GATE = "no_identifier_left"
# The metadata of an observation that a delivery is not what a later manifest asks for.
CHANGED = "changed"
# How the report of one pass begins in a run's log.
ROUND = "Pass"
# The metadata of a run's failure that says why it was paused.
PAUSED = "paused"
# The group of assets that are no part of a chain. A workspace's group holds its chain alone, so
# that "Materialize all" there means just that.
OPERATIONS = "operations"
#: The partition of a report on all manifests of a workspace; no manifest can be called so.
WHOLE = "(whole workspace)"
# The kinds of IO managers that a workspace has.
INTERIM, TARGET, SUMMARY = "interim_zip_io", "target_io", "summary_io"


def asset_key(workspace: str, artifact: Artifact) -> dg.AssetKey:
    """`<workspace>/<artifact>`."""
    return dg.AssetKey([workspace, artifact.value])


def chain_keys(workspace: str) -> dict[Artifact, dg.AssetKey]:
    """The four assets of a workspace, in the order of the walk."""
    return {artifact: asset_key(workspace, artifact) for artifact in Artifact}


def partitions_name(workspace: str) -> str:
    """The name of the workspace's dynamic partitions."""
    return f"accessions__{workspace}"


def manifests_name(workspace: str) -> str:
    """The name of the dynamic partitions of a workspace's reports."""
    return f"manifests__{workspace}"


def io_keys(workspace: str) -> dict[str, str]:
    """The resource keys of a workspace's IO managers, by kind."""
    return {kind: f"{workspace}__{kind}" for kind in (INTERIM, TARGET, SUMMARY)}


def scoped(workspace: str, name: str) -> str:
    """A job's or step's name: bare for the default workspace, prefixed for any other."""
    return name if workspace == DEFAULT_WORKSPACE else f"{workspace}__{name}"
