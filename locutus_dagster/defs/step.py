"""One run of the chain's step: from what was asked for to events and a verdict.

What belongs here: turning a run's configuration into partitions, outcomes into Dagster events, and
the end of a run into success or failure. What does not: the asset's definition (`assets.py`).

The step yields a materialization as each phase of each accession is done, goes on past failures,
and fails once at its end if anything failed, because only then does Dagster count the partitions
that were not materialized as failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import dagster as dg

from locutus_dagster.defs.chain_config import ChainConfig
from locutus_dagster.defs.names import CHANGED, GATE, PAUSED, ROUND, chain_keys
from locutus_dagster.defs.partitions import register_partitions
from locutus_dagster.defs.pause import report_pause
from locutus_dagster.defs.plans import plan, withdraw_plan
from locutus_dagster.defs.resources import EngineResource
from locutus_dagster.defs.run_settings import tell_settings
from locutus_dagster.defs.watching import outside_hours
from locutus_dagster.errors import LocutusError
from locutus_dagster.ledger import Ledger
from locutus_dagster.manifests import load_manifest
from locutus_dagster.pipeline.batch import Batch
from locutus_dagster.pipeline.choosing import check_names, unknown_accessions
from locutus_dagster.pipeline.labels import checked_label
from locutus_dagster.pipeline.options import RunOptions
from locutus_dagster.pipeline.outcomes import (
    Artifact,
    Finished,
    GateChecked,
    Metadata,
    PassDone,
    PhaseDone,
    Result,
)
from locutus_dagster.pipeline.parts import factory_named
from locutus_dagster.pipeline.passes import run_passes
from locutus_dagster.pipeline.picking import picked_up
from locutus_dagster.pipeline.preflight import preflight
from locutus_dagster.pipeline.workspace_secret import keep_it

__all__ = ["ChainStep"]

_REASONS_TOLD = 20
# Neither done nor failed: Dagster is to show them as they were before this run.
_AS_BEFORE = (Result.PENDING, Result.CHANGED, Result.LEFT, Result.REFUSED)


class ChainStep:
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
        self.dry = False

    def run(self, config: ChainConfig) -> Iterator[Any]:
        """Process what is asked for; events as they happen, a `Failure` at the end if need be."""
        batch = self.engine.batch(self.workspace, self.context.run.run_id)
        batch.options = config.options(batch.settings)
        tell_settings(self.context.instance, self.context.run, batch.settings, self.workspace)
        said = "dry_run" in config.given()
        self.dry = config.dry_run if said else batch.settings.run.dry_run
        partition_keys = self._partition_keys(config, batch.options)
        if self.dry:
            self._say_what_would_happen(partition_keys, batch)
            return
        if why := outside_hours(self.context.run, batch.settings, self.workspace):
            self._leave(partition_keys, why)
        if batch.settings.keep_interim_files:
            self.context.log.warning(
                "LOCUTUS_KEEP_INTERIM_FILES is on: IDENTIFIED studies stay in %s until somebody "
                "deletes them. Switch it off when the debugging is done.",
                batch.settings.scratch_dir,
            )
        for outcome in run_passes(batch, partition_keys):
            if isinstance(outcome, PhaseDone):
                yield from self._materialization(outcome)
            elif isinstance(outcome, GateChecked):
                yield from self._evaluation(outcome)
            elif isinstance(outcome, PassDone):
                self._tell_pass(outcome)
            else:
                self._note(outcome)
                if outcome.result is Result.CHANGED:
                    yield from self._observation(outcome)
        if batch.secret_created:
            self.context.log.warning(keep_it(batch.settings, self.workspace))
        self._conclude(batch, partition_keys)

    def _partition_keys(self, config: ChainConfig, options: RunOptions) -> list[str]:
        selected: list[str] | None = None
        if self.context.has_partition_key or self.context.has_partition_key_range:
            selected = list(self.context.partition_keys)
        ledger = self.engine.ledger(look_only=self.dry)
        try:
            if options.label is not None:
                numbers, _ = ledger.identifiers_of_workspace(self.workspace)
                checked_label(options.label, numbers)
            keys = self._asked_for(config, options, selected, ledger)
            more = picked_up(ledger, self.workspace, keys, options.sweep)
        finally:
            ledger.close()
        if more:
            self.context.log.info("%d accessions that stand in the middle go along", len(more))
        plan(self.context, self.keys.values(), more if selected is not None else keys + more)
        return keys + more

    def _asked_for(
        self,
        config: ChainConfig,
        options: RunOptions,
        selected: list[str] | None,
        ledger: Ledger,
    ) -> list[str]:
        name = config.manifest
        if config.file is not None and self.dry:
            raise LocutusError(
                "A dry run loads no manifest.",
                "Judge the file with 'locutus load-manifest --dry-run', or name one that has been "
                "loaded ('manifest').",
            )
        if config.file is not None:
            name = self._load(config, ledger, options)
        filters = config.selection(name)
        check_names(ledger, self.workspace, filters)
        if lines := unknown_accessions(ledger, self.workspace, filters):
            self.context.log.warning(
                "%d of the file's accessions are in no manifest of the workspace", len(lines)
            )
        if selected is not None:
            if filters.everything:
                return selected
            wanted = {item.partition_key for item in ledger.select(self.workspace, filters)}
            return [key for key in selected if key in wanted]
        if filters.everything and not config.everything:
            raise LocutusError(
                "Nothing was selected.",
                "Choose partitions, or name a manifest or a filter in the step's configuration "
                "('file', 'manifest', 'status' …).",
            )
        return [item.partition_key for item in ledger.select(self.workspace, filters)]

    def _say_what_would_happen(self, partition_keys: list[str], batch: Batch) -> None:
        """Log what a run would do about each accession; nothing is changed but Dagster's log."""
        parts = factory_named(batch.parts_factory)(batch.settings, self.workspace, look_only=True)
        try:
            items = parts.ledger.work_items(self.workspace, partition_keys)
            for seen in preflight(items, parts, batch.options or RunOptions()):
                self.context.log.info("%s would: %s", seen.partition_key, seen.words)
        finally:
            parts.close()
        withdraw_plan(self.context, self.keys.values(), partition_keys)

    def _load(self, config: ChainConfig, ledger: Ledger, options: RunOptions) -> str:
        report = load_manifest(
            ledger,
            Path(config.file or ""),
            workspace=self.workspace,
            name=config.name,
            allow_duplicates=options.allow_processing_of_duplicates,
        )
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
        for kind, count in report.counts.items():
            if count:
                self.context.log.warning("%d rows repeat an accession (%s)", count, kind)
        return report.manifest

    def _tell_pass(self, done: PassDone) -> None:
        counts = ", ".join(f"{count} {word}" for word, count in done.counts.items()) or "nothing"
        rest = done.ended or f"{done.left} are left for the next pass"
        if done.fault:
            self.context.log.warning("Pass %d could not work: %s", done.number, done.fault)
        # The words by which `defs/instance.py` finds it again.
        self.context.log.info("%s %d: %s; %s", ROUND, done.number, counts, rest)

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
        elif (
            end.result in _AS_BEFORE or end.reason
        ):  # delivered, and something beside it was not done
            self.context.log.warning("%s %s: %s", end.partition_key, end.result.value, end.reason)

    def _leave(self, partition_keys: list[str], why: str) -> NoReturn:
        """End before anything is begun, as a pause would end it."""
        withdraw_plan(self.context, self.keys.values(), partition_keys)
        count = len(partition_keys)
        raise dg.Failure(
            f"{count} accessions were not attempted ({why}).",
            metadata={"accessions": count, "not attempted": count, PAUSED: why},
            allow_retries=False,
        )

    def _show_pause(self) -> None:
        """Say it beside the assets once more, where materializations have covered it."""
        ledger = self.engine.ledger()
        try:
            report_pause(self.context.instance, [self.workspace], ledger.pauses())
        finally:
            ledger.close()

    def _conclude(self, batch: Batch, partition_keys: list[str]) -> None:
        by_result = {
            result: [key for key, end in self.ended.items() if end.result is result]
            for result in Result
        }
        counts = ", ".join(f"{len(found)} {r.value}" for r, found in by_result.items() if found)
        self.context.log.info("%d accessions: %s", len(partition_keys), counts or "none")
        failed, missed = by_result[Result.FAILED], batch.not_attempted
        if not failed and not missed and not self.rejected:
            return
        as_before = [key for result in _AS_BEFORE for key in by_result[result]]
        if batch.paused:
            as_before += [key for key in missed if key not in self.ended]
            self._show_pause()
        withdraw_plan(self.context, self.keys.values(), as_before)
        message = f"{len(failed)} of {len(partition_keys)} accessions failed"
        if missed:
            message += f"; {len(missed)} were not attempted"
        if batch.paused:
            message += f" ({batch.paused})"
        if self.rejected:
            message += f"; {self.rejected} rows of the manifest were rejected"
        reasons = [f"- {key}: {self.ended[key].reason}" for key in failed[:_REASONS_TOLD]]
        if len(failed) > len(reasons):
            reasons.append(f"- and {len(failed) - len(reasons)} more")
        raise dg.Failure(
            f"{message}.\n" + "\n".join(reasons),
            metadata={
                "accessions": len(partition_keys),
                "failed": len(failed),
                "not attempted": len(missed),
                "rows rejected": self.rejected,
                PAUSED: batch.paused,
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
