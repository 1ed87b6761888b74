"""`locutus load-manifest` and `locutus run` against a real Orthanc."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from locutus_dagster_tests.e2e.leaks import IdentifierSearch
from locutus_dagster_tests.e2e.research_site import (
    Line,
    Site,
    build_site,
    closing_table,
    members,
)
from locutus_dagster_tests.parts.orthanc import OrthancServer

pytestmark = [pytest.mark.slow, pytest.mark.orthanc]

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
# Accession numbers of public samples: MR and CT of several makers; the last one holds
# segmentations beside its CT, which no policy vouches for.
SAMPLES = ("0000000002", "2001074932525979", "87113", "108630", "03086212")


@dataclass(frozen=True)
class Walk:
    """Two manifests run against one Orthanc.

    Attributes:
        fine: exit code of the one whose studies can all be delivered, or are not there yet.
        blocked: exit code of the one that asks for the study which the residue gate blocks.
        held: how many instances Orthanc holds of each accession.
        lines: both closing tables, by accession.
    """

    site: Site
    fine: int
    blocked: int
    held: Mapping[str, int]
    lines: Mapping[str, Line]


def _fill(orthanc: OrthancServer, site: Site) -> None:
    files = sum(path.is_file() for path in site.pacs.root.rglob("*"))
    accepted = orthanc.upload_folder(site.pacs.root)
    assert len(accepted) == files - 1  # Orthanc does not take the damaged one
    for path in _samples():
        orthanc.upload(path)


def _samples() -> list[Path]:
    if not CORPUS.is_dir():
        return []
    with (CORPUS / "index.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [CORPUS / row["path"] for row in rows if row["accession_number"] in SAMPLES]


def _held(orthanc: OrthancServer, accession: str) -> int:
    question = {"Level": "Instance", "Query": {"AccessionNumber": accession}}
    return len(orthanc.ask("POST", "/tools/find", json.dumps(question).encode()))


def _run(site: Site, name: str, accessions: list[str]) -> tuple[int, dict[str, Line]]:
    site.load(site.manifest_of(name, accessions), name)
    done = site.call("locutus", "run", name, "--accessions", log=f"run-{name}")
    table = {line.accession: line for line in closing_table(done.stdout)}
    assert list(table) == accessions, done.stdout + done.stderr
    return done.returncode, table


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    folder = tmp_path_factory.mktemp("walk")
    with OrthancServer(folder / "orthanc") as orthanc:
        site = build_site(folder / "site", source={"kind": "orthanc", "url": orthanc.url})
        _fill(orthanc, site)
        residue = str(site.pacs.residue_accession)
        accessions = [one for one in site.pacs.accessions if one != residue]
        accessions += SAMPLES if CORPUS.is_dir() else ()
        fine, lines = _run(site, "fine", accessions)
        blocked, more = _run(site, "blocked", [residue])
        held = {accession: _held(orthanc, accession) for accession in accessions}
        return Walk(site, fine, blocked, held, {**lines, **more})


def test_the_exit_code_says_whether_an_accession_failed(walk: Walk) -> None:
    assert walk.fine == 0
    assert walk.blocked == 2
    failed = {a for a, line in walk.lines.items() if line.status.startswith("ERROR")}
    assert failed == {walk.site.pacs.residue_accession}


def test_every_study_that_orthanc_holds_is_accounted_for(walk: Walk) -> None:
    for accession, held in walk.held.items():
        line = walk.lines[accession]
        if accession == walk.site.pacs.missing_accession:
            assert (line.status, held) == ("PENDING_CHANGE", 0)
        else:
            assert line.status == "PROCESSED", accession
            assert (line.delivered or 0) + (line.withheld or 0) == held > 0


def test_each_delivery_holds_as_many_instances_as_it_says(walk: Walk) -> None:
    zips = {path for path in walk.site.delivered.rglob("*") if path.is_file()}
    told = {walk.site.folder / line.where: line for line in walk.lines.values() if line.delivered}
    assert set(told) == zips
    for path, line in told.items():
        assert len(members(path)) == line.delivered, line.partition


def test_only_what_nobody_can_vouch_for_is_withheld(walk: Walk) -> None:
    pacs = walk.site.pacs
    withheld = {accession for accession, line in walk.lines.items() if line.withheld}
    # The damaged file never got into Orthanc, so its study is whole as far as anybody can know.
    # Of the study that names its patient in every instance, nothing is left.
    known = {pacs.withheld_accession, str(pacs.residue_accession)}
    assert withheld == known | ({"03086212"} & set(walk.lines))


def test_no_identifier_is_left_behind(walk: Walk) -> None:
    site = walk.site
    search = IdentifierSearch((*site.pacs.invented_identifiers, *site.pacs.accessions))
    # The tables show accession numbers, as they were asked to.
    tables = [site.logs / f"run-{name}.out" for name in ("fine", "blocked")]
    manifests = [site.pacs.manifest, *site.folder.glob("*.csv")]
    besides = [site.pacs.root, site.home / "private", *manifests, *tables]
    assert search.in_tree(site.folder, besides=besides) == []
