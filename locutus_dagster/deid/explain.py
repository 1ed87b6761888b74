"""What would happen to each element of one file, and why; without a single value.

What belongs here: the question and its answer. What does not: the walk that finds it out
(`explaining/`), taking decisions (`policies/`), carrying them out (`cleaning/`), printing.

Nothing is decided a second time: decisions come from the transformation's own `Context`, new values
are made by it, and whether the instance is delivered is found out by delivering it to nowhere.

An explanation holds tags, names out of public lists, VRs, Types, actions and the texts of rules.
A private creator could be any text, so it is named only where a public list or the policy has it.
"""

from __future__ import annotations

from dataclasses import dataclass

from locutus_dagster.deid.cleaning.values import Values
from locutus_dagster.deid.encoding.codec import Buffer
from locutus_dagster.deid.encoding.part10 import open_instance
from locutus_dagster.deid.explaining.rows import Explained, Result
from locutus_dagster.deid.explaining.walk import Explainer
from locutus_dagster.deid.faults import UnreadableError
from locutus_dagster.deid.identities.identifiers import Identifiers
from locutus_dagster.deid.identities.pseudonyms import Pseudonyms
from locutus_dagster.deid.policies.model import Policy
from locutus_dagster.deid.study import StudyWork

__all__ = ["Explained", "Explanation", "Result", "explain"]

#: Takes the research identity's place where nobody gave one: its value is not shown anyway.
_SOMEBODY = "SUBJECT"


@dataclass(frozen=True)
class Explanation:
    """What would happen to a file.

    Attributes:
        reason: why it would be withheld, "" where it would be delivered.
        residue: where an identifier would be left, as paths of tags; then it is withheld.
        sop_class: SOP Class UID if it is a registered one, "unregistered" if not, "" if absent.
        rows: the elements in their order; none where the file is unreadable.
    """

    reason: str
    residue: tuple[str, ...]
    sop_class: str
    rows: tuple[Explained, ...]


def explain(
    data: Buffer, policy: Policy, pseudonyms: Pseudonyms, subject_id: str | None = None
) -> Explanation:
    """Return what would happen to a file if it were the only one of its study.

    Args:
        data: the file.
        policy: what to do.
        pseudonyms: the identities.
        subject_id: the research identity.

    Raises:
        DeidError: the subject ID is not legal.
    """
    subject = _SOMEBODY if subject_id is None else subject_id
    work = StudyWork(_OneFile(data), policy, pseudonyms, subject)
    for _ in work.deliver():
        """Delivered to nowhere."""
    report = work.report()
    (verdict,) = report.instances
    rows: tuple[Explained, ...] = ()
    try:
        instance = open_instance(data)
        identifiers = Identifiers((), policy)
        identifiers.add(instance)
        values = Values(policy, pseudonyms, report.subject_id, identifiers)
        explainer = Explainer(instance, policy, values, report.subject_id, verdict.sop_class)
        rows = tuple(explainer.rows())
    except UnreadableError:
        assert verdict.reason, "what cannot be explained is not delivered either"
    return Explanation(
        verdict.reason, tuple(hit.place for hit in report.residue), verdict.sop_class, rows
    )


class _OneFile:
    """A study of one file, as `Members`."""

    def __init__(self, data: Buffer) -> None:
        self._data = memoryview(data)
        self.size = len(self._data)

    def __len__(self) -> int:
        return 1

    def read(self, index: int) -> memoryview:
        return self._data
