"""The Dagster instance that `locutus` works with, and processing on it in this process.

What belongs here: `$DAGSTER_HOME`, and the one call that executes the job. What does not: what is
shown of it (`cli.py`).
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import dagster as dg

from locutus_dagster.defs.build import build_defs
from locutus_dagster.defs.names import ROUND, scoped
from locutus_dagster.defs.pools import OWNER_TAG, apply_pool_limits, bury_dead_runs
from locutus_dagster.defs.run_failures import RunFailure, failure_of
from locutus_dagster.pipeline.host import new_owner
from locutus_dagster.settings import Settings
from locutus_dagster.strict_model import expanded

__all__ = [
    "RunFailure",
    "dagster_home",
    "dagster_home_path",
    "failure_of",
    "new_run_id",
    "open_instance",
    "passes_of",
    "process",
]


def dagster_home_path(settings: Settings) -> Path:
    """`$DAGSTER_HOME`, by default a folder in the home; it may not be there."""
    told = os.environ.get("DAGSTER_HOME")
    return expanded(told, "DAGSTER_HOME") if told else settings.home / "dagster"


def dagster_home(settings: Settings) -> Path:
    """The same, created with a `dagster.yaml` if new."""
    home = dagster_home_path(settings)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        template = resources.files("locutus_dagster.defs").joinpath("dagster.yaml")
        config.write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    return home


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The persistent instance; the caller closes it (it is a context manager)."""
    dagster_home(settings)
    return dg.DagsterInstance.get()


def new_run_id() -> str:
    """An identifier for a run that is about to start."""
    return str(uuid.uuid4())


def process(
    instance: dg.DagsterInstance,
    settings: Settings,
    workspace: str,
    config: Mapping[str, Any],
    run_id: str,
    *,
    tags: Mapping[str, str] | None = None,
) -> bool:
    """Process what `config` asks for in this process; True when nothing failed.

    The run, its events and its partitions are in the instance like those of a backfill.

    Args:
        config: of the step, as `defs/chain_config.py` has it; Dagster keeps it, so it names nobody.
        tags: more of them for the run.
    """
    job = build_defs(settings).resolve_job_def(scoped(workspace, "process_manifest"))
    step = scoped(workspace, "accession_chain")
    manifest = config.get("manifest")
    bury_dead_runs(instance)
    apply_pool_limits(instance, settings)
    marks = {OWNER_TAG: new_owner(), **(tags or {})}
    if manifest:
        marks["locutus/manifest"] = str(manifest)
    result = job.execute_in_process(
        instance=instance,
        run_id=run_id,
        raise_on_error=False,
        tags=marks,
        run_config={
            "ops": {step: {"config": dict(config)}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
    )
    return bool(result.success)


def passes_of(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """What a run logged at the end of each of its passes."""
    return [
        entry.user_message
        for entry in instance.all_logs(run_id)
        if entry.dagster_event is None and entry.user_message.startswith(f"{ROUND} ")
    ]
