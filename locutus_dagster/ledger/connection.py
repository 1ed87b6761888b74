"""The ledger's database: opening it, its transactions, and its errors without values.

What belongs here: the engine, SQLite's and PostgreSQL's ways, migrations at opening, and opening to
look only. What does not: any table (`reading.py`, `store.py`).
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import create_engine, event, inspect, text
from sqlalchemy.engine import Connection, Dialect, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from locutus_dagster.errors import LocutusError
from locutus_dagster.sqlite_looking import LookingConnection, connect_to_look

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["LedgerAddress", "LedgerConnection", "LedgerError"]

_SQLITE_PATIENCE = 60.0  # seconds that a writer waits for another
_LOGIN = ("user", "password")  # as psycopg calls them


class LedgerError(LocutusError):
    """The ledger cannot be opened or does not hold what was asked for."""


class LedgerAddress(Protocol):
    """Says where the ledger is whenever it is asked, with the login that holds at that moment."""

    def __call__(self, *, fresh: bool = False) -> str:
        """The SQLAlchemy URL; with `fresh`, the login at hand has just been refused."""


class LedgerConnection:
    """The status database at `url` (SQLAlchemy), opened lazily, safe to share between threads.

    Args:
        url: SQLite for one machine, PostgreSQL (`postgresql+psycopg2://`) for several; or what says
            it. Then each new connection is made with the login of its moment, so that one may be
            rotated during a run; host and database stay those of the beginning.
        look_only: refuse every change, and leave no trace in the database's folder either.
    """

    def __init__(self, url: str | LedgerAddress, *, look_only: bool = False) -> None:
        self._address = None if isinstance(url, str) else url
        self._url = make_url(url if isinstance(url, str) else url())
        self._look_only = look_only
        options: dict[str, Any] = {"hide_parameters": True}  # errors must not quote values
        sqlite = self._url.get_backend_name() == "sqlite"
        if sqlite and look_only:
            options["creator"] = self._connect_to_look
        elif sqlite:
            options["connect_args"] = {"timeout": _SQLITE_PATIENCE}
        else:
            options["pool_pre_ping"] = True
            if look_only:
                options["connect_args"] = {"options": "-c default_transaction_read_only=on"}
        self._engine = create_engine(self._url, **options)
        if sqlite:
            if look_only:
                event.listen(self._engine, "checkout", _require_current)
            else:
                event.listen(self._engine, "connect", _prepare_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        elif self._address is not None:
            event.listen(self._engine, "do_connect", self._connect_with_login)
        self._reader = self._engine.execution_options(locutus_reads_only=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._url.render_as_string(hide_password=True)!r})"

    @classmethod
    def open(cls, url: str | LedgerAddress) -> Self:
        """Open the ledger, creating it or bringing its schema up to date first.

        Args:
            url: see the class.

        Raises:
            LedgerError: the database cannot be reached or written, or is of a later version.
        """
        ledger = cls._at(url)
        try:
            ledger._create_file()
            ledger._migrate()
        except (SQLAlchemyError, OSError) as error:
            raise ledger._unopened(error, "and that its folder is writable") from None
        return ledger

    @classmethod
    def open_existing(cls, url: str | LedgerAddress) -> Self:
        """Open a ledger to look only: it is neither created nor brought up to date nor changed.

        Args:
            url: see the class.

        Raises:
            LedgerError: there is none, its schema is another version's, or the database cannot be
                reached.
        """
        ledger = cls._at(url, look_only=True)
        try:
            with ledger._reader.connect() as connection:
                revision = _current_revision(connection)
        except FileNotFoundError:
            revision = None
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise ledger._unopened(error, "and that its file is readable") from None
        from locutus_dagster.ledger.migrations import HEAD

        if revision == HEAD:
            return ledger
        ledger.close()
        place = ledger._url.render_as_string(hide_password=True)
        if revision is None:
            raise LedgerError(
                f"There is no ledger at {place} yet.",
                "Load a manifest with 'locutus load-manifest'; that makes one.",
            )
        if revision < HEAD:
            raise LedgerError(
                f"The ledger at {place} is of an earlier version, and to look at it must not "
                "change it.",
                "Any command that works with it brings it up to date, such as loading a manifest.",
            )
        raise ledger._of_a_later_version()

    @classmethod
    def _at(cls, url: str | LedgerAddress, *, look_only: bool = False) -> Self:
        try:
            return cls(url, look_only=look_only)
        except (SQLAlchemyError, ImportError, ValueError) as error:
            raise _no_address(error) from None

    def _unopened(self, error: Exception, also: str) -> LedgerError:
        kind = type(getattr(error, "orig", None) or error).__name__
        return LedgerError(
            f"The ledger at {self._url.render_as_string(hide_password=True)} cannot be "
            f"opened ({kind}).",
            f"Check LOCUTUS_LEDGER_URL, that the database runs {also}.",
        )

    def _of_a_later_version(self) -> LedgerError:
        return LedgerError(
            f"The ledger at {self._url.render_as_string(hide_password=True)} is of a later version "
            "than this program.",
            "Use the version of Locutus that wrote it, or a later one.",
        )

    def _connect_to_look(self) -> sqlite3.Connection:
        connection = connect_to_look(Path(self._url.database or ""), any_thread=True)
        connection.isolation_level = None  # transactions begin where `_begin_sqlite` says
        return connection

    def _connect_with_login(
        self, dialect: Dialect, _record: Any, arguments: Any, parameters: dict[str, Any]
    ) -> Any:
        """A new connection; a login that is refused is asked for afresh, once.

        Drivers do not say why a server refuses somebody. So it is whatever keeps them from
        connecting that makes the login be asked for, and only another one that is tried.
        """
        others = {name: value for name, value in parameters.items() if name not in _LOGIN}
        tried = self._login(dialect, fresh=False)
        try:
            return dialect.connect(*arguments, **others, **tried)
        except dialect.loaded_dbapi.OperationalError:
            try:
                login = self._login(dialect, fresh=True)
            except LedgerError:
                login = tried  # what the server said is the nearer cause
            if login == tried:
                raise
        return dialect.connect(*arguments, **others, **login)

    def _login(self, dialect: Dialect, *, fresh: bool) -> dict[str, Any]:
        assert self._address is not None
        try:
            _, parameters = dialect.create_connect_args(make_url(self._address(fresh=fresh)))
        except LocutusError as error:
            raise LedgerError(error.message, error.hint) from None
        except (SQLAlchemyError, ValueError) as error:
            raise _no_address(error) from None
        return {name: parameters[name] for name in _LOGIN if name in parameters}

    def _create_file(self) -> None:
        if self._url.get_backend_name() != "sqlite" or not self._url.database:
            return
        path = Path(self._url.database)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            # SQLite gives its -wal and -shm files the mode of the database itself.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))

    def _migrate(self) -> None:
        from locutus_dagster.ledger.migrations import HEAD, upgrade

        with self._engine.connect() as connection:
            revision = _current_revision(connection)
        if revision == HEAD:
            return
        if revision is not None and revision > HEAD:
            raise self._of_a_later_version()
        with self._engine.begin() as connection:
            upgrade(connection)

    def close(self) -> None:
        """Return every connection."""
        self._engine.dispose()

    @contextmanager
    def session(self, *, reads_only: bool = False) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back on an exception.

        Raises:
            LedgerError: the database stopped answering, has no room left, or refused a change.
        """
        if self._look_only and not reads_only:
            raise LedgerError(
                "The ledger has been opened to look only, and something was to be changed.",
                "Please report this as a bug; nothing was changed.",
            )
        try:
            bind = self._reader if reads_only else self._engine
            with Session(bind, expire_on_commit=False) as session, session.begin():
                yield session
        except UnicodeEncodeError:
            # Its representation would hold the whole text.
            raise LedgerError(
                "The ledger was given a text that cannot be written as UTF-8.",
                "Check the encoding of what was typed or of the file that it came from.",
            ) from None
        except OperationalError as error:
            raise LedgerError(
                f"The ledger stopped answering ({type(error.orig).__name__}).",
                "Check that the database runs and has disk space; a rerun resumes from here.",
            ) from None
        except DBAPIError as error:
            # PostgreSQL quotes the offending row in the text of such an error.
            raise LedgerError(
                f"The ledger refused a question or a change ({type(error.orig).__name__}).",
                "If its tables are as Locutus made them, please report this as a bug.",
            ) from None


def _no_address(error: Exception) -> LedgerError:
    return LedgerError(
        f"The ledger's address names no database that can be opened ({type(error).__name__}).",
        "Write sqlite:///… or postgresql://… into LOCUTUS_LEDGER_URL, and install the extra "
        "'postgres' for the latter.",
    )


def _require_current(connection: LookingConnection, _record: Any, _proxy: Any) -> None:
    if connection.outdated:
        raise DisconnectionError  # the pool connects anew


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where `_begin_sqlite` says
    cursor = connection.cursor()
    _switch_to_wal(cursor)
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _switch_to_wal(cursor: sqlite3.Cursor) -> None:
    # Here SQLite may say "locked" at once, without waiting: when processes open a new ledger
    # together. So the waiting is done here.
    deadline = time.monotonic() + _SQLITE_PATIENCE
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:  # noqa: PERF203 - to wait is the point
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once when another process wrote in
    # between; one that takes the write lock at its start waits its turn instead.
    reads_only = connection.get_execution_options().get("locutus_reads_only", False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")


def _current_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(
        text("SELECT version_num FROM alembic_version")
    ).scalar()
    return revision
