"""Making a report: of a workspace, of manifests, or of a file that is held against the ledger.

What belongs here: what is asked of the ledger, and adding it up. What does not: the words for a row
(`lines.py`, `buckets.py`), and how a report is written (`forms/`). Nothing is changed anywhere.

The lines of a detailed report are read once and kept, so that each of its forms says the same, and
its counts are those of its lines, whatever is processed meanwhile.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from locutus_dagster.errors import LocutusError
from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.overview import OPEN
from locutus_dagster.ledger.reference_status import previous_processing_used
from locutus_dagster.ledger.selection import Selection
from locutus_dagster.ledger.states import Phase
from locutus_dagster.ledger.summary_records import Scope
from locutus_dagster.summarizer.adhoc import hold_against
from locutus_dagster.summarizer.buckets import NOT_FOUND, REJECTED, counted, grouped
from locutus_dagster.summarizer.history import history, pace_of, work
from locutus_dagster.summarizer.lines import ELIDED, group_status, line_of, settings_among
from locutus_dagster.summarizer.model import Failure, Identifiers, Line, Stage, Summary
from locutus_dagster.summarizer.redacting import redacted

__all__ = ["SummaryError", "summarize"]

_PLAIN_NUMBER = re.compile(r"0|[1-9][0-9]*")


class SummaryError(LocutusError):
    """What a report was asked about does not exist, or does not go together."""


@dataclass
class _Counts:
    """What rows add up to."""

    rows: int = 0
    duplicates: int = 0
    with_text: int = 0
    rejected: int = 0
    in_hand: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    states: Counter[State] = field(default_factory=Counter)
    not_found: list[str] = field(default_factory=list, repr=False)


@dataclass(frozen=True)
class _Found:
    """What was found out of what a report is about; the fields are as in `Summary`."""

    title: str
    manifests: tuple[str, ...]
    counts: _Counts
    scope: Scope
    failures: tuple[Failure, ...]
    lines: tuple[Line, ...] = field(repr=False)
    pace: float | None
    eta: timedelta | None


def summarize(
    ledger: Ledger,
    workspace: str,
    *,
    manifests: Sequence[str] = (),
    selection: Selection | None = None,
    detailed: bool = True,
    redact: bool = False,
    file: Path | None = None,
    stage: bool = True,
    settings: Mapping[str, str] | None = None,
    now: datetime | None = None,
) -> Summary:
    """Say how the rows of a workspace stand.

    Args:
        manifests: the names of those that it is about; all of them when there is none.
        selection: only such rows; rejected ones and duplicates then are none of them.
        detailed: with a line for each row; else counts alone.
        redact: without accession numbers and subjects, in any part of it.
        file: a manifest, loaded or not, or a list of accession numbers, to be held against the
            whole workspace instead.
        stage: with what the source is known to hold, where somebody watches it.
        settings: facts for the head of the report.
        now: when it is made (UTC); the present by default.

    Raises:
        SummaryError: there is no such manifest, or file and manifests are both given.
        ManifestError: the file cannot be read, or has the header of a manifest that does not fit.
        SummaryFileError: the file says nothing that could be asked.
    """
    as_of = now or datetime.now(timezone.utc)
    chosen = selection or Selection()
    if manifests:
        chosen = replace(chosen, manifests=tuple(manifests))
    if file is None:
        found = _of_ledger(ledger, workspace, chosen, detailed)
    elif chosen.everything:
        found = _of_file(ledger, workspace, file)
    else:
        raise SummaryError(
            "A report is about a file, or about manifests of the ledger.",
            "Leave the file out, or the manifests and the filter.",
        )
    counts = found.counts
    done, width = work(ledger, found.scope, as_of)
    made = Summary(
        title=found.title,
        workspace=workspace,
        manifests=found.manifests,
        as_of=as_of,
        detailed=detailed,
        redacted=False,
        settings=dict(settings or {}),
        rows=counts.rows,
        duplicates=counts.duplicates,
        with_text=counts.with_text,
        workspace_accessions=ledger.accessions_of_workspace(workspace),
        not_found=tuple(sorted(counts.not_found)),
        rejected=counts.rejected,
        buckets=counted(counts.statuses, name_errors=not detailed),
        grouped=grouped(counts.statuses),
        states={state: counts.states[state] for state in State if counts.states[state]},
        failures=found.failures,
        lines=found.lines if detailed else (),
        history=history(ledger, found.scope, as_of),
        work=done,
        pace=found.pace,
        eta=found.eta,
        stage=_stage(ledger, workspace, chosen, found) if stage else None,
        work_width=width,
        identifiers=_identifiers(ledger, workspace, found.lines),
    )
    return redacted(made) if redact else made


# -- of what is loaded -------------------------------------------------------------------------


def _of_ledger(ledger: Ledger, workspace: str, chosen: Selection, detailed: bool) -> _Found:
    known = ledger.manifest_names(workspace)
    unknown = [name for name in chosen.manifests if name not in known]
    if unknown:
        raise SummaryError(
            f"Workspace '{workspace}' has no manifest named '{unknown[0]}' "
            f"(manifests: {', '.join(known) or 'none'}).",
            "Load one with: locutus load-manifest FILE.csv",
        )
    lines: list[Line] = []
    if detailed:
        busy = 0
        for row in ledger.summary_rows(workspace, chosen):
            lines.append(line_of(row))
            busy += row.in_hand
        counts = _count_lines(lines)
        counts.in_hand = busy
    else:
        counts = _count_groups(ledger, workspace, chosen)
    pace, eta = pace_of(ledger, workspace, chosen, busy=bool(counts.in_hand))
    return _Found(
        _title(workspace, chosen),
        tuple(name for name in known if not chosen.manifests or name in chosen.manifests),
        counts,
        Scope(workspace, chosen),
        tuple(
            Failure(one.phase, one.reason, one.accessions)
            for one in ledger.failures(workspace, chosen)
        ),
        tuple(lines),
        pace,
        eta,
    )


def _title(workspace: str, chosen: Selection) -> str:
    title = f"Workspace {workspace}"
    if chosen.manifests:
        several = "s" if len(chosen.manifests) > 1 else ""
        title = f"Manifest{several} {', '.join(chosen.manifests)} of workspace {workspace}"
    return f"{title}, filtered" if _filtered(chosen) else title


def _filtered(chosen: Selection) -> bool:
    """Whether more is asked for than manifests as a whole."""
    return chosen != Selection(manifests=chosen.manifests)


def _count_groups(ledger: Ledger, workspace: str, chosen: Selection) -> _Counts:
    counts = _Counts()
    for group in ledger.row_groups(workspace, chosen):
        status, _ = group_status(group)
        counts.rows += group.rows
        counts.statuses[status] += group.rows
        counts.duplicates += group.rows if group.duplicate else 0
        counts.with_text += group.rows if group.with_text else 0
        counts.rejected += group.rows if group.rejected else 0
        counts.in_hand += group.rows if group.in_hand else 0
        if group.state is not None:
            counts.states[group.state] += group.rows
    return counts


# -- of a file ---------------------------------------------------------------------------------


def _of_file(ledger: Ledger, workspace: str, path: Path) -> _Found:
    held = hold_against(ledger, workspace, path)
    known = [line for line in held.lines if line.state is not None]
    numbers = tuple(dict.fromkeys(line.accession_number for line in known))
    pace, eta = pace_of(
        ledger,
        workspace,
        Selection(accession_numbers=numbers),
        busy=bool(held.in_hand),
        still_open=len({line.accession_number for line in known if line.state in OPEN}),
    )
    return _Found(
        f"File {path.name}, held against workspace {workspace}",
        tuple(sorted({line.manifest for line in known})),
        _count_lines(held.lines),
        Scope(workspace, accession_ids=held.accession_ids),
        _failures(known),
        held.lines,
        pace,
        eta,
    )


def _failures(lines: Iterable[Line]) -> tuple[Failure, ...]:
    """Why accessions failed, each counted once, the most frequent reason first."""
    failed: defaultdict[tuple[int, str], set[str]] = defaultdict(set)
    for line in lines:
        if line.state is State.FAILED:
            failed[line.phase or int(Phase.PREPARE), line.reason].add(line.accession_number)
    found = [Failure(phase, reason, len(who)) for (phase, reason), who in failed.items()]
    return tuple(sorted(found, key=lambda one: (-one.accessions, one.phase, one.reason)))


# -- of both -----------------------------------------------------------------------------------


def _count_lines(lines: Iterable[Line]) -> _Counts:
    counts = _Counts()
    for line in lines:
        counts.rows += 1
        counts.duplicates += line.duplicate
        counts.rejected += line.bucket == REJECTED
        if line.bucket == NOT_FOUND:
            counts.not_found.append(line.accession_number)
        if line.bucket != REJECTED and not _PLAIN_NUMBER.fullmatch(line.accession_number):
            counts.with_text += 1
        counts.statuses[_without_attributes(line)] += 1
        if line.state is not None:
            counts.states[line.state] += 1
    return counts


def _without_attributes(line: Line) -> str:
    if line.state is State.DELIVERED and line.changed:
        return previous_processing_used([ELIDED], [ELIDED], settings_among(line.changed))
    return line.status


def _stage(ledger: Ledger, workspace: str, chosen: Selection, found: _Found) -> Stage | None:
    """The source's side; None where nobody has ever looked."""
    cursor = ledger.stage_cursor(workspace)
    if cursor.polled_at is None:
        return None
    lacking = ledger.stage_lacking(workspace, chosen.manifests)
    if _filtered(chosen):
        meant = {item.partition_key for item in ledger.select(workspace, chosen)}
        lacking = [key for key in lacking if key in meant]
    elif found.scope.accession_ids is not None:
        asked = {line.partition_key for line in found.lines}
        lacking = [key for key in lacking if key in asked]
    return Stage(
        studies=ledger.stage_count(workspace).present,
        unnamed=tuple(ledger.stage_unnamed(workspace)),
        lacking=tuple(lacking),
        polled_at=cursor.polled_at,
    )


def _identifiers(ledger: Ledger, workspace: str, lines: Iterable[Line]) -> Identifiers:
    """What the workspace's manifests name, and what a file asks about."""
    numbers, subjects = ledger.identifiers_of_workspace(workspace)
    numbers.update(line.accession_number for line in lines)
    subjects.update(line.subject_id for line in lines)
    return Identifiers(numbers - {""}, subjects - {""})
