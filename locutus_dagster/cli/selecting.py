"""The options by which commands say which accessions they mean, and what is refused of them.

What belongs here: options that several commands have, so that a word means the same in each, and
the two refusals that go with them. What does not: the words themselves (`pipeline/choosing.py`),
options of one command.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from locutus_dagster.errors import LocutusError

if TYPE_CHECKING:
    from locutus_dagster.ledger.selection import Selection

__all__ = [
    "AccessionFile",
    "ChangedSince",
    "Everything",
    "Manifest",
    "Statuses",
    "Subjects",
    "Workspace",
    "selected",
    "some_selected",
    "workspace_known",
]

Manifest = Annotated[
    str | None, typer.Argument(help="The name of a loaded manifest; without it, by filter.")
]
Workspace = Annotated[str, typer.Option("--workspace", "-w", help="The project to work in.")]
Statuses = Annotated[
    list[str] | None,
    typer.Option(
        "--status",
        metavar="WORD",
        help="Only accessions that stand so: pending, failed, unfinished, changed, in-hand, "
        "on-deck, '!delivered', or the beginning of one of the reference's words. Several are "
        "united.",
    ),
]
Subjects = Annotated[
    list[str] | None, typer.Option("--subject", help="Only these research subjects.")
]
AccessionFile = Annotated[
    Path | None, typer.Option(help="Only the accessions that this file lists.")
]
ChangedSince = Annotated[
    str | None,
    typer.Option(
        "--changed-since",
        "--since",
        help="Only accessions whose state changed since: a date, 2h, 3d.",
    ),
]
Everything = Annotated[bool, typer.Option("--all", help="Every accession of the workspace.")]


def selected(
    manifests: Sequence[str] | str | None,
    statuses: Sequence[str] | None = None,
    subjects: Sequence[str] | None = None,
    accession_file: Path | None = None,
    changed_since: str | None = None,
    labels: Sequence[str] | None = None,
) -> Selection:
    """What the options mean; see `pipeline.choosing.selection` for its errors.

    Args:
        manifests: their names, or one.
    """
    from locutus_dagster.pipeline.choosing import selection

    named = (manifests,) if isinstance(manifests, str) else tuple(manifests or ())
    return selection(
        manifests=named,
        statuses=tuple(statuses or ()),
        subjects=tuple(subjects or ()),
        accession_file=accession_file,
        changed_since=changed_since,
        labels=tuple(labels or ()),
    )


def some_selected(chosen: Selection, everything: bool) -> Selection:
    """What was chosen, by a command that takes no workspace as a whole unless it is told to.

    Raises:
        LocutusError: there is no filter, and nobody said `--all`.
    """
    if chosen.everything and not everything:
        raise LocutusError(
            "Nothing was selected.",
            "Name a manifest, give a filter such as --status unfinished, or say --all.",
        )
    return chosen


def workspace_known(workspace: str, *known: Collection[str]) -> None:
    """Let a name pass that is in one of these.

    Raises:
        LocutusError: it is in none.
    """
    names = sorted({name for some in known for name in some})
    if workspace not in names:
        raise LocutusError(
            f"There is no workspace '{workspace}' (known: {', '.join(names) or 'none'}).",
            "Name another with -w.",
        )
