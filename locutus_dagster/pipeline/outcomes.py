"""What the chain says of an accession: small typed values, free of identifiers, picklable.

What belongs here: the values that workers send and that `defs/` turns into Dagster events. What
does not: anything that acts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

__all__ = [
    "Artifact",
    "Finished",
    "GateChecked",
    "Metadata",
    "Outcome",
    "PassDone",
    "PhaseDone",
    "Result",
]

Metadata = dict[str, int | float | str]


class Artifact(str, Enum):
    """The four things an accession becomes; the values are the names of the Dagster assets."""

    RAW = "raw_dicom_zip"
    DEIDENTIFIED = "deidentified_zip"
    DELIVERED = "delivered_object"
    SUMMARY = "summary_row"


class Result(str, Enum):
    """How an accession's walk ended."""

    DELIVERED = "delivered"
    UNCHANGED = "unchanged"  # delivered before, from the same attributes and settings
    CHANGED = "changed"  # delivered before, from others; not processed again unasked
    PENDING = "pending"
    LEFT = "left"  # as it stands: resuming is switched off, or a person dropped its studies
    REFUSED = "refused"  # recalled
    BUSY = "busy"  # another worker has it in hand; the batch comes back to it
    FAILED = "failed"


@dataclass(frozen=True)
class PhaseDone:
    """A phase has succeeded and the ledger says so."""

    partition_key: str
    artifact: Artifact
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True)
class GateChecked:
    """The check before delivery: whether an identifier of the input was left in any instance.

    Attributes:
        passed: no instance had to be withheld because an identifier was found in it.
        anything_left: there are instances to deliver.
    """

    partition_key: str
    passed: bool
    anything_left: bool = True
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True)
class Finished:
    """The last word on an accession.

    Attributes:
        reason: for people, free of identifiers; empty when there is nothing to explain.
        stop: the cause will meet every other accession too (the source or the target is gone),
            so the batch should not go on.
    """

    partition_key: str
    result: Result
    reason: str = ""
    stop: bool = False


@dataclass(frozen=True)
class PassDone:
    """One pass over what was left has ended.

    Attributes:
        number: of the pass, from 1.
        counts: how many accessions of this pass ended in which way, by the words of `Result`.
        left: accessions that a further pass may change.
        ended: why no further pass follows; empty when one does.
        fault: why the pass could not work at all; empty when it did.
    """

    number: int
    counts: dict[str, int]
    left: int
    ended: str = ""
    fault: str = ""


Outcome = PhaseDone | GateChecked | Finished
