"""A pool for each source: its limit comes from the settings, holds for every run, and is freed."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import dagster as dg
import pytest

from locutus_dagster.defs.instance import new_run_id, open_instance, process
from locutus_dagster.defs.names import DEFAULT_WORKSPACE as WS
from locutus_dagster.defs.pools import OWNER_TAG, apply_pool_limits, bury_dead_runs, pool_of
from locutus_dagster.ledger import State
from locutus_dagster.settings import Settings, WorkspaceSettings
from locutus_dagster_tests.defs.conftest import MANIFEST, Home


def over_orthanc(url: str, limit: int | None = None) -> WorkspaceSettings:
    return WorkspaceSettings.model_validate(
        {
            "source": {"kind": "orthanc", "url": url},
            "target": {"path": "/mnt/share"},
            "pool_limit": limit,
        }
    )


def limits(instance: dg.DagsterInstance) -> dict[str, int]:
    return {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}


def test_a_pool_is_called_after_the_source_without_its_credentials() -> None:
    assert pool_of(over_orthanc("https://me:pw@pacs:8042/x/")) == "orthanc:pacs:8042/x"
    assert pool_of(over_orthanc("http://pacs")) == "orthanc:pacs"
    assert pool_of(over_orthanc("http://pacs:80/")) == "orthanc:pacs"


def test_workspaces_over_one_source_share_its_pool_and_the_least_of_their_limits(
    tmp_path: Path,
) -> None:
    settings = Settings(
        home=tmp_path,
        workspaces={
            "one": over_orthanc("http://pacs:8042", 3),
            "two": over_orthanc("http://pacs:8042", 2),
            "three": over_orthanc("http://other:8042"),
        },
    )
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        apply_pool_limits(instance, settings)
        assert limits(instance) == {"orthanc:pacs:8042": 2}


def test_a_run_waits_until_the_source_is_free_and_frees_it_afterwards(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster-home"))
    home.load()
    own = home.settings.workspace(WS).model_copy(update={"pool_limit": 1})
    settings = home.settings.model_copy(update={"workspaces": {WS: own}})
    pool = pool_of(own)
    with open_instance(settings) as instance:
        apply_pool_limits(instance, settings)
        storage = instance.event_log_storage
        other = instance.create_run_for_job(_nothing, status=dg.DagsterRunStatus.STARTED).run_id
        assert storage.claim_concurrency_slot(pool, other, "a_step").is_claimed
        config, ended = {"manifest": MANIFEST}, []

        def run() -> None:
            with open_instance(settings) as own_instance:
                ended.append(process(own_instance, settings, WS, config, new_run_id()))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join(4)
        assert thread.is_alive()
        assert home.item(home.pacs.accessions[0]).state is State.LOADED
        storage.free_concurrency_slots_for_run(other)
        thread.join(60)
        assert len(ended) == 1
        assert home.item(home.pacs.accessions[0]).state is State.DELIVERED
        assert not storage.get_concurrency_info(pool).claimed_slots


@dg.job
def _nothing() -> None:
    pass


def test_a_run_whose_process_has_died_gives_its_place_back(tmp_path: Path) -> None:
    told = "from locutus_dagster.pipeline.host import new_owner; print(new_owner())"
    dead = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        storage = instance.event_log_storage
        storage.set_concurrency_slots("pool", 1)
        run = instance.create_run_for_job(
            _nothing,
            status=dg.DagsterRunStatus.STARTED,
            tags={OWNER_TAG: dead.stdout.strip()},
        )
        storage.claim_concurrency_slot("pool", run.run_id, "a_step")
        alive = instance.create_run_for_job(_nothing, status=dg.DagsterRunStatus.STARTED)
        assert bury_dead_runs(instance) == [run.run_id]
        assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE
        assert instance.get_run_by_id(alive.run_id).status is dg.DagsterRunStatus.STARTED
        assert not storage.get_concurrency_info("pool").claimed_slots
