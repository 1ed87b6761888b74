"""What a form of a report is.

What belongs here: the little that all forms have in common. What does not: any one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from locutus_dagster.errors import LocutusError
from locutus_dagster.summarizer.model import Summary

__all__ = ["Form", "ReportError"]


class ReportError(LocutusError):
    """A report cannot be written."""


@dataclass(frozen=True)
class Form:
    """One form that a report can be written in.

    Attributes:
        name: as it is asked for.
        extension: of its files, without a dot.
        media_type: of its content.
        write: takes the summary, a stream that can be written and sought, and the name of the CSV
            form of the same report where that lies beside it, else nothing.
    """

    name: str
    extension: str
    media_type: str
    write: Callable[[Summary, BinaryIO, str], None]
