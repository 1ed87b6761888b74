"""A client of Google Cloud Storage with the credentials that a workspace's settings name.

What belongs here: credentials, and the client that `google-cloud-storage` makes of them in the
way `dagster-gcp` does. What does not: what is asked of it (`gcs.py`, `gcs_upload.py`), and what is
done when it does not answer (`gcs_calls.py`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import google.auth
import requests
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import DefaultCredentialsError
from google.auth.transport.requests import AuthorizedSession
from google.cloud import storage  # type: ignore[import-untyped]
from google.oauth2 import service_account

from locutus_dagster.secret_refs import Secrets
from locutus_dagster.settings import GcsTargetSettings
from locutus_dagster.targets.base import TargetError, resolved
from locutus_dagster.targets.quiet import hush_loggers_of

__all__ = ["GcsConnection", "UnsettledError", "connect"]

_TALKATIVE = (
    "google.api_core",
    "google.auth",
    "google.cloud.storage",
    "google.oauth2",
    "google.resumable_media",
    "requests",
    "urllib3",
)


class UnsettledError(Exception):
    """An answer that Google's library would misread, or that settles nothing.

    Attributes:
        status: of the answer; 0 where that is not to be relied on.
    """

    def __init__(self, status: int = 0) -> None:
        super().__init__(f"status {status}")
        self.status = status


class _Session(AuthorizedSession):
    """Google's session, without the answers that its library takes for what they are not."""

    def request(self, method: Any, url: Any, *args: Any, **options: Any) -> requests.Response:
        """Make a request.

        Raises:
            UnsettledError: the answer ends in its head; or it is a gateway's refusal in JSON that
                is no object, on which the library fails.
            TargetError: no request can be made with what is found on this machine.
        """
        response = self._asked(method, url, *args, **options)
        if options.get("stream"):
            return response  # its length is compared by whoever reads it
        if response.status_code >= 400 and not _is_text_or_object(response):
            raise UnsettledError(response.status_code)
        lengths = {"Content-Length", "Transfer-Encoding"} & {*map(str.title, response.headers)}
        if not lengths and not response.content and response.status_code != 204:
            raise UnsettledError
        return response

    def _asked(self, method: Any, url: Any, *args: Any, **options: Any) -> requests.Response:
        try:
            response: requests.Response = super().request(method, url, *args, **options)  # type: ignore[no-untyped-call]
        except (requests.RequestException, ConnectionError):
            raise
        except OSError as error:
            # Of a file that the libraries want, never of the one that is sent: that comes as bytes.
            raise _unusable(error) from None
        return response


def _unusable(error: OSError) -> TargetError:
    # Its text names files of this machine.
    return TargetError(
        "Google Cloud Storage cannot be asked with the files that are set up on this machine "
        f"({type(error).__name__}).",
        "See that REQUESTS_CA_BUNDLE and GOOGLE_APPLICATION_CREDENTIALS, where they are set, name "
        "files that can be read.",
    )


def _is_text_or_object(response: requests.Response) -> bool:
    try:
        return isinstance(response.json(), dict)
    except ValueError:
        return True


@dataclass(frozen=True)
class GcsConnection:
    """What requests are made with.

    Attributes:
        client: of Google's library.
        session: the one beneath it, for the requests of an upload.
        secret: what the credentials were made of, to see whether another one has taken its place.
    """

    client: storage.Client
    session: AuthorizedSession
    secret: str

    def __repr__(self) -> str:
        return "GcsConnection()"

    def close(self) -> None:
        """Let go of the connections."""
        self.client.close()


def connect(settings: GcsTargetSettings, secrets: Secrets, *, fresh: bool = False) -> GcsConnection:
    """Make a client; nothing is asked of the store yet.

    Args:
        settings: of the target.
        secrets: resolves `settings.credentials`; the key stays in memory.
        fresh: resolve it anew, because the one at hand has been refused.

    Raises:
        TargetError: the credentials are missing or cannot be used, or the reference to them cannot
            be resolved.
    """
    hush_loggers_of(*_TALKATIVE)
    secret = ""
    credentials: Credentials
    if settings.anonymous:
        credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
    elif settings.credentials is not None:
        secret = resolved(secrets, settings.credentials, fresh=fresh)
        credentials = _service_account(secret)
    else:
        credentials = _default()
    options = {"api_endpoint": settings.endpoint_url.rstrip("/")} if settings.endpoint_url else None
    session = _Session(credentials)  # type: ignore[no-untyped-call]
    client = storage.Client(
        project=settings.project, credentials=credentials, client_options=options, _http=session
    )
    return GcsConnection(client, session, secret)


def _service_account(secret: str) -> Credentials:
    try:
        made: Credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
            json.loads(secret), scopes=storage.Client.SCOPE
        )
    except (ValueError, TypeError, AttributeError, KeyError):
        # Nothing of the cause is quoted: it holds the key.
        raise TargetError(
            "The credentials for Google Cloud Storage are not a service account's key.",
            "The secret must be the whole JSON file that Google gives out for the account "
            "(with client_email, private_key and token_uri).",
        ) from None
    return made


def _default() -> Credentials:
    try:
        found, _ = google.auth.default(scopes=storage.Client.SCOPE)
    except DefaultCredentialsError:
        raise TargetError(
            "No credentials for Google Cloud Storage are found on this machine.",
            "Set `credentials` of the target to a reference to a service account's key, or "
            "provide default credentials (GOOGLE_APPLICATION_CREDENTIALS, a workload's identity).",
        ) from None
    except OSError as error:
        raise _unusable(error) from None
    credentials: Credentials = found
    return credentials
