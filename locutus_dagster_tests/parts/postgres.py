"""A real PostgreSQL for tests: a cluster of its own on a free loopback port, ended by pid.

with PostgresServer() as postgres:
    url = postgres.create_database("ledger")
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

from typing_extensions import Self

from locutus_dagster_tests.parts import (
    ServerProcess,
    die_with_parent,
    missing,
    start_on_port,
    wait_until,
)

__all__ = ["PostgresServer", "find_postgres", "require_postgres"]


def find_postgres() -> Path | None:
    """The directory of PostgreSQL's newest server programs, or None."""
    candidates = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    candidates.sort(key=lambda path: int(re.sub(r"\D", "", path.parent.name) or 0))
    on_path = shutil.which("initdb")
    if not candidates and on_path:
        candidates = [Path(on_path).resolve().parent]
    return next((path for path in reversed(candidates) if (path / "postgres").exists()), None)


def require_postgres() -> Path:
    """The directory of the server programs; skips the test without them, and fails it in CI."""
    programs = find_postgres()
    if programs is None:
        missing("PostgreSQL's server", "apt install postgresql")
    return programs


class PostgresServer:
    """One PostgreSQL cluster, in a temporary directory that goes away with it.

    It trusts everybody who reaches it (loopback and its own socket directory) and does not wait for
    the disk: a database to throw away. PostgreSQL refuses to run as root, so root hands it to the
    system user `postgres`.
    """

    user = "postgres"

    def __init__(self) -> None:
        self._programs = require_postgres()
        self._directory: Path | None = None
        self._process: ServerProcess | None = None
        self.port = 0
        self._owner: pwd.struct_passwd | None = None
        if os.geteuid() == 0:
            try:
                self._owner = pwd.getpwnam("postgres")
            except KeyError:
                missing("The system user postgres", "apt install postgresql")

    def __enter__(self) -> Self:
        try:
            self._make_cluster()
            self.start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._remove()

    @property
    def directory(self) -> Path:
        assert self._directory is not None, "not started"
        return self._directory

    @property
    def socket_directory(self) -> Path:
        """Where its unix socket is, for libpq's `host=`."""
        return self.directory / "socket"

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    def url(self, database: str = "postgres", driver: str = "postgresql+psycopg2") -> str:
        """A database's URL for SQLAlchemy, over TCP."""
        return f"{driver}://{self.user}@127.0.0.1:{self.port}/{database}"

    def socket_url(self, database: str = "postgres", driver: str = "postgresql+psycopg2") -> str:
        """A database's URL for SQLAlchemy, over the unix socket."""
        host = self.socket_directory
        return f"{driver}://{self.user}@/{database}?host={host}&port={self.port}"

    def create_database(self, name: str) -> str:
        """Create a database; returns its URL."""
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", name):
            raise ValueError(f"not a plain database name: {name!r}")
        self.sql(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run a statement with psql; returns its unaligned output."""
        done = self._run(
            "psql",
            "--no-psqlrc",
            "--set=ON_ERROR_STOP=1",
            "--tuples-only",
            "--no-align",
            f"--host={self.socket_directory}",
            f"--port={self.port}",
            f"--username={self.user}",
            f"--dbname={database}",
            f"--command={statement}",
        )
        return done.strip()

    def start(self) -> None:
        """Start it and wait until it takes connections; a restart keeps port and data."""
        if not self.running:
            self.port = start_on_port(self._start_at, self.port)

    def stop(self) -> None:
        """End it in good order; open connections are cut."""
        if self._process is not None:
            self._process.stop(signal.SIGINT)

    def kill(self) -> None:
        """End it at once, with its backends; it recovers at the next start."""
        if self._process is not None:
            self._process.kill()

    def _make_cluster(self) -> None:
        # Directly under the system's temporary directory: pytest's own is closed to other users,
        # and the path of a unix socket may have about a hundred characters only.
        self._directory = Path(tempfile.mkdtemp(prefix="locutus-pg-"))
        self.socket_directory.mkdir(mode=0o700)
        if self._owner is not None:
            for path in (self.directory, self.socket_directory):
                os.chown(path, self._owner.pw_uid, self._owner.pw_gid)
        self._run(
            "initdb",
            f"--pgdata={self.directory / 'data'}",
            f"--username={self.user}",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        )

    def _start_at(self, port: int) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": self.socket_directory,
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": 200,
        }
        with (self.directory / "server.log").open("ab") as output:
            process = ServerProcess(
                subprocess.Popen(
                    [
                        str(self._programs / "postgres"),
                        "-D",
                        str(self.directory / "data"),
                        *(f"--{name}={value}" for name, value in settings.items()),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=self.directory,
                    start_new_session=True,
                    preexec_fn=die_with_parent(),
                    user=self._owner.pw_uid if self._owner else None,
                    group=self._owner.pw_gid if self._owner else None,
                    extra_groups=[] if self._owner else None,
                )
            )
        try:
            wait_until(lambda: not process.running or self._accepts(port), 60, "PostgreSQL's start")
            if not process.running:
                raise TimeoutError(f"PostgreSQL ended at once; its log is in {self.directory}")
        except BaseException:
            process.kill()
            raise
        self._process = process

    def _accepts(self, port: int) -> bool:
        done = subprocess.run(
            [
                str(self._programs / "pg_isready"),
                "--quiet",
                f"--host={self.socket_directory}",
                f"--port={port}",
            ],
            check=False,
            cwd=self.directory,
        )
        return done.returncode == 0

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.directory,
            user=self._owner.pw_uid if self._owner else None,
            group=self._owner.pw_gid if self._owner else None,
            extra_groups=[] if self._owner else None,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.strip()}")
        return done.stdout

    def _remove(self) -> None:
        try:
            if self._process is not None:
                self._process.stop(signal.SIGQUIT, seconds=5)
        finally:
            if self._directory is not None:
                shutil.rmtree(self._directory, ignore_errors=True)
                self._directory = None
