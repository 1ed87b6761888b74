"""A report as one page that needs nothing else: no script, no font, no picture from anywhere.

What belongs here: filling the template. What does not: what it is filled with (`html_page.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from locutus_dagster.summarizer.model import Summary

__all__ = ["write"]

_TEMPLATES = Path(__file__).with_name("templates")


def write(summary: Summary, stream: BinaryIO, beside: str = "") -> None:
    """Write the report; `beside` is the CSV that has the rows which are left out here."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from locutus_dagster.summarizer.forms.html_page import page_of

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    page = environment.get_template("report.html.j2").stream(page_of(summary, beside))
    page.enable_buffering(64)
    page.dump(stream, encoding="utf-8", errors="replace")
