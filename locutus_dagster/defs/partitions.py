"""A workspace's accessions as dynamic partitions.

What belongs here: the definition and the registration of keys. What does not: how a key is made
(`manifests/loading.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from locutus_dagster.defs.names import WHOLE, manifests_name, partitions_name

__all__ = ["accession_partitions", "register_partitions"]

# Dagster looks for existing keys with one bound parameter each, and SQLite takes a limited number.
_CHUNK = 1000


def accession_partitions(workspace: str) -> dg.DynamicPartitionsDefinition:
    """The partitions of a workspace: one key `<manifest>~<row>` for each accepted row."""
    return dg.DynamicPartitionsDefinition(name=partitions_name(workspace))


def register_partitions(
    instance: dg.DagsterInstance, workspace: str, partition_keys: Sequence[str]
) -> None:
    """Make the keys known to Dagster; keys that it knows already stay as they are.

    Their manifests become partitions of the workspace's reports.
    """
    manifests = {key.rpartition("~")[0] for key in partition_keys}
    instance.add_dynamic_partitions(manifests_name(workspace), [WHOLE, *sorted(manifests)])
    for start in range(0, len(partition_keys), _CHUNK):
        instance.add_dynamic_partitions(
            partitions_name(workspace), list(partition_keys[start : start + _CHUNK])
        )
