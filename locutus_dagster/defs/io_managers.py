"""Reading an accession's artifacts as inputs of other assets and of notebooks.

What belongs here: thin adapters over the interim store, the targets and the ledger. The chain
itself writes through the same stores; there is one way in and one way out of storage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from locutus_dagster.defs.resources import EngineResource
from locutus_dagster.durable_files import sha256_of
from locutus_dagster.errors import LocutusError
from locutus_dagster.ledger import WorkItem
from locutus_dagster.ledger.work import DeliveryRecord
from locutus_dagster.pipeline.extract import RAW
from locutus_dagster.pipeline.outcomes import Artifact
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.pipeline.study_zip import StudyZip
from locutus_dagster.pipeline.transform import DEIDENTIFIED
from locutus_dagster.targets import Target, TargetError, refuse_elsewhere

__all__ = ["ArtifactMissingError", "InterimZipIOManager", "SummaryIOManager", "TargetIOManager"]

_KINDS = {Artifact.RAW.value: RAW, Artifact.DEIDENTIFIED.value: DEIDENTIFIED}


class ArtifactMissingError(LocutusError):
    """What was asked for is not there (any more, or yet); the message says which."""


class _WorkspaceIOManager(dg.IOManager):
    def __init__(self, engine: EngineResource, workspace: str) -> None:
        self._engine = engine
        self._workspace = workspace

    def _with_item(self, partition_key: str, use: Callable[[Parts, WorkItem], Any]) -> Any:
        parts = self._engine.parts(self._workspace)
        try:
            return use(parts, parts.ledger.work_items(self._workspace, [partition_key])[0])
        finally:
            parts.close()

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Refuse: the chain alone writes this."""
        raise LocutusError(
            f"{context.asset_key.to_user_string()} may not be written here.",
            "Give your asset the workspace's target IO manager, or one of your own.",
        )


class InterimZipIOManager(_WorkspaceIOManager):
    """`raw_dicom_zip` and `deidentified_zip`, for as long as they exist."""

    def load_input(self, context: dg.InputContext) -> StudyZip:
        """The interim zip of one partition.

        Raises:
            ArtifactMissingError: it has been deleted, as it should be, or was never made.
        """
        name, partition_key = context.asset_key.path[-1], context.asset_partition_key

        def use(parts: Parts, item: WorkItem) -> StudyZip:
            record = parts.ledger.artifact(item.accession_id, _KINDS[name])
            if record is None or not Path(record.path).exists():
                raise ArtifactMissingError(
                    f"{name} of partition {partition_key} has been deleted, or was never made: "
                    "interim files live only until the next phase has succeeded.",
                    "Use delivered_object instead, or process with LOCUTUS_KEEP_INTERIM_FILES=true "
                    "to keep them for debugging.",
                )
            path = Path(record.path)
            return StudyZip(
                partition_key, path.as_uri(), record.sha256, record.size, lambda: path.open("rb")
            )

        return self._with_item(partition_key, use)  # type: ignore[no-any-return]


class TargetIOManager(_WorkspaceIOManager):
    """`delivered_object`, from whichever target it went to; and derived zips beside it.

    A downstream asset with this IO manager returns the `Path` of a zip; it is put into the
    workspace's first target as `derived/<asset>/<partition>.zip` and read back from there.
    """

    def load_input(self, context: dg.InputContext) -> StudyZip:
        """The delivered zip of one partition.

        Raises:
            ArtifactMissingError: the accession has not been delivered.
        """
        partition_key = context.asset_partition_key
        if context.asset_key.path[-1] != Artifact.DELIVERED.value:
            return self._derived(context.asset_key, partition_key)

        def use(parts: Parts, item: WorkItem) -> StudyZip:
            deliveries = parts.ledger.standing(item.accession_id)
            if not deliveries:
                raise ArtifactMissingError(
                    f"Partition {partition_key} has not been delivered ({item.state.value}).",
                    "Materialize it first.",
                )
            last, target = _readable(deliveries, parts)
            return StudyZip(
                partition_key, last.uri, last.sha256, last.size, lambda: target.open(last.uri)
            )

        return self._with_item(partition_key, use)  # type: ignore[no-any-return]

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Put a derived zip into the target."""
        if not isinstance(obj, Path):
            raise LocutusError(
                f"{context.asset_key.to_user_string()} returned {type(obj).__name__}.",
                "Return the pathlib.Path of a zip.",
            )
        sha256, _ = sha256_of(obj)
        parts = self._engine.parts(self._workspace)
        try:
            key = _derived_key(context.asset_key, context.partition_key)
            receipt = _first_target(parts).put(obj, key, sha256=sha256)
        finally:
            parts.close()
        context.add_output_metadata(
            {"uri": receipt.uri, "bytes": receipt.size, "sha256": receipt.sha256}
        )

    def _derived(self, asset_key: dg.AssetKey, partition_key: str) -> StudyZip:
        parts = self._engine.parts(self._workspace)
        parts.close()
        target = _first_target(parts)
        uri = target.uri(_derived_key(asset_key, partition_key))
        with target.open(uri) as stream:
            size = stream.seek(0, 2)
        return StudyZip(partition_key, uri, None, size, lambda: target.open(uri))


class SummaryIOManager(_WorkspaceIOManager):
    """`summary_row`: what the ledger says of an accession, without its number."""

    def load_input(self, context: dg.InputContext) -> dict[str, Any]:
        """One partition's row."""

        def use(_parts: Parts, item: WorkItem) -> dict[str, Any]:
            return {
                "partition": item.partition_key,
                "state": item.state.value,
                "subject_id": item.subject_id,
                "imaging_type": item.imaging_type,
                "age": item.age,
                "anatomical_position": item.anatomical_position,
                "instances": item.instances,
                "delivered": item.delivered,
                "withheld": item.withheld,
                "study_uid": item.study_uid,
            }

        return self._with_item(context.asset_partition_key, use)  # type: ignore[no-any-return]


def _readable(deliveries: Sequence[DeliveryRecord], parts: Parts) -> tuple[DeliveryRecord, Target]:
    """The newest delivery that a target can be asked for at this moment, and that target."""
    refusal: TargetError | None = None
    for one in reversed(deliveries):
        target = parts.targets.get(one.target)
        if target is None:
            continue
        try:
            refuse_elsewhere(target, one.store)
            if target.holds(one.uri, size=one.size, version=one.version):
                return one, target
        except TargetError as error:
            refusal = error
    raise refusal or ArtifactMissingError(
        "No target of the workspace holds the delivery any more.",
        "Look at it with: locutus show PARTITION",
    )


def _first_target(parts: Parts) -> Target:
    return next(iter(parts.targets.values()))


def _derived_key(asset_key: dg.AssetKey, partition_key: str) -> str:
    return f"derived/{'/'.join(asset_key.path)}/{partition_key}.zip"
