"""`locutus split`: a manifest's file in several files, each with the header.

What belongs here: arguments and what is printed. What does not: splitting
(`manifests/splitting.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from locutus_dagster.cli.console import err, errors_for_people, escape, out
from locutus_dagster.cli.lines import print_lines

__all__ = ["split_command"]


def split_command(
    file: Annotated[Path, typer.Argument(help="The manifest, a CSV file.")],
    suffix: Annotated[
        str, typer.Option(help="What the parts' names say: <file>.<suffix>_subbatch01.csv.")
    ],
    parts: Annotated[
        int | None, typer.Option(help="How many parts, of sizes that differ by one at most.")
    ] = None,
    max_rows: Annotated[
        int | None, typer.Option(help="Or: how many data rows in each part.")
    ] = None,
    into: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Default: the folder of the file.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the parts of an earlier splitting.")
    ] = False,
) -> None:
    """Split a manifest into several files: header and first comments in each, nothing dropped."""
    with errors_for_people():
        from locutus_dagster.manifests.splitting import parts_of, split_manifest

        folder = into or file.parent
        made = split_manifest(
            file, folder, parts=parts, max_rows=max_rows, suffix=suffix, force=force
        )
        print_lines(
            ("part", "rows", "lines of the file"),
            [
                (part.path.name, str(part.rows), f"{part.first_line} to {part.last_line}")
                for part in made
            ],
            [None] * len(made),
        )
        rows = sum(part.rows for part in made)
        out.print(
            f"\n{rows} rows in {len(made)} part(s), in {escape(str(folder))}.",
            highlight=False,
            soft_wrap=True,
        )
        if parts is not None and len(made) < parts:
            out.print(f"Fewer parts than asked for: the file has {rows} rows.", highlight=False)
        stale = set(parts_of(file, folder, suffix)) - {part.path for part in made}
        if stale:
            err.print(
                f"[yellow]{len(stale)} part(s) of an earlier splitting are still there:[/yellow] "
                + escape(", ".join(sorted(path.name for path in stale))),
                soft_wrap=True,
            )
        out.print(
            "A manifest need not be split to be processed in pieces: a backfill of a loaded one "
            "makes runs of batch_size rows by itself.",
            highlight=False,
            soft_wrap=True,
        )
