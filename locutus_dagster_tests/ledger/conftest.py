"""Blank ledgers in a fraction of the time: this room's tests need several hundred of them.

What belongs here: the house's fixtures (`locutus_dagster_tests/conftest.py`), made quicker by
emptying one ledger for each database instead of opening a new one. What does not: ledgers that a
test breaks or migrates; those have a database of their own (`database_url`).
"""

from __future__ import annotations

import pytest
from sqlalchemy import text

from locutus_dagster.ledger import Ledger
from locutus_dagster.ledger.schema import Base

_TABLES = [table.name for table in reversed(Base.metadata.sorted_tables)]
_OPENED: dict[str, Ledger] = {}


@pytest.fixture(scope="session")
def sqlite_ledger_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ledger's file that tests share one after the other."""
    return f"sqlite:///{tmp_path_factory.mktemp('shared') / 'private' / 'ledger.sqlite'}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def ledger_url(request: pytest.FixtureRequest) -> str:
    """The URL of a ledger with nothing in it, on SQLite and on PostgreSQL."""
    url: str = request.getfixturevalue(f"{request.param}_ledger_url")
    if url not in _OPENED:
        _OPENED[url] = Ledger.open(url)
    with _OPENED[url].session() as session:
        for name in _TABLES:
            session.execute(text(f'DELETE FROM "{name}"'))
    return url


@pytest.fixture
def ledger(ledger_url: str) -> Ledger:
    """A ledger with nothing in it, on SQLite and on PostgreSQL."""
    return _OPENED[ledger_url]


@pytest.fixture(scope="session", autouse=True)
def _close_in_the_end() -> object:
    yield
    for ledger in _OPENED.values():
        ledger.close()
