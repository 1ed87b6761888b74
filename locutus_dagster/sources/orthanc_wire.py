"""The wire to one Orthanc: kept-alive connections, TLS, credentials, and answers that stall.

What belongs here: sending a request and reading its answer, once. What does not: which requests
there are, and asking again (`orthanc_api.py`, `orthanc_download.py`).

The standard library's client, and not httpx, because it reads an answer of known length in one
piece: an instance of half a megabyte takes a quarter of a millisecond, and httpx needs several
times that. The environment's proxy variables mean nothing to it, which is what we want.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from locutus_dagster.sources.base import SourceUnavailableError
from locutus_dagster.sources.orthanc_access import Access
from locutus_dagster.sources.orthanc_terms import (
    Address,
    TransientError,
    UnreachableError,
    bad_url,
)

__all__ = ["Answer", "Wire"]

_CONNECT_TIMEOUT = 10.0
_BUFFER = 1 << 16
_WORTH_READING = 1 << 16
"""The rest of an unwanted answer that is read so that its connection can be kept."""
_KEPT_FOR = 1.0
"""Seconds a connection may be idle; Orthanc itself closes it after as many."""
_STALE = (ConnectionError, http.client.BadStatusLine, ssl.SSLEOFError)
_REFUSED = (401, 403)


class _StalledError(OSError):
    """The answer comes too slowly to be waited for."""


class Answer:
    """An answer of which the head has arrived.

    Attributes:
        status: its HTTP status.
        headers: its headers, by name.
        length: bytes of the body as announced; None if they are not, or not of the plain body.
    """

    def __init__(self, wire: Wire, response: http.client.HTTPResponse) -> None:
        self._wire, self._response = wire, response
        self.status = response.status
        self.headers = response.headers
        encoded = response.headers.get("content-encoding", "identity") != "identity"
        self.length = None if encoded else response.length

    def read(self, amount: int | None = None) -> bytes:
        """The next `amount` bytes, or as many as there are; all that is left without `amount`.

        Raises:
            TransientError: the connection broke, or brings too little.
        """
        failure: Exception
        try:
            data = self._response.read(amount)
        except (OSError, http.client.HTTPException) as error:
            failure = self._wire.named(error)
        else:
            if not self._response.length or (amount is not None and len(data) == amount):
                return data
            failure = TransientError("the connection broke")
        raise failure


class Wire:
    """Connections to one Orthanc, kept alive and shared by threads.

    Args:
        address: where it is.
        access: who we are.
        verify: see `OrthancSource`.
        timeout: seconds to wait for the next bytes (and at most 10 to connect).
        slowest: bytes a second below which an answer is given up, once it has been waited for
            longer than `timeout`; waiting for its first byte does not count.
        connections: how many requests may be under way at the same time.
    """

    def __init__(
        self,
        address: Address,
        access: Access,
        *,
        verify: bool | str | Path,
        timeout: float,
        slowest: float,
        connections: int,
    ) -> None:
        self._address, self.access = address, access
        self._verify = verify
        self._timeout, self._slowest = timeout, slowest
        self._places = threading.BoundedSemaphore(connections)
        self._lock = threading.Lock()
        self._idle: list[tuple[float, http.client.HTTPConnection]] = []
        self._context: ssl.SSLContext | None = None

    @contextlib.contextmanager
    def ask(
        self, method: str, path: str, *, body: bytes | None = None, content_type: str = ""
    ) -> Iterator[Answer]:
        """Send one request; its answer can be read inside the `with`.

        Credentials that are refused are fetched afresh, and the request is sent once more.

        Args:
            method: GET or POST; sending it twice must do no harm.
            path: from the server's root, with the address's own path.
            body: what to send; None for nothing.
            content_type: of the body.

        Raises:
            TransientError: asking again may help.
            SourceUnavailableError: it does not.
        """
        headers = {"Accept-Encoding": "identity"}
        if content_type:
            headers["Content-Type"] = content_type
        with self._places:
            for last_try in (False, True):
                said = self.access.header()
                if said is not None:
                    headers["Authorization"] = said
                connection, response = self._sent(method, path, body, headers)
                in_order = False
                try:
                    refused = response.status in _REFUSED
                    final = last_try or not refused or not self.access.renew(said)
                    if final:
                        yield Answer(self, response)
                    in_order = True
                finally:
                    self._put_back(connection, response, in_order)
                if final:
                    return

    def close(self) -> None:
        """Close the connections; the next request opens one again."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    def named(self, error: Exception) -> Exception:
        """Our own error for one of the library, whose text may quote an address."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return SourceUnavailableError(
                f"The TLS certificate of Orthanc at {self._address.place} is not trusted.",
                "Give the source the file of its certificate authority in `verify`.",
            )
        if isinstance(error, http.client.InvalidURL | UnicodeError):
            return bad_url()
        if isinstance(error, _StalledError):
            return TransientError(f"its answer came at less than {self._slowest:g} bytes a second")
        if isinstance(error, TimeoutError):
            return TransientError(f"Orthanc sent nothing for {self._timeout:g} s")
        return TransientError("the connection broke")

    # --- connections ---------------------------------------------------------------------------

    def _sent(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Send the request and read the answer's head.

        A connection that was kept may have been closed by the other side at any moment, so one
        that breaks before the answer begins says nothing about the server: a new one is tried.
        """
        failure: Exception | None = None
        connection = self._kept()
        if connection is not None:
            try:
                return connection, _exchange(connection, method, path, body, headers)
            except _STALE:
                connection.close()
            except (OSError, ValueError, http.client.HTTPException) as error:
                connection.close()
                failure = self.named(error)
        if failure is None:
            connection = self._connected()
            try:
                return connection, _exchange(connection, method, path, body, headers)
            except (OSError, ValueError, http.client.HTTPException) as error:
                connection.close()
                failure = self.named(error)
        raise failure

    def _kept(self) -> http.client.HTTPConnection | None:
        """A connection that was kept and is probably still open."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                since, connection = self._idle.pop()
            if time.monotonic() - since < _KEPT_FOR:
                return connection
            connection.close()

    def _connected(self) -> http.client.HTTPConnection:
        host, port = self._address.host, self._address.port
        patience = min(self._timeout, _CONNECT_TIMEOUT)
        connection: http.client.HTTPConnection
        failure: Exception
        try:
            if self._address.tls:
                connection = http.client.HTTPSConnection(
                    host, port, timeout=patience, context=self._tls()
                )
            else:
                connection = http.client.HTTPConnection(host, port, timeout=patience)
            connection.connect()
        except (ssl.SSLCertVerificationError, UnicodeError, http.client.HTTPException) as error:
            failure = self.named(error)
        except ssl.SSLError:
            failure = TransientError("no TLS connection could be made")
        except OSError:
            failure = UnreachableError("Orthanc did not accept the connection")
        else:
            connection.sock.settimeout(self._timeout)
            connection.response_class = self._response  # type: ignore[assignment]
            return connection
        raise failure

    def _response(self, sock: socket.socket, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:
        watched: Any = _Watched(sock, self._timeout, self._slowest)
        return http.client.HTTPResponse(watched, *args, **kwargs)

    def _put_back(
        self,
        connection: http.client.HTTPConnection,
        response: http.client.HTTPResponse,
        in_order: bool,
    ) -> None:
        """Keep the connection if the answer has been read to its end, or soon can be."""
        if in_order and 0 < (response.length or 0) <= _WORTH_READING:
            with contextlib.suppress(OSError, http.client.HTTPException):
                response.read()
        if response.isclosed() and connection.sock is not None:
            with self._lock:
                self._idle.append((time.monotonic(), connection))
        else:
            response.close()
            connection.close()

    def _tls(self) -> ssl.SSLContext:
        with self._lock:
            if self._context is None:
                authorities = None if isinstance(self._verify, bool) else str(self._verify)
                try:
                    context = ssl.create_default_context(cafile=authorities)
                except OSError:
                    raise SourceUnavailableError(
                        "The file of certificate authorities for Orthanc cannot be read.",
                        "Check `verify` of the source: it names a PEM file.",
                    ) from None
                if self._verify is False:
                    context.check_hostname = False
                    context.verify_mode = ssl.CERT_NONE
                self._context = context
            return self._context


def _exchange(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None,
    headers: dict[str, str],
) -> http.client.HTTPResponse:
    connection.request(method, path, body=body, headers=headers)
    return connection.getresponse()


class _Watched:
    """A socket whose answer is read under watch."""

    def __init__(self, sock: socket.socket, timeout: float, slowest: float) -> None:
        self._sock, self._timeout, self._slowest = sock, timeout, slowest

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What `HTTPResponse` reads from."""
        raw = self._sock.makefile("rb", buffering=0)
        return io.BufferedReader(_WatchedReads(raw, self._timeout, self._slowest), _BUFFER)


class _WatchedReads(io.RawIOBase):
    """Reads of one answer, given up when they bring too little for the time they took.

    Only time spent in waiting for bytes counts, so that a slow sink is no slow server.
    """

    def __init__(self, raw: io.RawIOBase, timeout: float, slowest: float) -> None:
        self._raw, self._timeout, self._slowest = raw, timeout, slowest
        self._received, self._waited = 0, 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        began = time.monotonic()
        count = self._raw.readinto(buffer) or 0
        if self._received:
            self._waited += time.monotonic() - began
        self._received += count
        if self._waited > self._timeout + self._received / self._slowest:
            raise _StalledError
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
