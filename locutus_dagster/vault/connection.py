"""One connection to Vault: logged in, kept alive, and patient for a while.

What belongs here: the HTTP session, when to log in and to renew, retries. What does not: the
auth methods (`logins.py`), what an answer means (`answers.py`), engines and paths (`client.py`).

Nothing that hvac or requests raises leaves this module, not even as the context of an error: their
exceptions carry requests and answers.
"""

from __future__ import annotations

import importlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from locutus_dagster.errors import LocutusError
from locutus_dagster.vault.answers import Refused, data_of, libraries, translated
from locutus_dagster.vault.faults import VaultError, VaultUnavailableError
from locutus_dagster.vault.logins import Login, log_in
from locutus_dagster.vault.options import VaultSettings

__all__ = ["Connection"]

T = TypeVar("T")

#: Their debugging lines name paths, and are other people's to word.
_TALKATIVE = ("urllib3", "urllib3.connectionpool", "requests", "hvac")
#: The longest that the keeper sleeps, in seconds, before it looks whether it is still needed.
_LONGEST_SLEEP = 30.0
#: Seconds between two attempts: at first, and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0


class Connection:
    """Asks Vault, from any thread, one question at a time. A forked process starts anew.

    Args:
        settings: how Vault is reached, with what the environment adds to it.
        own_secret: fetches what opens Vault: the token, the secret of a role, a service account's
            token. It is asked at each login, because those are exchanged as well.
    """

    def __init__(self, settings: VaultSettings, own_secret: Callable[[str], str]) -> None:
        self._settings = settings
        self._own_secret = own_secret
        self.forget()
        _CONNECTIONS.add(self)

    def forget(self) -> None:
        """Be as new: no session, no login, and a lock that nobody holds."""
        #: Held while Vault is asked; whoever holds it may ask.
        self.lock = threading.RLock()
        self._client: Any = None
        self._login: Login | None = None
        self._keeper: threading.Thread | None = None

    def ask(self, question: Callable[[Any], T], *, namespace: str | None = None) -> T:
        """Put a question to the hvac client that it is called with; more than once if need be.

        Raises:
            Refused: the answer is no.
            VaultUnavailableError: there is no answer, after bounded retries.
            VaultError: the login is refused, or Vault cannot be asked as it is set up.
        """
        tenacity = importlib.import_module("tenacity")
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(VaultUnavailableError),
            stop=tenacity.stop_after_attempt(self._settings.attempts),
            wait=tenacity.wait_exponential(multiplier=_FIRST_PAUSE, max=_LONGEST_PAUSE)
            + tenacity.wait_random(0, _FIRST_PAUSE),
            reraise=True,
        )
        with self.lock:
            answer: T = retrying(self._ask_once, question, namespace)
        return answer

    def _ask_once(self, question: Callable[[Any], T], namespace: str | None) -> T:
        client = self._open()
        now = time.monotonic()
        if self._login is None or self._login.ended(now):
            self._enter(client)
        elif self._login.due(now):
            self._renew(client)
        doubtful = False
        try:
            return self._put(client, question, namespace)
        except Refused as refusal:
            if refusal.why != "denied":
                raise
            doubtful = not self._is_known(client)
        if not doubtful:
            raise Refused("denied")
        # Revoked or expired before its time, or of a Vault that has been replaced.
        self._enter(client)
        return self._put(client, question, namespace)

    def _put(self, client: Any, question: Callable[[Any], T], namespace: str | None = None) -> T:
        failure: Exception
        client.adapter.namespace = namespace or self._settings.namespace
        try:
            return question(client)
        except Exception as error:  # noqa: BLE001 - translated; programming errors pass below
            failure = translated(error, self._settings)
        finally:
            client.adapter.namespace = self._settings.namespace
        # Out here, so that the foreign exception is not even its context.
        raise failure

    def _open(self) -> Any:
        if self._client is None:
            self._client = _new_client(self._settings)
        return self._client

    def _enter(self, client: Any) -> None:
        """Log in, and see to it that the token lives on."""
        login = log_in(
            self._settings,
            self._own_secret,
            lambda question: self._put(client, question),
            last=self._login.token if self._login else None,
        )
        if login is None:  # the same token again, which has just been refused
            raise Refused("token")
        self._adopt(client, login)

    def _adopt(self, client: Any, login: Login) -> None:
        self._login = login
        client.token = login.token
        if login.renewable and self._keeper is None:
            self._keeper = threading.Thread(
                target=_keep, args=(weakref.ref(self),), name="vault-token", daemon=True
            )
            self._keeper.start()

    def _is_known(self, client: Any) -> bool:
        """Whether Vault knows the token: then it is the policy that forbids."""
        try:
            self._put(client, lambda client: client.auth.token.lookup_self())
        except Refused:
            return False
        return True

    def _renew(self, client: Any) -> None:
        """Prolong the token; log in anew where that is not, or hardly, possible any more."""
        login = self._login
        assert login is not None
        renewed = None
        if login.renewable:
            try:
                answer = self._put(client, lambda client: client.auth.token.renew_self())
            except Refused:
                pass
            else:
                renewed = login.prolonged(data_of(answer, "auth"))
        if renewed is not None and not renewed.dwindling:
            self._login = renewed
            return
        # At its end for good. Where no new login can be had, what is left of it is used up.
        self._login = renewed or login.last()
        try:
            self._enter(client)
        except VaultUnavailableError:
            raise
        except (Refused, LocutusError):
            self._login = self._login.last()

    def keep_alive(self) -> float | None:
        """Renew the token if it is time; returns the seconds until the next look, None at the end.

        Vault being away is no matter here: whoever asks next will say so.
        """
        with self.lock:
            now = time.monotonic()
            if self._login is None or self._login.ended(now) or not self._login.renewable:
                self._keeper = None
                return None
            if self._login.due(now):
                try:
                    self._renew(self._open())
                except (Refused, LocutusError):
                    self._login = self._login.later(now)
            return min(self._login.seconds_until_due(time.monotonic()), _LONGEST_SLEEP)


def _keep(reference: weakref.ref[Connection]) -> None:
    """Renew a connection's token as long as the connection is there."""
    while (connection := reference()) is not None:
        pause = connection.keep_alive()
        del connection
        if pause is None:
            return
        time.sleep(pause)


def _new_client(settings: VaultSettings) -> Any:
    if settings.address is None:
        raise VaultError(
            "A secret lies in Vault, and nobody says where Vault is.",
            "Set vault.address in locutus.yaml, or export VAULT_ADDR.",
        )
    hvac, requests = libraries()
    for name in _TALKATIVE:
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.INFO))
    verify: bool | str = settings.verify is True
    if not isinstance(settings.verify, bool):
        verify = str(settings.verify.expanduser())
        if not os.access(verify, os.R_OK):
            raise VaultError(
                f"The file of authorities for Vault cannot be read: {verify}.",
                "Correct vault.verify, or VAULT_CACERT.",
            )
    session = requests.Session()
    # Neither proxies nor ~/.netrc nor a bundle of authorities that was meant for something else.
    session.trust_env = False
    if settings.use_proxies:
        session.proxies = requests.utils.get_environ_proxies(settings.address)
    if settings.address.startswith("https:"):
        # A redirect, as a standby node sends it, must not carry the token over an open line.
        session.adapters.pop("http://")
    session.verify = verify
    return hvac.Client(
        url=settings.address,
        token="",  # not the one that `vault login` left in the home folder
        verify=verify,
        timeout=settings.timeout,
        session=session,
        namespace=settings.namespace,
    )


_CONNECTIONS: weakref.WeakSet[Connection] = weakref.WeakSet()


def _forget_all() -> None:
    """In a forked child: sockets and locks are the parent's, and its keeper is not here."""
    for connection in list(_CONNECTIONS):
        connection.forget()


os.register_at_fork(after_in_child=_forget_all)
