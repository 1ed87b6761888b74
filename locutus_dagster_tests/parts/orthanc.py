"""A real Orthanc for tests: on a free loopback port, filled over its REST API, ended by its pid.

with OrthancServer(tmp_path / "orthanc") as orthanc:
    orthanc.upload(path)
    OrthancSource(orthanc.url)
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from typing_extensions import Self

from locutus_dagster_tests.parts import (
    ServerProcess,
    die_with_parent,
    missing,
    start_on_port,
    wait_until,
)

__all__ = ["OrthancServer", "RefusedError", "find_orthanc", "require_orthanc"]


class RefusedError(Exception):
    """Orthanc did not accept a request."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP status {status}")
        self.status = status


def find_orthanc() -> str | None:
    """Orthanc's program, or None. Debian puts it where only root's PATH leads."""
    return shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")


def require_orthanc() -> str:
    """Orthanc's program; skips the test if there is none, and fails it in CI."""
    program = find_orthanc()
    if program is None:
        missing("Orthanc", "apt install orthanc, or put the program on the PATH")
    return program


class OrthancServer:
    """One Orthanc process with its storage in `directory`.

    Args:
        directory: made if needed; configuration, storage and log go there.
        users: name → password; if given, Orthanc asks for basic authentication.
        plugins: paths of plugins to load.
        options: further entries of Orthanc's configuration.
    """

    def __init__(
        self,
        directory: Path,
        *,
        users: Mapping[str, str] | None = None,
        plugins: Iterable[str | Path] = (),
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._program = require_orthanc()
        self.directory = directory
        self._users = dict(users or {})
        self._plugins = [str(plugin) for plugin in plugins]
        self._options = dict(options or {})
        self._process: ServerProcess | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def storage(self) -> Path:
        """Where the stored files are."""
        return self.directory / "storage"

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Start it and wait until it answers; a restart keeps port and storage."""
        if not self.running:
            self.port = start_on_port(self._start_at, self.port)

    def _start_at(self, port: int) -> None:
        self.storage.mkdir(parents=True, exist_ok=True)
        configuration = self.directory / "orthanc.json"
        configuration.write_text(json.dumps(self._configuration(port)))
        log = self.directory / "orthanc.log"
        with log.open("ab") as output:
            process = ServerProcess(
                subprocess.Popen(
                    [self._program, str(configuration)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=self.directory,
                    start_new_session=True,
                    preexec_fn=die_with_parent(),
                )
            )
        try:
            wait_until(lambda: not process.running or self._answers(port), 30, "Orthanc's start")
            if not process.running:
                raise TimeoutError(f"Orthanc ended at once; its log is {log}")
        except BaseException:
            process.kill()
            raise
        self._process = process

    def _configuration(self, port: int) -> dict[str, Any]:
        return {
            "Name": "test",
            "StorageDirectory": str(self.storage),
            "IndexDirectory": str(self.storage),
            "HttpPort": port,
            "DicomServerEnabled": False,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": bool(self._users),
            "RegisteredUsers": self._users,
            "SaveJobs": False,
            "Plugins": self._plugins,
            **self._options,
        }

    def _answers(self, port: int) -> bool:
        try:
            self._request("GET", "/system", port=port)
        except (OSError, RefusedError):
            return False
        return True

    def change_users(self, users: Mapping[str, str]) -> None:
        """Give out other passwords; takes a restart."""
        self.kill()
        self._users = dict(users)
        self.start()

    def stop(self) -> None:
        """End it in good order (takes a few seconds)."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()

    def upload(self, content: Path | bytes) -> dict[str, Any]:
        """Store one DICOM file (or a zip of them); returns Orthanc's answer.

        Raises:
            RefusedError: Orthanc does not take it.
        """
        data = content if isinstance(content, bytes) else content.read_bytes()
        answer: dict[str, Any] = self.ask("POST", "/instances", data)
        return answer

    def upload_folder(self, folder: Path, pattern: str = "**/*") -> list[Path]:
        """Store the files of a folder; returns those that Orthanc accepted."""
        accepted = []
        for path in sorted(folder.glob(pattern)):
            if path.is_file():
                try:
                    self.upload(path)
                except RefusedError:
                    continue
                accepted.append(path)
        return accepted

    def ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        """Any other request; returns the decoded JSON answer."""
        return json.loads(self._request(method, path, body) or b"null")

    def _request(
        self, method: str, path: str, body: bytes | None = None, port: int | None = None
    ) -> bytes:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port or self.port}{path}", data=body, method=method
        )
        for name, password in self._users.items():
            token = base64.b64encode(f"{name}:{password}".encode()).decode()
            request.add_header("Authorization", f"Basic {token}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as response:
                return bytes(response.read())
        except urllib.error.HTTPError as error:
            with error:
                raise RefusedError(error.code) from None
