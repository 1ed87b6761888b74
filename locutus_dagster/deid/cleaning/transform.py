"""Carrying a policy out on one walked instance.

What belongs here: from elements and rulings to the bytes of the de-identified data set. Kept
elements are copied as bytes, neighbours as one slice; only what changes is encoded. What does
not: the choice of actions (`policies/`), decisions about elements (`contexts.py`), whether the
instance is delivered (`bouncers.py`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict

from locutus_dagster.deid.cleaning.contexts import GONE, Context
from locutus_dagster.deid.cleaning.decisions import Decision
from locutus_dagster.deid.cleaning.output import Output, Segment
from locutus_dagster.deid.cleaning.statement import Statement
from locutus_dagster.deid.cleaning.values import Values
from locutus_dagster.deid.encoding.codec import FRAGMENTS
from locutus_dagster.deid.encoding.encode import Encoder, file_meta
from locutus_dagster.deid.encoding.part10 import PIXEL_TAGS, Instance
from locutus_dagster.deid.faults import UnreadableError
from locutus_dagster.deid.policies.model import Action, Policy
from locutus_dagster.deid.policies.rulebook import Rulebook

__all__ = ["StudyTransform"]

_CHARSET = 0x00080005
_SOP_INSTANCE = 0x00080018
#: What an instance cannot do without: SOP class, and UIDs of instance, study and series.
_IDENTITY = (0x00080016, _SOP_INSTANCE, 0x0020000D, 0x0020000E)

#: A kept value of more bytes than this is handed on as a view instead of being copied.
_LARGE = 1 << 18


class StudyTransform:
    """Transforms the instances of one study.

    Args:
        policy: what to do.
        values: makes new values for old ones.
        subject: the research identity; checked by the caller.
    """

    def __init__(self, policy: Policy, values: Values, subject: str) -> None:
        self._policy = policy
        self._values = values
        self._subject = subject.encode("ascii")
        self._contexts: dict[tuple[bool, bool, str], Context] = {}
        self._statements: dict[tuple[bool, bool], Statement] = {}

    def apply(self, instance: Instance, sop_class: str) -> Output:
        """Return the de-identified instance.

        Raises:
            UnreadableError: a new value does not fit its element, or a UID that the instance cannot
                do without is of another VR and would go.
        """
        for tag in _IDENTITY:
            element = instance.find(tag)
            if element is not None and element[1] not in ("UI", "UN"):
                raise UnreadableError("UID of another value representation")
        explicit, little = instance.explicit, instance.little
        context = self._contexts.get((explicit, little, sop_class))
        if context is None:
            encoder = Encoder(explicit=explicit, little=little)
            rulebook = Rulebook(self._policy, sop_class)
            context = Context(rulebook, self._values, self._subject, encoder, ())
            self._contexts[explicit, little, sop_class] = context
        statement = self._statements.get((explicit, little))
        if statement is None:
            statement = Statement(self._policy, self._subject, context.encoder)
            self._statements[explicit, little] = statement
        self._values.charset = instance.value(_CHARSET)
        counts: dict[Action, int] = defaultdict(int)
        context.counts = counts
        segments = _segments(context, instance, statement)
        sop_instance = instance.value(_SOP_INSTANCE)
        uid = self._values.uid(sop_instance) if context.maps_uids else None
        meta = file_meta(
            sop_class,
            uid.decode() if isinstance(uid, bytes) else sop_instance.decode("ascii", "replace"),
            instance.transfer_syntax,
        )
        return Output(meta, segments, explicit, little, counts)


def _segments(context: Context, instance: Instance, statement: Statement) -> list[Segment]:
    """Return the segments of a whole data set."""
    elements, tags = instance.elements, instance.tags
    level = context.private_of(instance.buf, elements)
    pieces: list[bytes | memoryview] = []
    segments: list[Segment] = []
    done = 0
    for tag, stated in statement.inserts(instance):
        at = bisect_left(tags, tag)
        _stretch(context, instance, done, at, pieces, segments, level)
        pieces.append(stated)
        done = at
    at = bisect_left(tags, PIXEL_TAGS[0])
    _stretch(context, instance, done, at, pieces, segments, level)
    _stretch(context, instance, at, len(elements), pieces, segments, level)
    if pieces:
        segments.append(Segment(b"".join(pieces)))
    return segments


def _stretch(
    context: Context,
    instance: Instance,
    first: int,
    last: int,
    pieces: list[bytes | memoryview],
    segments: list[Segment],
    private: dict[int, Decision | None],
) -> None:
    """Transform a stretch of top-level elements, cutting out large values."""
    elements, buf = instance.elements, instance.buf
    done = first
    if first < last and (
        elements[last - 1][4] - elements[first][2] > _LARGE
        or elements[last - 1][0] >= PIXEL_TAGS[0]
    ):
        for at in range(first, last):
            tag, vr, start, value, end, items = elements[at]
            pixels = tag in PIXEL_TAGS
            if not pixels and (end - value <= _LARGE or items):
                continue
            decision = private.get(start, GONE) if tag >> 16 & 1 else context.decide(vr, tag)
            if decision is not None:
                continue
            context.elements(buf, elements[done:at], pieces, private)
            done = at + 1
            pieces.append(buf[start:value])
            segments.append(Segment(b"".join(pieces), tag=tag, tail=value - start))
            pieces.clear()
            native = pixels and items is not FRAGMENTS and not instance.encapsulated
            view = memoryview(buf)[value:end]
            segments.append(
                Segment(view, tag=tag, large=True, native=native and instance.pixels_add_up)
            )
    context.elements(buf, elements[done:last], pieces, private)
