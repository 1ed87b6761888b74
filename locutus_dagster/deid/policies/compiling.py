"""From what a policy says to the rules that the engine applies, and their fingerprint.

What belongs here: Table E.1-1, the options and a site's overrides merged into one `Policy`, and
telling whether the result still is what the profile demands. What does not: reading files
(`reading.py`), Types and VRs of one instance (`rulebook.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files

from locutus_dagster.deid.faults import DeidError
from locutus_dagster.deid.policies.model import (
    DEFAULT_MODALITIES,
    Action,
    Option,
    Override,
    Policy,
    PolicySpec,
    PrivateElement,
    Rule,
    Settings,
)
from locutus_dagster.deid.standard.dictionary import VR_OF, dictionary_digest
from locutus_dagster.deid.standard.safe_private import load_safe_private
from locutus_dagster.deid.standard.table import EDITION, TableRow, load_table
from locutus_dagster.deid.version import ENGINE_VERSION

__all__ = ["CONTENT_SEQUENCES", "basic_policy", "compile_policy", "table_actions"]

#: Action of Table E.1-1 -> alternatives. In X/Z/U* the sequence stays with its UIDs mapped.
_COMPOSITE: dict[str, tuple[Action, ...]] = {
    "X": (Action.REMOVE,),
    "Z": (Action.EMPTY,),
    "D": (Action.DUMMY,),
    "U": (Action.UID,),
    "X/Z": (Action.REMOVE, Action.EMPTY),
    "X/D": (Action.REMOVE, Action.DUMMY),
    "Z/D": (Action.EMPTY, Action.DUMMY),
    "X/Z/D": (Action.REMOVE, Action.EMPTY, Action.DUMMY),
    "X/Z/U*": (Action.REMOVE, Action.EMPTY, Action.UID),
}

#: Patterns of the table, which `rulebook.py` carries out by number.
_PATTERNS = {"50xxxxxx", "60xx3000", "60xx4000", "PRIVATE"}

#: Sequences whose items are content items (PS3.3 10.2, C.17.3): Content, Acquisition Context,
#: Specimen Preparation Step Content Item, Protocol Context, Content Item Modifier.
CONTENT_SEQUENCES = frozenset((0x0040A730, 0x00400555, 0x00400612, 0x00400440, 0x00400441))

#: Patient's Name and Patient ID carry the subject's research identity.
_SUBJECT_TAGS = (0x00100010, 0x00100020)
_SUBJECT_SOURCE = "PS3.15 E.1-1, Basic: the research identity is the replacement"

_TEMPORAL = frozenset(("DA", "DT", "TM"))
_KEPT = frozenset((Action.KEEP, Action.DATE, Action.AGE))
_CLEANED = frozenset((Action.CLEAN, Action.SCRUB, Action.SHIFT, Action.CONTENT))


def table_actions(cell: str) -> tuple[Action, ...]:
    """Return the alternatives that an action of a table stands for.

    Raises:
        ValueError: the standard's tables have no such action.
    """
    try:
        return _COMPOSITE[cell]
    except KeyError:
        raise ValueError(f"unknown action {cell} in Table E.1-1") from None


def _rule_of(row: TableRow, options: frozenset[Option]) -> Rule:
    """Return what the standard says about an attribute under these options.

    Retaining (K) counts before cleaning (C), but for dates: where both a modified date and a
    retained device are asked for, the date moves.
    """
    basic = table_actions(row.basic)
    cells = {option: row.options[option.value] for option in options if option.value in row.options}
    for option in sorted(cells, key=lambda option: (cells[option] != "K", option.value)):
        if cells[option] == "K" and Option.RETAIN_LONGITUDINAL_MODIFIED_DATES not in cells:
            action = _retained(row.tag, option)
        elif option is Option.RETAIN_LONGITUDINAL_MODIFIED_DATES:
            action = Action.SHIFT
        elif cells[option] == "C":
            action = Action.CONTENT if row.tag in CONTENT_SEQUENCES else Action.CLEAN
        else:
            continue
        return Rule((action,), f"PS3.15 E.1-1, {option.label}", otherwise=basic)
    return Rule(basic, "PS3.15 E.1-1, Basic", otherwise=basic)


def _retained(tag: int | None, option: Option) -> Action:
    vr = VR_OF.get(tag or 0, "")
    if vr == "AS":
        return Action.AGE
    if vr in _TEMPORAL or (vr == "SH" and option is Option.RETAIN_LONGITUDINAL_FULL_DATES):
        return Action.DATE
    return Action.KEEP


def _standard_rules(options: frozenset[Option]) -> dict[int, Rule]:
    rules: dict[int, Rule] = {}
    for row in load_table():
        if row.tag is not None:
            rules[row.tag] = _rule_of(row, options)
        elif row.pattern not in _PATTERNS:
            raise ValueError(f"unknown pattern {row.pattern} in Table E.1-1")
    for tag in _SUBJECT_TAGS:
        rules[tag] = Rule((Action.SUBJECT,), _SUBJECT_SOURCE)
    return rules


def _override_rule(override: Override, basic: tuple[Action, ...]) -> Rule:
    vr = VR_OF.get(override.path[-1], "") if override.path else override.vr
    action = override.action
    if action is Action.KEEP and vr == "AS":
        action = Action.AGE  # ages over 89 identify, whoever keeps ages
    elif action is Action.KEEP and vr in _TEMPORAL:
        action = Action.DATE  # a date that cannot be read is none
    elif action is Action.CLEAN and override.path and override.path[-1] in CONTENT_SEQUENCES:
        action = Action.CONTENT
    return Rule((action,), override.source, text=override.text, otherwise=basic)


def _departs(rule: Rule, standard: Rule | None, vr: str) -> bool:
    """Tell whether a site's rule keeps more than the profile and its options allow."""
    allowed = standard.actions[0] if standard else Action.KEEP
    if standard is None and vr == "UI":
        allowed = Action.UID
    if rule.actions[0] in _KEPT:
        return allowed not in _KEPT
    if rule.actions[0] in _CLEANED:
        return allowed not in _KEPT | _CLEANED
    return False


def compile_policy(spec: PolicySpec, *, modalities: Iterable[str] | None = None) -> Policy:
    """Return the policy that a specification asks for.

    Source: PS3.15 E.2, E.3 and Table E.1-1, edition 2026d; Table E.3.10-1 for private attributes.

    Args:
        spec: options, overrides and settings.
        modalities: takes the place of the specification's modalities.

    Raises:
        DeidError: options contradict each other.
    """
    _check_options(spec)
    standard = _standard_rules(spec.options)
    rules = dict(standard)
    paths: dict[tuple[int, ...], Rule] = {}
    private: dict[PrivateElement, tuple[Rule, str]] = {}
    safe = Option.RETAIN_SAFE_PRIVATE in spec.options
    if safe:
        kept = Rule((Action.CLEAN,), "PS3.15 E.3.10-1", otherwise=(Action.REMOVE,))
        for entry in load_safe_private():
            private[PrivateElement(entry.creator, entry.group, entry.element)] = kept, entry.vr
    departed: set[object] = set()
    for override in spec.overrides:
        if override.private is not None:
            place: object = override.private
            private[override.private] = _override_rule(override, (Action.REMOVE,)), override.vr
            departs = not safe and override.action in _KEPT | _CLEANED
        else:
            place = override.path
            tag = override.path[-1]
            base = standard.get(tag)
            rule = _override_rule(override, base.otherwise if base else _ANY_TYPE)
            departs = _departs(rule, base, VR_OF.get(tag, ""))
            if len(override.path) == 1:
                rules[tag] = rule
            else:
                paths[override.path] = rule
        departed.discard(place)
        if departs:
            departed.add(place)
    settings = spec.settings
    if modalities is not None:
        folded = frozenset(modality.strip().upper() for modality in modalities) - {""}
        settings = replace(settings, modalities=None if "ANY" in folded else folded)
    rules_fingerprint = _fingerprint(spec, settings, rules, paths, private)
    return Policy(
        name=spec.name,
        fingerprint=_digest(f"engine {ENGINE_VERSION}\n{rules_fingerprint}"),
        rules_fingerprint=rules_fingerprint,
        options=spec.options,
        departures=len(departed),
        settings=settings,
        rules=rules,
        paths=paths,
        private=private,
    )


_ANY_TYPE = (Action.REMOVE, Action.EMPTY, Action.DUMMY)


def _check_options(spec: PolicySpec) -> None:
    contradictions = (
        (
            {Option.RETAIN_LONGITUDINAL_FULL_DATES, Option.RETAIN_LONGITUDINAL_MODIFIED_DATES}
            <= spec.options,
            "Retain Longitudinal Full Dates and Retain Longitudinal Modified Dates",
        ),
        (
            Option.RETAIN_UIDS in spec.options and spec.settings.identities == "fresh",
            "Retain UIDs and fresh UIDs",
        ),
    )
    for contradicts, pair in contradictions:
        if contradicts:
            raise DeidError(
                f"The policy '{spec.name}' asks for {pair}, which contradict each other.",
                "Switch one of them off.",
            )


def basic_policy(modalities: Iterable[str] = DEFAULT_MODALITIES) -> Policy:
    """Return the Basic Application Level Confidentiality Profile without options.

    Source: PS3.15 E.2 and Table E.1-1, edition 2026d.

    Args:
        modalities: the modalities that are let through; case does not matter.
    """
    return compile_policy(PolicySpec("basic"), modalities=modalities)


@lru_cache(maxsize=1)
def _data_digest() -> str:
    """Return a digest of everything that the package ships and decides by."""
    digest = hashlib.sha256()
    for room in ("standard", "cleaning"):
        folder = files("locutus_dagster.deid") / room / "data"
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if entry.name.endswith((".csv", ".txt")):
                digest.update(entry.name.encode() + b"\0" + entry.read_bytes() + b"\0")
    return digest.hexdigest()


def _fingerprint(
    spec: PolicySpec,
    settings: Settings,
    rules: Mapping[int, Rule],
    paths: Mapping[tuple[int, ...], Rule],
    private: Mapping[PrivateElement, tuple[Rule, str]],
) -> str:
    """Digest what decides about an output beside the engine; where a rule was written does not."""

    def lines() -> Iterator[str]:
        yield f"PS3.15 {EDITION}"
        yield dictionary_digest()
        yield _data_digest()
        yield f"name {spec.name}"
        yield from sorted(spec.options)
        modalities = settings.modalities
        yield "any" if modalities is None else " ".join(sorted(modalities))
        for field in ("subject_preface", "identities", "shift_days", "several_patients"):
            yield f"{field} {getattr(settings, field)!r}"
        yield f"excluded {sorted(settings.excluded_series)!r}"
        yield f"words {sorted(settings.words)!r}"
        for tag, values in sorted(settings.white_lists.items()):
            yield f"white {tag:08X} {sorted(values)!r}"
        for tag in sorted(rules):
            yield f"{tag:08X} {_told(rules[tag])}"
        for path in sorted(paths):
            yield f"{'/'.join(f'{tag:08X}' for tag in path)} {_told(paths[path])}"
        for place in sorted(private, key=lambda one: (one.creator, one.group, one.element)):
            rule, vr = private[place]
            yield f"{place.creator!r} {place.group:04X} {place.element:02X} {vr} {_told(rule)}"

    return _digest("\n".join(lines()))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _told(rule: Rule) -> str:
    return f"{'/'.join(rule.actions)} {'/'.join(rule.otherwise)} {rule.text!r}"
