"""What the tests of several rooms share: a PostgreSQL for the session, and ledgers on each database.

What belongs here: fixtures that more than one room uses. What does not: how a server is started
(`parts/`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from locutus_dagster.ledger import Ledger
from locutus_dagster_tests.parts.postgres import PostgresServer

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests of the session; each test makes databases of its own in it."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that holds nothing yet: SQLite in one test, PostgreSQL in the next."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'private' / 'ledger.sqlite'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.create_database(f"ledger_{next(_NUMBERS)}")


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """A new ledger, on SQLite and on PostgreSQL."""
    opened = Ledger.open(database_url)
    yield opened
    opened.close()
