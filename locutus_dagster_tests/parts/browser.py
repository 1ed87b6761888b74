"""A real browser for tests: Debian's Chromium, headless, driven by Playwright.

with open_browser() as browser:
    page = browser.new_page()
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

from locutus_dagster_tests.parts import missing

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["find_chromium", "open_browser", "require_chromium"]

_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> str | None:
    """Chromium's program, or None."""
    return shutil.which("chromium")


def require_chromium() -> str:
    """Chromium's program; skips the test if there is none, and fails it in CI."""
    found = find_chromium()
    if found is None:
        missing("Chromium", "apt install chromium, or put the program on the PATH")
    return found


@contextlib.contextmanager
def open_browser() -> Iterator[Browser]:
    """Run Chromium with a user data directory that is new, and gone afterwards."""
    program = require_chromium()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("Playwright", "pip install playwright")
    with sync_playwright() as playwright:
        # Playwright gives every launch a temporary user data directory of its own.
        browser = playwright.chromium.launch(executable_path=program, args=list(_QUIET))
        try:
            yield browser
        finally:
            browser.close()
