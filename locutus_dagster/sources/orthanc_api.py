"""Asking one Orthanc: questions, bounded retries, and what each failure means.

What belongs here: everything between a question and its answer, and which Orthanc it is that
answers. What does not: which questions there are (`orthanc.py`, `orthanc_overview.py`), sending
them (`orthanc_wire.py`), and downloading (`orthanc_download.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import tenacity

from locutus_dagster.sources.base import SourceError, SourceUnavailableError
from locutus_dagster.sources.orthanc_features import System, system_in
from locutus_dagster.sources.orthanc_terms import (
    Address,
    GoneError,
    TransientError,
    UnreachableError,
    bad_url,
)
from locutus_dagster.sources.orthanc_wire import Wire
from locutus_dagster.sources.quiet import hush_http_loggers

if TYPE_CHECKING:
    import pyorthanc

__all__ = ["OrthancApi"]

_LONGEST_WAIT = 30.0


class OrthancApi:
    """One Orthanc's REST API.

    The client is built at the first question; after `close()` the next question opens it again.

    Args:
        address: where it is.
        wire: how it is reached.
        attempts: how often one request is tried before giving up.
        backoff: seconds before the second attempt; doubled, with jitter, before each further one.
    """

    def __init__(self, address: Address, wire: Wire, *, attempts: int, backoff: float) -> None:
        self.place = address.place
        self.path = address.path
        self.wire = wire
        self._base = address.base
        self._attempts = attempts
        self._backoff = backoff
        self._open_client: pyorthanc.Orthanc | None = None
        self._system: System | None = None

    def __repr__(self) -> str:
        return f"OrthancApi({self.place!r})"

    def close(self) -> None:
        """Close the connections."""
        self.wire.close()
        if self._open_client is not None:
            self._open_client.close()
            self._open_client = None

    # --- asking --------------------------------------------------------------------------------

    @property
    def _client(self) -> pyorthanc.Orthanc:
        if self._open_client is None:
            import pyorthanc

            from locutus_dagster.sources.orthanc_transport import WireTransport

            hush_http_loggers()
            self._open_client = pyorthanc.Orthanc(
                self._base,
                return_raw_response=True,
                transport=WireTransport(self.wire),
                trust_env=False,
            )
        return self._open_client

    def system(self, *, again: bool = False) -> System:
        """Which Orthanc this is; asked once, or `again`.

        Raises:
            SourceUnavailableError: it does not answer, refuses us, is too old, or is none.
        """
        if self._system is None or again:
            try:
                answer = self.ask(lambda orthanc: orthanc.get_system(), dict)
            except GoneError:
                answer = {}
            self._system = system_in(answer, self.place) or None
        if self._system is None:
            raise self.not_an_orthanc()
        return self._system

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
            response = call(self._client)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            failure = bad_url()
        else:
            self.refuse(response.status_code)
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

    def refuse(self, status: int) -> None:
        """Turn a status other than success into the error that fits it."""
        if 200 <= status < 300:
            return
        if status in (401, 403):
            raise SourceUnavailableError(
                f"Orthanc at {self.place} refuses these credentials (HTTP {status}).",
                "Check the source's credentials, and that their owner may read studies.",
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
