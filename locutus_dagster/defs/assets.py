"""The four assets of a workspace: one step, depth first over its accessions.

What belongs here: the multi-asset's definition. What does not: one run of its step (`step.py`), and
the walk itself (`pipeline/chain.py`).
"""

# No `from __future__ import annotations` here: Dagster reads the annotations of the step.
import warnings
from collections.abc import Iterator
from typing import Any

import dagster as dg

from locutus_dagster import __version__
from locutus_dagster.defs.chain_config import ChainConfig
from locutus_dagster.defs.names import (
    GATE,
    INTERIM,
    SUMMARY,
    TARGET,
    chain_keys,
    io_keys,
    scoped,
)
from locutus_dagster.defs.partitions import accession_partitions
from locutus_dagster.defs.pools import pool_of
from locutus_dagster.defs.resources import EngineResource
from locutus_dagster.defs.step import ChainStep
from locutus_dagster.defs.storage import event_databases_open
from locutus_dagster.errors import describe_unexpected
from locutus_dagster.pipeline.outcomes import Artifact
from locutus_dagster.pipeline.workspace_policy import PolicyUnusableError, workspace_policy
from locutus_dagster.settings import Settings

__all__ = ["chain_asset"]

_DESCRIPTIONS = {
    Artifact.RAW: (
        "The study as the research PACS gave it, in the private interim store. Identified. The "
        "file is deleted as soon as the study has been de-identified, and the partition stays "
        "green: it says that the study was extracted, not that the file is still there."
    ),
    Artifact.DEIDENTIFIED: (
        "The study after de-identification by the workspace's policy, in the interim store, "
        "without the instances that are withheld. The file is deleted as soon as it has been "
        "delivered; `locutus report PARTITION` says what became of each instance."
    ),
    Artifact.DELIVERED: "One zip for each accession, confirmed by the target.",
    Artifact.SUMMARY: "What the ledger says of the accession, without its number.",
}
_KINDS = {
    Artifact.RAW: {"dicom", "orthanc"},
    Artifact.DEIDENTIFIED: {"dicom"},
    Artifact.DELIVERED: {"dicom", "file"},
    Artifact.SUMMARY: {"table"},
}
_IO = {
    Artifact.RAW: INTERIM,
    Artifact.DEIDENTIFIED: INTERIM,
    Artifact.DELIVERED: TARGET,
    Artifact.SUMMARY: SUMMARY,
}


def chain_asset(workspace: str, settings: Settings) -> dg.AssetsDefinition:
    """The multi-asset of one workspace."""
    keys = chain_keys(workspace)
    own = settings.workspace(workspace)
    partitions = accession_partitions(workspace)
    fingerprint, warning = _policy_of(settings, workspace)
    code_version = f"{__version__}-{fingerprint}"
    source_kind = own.source.kind
    order = list(Artifact)
    specs = [
        dg.AssetSpec(
            keys[artifact],
            deps=[keys[order[index - 1]]] if index else [],
            description=warning + _DESCRIPTIONS[artifact],
            group_name=workspace,
            kinds=_KINDS[artifact] - ({"orthanc"} if source_kind != "orthanc" else set()),
            owners=list(own.owners or (f"team:{workspace}",)),
            code_version=code_version,
            skippable=True,
        ).with_io_manager_key(io_keys(workspace)[_IO[artifact]])
        for index, artifact in enumerate(order)
    ]

    @dg.multi_asset(
        name=scoped(workspace, "accession_chain"),
        specs=specs,
        partitions_def=partitions,
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.multi_run(settings.batch_size),
        pool=pool_of(own),
        check_specs=[_gate(keys[Artifact.DEIDENTIFIED], partitions)],
    )
    def accession_chain(
        context: dg.AssetExecutionContext, config: ChainConfig, engine: EngineResource
    ) -> Iterator[Any]:
        try:
            with event_databases_open(context.instance, context.run.run_id):
                yield from ChainStep(context, workspace, engine).run(config)
        except dg.Failure:
            raise
        except Exception as error:  # noqa: BLE001 - Dagster would store its text and its frames
            # `from None`: what lies behind may quote more than the message does.
            raise dg.Failure(describe_unexpected(error), allow_retries=False) from None

    return accession_chain


def _policy_of(settings: Settings, workspace: str) -> tuple[str, str]:
    """The fingerprint of a workspace's policy, and what to say where it cannot be used.

    A policy file with a mistake must not take the other workspaces' assets out of the UI with it.
    This workspace's runs stop with the same message, before anything moves.
    """
    try:
        return workspace_policy(settings, workspace).fingerprint, ""
    except PolicyUnusableError as error:
        dg.get_dagster_logger().error("%s", error)
        return "unusable-policy", f"**Nothing can be processed here.** {error}\n\n"


def _gate(key: dg.AssetKey, partitions: dg.PartitionsDefinition[str]) -> dg.AssetCheckSpec:
    with warnings.catch_warnings():
        # Partitioned checks are a preview in Dagster 1.13; a test holds what we rely on.
        warnings.simplefilter("ignore", category=dg.PreviewWarning)
        return dg.AssetCheckSpec(
            GATE,
            asset=key,
            blocking=True,
            partitions_def=partitions,
            description="No identifier of the input was left in any byte of what would have been "
            "delivered (native pixel data excepted). Each instance in which one was found is "
            "withheld. A warning: the rest of the study is delivered. An error: nothing is left "
            "of it, and nothing is delivered.",
        )
