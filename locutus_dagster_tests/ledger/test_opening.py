"""Opening a ledger: its file's modes, its addresses, and processes that open it at once."""

from __future__ import annotations

import os
import sqlite3
import stat
import traceback
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from locutus_dagster.ledger import Ledger, LedgerError, migrations
from locutus_dagster_tests.ledger.processes import Wait, at_once
from locutus_dagster_tests.ledger.rows import add_items


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_opening_twice_keeps_what_is_there(database_url: str) -> None:
    first = Ledger.open(database_url)
    (item,) = add_items(first, "ACC1")
    first.close()
    second = Ledger.open(database_url)
    assert second.work_items("ws", [item.partition_key]) == [item]
    second.close()


def open_beside_others(wait: Wait, url: str) -> str:
    wait()
    Ledger.open(url).close()
    return "opened"


def test_processes_that_open_a_new_ledger_at_once_all_succeed(
    database_url: str,
) -> None:
    assert at_once(open_beside_others, [(database_url,)] * 4) == ["opened"] * 4
    engine = create_engine(database_url)
    with engine.connect() as connection:
        versions = connection.execute(text("SELECT version_num FROM alembic_version")).all()
    engine.dispose()
    assert [version for (version,) in versions] == [migrations.HEAD]


def test_processes_that_switch_one_file_to_a_write_ahead_log_at_once_all_succeed(
    tmp_path: Path,
) -> None:
    # SQLite answers "database is locked" to some of them at once, whatever its timeout.
    for number in range(4):
        url = f"sqlite:///{tmp_path / str(number) / 'ledger.sqlite'}"
        assert at_once(open_beside_others, [(url,)] * 4) == ["opened"] * 4


def test_the_sqlite_file_and_its_folder_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ledger = Ledger.open(f"sqlite:///{tmp_path / 'private' / 'ledger.sqlite'}")
        add_items(ledger, "ACC1")
        assert mode(tmp_path / "private") == 0o700
        files = sorted((tmp_path / "private").iterdir())
        assert {path.name: oct(mode(path)) for path in files} == {
            path.name: "0o600" for path in files
        }
        assert "ledger.sqlite-wal" in {path.name for path in files}
    finally:
        os.umask(before)
    ledger.close()


def test_sqlite_keeps_foreign_keys_and_survives_a_power_cut(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with ledger.session() as session:
        assert session.scalar(text("PRAGMA foreign_keys")) == 1
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
        assert session.scalar(text("PRAGMA synchronous")) == 2
    ledger.close()


def test_a_ledger_in_a_place_that_cannot_be_written_is_a_ledger_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LedgerError, match=r"cannot be opened.*LOCUTUS_LEDGER_URL"):
        Ledger.open(f"sqlite:///{tmp_path / 'file' / 'ledger.sqlite'}")


def test_a_file_that_is_no_database_is_a_ledger_error(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"not a database at all" * 500)
    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg2://locutus:hush-hush@127.0.0.1:1/ledger",
        "postgresql+nodriver://locutus:hush-hush@127.0.0.1:1/ledger",
        "nodatabase://locutus:hush-hush@127.0.0.1:1/ledger",
        "locutus:hush-hush@127.0.0.1",
        "postgresql+psycopg2://locutus:hush-hush@127.0.0.1:port/ledger",
    ],
    ids=["nobody listens", "no driver", "no dialect", "no URL", "no port"],
)
def test_a_url_that_leads_nowhere_is_a_ledger_error_without_its_password(url: str) -> None:
    with pytest.raises(LedgerError) as refusal:
        Ledger.open(url)
    assert "hush-hush" not in str(refusal.value)
    assert "hush-hush" not in "".join(traceback.format_exception(refusal.value))
    assert "LOCUTUS_LEDGER_URL" in str(refusal.value)


def test_the_representation_hides_the_password() -> None:
    ledger = Ledger("postgresql+psycopg2://locutus:hush-hush@db/ledger")
    assert "hush-hush" not in repr(ledger)
    assert "db/ledger" in repr(ledger)


def test_a_ledger_is_written_where_it_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a folder with 100%" / "ledger.sqlite"
    Ledger.open(f"sqlite:///{path}").close()
    with sqlite3.connect(path) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    assert "accession" in tables
