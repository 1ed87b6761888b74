"""A backfill from the UI, told by what Dagster's pages say afterwards.

The webserver and the daemon run as processes, as they do at a site. One accession of the manifest
is blocked by the residue gate, one is not in the PACS yet, one study holds a damaged file. The
backfill is launched with the mutation that the UI sends. Everything holds twice: with SQLite, and
with ledger and Dagster's storage in PostgreSQL.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psutil
import pytest

from locutus_dagster_tests.e2e.leaks import IdentifierSearch
from locutus_dagster_tests.e2e.research_site import (
    ASSETS,
    DEIDENTIFIED,
    DELIVERED,
    GATE,
    RAW,
    SUMMARY,
    Site,
    build_site,
    delivered_file,
    members,
)
from locutus_dagster_tests.parts.dagster_processes import (
    CheckExecution,
    PartitionStatuses,
    Run,
    Webserver,
    daemon,
    webserver,
)
from locutus_dagster_tests.parts.postgres import PostgresServer

pytestmark = pytest.mark.slow

MANIFEST = "m"


@dataclass(frozen=True)
class Seen:
    """What Dagster's pages say after a backfill."""

    backfill: str
    runs: list[Run]
    statuses: Mapping[str, PartitionStatuses]
    checks: list[CheckExecution]
    metadata: Mapping[tuple[str, str], Mapping[str, Any]]


@dataclass(frozen=True)
class Story:
    """Two backfills at a site: of the whole manifest, and of the study that arrived late."""

    site: Site
    keys: list[str]
    first: Seen
    second: Seen
    arrived: int
    process_groups: tuple[int, ...]
    storage_url: str | None

    @property
    def missing(self) -> str:
        return self.site.partition_of(self.site.pacs.missing_accession, MANIFEST)

    @property
    def blocked(self) -> str:
        return self.site.partition_of(str(self.site.pacs.residue_accession), MANIFEST)

    @property
    def good(self) -> set[str]:
        """What can be delivered from the start."""
        return set(self.keys) - {self.missing, self.blocked}


def _look(dagster: Webserver, backfill_id: str) -> Seen:
    ended = dagster.wait_for_backfill(backfill_id)
    statuses = {asset: dagster.partition_statuses(asset) for asset in ASSETS}
    return Seen(
        ended,
        dagster.runs(dagster__backfill=backfill_id),
        statuses,
        dagster.check_executions(DEIDENTIFIED, GATE),
        {
            (asset, key): dagster.materialization_metadata(asset, key)
            for asset in ASSETS
            for key in statuses[asset].materialized
        },
    )


@pytest.fixture(
    scope="module",
    params=["SQLite", pytest.param("PostgreSQL", marks=pytest.mark.postgres)],
)
def story(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Story]:
    """Both backfills, with the processes ended and PostgreSQL still there to be searched."""
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as servers:
        storage_url, variables = None, {}
        if request.param == "PostgreSQL":
            postgres = servers.enter_context(PostgresServer())
            storage_url = postgres.create_database("dagster")
            variables = {
                "LOCUTUS_PG_URL": storage_url,
                "LOCUTUS_LEDGER_URL": postgres.create_database("ledger"),
            }
        site = build_site(folder, variables=variables, postgres=storage_url is not None)
        keys = site.load(site.pacs.manifest, MANIFEST)
        with daemon(site.env, site.logs) as background, webserver(site.env, site.logs) as dagster:
            first = _look(dagster, dagster.launch_backfill(keys, ASSETS))
            accession = site.pacs.missing_accession
            arrived = site.arrive(accession, like="0007712345")
            late = [site.partition_of(accession, MANIFEST)]
            second = _look(dagster, dagster.launch_backfill(late, ASSETS))
            groups = (dagster.process.pid, background.pid)
        yield Story(site, keys, first, second, arrived, groups, storage_url)


def test_each_asset_says_exactly_which_accessions_got_that_far(story: Story) -> None:
    statuses = story.first.statuses
    assert statuses[RAW].materialized == story.good | {story.blocked}
    assert statuses[RAW].failed == set()
    for asset in (DEIDENTIFIED, DELIVERED, SUMMARY):
        assert statuses[asset].materialized == story.good, asset
        assert statuses[asset].failed == {story.blocked}, asset
    assert not any(status.materializing for status in statuses.values())


def test_a_pending_accession_has_neither_failed_nor_got_anywhere(story: Story) -> None:
    assert [run.status for run in story.first.runs] == ["FAILURE"]  # its own run, too
    for asset, status in story.first.statuses.items():
        assert story.missing not in status.failed | status.materialized, asset
        assert story.missing in status.missing, asset


def test_the_gate_failed_for_the_blocked_accession_alone(story: Story) -> None:
    verdicts = {check.partition: check.status for check in story.first.checks}
    assert {key for key, status in verdicts.items() if status == "FAILED"} == {story.blocked}
    assert {key for key, status in verdicts.items() if status == "SUCCEEDED"} == story.good
    (failed,) = (check for check in story.first.checks if check.status == "FAILED")
    assert failed.metadata["instances withheld for residue"] == story.site.instances_of(
        str(story.site.pacs.residue_accession)
    )
    assert failed.metadata["places"] == "(0018,1020)"


def test_the_backfill_and_its_run_say_that_something_failed(story: Story) -> None:
    assert story.first.backfill == "COMPLETED_FAILED"
    (run,) = story.first.runs
    assert (
        run.tags["dagster/asset_partition_range_start"],
        run.tags["dagster/asset_partition_range_end"],
    ) == (story.keys[0], story.keys[-1])


def test_a_delivered_partition_carries_what_an_operator_wants_to_know(story: Story) -> None:
    pacs = story.site.pacs
    for key in story.good:
        found = pacs.accessions[story.keys.index(key)]
        raw, deidentified, delivered, summary = (
            story.first.metadata[asset, key] for asset in ASSETS
        )
        assert raw["instances"] == story.site.instances_of(found)
        for facts in (raw, deidentified, delivered):
            assert facts["instances"] > 0
            assert facts["bytes"] > 1000
            assert 0 < facts["seconds"] < 60
            assert len(facts["sha256"]) == 64
        assert deidentified["instances"] + deidentified["instances withheld"] == raw["instances"]
        assert deidentified["study UID (pseudonym)"].startswith("2.25.")
        assert summary["study UID (pseudonym)"] == deidentified["study UID (pseudonym)"]
        assert summary["status"] == "PROCESSED"
        assert delivered["uri"].startswith("file:///")


def test_what_was_withheld_is_said_with_its_reason(story: Story) -> None:
    for accession in (story.site.pacs.damaged_accession, story.site.pacs.withheld_accession):
        key = story.site.partition_of(accession, MANIFEST)
        facts = story.first.metadata[DEIDENTIFIED, key]
        reasons = {name: n for name, n in facts.items() if name.startswith("withheld: ")}
        assert sum(reasons.values()) == facts["instances withheld"] > 0


def test_the_file_at_each_uri_is_the_one_that_was_recorded(story: Story) -> None:
    files = []
    for key in story.good:
        facts = story.second.metadata[DELIVERED, key]
        path = delivered_file(facts["uri"])
        content = path.read_bytes()
        assert hashlib.sha256(content).hexdigest() == facts["sha256"]
        assert len(content) == facts["bytes"]
        assert len(members(path)) == facts["instances"]
        files.append(path)
    # And nothing else was delivered: of the blocked accession, not even a part.
    late = delivered_file(story.second.metadata[DELIVERED, story.missing]["uri"])
    on_the_share = {path for path in story.site.delivered.rglob("*") if path.is_file()}
    assert on_the_share == {*files, late}


def test_a_study_that_arrives_later_is_delivered_by_the_next_backfill(story: Story) -> None:
    assert story.second.backfill == "COMPLETED_SUCCESS"
    assert [run.status for run in story.second.runs] == ["SUCCESS"]
    for asset, status in story.second.statuses.items():
        assert story.missing in status.materialized, asset
        assert status.failed == story.first.statuses[asset].failed, asset
    assert story.second.metadata[DELIVERED, story.missing]["instances"] == story.arrived


def test_the_next_backfill_leaves_the_others_as_they_were(story: Story) -> None:
    for key in story.good:
        before = story.first.metadata[DELIVERED, key]
        assert story.second.metadata[DELIVERED, key] == before


def test_no_identifier_is_in_dagsters_storage_or_in_what_its_processes_printed(
    story: Story,
) -> None:
    site = story.site
    search = IdentifierSearch((*site.pacs.invented_identifiers, *site.pacs.accessions))
    besides = [site.pacs.root, site.pacs.manifest, site.home / "private"]
    logs = {path.name for path in site.logs.iterdir()}
    assert {"webserver.log", "daemon.log", "load.out", "load.err"} <= logs
    assert search.in_tree(site.folder, besides=besides) == []
    if story.storage_url is not None:
        assert search.in_database("PostgreSQL", story.storage_url) == []


def test_the_processes_leave_nobody_behind(story: Story) -> None:
    left = [
        process
        for process in psutil.process_iter()
        if _group_of(process) in story.process_groups and process.status() != psutil.STATUS_ZOMBIE
    ]
    assert left == []


def _group_of(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return None
