"""A walk over the encoded elements of a data set (PS3.5 chapter 7), and nothing decoded.

What belongs here: finding where each element starts and ends, in the three encodings that DICOM
has, with every length checked. What does not: values (nobody decodes one here), file meta and
transfer syntaxes (`part10.py`), rules (`transform.py`).

An element is a plain tuple, because a study has hundreds of thousands of them:

    (tag, vr, start, value_start, end, items)

`start`, `value_start` and `end` are offsets in bytes into the walked buffer; the header lies
between the first two. `items` is None for a plain value, a list of element lists for a sequence,
and the empty tuple `FRAGMENTS` for encapsulated pixel data. Where a `Sharing` is given, the items
of a sequence that repeats byte for byte are one `Shared` list with a buffer of its own. Anything
that does not add up raises `UnreadableError`; whatever the bytes are, nothing else is raised.
"""

from __future__ import annotations

from struct import Struct
from typing import Any, TypeAlias

from locutus_dagster.deid.faults import UnreadableError
from locutus_dagster.deid.standard.dictionary import LONG_VRS, SHORT_VRS, UNDEFINED, VR_OF

__all__ = [
    "FRAGMENTS",
    "MAX_DEPTH",
    "MAX_ELEMENTS",
    "PIXEL_DATA",
    "Buffer",
    "Element",
    "Shared",
    "Sharing",
    "Walker",
]

Buffer: TypeAlias = "bytes | memoryview"
Element: TypeAlias = tuple[int, str, int, int, int, Any]

#: Sequences may nest this deep; real objects stay below ten.
MAX_DEPTH = 64
#: Elements in one instance, at all depths: a bound on memory, about 200 bytes each.
MAX_ELEMENTS = 4_000_000
#: Stands in an element's last place for encapsulated pixel data (PS3.5 A.4).
FRAGMENTS: tuple[()] = ()
PIXEL_DATA = 0x7FE00010

_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD

_SHORT = {True: Struct("<HH2sH").unpack_from, False: Struct(">HH2sH").unpack_from}
_PLAIN = {True: Struct("<HHL").unpack_from, False: Struct(">HHL").unpack_from}
_LENGTH = {True: Struct("<L").unpack_from, False: Struct(">L").unpack_from}


class Shared(list[list[Element]]):
    """The items of a sequence that repeats byte for byte; the offsets refer to `buf`.

    They were walked at a depth, and nest no deeper than allowed there and above.
    """

    __slots__ = ("buf", "depth")

    def __init__(self, items: list[list[Element]], buf: bytes, depth: int) -> None:
        super().__init__(items)
        self.buf = buf
        self.depth = depth

    # Two are the same if they are one; what is known about one is looked up by it.
    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__


class Sharing:
    """Remembers short sequences of one study and one encoding, to walk each but once.

    The slices of a series say the same about most things: who asked for what, with which codes, how
    a coil was built. A sequence becomes `Shared` when its bytes are met for the second time.
    """

    __slots__ = ("_known", "_recent", "_room")

    #: Longer sequences are hardly ever repeated.
    LONGEST = 4096
    #: Sequences of undefined length that are compared with the bytes at hand, for each tag.
    RECENT = 4

    def __init__(self, room: int = 8 << 20) -> None:
        self._known: dict[bytes, Shared | None] = {}
        self._recent: dict[int, list[bytes]] = {}
        self._room = room  # bytes that are still remembered

    def sequence(
        self, walker: Walker, tag: int, pos: int, length: int, end: int, depth: int
    ) -> tuple[list[list[Element]], int]:
        """Return the items of a sequence, and the offset behind it; as `Walker` would."""
        buf = walker._buf
        if length != UNDEFINED:
            if length > self.LONGEST or pos + length > end:
                return walker._sequence(walker, pos, length, end, depth)
            raw = bytes(buf[pos : pos + length])
            return self._shared(walker, raw, pos, length, end, depth)
        recent = self._recent.setdefault(tag, [])
        for raw in recent:
            stop = pos + len(raw)
            if stop <= end and bytes(buf[pos:stop]) == raw:
                return self._shared(walker, raw, pos, UNDEFINED, end, depth)
        items, stop = walker._sequence(walker, pos, length, end, depth)
        if stop - pos <= self.LONGEST and self._room > 0:
            raw = bytes(buf[pos:stop])
            recent.insert(0, raw)
            del recent[self.RECENT :]
            self._remember(raw)
        return items, stop

    def _shared(
        self, walker: Walker, raw: bytes, pos: int, length: int, end: int, depth: int
    ) -> tuple[list[list[Element]], int]:
        known = self._known.get(raw, _UNSEEN)
        if known is _UNSEEN:
            self._remember(raw)
            return walker._sequence(walker, pos, length, end, depth)
        if known is None or known.depth < depth:
            own = walker._on(raw)
            size = length if length == UNDEFINED else len(raw)
            known = Shared(own._sequence(own, 0, size, len(raw), depth)[0], raw, depth)
            self._known[raw] = known
        assert isinstance(known, Shared)
        return known, pos + len(raw)

    def _remember(self, raw: bytes) -> None:
        if self._room > 0 and raw not in self._known:
            self._known[raw] = None
            self._room -= len(raw)


_UNSEEN: Any = object()


class Walker:
    """Walks one buffer in one encoding.

    Args:
        buf: the bytes that offsets refer to.
        explicit: whether elements carry their VR.
        little: byte order.
        sharing: remembers repeated sequences; None walks each anew.
    """

    __slots__ = ("_budget", "_buf", "_explicit_vr", "_little", "_plain", "_sharing", "_walk")

    def __init__(
        self, buf: Buffer, *, explicit: bool, little: bool, sharing: Sharing | None = None
    ) -> None:
        self._buf = buf
        self._explicit_vr = explicit
        self._sharing = sharing
        self._little = little
        self._plain = _PLAIN[little]
        self._budget = MAX_ELEMENTS
        # Not a bound method: one that refers to itself would hold the buffer until the garbage
        # collection comes round.
        self._walk = Walker._explicit if explicit else Walker._implicit

    def data_set(self, pos: int, end: int) -> list[Element]:
        """Return the elements between two offsets.

        Zero bytes that follow the last element are padding and ignored.

        Raises:
            UnreadableError: the bytes are no complete data set.
        """
        return self._walk(self, pos, end, 0, False)[0]

    def _on(self, buf: Buffer) -> Walker:
        """Return a walker for another buffer in the same encoding."""
        return Walker(buf, explicit=self._explicit_vr, little=self._little, sharing=self._sharing)

    @property
    def walked(self) -> int:
        """Number of elements and items that have been walked."""
        return MAX_ELEMENTS - self._budget

    def sequence(self, pos: int, end: int) -> list[list[Element]]:
        """Return the items between two offsets.

        Raises:
            UnreadableError: the bytes are no sequence's value.
        """
        return self._sequence(self, pos, end - pos, end, 0)[0]

    def _explicit(
        self, pos: int, end: int, depth: int, delimited: bool
    ) -> tuple[list[Element], int]:
        buf = self._buf
        unpack = _SHORT[self._little]
        short_vr = SHORT_VRS.get
        elements: list[Element] = []
        counted = 0
        append = elements.append
        for _ in range(self._budget):
            value = pos + 8
            if value > end:
                self._count(elements, counted)
                return elements, self._finish(pos, end, depth, delimited)
            group, number, raw, length = unpack(buf, pos)
            vr = short_vr(raw)
            if vr is not None:  # by far the most elements: keep this path short
                stop = value + length
                if stop > end:
                    raise UnreadableError("truncated value")
                append((group << 16 | number, vr, pos, value, stop, None))
                pos = stop
                continue
            tag = group << 16 | number
            if tag == _ITEM_END and delimited:
                self._count(elements, counted)
                return elements, value
            vr = LONG_VRS.get(raw)
            if vr is None:
                if depth == 0 and self._only_padding(pos, end):
                    break
                raise UnreadableError("unknown value representation")
            value = pos + 12
            if value > end:
                raise UnreadableError("truncated header")
            length = _LENGTH[self._little](buf, pos + 8)[0]
            items: Any = None
            if vr == "SQ":
                counted = self._count(elements, counted)
                items, stop = self._items(tag, value, length, end, depth)
            elif length == UNDEFINED:
                counted = self._count(elements, counted)
                items, stop = self._undefined(tag, vr, value, end, depth)
            else:
                stop = value + length
                if stop > end:
                    raise UnreadableError("truncated value")
                if vr == "UN" and VR_OF.get(tag) == "SQ":
                    items = self._unknown_sequence(value, length, stop, depth)
            append((tag, vr, pos, value, stop, items))
            pos = stop
        else:
            raise UnreadableError("too many elements")
        self._count(elements, counted)
        return elements, pos

    def _implicit(
        self, pos: int, end: int, depth: int, delimited: bool
    ) -> tuple[list[Element], int]:
        buf = self._buf
        unpack = self._plain
        vr_of = VR_OF.get
        elements: list[Element] = []
        counted = 0
        append = elements.append
        zero = False
        for _ in range(self._budget):
            value = pos + 8
            if value > end:
                self._count(elements, counted)
                return elements, self._finish(pos, end, depth, delimited)
            group, number, length = unpack(buf, pos)
            tag = group << 16 | number
            vr = vr_of(tag, "UN")
            if vr != "SQ" and length != UNDEFINED:
                stop = value + length
                if stop > end:
                    raise UnreadableError("truncated value")
                if tag == _ITEM_END and delimited:
                    self._count(elements, counted)
                    return elements, value
                if tag == 0 and depth == 0:
                    if self._only_padding(pos, end):
                        break
                    if zero:  # or the rest would be looked at again and again
                        raise UnreadableError("duplicate element")
                    zero = True
                append((tag, vr, pos, value, stop, None))
            elif vr in ("SQ", "UN"):
                # An unknown element of undefined length can only be a sequence.
                counted = self._count(elements, counted)
                items, stop = self._items(tag, value, length, end, depth)
                append((tag, vr, pos, value, stop, items))
            else:
                raise UnreadableError("undefined length")
            pos = stop
        else:
            raise UnreadableError("too many elements")
        self._count(elements, counted)
        return elements, pos

    def _count(self, elements: list[Element], counted: int) -> int:
        """Take a level's elements from the budget, but for those that were; return their number.

        This is done before the walk goes down, too, so that the levels above count as well.
        """
        self._budget -= len(elements) - counted
        return len(elements)

    def _finish(self, pos: int, end: int, depth: int, delimited: bool) -> int:
        """Return the offset behind a level at which no further header fits."""
        if delimited:
            raise UnreadableError("missing item delimiter")
        if pos != end and not (depth == 0 and self._only_padding(pos, end)):
            raise UnreadableError("truncated header")
        return end

    def _only_padding(self, pos: int, end: int) -> bool:
        """Tell whether the rest is zeros, looking no further than one tape block."""
        return end - pos <= 0x10000 and not bytes(self._buf[pos:end]).strip(b"\0")

    def _items(
        self, tag: int, pos: int, length: int, end: int, depth: int
    ) -> tuple[list[list[Element]], int]:
        if self._sharing is None:
            return self._sequence(self, pos, length, end, depth)
        return self._sharing.sequence(self, tag, pos, length, end, depth)

    def _sequence(
        self, walker: Walker, pos: int, length: int, end: int, depth: int
    ) -> tuple[list[list[Element]], int]:
        """Walk the items of a sequence with the walker of its content's encoding."""
        if depth >= MAX_DEPTH:
            raise UnreadableError("nesting too deep")
        undefined = length == UNDEFINED
        if not undefined:
            if pos + length > end:
                raise UnreadableError("truncated value")
            end = pos + length
        items: list[list[Element]] = []
        while undefined or pos < end:
            if pos + 8 > end:
                raise UnreadableError("missing sequence delimiter")
            group, number, size = walker._plain(self._buf, pos)
            tag = group << 16 | number
            pos += 8
            if tag == _SEQUENCE_END and (undefined or pos == end):
                return items, pos
            if tag != _ITEM:
                raise UnreadableError("item expected")
            walker._budget -= 1  # empty items cost memory, too
            if size == UNDEFINED:
                elements, pos = walker._walk(walker, pos, end, depth + 1, True)
            elif pos + size > end:
                raise UnreadableError("truncated item")
            else:
                elements, pos = walker._walk(walker, pos, pos + size, depth + 1, False)
            items.append(elements)
            if walker._budget <= 0:
                raise UnreadableError("too many elements")
        return items, pos

    def _undefined(self, tag: int, vr: str, pos: int, end: int, depth: int) -> tuple[Any, int]:
        """Walk a value of undefined length that is not declared as a sequence."""
        if vr == "UN" and VR_OF.get(tag, "SQ") == "SQ":
            nested = self._nested()
            found = self._sequence(nested, pos, UNDEFINED, end, depth)
            self._budget = nested._budget
            return found
        if tag == PIXEL_DATA and vr in ("OB", "OW"):
            return FRAGMENTS, self._fragments(pos, end)
        raise UnreadableError("undefined length")

    def _nested(self) -> Walker:
        """Return the walker for a sequence inside UN: implicit VR little endian (PS3.5 6.2.2)."""
        walker = Walker(self._buf, explicit=False, little=True)
        walker._budget = self._budget
        return walker

    def _unknown_sequence(
        self, pos: int, length: int, end: int, depth: int
    ) -> list[list[Element]] | None:
        """Walk a known sequence that was written as UN, or return None where it is none.

        The rules then treat the value as one that cannot be vouched for.
        """
        nested = self._nested()
        try:
            items = self._sequence(nested, pos, length, end, depth)[0]
        except UnreadableError:
            return None
        self._budget = nested._budget
        return items

    def _fragments(self, pos: int, end: int) -> int:
        """Return the offset behind encapsulated pixel data."""
        while pos + 8 <= end:
            group, number, size = self._plain(self._buf, pos)
            tag = group << 16 | number
            pos += 8
            if tag == _SEQUENCE_END:
                return pos
            if tag != _ITEM or size > end - pos:
                raise UnreadableError("broken fragments")
            pos += size
        raise UnreadableError("truncated pixel data")
