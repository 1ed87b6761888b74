"""A database that fails must not make the ledger quote what it was asked to write."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import StatementError

from locutus_dagster.errors import LocutusError
from locutus_dagster.ledger import Ledger, LedgerError, State, WorkItem
from locutus_dagster.ledger.claims import ClaimLostError
from locutus_dagster.ledger.resolutions import ResolutionRecord, ResolveCommand
from locutus_dagster.ledger.schema import Accession, Delivery
from locutus_dagster.ledger.selection import Selection
from locutus_dagster.ledger.states import IllegalTransitionError
from locutus_dagster.ledger.work import Attempt
from locutus_dagster.manifests import load_manifest
from locutus_dagster_tests.ledger.rows import (
    CT,
    add_items,
    artifact,
    bring_to,
    deidentify,
    delivery,
    extract,
    hand_over,
    report,
)
from locutus_dagster_tests.manifests.files import row, write
from locutus_dagster_tests.parts.postgres import PostgresServer

SECRET = "4711SECRET"


@pytest.fixture
def known(ledger: Ledger) -> Ledger:
    """A ledger that knows one accession."""
    add_items(ledger, SECRET, name="first")
    return ledger


@pytest.fixture
def item(known: Ledger) -> WorkItem:
    return known.manifest_items("ws", "first")[0]


def told(error: BaseException) -> str:
    """All that a log could show of an exception."""
    return str(error) + repr(error) + "".join(traceback.format_exception(error))


@contextmanager
def without(ledger: Ledger, table: str) -> Iterator[None]:
    """Break a ledger for a while: a table has another name."""
    try:
        rename(ledger, table, "gone")
        yield
    finally:
        rename(ledger, "gone", table)


def rename(ledger: Ledger, table: str, name: str) -> None:
    with ledger.session() as session:
        session.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))


def test_loading_into_a_broken_ledger_does_not_quote_accession_numbers(
    known: Ledger, tmp_path: Path
) -> None:
    path = write(tmp_path, row(accession=SECRET))
    with without(known, "accession"), pytest.raises(LedgerError) as failure:
        load_manifest(known, path, workspace="ws")
    assert SECRET not in told(failure.value)


def test_a_question_with_an_accession_number_does_not_quote_it(known: Ledger) -> None:
    question = select(Accession).where(Accession.accession_number == SECRET)

    def ask() -> None:
        with known.session(reads_only=True) as session:
            session.scalars(question).all()

    with without(known, "accession"), pytest.raises(LedgerError) as failure:
        ask()
    assert SECRET not in told(failure.value)


def test_a_value_that_the_database_refuses_does_not_quote_the_row(known: Ledger) -> None:
    (item,) = known.manifest_items("ws", "first")
    with pytest.raises(LedgerError) as failure:
        known.record_state(item.accession_id, State.PENDING, reason=None)  # type: ignore[arg-type]
    assert SECRET not in told(failure.value)


def test_a_second_row_for_one_accession_does_not_quote_it(known: Ledger) -> None:
    values = {"workspace": "ws", "accession_number": SECRET, "state": "loaded"}
    with pytest.raises(LedgerError) as failure, known.session() as session:
        session.execute(insert(Accession).values(**values))
    assert SECRET not in told(failure.value)


def test_a_value_that_does_not_even_reach_the_database_does_not_quote_the_others(
    known: Ledger,
) -> None:
    values = {"workspace": "ws", "accession_number": SECRET, "state": "loaded", "updated_at": "?"}
    with pytest.raises((LedgerError, StatementError)) as failure, known.session() as session:
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


URI = f"file:///share/{SECRET}.zip"
DECISION = ResolutionRecord(ResolveCommand.CHOOSE, SECRET, {SECRET: SECRET}, SECRET)
Call = Callable[[Ledger, WorkItem], object]
#: Questions and changes that carry a secret, and the table without which each of them fails.
CALLS: dict[str, tuple[str, Call]] = {
    "extracted": (
        "artifact",
        lambda ledger, item: ledger.record_extracted(
            item.accession_id,
            artifact(path=SECRET),
            source_study=SECRET,
            source_fingerprint=SECRET,
            by=Attempt(run_id=SECRET, label=SECRET),
        ),
    ),
    "blocked": (
        "deid_report",
        lambda ledger, item: ledger.record_blocked(
            item.accession_id, [CT], report(policy_name=SECRET), phase=4, reason=SECRET
        ),
    ),
    "retired": (
        "retired",
        lambda ledger, item: ledger.request_reprocessing(item.accession_id, SECRET, retire=True),
    ),
    "recall": (
        "recall",
        lambda ledger, item: ledger.recall(item.workspace, SECRET, subject_id=SECRET),
    ),
    "recalled?": (
        "recall",
        lambda ledger, item: ledger.recall_of(item.workspace, item.accession_id, SECRET),
    ),
    "resolve": ("resolution", lambda ledger, item: ledger.resolve(item.accession_id, DECISION)),
    "pause": (
        "pause",
        lambda ledger, item: ledger.set_pause(SECRET, True, reason=SECRET, by=SECRET),
    ),
    "withdraw": (
        "delivery",
        lambda ledger, item: ledger.ask_withdrawal(item.accession_id, SECRET),
    ),
    "delivered elsewhere?": (
        "delivery",
        lambda ledger, item: ledger.delivered_elsewhere(item.accession_id, SECRET, URI),
    ),
    "select": (
        "accession",
        lambda ledger, item: ledger.select(
            item.workspace, Selection(accession_numbers=(SECRET,), subjects=(SECRET,))
        ),
    ),
    "claim": ("accession", lambda ledger, item: ledger.claim(item.accession_id, SECRET, 60)),
}


@pytest.mark.parametrize("call", CALLS)
def test_whatever_is_asked_of_a_broken_ledger_is_not_quoted(
    known: Ledger, item: WorkItem, call: str
) -> None:
    table, ask = CALLS[call]
    with without(known, table), pytest.raises(LedgerError) as failure:
        ask(known, item)
    assert SECRET not in told(failure.value)
    assert known.state_of(item.accession_id) is State.LOADED


def test_a_change_that_the_table_does_not_allow_quotes_nothing(
    known: Ledger, item: WorkItem
) -> None:
    by = Attempt(run_id=SECRET, label=SECRET)
    with pytest.raises(IllegalTransitionError) as failure:
        known.record_delivered(item.accession_id, delivery(uri=URI), by=by)
    assert SECRET not in told(failure.value)


def test_a_change_by_who_has_lost_the_claim_quotes_nothing(known: Ledger, item: WorkItem) -> None:
    by = Attempt(run_id=SECRET, owner=SECRET, label=SECRET)
    with pytest.raises(ClaimLostError) as failure:
        known.request_reprocessing(item.accession_id, SECRET, retire=True, by=by)
    assert SECRET not in told(failure.value)


def test_a_place_that_is_taken_is_not_quoted(known: Ledger, item: WorkItem) -> None:
    (other,) = add_items(known, f"{SECRET}-2")
    for each in (item, other):
        extract(known, each)
        deidentify(known, each, CT)
    hand_over(known, item, uri=URI)
    with pytest.raises(LedgerError) as failure:
        hand_over(known, other, uri=URI)
    assert SECRET not in told(failure.value)


def test_a_place_that_another_process_has_just_taken_is_not_quoted(
    known: Ledger, item: WorkItem
) -> None:
    # As the database tells it, when the question came a moment before the other one's commit.
    values = {
        "accession_id": item.accession_id,
        "target": "share",
        "uri": URI,
        "sha256": "3" * 64,
        "size": 1,
        "instances": 1,
        "fingerprint": "4" * 64,
    }
    with pytest.raises(LedgerError) as failure, known.session() as session:
        session.execute(insert(Delivery), [values, values])
    assert SECRET not in told(failure.value)


def test_a_delivery_that_lacks_something_is_not_quoted(known: Ledger, item: WorkItem) -> None:
    bring_to(known, item, State.DEIDENTIFIED)
    with pytest.raises(LedgerError) as failure:
        known.record_delivered(item.accession_id, delivery(uri=URI, sha256=None))
    assert SECRET not in told(failure.value)
    assert known.state_of(item.accession_id) is State.DEIDENTIFIED


@pytest.mark.postgres
def test_a_value_of_the_wrong_kind_or_length_is_not_quoted(postgres: PostgresServer) -> None:
    ledger = Ledger.open(postgres.create_database("wrong"))
    (item,) = add_items(ledger, SECRET)
    bring_to(ledger, item, State.DEIDENTIFIED)
    for wrong in ({"sha256": SECRET * 10}, {"instances": SECRET}):
        with pytest.raises(LedgerError) as failure:
            ledger.record_delivered(item.accession_id, delivery(uri=URI, **wrong))
        assert SECRET not in told(failure.value), wrong
    ledger.close()


def test_a_decision_that_cannot_be_written_as_json_is_not_quoted(
    known: Ledger, item: WorkItem
) -> None:
    decision = ResolutionRecord(ResolveCommand.CHOOSE, SECRET, {SECRET: object()})  # type: ignore[dict-item]
    with pytest.raises((LedgerError, StatementError)) as failure:
        known.resolve(item.accession_id, decision)
    assert SECRET not in told(failure.value)


def test_a_text_that_no_database_takes_is_not_quoted(known: Ledger, item: WorkItem) -> None:
    # A lone surrogate: what Python makes of a byte on the command line that is not UTF-8.
    number = f"{SECRET}\udcfc"
    with pytest.raises(LedgerError, match="cannot be written as UTF-8") as failure:
        known.select("ws", Selection(accession_numbers=(number,)))
    assert SECRET not in told(failure.value)
    with pytest.raises(LedgerError) as failure:
        known.recall("ws", "asked for", subject_id=number)
    assert SECRET not in told(failure.value)


def test_an_error_of_the_program_itself_passes_through_and_rolls_back(known: Ledger) -> None:
    (item,) = known.manifest_items("ws", "first")

    def fail_halfway() -> None:
        with known.session() as session:
            session.get_one(Accession, item.accession_id).state = State.DELIVERED.value
            session.flush()
            raise LocutusError("of the caller")

    with pytest.raises(LocutusError, match="of the caller"):
        fail_halfway()
    assert known.state_of(item.accession_id) is State.LOADED
