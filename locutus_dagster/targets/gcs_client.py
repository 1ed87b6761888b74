"""A client of Google Cloud Storage with the credentials that a workspace's settings name.

What belongs here: credentials, and the client that `google-cloud-storage` makes of them in the
way `dagster-gcp` does. What does not: what is asked of it (`gcs.py`, `gcs_upload.py`), and what is
done when it does not answer (`gcs_calls.py`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import google.auth
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import DefaultCredentialsError
from google.auth.transport.requests import AuthorizedSession
from google.cloud import storage  # type: ignore[import-untyped]
from google.oauth2 import service_account

from locutus_dagster.secret_refs import Secrets
from locutus_dagster.settings import GcsTargetSettings
from locutus_dagster.targets.base import TargetError

__all__ = ["GcsConnection", "connect"]


@dataclass(frozen=True)
class GcsConnection:
    """What requests are made with.

    Attributes:
        client: of Google's library.
        session: for the requests of an upload, with the same credentials.
        secret: what the credentials were made of, to see whether another one has taken its place.
    """

    client: storage.Client
    session: AuthorizedSession
    secret: str

    def __repr__(self) -> str:
        return "GcsConnection()"

    def close(self) -> None:
        """Let go of the connections."""
        self.session.close()  # type: ignore[no-untyped-call]
        self.client.close()


def connect(settings: GcsTargetSettings, secrets: Secrets, *, fresh: bool = False) -> GcsConnection:
    """Make a client; nothing is asked of the store yet.

    Args:
        settings: of the target.
        secrets: resolves `settings.credentials`; the key stays in memory.
        fresh: resolve it anew, because the one at hand has been refused.

    Raises:
        TargetError: the credentials are missing or cannot be used.
        LocutusError: the reference to them cannot be resolved.
    """
    secret = ""
    credentials: Credentials
    if settings.anonymous:
        credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
    elif settings.credentials is not None:
        secret = secrets.resolve(settings.credentials, fresh=fresh)
        credentials = _service_account(secret)
    else:
        credentials = _default()
    options = {"api_endpoint": settings.endpoint_url.rstrip("/")} if settings.endpoint_url else None
    client = storage.Client(
        project=settings.project, credentials=credentials, client_options=options
    )
    return GcsConnection(client, AuthorizedSession(credentials), secret)  # type: ignore[no-untyped-call]


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
    credentials: Credentials = found
    return credentials
