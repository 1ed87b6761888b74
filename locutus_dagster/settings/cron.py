"""Points in time that come back, as cron writes them: what is wrong with one.

What belongs here: the names and ranges of the five fields, as Dagster reads them. What does not:
when the next such point is (Dagster's own), and settings (`schedules.py`).

What passes here Dagster accepts; a schedule that it refused would take the whole code location with
it. Left out on purpose is what Dagster would read besides: seconds, years, and `r` for a random
time, which would be another one after each start.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["cron_fault"]

_ALIASES = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
#: Of February in a leap year.
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
#: A number or a name; a second one, up to which it goes; a step.
_ITEM = re.compile(r"(?P<low>\*|[a-z]+|\d{1,4})(-(?P<high>[a-z]+|\d{1,4}))?(/(?P<step>\d{1,4}))?")
#: The third Friday of a month, and its last one.
_NTH = re.compile(r"(?P<day>[a-z]+(-[a-z]+)?|\d)#[1-5]|l(?P<last>\d)")


@dataclass(frozen=True)
class _Field:
    name: str
    least: int
    most: int
    names: dict[str, int] = field(default_factory=dict)

    @property
    def unreadable(self) -> ValueError:
        """What is raised where something else stands."""
        names = f", or {next(iter(self.names))} and the like" if self.names else ""
        return ValueError(
            f"should have a {self.name} from {self.least} to {self.most}{names}; "
            "several as 1,3 or 1-5 or */2"
        )

    def some(self, first: int, last: int, step: int) -> set[int]:
        """What a range stands for; one that ends before it begins goes on at the least value."""
        if first == last:
            return set(range(self.least, self.most + 1, step))
        if first < last:
            return set(range(first, last + 1, step))
        found = range(first, self.most + 1, step)
        left = self.most - found[-1]
        skipped = step - left if found[-1] + step > self.most + 1 and left < step else 0
        return {*found, *range(self.least + skipped, last + 1, step)}

    def number(self, text: str) -> int:
        """What a number or a name means here."""
        value = self.names[text] if text in self.names else int(text) if text.isdigit() else -1
        if self.name == "weekday" and value == 7:
            value = 0  # Sunday has two numbers
        if not self.least <= value <= self.most:
            raise self.unreadable
        return value

    def item(self, text: str) -> set[int]:
        """What one part of a list stands for."""
        if self.name == "day" and text == "l":
            return self.some(self.least, self.most, 1)  # the last day, which each month has
        found = _ITEM.fullmatch(re.sub(r"-l\b", "-31", text) if self.name == "day" else text)
        if not found:
            raise self.unreadable
        low, high, step = found["low"], found["high"], int(found["step"] or 1)
        if step == 0 or (low == "*" and high):
            raise self.unreadable
        if low == "*":
            return self.some(self.least, self.most, step)
        first = self.number(low)
        if high is None and found["step"] is None:
            return {first}
        return self.some(first, self.most if high is None else self.number(high), step)

    def list(self, text: str) -> set[int]:
        """What all that stands in the field stands for.

        Raises:
            ValueError: something else stands there.
        """
        if text == "?" and self.name in ("day", "weekday"):
            return self.some(self.least, self.most, 1)
        items = text.split(",")
        if self.name == "weekday":
            nth = [found for item in items if (found := _NTH.fullmatch(item))]
            if nth:  # which stands beside nothing else
                if len(nth) < len(items):
                    raise self.unreadable
                return {value for one in nth for value in self.item(one["day"] or one["last"])}
        return {value for item in items for value in self.item(item)}


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    _Field("weekday", 0, 6, {name: number for number, name in enumerate(_WEEKDAYS)}),
)


def cron_fault(text: str) -> str:
    """What is wrong with a cron expression; empty where Dagster accepts it."""
    text = text.lower().strip()
    if text in _ALIASES:
        return ""
    parts = text.split()
    if not text.isascii() or len(parts) != len(_FIELDS):
        return "should be five fields such as '0 3 * * *', or @daily and the like"
    try:
        _, _, days, months, _ = (one.list(part) for one, part in zip(_FIELDS, parts, strict=True))
    except ValueError as error:
        return str(error)
    longest = max(_LONGEST[month - 1] for month in months)
    # Of February alone Dagster refuses such a day even where a weekday stands beside it.
    if min(days) > longest and (parts[-1] in ("*", "?") or months == {2}):
        return "should have a day that one of its months has"
    return ""
