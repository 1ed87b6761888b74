"""An Orthanc that misbehaves on purpose: a hand-written HTTP server that plays the few routes that
`OrthancSource` uses, with one study, and faults planned request by request.

What belongs here: faults that a real Orthanc cannot be made to show. The rest is tested against a
real one.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from typing_extensions import Self

from locutus_dagster_tests.sources.studies import PATIENT_ID

STUDY_ID = "5e1bd2a0-0d4f7c1a-7e2f7a9b-51aa6e0c-c9f1d377"


@dataclass(frozen=True)
class Status:
    """Answer with this status and nothing else."""

    code: int
    location: str = ""


@dataclass(frozen=True)
class Cut:
    """Announce the whole answer and close the connection after some bytes of it."""

    after: int


@dataclass(frozen=True)
class Hang:
    """Say nothing for a while, then close the connection."""

    seconds: float


@dataclass(frozen=True)
class Body:
    """Answer 200 with these bytes instead; without a length, the end of the connection ends it."""

    data: bytes
    with_length: bool = True


@dataclass(frozen=True)
class After:
    """Do something, then answer as usual."""

    action: Callable[[], object]


Fault = Status | Cut | Hang | Body | After | None


class FaultyOrthanc:
    """Serves one study with the given instances; `plan` says what to do wrong, and when."""

    def __init__(self, accession: str, instances: list[bytes], tls: ssl.SSLContext | None = None):
        self.accession = accession
        self.instances = {f"{number:08x}-0-0-0-0": data for number, data in enumerate(instances)}
        self.tags: dict[str, Any] = {"AccessionNumber": accession, "StudyInstanceUID": "1.2.3"}
        self.study: dict[str, Any] = {"LastUpdate": "20260131T235959"}
        self.series: dict[str, str] = {}
        """Series of an instance, where it is another than "s"."""
        self.accepted: set[str] | None = None
        """What the header Authorization may say; None for anything."""
        self.encoding = ""
        """What every file claims to be compressed with."""
        self.requests: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._always: dict[str, Fault] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._scheme = "http"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    def plan(self, what: str, *faults: Fault) -> None:
        """Faults for the next requests of a kind; None is none.

        Kinds are find, list, file, md5, system, changes, look-study, look-series, look-instance.
        """
        self._faults[what].extend(faults)

    def always(self, what: str, fault: Fault) -> None:
        """A fault for every request of a kind."""
        self._always[what] = fault

    def next_fault(self, what: str) -> Fault:
        with self._lock:
            self.requests[what] += 1
            planned = self._faults[what]
            return planned.popleft() if planned else self._always.get(what)

    def route(self, path: str, body: bytes) -> tuple[str, Callable[[], bytes | None]]:
        """What a path asks for, and how to answer it."""
        parts = path.strip("/").split("/")
        if parts == ["system"]:
            return "system", lambda: json.dumps({"Version": "faulty", "ApiVersion": 16}).encode()
        if parts[0].partition("?")[0] == "changes":
            return "changes", lambda: None
        if parts == ["tools", "find"]:
            study = {"ID": STUDY_ID, "MainDicomTags": self.tags, **self.study}
            return "find", lambda: json.dumps([study]).encode()
        if parts == ["tools", "bulk-content"]:
            asked = json.loads(body)
            level = asked["Level"].lower()
            return f"look-{level}", lambda: self._describe(level, asked["Resources"])
        if parts == ["studies", STUDY_ID, "instances"]:
            return "list", self._list
        if parts[-1] == "file":
            return "file", lambda: self.instances.get(parts[1])
        if parts[-1] == "info":
            return "md5", lambda: self._info(self.instances[parts[1]])
        return "other", lambda: None

    @staticmethod
    def _info(data: bytes) -> bytes:
        return json.dumps({"UncompressedMD5": hashlib.md5(data).hexdigest()}).encode()

    def _list(self) -> bytes:
        listed = [
            {
                "ID": name,
                "FileSize": len(data),
                "FileUuid": hashlib.sha1(data).hexdigest(),
                "MainDicomTags": {"SOPInstanceUID": f"1.2.3.{name}"},
            }
            for name, data in self.instances.items()
        ]
        return json.dumps(listed).encode()

    def _describe(self, level: str, asked: list[str]) -> bytes:
        there: list[dict[str, Any]] = []
        if level == "instance":
            metadata = {"SopClassUid": "1.2.840.10008.5.1.4.1.1.2"}
            there = [{"ID": name, "Metadata": metadata} for name in asked if name in self.instances]
        elif asked == [STUDY_ID] and self.instances:
            members = defaultdict(list)
            for name in self.instances:
                members[self.series.get(name, "s")].append(name)
            tags = {"Modality": "CT"}
            there = [{"ID": STUDY_ID, "PatientMainDicomTags": {"PatientID": PATIENT_ID}}]
            if level == "series":
                there = [
                    {"ID": name, "Instances": instances, "MainDicomTags": tags}
                    for name, instances in members.items()
                ]
        return json.dumps(there).encode()


def _handler(faulty: FaultyOrthanc) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._serve(b"")

        def do_POST(self) -> None:
            self._serve(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def _serve(self, body: bytes) -> None:
            what, answer = faulty.route(self.path, body)
            faulty.headers.append(dict(self.headers))
            fault = faulty.next_fault(what)
            said = self.headers.get("Authorization", "")
            if faulty.accepted is not None and said not in faulty.accepted:
                fault = Status(401)
            if isinstance(fault, After):
                fault.action()
            if isinstance(fault, Hang):
                time.sleep(fault.seconds)
                self.close_connection = True
                return
            if isinstance(fault, Status):
                self._answer(fault.code, b"", location=fault.location)
                return
            if isinstance(fault, Body):
                self._answer(200, fault.data, with_length=fault.with_length)
                return
            data = answer()
            if data is None:
                self._answer(404, b"")
            elif isinstance(fault, Cut):
                self._answer(200, data, only=fault.after)
            else:
                self._answer(200, data)

        def _answer(
            self,
            status: int,
            data: bytes,
            *,
            with_length: bool = True,
            location: str = "",
            only: int | None = None,
        ) -> None:
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            if faulty.encoding and self.path.endswith("/file"):
                self.send_header("Content-Encoding", faulty.encoding)
            if with_length:
                self.send_header("Content-Length", str(len(data)))
            else:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(data[:only])
            if only is not None or not with_length:
                self.close_connection = True

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:  # the client went away
                self.close_connection = True

        def log_message(self, *_args: object) -> None:
            pass

    return Handler
