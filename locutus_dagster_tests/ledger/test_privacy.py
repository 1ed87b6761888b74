"""A database that fails must not make the ledger quote what it was asked to write."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import StatementError

from locutus_dagster.errors import LocutusError
from locutus_dagster.ledger import Ledger, LedgerError, State
from locutus_dagster.ledger.schema import Accession
from locutus_dagster.manifests import load_manifest
from locutus_dagster_tests.ledger.rows import add_items
from locutus_dagster_tests.manifests.files import row, write
from locutus_dagster_tests.parts.postgres import PostgresServer

SECRET = "4711SECRET"


@pytest.fixture
def doomed(database_url: str) -> Iterator[Ledger]:
    """A ledger of its own that knows one accession and may be broken."""
    ledger = Ledger.open(database_url)
    add_items(ledger, SECRET, name="first")
    yield ledger
    ledger.close()


def told(error: BaseException) -> str:
    """All that a log could show of an exception."""
    return str(error) + repr(error) + "".join(traceback.format_exception(error))


def drop(ledger: Ledger, table: str) -> None:
    with ledger.session() as session:
        cascade = "CASCADE" if session.get_bind().dialect.name == "postgresql" else ""
        if not cascade:
            session.execute(text("PRAGMA defer_foreign_keys=ON"))
            session.execute(text("DELETE FROM manifest_row"))
        session.execute(text(f"DROP TABLE {table} {cascade}"))


def test_loading_into_a_broken_ledger_does_not_quote_accession_numbers(
    doomed: Ledger, tmp_path: Path
) -> None:
    path = write(tmp_path, row(accession=SECRET))
    drop(doomed, "accession")
    with pytest.raises(LedgerError) as failure:
        load_manifest(doomed, path, workspace="ws")
    assert SECRET not in told(failure.value)


def test_a_question_with_an_accession_number_does_not_quote_it(doomed: Ledger) -> None:
    drop(doomed, "accession")
    question = select(Accession).where(Accession.accession_number == SECRET)
    with pytest.raises(LedgerError) as failure, doomed.session(reads_only=True) as session:
        session.scalars(question).all()
    assert SECRET not in told(failure.value)


def test_a_value_that_the_database_refuses_does_not_quote_the_row(doomed: Ledger) -> None:
    (item,) = doomed.manifest_items("ws", "first")
    with pytest.raises(LedgerError) as failure:
        doomed.record_state(item.accession_id, State.PENDING, reason=None)  # type: ignore[arg-type]
    assert SECRET not in told(failure.value)


def test_a_second_row_for_one_accession_does_not_quote_it(doomed: Ledger) -> None:
    values = {"workspace": "ws", "accession_number": SECRET, "state": "loaded"}
    with pytest.raises(LedgerError) as failure, doomed.session() as session:
        session.execute(insert(Accession).values(**values))
    assert SECRET not in told(failure.value)


def test_a_value_that_does_not_even_reach_the_database_does_not_quote_the_others(
    doomed: Ledger,
) -> None:
    values = {"workspace": "ws", "accession_number": SECRET, "state": "loaded", "updated_at": "?"}
    with pytest.raises((LedgerError, StatementError)) as failure, doomed.session() as session:
        session.execute(insert(Accession), [values])
    assert SECRET not in told(failure.value)


def test_a_read_only_database_is_an_error_that_quotes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    writable = Ledger.open(f"sqlite:///{path}")
    add_items(writable, SECRET)
    ledger = Ledger(f"sqlite:///file:{path}?mode=ro&uri=true")
    with pytest.raises(LedgerError, match="stopped answering") as failure:
        load_manifest(ledger, write(tmp_path, row(accession=SECRET + "2")), workspace="ws")
    assert SECRET not in told(failure.value)
    ledger.close()
    writable.close()


@pytest.mark.postgres
def test_a_server_that_ends_in_the_middle_is_an_error_that_quotes_nothing_and_is_overcome(
    postgres: PostgresServer,
) -> None:
    ledger = Ledger.open(postgres.create_database("ending"))
    (item,) = add_items(ledger, SECRET)
    question = select(Accession).where(Accession.accession_number == SECRET)
    end_others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'ending'"

    def ask_twice() -> None:
        with ledger.session() as session:
            session.scalars(question).all()
            postgres.sql(end_others)
            session.scalars(question).all()

    with pytest.raises(LedgerError) as failure:
        ask_twice()
    assert SECRET not in told(failure.value)
    ledger.record_state(item.accession_id, State.PENDING)
    assert ledger.state_of(item.accession_id) is State.PENDING
    ledger.close()


def test_an_error_of_the_program_itself_passes_through_and_rolls_back(doomed: Ledger) -> None:
    (item,) = doomed.manifest_items("ws", "first")

    def fail_halfway() -> None:
        with doomed.session() as session:
            session.get_one(Accession, item.accession_id).state = State.DELIVERED.value
            session.flush()
            raise LocutusError("of the caller")

    with pytest.raises(LocutusError, match="of the caller"):
        fail_halfway()
    assert doomed.state_of(item.accession_id) is State.LOADED
