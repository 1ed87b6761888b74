"""Reports as files: written in several forms, kept with their date, removed when they are old.

What belongs here: putting summary, forms and folder together, for the command, the asset and the
schedules alike. What does not: what a report says (`gathering.py`), and how (`forms/`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from locutus_dagster.durable_files import alone_in
from locutus_dagster.errors import LocutusError
from locutus_dagster.settings import ReportSettings, Settings
from locutus_dagster.summarizer.forms import FORMS, form_named, report_name, write_report
from locutus_dagster.summarizer.model import Summary

__all__ = ["Written", "columns_of", "report_folder", "write_reports"]

_DAY = 86400.0
_REPORT = re.compile(r"-(detailed|overview)-\d{4}-\d{2}-\d{2}\.(csv|txt|md|html|xlsx|json)$")


@dataclass(frozen=True)
class Written:
    """What was written, and how many older reports were removed."""

    files: tuple[Path, ...]
    removed: int


def report_folder(settings: Settings, workspace: str) -> Path:
    """Where a workspace's reports are kept; by default a private folder in the home."""
    told = settings.workspace(workspace).reports.folder
    return (told or settings.home / "reports" / workspace).expanduser().absolute()


def columns_of(told: ReportSettings) -> dict[str, str]:
    """What the settings say of constant columns, as facts of a report."""
    return {"FLYWHEEL_GROUP": told.flywheel_group, "FLYWHEEL_PROJECT": told.flywheel_project}


def write_reports(
    summary: Summary,
    forms: Sequence[str],
    folder: Path,
    *,
    about: str = "",
    keep_days: int | None = None,
) -> Written:
    """Write a summary in each form, under names that carry its date.

    Args:
        folder: made if it is missing, for its owner alone.
        about: what it is a report of, if not of the whole workspace; part of the names.
        keep_days: reports of the same workspace that are older are removed; None: none is.

    Raises:
        LocutusError: there is no such form, or the folder cannot be written.
    """
    named = {form: form_named(form) for form in forms}  # before any file is written
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = []
        with alone_in(folder):  # two of a day have the same names
            for form in sorted(named, key=list(FORMS).index):
                path = folder / report_name(summary, form, about)
                write_report(summary, form, path)
                files.append(path)
            removed = _remove_old(folder, summary.workspace, keep_days) if keep_days else 0
    except OSError as error:
        raise LocutusError(
            f"Reports cannot be written to {folder} ({error.strerror}).",
            "Check the folder's permissions, or name another: workspaces.<name>.reports.folder.",
        ) from None
    return Written(tuple(files), removed)


def _remove_old(folder: Path, workspace: str, keep_days: int) -> int:
    """Remove what this module has written and nothing else."""
    oldest, removed = time.time() - keep_days * _DAY, 0
    for path in folder.iterdir():
        ours = path.name.startswith(f"{workspace}-") and _REPORT.search(path.name)
        with suppress(FileNotFoundError):
            if ours and path.is_file() and path.stat().st_mtime < oldest:
                path.unlink()
                removed += 1
    return removed
