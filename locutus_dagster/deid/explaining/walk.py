"""The walk over an instance that asks of each element what the transformation does with it.

What belongs here: the same steps as in `cleaning/transform.py` and `cleaning/content.py`, and what
to say at each. What does not: decisions and new values: those are asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from locutus_dagster.deid.cleaning.content import (
    REMOVED,
    VALUE_TAGS,
    ContentTree,
    refers_by_position,
)
from locutus_dagster.deid.cleaning.contexts import Context
from locutus_dagster.deid.cleaning.decisions import Decision, Kind
from locutus_dagster.deid.cleaning.private import walk_unknown_sequence
from locutus_dagster.deid.cleaning.statement import Statement
from locutus_dagster.deid.cleaning.values import Values
from locutus_dagster.deid.encoding.codec import Element, Walker
from locutus_dagster.deid.encoding.encode import Encoder
from locutus_dagster.deid.encoding.part10 import Instance
from locutus_dagster.deid.explaining.places import Level, Spot
from locutus_dagster.deid.explaining.rows import Explained, Result, action_word, tag_path
from locutus_dagster.deid.policies.model import Action, Policy
from locutus_dagster.deid.policies.rulebook import Rulebook, Ruling
from locutus_dagster.deid.standard.names import attribute_name, is_public_creator, private_name

__all__ = ["Explainer"]

_CHARSET = 0x00080005
_VALUE_TYPE = 0x0040A040
_CONCEPT = 0x0040A043
_CONTENT = 0x0040A730

_NO_PRIVATE = "PS3.15 E.1-1, Basic: private attributes"
_STATES = "PS3.15 E.1: the output says how it was de-identified"


class Explainer:
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
        level = Level(Spot(self._context, ()), self._buf, self._instance.elements)
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
                yield tag, Explained(tag_path(tag), name, vr, kind, "add", Result.ADDED, _STATES)

    def _element(self, level: Level, element: Element) -> Iterator[Explained]:
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
            spot.prefix + tag_path(tag), name, vr, ruling.type, action_word(action), Result.KEPT,
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
            vrs = (decision.vr, ruling.vr)
            yield row._replace(result=self._result(spot, element, new, vrs))

    def _private(self, level: Level, tag: int, vr: str) -> tuple[str, Ruling]:
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

    def _result(
        self, spot: Spot, element: Element, new: bytes | None, vrs: tuple[str, ...]
    ) -> Result:
        """Return what became of an element from what is written in its place."""
        tag, vr, start, value, end, _ = element
        if new is None or new == self._buf[start:end]:
            return Result.KEPT
        if not new:
            return Result.REMOVED
        if new in (spot.context.encoder.element(tag, one, b"") for one in (vr, *vrs) if one):
            return Result.EMPTIED if value < end else Result.KEPT  # with another VR, perhaps
        return Result.CHANGED

    def _sequence(
        self, spot: Spot, element: Element, row: Explained, decision: Decision
    ) -> Iterator[Explained]:
        """Yield the row of a sequence that is cleaned item by item, and those of its items."""
        tag, vr, _, value, end, items = element
        if items is None and vr == "UN":
            items = walk_unknown_sequence(self._buf, value, end)
        if items is None:
            source = f"{row.source}; not a sequence after all"
            yield row._replace(result=Result.REMOVED, source=source)
            return
        inner = spot.inside(tag, unknown=vr == "UN", dummies=decision.action is Action.DUMMY)
        if decision.kind is Kind.CONTENT:
            tree = ContentTree(self._buf, refers_by_position(items))
            left, inside = self._tree(inner, tree, items, "")
            if not left:
                gone = Result.EMPTIED if decision.data else Result.REMOVED
                row = row._replace(result=gone)
        else:
            left, inside = True, self._items(inner, items)
        if left and any(one.result is not Result.KEPT for one in inside):
            row = row._replace(result=Result.CHANGED)
        if row.action == action_word(Action.KEEP):
            row = row._replace(action=action_word(Action.CLEAN))  # its items, by their own rules
        yield row
        yield from inside

    def _items(self, spot: Spot, items: list[list[Element]]) -> list[Explained]:
        rows: list[Explained] = []
        for index, elements in enumerate(items):
            with self._values.nesting, self._charset_of(elements):
                level = Level(spot.item(index), self._buf, elements)
                for element in elements:
                    rows.extend(self._element(level, element))
        return rows

    @contextmanager
    def _charset_of(self, elements: list[Element]) -> Iterator[None]:
        """An item may declare a character set of its own (PS3.3 C.12.1.1.2)."""
        outer = self._values.charset
        for tag, _, _, value, end, _ in elements:
            if tag == _CHARSET:
                self._values.charset = bytes(self._buf[value:end]).strip(b" \0")
        yield
        self._values.charset = outer

    def _tree(
        self, spot: Spot, tree: ContentTree, items: list[list[Element]], above: str
    ) -> tuple[bool, list[Explained]]:
        """Return whether any content item is left, and the rows of all.

        Args:
            spot: the inside of the sequence.
            tree: decides about content items.
            items: the sequence's.
            above: why an item above is removed, "" where none is.
        """
        left = not items
        rows: list[Explained] = []
        for index, elements in enumerate(items):
            ruling = tree.ruling(spot.context, elements)
            if ruling.action is Action.REMOVE and not tree.in_place:
                path = f"{spot.prefix}[{index}]"
                word = action_word(Action.REMOVE)
                source = ruling.source
                rows.append(Explained(path, "content item", "", None, word, Result.REMOVED, source))
                continue
            left = True
            gone = above or (ruling.source if ruling.action is Action.REMOVE else "")
            if gone:
                ruling = REMOVED
            with self._values.nesting:
                rows.extend(self._tree_item(spot.item(index), tree, elements, ruling, gone))
        return left, rows

    def _tree_item(
        self, spot: Spot, tree: ContentTree, elements: list[Element], ruling: Ruling, gone: str
    ) -> Iterator[Explained]:
        """Yield the rows of a content item that stays in its place, even if `gone` says why not."""
        value_type = tree.text(elements, _VALUE_TYPE)
        value_tag = VALUE_TAGS.get(value_type, 0)
        level = Level(spot, self._buf, elements)
        for element in elements:
            tag, vr, *_, nested = element
            kind = spot.context.rulebook.type_of(spot.place, tag)
            row = Explained(
                spot.prefix + tag_path(tag), attribute_name(tag), vr, kind, "", Result.KEPT,
                f"{gone}; its place is kept" if gone else ruling.source,
            )  # fmt: skip
            if tag == value_tag and nested is None:
                counts: Counter[Action] = Counter()
                spot.context.counts = counts
                new = tree.value(spot.context, element, value_type, ruling)
                action = next(iter(counts), Action.KEEP)
                yield row._replace(
                    action=action_word(action), result=self._result(spot, element, new, ())
                )
            elif tag == _CONTENT and nested is not None:
                left, inside = self._tree(spot.inside(tag, unknown=vr == "UN"), tree, nested, gone)
                result = Result.REMOVED
                if left:
                    kept = all(one.result is Result.KEPT for one in inside)
                    result = Result.KEPT if kept else Result.CHANGED
                yield row._replace(action=action_word(Action.CONTENT), result=result)
                yield from inside
            elif ruling is REMOVED and vr == "SQ" and tag != _CONCEPT and nested:
                inside = self._items(spot.inside(tag, dummies=True), nested)
                kept = all(one.result is Result.KEPT for one in inside)
                result = Result.KEPT if kept else Result.CHANGED
                yield row._replace(action=action_word(Action.DUMMY), result=result)
                yield from inside
            else:
                yield from self._element(level, element)
