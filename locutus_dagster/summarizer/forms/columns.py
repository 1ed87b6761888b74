"""The columns of a report that has a row for each accession: the reference's, then ours.

What belongs here: which value stands under which heading. What does not: how a value is written
into a file (`csv.py`, `xlsx.py`).

The reference writes the heading DEID_QC_STATUS twice. Where a report is to load back, the second is
called otherwise, because a manifest names each of its columns once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from locutus_dagster.manifests.reading import MANIFEST_COLUMNS
from locutus_dagster.summarizer.forms.wording import hours_since, second
from locutus_dagster.summarizer.model import Line, Summary

__all__ = ["LOADED_BACK", "OUR_COLUMNS", "Cells", "Value", "reference_columns"]

Value = str | int | float | datetime | None

#: How many of the first columns are read when the report is loaded as a manifest.
LOADED_BACK = len(MANIFEST_COLUMNS)
_QC = MANIFEST_COLUMNS[5]
OUR_COLUMNS = (
    "MANIFEST",
    "ROW",
    "PARTITION",
    "STATE",
    "PHASE",
    "REASON",
    "LABEL",
    "CHANGED",
    "LAST_CHANGE",
    "HOURS_SINCE_LAST_CHANGE",
    "INSTANCES",
    "INSTANCES_DELIVERED",
    "INSTANCES_WITHHELD",
    "TARGETS",
)


def reference_columns(as_of: datetime, *, loads_back: bool) -> tuple[str, ...]:
    """The reference's headings, in its order; the last one says when the report was made."""
    return (
        *MANIFEST_COLUMNS,
        "DUPLICATE_ACCESSIONS_IN_MANIFEST",
        "STATUS",
        "LAST_DATETIME_PROCESSED",
        "TARGET",
        "ONPREM-XTRAS:",
        "filename4local",
        "flywheel_group",
        "flywheel_project",
        "flywheel_subject_import_arg",
        "flywheel_session_import_arg",
        f"ONPREM-XTRAS:{_QC}" if loads_back else _QC,
        "DEID_QC_STUDY_URL",
        f"SUMMARIZED_AS_OF:={second(as_of)} (UTC)",
    )


class Cells:
    """Makes the cells of one report.

    Args:
        time: how a time is written.
    """

    def __init__(self, summary: Summary, time: Callable[[datetime | None], Value] = second) -> None:
        self._as_of = summary.as_of
        self._group = summary.settings.get("FLYWHEEL_GROUP", "OnPrem")
        self._project = summary.settings.get("FLYWHEEL_PROJECT", "FW_Project")
        self._time = time

    def of_reference(self, line: Line) -> list[Value]:
        """What stands under `reference_columns`."""
        return [
            line.subject_id,
            line.imaging_type,
            line.age,
            line.anatomical_position,
            line.accession_number,
            line.qc_status,
            "",
            "WARNING:duplicates" if line.duplicate else "n/a",
            line.status or "[NONE]",
            self._time(line.processed_at),
            line.targets[-1] if line.targets else "",
            "",
            line.file_name,
            self._group,
            self._project,
            line.subject_id,
            f"{line.age}d_{line.anatomical_position}" if line.age else "",
            line.qc_status,
            line.qc_url,
            "",
        ]

    def of_ours(self, line: Line) -> list[Value]:
        """What stands under `OUR_COLUMNS`."""
        return [
            line.manifest,
            line.row_number,
            line.partition_key or "",
            line.state.value if line.state else "",
            "" if line.phase is None else f"{line.phase:02d}",
            line.reason,
            line.label,
            " ".join(line.changed),
            self._time(line.last_change),
            hours_since(line.last_change, self._as_of),
            line.instances,
            line.delivered,
            line.withheld,
            " ".join(line.targets),
        ]
