"""Private elements: blocks, creators, and sequences that nothing declares (PS3.5 7.8.1).

What belongs here: finding out what a private element is, by its creator and never by its number
alone. What does not: which private attributes stay (`policies/`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from locutus_dagster.deid.cleaning.decisions import Decision
from locutus_dagster.deid.encoding.codec import Buffer, Element, Walker
from locutus_dagster.deid.faults import UnreadableError

if TYPE_CHECKING:
    from locutus_dagster.deid.cleaning.contexts import Context

__all__ = ["private_decisions", "walk_unknown_sequence"]

_MAX_CREATOR = 64


def private_decisions(
    context: Context, buf: Buffer, elements: list[Element]
) -> dict[int, Decision | None]:
    """Return what happens to private elements of one level: offset -> decision.

    Elements that are not in the result go. A creator stays if an element of its block does.
    """
    creators: dict[int, tuple[str, int]] = {}
    decisions: dict[int, Decision | None] = {}
    listed = context.rulebook.creators
    private = [element for element in elements if element[0] & 0x10000]  # of an odd group
    for tag, vr, start, value, end, _ in private:
        number = tag & 0xFFFF
        if 0x0010 <= number <= 0x00FF:
            if end - value <= _MAX_CREATOR:
                name = bytes(buf[value:end]).strip(b" \0").decode("ascii", "replace")
                if name in listed:
                    creators[tag >> 16 << 8 | number] = name, start
            continue
        creator = creators.get(tag >> 16 << 8 | number >> 8)
        if creator is None:
            continue
        decision = context.private_decision(creator[0], tag, vr)
        if decision is None or decision.kind is not decision.kind.GONE:
            decisions[start] = decision
            decisions[creator[1]] = None
    return decisions


def walk_unknown_sequence(buf: Buffer, start: int, end: int) -> list[list[Element]] | None:
    """Walk a value of VR UN that should be a sequence, None where it is none.

    It lies in implicit VR little endian, whatever surrounds it (PS3.5 6.2.2).
    """
    walker = Walker(buf, explicit=False, little=True)
    try:
        return walker.sequence(start, end)
    except UnreadableError:
        return None
