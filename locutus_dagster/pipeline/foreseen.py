"""What is foreseen for one item: the plain record that a preflight makes of it.

What belongs here: the record, and its words. What does not: finding it out (`forecasting.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from typing import Any

from locutus_dagster.ledger import Phase, WorkItem
from locutus_dagster.ledger.fingerprints import Kind
from locutus_dagster.pipeline.deciding import Decision, Do

__all__ = ["Foreseen", "Would", "decided", "record_of"]


class Would(str, Enum):
    """What a run would do about an accession, or would find."""

    PROCESS = Do.PROCESS.value
    AGAIN = Do.AGAIN.value
    UNCHANGED = Do.UNCHANGED.value
    CHANGED = Do.CHANGED.value
    COMPLETE = Do.COMPLETE.value
    LEAVE = Do.LEAVE.value
    REFUSE = Do.REFUSE.value
    PENDING = "pending"
    AMBIGUOUS = "ambiguous"
    WAITING = "waiting"
    FAIL = "fail"


_WORK = frozenset({Would.PROCESS, Would.AGAIN})


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What is foreseen for one item. Sizes are bytes.

    Attributes:
        why: in words free of identifiers, as a run would say it.
        kinds: what has changed since the delivery.
        phase: the first one to be gone through; for what has changed, the one to go back to.
        studies: how many the source holds, where it was asked for one.
        instances: of the study that would be worked on.
        size: of the study that would be worked on; 0 where none would be.
        withheld: reason → instances of which it is certain that they will be withheld.
        patients: how many different Patient IDs stand in the study, or in all studies of an
            accession that has several; 0 where nobody has looked.
        resumable: kinds of artifacts in this host's interim store from which a run would go on.
        elsewhere: other hosts in whose interim store there is such an artifact.
        scratch: the space that a run would reserve.
        delivery: what would be delivered, before it is compressed; instances that are withheld
            count as of average size.
        busy: another run has the accession in hand.
    """

    partition_key: str
    subject_id: str
    would: Would
    accession_number: str = field(default="", repr=False)
    why: str = ""
    kinds: tuple[Kind, ...] = ()
    phase: Phase | None = None
    studies: int = 0
    instances: int = 0
    size: int = 0
    withheld: tuple[tuple[str, int], ...] = ()
    patients: int = 0
    resumable: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    scratch: int = 0
    delivery: int = 0
    busy: bool = False

    @property
    def words(self) -> str:
        """What would happen, in a few words."""
        match self.would:
            case Would.PROCESS | Would.AGAIN if self.phase is not None:
                return f"{self.would.value} from phase {self.phase:02d}"
            case Would.CHANGED if self.phase is not None:
                kinds = ", ".join(kind.value for kind in self.kinds)
                return f"{self.would.value} ({kinds}; phase {self.phase:02d})"
            case Would.AMBIGUOUS:
                return f"{self.would.value} ({self.studies} studies)"
            case _:
                return str(self.would.value)

    @property
    def works(self) -> bool:
        """Whether a study would be worked on."""
        return self.would in _WORK

    @property
    def instances_withheld(self) -> int:
        """Instances of which it is certain that they will be withheld."""
        return sum(count for _, count in self.withheld)

    @property
    def all_withheld(self) -> bool:
        """Whether nothing of the study could be delivered."""
        return self.works and 0 < self.instances <= self.instances_withheld

    @property
    def attention(self) -> tuple[str, ...]:
        """What a person should look at before a run, in words; empty where all is well."""
        found = []
        if self.would is Would.PENDING:
            found.append("no study at the source")
        elif self.would is Would.AMBIGUOUS:
            found.append(f"{self.studies} studies at the source")
        elif self.would is Would.FAIL:
            found.append(self.why)
        if self.all_withheld:
            found.append("every instance will be withheld")
        if self.patients > 1:
            found.append(f"{self.patients} patients")
        return tuple(found)


def decided(item: WorkItem, decision: Decision) -> Foreseen:
    """What is foreseen where a decision says all of it, because no study will be touched."""
    return record_of(
        item,
        Would(decision.do.value),
        decision.why,
        kinds=decision.kinds,
        phase=decision.phase,
        instances=item.instances or 0,
    )


def record_of(item: WorkItem, would: Would, why: str = "", **known: Any) -> Foreseen:
    """What is foreseen for an item, as far as the item itself says it, and what else is known."""
    until = item.claimed_until
    return Foreseen(
        item.partition_key,
        item.subject_id,
        would,
        item.accession_number,
        why,
        busy=until is not None and until > datetime.now(timezone.utc),
        **known,
    )
