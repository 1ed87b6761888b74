"""A ledger of an earlier version: opened, it holds all that it held, and life goes on in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, create_engine, inspect, text

from locutus_dagster.ledger import Ledger, LedgerError, State, migrations
from locutus_dagster.ledger.schema import Base
from locutus_dagster.ledger.selection import Selection
from locutus_dagster.ledger.work import Attempt, DispositionCount, Place
from locutus_dagster_tests.ledger.old_ledgers import (
    ACCESSIONS,
    alembic_config,
    content,
    ledger_at,
)
from locutus_dagster_tests.ledger.rows import add_items, delivery, report, walk

OLD = ["0001", "0002"]
BASES = [("sqlite", ()), ("postgres", pytest.mark.postgres)]
NEWEST = pytest.mark.parametrize("revision", OLD[-1:], indirect=True)
AT = datetime(2026, 11, 1, 8, tzinfo=timezone.utc)
ONE, TWO = "file:///share/one.zip", "file:///share/two.zip"


@pytest.fixture(params=OLD)
def revision(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def opened(database_url: str, revision: str) -> Iterator[Ledger]:
    """A ledger of an earlier version with content, brought up to date by opening it."""
    ledger_at(revision, database_url)
    ledger = Ledger.open(database_url)
    yield ledger
    ledger.close()


@dataclass(frozen=True)
class Kept:
    """Where such a ledger is, and what stood in it before it was opened."""

    url: str
    revision: str
    before: dict[str, list[dict[str, object]]]
    ledger: Ledger


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((base, old), id=f"{base}-{old}", marks=marks)
        for base, marks in BASES
        for old in OLD
    ],
)
def kept(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kept]:
    """The same, for tests that only ask it."""
    base, old = request.param
    if base == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('kept') / 'private' / 'ledger.sqlite'}"
    else:
        url = request.getfixturevalue("postgres").create_database(f"kept_{old}")
    ledger_at(old, url)
    before = content(url)
    ledger = Ledger.open(url)
    yield Kept(url, old, before, ledger)
    ledger.close()


def test_the_newest_migration_is_the_one_that_opening_asks_for() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_heads() == [migrations.HEAD]


# -- the schema --------------------------------------------------------------------------------


def assert_schema_is_the_program_s(url: str) -> None:
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []
        found = MetaData()
        found.reflect(connection)
        partial = [
            index["name"]
            for index in inspect(connection).get_indexes("delivery")
            if any(key.endswith("_where") for key in index.get("dialect_options", {}))
        ]
    engine.dispose()
    assert set(found.tables) == {*Base.metadata.tables, "alembic_version"}
    # What the comparison does not look at.
    for name, wanted in Base.metadata.tables.items():
        table = found.tables[name]
        assert list(table.primary_key.columns.keys()) == list(wanted.primary_key.columns.keys())
        assert table.primary_key.name == wanted.primary_key.name
        assert {key.name for key in table.foreign_key_constraints} == {
            key.name for key in wanted.foreign_key_constraints
        }
    assert partial == ["uq_delivery_standing"]


def test_the_migrations_build_the_schema_that_the_program_uses(database_url: str) -> None:
    Ledger.open(database_url).close()
    assert_schema_is_the_program_s(database_url)


def test_a_ledger_of_an_earlier_version_gets_the_same_schema(kept: Kept) -> None:
    assert_schema_is_the_program_s(kept.url)


# -- what it holds -----------------------------------------------------------------------------


def test_every_row_of_an_earlier_ledger_is_kept_as_it_was_however_often_it_is_opened(
    kept: Kept,
) -> None:
    assert ("deid_report" in kept.before) == (kept.revision == "0002")
    after = content(kept.url)
    for table, rows in kept.before.items():
        assert rows, table
        same = [{name: row[name] for name in rows[0]} for row in after[table]]
        assert sorted(same, key=repr) == sorted(rows, key=repr), table
    assert all(not after[table] for table in after.keys() - kept.before.keys())
    Ledger.open(kept.url).close()
    assert content(kept.url) == after


def test_an_earlier_ledger_s_accessions_are_told_as_before(kept: Kept) -> None:
    items = kept.ledger.manifest_items("ws", "old")
    assert [(item.accession_number, item.state.value) for item in items] == ACCESSIONS
    assert kept.ledger.select("ws", Selection()) == items
    first, _, failed, *_ = items
    assert (first.instances, first.delivered, first.withheld) == (7, 5, 2)
    assert (failed.phase, failed.reason) == (3, "no answer")
    for item in items:
        assert (item.generation, item.label, item.changed, item.resolve_via) == (1, "", "", "")
        # The one that it would be processed for is noted for each.
        assert (item.current_row_id, item.claimed_until, item.duplicate) == (
            item.row_id,
            None,
            False,
        )
        assert item.updated_at == AT
    (rejected,) = kept.ledger.rejected_rows("ws", "old")
    assert (rejected.rejected, rejected.resolve_via) == ("no number", "")
    assert kept.ledger.workspace_key_id("ws") == "1-0a1b2c3d"


def test_an_earlier_ledger_s_history_is_told_as_before(kept: Kept) -> None:
    (item, *_) = kept.ledger.manifest_items("ws", "old")
    events = kept.ledger.events(item.accession_id)
    assert [event.after for event in events] == [
        State.EXTRACTED,
        State.DEIDENTIFIED,
        State.DELIVERED,
    ]
    for event in events:
        assert (event.at, event.run_id) == (AT, "run-1")
        assert (event.settings, event.row_id, event.generation, event.label) == ("", None, 1, "")
    assert kept.ledger.retired(item.accession_id) == []


def test_an_earlier_ledger_s_delivery_stands(kept: Kept) -> None:
    item, other, *_ = kept.ledger.manifest_items("ws", "old")
    (found,) = kept.ledger.deliveries(item.accession_id)
    assert (found.uri, found.sha256, found.size, found.instances) == (
        ONE,
        "3" * 64,
        4_000_000_000,
        5,
    )
    assert (found.fingerprint, found.made_from, found.delivered_at) == ("4" * 64, None, AT)
    assert (found.generation, found.row_id, found.run_id) == (1, None, None)
    assert (found.withdrawal, found.withdrawn) == ("", "")
    assert kept.ledger.standing(item.accession_id) == [found]
    assert kept.ledger.delivered_elsewhere(other.accession_id, "share", ONE)


def test_an_earlier_ledger_s_artifacts_and_fates_are_told_as_before(kept: Kept) -> None:
    first, second, *_ = kept.ledger.manifest_items("ws", "old")
    (artifact,) = kept.ledger.artifacts(second.accession_id)
    assert (artifact.kind, artifact.size, artifact.made_from) == (
        "deidentified",
        5_000_000_000,
        None,
    )
    ct = "1.2.840.10008.5.1.4.1.1.2"
    assert kept.ledger.dispositions(first.accession_id) == [
        DispositionCount(ct, "CT", "delivered", "", 5),
        DispositionCount(ct, "CT", "withheld", "structured report", 2),
    ]


def test_an_earlier_report_is_that_of_the_first_generation(kept: Kept) -> None:
    (item, *_) = kept.ledger.manifest_items("ws", "old")
    found = kept.ledger.deid_report(item.accession_id)
    assert found == kept.ledger.deid_report(item.accession_id, 1)
    assert (found is None) == (kept.revision == "0001")
    if found is not None:
        told = (found.policy_name, found.table, found.created_at)
        assert told == ("research", b"\x1f\x8b\x00 of study 1", AT)


# -- and life goes on --------------------------------------------------------------------------


def test_what_was_delivered_by_an_earlier_version_can_be_retired_and_delivered_anew(
    opened: Ledger, revision: str
) -> None:
    (item, *_) = opened.manifest_items("ws", "old")
    reported = opened.deid_report(item.accession_id, 1)
    assert (reported is not None) == (revision == "0002")
    opened.request_reprocessing(item.accession_id, "changed", retire=True)
    walk(opened, item, by=Attempt("run-2", row_id=item.row_id), uri=TWO)
    told = [(one.uri, one.generation, one.stands) for one in opened.deliveries(item.accession_id)]
    assert told == [(ONE, 1, False), (TWO, 2, True)]
    assert opened.deid_report(item.accession_id, 1) == reported
    second = opened.deid_report(item.accession_id, 2)
    assert second is not None
    assert second.table == report().table
    assert len(opened.dispositions(item.accession_id, 1)) == 2
    assert [event.generation for event in opened.events(item.accession_id)][-4:] == [2] * 4


@NEWEST
def test_a_place_of_an_earlier_delivery_is_its_accession_s_alone_until_it_is_withdrawn(
    opened: Ledger,
) -> None:
    first, second, *_ = opened.manifest_items("ws", "old")
    with pytest.raises(LedgerError, match="same place"):
        opened.record_delivered(second.accession_id, delivery(uri=ONE))
    opened.ask_withdrawal(first.accession_id, "recalled")
    ((_, asked),) = opened.to_withdraw("ws")
    opened.record_withdrawn(asked.identity, "12 bytes")
    opened.record_delivered(second.accession_id, delivery(uri=ONE))
    assert opened.state_of(second.accession_id) is State.DELIVERED


def test_what_was_begun_before_stores_were_known_is_found_and_so_is_what_is_begun_in_one(
    database_url: str,
) -> None:
    ledger_at("0006", database_url)
    ledger = Ledger.open(database_url)
    (item, *_) = ledger.manifest_items("ws", "old")
    (earlier,) = ledger.deliveries(item.accession_id)
    assert (earlier.uri, earlier.store) == (ONE, "")
    assert ledger.announced(item.accession_id) == [Place("share", TWO)]
    for store in ("s3 at here/research", "s3 at there/research"):
        ledger.announce_delivery(item.accession_id, "share", TWO, store=store)
    assert len(ledger.announced(item.accession_id)) == 3
    # Nobody knows in which store the earlier one was begun; the other one is known.
    ledger.request_reprocessing(item.accession_id, "asked for")
    walk(ledger, item, uri=TWO, store="s3 at here/research")
    assert ledger.announced(item.accession_id) == [Place("share", TWO, "s3 at there/research")]
    ledger.close()
    assert_schema_is_the_program_s(database_url)


@NEWEST
def test_a_further_manifest_can_be_loaded_beside_those_of_an_earlier_version(
    opened: Ledger,
) -> None:
    again, new = add_items(opened, "ACC5", "ACC6", name="new")
    old = opened.manifest_items("ws", "old")[4]
    assert again.accession_id == old.accession_id
    assert opened.claim(new.accession_id, "mine", 60)
    walk(opened, new, by=Attempt(owner="mine"), uri=TWO)
    assert opened.state_of(new.accession_id) is State.DELIVERED


def test_a_ledger_of_a_later_version_is_refused_and_left_alone(database_url: str) -> None:
    Ledger.open(database_url).close()
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(LedgerError, match="later version"):
        Ledger.open(database_url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"
    engine.dispose()
