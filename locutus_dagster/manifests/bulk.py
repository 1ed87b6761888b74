"""Many values in few statements, on SQLite and on PostgreSQL.

What belongs here: handing lists and rows to the database. What does not: what they mean.

Lists travel as one parameter in JSON: no limit on parameters is met, and the planner, which sees a
short list without statistics, looks each value up in the index.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import JSON, ColumnElement, Table, bindparam, func, insert
from sqlalchemy.orm import Session

__all__ = ["among", "in_pieces", "insert_rows"]

_Item = TypeVar("_Item")
_TOGETHER = 5000  # a matter of memory: no database sets a limit here


def in_pieces(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """The items in lists that one statement takes."""
    left = iter(items)
    while some := list(islice(left, _TOGETHER)):
        yield some


def among(session: Session, values: Sequence[Any]) -> ColumnElement[str]:
    """A column of these values as text, for `== among(…)`: one row for each match."""
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    each = func.json_array_elements_text if on_postgresql else func.json_each
    return each(bindparam(None, values, type_=JSON)).table_valued("value").c.value


def insert_rows(session: Session, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same columns."""
    for some in in_pieces(rows):
        session.execute(insert(table), some)
