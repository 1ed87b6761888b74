"""The list of what became of each file of a collection, as CSV.

What belongs here: columns and rows, all of them pseudonyms, registered codes, fixed phrases and
numbers. What does not: names of files, values, where the list is written to.

A file is named by its position in the input; see `inputs.py`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from locutus_dagster.deid.collections.work import Outcome
from locutus_dagster.deid.policies.model import Action, Policy
from locutus_dagster.deid.standard.names import sop_class_name

__all__ = ["COLUMNS", "report_csv"]

_ACTIONS = tuple(action for action in Action if action is not Action.KEEP)

#: The columns; one for each action, with the number of elements that it changed or removed.
COLUMNS: tuple[str, ...] = (
    "position",
    "study",
    "instance",
    "sop_class",
    "sop_class_name",
    "modality",
    "disposition",
    "reason",
    "residue",
    *(action.name.lower() for action in _ACTIONS),
    "policy",
    "policy_fingerprint",
    "key_id",
)


def report_csv(outcomes: Sequence[Outcome], policy: Policy) -> str:
    """Return a table with one row for each file, with a header and lines that end with a newline.

    Args:
        outcomes: of all files.
        policy: the policy that was applied.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_rows(outcomes, policy))
    return text.getvalue()


def _rows(outcomes: Sequence[Outcome], policy: Policy) -> Iterator[tuple[object, ...]]:
    for one in outcomes:
        instance = one.instance
        yield (
            one.position,
            one.study_uid,
            # Where no UID could be read, there stands a name made of the position.
            instance.instance if instance.instance.startswith("2.25.") else "",
            instance.sop_class,
            sop_class_name(instance.sop_class),
            instance.modality,
            instance.disposition.value,
            instance.reason,
            " ".join(one.residue),
            *(0 if one.withheld else instance.actions.get(action.value, 0) for action in _ACTIONS),
            policy.name,
            policy.fingerprint,
            one.key_id,
        )
