"""Asking one Orthanc: the connection, bounded retries, and what each failure means.

What belongs here: everything between a question and its answer. What does not: which questions
there are (`orthanc.py`, `orthanc_overview.py`), and downloading (`orthanc_download.py`).
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tenacity

from locutus_dagster.sources.base import SourceError, SourceUnavailableError
from locutus_dagster.sources.orthanc_terms import (
    Address,
    GoneError,
    TransientError,
    UnreachableError,
    bad_url,
)
from locutus_dagster.sources.quiet import hush_http_loggers

if TYPE_CHECKING:
    import httpx
    import pyorthanc

__all__ = ["OrthancApi"]

_LONGEST_WAIT = 30.0
_CONNECT_TIMEOUT = 10.0


class OrthancApi:
    """One Orthanc's REST API.

    The client is built at the first question; after `close()` the next question opens it again.

    Args:
        address: where it is.
        username: for basic authentication; None for none.
        password: see `username`.
        verify: see `OrthancSource`.
        timeout: seconds to wait for the next bytes of an answer (and at most 10 to connect).
        attempts: how often one request is tried before giving up.
        connections: how many requests may be under way at the same time.
        backoff: seconds before the second attempt; doubled, with jitter, before each further one.
    """

    def __init__(
        self,
        address: Address,
        *,
        username: str | None,
        password: str | None,
        verify: bool | str | Path,
        timeout: float,
        attempts: int,
        connections: int,
        backoff: float,
    ) -> None:
        self.base = address.base
        self.place = address.place
        self.username = username
        self.connections = connections
        self._password = password
        self._verify = verify
        self._timeout = timeout
        self._attempts = attempts
        self._backoff = backoff
        self._open_client: pyorthanc.Orthanc | None = None

    def __repr__(self) -> str:
        return f"OrthancApi({self.place!r}, username={self.username!r})"

    def close(self) -> None:
        """Close the connections."""
        if self._open_client is not None:
            self._open_client.close()
            self._open_client = None

    # --- asking --------------------------------------------------------------------------------

    @property
    def client(self) -> pyorthanc.Orthanc:
        """The client itself, for what is not a question with a JSON answer."""
        if self._open_client is None:
            import httpx
            import pyorthanc

            hush_http_loggers()
            auth = None
            if self.username is not None:
                auth = httpx.BasicAuth(self.username, self._password or "")
            self._open_client = pyorthanc.Orthanc(
                self.base,
                return_raw_response=True,
                auth=auth,
                headers={"Accept-Encoding": "identity"},
                timeout=httpx.Timeout(
                    self._timeout, connect=min(self._timeout, _CONNECT_TIMEOUT), pool=None
                ),
                limits=httpx.Limits(
                    max_connections=self.connections,
                    max_keepalive_connections=self.connections,
                ),
                verify=self._tls(),
                trust_env=False,
            )
        return self._open_client

    def _tls(self) -> ssl.SSLContext | bool:
        if self._verify is False or not self.base.startswith("https:"):
            return False
        try:
            return ssl.create_default_context(
                cafile=None if self._verify is True else str(self._verify)
            )
        except OSError:
            raise SourceUnavailableError(
                "The file of certificate authorities for Orthanc cannot be read.",
                "Check `verify` of the source: it names a PEM file.",
            ) from None

    def retrying(self, halt: threading.Event | None = None) -> tenacity.Retrying:
        """Bounded attempts with exponential back-off and jitter; `halt` ends the waiting early."""
        halt = halt or threading.Event()
        return tenacity.Retrying(
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(self._attempts), tenacity.stop_when_event_set(halt)
            ),
            wait=tenacity.wait_exponential(multiplier=self._backoff, max=_LONGEST_WAIT)
            + tenacity.wait_random(0, self._backoff),
            sleep=tenacity.sleep_using_event(halt),
            retry=tenacity.retry_if_exception_type(TransientError),
            reraise=True,
        )

    def ask(self, call: Callable[[pyorthanc.Orthanc], Any], expected: type) -> Any:
        """One question with a JSON answer, retried.

        Raises:
            GoneError: Orthanc says 404.
            SourceUnavailableError: after the last attempt.
        """
        try:
            return self.retrying()(self.ask_once, call, expected)
        except TransientError as error:
            failure = self.unavailable(error)
        raise failure

    def ask_once(self, call: Callable[[pyorthanc.Orthanc], Any], expected: type) -> Any:
        """One question with a JSON answer, asked once.

        Raises:
            GoneError: Orthanc says 404.
            TransientError: asking again may help.
            SourceError: asking again does not help.
        """
        import httpx

        failure: Exception
        try:
            response = call(self.client)
        except httpx.InvalidURL:
            failure = bad_url()
        except httpx.HTTPError as error:
            failure = self.translated(error)
        else:
            self.refuse(response)
            try:
                answer = response.json()
            except ValueError:
                answer = None
            if isinstance(answer, expected):
                return answer
            failure = self.not_an_orthanc()
        # Raised here and not in the handler, so that no exception chain leads to a foreign text
        # that quotes an address.
        raise failure

    # --- naming failures -----------------------------------------------------------------------

    def refuse(self, response: httpx.Response) -> None:
        """Turn a status other than success into the error that fits it."""
        status = response.status_code
        if 200 <= status < 300:
            return
        if status in (401, 403):
            raise SourceUnavailableError(
                f"Orthanc at {self.place} refuses these credentials (HTTP {status}).",
                "Check the source's username and password, and that this user may read studies.",
            )
        if status == 404:
            raise GoneError
        if status == 429 or status >= 500:
            raise TransientError(f"Orthanc answered with HTTP status {status}")
        if 300 <= status < 400:
            raise SourceUnavailableError(
                f"Orthanc at {self.place} redirects elsewhere (HTTP {status}).",
                "Give the source the URL of Orthanc's REST API itself.",
            )
        raise SourceError(
            f"Orthanc at {self.place} does not accept the request (HTTP {status}).",
            "Look into Orthanc's log.",
        )

    def translated(self, error: httpx.HTTPError) -> Exception:
        """Our own error for one of httpx, whose text may quote an address."""
        import httpx

        if isinstance(error, httpx.ConnectError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
            return SourceUnavailableError(
                f"The TLS certificate of Orthanc at {self.place} is not trusted.",
                "Give the source the file of its certificate authority in `verify`.",
            )
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return UnreachableError("Orthanc did not accept the connection")
        if isinstance(error, httpx.TimeoutException):
            return TransientError(f"Orthanc sent nothing for {self._timeout:g} s")
        return TransientError("the connection broke")

    def unavailable(self, error: TransientError) -> SourceUnavailableError:
        """Our error for people, after the last attempt."""
        if isinstance(error, UnreachableError):
            return SourceUnavailableError(
                f"Orthanc does not answer at {self.place}.",
                "Check the source's URL and the network, and that Orthanc runs.",
            )
        return SourceUnavailableError(
            f"Orthanc at {self.place} failed {self._attempts} times; at last: {error}.",
            "Look into Orthanc's log and load, then run again.",
        )

    def not_an_orthanc(self) -> SourceUnavailableError:
        """The error for an answer that no Orthanc gives."""
        return SourceUnavailableError(
            f"What answers at {self.place} does not answer like Orthanc's REST API.",
            "Check the source's URL, with the path of a reverse proxy if there is one.",
        )
