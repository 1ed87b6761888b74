"""How many runs ask one source at a time: a Dagster pool for each source.

What belongs here: the pool's name, bringing its limit into the instance, and giving back what a
run that died still holds. What does not: how many questions one run asks at a time (the source's
own `connections`).

Workspaces over the same source share its pool. Without a limit in the settings Dagster's default
applies, which is none.
"""

from __future__ import annotations

import re
from pathlib import Path

import dagster as dg

from locutus_dagster.pipeline.host import known_dead
from locutus_dagster.settings import Settings, WorkspaceSettings
from locutus_dagster.settings.contradictions import server_of

__all__ = ["OWNER_TAG", "apply_pool_limits", "bury_dead_runs", "pool_of"]

#: Says of a run in a process of its own which one that is; see `pipeline/host.py`.
OWNER_TAG = "locutus/owner"
_UNSAFE = re.compile(r"\s+")


def pool_of(own: WorkspaceSettings) -> str:
    """The pool of a workspace's source, such as `orthanc:pacs.example:8042`; no credentials."""
    source = own.source
    url, path = getattr(source, "url", None), getattr(source, "path", None)
    if isinstance(url, str):
        place = server_of(url)
    elif isinstance(path, Path):
        place = str(path)
    else:
        place = "other"
    return _UNSAFE.sub("_", f"{source.kind}:{place}")


def apply_pool_limits(instance: dg.DagsterInstance, settings: Settings) -> dict[str, int]:
    """Bring the limits of the settings into the instance; of several for a pool the least.

    A limit that somebody has set in Dagster for a source that the settings do not limit stays.

    Returns:
        The limits that are asked for, by pool.
    """
    wanted: dict[str, int] = {}
    for own in settings.workspaces.values():
        if own.pool_limit is not None:
            pool = pool_of(own)
            wanted[pool] = min(own.pool_limit, wanted.get(pool, own.pool_limit))
    storage = instance.event_log_storage
    if not wanted or not storage.supports_global_concurrency_limits:
        return {}
    known = {limit.name: limit.limit for limit in storage.get_pool_limits()}
    for pool, limit in wanted.items():
        if known.get(pool) != limit:
            storage.set_concurrency_slots(pool, limit)
    return wanted


def bury_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Record as failed what a process of this host left running when it died, and free its slots.

    Dagster watches the runs that it launches; one in a process of its own (`locutus run`) would
    hold its place in a pool for ever.

    Returns:
        The identifiers of these runs.
    """
    buried = []
    active = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
    for run in instance.get_runs(filters=active):
        owner = run.tags.get(OWNER_TAG)
        if owner is None or not known_dead(owner):
            continue
        instance.report_run_failed(run, "The process that made this run has died. Run it again.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        buried.append(run.run_id)
    return buried
