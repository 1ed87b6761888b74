"""Opening a ledger to look only: it is read as it is, and nothing of it or beside it changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from locutus_dagster.ledger import Ledger, LedgerError, State
from locutus_dagster.ledger.selection import Selection
from locutus_dagster_tests.ledger.old_ledgers import ledger_at
from locutus_dagster_tests.ledger.rows import add_items
from locutus_dagster_tests.parts.photograph import photograph


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'private' / 'ledger.sqlite'}"


def accessions(ledger: Ledger) -> list[str]:
    return [item.accession_number for item in ledger.select("ws", Selection())]


def test_it_answers_what_the_ledger_holds_and_refuses_every_change(ledger_url: str) -> None:
    ledger = Ledger.open(ledger_url)
    (item,) = add_items(ledger, "ACC1")
    ledger.close()

    looking = Ledger.open_existing(ledger_url)

    assert looking.work_items("ws", [item.partition_key]) == [item]
    with pytest.raises(LedgerError, match="to look only"):
        looking.record_state(item.accession_id, State.PENDING)
    with pytest.raises(LedgerError, match="to look only"):
        looking.claim(item.accession_id, "me", 60)
    assert looking.state_of(item.accession_id) is State.LOADED
    looking.close()


def test_the_database_itself_refuses_what_slips_past(ledger_url: str) -> None:
    Ledger.open(ledger_url).close()
    looking = Ledger.open_existing(ledger_url)
    with pytest.raises(LedgerError), looking.session(reads_only=True) as session:
        session.execute(text("INSERT INTO workspace (name) VALUES ('other')"))
    assert looking.workspace_key_id("other") is None
    looking.close()


def test_a_ledger_at_rest_is_read_without_a_trace(tmp_path: Path) -> None:
    ledger = Ledger.open(url_of(tmp_path))
    add_items(ledger, "ACC1", "ACC2")
    ledger.close()
    before = photograph(tmp_path)

    looking = Ledger.open_existing(url_of(tmp_path))
    assert accessions(looking) == ["ACC1", "ACC2"]
    assert photograph(tmp_path) == before
    looking.close()

    assert photograph(tmp_path) == before


def test_what_a_program_that_is_at_work_has_committed_is_seen(tmp_path: Path) -> None:
    """Another process, which keeps its log open; its own files are the only ones there."""
    with _at_work(tmp_path) as worker:
        before = photograph(tmp_path)
        assert any(name.endswith("-wal") for name in before)

        looking = Ledger.open_existing(url_of(tmp_path))
        assert accessions(looking) == ["ACC1"]
        looking.close()

        assert photograph(tmp_path) == before
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        # The log of a program that has died is read, and left for the next one to take in.
        looking = Ledger.open_existing(url_of(tmp_path))
        assert accessions(looking) == ["ACC1"]
        looking.close()
        assert photograph(tmp_path) == before


def _at_work(folder: Path) -> subprocess.Popen[bytes]:
    program = (
        "import sys; from locutus_dagster.ledger import Ledger;"
        "from locutus_dagster_tests.ledger.rows import add_items;"
        "add_items(Ledger.open(sys.argv[1]), 'ACC1');"
        "print('ready', flush=True); sys.stdin.read()"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", program, url_of(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == b"ready\n"
    return worker


def test_who_looks_while_another_begins_to_write_sees_what_it_writes(tmp_path: Path) -> None:
    Ledger.open(url_of(tmp_path)).close()
    looking = Ledger.open_existing(url_of(tmp_path))
    assert accessions(looking) == []

    writer = Ledger.open(url_of(tmp_path))
    add_items(writer, "ACC1")
    assert accessions(looking) == ["ACC1"]
    writer.close()
    assert accessions(looking) == ["ACC1"]

    writer = Ledger.open(url_of(tmp_path))
    add_items(writer, "ACC2")
    writer.close()  # everything is in the file itself again, which is another one than before
    assert accessions(looking) == ["ACC1", "ACC2"]
    looking.close()


def test_where_there_is_no_ledger_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"There is no ledger.*load-manifest"):
        Ledger.open_existing(url_of(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_is_no_ledger_and_stays_empty(database_url: str) -> None:
    if database_url.startswith("sqlite:///"):
        path = Path(database_url.removeprefix("sqlite:///"))
        path.parent.mkdir()
        path.touch()
    with pytest.raises(LedgerError, match="There is no ledger"):
        Ledger.open_existing(database_url)
    engine = create_engine(database_url)
    with engine.connect() as connection:
        assert not engine.dialect.has_table(connection, "accession")
    engine.dispose()


def test_a_ledger_of_an_earlier_version_is_not_brought_up_to_date(database_url: str) -> None:
    ledger_at("0001", database_url)
    with pytest.raises(LedgerError, match="earlier version"):
        Ledger.open_existing(database_url)
    engine = create_engine(database_url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "0001"
    engine.dispose()


def test_a_ledger_of_a_later_version_is_not_read(database_url: str) -> None:
    ledger = Ledger.open(database_url)
    with ledger.session() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    ledger.close()
    with pytest.raises(LedgerError, match="later version"):
        Ledger.open_existing(database_url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg2://locutus:hush-hush@127.0.0.1:1/ledger",
        "nodatabase://locutus:hush-hush@127.0.0.1:1/ledger",
    ],
)
def test_a_url_that_leads_nowhere_is_an_error_without_its_password(url: str) -> None:
    with pytest.raises(LedgerError) as refusal:
        Ledger.open_existing(url)
    assert "hush-hush" not in str(refusal.value)
    assert "LOCUTUS_LEDGER_URL" in str(refusal.value)


def test_a_file_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "ledger.sqlite").write_bytes(b"not a database at all" * 500)
    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger.open_existing(url_of(tmp_path))


def test_a_folder_with_an_odd_name_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / "100% of a#folder? yes"
    ledger = Ledger.open(url_of(folder))
    add_items(ledger, "ACC1")
    ledger.close()
    looking = Ledger.open_existing(url_of(folder))
    assert accessions(looking) == ["ACC1"]
    looking.close()
