"""`locutus follow-up`: write the manifest for the next step.

What belongs here: arguments and what is printed. What does not: which rows it has
(`summarizer/follow_up.py`), the words of a filter (`pipeline/choosing.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from locutus_dagster.cli.console import err, errors_for_people, escape, out
from locutus_dagster.cli.selecting import (
    Workspace,
    selected,
    workspace_known,
)

__all__ = ["follow_up_command"]


def follow_up_command(
    status: Annotated[
        list[str],
        typer.Option(
            metavar="WORD",
            help="Accessions that stand so: failed, pending, ambiguous, changed, unfinished, "
            "'!delivered', or the beginning of one of the reference's words. Several are united.",
        ),
    ],
    file: Annotated[Path, typer.Option("--out", metavar="FILE.csv", help="The manifest to write.")],
    workspace: Workspace = "default",
    manifest: Annotated[
        list[str] | None,
        typer.Option(help="Only rows of this loaded manifest. Several are united."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is there.")
    ] = False,
) -> None:
    """Write a manifest of the accessions that stand so; it loads as it is."""
    with errors_for_people("Interrupted. Nothing was written."):
        from locutus_dagster.ledger import Ledger
        from locutus_dagster.pipeline.choosing import check_names
        from locutus_dagster.settings import load_settings
        from locutus_dagster.summarizer.follow_up import write_follow_up

        settings = load_settings()
        chosen = selected(manifest, status)
        ledger = Ledger.open_existing(settings.find_ledger)
        try:
            workspace_known(workspace, settings.workspaces, ledger.workspaces())
            check_names(ledger, workspace, chosen)
            made = write_follow_up(ledger, workspace, chosen, file, overwrite=overwrite)
        finally:
            ledger.close()
        rows = "1 row" if made.rows == 1 else f"{made.rows:,} rows"
        out.print(f"Wrote {rows}: {escape(str(file))}", highlight=False, soft_wrap=True)
        if made.to_resolve:
            out.print(
                "Write a command into RESOLVE_VIA of each row that the source has several studies "
                "for, then load it.",
                highlight=False,
                soft_wrap=True,
            )
        if made.taken:
            err.print(
                f"A manifest named {escape(file.stem)} has been loaded before: "
                "load this one under another name, with --name.",
                highlight=False,
                soft_wrap=True,
            )
        err.print("[yellow]The file holds accession numbers.[/yellow]")
