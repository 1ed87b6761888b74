"""A small TCP proxy that makes a real server fail in the ways that networks fail.

What belongs here: passing bytes on, and the faults. What does not: any server or protocol; only
`answer_503` knows what an HTTP answer looks like. Bytes are passed on as they are, so that TLS
works through it too (a name in a certificate must then be 127.0.0.1 or localhost).

An *answer* is what the server says between two sayings of the client; faults count its bytes from
its beginning, also on a connection that is kept alive. A fault can be armed at any time and applies
to connections that are already open.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from types import TracebackType

from typing_extensions import Self

__all__ = ["FaultProxy"]

_CHUNK = 1 << 16
_503 = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 4\r\nConnection: close\r\n\r\n503\n"
)


class FaultProxy:
    """A proxy on a free port of 127.0.0.1 in front of `host:port`.

    Without a fault it only passes bytes on. The counters `times` are used up by the answers that
    they hit; `delay` and `trickle` last until `clear`.

    Attributes:
        port: where the proxy listens.
        upstream: (host, port) behind it; may be set anew when a server restarts on another port.
        connections: number of connections that it accepted.
        faults: number of faults that it has made (each cut, reset, corruption and 503).
    """

    def __init__(self, host: str, port: int) -> None:
        self.upstream = (host, port)
        self.connections = 0
        self.faults = 0
        self.port = 0
        self._lock = threading.Lock()
        self._open: set[_Connection] = set()
        self._listener: socket.socket | None = None
        self._closed = threading.Event()
        self._reset_all()

    # --- life ----------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener = listener
        self.port = listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and drop every connection."""
        self._closed.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self.drop_all()

    def drop_all(self) -> None:
        """Drop every open connection at once, as a server that dies does."""
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            connection.end()

    # --- faults --------------------------------------------------------------------------------

    def cut_after(self, n_bytes: int, times: int = 1) -> None:
        """Close the connection after `n_bytes` of an answer; shorter answers are left whole."""
        with self._lock:
            self._cut, self._cut_times = n_bytes, times

    def cut_request_after(self, n_bytes: int, times: int = 1) -> None:
        """Close the connection after `n_bytes` of what the client sends, e.g. of an upload."""
        with self._lock:
            self._cut_request, self._cut_request_times = n_bytes, times

    def corrupt_at(self, offset: int, times: int = 1) -> None:
        """Turn the byte at `offset` of an answer (its head counts) into another one."""
        with self._lock:
            self._corrupt, self._corrupt_times = offset, times

    def delay(self, seconds: float) -> None:
        """Wait before the first byte of every answer."""
        with self._lock:
            self._delay = seconds

    def trickle(self, bytes_per_second: float) -> None:
        """Pass answers on this slowly."""
        with self._lock:
            self._rate = bytes_per_second

    def answer_503(self, times: int) -> None:
        """Answer the next requests with 503 instead of passing them on (plain HTTP only)."""
        with self._lock:
            self._503_times = times

    def reset(self, times: int) -> None:
        """Answer the next requests with a TCP reset."""
        with self._lock:
            self._reset_times = times

    def clear(self) -> None:
        """Make no more faults; the counters `connections` and `faults` stay."""
        with self._lock:
            self._reset_all()

    # --- what connections ask ------------------------------------------------------------------

    def _reset_all(self) -> None:
        self._cut = self._cut_times = 0
        self._cut_request = self._cut_request_times = 0
        self._corrupt = self._corrupt_times = 0
        self._503_times = self._reset_times = 0
        self._delay = self._rate = 0.0

    def _refusal(self) -> str:
        """What to do with a request that begins: `pass`, `503` or `reset`."""
        with self._lock:
            if self._reset_times > 0:
                self._reset_times -= 1
                self.faults += 1
                return "reset"
            if self._503_times > 0:
                self._503_times -= 1
                self.faults += 1
                return "503"
            return "pass"

    def _shape_request(self, data: bytes, sent: int) -> tuple[bytes, bool]:
        """What of the client's `data` goes on after `sent` bytes of it, and whether to cut."""
        with self._lock:
            if self._cut_request_times > 0 and sent + len(data) > self._cut_request:
                self._cut_request_times -= 1
                self.faults += 1
                return data[: max(0, self._cut_request - sent)], True
        return data, False

    def _shape_answer(self, data: bytes, answered: int) -> tuple[bytes, bool]:
        """What of the server's `data` goes on after `answered` bytes, and whether to cut."""
        with self._lock:
            if self._corrupt_times > 0 and answered <= self._corrupt < answered + len(data):
                self._corrupt_times -= 1
                self.faults += 1
                at = self._corrupt - answered
                data = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
            if self._cut_times > 0 and answered + len(data) > self._cut:
                self._cut_times -= 1
                self.faults += 1
                return data[: max(0, self._cut - answered)], True
        return data, False

    def _pace(self) -> tuple[float, float]:
        with self._lock:
            return self._delay, self._rate

    # --- connections ---------------------------------------------------------------------------

    def _accept(self, listener: socket.socket) -> None:
        while not self._closed.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self.upstream, timeout=10)
        except OSError:  # nobody behind us: the client sees a connection that is reset
            _reset(client)
            return
        server.settimeout(None)
        connection = _Connection(self, client, server)
        with self._lock:
            self._open.add(connection)
        if self._closed.is_set():
            connection.end()
        answers = threading.Thread(target=connection.pass_answers, daemon=True)
        answers.start()
        connection.pass_requests()
        answers.join()
        connection.end()
        client.close()
        server.close()
        with self._lock:
            self._open.discard(connection)


class _Connection:
    """One client's connection and the one behind it."""

    def __init__(self, proxy: FaultProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._sent = self._answered = 0
        self._lock = threading.Lock()
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def end(self) -> None:
        for sock in (self._client, self._server):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def pass_requests(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._client.recv(_CHUNK):
                with self._lock:
                    begins = self._sent == 0 or self._answered > 0
                    if begins:
                        self._sent = self._answered = 0
                    sent = self._sent
                    self._sent += len(data)
                refusal = self._proxy._refusal() if begins else "pass"
                if refusal == "reset":
                    _reset(self._client)
                    break
                if refusal == "503":
                    self._say_503()
                    break
                data, cut = self._proxy._shape_request(data, sent)
                if data:
                    self._server.sendall(data)
                if cut:
                    break
            else:
                self._server.shutdown(socket.SHUT_WR)
                return
        self.end()

    def pass_answers(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._server.recv(_CHUNK):
                with self._lock:
                    answered = self._answered
                    self._answered += len(data)
                delay, _ = self._proxy._pace()
                if delay and answered == 0 and self._proxy._closed.wait(delay):
                    break
                data, cut = self._proxy._shape_answer(data, answered)
                self._hand_over(data)
                if cut:
                    break
            else:
                self._client.shutdown(socket.SHUT_WR)
                return
        self.end()

    def _hand_over(self, data: bytes) -> None:
        position = 0
        while position < len(data):
            _, rate = self._proxy._pace()
            step = max(1, int(rate / 20)) if rate else len(data)
            self._client.sendall(data[position : position + step])
            position += step
            if rate:
                self._proxy._closed.wait(min(step, len(data)) / rate)

    def _say_503(self) -> None:
        """Answer, and read on for a moment: closing on unread bytes would reset the answer."""
        self._client.sendall(_503)
        self._client.shutdown(socket.SHUT_WR)
        self._client.settimeout(1.0)
        until = time.monotonic() + 5
        with contextlib.suppress(OSError):
            while self._client.recv(_CHUNK) and time.monotonic() < until:
                pass


def _reset(sock: socket.socket) -> None:
    """Close with a TCP reset instead of an orderly end."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
