"""Blank ledgers in less time than opening a new one takes: this room's tests need several hundred.

What belongs here: the fixtures of the house (`locutus_dagster_tests/conftest.py`), made quicker.
What does not: anything that a test would notice.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from locutus_dagster.ledger import Ledger
from locutus_dagster.ledger.schema import Base


@pytest.fixture(scope="session")
def blank_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a ledger with nothing in it, to be copied."""
    path = tmp_path_factory.mktemp("blank") / "ledger.sqlite"
    Ledger.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a ledger with nothing in it, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        blank: Path = request.getfixturevalue("blank_sqlite")
        path = tmp_path / "private" / "ledger.sqlite"
        path.parent.mkdir(mode=0o700)
        shutil.copy(blank, path)
        return f"sqlite:///{path}"
    url: str = request.getfixturevalue("postgres_ledger_url")
    engine = create_engine(url)
    tables = [table.name for table in reversed(Base.metadata.sorted_tables)]
    with engine.begin() as connection:
        connection.execute(text("; ".join(f'DELETE FROM "{name}"' for name in tables)))
    engine.dispose()
    return url
