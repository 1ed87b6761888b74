"""The pause switch as Dagster shows it: a check of the first asset of each workspace.

What belongs here: the check, and reporting it without a run, so that the UI shows a pause at the
moment in which somebody sets it. What does not: setting the switch (`ledger/pauses.py`) and
stopping (`pipeline/queueing.py`).

The check has no input. A check that waits for its asset would be skipped in every run, since the
chain's step reports materializations and hands nothing on; and a skipped check hides what was
reported before.
"""

# No `from __future__ import annotations` here: Dagster reads the annotations of the step.
from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)

from locutus_dagster.defs.names import asset_key
from locutus_dagster.defs.resources import EngineResource
from locutus_dagster.ledger.pauses import SYSTEM, PauseRecord, holds_up
from locutus_dagster.pipeline.outcomes import Artifact
from locutus_dagster.settings import Settings

__all__ = ["NOT_PAUSED", "pause_check", "report_pause", "show_pause"]

NOT_PAUSED = "not_paused"


def pause_check(workspace: str) -> dg.AssetChecksDefinition:
    """The check of one workspace; it can be executed by itself, and goes along with each run."""
    key = asset_key(workspace, Artifact.RAW)
    spec = dg.AssetCheckSpec(
        NOT_PAUSED,
        asset=key,
        description="Nobody has paused the system, its processing, or one of its nodes "
        "(`locutus pause`). Runs that meet a pause finish what they have in hand and begin "
        "nothing else; a later run does the rest. `locutus pause` and `locutus resume` report "
        "here at once.",
    )

    @dg.op(name=spec.get_python_identifier(), out=dg.Out(dg.Nothing))
    def not_paused(engine: EngineResource) -> dg.AssetCheckResult:
        ledger = engine.ledger()
        try:
            switches = ledger.pauses()
        finally:
            ledger.close()
        return dg.AssetCheckResult(asset_key=key, check_name=NOT_PAUSED, **_verdict(switches))

    check: dg.AssetChecksDefinition = dg.AssetChecksDefinition.create(
        keys_by_input_name={},
        node_def=not_paused,
        check_specs_by_output_name={not_paused.output_defs[0].name: spec},
        can_subset=False,
        resource_defs={},
    )
    return check


def report_pause(
    instance: dg.DagsterInstance, workspaces: Iterable[str], switches: Sequence[PauseRecord]
) -> None:
    """Report how the switches stand as the check's latest result, without a run.

    Dagster shows a result beside an asset until the asset is materialized again; a run that has
    been paused therefore reports once more when it ends.
    """
    verdict = _verdict(switches)
    for workspace in workspaces:
        key = asset_key(workspace, Artifact.RAW)
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=key,
                check_name=NOT_PAUSED,
                blocking=False,
                target_materialization_data=_latest_materialization(instance, key),
                **verdict,
            )
        )


def _latest_materialization(
    instance: dg.DagsterInstance, key: dg.AssetKey
) -> AssetCheckEvaluationTargetMaterializationData | None:
    """What the result speaks of; by times alone, which SQLite rounds, it may look too old."""
    records = instance.get_asset_records([key])
    last = records[0].asset_entry.last_materialization_record if records else None
    if last is None:
        return None
    return AssetCheckEvaluationTargetMaterializationData(
        run_id=last.run_id, storage_id=last.storage_id, timestamp=last.timestamp
    )


def show_pause(settings: Settings, switches: Sequence[PauseRecord]) -> bool:
    """Report in the instance that `locutus` works with; False where there is none yet."""
    from locutus_dagster.defs.instance import dagster_home_path, open_instance

    if not dagster_home_path(settings).is_dir():
        return False
    with open_instance(settings) as instance:
        report_pause(instance, sorted(settings.workspaces), switches)
    return True


def _verdict(switches: Sequence[PauseRecord]) -> dict[str, Any]:
    """Whether nothing holds up processing, and if something does, what, why, since when, by whom.

    Reasons are free of identifiers: who sets the switch is told so.
    """
    found = [switch for switch in switches if switch.paused and holds_up(switch.scope)]
    if not found:
        return {"passed": True, "metadata": {}}
    found.sort(key=lambda switch: switch.scope != SYSTEM)
    first = found[0]
    metadata: dict[str, Any] = {
        "scope": first.scope,
        "reason": first.reason,
        "since": dg.MetadataValue.timestamp(first.changed_at),
        "by": first.changed_by,
    }
    if found[1:]:
        more = (f"{switch.scope}: {switch.reason}".rstrip(": ") for switch in found[1:])
        metadata["also paused"] = "; ".join(more)
    return {"passed": False, "severity": dg.AssetCheckSeverity.WARN, "metadata": metadata}
