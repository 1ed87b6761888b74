"""What the tests of several rooms share: one PostgreSQL, and ledgers on each database.

What belongs here: fixtures that more than one room uses. What does not: how a server is started
(`parts/`).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete

from locutus_dagster.ledger import Ledger
from locutus_dagster.ledger.schema import Base
from locutus_dagster_tests.parts.postgres import PostgresServer

for _name in [name for name in os.environ if name.startswith(("LOCUTUS_", "DAGSTER_"))]:
    # What a shell happens to export must reach no test: it would win over a test's own settings.
    if _name != "LOCUTUS_SCREENSHOTS":
        del os.environ[_name]
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"

_NUMBERS = itertools.count(1)
BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests of the session; each test makes databases of its own in it."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_ledger_url(postgres: PostgresServer) -> str:
    """A ledger's database that tests share one after the other, as making one takes a while."""
    url = postgres.create_database("shared_ledger")
    Ledger.open(url).close()
    return url


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that holds nothing yet: SQLite in one test, PostgreSQL in the next."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'private' / 'new.sqlite'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.create_database(f"new_{next(_NUMBERS)}")


@pytest.fixture(params=BOTH)
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a ledger with nothing in it, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'private' / 'ledger.sqlite'}"
    url: str = request.getfixturevalue("postgres_ledger_url")
    ledger = Ledger.open(url)
    with ledger.session() as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(delete(table))
    ledger.close()
    return url


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """A ledger with nothing in it, on SQLite and on PostgreSQL."""
    opened = Ledger.open(ledger_url)
    yield opened
    opened.close()
