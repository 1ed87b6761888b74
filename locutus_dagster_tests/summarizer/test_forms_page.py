"""The page of a report in a real browser: what it draws, and that it asks nobody for anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from locutus_dagster.summarizer.forms import write_report
from locutus_dagster_tests.parts.browser import open_browser
from locutus_dagster_tests.summarizer.reports import a_summary, many_lines

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

_PLOTS = ("history", "throughput", "buckets", "phases", "failures")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


def _opened(browser: Browser, path: Path, scheme: str = "light") -> tuple[Page, list[str]]:
    """The page, and everything that it complains of or asks for beside itself."""
    page = browser.new_page(viewport={"width": 1200, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: heard.append(request.url))
    page.goto(path.as_uri())
    return page, [one for one in heard if one != path.as_uri()]


def test_every_plot_is_drawn_and_nothing_is_asked_of_anybody(
    browser: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    write_report(a_summary(), "html", path)
    for scheme in ("light", "dark"):
        page, heard = _opened(browser, path, scheme)
        assert heard == []
        for ident in _PLOTS:
            box = page.locator(f"svg#{ident}").bounding_box()
            assert box is not None
            assert box["width"] > 300
            assert box["height"] > 60
            shapes = page.locator(f"svg#{ident} :is(path, rect):not(.grid, .axis, .track)")
            sizes = shapes.evaluate_all("all => all.map(one => one.getBBox().height)")
            assert sizes
            assert max(sizes) > 0
            colours = shapes.evaluate_all("all => all.map(one => getComputedStyle(one).fill)")
            assert "rgb(0, 0, 0)" not in colours  # a shape that no style knows is black
        shot = tmp_path / f"{scheme}.png"
        page.screenshot(path=shot, full_page=True)
        assert shot.stat().st_size > 20_000
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.close()


def test_plots_have_titles_that_are_read_aloud_and_values_are_shown_as_they_are(
    browser: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    write_report(a_summary(), "html", path)
    page, _ = _opened(browser, path)
    picture = page.get_by_role("img", name="Throughput per hour")
    assert "failed" in (picture.locator("desc").text_content() or "")
    assert page.get_by_role("heading", level=1).inner_text() == (
        "Workspace neuro, manifest autumn <2026>"
    )
    assert page.get_by_role("cell", name="no pixel data, or <none> that | can be read").count()
    page.close()


def test_a_report_of_very_many_rows_opens_quickly(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(a_summary(lines=many_lines(20_000)), "html", path)
    assert path.stat().st_size < 2_000_000
    page, _ = _opened(browser, path)
    loaded = page.evaluate("performance.getEntriesByType('navigation')[0].domComplete")
    assert 0 < loaded < 5000  # milliseconds
    assert page.locator(".tall tbody tr").count() == 2000
    page.close()


def test_an_empty_report_is_a_page_without_plots(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    nothing = {"history": (), "work": (), "failures": (), "stage": None, "buckets": ()}
    write_report(replace(a_summary(lines=()), **nothing), "html", path)  # type: ignore[arg-type]
    page, heard = _opened(browser, path)
    assert heard == []
    assert page.locator("svg").count() == 0
    page.close()
