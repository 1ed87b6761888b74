"""The fault proxy does to a server's answers what it is told to, and nothing else.

What belongs here: each fault, over sockets. What does not: what Locutus makes of the faults.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from locutus_dagster_tests.parts.fault_proxy import FaultProxy

_BODY = bytes(range(256)) * 800


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(_BODY if self.path == "/long" else b"short")

    def do_PUT(self) -> None:
        length = int(self.headers["Content-Length"])
        self._answer(str(len(self.rfile.read(length))).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    server = _QuietServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    with FaultProxy("127.0.0.1", server.server_address[1]) as through:
        yield through
    server.shutdown()
    server.server_close()


def _get(proxy: FaultProxy, path: str = "/long") -> tuple[int, bytes]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=5)) as one:
        one.request("GET", path)
        answer = one.getresponse()
        return answer.status, answer.read()


def _put(connection: http.client.HTTPConnection) -> bytes:
    connection.request("PUT", "/", body=_BODY)
    return connection.getresponse().read()


def test_without_a_fault_bytes_pass_and_connections_are_counted(proxy: FaultProxy) -> None:
    assert [_get(proxy), _get(proxy)] == [(200, _BODY)] * 2
    assert (proxy.connections, proxy.faults) == (2, 0)


def test_a_cut_ends_a_long_answer_after_so_many_bytes_and_spares_short_ones(
    proxy: FaultProxy,
) -> None:
    proxy.cut_after(5000)
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=5)) as one:
        one.request("GET", "/short")
        assert one.getresponse().read() == b"short"
        one.request("GET", "/long")  # on the connection that was kept alive
        with pytest.raises(http.client.IncompleteRead) as cut:
            one.getresponse().read()
    assert 4000 < len(cut.value.partial) < 5000
    assert _get(proxy) == (200, _BODY)
    assert proxy.faults == 1


def test_a_request_is_cut_while_it_is_sent(proxy: FaultProxy) -> None:
    proxy.cut_request_after(100_000)
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=5)) as one:
        with pytest.raises((OSError, http.client.HTTPException)):
            _put(one)
        one.close()
        assert _put(one) == str(len(_BODY)).encode()


def test_503_answers_so_many_requests(proxy: FaultProxy) -> None:
    proxy.answer_503(2)
    assert [_get(proxy)[0] for _ in range(3)] == [503, 503, 200]


def test_a_reset_is_a_reset_and_not_an_end(proxy: FaultProxy) -> None:
    proxy.reset(1)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as one:
        one.sendall(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            one.recv(1000)
    assert _get(proxy) == (200, _BODY)


def test_a_byte_is_corrupted_and_only_one(proxy: FaultProxy) -> None:
    proxy.corrupt_at(10_000)
    body = _get(proxy)[1]
    assert sum(one != other for one, other in zip(body, _BODY, strict=True)) == 1
    assert _get(proxy) == (200, _BODY)


def test_answers_are_delayed_and_trickle_until_cleared(proxy: FaultProxy) -> None:
    proxy.delay(0.3)
    started = time.monotonic()
    assert _get(proxy, "/short") == (200, b"short")
    assert time.monotonic() - started >= 0.3
    proxy.clear()
    proxy.trickle(400_000)
    started = time.monotonic()
    assert _get(proxy) == (200, _BODY)
    assert 0.3 < time.monotonic() - started < 3
    proxy.clear()
    started = time.monotonic()
    assert _get(proxy) == (200, _BODY)
    assert time.monotonic() - started < 0.3


def test_a_server_that_is_gone_and_one_that_dies_are_dropped_connections(
    proxy: FaultProxy,
) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as one:
        one.sendall(b"GET /long HTTP/1.1\r\n")
        time.sleep(0.05)
        proxy.drop_all()
        with contextlib.suppress(ConnectionResetError):
            assert one.recv(1000) == b""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    proxy.upstream = ("127.0.0.1", port)
    with pytest.raises((OSError, http.client.HTTPException)):
        _get(proxy)
