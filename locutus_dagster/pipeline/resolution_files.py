"""A plan as a CSV file, to be read, edited and carried out later.

What belongs here: the columns, writing them and reading back those that count. What does not: what
they mean (`resolution_plans.py`). The file holds neither accession numbers nor handles of the
source; of what a person writes into it, nothing is quoted in a message.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from locutus_dagster.durable_files import atomic_file
from locutus_dagster.errors import LocutusError
from locutus_dagster.pipeline.resolution_candidates import Candidate
from locutus_dagster.pipeline.resolution_plans import Plan, PlanEntry, PlanRow

__all__ = ["COLUMNS", "PlanFileError", "read_plan", "write_plan"]

_KEY, _VIA, _FINGERPRINT = "PARTITION_KEY", "RESOLVE_VIA", "FINGERPRINT"
_BETWEEN = " | "
_OF_STUDIES: dict[str, Callable[[Candidate], object]] = {
    "STUDIES": lambda one: one.handle_short,
    "INSTANCES": lambda one: one.instances,
    "SERIES": lambda one: one.series,
    "BYTES": lambda one: one.size,
    "MODALITIES": lambda one: "+".join(one.modalities) or "-",
    "LAST_CHANGES": lambda one: (
        f"{one.changed_at:%Y-%m-%d %H:%M:%S} UTC" if one.changed_at else "unknown"
    ),
    "NEWEST": lambda one: "newest" if one.newest else "-",
    "PATIENTS": lambda one: one.patients or "-",
    "PASSED_OVER": lambda one: "passed over" if one.passed_over else "-",
}
#: The columns in their order; the second is the one to edit, the last one is not to be touched.
COLUMNS = (
    _KEY,
    _VIA,
    "STATE",
    *_OF_STUDIES,
    "WARNING",
    "CONSEQUENCE",
    "PROBLEM",
    "DECIDED_BEFORE",
    _FINGERPRINT,
)


class PlanFileError(LocutusError):
    """The file cannot be written, or is no plan."""


def write_plan(path: Path, plan: Plan) -> None:
    """Write a plan into a new file that only its owner can read.

    Raises:
        PlanFileError: something is there already, or it cannot be written.
    """
    if os.path.lexists(path):  # it may hold what a person has written into it
        raise PlanFileError(f"{path} exists already.", "Name another file, or move it away first.")
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(_cells(entry) for entry in plan.entries)
    try:
        with atomic_file(path) as stream:
            stream.write(text.getvalue().encode("utf-8"))
    except OSError as error:
        raise PlanFileError(
            f"{path} cannot be written ({error.strerror}).", "Name a file in a folder of yours."
        ) from None


def _cells(entry: PlanEntry) -> list[str]:
    return [
        entry.partition_key,
        entry.via,
        entry.state.value,
        *(
            _BETWEEN.join(str(told(one)) for one in entry.candidates)
            for told in _OF_STUDIES.values()
        ),
        entry.warning,
        entry.consequence,
        entry.problem,
        entry.standing.value if entry.standing else "",
        entry.fingerprint,
    ]


def read_plan(path: Path) -> list[PlanRow]:
    """Read back what is to be carried out; the columns may have been moved or left out.

    Raises:
        PlanFileError: the file cannot be read, or is no plan.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise PlanFileError(
            f"{path} cannot be read ({error.strerror}).", "Check the path and permissions."
        ) from None
    except UnicodeDecodeError:
        raise _no_plan(path, "it is not UTF-8 text") from None
    first = text.partition("\n")[0]
    # Spreadsheets of many countries save a CSV file with semicolons.
    between = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=between, strict=True)
    try:
        records = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error:
        raise _no_plan(path, f"line {reader.line_num} is no CSV") from None
    header = records[0][1] if records else []
    missing = [name for name in (_KEY, _VIA, _FINGERPRINT) if header.count(name) != 1]
    if missing:
        raise _no_plan(path, f"its first line does not name {', '.join(missing)} once")
    at = {name: header.index(name) for name in (_KEY, _VIA, _FINGERPRINT)}
    return [_row(path, line, cells, at) for line, cells in records[1:] if any(cells)]


def _row(path: Path, line: int, cells: Sequence[str], at: dict[str, int]) -> PlanRow:
    if len(cells) <= max(at.values()):
        raise _no_plan(path, f"line {line} has too few cells")
    return PlanRow(cells[at[_KEY]], cells[at[_VIA]], cells[at[_FINGERPRINT]], line)


def _no_plan(path: Path, why: str) -> PlanFileError:
    return PlanFileError(
        f"{path} is not a plan: {why}.", "Write one with: locutus resolve --plan FILE.csv"
    )
