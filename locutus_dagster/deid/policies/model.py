"""What a policy is: options, rules with their source, and the immutable value made of them.

What belongs here: the vocabulary (`Option`, `Action`, `Rule`, `Override`), what a policy file says
(`PolicySpec`) and what the engine works with (`Policy`). What does not: reading files
(`reading.py`, `spec_file.py`), compiling (`compiling.py`), deciding about one attribute
(`rulebook.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

__all__ = [
    "DEFAULT_MODALITIES",
    "Action",
    "Option",
    "Override",
    "Policy",
    "PolicySpec",
    "PrivateElement",
    "Rule",
    "Settings",
]

#: The modalities that the reference system lets through.
DEFAULT_MODALITIES = ("CR", "CT", "DX", "MR", "NM", "OT", "RF", "US", "XA", "XR")


class Option(str, Enum):
    """An option of the Basic Application Level Confidentiality Profile (PS3.15 E.3).

    The values are the columns of Table E.1-1. Clean Pixel Data and Clean Recognizable Visual
    Features are no columns of that table and not among them.
    """

    RETAIN_SAFE_PRIVATE = "retain_safe_private"
    RETAIN_UIDS = "retain_uids"
    RETAIN_DEVICE_IDENTITY = "retain_device_identity"
    RETAIN_INSTITUTION_IDENTITY = "retain_institution_identity"
    RETAIN_PATIENT_CHARACTERISTICS = "retain_patient_characteristics"
    RETAIN_LONGITUDINAL_FULL_DATES = "retain_longitudinal_full_dates"
    RETAIN_LONGITUDINAL_MODIFIED_DATES = "retain_longitudinal_modified_dates"
    CLEAN_DESCRIPTORS = "clean_descriptors"
    CLEAN_STRUCTURED_CONTENT = "clean_structured_content"
    CLEAN_GRAPHICS = "clean_graphics"

    __hash__ = str.__hash__  # an Enum's own hash is worked out in Python at every look-up

    def __str__(self) -> str:
        return self.value

    @property
    def label(self) -> str:
        """The option's name as the standard writes it, such as "Retain UIDs"."""
        return self.value.replace("_", " ").title().replace("Uids", "UIDs")


class Action(str, Enum):
    """What happens to an attribute.

    The single letters are those of PS3.15 Table E.1-1a; the words are the engine's own.
    """

    KEEP = "K"
    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    UID = "U"
    #: Text: identifiers go, and what remains must be made of words of the lexicon. A sequence:
    #: its items are cleaned by the rules of their own attributes.
    CLEAN = "C"
    #: Text that no rule names, under Clean Descriptors: identifiers go, everything else stays.
    SCRUB = "scrub"
    #: Dates move by the subject's number of days, times stay; what cannot be read goes.
    SHIFT = "shift"
    #: Dates and times stay as they are if they can be read, and go if not.
    DATE = "date"
    #: Ages stay, those over 89 years become 90.
    AGE = "age"
    #: A tree of content items is cleaned item by item (PS3.15 Table E.3.4-1).
    CONTENT = "content"
    #: The research identity takes the value's place.
    SUBJECT = "subject"
    #: A text of the site takes the value's place.
    REPLACE = "replace"

    __hash__ = str.__hash__  # as in `Option`

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Rule:
    """What a policy says about an attribute, before the attribute's Type is known.

    Attributes:
        actions: alternatives as the table lists them: "X/Z/D" is (REMOVE, EMPTY, DUMMY). The first
            that keeps the instance valid applies.
        source: where the rule stands, for people: "PS3.15 E.1-1, Retain UIDs", "site.yaml, line 7".
        text: what `Action.REPLACE` writes.
        otherwise: what applies to a value that cannot be cleaned, or of which nothing is left.
    """

    actions: tuple[Action, ...]
    source: str
    text: str = ""
    otherwise: tuple[Action, ...] = ()


@dataclass(frozen=True)
class PrivateElement:
    """A private attribute by what identifies it (PS3.5 7.8.1).

    Attributes:
        creator: the private creator as registered, without padding; compared exactly.
        group: the group number, odd.
        element: the low byte of the element number, 0x00 to 0xFF.
    """

    creator: str
    group: int
    element: int


@dataclass(frozen=True)
class Override:
    """One rule of a site, which takes the place of what the standard says.

    Exactly one of `path` and `private` is given.

    Attributes:
        source: where it stands, for people: "site.yaml, line 7".
        action: what happens.
        path: tags from the outermost sequence to the attribute. One tag alone means the attribute
            wherever it stands; more mean that place only, in every item.
        private: a private attribute, wherever it stands.
        vr: of a private attribute, for implicit VR; "" where not known.
        text: for `Action.REPLACE`.
    """

    source: str
    action: Action
    path: tuple[int, ...] = ()
    private: PrivateElement | None = None
    vr: str = ""
    text: str = ""


@dataclass(frozen=True)
class Settings:
    """What a policy says apart from rules about attributes.

    Attributes:
        modalities: the modalities that are let through, in upper case; None lets all through.
        excluded_series: texts; a series whose description contains one of them is withheld. Case
            and surrounding spaces do not count.
        subject_preface: is put before every subject ID.
        identities: "keyed" pseudonyms are the same for ever; "fresh" ones are random in each study
            and kept nowhere.
        shift_days: the smallest and the largest number of days that dates move back.
        several_patients: what happens to a study in which two patients' identities stand.
        words: the site's additions to the lexicon.
        white_lists: tag -> values that stay as they are, normalised by
            `white_lists.normalise`.
    """

    modalities: frozenset[str] | None = None
    excluded_series: tuple[str, ...] = ()
    subject_preface: str = ""
    identities: Literal["keyed", "fresh"] = "keyed"
    shift_days: tuple[int, int] = (1, 3650)
    several_patients: Literal["withhold", "allow"] = "withhold"
    words: frozenset[str] = frozenset()
    white_lists: Mapping[int, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class PolicySpec:
    """A policy as somebody wrote it, with everything that it extends already in it.

    Attributes:
        name: a name for people: letters, digits, dot, hyphen, underscore.
        options: the options switched on.
        overrides: in the order in which they were written; of two about the same attribute the
            later one counts.
        settings: everything else.
    """

    name: str
    options: frozenset[Option] = frozenset()
    overrides: tuple[Override, ...] = ()
    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True, eq=False)
class Policy:
    """What is done to a study, compiled, as one immutable value that can be pickled.

    Two policies with the same fingerprint give the same output for the same study and key.

    Attributes:
        name: a name for people.
        fingerprint: 16 hexadecimal digits over options, rules, settings, tables and their
            editions, data dictionary and engine version.
        rules_fingerprint: the same without the engine version: what a site has decided.
        options: the options switched on.
        departures: number of attributes of which more is kept than the profile and its options
            allow; then the profile's codes are not claimed.
        settings: everything that is not a rule about an attribute.
        rules: tag -> rule, wherever the attribute stands.
        paths: path of tags -> rule, for one place.
        private: private attribute -> rule and VR.
    """

    name: str
    fingerprint: str
    rules_fingerprint: str
    options: frozenset[Option]
    departures: int
    settings: Settings = field(repr=False)
    rules: Mapping[int, Rule] = field(repr=False)
    paths: Mapping[tuple[int, ...], Rule] = field(repr=False)
    private: Mapping[PrivateElement, tuple[Rule, str]] = field(repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Policy) and other.fingerprint == self.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)
