"""`locutus recall`: take back what was delivered of an accession or a subject, and keep it so.

What belongs here: whom a person means, what he is shown before and after, and the exit codes. What
does not: carrying it out (`pipeline/recalling.py`). Accession numbers are not shown, not even the
one that was typed; partition keys and subjects are.

Exit codes: 0 all is gone, 2 something could not be removed yet, 1 it could not work.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from locutus_dagster.cli.console import BROKEN, FAILED, err, errors_for_people, escape, out
from locutus_dagster.cli.selecting import Workspace
from locutus_dagster.cli.tables import make_table, print_table
from locutus_dagster.errors import LocutusError

if TYPE_CHECKING:
    from locutus_dagster.ledger import Ledger
    from locutus_dagster.ledger.recalls import RecallRecord
    from locutus_dagster.pipeline.recall_parts import Concerned, RecallParts
    from locutus_dagster.pipeline.recalling import LiftOutcome, RecallOutcome

__all__ = ["recall_command"]

_GO_ON = "Interrupted. What was removed is recorded; run the same command again to go on."
_WITH_ARTICLE = {
    "accession number": "an accession number",
    "partition": "a partition",
    "subject": "a subject",
}
_AGAIN = "Run the same command again to go on; until then nothing new is delivered."


@dataclass(frozen=True)
class _Request:
    """What was typed. `kinds` is what it is said to be, `wait` is in seconds."""

    what: str
    kinds: Sequence[str]
    reason: str
    wait: float
    yes: bool


@dataclass(frozen=True)
class _Whom:
    """What a person means: one accession, or a subject."""

    accession_id: int | None
    subject_id: str | None

    @property
    def told(self) -> str:
        return "one accession" if self.subject_id is None else f"subject {self.subject_id}"


def recall_command(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="WHAT",
            help="A partition such as batch1~000001, an accession number, or a subject.",
            show_default=False,
        ),
    ] = None,
    workspace: Workspace = "default",
    reason: Annotated[
        str, typer.Option(help="Why, in words that identify nobody; it is kept and shown.")
    ] = "",
    lift: Annotated[
        bool, typer.Option("--lift", help="Lift the recall; the next run delivers again.")
    ] = False,
    show_list: Annotated[
        bool, typer.Option("--list", help="Show every recall of the workspace.")
    ] = False,
    wait: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", help="How long to wait for what other workers have in hand."
        ),
    ] = 60.0,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    accession: Annotated[
        bool, typer.Option("--accession", help="WHAT is an accession number.")
    ] = False,
    partition: Annotated[bool, typer.Option("--partition", help="WHAT is a partition.")] = False,
    subject: Annotated[bool, typer.Option("--subject", help="WHAT is a subject.")] = False,
) -> None:
    """Remove what was delivered of an accession or a subject, and deliver nothing new of it."""
    with errors_for_people(_GO_ON):
        if show_list:
            _list(workspace)
            return
        if not what:
            raise LocutusError(
                "Nothing was named.", "Name a partition, an accession number or a subject."
            )
        kinds = {"accession number": accession, "partition": partition, "subject": subject}
        asked = [kind for kind, chosen in kinds.items() if chosen]
        if len(asked) > 1:
            raise LocutusError(
                "What was named can only be one thing.",
                "Give one of --accession, --partition and --subject.",
            )
        request = _Request(what.strip(), asked, reason, wait, yes)
        if not _carry_out(workspace, request, lift=lift):
            raise typer.Exit(FAILED)


def _carry_out(workspace: str, request: _Request, *, lift: bool) -> bool:
    from locutus_dagster.pipeline.recall_parts import checked_reason, concerned, recall_parts
    from locutus_dagster.settings import load_settings

    parts = recall_parts(load_settings(), workspace)
    try:
        whom = _whom(parts.ledger, workspace, request.what, request.kinds)
        about = concerned(
            parts.ledger,
            workspace,
            accession_id=whom.accession_id,
            subject_id=whom.subject_id,
        )
        checked_reason(request.reason, about.rows)  # before anybody is asked
        return (_lift if lift else _recall)(parts, whom, about, request)
    finally:
        parts.close()


def _whom(ledger: Ledger, workspace: str, what: str, asked: Sequence[str]) -> _Whom:
    """Find out what is meant.

    Raises:
        LocutusError: nothing has that name, or it could mean several things.
    """
    from locutus_dagster.ledger.lookup import FoundBy

    hits = ledger.find([what], [workspace])
    ways = {way for hit in hits for way in hit.by if not asked or way.value in asked}
    if not ways:
        kind = asked[0] if asked else "accession, partition or subject"
        raise LocutusError(
            f"Workspace '{workspace}' knows no {kind} of that name.",
            "Names are matched exactly; what was loaded is shown by: locutus status",
        )
    if len(ways) > 1:
        meant = [way for way in FoundBy if way in ways]
        raise LocutusError(
            f"That could be {' or '.join(_WITH_ARTICLE[way.value] for way in meant)}.",
            f"Say which with {' or '.join(f'--{way.name.lower()}' for way in meant)}.",
        )
    (way,) = ways
    if way is FoundBy.SUBJECT:
        return _Whom(None, what)
    return _Whom(next(hit.accession_id for hit in hits if way in hit.by), None)


# -- recalling -----------------------------------------------------------------------------


def _recall(parts: RecallParts, whom: _Whom, about: Concerned, request: _Request) -> bool:
    from locutus_dagster.pipeline.recalling import recall

    _show_concerned(about, parts.workspace, whom, f"Recall of {whom.told}")
    if about.deliveries:
        _say(f"These are removed from {_places(parts)}:")
        for delivery in about.deliveries:
            _say(f"  {delivery.uri}")
    else:
        _say("Nothing was delivered that is still there.")
    _ask(f"Remove {_deliveries(len(about.deliveries))}, and deliver nothing more?", yes=request.yes)
    outcome = recall(
        parts,
        reason=request.reason,
        accession_id=whom.accession_id,
        subject_id=whom.subject_id,
        patience=request.wait,
    )
    _tell(outcome, about, parts)
    return outcome.complete


def _places(parts: RecallParts) -> str:
    return ", ".join(target.place for target in parts.targets.values())


def _show_concerned(about: Concerned, workspace: str, whom: _Whom, title: str) -> None:
    _say(f"{title} in workspace '{workspace}': {_count(len(about.accession_ids), 'accession')}.")
    table = make_table("partitions", "subjects", "state")
    for identity in about.accession_ids:
        rows = [row for row in about.rows if row.accession_id == identity]
        table.add_row(
            escape(", ".join(row.partition_key for row in rows)),
            escape(", ".join(sorted({row.subject_id for row in rows}))),
            rows[0].state.value if rows else "",
        )
    print_table(table)


def _ask(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise LocutusError(
            "Nobody can be asked here, so nothing was changed.", "Say --yes to go on unasked."
        )
    if not typer.confirm(question):
        _say("Nothing was changed.")
        raise typer.Exit(BROKEN)


def _tell(outcome: RecallOutcome, about: Concerned, parts: RecallParts) -> None:
    closed = outcome.accessions - len(outcome.in_hand)
    _say(
        f"Recalled {closed} of {_count(outcome.accessions, 'accession')}. Removed "
        f"{_deliveries(len(outcome.removed))}, {outcome.size:,} bytes, from {_places(parts)}."
    )
    if outcome.gone:
        _say(f"Already gone: {_deliveries(outcome.gone)}.")
    if outcome.unrecorded:
        _say(f"Cleared away after a crash: {_deliveries(outcome.unrecorded)} that had been begun.")
    if outcome.hosts:
        hosts = ", ".join(sorted(outcome.hosts))
        _complain(f"Interim files may lie on {hosts}: run the same command there, too.", "yellow")
    for why in dict.fromkeys(left.why for left in outcome.left):
        _complain(f"Not removed: {why}")
        for left in outcome.left:
            if left.why == why:
                _complain(f"  {left.what}", "")
    _tell_in_hand(outcome.in_hand, about)
    if not outcome.complete:
        _complain(_AGAIN, "")


def _tell_in_hand(in_hand: Sequence[int], about: Concerned) -> None:
    if in_hand:
        keys = [row.partition_key for row in about.rows if row.accession_id in in_hand]
        _complain(f"Another worker still has in hand: {', '.join(keys)}.")


# -- lifting -------------------------------------------------------------------------------


def _lift(parts: RecallParts, whom: _Whom, about: Concerned, request: _Request) -> bool:
    from locutus_dagster.pipeline.recalling import lift, recalls_to_lift

    recalls_to_lift(
        parts.ledger,
        parts.workspace,
        accession_id=whom.accession_id,
        subject_id=whom.subject_id,
    )
    _show_concerned(about, parts.workspace, whom, f"Lifting the recall of {whom.told}")
    _ask("Lift it, so that the next run delivers again?", yes=request.yes)
    outcome = lift(
        parts,
        reason=request.reason,
        accession_id=whom.accession_id,
        subject_id=whom.subject_id,
        patience=request.wait,
    )
    _tell_lifted(outcome, about)
    return outcome.lifted


def _tell_lifted(outcome: LiftOutcome, about: Concerned) -> None:
    if outcome.lifted:
        count = _count(len(outcome.loaded), "accession")
        _say(f"The recall is lifted; the next run processes {count} anew.")
    if outcome.still_recalled:
        keys = [r.partition_key for r in about.rows if r.accession_id in outcome.still_recalled]
        _say(f"Another recall stands for {', '.join(keys)}.")
    _tell_in_hand(outcome.in_hand, about)
    if not outcome.lifted:
        _complain("The recall still stands. Run the same command again to go on.", "")


# -- the list ------------------------------------------------------------------------------


def _list(workspace: str) -> None:
    from locutus_dagster.ledger import Ledger
    from locutus_dagster.settings import load_settings

    settings = load_settings()
    settings.workspace(workspace)
    ledger = Ledger.open_existing(settings.find_ledger)
    try:
        records = ledger.recalls(workspace)
        if not records:
            _say(f"Workspace '{workspace}' has no recalls.")
            return
        ids = [record.accession_id for record in records if record.accession_id is not None]
        rows = ledger.items_naming(workspace, ids)
    finally:
        ledger.close()
    table = make_table("recalled", "what", "reason", "lifted", "why")
    for record in records:
        keys = [row.partition_key for row in rows if row.accession_id == record.accession_id]
        table.add_row(
            _when(record.recalled_at),
            escape(_named(record, keys)),
            escape(record.reason),
            "" if record.lifted_at is None else _when(record.lifted_at),
            escape(record.lifted_reason),
        )
    print_table(table)


def _named(record: RecallRecord, keys: Sequence[str]) -> str:
    return f"subject {record.subject_id}" if record.subject_id else ", ".join(keys)


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"


def _deliveries(number: int) -> str:
    return _count(number, "delivery", "deliveries")


def _when(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M UTC")


def _say(line: str) -> None:
    out.print(line, markup=False, highlight=False, soft_wrap=True)


def _complain(line: str, style: str = "red") -> None:
    err.print(line, style=style or None, markup=False, highlight=False, soft_wrap=True)
