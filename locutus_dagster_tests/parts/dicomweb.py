"""DICOMweb servers for tests: Orthanc with its plugin, and a hand-written one that misbehaves.

What belongs here: where the plugin is, and faults that Orthanc cannot be made to show. What does
not: faults of the way there (`fault_proxy.py`).
"""

from __future__ import annotations

import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typing_extensions import Self

__all__ = ["Answer", "OddDicomWeb", "dicomweb_plugin"]

_PLACES = ("/usr/share/orthanc/plugins", "/usr/local/share/orthanc/plugins", "/usr/lib/orthanc")


def dicomweb_plugin() -> Path:
    """Orthanc's DICOMweb plugin; the test fails without it."""
    for place in _PLACES:
        for path in sorted(Path(place).glob("libOrthancDicomWeb.so*")):
            return path
    pytest.fail("Orthanc's DICOMweb plugin is missing: apt install orthanc-dicomweb", pytrace=False)


@dataclass(frozen=True)
class Answer:
    """What to answer instead of the usual."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/dicom+json"
    headers: tuple[tuple[str, str], ...] = ()
    length: bool = True


class OddDicomWeb:
    """One study of instances, served over QIDO-RS and WADO-RS as far as a test says.

    Args:
        accession: of the study.
        instances: SOP Instance UID → the stored bytes.
        tls: serve HTTPS.

    Attributes:
        odd: called with "studies", "instances" or "instance", and the query; answers instead of
            the server, or not with None.
        requests: how many there were of each kind.
        headers: those of each request.
        authorization: what a request must carry, if anything.
        cap: the most answers in one page.
        ignore_offset: answer the first page always.
        announced: NumberOfStudyRelatedInstances; None leaves it out.
    """

    study_uid = "1.2.826.0.1.3680043.10.9999.77"
    series_uid = study_uid + ".1"

    def __init__(
        self, accession: str, instances: dict[str, bytes], tls: ssl.SSLContext | None = None
    ) -> None:
        self.accession = accession
        self.instances = instances
        self.odd: Callable[[str, dict[str, list[str]]], Answer | None] = lambda kind, query: None
        self.requests: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self.authorization: str | None = None
        self.cap = 10_000
        self.ignore_offset = False
        self.announced: int | None = None
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
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}/dicom-web"

    def answer(self, path: str, headers: dict[str, str]) -> Answer:
        """The answer to one request."""
        parts = urlsplit(path)
        query = parse_qs(parts.query)
        names = [name for name in parts.path.split("/") if name][1:]
        kind = {1: "studies", 3: "instances"}.get(len(names), "instance")
        self.requests[kind] += 1
        self.headers.append(headers)
        if self.authorization is not None and headers.get("Authorization") != self.authorization:
            return Answer(401)
        odd = self.odd(kind, query)
        if odd is not None:
            return odd
        if kind == "studies":
            return _json(self._page([self._study()], query))
        if kind == "instances":
            return _json(self._page([self._instance(uid) for uid in self.instances], query))
        data = self.instances.get(names[-1])
        return Answer(404) if data is None else message([data])

    def _page(self, answers: list[Any], query: dict[str, list[str]]) -> list[Any]:
        first = 0 if self.ignore_offset else int(query.get("offset", ["0"])[0])
        return answers[first : first + min(self.cap, int(query.get("limit", ["100"])[0]))]

    def _study(self) -> dict[str, Any]:
        study = {
            "00080050": {"vr": "SH", "Value": [self.accession]},
            "0020000D": {"vr": "UI", "Value": [self.study_uid]},
        }
        if self.announced is not None:
            study["00201208"] = {"vr": "IS", "Value": [self.announced]}  # type: ignore[list-item]
        return study

    def _instance(self, sop_uid: str) -> dict[str, Any]:
        return {
            "00080018": {"vr": "UI", "Value": [sop_uid]},
            "0020000E": {"vr": "UI", "Value": [self.series_uid]},
        }


def message(parts: list[bytes], boundary: str = "b0undary") -> Answer:
    """A message of several parts, as WADO-RS answers."""
    body = b"".join(
        b"--%s\r\nContent-Type: application/dicom\r\n\r\n%s\r\n" % (boundary.encode(), part)
        for part in parts
    )
    return Answer(
        body=body + b"--%s--\r\n" % boundary.encode(),
        content_type=f'multipart/related; type="application/dicom"; boundary={boundary}',
    )


def _json(answers: list[Any]) -> Answer:
    return Answer(body=json.dumps(answers).encode())


def _handler(odd: OddDicomWeb) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            answer = odd.answer(self.path, dict(self.headers))
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            for name, value in answer.headers:
                self.send_header(name, value)
            if answer.length:
                self.send_header("Content-Length", str(len(answer.body)))
            else:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(answer.body)
            self.close_connection = self.close_connection or not answer.length

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:  # the client went away
                self.close_connection = True

        def log_message(self, *_args: object) -> None:
            pass

    return Handler
