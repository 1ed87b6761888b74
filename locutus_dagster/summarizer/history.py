"""How accessions came to stand as they do, for the plots, and how fast it goes.

What belongs here: choosing the stretches of time that a plot shows, and filling them. What does
not: counting events (`ledger/summary_past.py`), and drawing (`forms/`).
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta, timezone

from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.overview import OPEN, Pace
from locutus_dagster.ledger.selection import Selection
from locutus_dagster.ledger.summary_records import Scope
from locutus_dagster.summarizer.model import Moment, Worked

__all__ = ["MOST_POINTS", "history", "pace_of", "work"]

#: Points in a plot; more cannot be told apart.
MOST_POINTS = 60
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_FINE = (*(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)), *(_HOUR * n for n in (1, 2, 3, 6, 12)))
_COARSE = (*(_DAY * n for n in (1, 2, 7, 14, 28, 56)), _DAY * 168)
_WINDOW = timedelta(minutes=10)  # that the pace is measured over
_LEAST = 60.0  # seconds; two deliveries a moment apart say nothing of a pace yet
_IN_CHUNK = 500


def history(ledger: Ledger, scope: Scope, as_of: datetime) -> tuple[Moment, ...]:
    """How many accessions, each counted once, stood in which state at points of equal distance.

    The first point is before any was named, the last one is `as_of` and shows how they stand now.
    """
    first = ledger.first_named(scope)
    if first is None:
        return ()
    width = _width(as_of - first, (*_FINE, *_COARSE))
    start, end = _stretch(first, width), max(_stretch(as_of, width), _stretch(first, width))
    moved: dict[int, Counter[State]] = {number: Counter() for number in range(start, end + 1)}
    for shift in ledger.shifts(scope, width):
        counts = moved[min(max(shift.stretch, start), end)]
        counts[shift.after] += shift.accessions
        if shift.before is not None:
            counts[shift.before] -= shift.accessions
    moments = [Moment(_begin(start, width), {})]
    standing: Counter[State] = Counter()
    for number, counts in moved.items():
        standing.update(counts)
        at = as_of if number == end else _begin(number + 1, width)
        states = {state: standing[state] for state in State if standing[state]}
        moments.append(Moment(at, states))
    return tuple(moments)


def work(
    ledger: Ledger, scope: Scope, as_of: datetime
) -> tuple[tuple[Worked, ...], timedelta | None]:
    """What was delivered and what failed, hour by hour or in longer stretches; and how long."""
    first = ledger.first_done(scope)
    if first is None:
        return (), None
    width = _width(as_of - first, (_HOUR, *_COARSE))
    start, end = _stretch(first, width), max(_stretch(as_of, width), _stretch(first, width))
    delivered: Counter[int] = Counter()
    failed: Counter[int] = Counter()
    for one in ledger.done(scope, width):
        counts = delivered if one.state is State.DELIVERED else failed
        counts[min(max(one.stretch, start), end)] += one.accessions
    worked = tuple(
        Worked(_begin(number, width), delivered[number], failed[number])
        for number in range(start, end + 1)
    )
    return worked, width


def pace_of(
    ledger: Ledger,
    workspace: str,
    selection: Selection,
    *,
    busy: bool,
    still_open: int | None = None,
) -> tuple[float | None, timedelta | None]:
    """How many accessions an hour are settled at present, and how long those that are open take.

    Args:
        busy: whether a worker has any of them in hand; else there is no end that comes nearer.
        still_open: how many of the accessions are open, where that is known already.
    """
    if not busy:
        return None, None
    found = _pace(ledger, workspace, selection)
    if still_open is None:
        still_open = ledger.accessions_in(workspace, OPEN, selection)
    an_hour = found.settled * 3600 / max(found.seconds, _LEAST)
    if not an_hour:
        return 0.0, None
    return an_hour, timedelta(hours=still_open / an_hour)


def _pace(ledger: Ledger, workspace: str, selection: Selection) -> Pace:
    """The pace of a selection, be its list of accessions as long as it may."""
    numbers = selection.accession_numbers
    if numbers is None:
        return ledger.pace(workspace, _WINDOW, selection)
    pieces = [
        ledger.pace(
            workspace, _WINDOW, Selection(accession_numbers=numbers[start : start + _IN_CHUNK])
        )
        for start in range(0, len(numbers), _IN_CHUNK)
    ]
    return Pace(
        sum(piece.delivered for piece in pieces),
        sum(piece.settled for piece in pieces),
        max((piece.seconds for piece in pieces), default=0.0),
    )


def _width(span: timedelta, widths: tuple[timedelta, ...]) -> timedelta:
    """The shortest of these stretches of which so many as a plot has cover a span."""
    # The span may begin in the middle of one stretch and end in the middle of another.
    fits = (width for width in widths if span <= width * (MOST_POINTS - 2))
    return next(fits, widths[-1] * -(-span // (widths[-1] * (MOST_POINTS - 2))))


def _stretch(at: datetime, width: timedelta) -> int:
    """The number of the stretch that a point in time lies in, as the ledger counts them."""
    return int(at.timestamp() // width.total_seconds())


def _begin(stretch: int, width: timedelta) -> datetime:
    return datetime.fromtimestamp(stretch * width.total_seconds(), timezone.utc)
