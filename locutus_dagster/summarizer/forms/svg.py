"""The plots of a report, as SVG that stands within a page.

What belongs here: geometry, axes, and titles that are read aloud. What does not: colours, which are
classes of the page (`templates/report.html.j2`), and what is plotted (`html_page.py`).

Every value comes from outside: text is escaped here, and numbers are formatted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup, escape

from locutus_dagster.summarizer.forms.wording import clock, count, minute

__all__ = ["Bar", "Part", "Series", "bars", "columns_over_time", "stacked_over_time"]

_WIDTH, _HEIGHT = 960.0, 280.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 16.0, 12.0, 30.0
_ACROSS = _WIDTH - _LEFT - _RIGHT
_FLOOR = _HEIGHT - _BOTTOM
_TIMES = 5
_BAR_ROW, _BAR, _BAR_WIDTH = 40.0, 10.0, 460.0
_LONGEST = 62
_THINNEST = 2.0


@dataclass(frozen=True)
class Series:
    """One band of a plot over time.

    Attributes:
        name: for people.
        style: class of the page, which gives it its colour.
        values: one for each point in time.
    """

    name: str
    style: str
    values: Sequence[int]


@dataclass(frozen=True)
class Part:
    """One piece of a bar."""

    name: str
    style: str
    number: int


@dataclass(frozen=True)
class Bar:
    """A bar with its label."""

    label: str
    parts: Sequence[Part]

    @property
    def total(self) -> int:
        return sum(part.number for part in self.parts)


def stacked_over_time(
    ident: str, title: str, times: Sequence[datetime], series: Sequence[Series]
) -> Markup:
    """Bands on top of each other over time; nothing for fewer than two points, or without values.

    Args:
        ident: of the picture within its page.
        times: in ascending order.
    """
    top = max((sum(values) for values in zip(*(s.values for s in series), strict=True)), default=0)
    if len(times) < 2 or times[0] == times[-1] or not top:
        return Markup()
    steps = _steps(top)
    across, up = _scale_of_time(times[0], times[-1]), _scale_up(steps[-1])
    below = [0] * len(times)
    drawn = []
    for one in series:
        if not any(one.values):
            continue
        above = [low + value for low, value in zip(below, one.values, strict=True)]
        outline = [(across(at), up(value)) for at, value in zip(times, above, strict=True)]
        back = [(across(at), up(value)) for at, value in zip(times, below, strict=True)]
        drawn.append(
            Markup('<path class="area {}" d="M{}Z"><title>{}: {}</title></path>').format(
                one.style,
                "L".join(f"{x:.1f} {y:.1f}" for x, y in (*outline, *reversed(back))),
                one.name,
                count(one.values[-1]),
            )
        )
        below = above
    now = ", ".join(f"{s.name} {count(s.values[-1])}" for s in series if s.values[-1])
    described = f"From {minute(times[0])} to {minute(times[-1])}. At the end: {now or 'none'}."
    return _picture(
        ident, title, described, _HEIGHT, [*_grid(steps, up), *drawn, *_dates(times, across)]
    )


def columns_over_time(
    ident: str,
    title: str,
    times: Sequence[datetime],
    width: timedelta,
    series: Sequence[Series],
) -> Markup:
    """Columns of stacked values, one for each stretch of time that begins at one of `times`."""
    totals = [sum(values) for values in zip(*(s.values for s in series), strict=True)]
    if not times or not any(totals):
        return Markup()
    across = _scale_of_time(times[0], times[-1] + width)
    steps = _steps(max(totals))
    up = _scale_up(steps[-1])
    wide = max(_THINNEST, min(48.0, (across(times[0] + width) - across(times[0])) * 0.8))
    drawn = []
    for number, at in enumerate(times):
        floor = 0
        middle = (across(at) + across(at + width)) / 2
        for one in series:
            value = one.values[number]
            if not value:
                continue
            high, low = up(floor + value), up(floor)
            drawn.append(
                Markup(
                    '<rect class="{}" x="{}" y="{}" width="{}" height="{}">'
                    "<title>{}: {} {}</title></rect>"
                ).format(
                    one.style,
                    f"{middle - wide / 2:.1f}",
                    f"{high:.1f}",
                    f"{wide:.1f}",
                    f"{low - high:.1f}",
                    minute(at),
                    count(value),
                    one.name,
                )
            )
            floor += value
    sums = ", ".join(f"{count(sum(s.values))} {s.name}" for s in series)
    described = f"From {minute(times[0])} to {minute(times[-1] + width)}: {sums}."
    ends = [*times, times[-1] + width]
    return _picture(
        ident,
        title,
        described,
        _HEIGHT,
        [*_grid(steps, up), *drawn, *_dates(ends, across)],
    )


def bars(ident: str, title: str, rows: Sequence[Bar]) -> Markup:
    """Horizontal bars, each below its label; nothing without any."""
    most = max((row.total for row in rows), default=0)
    if not most:
        return Markup()
    drawn = []
    for number, row in enumerate(rows):
        y = number * _BAR_ROW
        short = row.label if len(row.label) <= _LONGEST else f"{row.label[: _LONGEST - 1]}…"
        drawn.append(
            Markup(
                '<text class="label" x="0" y="{}">{}<title>{}</title></text>'
                '<text class="number" x="{}" y="{}">{}</text>'
                '<rect class="track" x="0" y="{}" width="{}" height="{}" rx="2"/>'
            ).format(
                f"{y + 14:.0f}",
                short,
                row.label,
                f"{_BAR_WIDTH:.0f}",
                f"{y + 14:.0f}",
                count(row.total),
                f"{y + 21:.0f}",
                f"{_BAR_WIDTH:.0f}",
                f"{_BAR:.0f}",
            )
        )
        x = 0.0
        for part in row.parts:
            if not part.number:
                continue
            wide = max(_THINNEST, _BAR_WIDTH * part.number / most)
            drawn.append(
                Markup(
                    '<rect class="{}" x="{}" y="{}" width="{}" height="{}">'
                    "<title>{}: {}</title></rect>"
                ).format(
                    part.style,
                    f"{min(x, _BAR_WIDTH - wide):.1f}",
                    f"{y + 21:.0f}",
                    f"{wide:.1f}",
                    f"{_BAR:.0f}",
                    part.name,
                    count(part.number),
                )
            )
            x += wide
    described = "; ".join(f"{row.label}: {count(row.total)}" for row in rows)
    return _picture(ident, title, described, len(rows) * _BAR_ROW, drawn, width=_BAR_WIDTH)


def _picture(
    ident: str,
    title: str,
    described: str,
    height: float,
    parts: Iterable[Markup],
    *,
    width: float = _WIDTH,
) -> Markup:
    """The picture with its title and description, which a screen reader reads in its place."""
    opening = Markup(
        '<svg id="{0}" viewBox="0 0 {1} {2}" role="img" aria-labelledby="{0}-title {0}-desc">'
        '<title id="{0}-title">{3}</title><desc id="{0}-desc">{4}</desc>'
    ).format(ident, f"{width:.0f}", f"{height:.0f}", title, described)
    return opening + Markup("\n").join(parts) + Markup("</svg>")


def _scale_of_time(first: datetime, last: datetime) -> Callable[[datetime], float]:
    span = (last - first).total_seconds() or 1.0
    return lambda at: _LEFT + _ACROSS * (at - first).total_seconds() / span


def _scale_up(top: int) -> Callable[[float], float]:
    return lambda value: _FLOOR - (_FLOOR - _TOP) * value / top


def _steps(top: int) -> range:
    """Round numbers from zero until `top` is reached, seven at most."""
    size = 1
    while True:
        for step in (1, 2, 5):
            if step * size * 6 >= top:
                return range(0, top + step * size, step * size)
        size *= 10


def _grid(steps: range, up: Callable[[float], float]) -> Iterable[Markup]:
    for value in steps:
        y = up(value)
        yield Markup(
            '<path class="{}" d="M{} {}H{}"/><text class="tick y" x="{}" y="{}">{}</text>'
        ).format(
            "grid" if value else "axis",
            f"{_LEFT:.0f}",
            f"{y:.1f}",
            f"{_WIDTH - _RIGHT:.0f}",
            f"{_LEFT - 8:.0f}",
            f"{y + 4:.1f}",
            count(value),
        )


def _dates(times: Sequence[datetime], across: Callable[[datetime], float]) -> Iterable[Markup]:
    span = times[-1] - times[0]
    for number in range(_TIMES):
        at = times[0] + span * number / (_TIMES - 1)
        place = {0: "start", _TIMES - 1: "end"}.get(number, "middle")
        style = "tick between" if number % 2 else "tick"
        yield Markup('<text class="{}" text-anchor="{}" x="{}" y="{}">{}</text>').format(
            style, place, f"{across(at):.1f}", f"{_HEIGHT - 8:.0f}", escape(clock(at, span))
        )
