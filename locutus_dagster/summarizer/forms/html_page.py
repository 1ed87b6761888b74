"""What a report's page shows: its figures, plots and rows, ready for the template.

What belongs here: choosing and wording. What does not: drawing (`svg.py`), the page's looks
(`templates/report.html.j2`), and writing the file (`html.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from locutus_dagster.ledger.states import MEANINGS, Phase, State
from locutus_dagster.summarizer.forms import svg
from locutus_dagster.summarizer.forms.facts import (
    NEEDS_A_PERSON,
    ON_THE_WAY,
    PROGRESS,
    head,
    named_accessions,
    pace_words,
    sections,
)
from locutus_dagster.summarizer.forms.wording import count, duration, minute, percent, since
from locutus_dagster.summarizer.model import Line, Summary

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["MOST_ROWS", "page_of"]

#: Rows in the page's table; a browser stays quick with them.
MOST_ROWS = 2000
_MOST_BARS = 10
_MOST_NAMED = 200
_PHASES = {
    Phase.PREPARE: "02 find the study",
    Phase.EXTRACT: "03 fetch it",
    Phase.TRANSFORM: "04 de-identify it",
    Phase.DELIVER: "05 deliver it",
}
#: The phase that each state has come to.
_STANDS_IN = {
    State.EXTRACTED: Phase.EXTRACT,
    State.DEIDENTIFIED: Phase.TRANSFORM,
    State.DELIVERED: Phase.DELIVER,
}


@dataclass(frozen=True)
class Figure:
    """A large number with what it means."""

    number: str
    what: str
    note: str = ""
    style: str = ""


@dataclass(frozen=True)
class Plot:
    """A plot with its heading; `note` says what is left out of it."""

    title: str
    picture: Markup
    note: str = ""


def page_of(summary: Summary, beside: str) -> dict[str, Any]:
    """What the template is filled with; `beside` names the CSV that has all rows, if any."""
    rows, complete = _rows(summary)
    stage = summary.stage
    return {
        "summary": summary,
        "kind": "Detailed report" if summary.detailed else "Overview",
        "as_of": minute(summary.as_of),
        "beside": beside,
        "figures": _figures(summary),
        "standing": _standing(summary),
        "pace": pace_words(summary),
        "over_time": [plot for plot in (_history(summary), _work(summary)) if plot.picture],
        "plots": [
            found
            for plots in ([_buckets(summary)], [_phases(summary), _failures(summary)])
            if (found := [plot for plot in plots if plot.picture])
        ],
        "sections": [s for s in sections(summary) if s.key in ("totals", "known", "grouped")],
        "stage": stage,
        "polled": minute(stage.polled_at) if stage else "",
        "named": [
            (what, values[:_MOST_NAMED], len(values) - _MOST_NAMED)
            for what, values in _named(summary)
            if values
        ],
        "rows": rows,
        "complete": complete,
        "total": count(len(summary.lines)) if summary.detailed else "",
        "head": head(summary),
        "count": count,
    }


def _figures(summary: Summary) -> list[Figure]:
    states, rows = summary.states, summary.rows
    delivered = states.get(State.DELIVERED, 0)
    underway = sum(states.get(state, 0) for state in ON_THE_WAY)
    needy = sum(states.get(state, 0) for state in NEEDS_A_PERSON)
    asked = [f"{count(summary.duplicates)} repeated"] if summary.duplicates else []
    if summary.rejected:
        asked.append(f"{count(summary.rejected)} rejected")
    figures = [
        Figure(count(rows), "rows", ", ".join(asked)),
        Figure(count(delivered), "delivered", percent(delivered, rows), "s-delivered"),
        Figure(count(underway), "on their way", _parts(summary, ON_THE_WAY), "s-extracted"),
        Figure(count(needy), "need a person", _parts(summary, NEEDS_A_PERSON), "s-failed"),
    ]
    if summary.not_found:
        figures.append(Figure(count(len(summary.not_found)), "not found", "no manifest names them"))
    return figures


def _parts(summary: Summary, states: Iterable[State]) -> str:
    found = sorted(((summary.states.get(s, 0), s.value) for s in states), reverse=True)
    named = [f"{count(number)} {name}" for number, name in found if number]
    return ", ".join(named[:2]) + (" …" if len(named) > 2 else "")


def _standing(summary: Summary) -> list[dict[str, Any]]:
    """Each state that occurs, with its share of the bar below the figures."""
    total = sum(summary.states.values())
    return [
        {
            "name": state.value,
            "number": count(number),
            "share": f"{100 * number / total:.3f}",
            "meaning": MEANINGS[state],
        }
        for state in PROGRESS
        if (number := summary.states.get(state, 0))
    ]


def _history(summary: Summary) -> Plot:
    moments = summary.history
    series = [
        svg.Series(
            state.value, f"s-{state.value}", [moment.states.get(state, 0) for moment in moments]
        )
        for state in PROGRESS
    ]
    title = "States over time"
    times = [moment.at for moment in moments]
    note = "Accessions, each counted once."
    return Plot(title, svg.stacked_over_time("history", title, times, series), note)


def _work(summary: Summary) -> Plot:
    worked = summary.work
    width = summary.work_width or timedelta(hours=1)
    named = {timedelta(hours=1): "hour", timedelta(days=1): "day", timedelta(days=7): "week"}
    title = f"Throughput per {named.get(width, duration(width))}"
    series = [
        svg.Series("delivered", "s-delivered", [one.delivered for one in worked]),
        svg.Series("failed", "s-failed", [one.failed for one in worked]),
    ]
    times = [one.at for one in worked]
    return Plot(title, svg.columns_over_time("throughput", title, times, width, series))


def _buckets(summary: Summary) -> Plot:
    found = [one for one in summary.buckets if one.count]
    found.sort(key=lambda one: -one.count)
    rows = [
        svg.Bar(one.label, [svg.Part("rows", "plain", one.count)]) for one in found[:_MOST_BARS]
    ]
    title = "Rows by status"
    return Plot(title, svg.bars("buckets", title, rows), _left_out(len(found)))


def _phases(summary: Summary) -> Plot:
    stands = dict.fromkeys(Phase, 0)
    fails = dict.fromkeys(Phase, 0)
    for state, number in summary.states.items():
        if state not in (State.FAILED, State.DROPPED, State.RECALLED):
            stands[_STANDS_IN.get(state, Phase.PREPARE)] += number
    for failure in summary.failures:
        known = failure.phase in Phase._value2member_map_
        fails[Phase(failure.phase) if known else Phase.PREPARE] += failure.accessions
    rows = [
        svg.Bar(
            name,
            [
                svg.Part("have come so far", _PHASE_STYLES[phase], stands[phase]),
                svg.Part("failed here", "s-failed", fails[phase]),
            ],
        )
        for phase, name in _PHASES.items()
    ]
    title = "Phases"
    note = "How far they have come; red: failed there."
    return Plot(title, svg.bars("phases", title, rows), note)


_PHASE_STYLES = {
    Phase.PREPARE: "s-loaded",
    Phase.EXTRACT: "s-extracted",
    Phase.TRANSFORM: "s-deidentified",
    Phase.DELIVER: "s-delivered",
}


def _failures(summary: Summary) -> Plot:
    rows = [
        svg.Bar(
            f"{one.phase:02d} {one.reason}", [svg.Part("accessions", "s-failed", one.accessions)]
        )
        for one in summary.failures[:_MOST_BARS]
    ]
    title = "Failures by reason"
    return Plot(title, svg.bars("failures", title, rows), _left_out(len(summary.failures)))


def _left_out(found: int) -> str:
    more = found - _MOST_BARS
    return f"{count(more)} more are in the tables below." if more > 0 else ""


def _named(summary: Summary) -> list[tuple[str, Sequence[str]]]:
    found: list[tuple[str, Sequence[str]]] = [
        ("Accessions not found", named_accessions(summary, summary.not_found))
    ]
    if summary.stage is not None:
        unnamed = named_accessions(summary, summary.stage.unnamed)
        found.append(("Studies that no manifest names", unnamed))
        found.append(("Rows that the source holds no study for", summary.stage.lacking))
    return found


def _rows(summary: Summary) -> tuple[list[dict[str, Any]], bool]:
    """The rows of the table, and whether these are all; if not, those that are not done first."""
    if not summary.detailed:
        return [], True
    open_ones: list[Line] = []
    done: list[Line] = []
    first: list[Line] = []
    total = 0
    for line in summary.lines:
        total += 1
        kept = done if line.state is State.DELIVERED and not line.changed else open_ones
        if len(kept) < MOST_ROWS:
            kept.append(line)
        if total <= MOST_ROWS:
            first.append(line)
    shown = first if total <= MOST_ROWS else [*open_ones, *done][:MOST_ROWS]
    return [_row(line, summary) for line in shown], total <= MOST_ROWS


def _row(line: Line, summary: Summary) -> dict[str, Any]:
    imaging = (line.imaging_type, line.anatomical_position, f"{line.age} d" if line.age else "")
    notes = [line.reason, f"changed: {', '.join(line.changed)}" if line.changed else ""]
    notes.append("repeats an earlier row" if line.duplicate else "")
    notes.append(line.label)
    return {
        "key": line.partition_key or f"row {line.row_number}",
        "subject": line.subject_id,
        "accession": line.accession_number,
        "imaging": " · ".join(filter(None, imaging)),
        "state": line.state.value if line.state else "",
        "status": line.status,
        "notes": [note for note in notes if note],
        "studies": [
            f"Study {study.number}: "
            + ", ".join(f"{label} {value}" for label, value in study.facts.items())
            for study in line.studies
        ],
        "since": since(line.last_change, summary.as_of),
        "changed_at": minute(line.last_change),
        "instances": "" if line.instances is None else count(line.instances),
        "withheld": "" if line.withheld is None else count(line.withheld),
        "file": line.file_name or " ".join(line.targets),
        "targets": " ".join(line.targets),
    }
