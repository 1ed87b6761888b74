"""Summarizer reports in Dagster: an asset, and the schedules that materialize it.

What belongs here: the asset's definition, what Dagster is shown of a report, and when it is made.
What does not: what stands in a report (`summarizer/`).

What Dagster keeps cannot be taken back, so it is shown a redacted report whatever the files hold.
"""

# No `from __future__ import annotations` here: Dagster reads the annotations of the asset.
from typing import Any

import dagster as dg
from pydantic import Field

from locutus_dagster.defs.names import OPERATIONS, WHOLE, manifests_name, scoped
from locutus_dagster.defs.resources import EngineResource
from locutus_dagster.errors import LocutusError, describe_unexpected
from locutus_dagster.ledger import Ledger
from locutus_dagster.settings import ScheduleSettings, Settings
from locutus_dagster.summarizer.forms.table import (
    TableRow,
    failure_rows,
    line_rows,
    overview_rows,
)
from locutus_dagster.summarizer.gathering import summarize
from locutus_dagster.summarizer.model import Summary
from locutus_dagster.summarizer.notifying import notify
from locutus_dagster.summarizer.redacting import redacted
from locutus_dagster.summarizer.reporting import Written, columns_of, report_folder, write_reports

__all__ = ["ReportConfig", "report_defs"]

_TOLD = 100
_DESCRIPTION = (
    "Where a manifest, or the whole workspace, stands: written to the reports folder in the forms "
    "that the settings name, with the date in their names. What is shown here is redacted: no "
    "accession number and no subject."
)


class ReportConfig(dg.Config):
    """What kind of report is made; what is left out, the settings say."""

    detailed: bool = Field(default=True, description="A row for each accession, or counts alone.")
    forms: list[str] = Field(default=[], description="csv, markdown, html, xlsx, json.")
    redact: bool | None = Field(default=None, description="No identifier in the files either.")
    notify: bool = Field(default=False, description="Tell those whom the settings name.")


def report_defs(workspace: str, settings: Settings) -> dg.Definitions:
    """The asset `<workspace>/batch_summary` and its schedules, as the settings ask for them."""
    own = settings.workspace(workspace)
    key = dg.AssetKey([workspace, "batch_summary"])

    @dg.asset(
        key=key,
        group_name=OPERATIONS,
        description=_DESCRIPTION,
        kinds={"table"},
        partitions_def=dg.DynamicPartitionsDefinition(name=manifests_name(workspace)),
        owners=list(own.owners or (f"team:{workspace}",)),
    )
    def batch_summary(
        context: dg.AssetExecutionContext, config: ReportConfig, engine: EngineResource
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        try:
            return dg.MaterializeResult(metadata=_report(context, workspace, config, engine))
        except Exception as error:  # noqa: BLE001 - Dagster would store its text and its frames
            raise dg.Failure(describe_unexpected(error), allow_retries=False) from None

    job = dg.define_asset_job(
        scoped(workspace, "summarize"),
        selection=dg.AssetSelection.assets(key),
        description="Write a Summarizer report of a manifest, or of the whole workspace.",
    )
    schedules = [
        _schedule(workspace, name, told, job.name, detailed=name == "detailed")
        for name, told in (("detailed", own.reports.detailed), ("overview", own.reports.overview))
        if told is not None
    ]
    return dg.Definitions(assets=[batch_summary], jobs=[job], schedules=schedules)


def _schedule(
    workspace: str, name: str, told: ScheduleSettings, job_name: str, *, detailed: bool
) -> dg.ScheduleDefinition:
    step = f"{workspace}__batch_summary"

    @dg.schedule(
        name=scoped(workspace, f"summary_{name}"),
        job_name=job_name,
        cron_schedule=told.cron,
        execution_timezone=told.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"The {name} report of the whole workspace.",
    )
    def summary(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        context.instance.add_dynamic_partitions(manifests_name(workspace), [WHOLE])
        at = context.scheduled_execution_time
        return dg.RunRequest(
            run_key=f"{name}-{at.isoformat()}",
            partition_key=WHOLE,
            run_config={"ops": {step: {"config": {"detailed": detailed, "notify": True}}}},
        )

    return summary


def _report(
    context: dg.AssetExecutionContext, workspace: str, config: ReportConfig, engine: EngineResource
) -> dict[str, Any]:
    settings = engine.settings()
    told = settings.workspace(workspace).reports
    whole = context.partition_key == WHOLE
    manifests = () if whole else (context.partition_key,)
    # The name of a report says the workspace and the date.
    folder = report_folder(settings, workspace) / ("" if whole else context.partition_key)
    ledger: Ledger = engine.ledger(look_only=True)
    try:
        full = summarize(
            ledger,
            workspace,
            manifests=manifests,
            detailed=config.detailed,
            settings=columns_of(told),
        )
        safe = redacted(full)
        wanted = told.redact if config.redact is None else config.redact
        written = write_reports(
            safe if wanted else full,
            config.forms or told.forms,
            folder,
            keep_days=told.keep,
        )
        made = _metadata(safe, written)
    finally:
        ledger.close()
    if config.notify:
        try:
            # Of a manifest's report too: mail and webhooks are not told names of manifests.
            notify(told.notify, safe, settings.secrets, str(report_folder(settings, workspace)))
        except LocutusError as error:
            # The report is there all the same.
            context.log.error("%s", error)
            made["nobody was told"] = str(error)
    return made


def _metadata(summary: Summary, written: Written) -> dict[str, Any]:
    made: dict[str, Any] = {
        "rows": summary.rows,
        "duplicates": summary.duplicates,
        "rejected": summary.rejected,
        "how they stand": _table(overview_rows(summary)),
        "as of": dg.MetadataValue.timestamp(summary.as_of),
        "older reports removed": written.removed,
    }
    if summary.detailed and summary.rows:
        made["rows, the first of them"] = _table(line_rows(summary, _TOLD))
    for path in written.files:
        made[f"file: {path.suffix.lstrip('.')}"] = dg.MetadataValue.path(str(path))
    if summary.failures:
        made["failures"] = _table(failure_rows(summary, _TOLD))
    if summary.pace is not None:
        made["accessions an hour"] = round(summary.pace, 1)
    if summary.eta is not None:
        made["seconds to the end"] = int(summary.eta.total_seconds())
    if summary.stage is not None:
        made["studies at the source"] = summary.stage.studies
        made["studies that no manifest names"] = len(summary.stage.unnamed)
        made["rows that the source lacks"] = len(summary.stage.lacking)
    return made


def _table(rows: list[TableRow]) -> dg.TableMetadataValue:
    columns = [
        dg.TableColumn(name, "int" if isinstance(value, int) else "string")
        for name, value in (rows[0] if rows else {}).items()
    ]
    records = [dg.TableRecord({**row}) for row in rows]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))
