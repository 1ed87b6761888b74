"""Who we are to Orthanc: the one header that says so, and fetching it anew when it is refused.

What belongs here: basic authentication, bearer tokens, and a secret that was rotated. What does
not: sending the header (`orthanc_wire.py`), and where secrets are kept (`secret_refs.py`).
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable

from locutus_dagster.errors import LocutusError
from locutus_dagster.sources.base import SourceError, SourceUnavailableError

__all__ = ["Access", "Given", "giver"]

Given = str | Callable[[bool], str] | None
"""A secret, or a function that fetches it; its argument says whether to ask afresh."""


def giver(secret: Given) -> Callable[[bool], str] | None:
    """A function that gives the secret; None for None."""
    if isinstance(secret, str):
        return lambda fresh: secret
    return secret


class Access:
    """The credentials of one source. Safe to use from several threads.

    Args:
        username: for basic authentication; None for none.
        password: see `username`.
        token: a bearer token, instead of a password.

    Raises:
        SourceError: a token and a password are given.
    """

    def __init__(self, *, username: str | None, password: Given, token: Given) -> None:
        if token is not None and password is not None:
            raise SourceError(
                "The Orthanc source has a token and a password.",
                "Keep one of them: `token`, or `username` and `password`.",
            )
        self.username = username
        self._secret = giver(token if token is not None else password)
        self._bearer = token is not None
        self._header: str | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Access(username={self.username!r}, bearer={self._bearer})"

    def header(self) -> str | None:
        """The value of the header `Authorization`; None where nothing is to be said.

        Raises:
            LocutusError: the secret cannot be fetched.
        """
        with self._lock:
            if self._header is None:
                self._header = self._made(fresh=False)
            return self._header

    def renew(self, refused: str | None) -> bool:
        """Whether there is another header than the one that was refused, now.

        The secret is fetched afresh, unless another thread has done so since.

        Raises:
            SourceUnavailableError: it cannot be fetched afresh.
        """
        with self._lock:
            if self._header != refused:
                return True
            try:
                self._header = self._made(fresh=True)
            except LocutusError as error:
                failure = SourceUnavailableError(
                    "Orthanc refuses these credentials, and they could not be fetched anew: "
                    f"{error.message}",
                    error.hint,
                )
            else:
                return self._header != refused
        raise failure

    def _made(self, *, fresh: bool) -> str | None:
        secret = self._secret(fresh) if self._secret is not None else ""
        if self._bearer:
            # Checked here, because the HTTP library would quote the token in its own complaint.
            if not (secret.isascii() and secret.isprintable() and secret.split() == [secret]):
                raise SourceError(
                    "The bearer token for Orthanc is not one: it has spaces or other characters.",
                    "Check `token` of the source.",
                )
            return f"Bearer {secret}"
        if self.username is None:
            return None
        pair = f"{self.username}:{secret}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")
