"""What would happen to each element of one file, and why; without a single value.

What belongs here: walking an instance the way the transformation does, asking for the same
decisions, and saying of each element what comes of it. What does not: taking decisions
(`policies/`), carrying them out (`cleaning/`), printing.

Nothing is decided a second time: decisions come from the transformation's own `Context`, new values
are made by it, and whether the instance is delivered is found out by delivering it to nowhere.

An explanation holds tags, names out of public lists, VRs, Types, actions and the texts of rules.
A private creator could be any text, so it is named only where a public list or the policy has it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from locutus_dagster.deid.cleaning.content import _REMOVED, _VALUES, _refers, _Tree
from locutus_dagster.deid.cleaning.decisions import Decision, Kind
from locutus_dagster.deid.cleaning.private import walk_unknown_sequence
from locutus_dagster.deid.cleaning.statement import Statement
from locutus_dagster.deid.cleaning.transform import Context
from locutus_dagster.deid.cleaning.values import Values
from locutus_dagster.deid.encoding.codec import FRAGMENTS, Buffer, Element, Walker
from locutus_dagster.deid.encoding.encode import Encoder
from locutus_dagster.deid.encoding.part10 import Instance, open_instance
from locutus_dagster.deid.faults import UnreadableError
from locutus_dagster.deid.identities.identifiers import Identifiers
from locutus_dagster.deid.identities.pseudonyms import Pseudonyms
from locutus_dagster.deid.policies.model import Action, Policy
from locutus_dagster.deid.policies.rulebook import Place, Rulebook, Ruling
from locutus_dagster.deid.standard.names import attribute_name, is_public_creator, private_name
from locutus_dagster.deid.study import StudyWork

__all__ = ["Explained", "Explanation", "Result", "explain"]

_CHARSET = 0x00080005
_VALUE_TYPE = 0x0040A040
_CONCEPT = 0x0040A043
_CONTENT = 0x0040A730

_NO_PRIVATE = "PS3.15 E.1-1, Basic: private attributes"
_STATES = "PS3.15 E.1: the output says how it was de-identified"
#: Takes the research identity's place where nobody gave one: its value is not shown anyway.
_SOMEBODY = "SUBJECT"


class Result(str, Enum):
    """What comes of an element."""

    KEPT = "kept"
    CHANGED = "changed"
    EMPTIED = "emptied"
    REMOVED = "removed"
    ADDED = "added"

    def __str__(self) -> str:
        return self.value


class Explained(NamedTuple):
    """One element, or one content item that goes as a whole.

    Attributes:
        path: of tags, such as "(0008,1030)" or "(0040,0275)[0]>(0040,0007)"; a content item's ends
            with its index.
        name: the attribute's name.
        vr: its VR as found; "" for a content item.
        type: 1, 2 or 3 in the IOD, None where that is not known.
        action: what the rule asks for: a word of policy files, or one of the engine's own.
        result: what comes of it. A removed sequence goes with all that it holds.
        source: why: the rule, and what else counted.
    """

    path: str
    name: str
    vr: str
    type: int | None
    action: str
    result: Result
    source: str


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
        explainer = _Explainer(instance, policy, values, report.subject_id, verdict.sop_class)
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


class _Spot(NamedTuple):
    """Where the walk is: the data set itself, or the items of a sequence.

    Attributes:
        context: decides.
        place: the enclosing sequences as the rulebook sees them.
        dummies: whether nothing here survives.
        prefix: what paths begin with.
    """

    context: Context
    place: Place
    dummies: bool = False
    prefix: str = ""

    def inside(self, tag: int, *, unknown: bool = False, dummies: bool = False) -> _Spot:
        """Return the inside of a sequence; its prefix still lacks the item's index."""
        dummies = dummies or self.dummies
        return _Spot(
            self.context.inside(tag, unknown=unknown, dummies=dummies),
            None if dummies else self.context.rulebook.inside(self.place, tag),
            dummies,
            self.prefix + _path(tag),
        )

    def item(self, index: int) -> _Spot:
        """Return the inside of one item."""
        return self._replace(prefix=f"{self.prefix}[{index}]>")


class _Level:
    """The elements of one level, with what is known about its private ones."""

    def __init__(self, spot: _Spot, buf: Buffer, elements: list[Element]) -> None:
        self.spot = spot
        self.elements = elements
        self.private = spot.context.private_of(buf, elements)
        self._creators: dict[int, str] = {}
        for tag, _, _, value, end, _ in elements:
            if tag >> 16 & 1 and 0x0010 <= tag & 0xFFFF <= 0x00FF:
                name = bytes(buf[value : min(end, value + 64)]).strip(b" \0")
                self._creators[tag >> 16 << 8 | tag & 0xFF] = name.decode("ascii", "replace")

    def creator(self, tag: int) -> str:
        """Return the creator of a private attribute, or what a creator's element itself says."""
        number = tag & 0xFFFF
        return self._creators.get(tag >> 16 << 8 | (number if number <= 0xFF else number >> 8), "")


class _Explainer:
    """Explains one instance.

    Args:
        instance: the instance.
        policy: what to do.
        values: makes new values.
        subject: the research identity, with the policy's preface.
        sop_class: as the transformation is told.
    """

    def __init__(
        self, instance: Instance, policy: Policy, values: Values, subject: str, sop_class: str
    ) -> None:
        self._instance = instance
        self._buf = instance.buf
        self._policy = policy
        self._values = values
        self._known = {place.creator for place in policy.private}
        encoder = Encoder(explicit=instance.explicit, little=instance.little)
        identity = subject.encode("ascii")
        self._context = Context(Rulebook(policy, sop_class), values, identity, encoder, ())
        self._statement = Statement(policy, identity, encoder)

    def rows(self) -> Iterator[Explained]:
        """Yield all elements in the order of their tags, those that are added included."""
        added = list(self._added())
        self._values.charset = self._instance.value(_CHARSET)
        level = _Level(_Spot(self._context, ()), self._buf, self._instance.elements)
        for element in level.elements:
            while added and added[0][0] <= element[0]:
                yield added.pop(0)[1]
            yield from self._element(level, element)
        yield from (row for _, row in added)

    def _added(self) -> Iterator[tuple[int, Explained]]:
        instance = self._instance
        for _, stated in self._statement.inserts(instance):
            walker = Walker(stated, explicit=instance.explicit, little=instance.little)
            for tag, vr, *_ in walker.data_set(0, len(stated)):
                kind = self._context.rulebook.type_of((), tag)
                name = attribute_name(tag)
                yield tag, Explained(_path(tag), name, vr, kind, "add", Result.ADDED, _STATES)

    def _element(self, level: _Level, element: Element) -> Iterator[Explained]:
        tag, vr, start, value, end, items = element
        spot = level.spot
        decision: Decision | None
        if tag >> 16 & 1:
            gone = Decision(Kind.GONE, Action.REMOVE)
            decision = level.private.get(start, gone)
            name, ruling = self._private(level, tag, vr)
        else:
            decision = spot.context.decide(vr, tag)
            name = attribute_name(tag)
            ruling = spot.context.rulebook.ruling(spot.place, tag, vr)
            ruling = ruling._replace(type=spot.context.rulebook.type_of(spot.place, tag))
            if spot.dummies:
                ruling = ruling._replace(source=f"{ruling.source}; in a sequence of dummies")
        action = Action.KEEP if decision is None else decision.action
        row = Explained(
            spot.prefix + _path(tag), name, vr, ruling.type, _word(action), Result.KEPT,
            ruling.source,
        )  # fmt: skip
        if decision is None:
            yield row
        elif decision.kind is Kind.GONE:
            yield row._replace(result=Result.REMOVED)
        elif decision.kind in (Kind.RECURSE, Kind.CONTENT):
            yield from self._sequence(spot, element, row, decision)
        else:
            new = spot.context.carry_out(decision, self._buf, tag, vr, value, end, items)
            yield row._replace(result=self._result(spot, new, start, end))

    def _private(self, level: _Level, tag: int, vr: str) -> tuple[str, Ruling]:
        """Return name and ruling of a private element; of a creator, as far as they go."""
        creator = level.creator(tag)
        known = creator in self._known or is_public_creator(creator)
        shown = creator if known else "private creator not listed"
        if 0x0010 <= tag & 0xFFFF <= 0x00FF:
            source = "PS3.5 7.8.1: stays where an element of its block does"
            return f"Private Creator: {shown}", Ruling(Action.KEEP, source)
        if not known:
            return shown, Ruling(Action.REMOVE, _NO_PRIVATE)
        ruling = level.spot.context.rulebook.private(creator, tag, vr)
        if level.spot.dummies:
            ruling = ruling._replace(source=_NO_PRIVATE)
        return f"{creator}: {private_name(creator, tag)}".rstrip(": "), ruling

    def _result(self, spot: _Spot, new: bytes | None, start: int, end: int) -> Result:
        """Return what became of an element from what is written in its place."""
        if new is None or new == self._buf[start:end]:
            return Result.KEPT
        if not new:
            return Result.REMOVED
        # An element of no value is nothing but its header.
        walker = Walker(
            new, explicit=self._instance.explicit, little=self._instance.little
        )
        raise NotImplementedError
