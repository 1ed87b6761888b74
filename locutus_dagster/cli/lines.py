"""Tables as plain lines, which a terminal may fold and a pipe leaves whole.

What belongs here: padding and colouring. What does not: what a table says.
"""

from __future__ import annotations

from collections.abc import Sequence

import typer

__all__ = ["print_lines"]

#: No column is padded beyond this; a longer entry moves the rest of its line.
_WIDEST = 48


def print_lines(
    header: Sequence[str], rows: Sequence[Sequence[str]], colours: Sequence[str | None]
) -> None:
    """Print a header and rows to standard output; colours only show on a terminal.

    Args:
        header: the names of the columns.
        rows: the entries of each row, as many as the header has.
        colours: the colour of each row, None for the terminal's own.
    """
    columns = zip(header, *rows, strict=True)
    widths = [min(_WIDEST, max(map(len, column))) for column in columns]
    typer.secho(_line(header, widths), bold=True)
    for row, colour in zip(rows, colours, strict=True):
        typer.secho(_line(row, widths), fg=colour)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()
