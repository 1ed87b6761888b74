"""What happens to the attributes of one place, in one encoding.

What belongs here: decisions, and carrying them out on elements, items and sequences. What does not:
whole instances (`transform.py`), new values (`values.py`).

Decisions depend on place, tag, VR and encoding only, so each is taken once in a study and looked
up afterwards: a `Context` holds those of one place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from locutus_dagster.deid.cleaning.content import clean_items
from locutus_dagster.deid.cleaning.decisions import Decision, Kind
from locutus_dagster.deid.cleaning.private import private_decisions, walk_unknown_sequence
from locutus_dagster.deid.cleaning.values import UNUSABLE, Values
from locutus_dagster.deid.encoding.codec import Buffer, Element, Shared, Walker
from locutus_dagster.deid.encoding.encode import DUMMIES, Encoder
from locutus_dagster.deid.policies.content_rules import ContentRules
from locutus_dagster.deid.policies.model import Action
from locutus_dagster.deid.policies.rulebook import Place, Rulebook, Ruling
from locutus_dagster.deid.standard.dictionary import CLASS_LIKE_UIDS

__all__ = ["GONE", "Context"]

_CHARSET = 0x00080005
#: As much of it as `Instance.value` returns: results are remembered by it.
_LONGEST_CHARSET = 1024
#: Decisions that are remembered at one place, for each VR; the dictionary has 5000 attributes.
_MOST_DECISIONS = 10_000
_UNDECIDED: Any = object()
GONE = Decision(Kind.GONE, Action.REMOVE)


class Context:
    """The decisions about the attributes of one place, in one encoding.

    Args:
        rulebook: decides.
        values: makes new values.
        subject: the research identity, ASCII.
        encoder: writes elements.
        place: where the attributes stand; None for any place that nothing is said about.
        dummies: whether this is the inside of a sequence that the profile replaces by a dummy.
            Such a sequence stays a valid one of its kind, and nothing that it says survives: the
            code of a person, say, whose value and meaning no rule names for themselves.
    """

    def __init__(
        self,
        rulebook: Rulebook,
        values: Values,
        subject: bytes,
        encoder: Encoder,
        place: Place,
        dummies: bool = False,
    ) -> None:
        self.rulebook = rulebook
        self.content = ContentRules(rulebook.policy)
        self.values = values
        self.encoder = encoder
        self.counts: dict[Action, int] = defaultdict(int)
        self._subject = subject
        self._place = place
        self._dummies = dummies
        self._decisions: dict[str, dict[int, Decision | None]] = defaultdict(dict)
        self._inside: dict[tuple[int, bool, bool], Context] = {}
        self._shared: dict[tuple[bool, bool], Context] = {}
        self._private: dict[tuple[str, int, str], Decision | None] = {}
        self._results: dict[tuple[Shared, bytes], tuple[bytes | None, dict[Action, int]]] = {}

    def __repr__(self) -> str:
        return f"Context({self._place})"

    @property
    def maps_uids(self) -> bool:
        """Whether the instance's own UID is replaced."""
        decision = self.decide("UI", 0x00080018)
        return decision is not None

    def inside(self, tag: int, *, unknown: bool = False, dummies: bool = False) -> Context:
        """Return the context inside a sequence.

        Args:
            tag: the sequence.
            unknown: whether it lies in UN, hence is written in implicit VR little endian
                (PS3.5 6.2.2), whatever surrounds it.
            dummies: whether nothing in it survives.
        """
        key = (tag, unknown, dummies)
        context = self._inside.get(key)
        if context is None:
            dummies = dummies or self._dummies
            place = None if dummies else self.rulebook.inside(self._place, tag)
            # Places that nothing is said about share their decisions.
            shared = (unknown, dummies)
            context = self._shared.get(shared) if place is None else None
            if context is None:
                encoder = Encoder(explicit=False, little=True) if unknown else self.encoder
                context = Context(
                    self.rulebook, self.values, self._subject, encoder, place, dummies
                )
                context._shared = self._shared if encoder is self.encoder else {}
                if place is None:
                    self._shared[shared] = context
            self._inside[key] = context
        context.counts = self.counts
        return context

    def elements(
        self,
        buf: Buffer,
        elements: list[Element],
        pieces: list[bytes | memoryview],
        private: dict[int, Decision | None] | None,
    ) -> bool:
        """Append the transformed elements; return whether anything differs from the input.

        Args:
            buf: what the elements' offsets refer to.
            elements: of one level, or a stretch of it.
            pieces: receives the output.
            private: what happens to the level's private elements, by offset; None where `elements`
                are the whole level, so that it can be found out when the first one turns up.
        """
        decisions = self._decisions
        counts = self.counts
        append = pieces.append
        changed = False
        first = last = -1  # the run of kept bytes that is still to be copied
        for tag, vr, start, value, end, items in elements:
            decision = decisions[vr].get(tag, _UNDECIDED)
            if decision is None:
                if start != last:
                    if first >= 0:
                        append(buf[first:last])
                    first = start
                last = end
                continue
            if decision is _UNDECIDED:
                if tag >> 16 & 1:
                    if private is None:
                        private = self.private_of(buf, elements)
                    decision = private.get(start, GONE)
                else:
                    decision = self.decide(vr, tag)
            if decision is GONE:
                changed = True  # the gap that it leaves ends the run of kept bytes
                counts[Action.REMOVE] += 1
                continue
            new: bytes | None = None
            if decision is not None:
                new = self.carry_out(decision, buf, tag, vr, value, end, items)
            if new is None:
                if start != last:
                    if first >= 0:
                        append(buf[first:last])
                    first = start
                last = end
                continue
            assert decision is not None
            changed = True
            counts[decision.action] += 1
            if new:
                if first >= 0:
                    append(buf[first:last])
                    first = last = -1
                append(new)
        if first >= 0:
            append(buf[first:last])
        return changed

    def carry_out(
        self,
        decision: Decision,
        buf: Buffer,
        tag: int,
        vr: str,
        value: int,
        end: int,
        items: Any,
    ) -> bytes | None:
        """Return what takes an element's place: b"" if nothing does, None where it stays."""
        kind = decision.kind
        if kind is Kind.GONE:
            return b""
        if kind is Kind.WRITE:
            return decision.data
        if kind is Kind.VALUE:
            if value == end:
                return None
            assert decision.method is not None
            new = decision.method(bytes(buf[value:end]))
            if new is None:
                return None
            if new is UNUSABLE:
                return decision.data
            assert isinstance(new, bytes)
            return self.encoder.element(tag, decision.vr, new)
        if items is None:
            items = walk_unknown_sequence(buf, value, end) if vr == "UN" else None
            if items is None:
                return b""  # not a sequence after all: nobody can vouch for it
        unknown = vr == "UN"
        inner = self.inside(tag, unknown=unknown, dummies=decision.action is Action.DUMMY)
        if kind is Kind.CONTENT:
            walker = Walker(buf, explicit=inner.encoder.explicit, little=inner.encoder.little)
            content = clean_items(inner, buf, walker.sequence(value, end))
            if content == b"":
                return decision.data
        elif type(items) is Shared:
            content = inner.shared(items)
        else:
            content = inner.items(buf, items)
        return None if content is None else self.encoder.element(tag, vr, content)

    def shared(self, items: Shared) -> bytes | None:
        """Return the cleaned items of a repeated sequence, which are worked out once."""
        key = (items, self.values.charset)
        if key not in self._results:
            outer, self.counts = self.counts, defaultdict(int)
            self._results[key] = self.items(items.buf, items), self.counts
            self.counts = outer
        content, counts = self._results[key]
        for action, count in counts.items():
            self.counts[action] += count
        return content

    def items(self, buf: Buffer, items: list[list[Element]]) -> bytes | None:
        """Return the cleaned items of a sequence, None where nothing in them changes.

        Raises:
            UnreadableError: too many sequences are around them.
        """
        changed = False
        rebuilt = []
        with self.values.nesting:
            for elements in items:
                pieces: list[bytes | memoryview] = []
                changed |= self.item(buf, elements, pieces)
                rebuilt.append(self.encoder.item(b"".join(pieces)))
        return b"".join(rebuilt) if changed else None

    def item(self, buf: Buffer, elements: list[Element], pieces: list[bytes | memoryview]) -> bool:
        """Clean one item, which may declare a character set of its own (PS3.3 C.12.1.1.2)."""
        if elements and elements[0][0] <= _CHARSET:
            with self.own_charset(buf, elements):
                return self.elements(buf, elements, pieces, None)
        return self.elements(buf, elements, pieces, None)

    @contextmanager
    def own_charset(self, buf: Buffer, elements: list[Element]) -> Iterator[None]:
        """Read text by the character set that an item declares, as long as it is at hand."""
        outer = self.values.charset
        for tag, _, _, value, end, _ in elements:
            if tag == _CHARSET:
                short = buf[value : min(end, value + _LONGEST_CHARSET)]
                self.values.charset = bytes(short).strip(b" \0")
        try:
            yield
        finally:
            self.values.charset = outer

    def private_of(self, buf: Buffer, elements: list[Element]) -> dict[int, Decision | None]:
        """Return what happens to the private elements of one level, by their offsets."""
        if not self.rulebook.policy.private or self._dummies:
            return {}
        return private_decisions(self, buf, elements)

    def private_decision(self, creator: str, tag: int, vr: str) -> Decision | None:
        """Return the decision about a private attribute."""
        key = (creator, tag, vr)
        if key not in self._private:
            ruling = self.rulebook.private(creator, tag, vr)
            decision = self._as_decision(ruling, vr, tag, written=vr)
            if len(self._private) < _MOST_DECISIONS:
                self._private[key] = decision
            return decision
        return self._private[key]

    def decide(self, vr: str, tag: int) -> Decision | None:
        """Return the decision about a standard attribute, None where it stays."""
        decisions = self._decisions[vr]
        if tag not in decisions:
            ruling = self.rulebook.ruling(self._place, tag, vr)
            if self._dummies:
                ruling = _as_dummy(ruling, tag)
            decision = self._as_decision(ruling, vr, tag, written=ruling.vr)
            if len(decisions) < _MOST_DECISIONS:
                decisions[tag] = decision
            return decision
        return decisions[tag]

    def _as_decision(self, ruling: Ruling, vr: str, tag: int, written: str) -> Decision | None:
        """Turn a ruling into what is done, in the terms of this encoding."""
        action = ruling.action
        if action is Action.REMOVE:
            return GONE
        if ruling.vr == "SQ" and action not in (Action.EMPTY, Action.SUBJECT, Action.REPLACE):
            if tag >> 16 & 1 and vr not in ("SQ", "UN"):
                return GONE
            if action is Action.CONTENT:
                left = self._constant(ruling.otherwise, tag, written, ruling) or b""
                return Decision(Kind.CONTENT, action, left)
            return Decision(Kind.RECURSE, action)
        if action is Action.KEEP:
            return None
        data = self._constant(action, tag, written, ruling)
        if data is not None:
            return Decision(Kind.WRITE, action, data) if data else GONE
        fallback = self._constant(ruling.otherwise, tag, written, ruling) or b""
        method = self.values.method(action, ruling.vr, tag)
        return Decision(Kind.VALUE, action, fallback, method, written)

    def _constant(self, action: Action, tag: int, vr: str, ruling: Ruling) -> bytes | None:
        """Return the element that an action always writes, None where it depends on the value."""
        element = self.encoder.element
        if action is Action.REMOVE:
            return b""
        if action is Action.EMPTY:
            return element(tag, vr, b"")
        if action is Action.SUBJECT:
            return element(tag, vr, self._subject)
        if action is Action.REPLACE:
            return element(tag, vr, ruling.text.encode("ascii"))
        if action is Action.DUMMY:
            dummy = DUMMIES.get(ruling.vr)
            return b"" if dummy is None else element(tag, vr, dummy)
        return None


def _as_dummy(ruling: Ruling, tag: int) -> Ruling:
    """Return the ruling inside a dummy sequence: what would stay becomes a dummy, too."""
    if ruling.action in (Action.REMOVE, Action.EMPTY, Action.SUBJECT):
        return ruling
    if ruling.vr == "SQ":
        return ruling._replace(action=Action.CLEAN)
    if ruling.vr == "UI":
        return ruling if tag in CLASS_LIKE_UIDS else ruling._replace(action=Action.UID)
    return ruling._replace(action=Action.DUMMY)
