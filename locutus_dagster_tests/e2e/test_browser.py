"""An operator's way through Dagster's UI, in a real browser.

Asset group → Materialize all → filter the partitions by `<manifest>~` → Select all → Launch
backfill → the asset's page. Another manifest is loaded, too, so that the filter has something to
leave out; and batches are small, so that the backfill is several runs.

With LOCUTUS_SCREENSHOTS=<folder>, the pictures for the documentation are put there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from locutus_dagster_tests.e2e.leaks import IdentifierSearch
from locutus_dagster_tests.e2e.research_site import DEIDENTIFIED, DELIVERED, RAW, Site, build_site
from locutus_dagster_tests.parts import wait_until
from locutus_dagster_tests.parts.browser import open_browser
from locutus_dagster_tests.parts.dagster_processes import Webserver, daemon, webserver

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.browser]

GROUP = "/locations/locutus_dagster.definitions/asset-groups/default"
STATES = ("Failed", "Materialized", "Materializing", "Missing")
MISSING, BLOCKED = "autumn~000003", "autumn~000004"
GOOD = {"autumn~000001", "autumn~000002", "autumn~000005"}
OTHERS = {"spring~000001", "spring~000002"}


@dataclass(frozen=True)
class Operated:
    """The UI after the operator's backfill has ended."""

    site: Site
    dagster: Webserver
    page: Page
    backfill: str
    offered: str  # by the dialog, once the filter was typed
    shots: Path

    def open(self, path: str) -> None:
        self.page.goto(self.dagster.url + path)

    def shoot(self, name: str) -> None:
        """Keep a picture of the page as it is."""
        # Fonts and the layout of the graph arrive a moment after the text.
        self.page.wait_for_timeout(1500)
        self.page.screenshot(path=self.shots / f"{name}.png")
        if folder := os.environ.get("LOCUTUS_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(folder) / f"{name}.png")

    def partitions_shown_as(self, asset: str, state: str) -> set[str]:
        """Untick every other state on the asset's page, and read the list."""
        self.open(f"/assets/{asset}?view=partitions")
        for other in STATES:
            label = self.page.get_by_text(re.compile(rf"^{other} \(\d+\)$"))
            label.wait_for()
            if other == state:
                count = int(re.sub(r"\D", "", label.inner_text()))
            else:
                label.click()
        self.page.get_by_text(re.compile(rf"^{count} Partitions? Selected$")).wait_for()
        shown: set[str] = set()

        def all_shown() -> bool:
            shown.clear()
            shown.update(re.findall(r"\w+~\d{6}", self.page.locator("body").inner_text()))
            return len(shown) == count

        wait_until(all_shown, 10, f"The list of {count} partitions")
        return shown


def _launch(page: Page, dagster: Webserver, shots: Path) -> str:
    page.goto(dagster.url + GROUP)
    page.get_by_role("button", name="Materialize all").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Select a partition or create one").click()
    page.get_by_placeholder("Filter partitions").fill("autumn~")
    select_all = page.get_by_text(re.compile(r"^Select all \(5\)$"))
    select_all.wait_for()
    offered = str(page.locator("body").inner_text())
    page.screenshot(path=shots / "dialog-filtered.png")
    select_all.click()
    page.keyboard.press("Escape")
    dialog.get_by_text("5 partitions selected").wait_for()
    page.screenshot(path=shots / "dialog-selected.png")
    dialog.get_by_role("button", name="Launch backfill").click()
    dialog.wait_for(state="detached")
    return offered


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    shots = tmp_path_factory.mktemp("screenshots")
    with open_browser() as browser:
        site = build_site(tmp_path_factory.mktemp("site"), settings={"batch_size": 3})
        pacs = site.pacs
        there = [one for one in pacs.accessions if one != pacs.missing_accession]
        residue = str(pacs.residue_accession)
        autumn = (there[0], there[1], pacs.missing_accession, residue, there[2])
        for name, accessions in (("autumn", autumn), ("spring", there[3:5])):
            site.load(site.manifest_of(name, accessions), name)
        with daemon(site.env, site.logs), webserver(site.env, site.logs) as dagster:
            dagster.wait_for_daemon()
            page = browser.new_page(viewport={"width": 1400, "height": 800})
            page.set_default_timeout(60_000)
            offered = _launch(page, dagster, shots)
            wait_until(lambda: bool(dagster.backfills()), 30, "The backfill's launch")
            (backfill,) = dagster.backfills()
            dagster.wait_for_backfill(backfill)
            yield Operated(site, dagster, page, backfill, offered, shots)


def test_the_filter_of_the_dialog_leaves_the_other_manifest_out(operated: Operated) -> None:
    offered = set(re.findall(r"\w+~\d{6}", operated.offered))
    assert offered == GOOD | {MISSING, BLOCKED}


def test_the_asset_page_shows_what_was_delivered_what_failed_and_what_is_missing(
    operated: Operated,
) -> None:
    assert operated.partitions_shown_as(DELIVERED, "Materialized") == GOOD
    assert operated.partitions_shown_as(DELIVERED, "Failed") == {BLOCKED}
    assert operated.partitions_shown_as(DELIVERED, "Missing") == {MISSING, *OTHERS}


def test_the_blocked_study_was_extracted(operated: Operated) -> None:
    assert operated.partitions_shown_as(RAW, "Materialized") == {*GOOD, BLOCKED}


def test_the_batches_became_runs_of_which_one_failed(operated: Operated) -> None:
    runs = operated.dagster.runs(dagster__backfill=operated.backfill)
    assert sorted(run.status for run in runs) == ["FAILURE", "SUCCESS"]


def test_a_partition_shows_where_its_delivery_lies(operated: Operated) -> None:
    page = operated.page
    operated.open(f"/assets/{DELIVERED}?view=partitions")
    page.get_by_text("autumn~000001").first.click()
    page.get_by_text("sha256").first.wait_for()
    facts = operated.dagster.materialization_metadata(DELIVERED, "autumn~000001")
    page.get_by_text(facts["sha256"]).first.wait_for()
    page.get_by_text(facts["uri"]).first.wait_for()


def test_a_partition_shows_what_was_made_of_it(operated: Operated) -> None:
    page = operated.page
    operated.open(f"/assets/{DEIDENTIFIED}?view=partitions")
    page.get_by_text("autumn~000001").first.click()
    facts = operated.dagster.materialization_metadata(DEIDENTIFIED, "autumn~000001")
    page.get_by_text(facts["study UID (pseudonym)"]).first.wait_for()
    operated.shoot("partitions")


def test_the_graph_says_on_each_asset_that_one_has_failed(operated: Operated) -> None:
    operated.open(GROUP)
    operated.page.get_by_text("(1 failed)").nth(2).wait_for()
    operated.shoot("asset-graph")


@pytest.mark.parametrize(
    ("button", "selected"), [("Failed", 1), ("Failed and missing", 2 + len(OTHERS))]
)
def test_the_dialogs_buttons_offer_the_retry(
    operated: Operated, button: str, selected: int
) -> None:
    page = operated.page
    operated.open(GROUP)
    page.get_by_role("button", name="Materialize all").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name=button, exact=True).click()
    dialog.get_by_text(re.compile(rf"^{selected} partitions?$")).wait_for()


def test_no_page_shows_an_identifier(operated: Operated) -> None:
    pacs = operated.site.pacs
    search = IdentifierSearch((*pacs.invented_identifiers, *pacs.accessions))
    (failed,) = (
        run
        for run in operated.dagster.runs(dagster__backfill=operated.backfill)
        if run.status == "FAILURE"
    )
    for path, sign in (
        (f"/runs/{failed.run_id}", f"{BLOCKED} failed"),
        (f"/assets/{DELIVERED}?view=events", "autumn~000005"),
    ):
        operated.open(path)
        operated.page.get_by_text(re.compile(sign)).first.wait_for()
        assert search.in_bytes(path, operated.page.content().encode()) == []
        name = path.strip("/").partition("?")[0].replace("/", "-")
        operated.page.screenshot(path=operated.shots / f"{name}.png")
