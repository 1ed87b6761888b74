"""Many values in few statements, on SQLite and on PostgreSQL.

What belongs here: handing lists and rows to the database. What does not: what they mean.

Lists travel as one parameter in JSON: no limit on parameters is met, and the planner, which sees a
short list without statistics, looks each value up in the index.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import (
    JSON,
    Select,
    Table,
    bindparam,
    column,
    func,
    insert,
    literal,
    select,
    text,
)
from sqlalchemy.orm import Session

__all__ = ["among", "in_pieces", "insert_rows", "refresh_figures"]

_Item = TypeVar("_Item")
_TOGETHER = 5000  # a matter of memory: no database sets a limit here


def in_pieces(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """The items in lists that one statement takes."""
    left = iter(items)
    while some := list(islice(left, _TOGETHER)):
        yield some


def among(session: Session, values: Sequence[Any]) -> Select[str]:
    """A question that answers with these values as text, for `column.in_(among(…))`."""
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    each = func.json_array_elements_text if on_postgresql else func.json_each
    return select(each(bindparam(None, values, type_=JSON)).table_valued("value").c.value)


def insert_rows(
    session: Session,
    table: Table,
    rows: Iterable[Mapping[str, Any]],
    common: Mapping[str, Any],
) -> None:
    """Insert rows that all have the same columns.

    Args:
        rows: of values that JSON can hold.
        common: the columns that are the same in every row.
    """
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    for some in in_pieces(rows):
        if on_postgresql:
            # Its driver would write each row out in SQL, which the server takes long to read.
            columns = [column(name, table.c[name].type) for name in some[0]]
            given = func.json_to_recordset(bindparam(None, some, type_=JSON))
            each = given.table_valued(*columns).render_derived(name="given", with_types=True)
            same = [literal(value, table.c[name].type) for name, value in common.items()]
            session.execute(insert(table).from_select([*some[0], *common], select(*each.c, *same)))
        else:
            session.execute(insert(table).values(**common), some)


def refresh_figures(session: Session) -> None:
    """Let PostgreSQL count what has just been written; it plans badly by figures of before.

    It would do so by itself within a minute or so; somebody may ask before.
    """
    if session.get_bind().dialect.name == "postgresql":
        for table in ("manifest_row", "accession"):
            session.execute(text(f"ANALYZE {table}"))
