"""The name that people give a batch, which is kept with its accessions and shown beside statuses.

What belongs here: what such a name may be. What does not: what a label is kept for (`options.py`,
`preloading.py`).
"""

from __future__ import annotations

from collections.abc import Iterable

from locutus_dagster.errors import LocutusError
from locutus_dagster.identifying_text import holds_a_number

__all__ = ["LabelError", "checked_label"]

_LONGEST = 100  # characters


class LabelError(LocutusError):
    """A batch cannot be called so."""


def checked_label(label: str, numbers: Iterable[str]) -> str:
    """The label as it is kept: on one line.

    It is shown in reports, lists and logs, wherever a status is, and Dagster keeps it for ever.

    Args:
        numbers: the accession numbers of the workspace.

    Raises:
        LabelError: it is empty, too long, or holds an accession number.
    """
    kept = " ".join(label.split())
    if not kept or len(kept) > _LONGEST or not kept.isprintable():
        raise LabelError(
            f"A batch's label has between 1 and {_LONGEST} printable characters.",
            "Give the batch a name such as batch7.",
        )
    if holds_a_number(kept, numbers):
        raise LabelError(
            "The batch's label holds an accession number.",
            "Name the batch in words that identify nobody: they are shown in reports and logs.",
        )
    return kept
