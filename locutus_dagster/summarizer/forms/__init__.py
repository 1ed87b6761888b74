"""The forms that a report can be written in.

What belongs here: which there are, what their files are called, and writing one whole or not at
all. What does not: any form (the modules below), and finding out what a report says
(`summarizer/gathering.py`).
"""

from __future__ import annotations

import re
from pathlib import Path

from locutus_dagster.durable_files import atomic_file
from locutus_dagster.summarizer.forms import csv, html, json, markdown, reference_lines, xlsx
from locutus_dagster.summarizer.forms.form import Form, ReportError
from locutus_dagster.summarizer.forms.json_schema import report_schema
from locutus_dagster.summarizer.forms.wording import utc
from locutus_dagster.summarizer.model import Summary

__all__ = [
    "FORMS",
    "Form",
    "ReportError",
    "form_named",
    "report_name",
    "report_schema",
    "write_report",
]

_SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

#: By name, in the order in which several are best written: others name the CSV that lies there.
FORMS: dict[str, Form] = {
    form.name: form
    for form in (
        Form("csv", "csv", "text/csv", csv.write),
        Form("lines", "txt", "text/plain", reference_lines.write),
        Form("markdown", "md", "text/markdown", markdown.write),
        Form("html", "html", "text/html", html.write),
        Form("xlsx", "xlsx", _SHEET, xlsx.write),
        Form("json", "json", "application/json", json.write),
    )
}
_UNFIT = re.compile(r"[^A-Za-z0-9._-]")


def report_name(summary: Summary, form: str, about: str = "") -> str:
    """The file's name: `<workspace>-<detailed|overview>-<date>.<ending>`, which identifies nobody.

    Args:
        about: what it is a report of, if not of the whole workspace; stands behind that.

    Raises:
        ReportError: there is no such form.
    """
    kind = "detailed" if summary.detailed else "overview"
    of = _UNFIT.sub("_", f"{summary.workspace}-{about}" if about else summary.workspace)
    day = utc(summary.as_of).date().isoformat()
    return f"{of}-{kind}-{day}.{form_named(form).extension}"


def write_report(summary: Summary, form: str, path: Path) -> None:
    """Write a report to `path`, for its owner's eyes (0600); whole, or not at all.

    Where its CSV form lies beside it (the same name but for the ending), a form that cannot show
    every row says so. Several forms are therefore best written in the order of `FORMS`.

    Raises:
        ReportError: there is no such form, or the file cannot be written.
    """
    chosen = form_named(form)
    beside = path.with_suffix(f".{FORMS['csv'].extension}")
    named = beside.name if beside != path and beside.is_file() else ""
    try:
        with atomic_file(path) as stream:
            chosen.write(summary, stream, named)
    except OSError as error:
        raise ReportError(
            f"The report cannot be written to {path} ({error.strerror}).",
            "Name a file in a folder that is there and is yours.",
        ) from None


def form_named(name: str) -> Form:
    """The form of this name.

    Raises:
        ReportError: there is none.
    """
    if name not in FORMS:
        raise ReportError(
            f"There is no form '{name}' of a report.", f"Use one of {', '.join(FORMS)}."
        )
    return FORMS[name]
