"""Files that somebody made to break a reader by their structure: one function each.

What belongs here: hostile data sets around a small image with planted identifiers, in any encoding.
What does not: hostile values, texts and reports (`hostile_texts.py`), hostile zips
(`hostile_zips.py`), damage done to good files (`mutations.py`), what is expected of the engine
(`judging.py`).

Every function takes an encoding and the size in bytes that the file is to have, more or less.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, islice

from locutus_dagster_tests.deid.wire import NAME, UNDEFINED, Wire, extended, image, instance

__all__ = [
    "PRIVATE_CREATOR",
    "PRIVATE_ELEMENT",
    "PRIVATE_GROUP",
    "REFERENCE",
    "STRUCTURES",
    "Hostile",
    "filled",
    "hostile",
]

Hostile = Callable[[Wire, int], bytes]

#: A private sequence that the tests' own policy keeps and cleans.
PRIVATE_CREATOR, PRIVATE_GROUP, PRIVATE_ELEMENT = b"ACME NEST ", 0x0029, 0x10
_PRIVATE_TAG = PRIVATE_GROUP << 16 | 0x1000 | PRIVATE_ELEMENT

#: Anatomic Region Sequence: it is kept, and cleaned inside.
REFERENCE = 0x00082218
_SOURCE = 0x00082228  # Primary Anatomic Structure Sequence, as well
_PIXELS = 0x7FE00010
_COMMENTS = 0x00204000  # Image Comments

#: Name -> what makes such a file.
STRUCTURES: dict[str, Hostile] = {}


def hostile(collection: dict[str, Hostile]) -> Callable[[Hostile], Hostile]:
    """Put a function into a collection, under its name in words."""

    def put(function: Hostile) -> Hostile:
        collection[function.__name__.strip("_").replace("_", " ")] = function
        return function

    return put


def filled(pattern: bytes, size: int) -> bytes:
    """Return a pattern again and again, up to an even number of bytes."""
    whole = (pattern * (size // len(pattern) + 1))[:size]
    return whole + b" " * (len(whole) & 1)


# --- Nested too deep ------------------------------------------------------------------------------


@hostile(STRUCTURES)
def _nested_by_undefined_lengths(wire: Wire, size: int) -> bytes:
    return extended(wire, {REFERENCE: wire.nested([REFERENCE], size // 36)})


@hostile(STRUCTURES)
def _nested_by_defined_lengths(wire: Wire, size: int) -> bytes:
    return extended(wire, {REFERENCE: wire.nested([REFERENCE], size // 20, undefined=False)})


@hostile(STRUCTURES)
def _nested_in_un(wire: Wire, size: int) -> bytes:
    inner = Wire(False, True, wire.syntax)
    content = inner.item(inner.nested([REFERENCE], size // 32), UNDEFINED)
    return extended(wire, {REFERENCE: wire.open_sequence(REFERENCE, [content], "UN")})


@hostile(STRUCTURES)
def _nested_in_un_of_defined_length(wire: Wire, size: int) -> bytes:
    inner = Wire(False, True, wire.syntax)
    content = inner.item(inner.nested([REFERENCE], size // 16, undefined=False))
    return extended(wire, {REFERENCE: wire.element(REFERENCE, "UN", content)})


@hostile(STRUCTURES)
def _nested_and_never_closed(wire: Wire, size: int) -> bytes:
    opening = wire.head(REFERENCE, "SQ", UNDEFINED) + wire.head(0xFFFEE000, "", UNDEFINED)
    return extended(wire, {REFERENCE: filled(opening, size // len(opening) * len(opening))})


@hostile(STRUCTURES)
def _nested_in_private_un(wire: Wire, size: int) -> bytes:
    """Each level is a private sequence that a policy lists, written as UN of defined length."""
    inner = Wire(False, True, wire.syntax)
    slot = PRIVATE_GROUP << 16 | 0x10
    creator = inner.element(slot, "LO", PRIVATE_CREATOR)
    levels, length = size // (len(creator) + 16), 0
    pieces: list[bytes] = []
    for level in range(levels):
        head = wire if level == levels - 1 else inner
        if pieces:
            pieces.append(inner.head(0xFFFEE000, "", length))
            length += len(pieces[-1])
        pieces.append(head.head(_PRIVATE_TAG, "UN", length))
        length += len(pieces[-1])
        pieces.append(head.element(slot, "LO", PRIVATE_CREATOR))
        length += len(pieces[-1])
    return extended(wire, {slot: b"".join(reversed(pieces))})


@hostile(STRUCTURES)
def _nested_in_repeated_sequences(wire: Wire, size: int) -> bytes:
    """Each level is met twice on its own before it is put into the next one.

    The last time it is met under another character set, so that it has to be cleaned anew.
    """
    items: list[bytes] = []
    core = b""
    for _ in range(max(1, min(size // 2000, 4))):
        core = wire.nested([REFERENCE], 50, undefined=False, core=core)
        items += [wire.item(core)] * 3
    items.append(wire.item(wire.element(0x00080005, "CS", b"ISO_IR 144") + core))
    return extended(wire, {_SOURCE: wire.sequence(_SOURCE, items)})


# --- Too many of something ------------------------------------------------------------------------


@hostile(STRUCTURES)
def _empty_items(wire: Wire, size: int) -> bytes:
    return extended(wire, {REFERENCE: wire.sequence(REFERENCE, [wire.item()] * (size // 8))})


@hostile(STRUCTURES)
def _empty_items_in_un(wire: Wire, size: int) -> bytes:
    items = [Wire(False, True, wire.syntax).item()] * (size // 8)
    return extended(wire, {REFERENCE: wire.open_sequence(REFERENCE, items, "UN")})


@hostile(STRUCTURES)
def _tiny_elements(wire: Wire, size: int) -> bytes:
    tags = (group << 16 | n for group in count(0x0040, 2) for n in range(1, 0xFFFF))
    return extended(wire, {tag: wire.element(tag, "CS") for tag in islice(tags, size // 8)})


@hostile(STRUCTURES)
def _tiny_private_elements(wire: Wire, size: int) -> bytes:
    """Groups with all their 240 creators, and blocks that are full."""
    groups = range(0x0009, 0x0009 + 2 * max(1, size // 500_000), 2)
    slots = [group << 16 | block for group in groups for block in range(0x10, 0x100)]
    creators = {slot: wire.element(slot, "LO", PRIVATE_CREATOR) for slot in slots}
    tags = (slot & 0xFFFF0000 | (slot & 0xFF) << 8 | n for n in range(0x100) for slot in slots)
    room = max(0, size - 18 * len(creators)) // 8
    return extended(wire, creators | {tag: wire.element(tag, "CS") for tag in islice(tags, room)})


@hostile(STRUCTURES)
def _tiny_unknown_sequences(wire: Wire, size: int) -> bytes:
    inner = Wire(False, True, wire.syntax)
    one = inner.item(inner.element(0x00080008, "CS") * 250)
    item = wire.item(wire.open_sequence(REFERENCE, [one], "UN"))
    return extended(wire, {REFERENCE: wire.sequence(REFERENCE, [item] * (size // len(item)))})


@hostile(STRUCTURES)
def _many_uids(wire: Wire, size: int) -> bytes:
    uids = (b"1.2.826.0.1.3680043.10.9417.%d.%d" % (n, n * 31) for n in count(1000))
    items = [
        wire.item(wire.element(0x00081155, "UI", uid + b"\0" * (len(uid) & 1)))
        for uid in islice(uids, size // 60)
    ]
    return extended(wire, {REFERENCE: wire.sequence(REFERENCE, items)})


# --- Lengths and sizes that lie -------------------------------------------------------------------


@hostile(STRUCTURES)
def _gigabytes_of_pixels_claimed(wire: Wire, size: int) -> bytes:
    claims = {tag: wire.short(tag, 0xFFFF) for tag in (0x00280010, 0x00280011, 0x00280002)}
    frames = wire.element(0x00280008, "IS", b"99999999999999999999")
    pixels = wire.element(_PIXELS, "OW", bytes(10))
    return extended(wire, {**claims, 0x00280008: frames, _PIXELS: pixels})


@hostile(STRUCTURES)
def _almost_undefined_lengths(wire: Wire, size: int) -> bytes:
    pixels = wire.element(_PIXELS, "OW", b"\1" * size, 0xFFFFFFFE)
    return extended(wire, {_PIXELS: pixels})


@hostile(STRUCTURES)
def _odd_lengths(wire: Wire, size: int) -> bytes:
    values = {tag: wire.element(tag, "LO", b"odd") for tag in (0x00081030, 0x0008103E, 0x00181030)}
    return extended(wire, {**values, _PIXELS: wire.element(_PIXELS, "OW", b"\1" * (size | 1))})


@hostile(STRUCTURES)
def _delimiters_in_odd_places(wire: Wire, size: int) -> bytes:
    loose = wire.item_end + wire.sequence_end
    inside = wire.open_sequence(REFERENCE, [loose, wire.item(loose, UNDEFINED)])
    return extended(wire, {REFERENCE: inside, _COMMENTS: loose * (size // 16)})


@hostile(STRUCTURES)
def _duplicates(wire: Wire, size: int) -> bytes:
    name = wire.element(0x00100010, "PN", NAME)
    return instance(wire, image(wire), *[name] * (size // len(name)))


@hostile(STRUCTURES)
def _descending_tags(wire: Wire, size: int) -> bytes:
    tags = sorted(image(wire).items(), reverse=True)
    return instance(wire, {}, wire.element(0x00080008, "CS"), *(one for _, one in tags))


@hostile(STRUCTURES)
def _broken_fragments(wire: Wire, size: int) -> bytes:
    items = [wire.item() for _ in range(size // 16)]
    pixels = wire.open_sequence(_PIXELS, [*items, wire.item(b"", 0x7FFFFFFE)], "OB")
    return extended(Wire(True, True, "1.2.840.10008.1.2.4.50"), {_PIXELS: pixels})


@hostile(STRUCTURES)
def _a_million_fragments(wire: Wire, size: int) -> bytes:
    jpeg = Wire(True, True, "1.2.840.10008.1.2.4.50")
    pixels = jpeg.open_sequence(_PIXELS, [jpeg.item()] * (size // 8), "OB")
    return extended(jpeg, {_PIXELS: pixels})


@hostile(STRUCTURES)
def _zeros(wire: Wire, size: int) -> bytes:
    return instance(wire, {_COMMENTS: wire.element(_COMMENTS, "LT")}, bytes(size), b"\1")
