"""A ledger whose login is rotated while it is open."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from typing_extensions import Self

from locutus_dagster.errors import LocutusError
from locutus_dagster.ledger import Ledger, LedgerError
from locutus_dagster.secret_refs import SecretMissingError
from locutus_dagster_tests.parts.postgres import PostgresServer

pytestmark = pytest.mark.postgres
PASSWORD = "hush-hush"  # the server trusts everybody; nobody may see it


@dataclass
class Vault:
    """Says where the ledger is: `cached` until it is asked for afresh, and `now` from then on."""

    server: PostgresServer
    database: str
    cached: str = "ledger_old"
    now: str = "ledger_old"
    failing: LocutusError | None = None
    asked_afresh: int = 0

    def __call__(self, *, fresh: bool = False) -> str:
        if self.failing is not None:
            raise self.failing
        if fresh:
            self.asked_afresh += 1
            self.cached = self.now
        url = make_url(self.server.url(self.database)).set(username=self.cached, password=PASSWORD)
        return url.render_as_string(hide_password=False)

    def rotate(self) -> Self:
        """From now on the server refuses the old login; who asks afresh is told the new one."""
        self.server.sql("ALTER ROLE ledger_old NOLOGIN")
        self.now = "ledger_new"
        return self


@pytest.fixture
def vault(postgres: PostgresServer, postgres_ledger_url: str) -> Iterator[Vault]:
    for role in ("ledger_old", "ledger_new"):
        postgres.sql(f"CREATE ROLE {role} SUPERUSER LOGIN")
    yield Vault(postgres, str(make_url(postgres_ledger_url).database))
    for role in ("ledger_old", "ledger_new"):
        postgres.sql(f"DROP ROLE {role}")


@pytest.fixture
def ledger(vault: Vault) -> Iterator[Ledger]:
    opened = Ledger.open(vault)
    yield opened
    opened.close()


def user_of(ledger: Ledger) -> str:
    with ledger.session(reads_only=True) as session:
        return str(session.scalar(text("SELECT current_user")))


def end_connections(server: PostgresServer) -> None:
    server.sql(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename LIKE 'ledger_%'"
    )


def test_a_login_that_was_rotated_is_asked_for_afresh_once_it_is_refused(
    vault: Vault, ledger: Ledger
) -> None:
    with ledger.session(reads_only=True) as held:
        assert held.scalar(text("SELECT current_user")) == "ledger_old"
        vault.rotate()
        assert user_of(ledger) == "ledger_new"  # by a second connection
    assert vault.asked_afresh == 1
    end_connections(vault.server)
    assert user_of(ledger) == "ledger_new"
    assert vault.asked_afresh == 1


def test_a_login_that_is_seen_to_have_changed_is_used_before_the_old_one_is_refused(
    vault: Vault, ledger: Ledger
) -> None:
    assert user_of(ledger) == "ledger_old"
    vault.cached = "ledger_new"
    end_connections(vault.server)
    assert (user_of(ledger), vault.asked_afresh) == ("ledger_new", 0)


def test_a_ledger_that_is_only_looked_at_keeps_to_that_with_another_login(vault: Vault) -> None:
    ledger = Ledger.open_existing(vault.rotate())
    with ledger.session(reads_only=True) as session:
        assert session.scalar(text("SELECT current_user")) == "ledger_new"
        assert session.scalar(text("SHOW default_transaction_read_only")) == "on"
    ledger.close()


def test_a_login_that_stays_refused_is_asked_for_once_and_not_quoted(
    vault: Vault, ledger: Ledger
) -> None:
    vault.rotate().now = "ledger_old"
    end_connections(vault.server)
    for again in (1, 2):
        with pytest.raises(LedgerError, match="stopped answering") as refusal:
            user_of(ledger)
        assert vault.asked_afresh == again
        assert PASSWORD not in "".join(traceback.format_exception(refusal.value))


def test_a_login_that_cannot_be_fetched_says_so_and_the_old_one_is_not_used(
    vault: Vault, ledger: Ledger
) -> None:
    end_connections(vault.server)
    vault.failing = SecretMissingError("The key is not there.", "Write it.")
    with pytest.raises(LedgerError, match=r"The key is not there\. Write it\."):
        user_of(ledger)
    vault.failing = None
    assert user_of(ledger) == "ledger_old"


def test_what_the_server_said_is_told_where_no_login_can_be_fetched_afresh(
    vault: Vault, postgres: PostgresServer
) -> None:
    class Gone(Vault):
        def __call__(self, *, fresh: bool = False) -> str:
            if fresh:
                raise SecretMissingError("The key is not there.")
            return super().__call__()

    with pytest.raises(LedgerError, match=r"cannot be opened \(OperationalError\)") as refusal:
        Ledger.open(Gone(postgres, "no_such_database"))
    assert PASSWORD not in "".join(traceback.format_exception(refusal.value))
