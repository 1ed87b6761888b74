"""Numbers and times as every form writes them.

What belongs here: one way to write each, in UTC. What does not: what is written.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

__all__ = [
    "clock",
    "count",
    "duration",
    "hours_since",
    "minute",
    "percent",
    "second",
    "since",
    "utc",
]

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def utc(at: datetime) -> datetime:
    """The ledger's times are UTC; one without a zone is taken for that."""
    if at.tzinfo is timezone.utc:
        return at
    return at.replace(tzinfo=timezone.utc) if at.tzinfo is None else at.astimezone(timezone.utc)


def second(at: datetime | None) -> str:
    """`2026-11-22 06:30:00`, as the reference writes times; empty for None."""
    return "" if at is None else utc(at).isoformat(" ", "seconds")[:19]


def minute(at: datetime | None) -> str:
    """`2026-11-22 06:30 UTC`; empty for None."""
    return "" if at is None else utc(at).strftime("%Y-%m-%d %H:%M UTC")


def clock(at: datetime, span: timedelta) -> str:
    """A label for an axis that covers `span`: as exact as can be told apart there."""
    if span <= timedelta(days=10):
        return utc(at).strftime("%d %b %H:%M")
    return utc(at).strftime("%d %b" if span <= timedelta(days=300) else "%b %Y")


def count(number: int) -> str:
    """`100,000`."""
    return f"{number:,}"


def percent(part: int, whole: int) -> str:
    """`37 %`; only all is 100 %, and only none is 0 %."""
    if not whole or not part:
        return "0 %"
    if part == whole:
        return "100 %"
    return f"{min(99, max(1, round(100 * part / whole)))} %"


def duration(span: timedelta) -> str:
    """The two largest units that say something: `3 d 4 h`, `5 h 10 min`, `12 min`."""
    seconds = max(0, int(span.total_seconds()))
    days, hours, minutes = seconds // _DAY, seconds // _HOUR % 24, seconds // _MINUTE % 60
    if days:
        return f"{days:,} d {hours} h" if hours else f"{days:,} d"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min" if minutes else "< 1 min"


def since(then: datetime | None, now: datetime) -> str:
    """How long ago it was; empty for None."""
    return "" if then is None else duration(utc(now) - utc(then))


def hours_since(then: datetime | None, now: datetime) -> float | None:
    """The same as a number of hours, to a tenth."""
    if then is None:
        return None
    return round(max(0.0, (utc(now) - utc(then)).total_seconds() / _HOUR), 1)
