"""What a run has found, as tables for people, CSV and JSON.

What belongs here: printing and writing a `Run`. What does not: judging. Planted values are left
out unless asked for: they are fictitious, but reports are copied into places where nobody can tell.
"""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path
from typing import Any

from pydicom.uid import UID
from rich.console import Console
from rich.table import Table

from benchmarks.midi.checks import DESCRIPTORS, KINDS, category_group
from benchmarks.midi.harness import Run
from benchmarks.midi.places import format_place, without_items
from benchmarks.midi.scoring import Outcome, Verdict

__all__ = ["PASSING", "passes", "print_report", "write_csv", "write_json"]

#: The share of checks, in percent, that a run must pass; and nothing may be left.
PASSING = 99.9
_MOST = 60


def passes(run: Run) -> bool:
    """Tell whether a run is good enough."""
    return run.percent >= PASSING and run.left == 0


def print_report(console: Console, run: Run, *, show_values: bool = False) -> None:
    """Print the tables of a run."""
    console.print(
        f"MIDI-style score of [bold]{run.engine}[/bold]: [bold]{run.percent:.3f} %[/bold] of "
        f"{_judged(run)} checks on {len(run.key)} files, {run.studies} studies, "
        f"{run.patients} patients. Planted identifiers left: [bold]{run.left}[/bold]."
    )
    console.print(_outcomes(run, "action", _action))
    console.print(_outcomes(run, "category", lambda verdict: verdict.check.category))
    console.print(_kinds(run))
    for title, table in (
        ("Files not delivered", _withheld(run)),
        ("Checks that failed", _failures(run, show_values)),
        ("Descriptive words lost most often", _lost(run)),
        ("Planted identifiers left", _left(run, show_values)),
    ):
        if table.row_count:
            console.print(table)
        else:
            console.print(f"{title}: none.")
    for one in run.refused:
        console.print(f"Not planted: {one.path.name}: {one.why}")
    console.print(
        "pixels_hidden is not planted: text in pixels is another matter. Full-face photographs "
        "are not planted either."
    )


def _judged(run: Run) -> int:
    return sum(verdict.outcome is not Outcome.WAIVED for verdict in run.score.verdicts)


def _action(verdict: Verdict) -> str:
    return verdict.check.action.value


def _outcomes(run: Run, name: str, call: Any) -> Table:
    """One row a group; categories with a subtotal for each family."""
    table = Table(name, "pass", "fail", "waived", "score", title=f"By {name}", title_justify="left")
    groups = run.score.by(call)
    families: dict[str, list[str]] = defaultdict(list)
    for group in groups:
        families[category_group(group) if name == "category" else group].append(group)
    for family, members in families.items():
        for member in members:
            _row(table, member, groups[member])
        if len(members) > 1:
            _row(table, f"{family}, all", sum((groups[one] for one in members), Counter()), "bold")
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _row(table: Table, name: str, counts: Counter[Outcome], style: str = "") -> None:
    good, bad = counts[Outcome.PASS], counts[Outcome.FAIL]
    share = f"{100 * good / (good + bad):.3f} %" if good + bad else "-"
    table.add_row(name, str(good), str(bad), str(counts[Outcome.WAIVED]), share, style=style)


def _kinds(run: Run) -> Table:
    table = Table("", "kind", "searched for", "left", title="Kinds", title_justify="left")
    left = Counter(leak.kind for leaks in run.leaks.values() for leak in leaks)
    for letter, name in KINDS.items():
        searched = str(run.searched[letter]) if letter != "Q" else "not planted"
        table.add_row(letter, name, searched, str(left[letter]))
    return table


def _withheld(run: Run) -> Table:
    table = Table("reason or SOP class", "files", title="Files not delivered", title_justify="left")
    for reason, count in run.withheld.most_common():
        table.add_row(reason, str(count))
    for sop_class, count in run.withheld_classes.most_common():
        table.add_row(UID(sop_class).name, str(count), style="dim")
    return table


def _failures(run: Run, show_values: bool) -> Table:
    columns = ["checks", "files", "action", "category", "where", "why", "first file"]
    table = Table(
        *columns, *(["text"] if show_values else []), title="Checks that failed",
        title_justify="left",
    )  # fmt: skip
    groups: dict[tuple[str, ...], list[Verdict]] = defaultdict(list)
    for verdict in run.score.failures():
        check = verdict.check
        place = format_place(without_items(check.place))
        groups[check.action.value, check.category, place, verdict.note].append(verdict)
    ordered = sorted(groups.items(), key=lambda one: -len(one[1]))
    for (action, category, place, note), verdicts in ordered[:_MOST]:
        first = verdicts[0]
        row = [
            str(len(verdicts)), str(len({one.index for one in verdicts})), action, category, place,
            note, str(first.index),
        ]  # fmt: skip
        table.add_row(*row, *([first.check.text] if show_values else []))
    if len(ordered) > _MOST:
        table.caption = f"and {len(ordered) - _MOST} more groups, see the CSV report"
    return table


def _lost(run: Run) -> Table:
    """The words themselves: they identify nobody, which is why they must stay."""
    words = Counter(
        word.casefold()
        for verdict in run.score.failures()
        if verdict.check.category == DESCRIPTORS
        for word in verdict.lost
    )
    table = Table("times", "word", title="Descriptive words lost most often", title_justify="left")
    for word, count in words.most_common(_MOST):
        table.add_row(str(count), word)
    return table


def _left(run: Run, show_values: bool) -> Table:
    table = Table(
        "files", "kind", "where", "first file", *(["text"] if show_values else []),
        title="Planted identifiers left", title_justify="left",
    )  # fmt: skip
    groups: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for index, leaks in run.leaks.items():
        for leak in leaks:
            groups[leak.kind, leak.place].append((index, leak.text))
    for (kind, place), found in sorted(groups.items(), key=lambda one: -len(one[1]))[:_MOST]:
        index, text = found[0]
        row = [str(len({one for one, _ in found})), kind, place, str(index)]
        table.add_row(*row, *([text] if show_values else []))
    return table


def write_csv(path: Path, run: Run, *, show_values: bool = False) -> None:
    """Write one row for every check that failed and every identifier that is left."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(
            ("file", "source", "sop_class", "modality", "place", "action", "category", "why",
             *(["text"] if show_values else []))
        )  # fmt: skip
        for verdict in run.score.failures():
            check = verdict.check
            row = (format_place(check.place), check.action.value, check.category, verdict.note)
            _write_row(writer, run, verdict.index, row, check.text if show_values else None)
        for index, leaks in run.leaks.items():
            for leak in leaks:
                row = (leak.place, "left", f"HIPAA-{leak.kind}", "")
                _write_row(writer, run, index, row, leak.text if show_values else None)


def _write_row(writer: Any, run: Run, index: int, row: tuple[str, ...], text: str | None) -> None:
    file = run.key[index]
    values = [] if text is None else [text]
    writer.writerow(
        (index, run.paths[index].name, UID(file.sop_class).name, file.modality, *row, *values)
    )


def write_json(path: Path, run: Run, **about: object) -> None:
    """Write the figures of a run; `about` says how it was started."""
    figures = {
        "date": date.today().isoformat(),  # noqa: DTZ011 - the day on the wall
        **about,
        "engine": run.engine,
        "options": sorted(run.options),
        "score": run.percent,
        "checks": _judged(run),
        "left": run.left,
        "files": len(run.key),
        "studies": run.studies,
        "patients": run.patients,
        "withheld": dict(run.withheld),
        "not planted": len(run.refused),
        "actions": _as_json(run, _action),
        "categories": _as_json(run, lambda verdict: verdict.check.category),
        "searched": dict(sorted(run.searched.items())),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1))


def _as_json(run: Run, call: Any) -> dict[str, dict[str, int]]:
    groups = run.score.by(call)
    return {
        name: {outcome.value: count for outcome, count in counts.items()}
        for name, counts in groups.items()
    }
