"""The asset of a workspace that looks at a selection before anything moves.

What belongs here: its configuration, and what Dagster is told. What does not: finding it out
(`pipeline/preflight.py`). Nothing is changed by it, and nothing it tells identifies anybody.
"""

# No `from __future__ import annotations` here: Dagster reads the annotations of the step.
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from locutus_dagster.defs.names import OPERATIONS
from locutus_dagster.defs.resources import EngineResource
from locutus_dagster.errors import LocutusError, describe_unexpected
from locutus_dagster.ledger.selection import Selection
from locutus_dagster.pipeline.choosing import selection
from locutus_dagster.pipeline.foreseen import Foreseen
from locutus_dagster.pipeline.options import RunOptions
from locutus_dagster.pipeline.parts import factory_named
from locutus_dagster.pipeline.preflight import chosen, preflight
from locutus_dagster.pipeline.preflight_report import PreflightSummary, circumstances, unplaced
from locutus_dagster.settings import Reprocess, Settings

__all__ = ["PreflightConfig", "preflight_asset", "preflight_key"]

_MOST_ROWS = 200
_DESCRIPTION = (
    "What a run would do about the accessions of a manifest, found out before anything moves: what "
    "is missing at the source, ambiguous or about several patients, which instances are certain to "
    "be withheld, and whether the space suffices. Nothing is changed. Configure the step with "
    "`manifest`, a filter, or `everything`."
)


class PreflightConfig(dg.Config):
    """What to look at; what is given has to hold together."""

    manifest: str | None = Field(
        default=None, description="The name of a manifest that has been loaded before."
    )
    status: list[str] = Field(
        default=[],
        description="Only accessions that stand so: pending, failed, unfinished, !delivered, or "
        "the beginning of one of the reference's words, such as ERROR_PHASE04.",
    )
    subject: list[str] = Field(default=[], description="Only these research subjects.")
    accession_file: str | None = Field(
        default=None, description="Only the accessions that this file lists, one a line."
    )
    changed_since: str | None = Field(
        default=None,
        description="Only accessions whose state has changed since: a date, or 2h, 3d, 1w.",
    )
    everything: bool = Field(
        default=False, description="All of the workspace, where nothing else is named."
    )
    reprocess: str | None = Field(
        default=None,
        description="What would become of finished accessions: "
        + ", ".join(mode.value for mode in Reprocess),
    )

    def selection(self) -> Selection:
        """The filter.

        Raises:
            LocutusError: nothing was named, or a word cannot be understood.
        """
        found = selection(
            manifests=(self.manifest,) if self.manifest else (),
            statuses=tuple(self.status),
            subjects=tuple(self.subject),
            accession_file=Path(self.accession_file) if self.accession_file else None,
            changed_since=self.changed_since,
        )
        if found.everything and not self.everything:
            raise LocutusError(
                "Nothing was selected.",
                "Name a manifest or a filter in the step's configuration, or set 'everything'.",
            )
        return found


def preflight_key(workspace: str) -> dg.AssetKey:
    """`<workspace>/preflight`."""
    return dg.AssetKey([workspace, "preflight"])


def preflight_asset(workspace: str, settings: Settings) -> dg.AssetsDefinition:
    """The asset of one workspace."""
    own = settings.workspace(workspace)

    @dg.asset(
        key=preflight_key(workspace),
        group_name=OPERATIONS,
        description=_DESCRIPTION,
        kinds={"table"},
        owners=list(own.owners or (f"team:{workspace}",)),
    )
    def look_ahead(
        context: dg.AssetExecutionContext, config: PreflightConfig, engine: EngineResource
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        try:
            return dg.MaterializeResult(metadata=_look(context, workspace, config, engine))
        except Exception as error:  # noqa: BLE001 - Dagster would store its text and its frames
            # `from None`: what lies behind may quote more than the message does.
            raise dg.Failure(describe_unexpected(error), allow_retries=False) from None

    return look_ahead


def _look(
    context: dg.AssetExecutionContext,
    workspace: str,
    config: PreflightConfig,
    engine: EngineResource,
) -> dict[str, Any]:
    settings = engine.settings()
    options = RunOptions.of(settings, reprocess=config.reprocess)
    parts = factory_named(engine.parts_factory)(settings, workspace, look_only=True)
    try:
        items, unknown = chosen(parts, config.selection(), options)
        summary = PreflightSummary(circumstances(parts))
        worth: list[Foreseen] = []
        summary.hear(parts.source.check())
        for record in preflight(items, parts, options):
            summary.add(record)
            if summary.worth_a_line(record) and len(worth) < _MOST_ROWS:
                worth.append(record)
    finally:
        parts.close()
    warnings = [*unplaced(unknown), *summary.warnings()]
    for warning in warnings:
        context.log.warning("%s", warning)
    return _metadata(summary, warnings, worth, bool(unknown))


def _metadata(
    summary: PreflightSummary, warnings: Sequence[str], worth: Sequence[Foreseen], unknown: bool
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "accessions": summary.items,
        "needs attention": summary.needs_attention or unknown,
        "accessions that need attention": summary.attention,
        "instances": summary.instances,
        "instances that will be withheld": summary.instances_withheld,
        "bytes": summary.size,
        "bytes to deliver": summary.delivery,
        "bytes of scratch space for the largest": summary.largest,
        "totals": dg.MetadataValue.table(
            [
                dg.TableRecord({"what would happen": would.value, "accessions": count})
                for would, count in summary.outcomes.most_common()
            ]
            or [dg.TableRecord({"what would happen": "nothing", "accessions": 0})]
        ),
        "warnings": dg.MetadataValue.md("\n".join(f"- {one}" for one in warnings) or "None."),
    }
    if worth:
        told["worth a look"] = dg.MetadataValue.table(
            [dg.TableRecord(_row(summary, record)) for record in worth]
        )
    return told


def _row(summary: PreflightSummary, record: Foreseen) -> dict[str, str | int | float | bool]:
    return {
        "partition": record.partition_key,
        "subject": record.subject_id,
        "what would happen": record.words,
        "instances": record.instances,
        "bytes": record.size,
        "withheld": record.instances_withheld,
        "attention": bool(summary.attention_for(record)),
        "notes": "; ".join(summary.notes_on(record)),
    }
