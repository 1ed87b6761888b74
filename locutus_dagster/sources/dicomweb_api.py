"""Asking one DICOMweb server: the connection, credentials, and bounded retries.

What belongs here: everything between a question and its answer. What does not: which questions
there are (`dicomweb.py`), downloading (`dicomweb_download.py`), and the words of the errors
(`dicomweb_failures.py`).
"""

from __future__ import annotations

import base64
import logging
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tenacity

from locutus_dagster.secret_refs import Secrets
from locutus_dagster.settings import DicomWebSourceSettings
from locutus_dagster.sources.base import SourceError, SourceUnavailableError
from locutus_dagster.sources.dicomweb_failures import Failures
from locutus_dagster.sources.dicomweb_terms import (
    Answer,
    Place,
    TransientError,
    bad_url,
)

if TYPE_CHECKING:
    import requests
    from dicomweb_client import DICOMwebClient

__all__ = ["DicomWebApi"]

_LONGEST_WAIT = 30.0
_CONNECT_TIMEOUT = 10.0
_AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_TALKATIVE = (
    "dicomweb_client",
    "dicomweb_client.session_utils",
    "dicomweb_client.uri",
    "dicomweb_client.web",
    "requests",
    "urllib3",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.poolmanager",
    "urllib3.response",
    "urllib3.util.retry",
)
"""Loggers that quote addresses, in which UIDs and accession numbers stand."""


class DicomWebApi:
    """One DICOMweb server.

    The session is built at the first question; after `close()` the next question opens it again.
    The environment's proxy variables and `.netrc` are not obeyed, and no redirection is followed.

    Args:
        settings: where it is, and how it is reached.
        secrets: resolves the references among the settings; if the server refuses what they led
            to, they are resolved afresh, once.
        backoff: seconds before the second attempt; doubled, with jitter, before each further one.

    Raises:
        SourceError: the URL is none.
    """

    def __init__(
        self, settings: DicomWebSourceSettings, secrets: Secrets, *, backoff: float
    ) -> None:
        place = Place.parse(settings.url)
        self.place = place.shown
        self.connections = settings.connections
        self.timeout = settings.timeout
        self.failures = Failures(place.shown, timeout=settings.timeout, attempts=settings.attempts)
        self._base = place.base
        self._settings = settings
        self._secrets = secrets
        self._backoff = backoff
        self._lock = threading.Lock()
        self._authorization: str | None = None
        self._refused: str | None = None
        self._open: tuple[requests.Session, DICOMwebClient] | None = None

    def __repr__(self) -> str:
        return f"DicomWebApi({self.place!r}, username={self._settings.username!r})"

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._open is not None:
                self._open[0].close()
                self._open = None

    # --- asking --------------------------------------------------------------------------------

    def retrying(self, halt: threading.Event | None = None) -> tenacity.Retrying:
        """Bounded attempts with exponential back-off and jitter; `halt` ends the waiting early."""
        halt = halt or threading.Event()
        return tenacity.Retrying(
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(self._settings.attempts),
                tenacity.stop_when_event_set(halt),
            ),
            wait=tenacity.wait_exponential(multiplier=self._backoff, max=_LONGEST_WAIT)
            + tenacity.wait_random(0, self._backoff),
            sleep=tenacity.sleep_using_event(halt),
            retry=tenacity.retry_if_exception_type(TransientError),
            reraise=True,
        )

    def ask(self, call: Callable[[DICOMwebClient], Any]) -> list[Answer]:
        """One question of QIDO-RS, retried.

        Raises:
            GoneError: the server says 404.
            SourceUnavailableError: after the last attempt.
        """
        try:
            return self.retrying()(self.ask_once, call)
        except TransientError as error:
            failure = self.failures.unavailable(error)
        raise failure

    def ask_once(self, call: Callable[[DICOMwebClient], Any]) -> list[Answer]:
        """One question of QIDO-RS, asked once.

        Raises:
            GoneError: the server says 404.
            TransientError: asking again may help.
            SourceError: asking again does not help.
        """
        import requests

        _, client = self._opened()
        answers: Any = None
        failure: Exception | None = None
        for _ in range(2):
            refused: requests.Response | None = None
            failure = None
            try:
                answers = call(client)
            except requests.HTTPError as error:
                refused = error.response
                failure = TransientError("the server refused two credentials in turn")
            except requests.RequestException as error:
                failure = self.failures.translated(error)
            except ValueError:  # JSON, or an address that the client does not take
                failure = self.failures.not_dicomweb()
            if refused is None:
                break
            if not self._renewed(refused):
                failure = self.failures.refusal(refused.status_code)
                break
        # Raised here and not in the handler, so that no exception chain leads to a foreign text
        # that quotes an address.
        if failure is not None:
            raise failure
        if isinstance(answers, list) and all(isinstance(one, dict) for one in answers):
            return answers
        raise self.failures.not_dicomweb()

    def open_instance(self, study_uid: str, series_uid: str, sop_uid: str) -> requests.Response:
        """Begin to retrieve an instance as it is stored; the caller reads and closes the answer.

        Raises:
            GoneError: the server says 404.
            TransientError: asking again may help.
            SourceError: asking again does not help.
        """
        import requests

        session, _ = self._opened()
        prefix = _path(self._settings.wado_prefix)
        root = f"{self._base}/{prefix}" if prefix else self._base
        url = f"{root}/studies/{study_uid}/series/{series_uid}/instances/{sop_uid}"
        failure: Exception | None = None
        for _ in range(2):
            try:
                response = session.get(
                    url,
                    headers={"Accept": _AS_STORED, "Accept-Encoding": "identity"},
                    timeout=self._timeouts(),
                    stream=True,
                )
            except requests.RequestException as error:
                failure = self.failures.translated(error)
                break
            if response.status_code == 200:
                return response
            response.close()
            if not self._renewed(response):
                failure = self.failures.refusal(response.status_code)
                break
        raise failure or TransientError("the server refused two credentials in turn")

    def _timeouts(self) -> tuple[float, float]:
        return min(self.timeout, _CONNECT_TIMEOUT), self.timeout

    # --- the session ---------------------------------------------------------------------------

    def _opened(self) -> tuple[requests.Session, DICOMwebClient]:
        with self._lock:
            if self._open is None:
                self._open = self._build()
            return self._open

    def _build(self) -> tuple[requests.Session, DICOMwebClient]:
        import requests
        from dicomweb_client import DICOMwebClient

        for name in _TALKATIVE:
            logging.getLogger(name).addFilter(_nothing)
        session = requests.Session()
        session.trust_env = False
        session.max_redirects = 0
        session.verify = self._settings.verify is not False
        session.mount(self._base[: self._base.index(":")] + "://", self._adapter())
        if self._authorization is None:
            self._authorization = self._resolve(fresh=False)
        session.auth = self._authorize
        session.hooks["response"].append(_require_whole)
        failure: SourceError
        try:
            client = DICOMwebClient(
                self._base,
                session=session,
                permissive_uid=True,
                timeout=self._timeouts(),
                qido_url_prefix=_path(self._settings.qido_prefix),
                wado_url_prefix=_path(self._settings.wado_prefix),
            )
        except ValueError:
            failure = bad_url()
        else:
            client.set_http_retry_params(retry=False)
            return session, client
        raise failure

    def _adapter(self) -> requests.adapters.HTTPAdapter:
        from requests.adapters import HTTPAdapter

        tls = self._tls()

        class Adapter(HTTPAdapter):
            def init_poolmanager(self, *args: Any, **options: Any) -> Any:
                return super().init_poolmanager(*args, **options, ssl_context=tls)

            def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
                """Leave it to the context: requests would add authorities of its own."""

        return Adapter(pool_connections=1, pool_maxsize=self.connections, max_retries=0)

    def _tls(self) -> ssl.SSLContext | None:
        if not self._base.startswith("https:"):
            return None
        verify = self._settings.verify
        try:
            context = ssl.create_default_context(
                cafile=str(verify) if isinstance(verify, Path) else None
            )
        except OSError:
            raise SourceUnavailableError(
                "The file of certificate authorities for the DICOMweb server cannot be read.",
                "Check `verify` of the source: it names a PEM file.",
            ) from None
        if verify is False:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    # --- credentials ---------------------------------------------------------------------------

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # dicomweb-client names the host without its port, which some reverse proxies mind.
        request.headers.pop("Host", None)
        if self._authorization is not None:
            request.headers["Authorization"] = self._authorization
        return request

    def _resolve(self, *, fresh: bool) -> str | None:
        token, username = self._settings.token, self._settings.username
        if token is not None:
            return f"Bearer {self._secrets.resolve(token, fresh=fresh)}"
        if username is None:
            return None
        reference = self._settings.password
        password = self._secrets.resolve(reference, fresh=fresh) if reference else ""
        return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")

    def _renewed(self, response: requests.Response) -> bool:
        """Whether a refused request may be sent again, because the secret is another one by now."""
        if response.status_code not in (401, 403):
            return False
        used = response.request.headers.get("Authorization")
        with self._lock:
            if used != self._authorization:  # another thread has just been there
                return True
            if used is None or used == self._refused:
                return False
            self._refused = used
            self._authorization = self._resolve(fresh=True)
            return self._authorization != used


def _require_whole(response: requests.Response, *, stream: bool = False, **_: object) -> None:
    """See that the answer to a question is all there; called by requests for each answer.

    An answer whose head was cut has no length and no content, and dicomweb-client takes no content
    for no study. The end of JSON tells more than a length, which servers may leave out.
    """
    if stream or response.status_code != 200:
        return
    content = response.content.strip()
    if not content or (content[:1] in b"[{" and content[-1:] not in (b"]", b"}")):
        raise TransientError("the answer was cut")


def _path(prefix: str | None) -> str | None:
    return (prefix or "").strip("/") or None


def _nothing(_record: logging.LogRecord) -> bool:
    return False
