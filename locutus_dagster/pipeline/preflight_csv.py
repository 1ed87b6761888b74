"""A preflight as a CSV: one line for each item, written as it is found out.

What belongs here: the columns. What does not: the record (`foreseen.py`), the file (`cli/`).
Accession numbers only stand in it where they were asked for.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import BinaryIO

from locutus_dagster.pipeline.foreseen import Foreseen

__all__ = ["PreflightCsv"]

_COLUMNS = (
    "partition",
    "subject",
    "outcome",
    "phase",
    "why",
    "changed",
    "studies",
    "instances",
    "bytes",
    "instances_withheld",
    "withheld_by_reason",
    "all_withheld",
    "patients",
    "resumable",
    "resumable_on_host",
    "scratch_bytes",
    "delivery_bytes",
    "in_hand",
    "attention",
)


class PreflightCsv:
    """Writes one line for each record, as it comes.

    Args:
        stream: where to; the caller closes it.
        accessions: whether accession numbers stand in it.
    """

    def __init__(self, stream: BinaryIO, *, accessions: bool = False) -> None:
        self._stream = stream
        self._accessions = accessions
        self._line(*_COLUMNS[:1], *(("accession",) if accessions else ()), *_COLUMNS[1:])

    def add(self, record: Foreseen, attention: Iterable[str]) -> None:
        """Write one line; `attention` is what a person should look at of it, in words."""
        self._line(
            record.partition_key,
            *((record.accession_number,) if self._accessions else ()),
            record.subject_id,
            record.would.value,
            "" if record.phase is None else f"{record.phase:02d}",
            record.why,
            ",".join(kind.value for kind in record.kinds),
            record.studies,
            record.instances,
            record.size,
            record.instances_withheld,
            "; ".join(f"{reason}: {count}" for reason, count in record.withheld),
            "yes" if record.all_withheld else "no",
            record.patients,
            ",".join(record.resumable),
            ",".join(record.elsewhere),
            record.scratch,
            record.delivery,
            "yes" if record.busy else "no",
            "; ".join(attention),
        )

    def _line(self, *cells: object) -> None:
        line = io.StringIO(newline="")
        csv.writer(line, lineterminator="\n").writerow(cells)
        self._stream.write(line.getvalue().encode())
