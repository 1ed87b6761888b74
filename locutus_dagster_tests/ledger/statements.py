"""Counts what is asked of a database: what a bulk operation costs, whatever the machine's hour."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Engine, event


@dataclass
class Asked:
    """How many statements were sent; one with many rows of values is one."""

    statements: int = 0


@contextmanager
def counted_statements() -> Iterator[Asked]:
    """Count the statements of every engine of this process while the block runs."""
    asked = Asked()

    def count(*_: object) -> None:
        asked.statements += 1

    event.listen(Engine, "before_cursor_execute", count)
    try:
        yield asked
    finally:
        event.remove(Engine, "before_cursor_execute", count)
