"""What became of a study: the report that the engine hands back.

What belongs here: plain values that may be stored, shown and logged, hence nothing but
pseudonyms, registered codes and fixed phrases. What does not: original identifiers, file names,
values of any kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

__all__ = ["RESIDUE", "Disposition", "InstanceDisposition", "ResidueHit", "StudyDisposition"]


#: The reason to withhold an instance in which an identifier was found.
RESIDUE = "identifier left in the output"


class Disposition(str, Enum):
    """What became of an instance."""

    CLEAN = "clean"
    WITHHELD = "withheld"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class InstanceDisposition:
    """What became of one member of the raw zip.

    Attributes:
        instance: pseudonymous SOP Instance UID, or a neutral name made from the member's
            position (such as "000007.dcm") where none could be read.
        sop_class: SOP Class UID if it is a registered one, "unregistered" if not, "" if absent.
        modality: a defined term of Modality (PS3.3 C.7.3.1.1.1), "other" if it is none, "" if
            absent.
        disposition: clean or withheld.
        reason: a fixed phrase, "" when clean.
        actions: action -> number of elements that it removed or changed, of a clean instance.
    """

    instance: str
    sop_class: str
    modality: str
    disposition: Disposition
    reason: str = ""
    actions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ResidueHit:
    """A place where an identifier of the input was found in what would have been the output.

    The instance is withheld. Never the value.

    Attributes:
        instance: pseudonymous SOP Instance UID.
        place: path of tags, such as "(0008,1030)" or "(0040,0275)[0]>(0040,0007)".
    """

    instance: str
    place: str


@dataclass(frozen=True)
class StudyDisposition:
    """What became of a study.

    Attributes:
        study_uid: pseudonymous Study Instance UID, "" where nothing was readable.
        study_token: the folder of the delivered zip, "" where nothing was readable.
        policy_fingerprint: of the policy applied.
        key_id: public name of the key used, "fresh" for one that was kept nowhere.
        subject_id: the research identity, with the policy's preface.
        instances: one entry for every member of the raw zip, in its order.
        residue: where identifiers were found, in instances that are therefore withheld.
        size_in: uncompressed bytes of the raw zip's members.
        size_out: uncompressed bytes of the delivered instances.
    """

    study_uid: str
    study_token: str
    policy_fingerprint: str
    key_id: str
    subject_id: str
    instances: tuple[InstanceDisposition, ...]
    residue: tuple[ResidueHit, ...]
    size_in: int
    size_out: int

    @property
    def total(self) -> int:
        """Number of members of the raw zip."""
        return len(self.instances)

    @property
    def delivered(self) -> int:
        """Number of instances in the output."""
        return sum(one.disposition is Disposition.CLEAN for one in self.instances)

    @property
    def withheld(self) -> int:
        """Number of members that are not in the output."""
        return self.total - self.delivered

    @property
    def withheld_by_reason(self) -> dict[str, int]:
        """Reason -> number of members withheld for it."""
        withheld = (i.reason for i in self.instances if i.disposition is Disposition.WITHHELD)
        return dict(sorted(Counter(withheld).items()))

    @property
    def clean(self) -> bool:
        """Whether no instance had to be withheld because an identifier was found in it."""
        return not self.residue

    def as_rows(self) -> list[dict[str, Any]]:
        """Return the instances counted by SOP class, modality, disposition and reason."""
        counts = Counter(
            (one.sop_class, one.modality, one.disposition.value, one.reason)
            for one in self.instances
        )
        keys = ("sop_class", "modality", "disposition", "reason")
        return [
            {**dict(zip(keys, group, strict=True)), "count": count}
            for group, count in sorted(counts.items())
        ]
