"""What happens to one attribute of one instance, and why.

What belongs here: the decision, from policy, dictionary and the attribute's Type in the IOD of the
instance's SOP class. What does not: bytes (`cleaning/`). `locutus deid --explain` prints these
rulings, and the transformation carries the same ones out.
"""

from __future__ import annotations

from typing import NamedTuple

from locutus_dagster.deid.policies.compiling import CONTENT_SEQUENCES
from locutus_dagster.deid.policies.model import Action, Option, Policy, PrivateElement, Rule
from locutus_dagster.deid.standard.dictionary import ALLOWED_VRS, CLASS_LIKE_UIDS
from locutus_dagster.deid.standard.iod_types import IodTypes, iod_types

__all__ = ["LONGITUDINAL", "METHOD", "Place", "Rulebook", "Ruling"]

#: Where an attribute stands: the tags of the enclosing sequences, outermost first; None where
#: nothing is known about the place.
Place = tuple[int, ...] | None

#: Patient Identity Removed, De-identification Method and its Code Sequence; Longitudinal Temporal
#: Information Modified. The engine states these itself; what the input says goes.
METHOD = (0x00120062, 0x00120063, 0x00120064)
LONGITUDINAL = 0x00280303
_STATED = frozenset((*METHOD, LONGITUDINAL))

_GONE_AT_ONCE = {
    0x00080300: "engine: private attributes go, hence what is said about them",
    0x4FFE0001: "engine: a digital signature over other bytes is void",
}
#: Type 1 in a module that nobody needs and that holds nothing else (PS3.3 C.10.10): without the
#: attribute the instance is valid. Waveform Annotation Sequence.
_ALONE_IN_ITS_MODULE = frozenset((0x0040B020,))

_TEMPORAL = frozenset(("DA", "DT", "TM"))
_FREE_TEXT = frozenset(("LT", "ST", "UT"))
_TEXT = frozenset(("CS", "LO", "LT", "SH", "ST", "UC", "UR", "UT"))
_ANY = (Action.REMOVE, Action.EMPTY, Action.DUMMY)
#: Codes, schemes and versions look like dates and record numbers, and mean nothing when changed.
_VERBATIM = frozenset(
    (
        0x00080005,  # Specific Character Set
        0x00080100,  # Code Value
        0x00080102,  # Coding Scheme Designator
        0x00080103,  # Coding Scheme Version
        0x00080105,  # Mapping Resource
        0x0008010F,  # Context Identifier
        0x00080112,  # Coding Scheme Registry
        0x00080114,  # Coding Scheme External ID
        0x00080119,  # Long Code Value
        0x00080120,  # URN Code Value
        0x0040A010,  # Relationship Type
        0x0040A040,  # Value Type
        0x0040A050,  # Continuity of Content
        0x0040DB00,  # Template Identifier
    )
)


class Ruling(NamedTuple):
    """A decision about an attribute.

    Attributes:
        action: what happens.
        source: why, for people.
        type: 1, 2 or 3 in the IOD (conditional ones count as required), None where not known.
        otherwise: what happens to a value that `action` cannot make anything of: remove, empty or
            dummy.
        text: what `Action.REPLACE` writes.
        vr: the VR to read the value by.
    """

    action: Action
    source: str
    type: int | None = None
    otherwise: Action = Action.REMOVE
    text: str = ""
    vr: str = ""


class Rulebook:
    """The policy, for instances of one SOP class.

    Args:
        policy: the policy.
        sop_class: SOP Class UID of the instances.
    """

    def __init__(self, policy: Policy, sop_class: str) -> None:
        self.policy = policy
        #: Private creators of which an attribute may stay.
        self.creators = frozenset(place.creator for place in policy.private)
        self._types: IodTypes | None = iod_types(sop_class)
        options = policy.options
        self._text = Action.SCRUB if Option.CLEAN_DESCRIPTORS in options else Action.KEEP
        self._uid = Action.KEEP if Option.RETAIN_UIDS in options else Action.UID
        self._content = Option.CLEAN_STRUCTURED_CONTENT in options
        self.dates = Action.REMOVE
        if Option.RETAIN_LONGITUDINAL_FULL_DATES in options:
            self.dates = Action.DATE
        elif Option.RETAIN_LONGITUDINAL_MODIFIED_DATES in options:
            self.dates = Action.SHIFT
        self._prefixes = {path[:n] for path in policy.paths for n in range(1, len(path))}

    def inside(self, place: Place, tag: int) -> Place:
        """Return the place inside a sequence, None where nothing is said about it."""
        if place is None:
            return None
        inner = (*place, tag)
        listed = self._types is not None and self._types.has_place(inner)
        return inner if listed or inner in self._prefixes else None

    def type_of(self, place: Place, tag: int) -> int | None:
        """Return the Type: 1, 2 or 3; None where IOD or place are not known."""
        if self._types is None or place is None:
            return None
        if place and not self._types.has_place(place):
            return None
        if tag in _ALONE_IN_ITS_MODULE:
            return 3
        # What the IOD does not have at a place that it does have is an extension: optional.
        return self._types.type_of(place, tag) or 3

    def ruling(self, place: Place, tag: int, vr: str) -> Ruling:
        """Return what happens to a standard attribute.

        Args:
            place: where it stands.
            tag: its tag, not a private one.
            vr: its VR as found; UN and implicit VR count as the dictionary's.
        """
        group = tag >> 16
        allowed = ALLOWED_VRS.get(tag)
        rule = self._rule(place, tag)
        if tag in _STATED:
            return Ruling(Action.REMOVE, "engine: states this itself")
        if group & 1:
            return Ruling(Action.REMOVE, "PS3.15 E.1-1, Basic: private attributes")
        if tag & 0xFFFF == 0 or group < 0x0008:
            return Ruling(Action.REMOVE, "engine: group lengths and groups below 0008 are void")
        if group & 0xFF00 in (0x5000, 0x6000):
            # Of overlays the table names data and comments only; the rest of a plane would be an
            # orphan, and its label and description are free text. Clean Graphics cannot tell what
            # is drawn in a bitmap, hence these go under that option as well.
            return Ruling(Action.REMOVE, "PS3.15 E.1-1, Basic: curves and overlays")
        if allowed is None:
            return Ruling(Action.REMOVE, "engine: not in the data dictionary")
        standard = allowed[0]
        if rule is None:
            rule = self._unnamed(tag, standard)
        kind = self.type_of(place, tag)
        if kind == 3 and len(rule.actions) > 1 and rule.actions[-1] is Action.UID:
            # Common Instance Reference (PS3.3 C.12.2) lists what the instance refers to, and is
            # wrong if it refers to nothing.
            kind = self.type_of((), _REFERENCED_SERIES)
        known = self._types is not None and place is not None
        action = _resolve(rule.actions, kind, known)
        otherwise = _fallback(rule.otherwise or rule.actions, kind, known)
        if action is Action.DUMMY and standard == "UI":
            action = Action.UID  # the one dummy UID that refers to nothing wrong
        if vr not in allowed and vr != "UN" and action not in _REWRITES:
            return Ruling(otherwise, "engine: of another VR", kind, otherwise, "", standard)
        return Ruling(action, rule.source, kind, otherwise, rule.text, standard)

    def _rule(self, place: Place, tag: int) -> Rule | None:
        if place and place in self._prefixes:
            rule = self.policy.paths.get((*place, tag))
            if rule is not None:
                return rule
        return self.policy.rules.get(tag)

    def _unnamed(self, tag: int, vr: str) -> Rule:
        """Return the rule for an attribute that neither table nor site names."""
        if tag in _GONE_AT_ONCE:
            return Rule((Action.REMOVE,), _GONE_AT_ONCE[tag])
        if tag in _VERBATIM:
            return Rule((Action.KEEP,), "PS3.15 E.1-1: not named", otherwise=_ANY)
        if tag in CONTENT_SEQUENCES and self._content:
            return Rule((Action.CONTENT,), "PS3.15 E.3.4, Clean Structured Content")
        if vr == "UI":
            if tag in CLASS_LIKE_UIDS:
                return Rule((Action.KEEP,), "PS3.15 E.1-1: not named; the UID of a class")
            return Rule((self._uid,), "PS3.15 E.1-1, Basic: UIDs of objects, wherever they stand")
        if vr in _TEMPORAL:
            source = "engine: dates that Table E.1-1 does not name, as those that it does"
            if self.dates is Action.REMOVE:
                return Rule(_ANY, source, otherwise=_ANY)
            return Rule((self.dates,), source, otherwise=_ANY)
        if vr == "PN":
            return Rule(_ANY, "engine: names that Table E.1-1 does not name", otherwise=_ANY)
        if vr in _FREE_TEXT and self._text is Action.SCRUB:
            source = "PS3.15 E.3.5, Clean Descriptors: free text that Table E.1-1 does not name"
            return Rule((Action.CLEAN,), source, otherwise=_ANY)
        if vr in _TEXT:
            source = "PS3.15 E.1-1: not named"
            if self._text is Action.SCRUB:
                source = "PS3.15 E.3.5, Clean Descriptors: text that Table E.1-1 does not name"
            return Rule((self._text,), source, otherwise=_ANY)
        return Rule((Action.KEEP,), "PS3.15 E.1-1: not named", otherwise=_ANY)

    def private(self, creator: str, tag: int, vr: str) -> Ruling:
        """Return what happens to a private attribute.

        Args:
            creator: the private creator of its block, without padding; "" where there is none.
            tag: its tag.
            vr: its VR as found.
        """
        place = PrivateElement(creator, tag >> 16, tag & 0xFF)
        rule, listed = self.policy.private.get(place, (None, ""))
        if rule is None or not creator:
            return Ruling(Action.REMOVE, "PS3.15 E.1-1, Basic: private attributes")
        meant = vr if vr != "UN" else listed
        if not meant or (listed and not _same_kind(meant, listed)):
            return Ruling(Action.REMOVE, f"{rule.source}: not of the VR that is listed")
        action = rule.actions[0]
        if action in (Action.KEEP, Action.CLEAN, Action.DATE):
            action = self._private_action(meant)
        return Ruling(action, rule.source, None, Action.REMOVE, rule.text, meant)

    def _private_action(self, vr: str) -> Action:
        """What stays of private attributes is cleaned by its VR."""
        if vr == "SQ":
            return Action.CLEAN
        if vr == "UI":
            return self._uid
        if vr in _TEMPORAL:
            return self.dates
        if vr == "AS":
            return Action.AGE
        if vr == "PN":
            return Action.REMOVE
        if vr in _FREE_TEXT:
            return Action.CLEAN
        return Action.SCRUB if vr in _TEXT else Action.KEEP


_REFERENCED_SERIES = 0x00081115

#: Actions that write a value of the dictionary's VR, whatever was found.
_REWRITES = frozenset((Action.REMOVE, Action.EMPTY, Action.DUMMY, Action.SUBJECT, Action.REPLACE))


def _same_kind(found: str, listed: str) -> bool:
    """Tell whether a private attribute has a VR that its list allows."""
    text = ("CS", "LO", "LT", "SH", "ST", "UC", "UT")
    binary = ("OB", "OW")
    return found == listed or any(found in one and listed in one for one in (text, binary))


def _resolve(actions: tuple[Action, ...], kind: int | None, known: bool) -> Action:
    """Return the alternative that applies to an attribute of a Type (PS3.15 Table E.1-1a).

    Where the Type is not known, the alternative is taken that is valid for every Type. Of X/Z/U*
    the references are taken for Type 2 as well: others in the instance depend on them, such as
    Common Instance Reference, and mapped they tell nobody anything.
    """
    action = actions[-1]
    if len(actions) > 1:
        if kind == 3 and known:
            return actions[0]
        if kind == 2 and action is not Action.UID:
            action = next(one for one in actions if one is not Action.REMOVE)
    if action is Action.EMPTY and kind == 1:
        return Action.DUMMY  # Z may be a dummy, and the IOD asks for a value
    return action


def _fallback(actions: tuple[Action, ...], kind: int | None, known: bool) -> Action:
    """Return what is left of a value that cannot be cleaned: remove, empty or dummy."""
    action = _resolve(actions, kind, known)
    if kind == 1:
        return Action.DUMMY
    if action in (Action.REMOVE, Action.EMPTY, Action.DUMMY):
        return Action.EMPTY if kind == 2 and action is Action.REMOVE else action
    return Action.EMPTY
