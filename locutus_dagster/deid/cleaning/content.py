"""Trees of content items: structured reports, key object selections, acquisition context.

What belongs here: carrying rulings about content items (`policies/content_rules.py`) out. What does
not: the attributes around an item's value, which follow the rules of any attribute.

An item that the table removes goes with everything below it. Where items refer to each other by
their position in the tree, nothing is removed: such an item stays in its place, with a dummy for
its value, and so do those below it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from locutus_dagster.deid.cleaning.values import UNUSABLE
from locutus_dagster.deid.encoding.codec import Buffer, Element
from locutus_dagster.deid.encoding.encode import DUMMIES
from locutus_dagster.deid.policies.content_rules import VALUE_VRS
from locutus_dagster.deid.policies.model import Action
from locutus_dagster.deid.policies.rulebook import Ruling

if TYPE_CHECKING:
    from locutus_dagster.deid.cleaning.contexts import Context

__all__ = ["REMOVED", "VALUE_TAGS", "ContentTree", "clean_items", "refers_by_position"]

_VALUE_TYPE = 0x0040A040
_CONCEPT = 0x0040A043
_CODES = (0x00080100, 0x00080119, 0x00080120)  # Code Value, Long Code Value, URN Code Value
_SCHEME = 0x00080102
_CONTENT = 0x0040A730
_REFERENCED_ITEM = 0x0040DB73
_NUMERIC_VALUE = 0x0040A30A
VALUE_TAGS = {
    "TEXT": 0x0040A160,
    "PNAME": 0x0040A123,
    "DATE": 0x0040A121,
    "TIME": 0x0040A122,
    "DATETIME": 0x0040A120,
    "UIDREF": 0x0040A124,
}
_SUBJECT_AGE = ("121033", "DCM")
#: The oldest age that is told, in each unit of UCUM that ages are given in.
_OLDEST = {"a": 89.0, "mo": 89 * 12.0, "wk": 89 * 52.0, "d": 89 * 365.0}

REMOVED = Ruling(Action.DUMMY, "", otherwise=Action.DUMMY)


def clean_items(context: Context, buf: Buffer, items: list[list[Element]]) -> bytes | None:
    """Return the cleaned items of a tree, None where nothing changes, b"" where none is left.

    Args:
        context: of the inside of the sequence.
        buf: what the elements' offsets refer to.
        items: the sequence's items.
    """
    return ContentTree(buf, refers_by_position(items)).items(context, items, below_removed=False)


def refers_by_position(items: list[list[Element]]) -> bool:
    """Tell whether any item refers to another by its position."""
    for elements in items:
        for tag, _, _, _, _, nested in elements:
            if tag == _REFERENCED_ITEM or (nested and refers_by_position(nested)):
                return True
    return False


class ContentTree:
    """One tree at work; also what explains it (`explaining/`) asks.

    Args:
        buf: what the elements' offsets refer to.
        in_place: whether every item has to stay in its place.
    """

    def __init__(self, buf: Buffer, in_place: bool) -> None:
        self._buf = buf
        self.in_place = in_place

    def items(
        self, context: Context, items: list[list[Element]], *, below_removed: bool
    ) -> bytes | None:
        """Return the cleaned items of one level, None where nothing changes.

        Raises:
            UnreadableError: too many sequences are around them.
        """
        with context.values.nesting:
            return self._items(context, items, below_removed)

    def _items(
        self, context: Context, items: list[list[Element]], below_removed: bool
    ) -> bytes | None:
        changed = False
        rebuilt = []
        for elements in items:
            ruling = self.ruling(context, elements)
            if ruling.action is Action.REMOVE and not self.in_place:
                context.counts[Action.REMOVE] += 1
                changed = True
                continue
            removed = below_removed or ruling.action is Action.REMOVE
            pieces: list[bytes | memoryview] = []
            with context.own_charset(self._buf, elements):
                changed |= self._item(context, elements, REMOVED if removed else ruling, pieces)
            rebuilt.append(context.encoder.item(b"".join(pieces)))
        return b"".join(rebuilt) if changed else None

    def _item(
        self,
        context: Context,
        elements: list[Element],
        ruling: Ruling,
        pieces: list[bytes | memoryview],
    ) -> bool:
        """Append an item's elements; return whether anything differs."""
        value_type = self.text(elements, _VALUE_TYPE)
        value_tag = VALUE_TAGS.get(value_type, 0)
        private = context.private_of(self._buf, elements)
        changed = False
        for element in elements:
            tag, vr, start, _, end, nested = element
            new: bytes | None
            if tag == value_tag and nested is None:
                new = self.value(context, element, value_type, ruling)
            elif tag == _CONTENT and nested is not None:
                below = ruling is REMOVED
                inner = context.inside(tag, unknown=vr == "UN")
                content = self.items(inner, nested, below_removed=below)
                if content is None:
                    new = None
                else:
                    new = context.encoder.element(tag, vr, content) if content else b""
            elif ruling is REMOVED and vr == "SQ" and tag != _CONCEPT and nested:
                inner = context.inside(tag, dummies=True)
                content = inner.items(self._buf, nested)
                new = None if content is None else context.encoder.element(tag, vr, content)
            else:
                changed |= context.elements(self._buf, [element], pieces, private)
                continue
            if new is None:
                pieces.append(self._buf[start:end])
            else:
                changed = True
                pieces.append(new)
        return changed

    def value(
        self, context: Context, element: Element, value_type: str, ruling: Ruling
    ) -> bytes | None:
        """Return the element that takes the place of an item's value, None where it stays."""
        tag, vr, _, start, end, _ = element
        meant = VALUE_VRS[value_type]
        action = ruling.action
        if value_type == "UIDREF" and action is not Action.KEEP:
            action = Action.UID
        if action is Action.KEEP:
            # Kept for what it says, not for who may stand in it besides.
            action = Action.SCRUB if meant == "UT" else Action.KEEP
        if action is Action.KEEP:
            if value_type == "UIDREF":
                context.values.kept_uids.add(bytes(self._buf[start:end]).strip(b" \0"))
            return None
        dummy = context.encoder.element(tag, vr, DUMMIES.get(meant, b""))
        context.counts[action] += 1
        if action is Action.DUMMY:
            return dummy
        new = context.values.method(action, meant, tag)(bytes(self._buf[start:end]))
        if new is UNUSABLE:
            return dummy
        assert new is None or isinstance(new, bytes)
        return None if new is None else context.encoder.element(tag, vr, new)

    def ruling(self, context: Context, elements: list[Element]) -> Ruling:
        """Return what happens to an item, before what happens above it counts."""
        concept = next((e[5] for e in elements if e[0] == _CONCEPT and e[5]), None)
        code = scheme = ""
        if concept:
            code = next(filter(None, (self.text(concept[0], tag) for tag in _CODES)), "")
            scheme = self.text(concept[0], _SCHEME)
        ruling = context.content.ruling(code, scheme, self.text(elements, _VALUE_TYPE))
        is_age = (code, scheme) == _SUBJECT_AGE and ruling.action is Action.KEEP
        if is_age and self._too_old(elements):
            return Ruling(Action.REMOVE, "engine: an age over 89 years identifies")
        return ruling

    def _too_old(self, elements: list[Element]) -> bool:
        """Tell whether a measured age is over 89 years, or cannot be read."""
        number = self._find(elements, _NUMERIC_VALUE)
        unit = self._find(elements, _CODES[0], below=0x004008EA)
        with suppress(ValueError):
            return not float(number) <= _OLDEST.get(unit, 0)
        return True

    def _find(self, elements: list[Element], wanted: int, below: int = 0) -> str:
        """Return the first value of a tag at any depth, inside of a certain sequence if given."""
        for tag, _, _, _, _, nested in elements:
            if tag == wanted and not below:
                return self.text(elements, wanted)
            if nested and tag not in (_CONTENT, _CONCEPT):
                for item in nested:
                    found = self._find(item, wanted, 0 if tag == below else below)
                    if found:
                        return found
        return ""

    def text(self, elements: list[Element], wanted: int) -> str:
        """Return a short value of one level, "" if absent."""
        for tag, _, _, value, end, nested in elements:
            if tag == wanted and nested is None:
                return bytes(self._buf[value:end]).strip(b" \0").decode("ascii", "replace")
        return ""
