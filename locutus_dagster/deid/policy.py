"""Policies: which action applies to which attribute, compiled once and fingerprinted.

What belongs here: turning the standard's table (later: options, site overrides, Types per SOP
class, named policies) into tag -> action. What does not: carrying an action out on bytes
(`transform.py`), or turning instances away (`bouncers.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from locutus_dagster.deid.dictionary import dictionary_digest
from locutus_dagster.deid.table import EDITION, load_table

__all__ = ["DEFAULT_MODALITIES", "ENGINE_VERSION", "Action", "Policy", "basic_policy"]

#: Version of the rules as carried out: to be raised with every change that alters an output.
ENGINE_VERSION = "0.1"

#: The modalities that the reference system lets through.
DEFAULT_MODALITIES = ("CR", "CT", "DX", "MR", "NM", "OT", "RF", "US", "XA", "XR")


class Action(str, Enum):
    """What happens to an attribute; the letters are those of PS3.15 Table E.1-1a.

    Site rules add `SUBJECT`: the research identity takes the value's place.
    """

    KEEP = "K"
    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    UID = "U"
    SUBJECT = "S"


# Which variant of a composite action applies depends on the attribute's Type in the IOD of the
# instance's SOP class. Until Types are resolved the variant is taken that is valid for every
# Type: a dummy where Type 1 is possible, an empty value where Type 2 is. For X/Z/U* the sequence
# stays with its UIDs mapped. Resolving the Type can only turn these into removals.
_COMPOSITE = {
    "X": Action.REMOVE,
    "Z": Action.EMPTY,
    "D": Action.DUMMY,
    "U": Action.UID,
    "X/Z": Action.EMPTY,
    "X/D": Action.DUMMY,
    "Z/D": Action.DUMMY,
    "X/Z/D": Action.DUMMY,
    "X/Z/U*": Action.KEEP,
}

#: Patient's Name and Patient ID carry the subject's research identity instead of a dummy.
_SUBJECT_TAGS = (0x00100010, 0x00100020)

#: Patterns of the table that `Policy.action` carries out by number.
_PATTERNS = {"50xxxxxx", "60xx3000", "60xx4000", "PRIVATE"}


def _pickle_rules(policy: Policy) -> tuple[object, ...]:
    return (policy.name, policy.fingerprint, policy.modalities, dict(policy.rules))


@dataclass(frozen=True, eq=False)
class Policy:
    """What is done to a study, as one immutable value.

    Two policies with the same fingerprint give the same output for the same study and key.

    Attributes:
        name: a name for people.
        fingerprint: 16 hexadecimal digits over rules, modalities, edition of the table, data
            dictionary and engine version.
        modalities: the modalities that are let through, in upper case.
        rules: tag -> action, for the attributes that the policy names.
    """

    name: str
    fingerprint: str
    modalities: frozenset[str]
    rules: Mapping[int, Action] = field(repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Policy) and other.fingerprint == self.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        # A mapping proxy cannot be pickled, and policies travel to worker processes.
        return _rebuild, _pickle_rules(self)

    def action(self, tag: int) -> Action | None:
        """Return the action for a tag, None where the policy does not name the attribute."""
        group = tag >> 16
        if group & 1 or tag & 0xFFFF == 0 or group < 0x0008:
            # Private attributes; group lengths, which would be wrong afterwards; and groups of
            # commands, file meta and directories, which have no place in a data set.
            return Action.REMOVE
        if group & 0xFF00 in (0x5000, 0x6000):
            # Curves go as the table says. Of overlays the table names data and comments only;
            # the rest of the plane would be an orphan without its data, and its label and
            # description are free text, hence the whole plane goes.
            return Action.REMOVE
        return self.rules.get(tag)


def _rebuild(
    name: str, fingerprint: str, modalities: frozenset[str], rules: dict[int, Action]
) -> Policy:
    return Policy(name, fingerprint, modalities, MappingProxyType(rules))


def basic_policy(modalities: Iterable[str] = DEFAULT_MODALITIES) -> Policy:
    """Return the Basic Application Level Confidentiality Profile without options.

    Source: PS3.15 E.2 and Table E.1-1, edition 2026d.

    Args:
        modalities: the modalities that are let through; case does not matter.

    Raises:
        ValueError: the shipped table holds an action or a pattern that the engine does not know.
    """
    rules: dict[int, Action] = {}
    for row in load_table():
        if row.tag is None:
            if row.pattern not in _PATTERNS:
                raise ValueError(f"unknown pattern {row.pattern} in Table E.1-1")
        elif row.basic not in _COMPOSITE:
            raise ValueError(f"unknown action {row.basic} in Table E.1-1")
        else:
            rules[row.tag] = _COMPOSITE[row.basic]
    rules.update(dict.fromkeys(_SUBJECT_TAGS, Action.SUBJECT))
    return _compile("basic", rules, modalities)


def _compile(name: str, rules: dict[int, Action], modalities: Iterable[str]) -> Policy:
    allowed = frozenset(modality.strip().upper() for modality in modalities) - {""}
    lines = [f"engine {ENGINE_VERSION}", f"PS3.15 {EDITION}", dictionary_digest()]
    lines += sorted(allowed)
    lines += [f"{tag:08X} {rules[tag].value}" for tag in sorted(rules)]
    fingerprint = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    return _rebuild(name, fingerprint, allowed, rules)
