"""Tables without lines around them, as wide as what stands in them.

What belongs here: making and printing one. What does not: what it says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from locutus_dagster.cli.console import out

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["make_table", "print_table"]

_WIDE = 2000  # columns; lines are only as long as they need to be


def make_table(*columns: str, right: Iterable[str] = ()) -> Table:
    """An empty table.

    Args:
        right: the columns whose entries are aligned to the right: numbers.
    """
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    numbers = set(right)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left")
    return table


def print_table(table: Table) -> None:
    """Print a table to standard output.

    As wide as it needs to be: a path that is folded into a narrow column cannot be copied, and
    what a pipe is given is one line for each row.
    """
    from rich.console import Console
    from rich.text import Text

    wide = Console(width=_WIDE, force_terminal=out.is_terminal, no_color=out.no_color)
    with wide.capture() as captured:
        wide.print(table)
    for line in captured.get().splitlines():
        out.print(Text.from_ansi(line.rstrip()), soft_wrap=True, highlight=False)
