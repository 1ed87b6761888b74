"""`dagster job execute` with a manifest: the whole of it in one process, as CI would run it.

The run learns its partitions while it runs, and no daemon is there. What the pages of Dagster say
of it afterwards is what they would say of a backfill.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

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
)
from locutus_dagster_tests.parts.dagster_processes import PartitionStatuses, webserver

pytestmark = pytest.mark.slow

ABSENT = "DEMO-24-008888"


@dataclass(frozen=True)
class Executed:
    """Two manifests processed one after the other, and what a webserver says of them."""

    site: Site
    fine: subprocess.CompletedProcess[str]
    mixed: subprocess.CompletedProcess[str]
    statuses: Mapping[str, PartitionStatuses]
    checks: Mapping[str, str]
    uri: str


def _execute(site: Site, name: str, manifest: Path) -> subprocess.CompletedProcess[str]:
    config = {"ops": {"accession_chain": {"config": {"file": str(manifest), "name": name}}}}
    path = site.folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    job = ("-m", "locutus_dagster.definitions", "-j", "process_manifest", "-c", str(path))
    return site.call("dagster", "job", "execute", *job, log=name)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    """The first manifest asks for a study that is not there; the second for a blocked one, too."""
    site = build_site(tmp_path_factory.mktemp("site"))
    accessions = site.pacs.accessions
    assert site.pacs.missing_accession in accessions[:5]
    first = site.manifest_of("fine", accessions[:5])
    second = site.manifest_of("mixed", (ABSENT, accessions[5], str(site.pacs.residue_accession)))
    fine = _execute(site, "fine", first)
    mixed = _execute(site, "mixed", second)
    with webserver(site.env, site.logs) as dagster:
        return Executed(
            site,
            fine,
            mixed,
            {asset: dagster.partition_statuses(asset) for asset in ASSETS},
            {
                check.partition: check.status
                for check in dagster.check_executions(DEIDENTIFIED, GATE)
            },
            dagster.materialization_metadata(DELIVERED, "mixed~000002")["uri"],
        )


def _of(name: str, keys: frozenset[str]) -> set[int]:
    """The rows of a manifest among partition keys."""
    return {int(key.partition("~")[2]) for key in keys if key.startswith(f"{name}~")}


def test_a_pending_accession_does_not_make_the_command_fail(executed: Executed) -> None:
    assert executed.fine.returncode == 0, executed.fine.stderr[-2000:]
    missing = executed.site.pacs.accessions.index(executed.site.pacs.missing_accession) + 1
    for asset, status in executed.statuses.items():
        assert _of("fine", status.materialized) == {1, 2, 3, 4, 5} - {missing}, asset
        assert _of("fine", status.failed) == set(), asset
        assert _of("fine", status.missing) == {missing}, asset


def test_a_failed_accession_makes_the_command_fail(executed: Executed) -> None:
    assert executed.mixed.returncode != 0


def test_a_webserver_sees_the_run_as_it_would_see_a_backfill(executed: Executed) -> None:
    absent, good, blocked = 1, 2, 3
    assert _of("mixed", executed.statuses[RAW].materialized) == {good, blocked}
    assert _of("mixed", executed.statuses[RAW].failed) == set()
    for asset in (DEIDENTIFIED, DELIVERED, SUMMARY):
        assert _of("mixed", executed.statuses[asset].materialized) == {good}, asset
        assert _of("mixed", executed.statuses[asset].failed) == {blocked}, asset
    for asset, status in executed.statuses.items():
        assert _of("mixed", status.missing) >= {absent}, asset
        assert status.materializing == set(), asset


def test_its_gate_is_recorded_for_each_accession(executed: Executed) -> None:
    assert executed.checks["mixed~000002"] == "SUCCEEDED"
    assert executed.checks["mixed~000003"] == "FAILED"
    assert "mixed~000001" not in executed.checks


def test_what_it_delivered_is_there(executed: Executed) -> None:
    assert delivered_file(executed.uri).is_file()


def test_no_identifier_is_in_what_it_printed_or_stored(executed: Executed) -> None:
    site = executed.site
    identifiers = (*site.pacs.invented_identifiers, *site.pacs.accessions, ABSENT)
    manifests = [site.pacs.manifest, site.folder / "fine.csv", site.folder / "mixed.csv"]
    besides = [site.pacs.root, site.home / "private", *manifests]
    assert IdentifierSearch(identifiers).in_tree(site.folder, besides=besides) == []
