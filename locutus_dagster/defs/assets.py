"""The four assets of a workspace: one step, depth first over its accessions.

What belongs here: the multi-asset's definition, and turning the chain's outcomes into Dagster
events. What does not: the walk itself (`pipeline/chain.py`).

The step yields a materialization as each phase of each accession is done, goes on past failures,
and fails once at its end if anything failed, because only then does Dagster count the partitions
that were not materialized as failed.
"""

# No `from __future__ import annotations` here: Dagster reads the annotations of the step.
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from locutus_dagster import __version__
from locutus_dagster.defs.names import (
    CHANGED,
    GATE,
    INTERIM,
    SUMMARY,
    TARGET,
    chain_keys,
    io_keys,
    scoped,
)
from locutus_dagster.defs.partitions import accession_partitions, register_partitions
from locutus_dagster.defs.plans import plan, withdraw_plan
from locutus_dagster.defs.resources import EngineResource
from locutus_dagster.defs.storage import event_databases_open
from locutus_dagster.errors import LocutusError, describe_unexpected
from locutus_dagster.manifests import load_manifest
from locutus_dagster.pipeline.batch import Batch
from locutus_dagster.pipeline.outcomes import (
    Artifact,
    Finished,
    GateChecked,
    Metadata,
    PhaseDone,
    Result,
)
from locutus_dagster.pipeline.workspace_policy import PolicyUnusableError, workspace_policy
from locutus_dagster.pipeline.workspace_secret import keep_it
from locutus_dagster.settings import Settings

__all__ = ["ChainConfig", "chain_asset"]

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


class ChainConfig(dg.Config):
    """What to process when no partitions are selected."""

    file: str | None = Field(
        default=None, description="A manifest file to load and process in this run."
    )
    name: str | None = Field(
        default=None, description="The manifest's name; by default the file's name."
    )
    manifest: str | None = Field(
        default=None, description="The name of a manifest that has been loaded before."
    )


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
        check_specs=[_gate(keys[Artifact.DEIDENTIFIED], partitions)],
    )
    def accession_chain(
        context: dg.AssetExecutionContext, config: ChainConfig, engine: EngineResource
    ) -> Iterator[Any]:
        try:
            with event_databases_open(context.instance, context.run.run_id):
                yield from _Step(context, workspace, engine).run(config)
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


class _Step:
    """One run of the step: remembers how each accession ended."""

    def __init__(
        self, context: dg.AssetExecutionContext, workspace: str, engine: EngineResource
    ) -> None:
        self.context = context
        self.workspace = workspace
        self.engine = engine
        self.keys = {
            artifact: key
            for artifact, key in chain_keys(workspace).items()
            if key in context.selected_asset_keys
        }
        self.ended: dict[str, Finished] = {}
        self.rejected = 0  # rows of the manifest that this run loaded

    def run(self, config: ChainConfig) -> Iterator[Any]:
        partition_keys = self._partition_keys(config)
        batch = self.engine.batch(self.workspace, self.context.run.run_id)
        if batch.settings.keep_interim_files:
            self.context.log.warning(
                "LOCUTUS_KEEP_INTERIM_FILES is on: IDENTIFIED studies stay in %s until somebody "
                "deletes them. Switch it off when the debugging is done.",
                batch.settings.scratch_dir,
            )
        for outcome in batch.run(partition_keys):
            if isinstance(outcome, PhaseDone):
                yield from self._materialization(outcome)
            elif isinstance(outcome, GateChecked):
                yield from self._evaluation(outcome)
            else:
                self._note(outcome)
                if outcome.result is Result.CHANGED:
                    yield from self._observation(outcome)
        if batch.secret_created:
            self.context.log.warning(keep_it(batch.settings, self.workspace))
        self._conclude(batch, partition_keys)

    def _partition_keys(self, config: ChainConfig) -> list[str]:
        if self.context.has_partition_key or self.context.has_partition_key_range:
            return list(self.context.partition_keys)
        ledger = self.engine.ledger()
        try:
            name = config.manifest
            if config.file is not None:
                report = load_manifest(
                    ledger, Path(config.file), workspace=self.workspace, name=config.name
                )
                name = report.manifest
                register_partitions(self.context.instance, self.workspace, report.partition_keys)
                self.rejected = len(report.rejected)
                for row in report.rejected:
                    self.context.log.error(
                        "%s, line %d, column %s: %s",
                        report.file_name,
                        row.line,
                        row.column or "(all)",
                        row.reason,
                    )
            if name is None:
                raise LocutusError(
                    "Nothing was selected.",
                    "Choose partitions, or name a manifest in the step's configuration "
                    "('file' or 'manifest').",
                )
            keys = [item.partition_key for item in ledger.manifest_items(self.workspace, name)]
            if not keys and name not in ledger.manifest_names(self.workspace):
                raise LocutusError(
                    f"Workspace '{self.workspace}' has no manifest named '{name}'.",
                    "Load it with 'locutus load-manifest'.",
                )
        finally:
            ledger.close()
        plan(self.context, self.keys.values(), keys)
        return keys

    def _materialization(self, done: PhaseDone) -> Iterator[dg.AssetMaterialization]:
        key = self.keys.get(done.artifact)
        if key is None:
            return
        tags = {}
        if isinstance(checksum := done.metadata.get("sha256"), str):
            tags["dagster/data_version"] = checksum
        yield dg.AssetMaterialization(
            key, partition=done.partition_key, metadata=_metadata(done.metadata), tags=tags
        )

    def _evaluation(self, gate: GateChecked) -> Iterator[dg.AssetCheckEvaluation]:
        rest_delivered = not gate.passed and gate.anything_left
        if rest_delivered:
            self.context.log.warning(
                "%s: %s of %s instances are withheld because an identifier was left in them (%s); "
                "the rest of the study is delivered",
                gate.partition_key,
                gate.metadata["instances withheld for residue"],
                gate.metadata["instances searched"],
                gate.metadata["places"],
            )
        if Artifact.DEIDENTIFIED not in self.keys:
            return
        severity = dg.AssetCheckSeverity
        yield dg.AssetCheckEvaluation(
            asset_key=self.keys[Artifact.DEIDENTIFIED],
            check_name=GATE,
            passed=gate.passed,
            partition=gate.partition_key,
            severity=severity.WARN if rest_delivered else severity.ERROR,
            blocking=True,
            metadata=_metadata(gate.metadata),
        )

    def _observation(self, end: Finished) -> Iterator[dg.AssetObservation]:
        """Say of an earlier delivery that it is not what this manifest asks for."""
        key = self.keys.get(Artifact.DELIVERED)
        if key is not None:
            yield dg.AssetObservation(
                key, partition=end.partition_key, metadata={CHANGED: end.reason}
            )

    def _note(self, end: Finished) -> None:
        self.ended[end.partition_key] = end
        if end.result is Result.FAILED:
            self.context.log.error("%s failed: %s", end.partition_key, end.reason)
        elif end.result in (Result.PENDING, Result.CHANGED):
            self.context.log.warning("%s %s: %s", end.partition_key, end.result.value, end.reason)

    def _conclude(self, batch: Batch, partition_keys: list[str]) -> None:
        by_result = {
            result: [key for key, end in self.ended.items() if end.result is result]
            for result in Result
        }
        counts = ", ".join(f"{len(found)} {r.value}" for r, found in by_result.items() if found)
        self.context.log.info("%d accessions: %s", len(partition_keys), counts or "none")
        failed = by_result[Result.FAILED]
        if not failed and not batch.not_attempted and not self.rejected:
            return
        withdraw_plan(
            self.context,
            self.keys.values(),
            by_result[Result.PENDING] + by_result[Result.CHANGED],
        )
        message = f"{len(failed)} of {len(partition_keys)} accessions failed"
        if batch.not_attempted:
            message += f"; {len(batch.not_attempted)} were not attempted"
        if self.rejected:
            message += f"; {self.rejected} rows of the manifest were rejected"
        reasons = [f"- {key}: {self.ended[key].reason}" for key in failed[:20]]
        if len(failed) > len(reasons):
            reasons.append(f"- and {len(failed) - len(reasons)} more")
        raise dg.Failure(
            f"{message}.\n" + "\n".join(reasons),
            metadata={
                "accessions": len(partition_keys),
                "failed": len(failed),
                "not attempted": len(batch.not_attempted),
                "rows rejected": self.rejected,
            },
            allow_retries=False,
        )


def _metadata(values: Metadata) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in values.items():
        if name == "uri" and isinstance(value, str):
            made[name] = dg.MetadataValue.url(value)
        else:
            made[name] = value
    return made
