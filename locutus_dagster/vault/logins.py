"""Logging in to Vault, and for how long that is good.

What belongs here: the auth methods, and the arithmetic of a token's life. What does not: when to
log in or to renew (`connection.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from locutus_dagster.vault.answers import Refused, data_of
from locutus_dagster.vault.faults import VaultDeniedError
from locutus_dagster.vault.options import VaultSettings

__all__ = ["Login", "log_in"]

#: A token is renewed when this part of what it was granted has gone by.
_RENEWED_AFTER = 2 / 3
#: A renewal that grants less than this part of the first grant runs into the token's last end.
_DWINDLING = 1 / 2
#: The shortest time between two renewals, in seconds.
_SHORTEST = 1.0


@dataclass(frozen=True)
class Login:
    """A token and its life, by the monotonic clock.

    Attributes:
        token: shown by no `repr`.
        granted: seconds, from now on; 0 where it lives for ever.
        usual: what the first login granted.
        since: when it was granted.
        renewable: whether a renewal is worth trying.
    """

    token: str = field(repr=False)
    granted: float
    usual: float
    since: float
    renewable: bool
    next_look: float | None = None

    @classmethod
    def granted_now(cls, token: str, seconds: float, *, renewable: bool) -> Login:
        """A token that lives for `seconds` from now on; 0: for ever."""
        return cls(token, seconds, seconds, time.monotonic(), renewable and seconds > 0)

    def prolonged(self, auth: dict[str, Any]) -> Login:
        """The same token after a renewal."""
        return replace(
            self,
            # Nothing granted is its end here; with a login it is a life without one.
            granted=_seconds(auth, "lease_duration") or _SHORTEST,
            since=time.monotonic(),
            renewable=bool(auth.get("renewable")),
            next_look=None,
        )

    def last(self) -> Login:
        """The same token, to be used up without another renewal."""
        return replace(self, renewable=False, next_look=float("inf"))

    def later(self, now: float) -> Login:
        """The same token, to be renewed in a while, because it could not be now."""
        return replace(self, next_look=now + max(_SHORTEST, (self._end - now) / 3))

    @property
    def dwindling(self) -> bool:
        """Whether the last renewal granted so little that the token's final end is near."""
        return 0 < self.granted < self.usual * _DWINDLING

    @property
    def _end(self) -> float:
        return self.since + self.granted if self.granted else float("inf")

    @property
    def _look(self) -> float:
        if self.next_look is not None:
            return self.next_look
        return self.since + self.granted * _RENEWED_AFTER if self.granted else float("inf")

    def ended(self, now: float) -> bool:
        """Whether Vault does not know it any more."""
        return now >= self._end

    def due(self, now: float) -> bool:
        """Whether it is time to renew it, or to log in again."""
        return now >= self._look

    def seconds_until_due(self, now: float) -> float:
        """How long to wait for that, or for its end."""
        return max(0.05, min(self._look, self._end) - now)


def log_in(
    settings: VaultSettings,
    own_secret: Callable[[str], str],
    put: Callable[[Callable[[Any], Any]], Any],
    *,
    last: str | None,
) -> Login | None:
    """Log in as the settings say.

    Args:
        put: puts a question to the hvac client.
        last: the token that was used before, which is not wanted again.

    Returns:
        the login; None where the settings name the token that was used before.

    Raises:
        VaultDeniedError: Vault refuses.
        VaultUnavailableError: there is no answer.
    """
    if settings.auth == "token":
        token = own_secret(settings.token)
        return None if token == last else _of_a_token(token, put)
    mount = (settings.auth_mount or settings.auth).strip("/")
    if settings.auth == "approle":
        role_id = own_secret(settings.role_id or "")
        secret_id = own_secret(settings.secret_id) if settings.secret_id else None
        told, hint = "role_id and secret_id", "a secret_id may have expired or been used up"

        def question(client: Any) -> Any:
            return client.auth.approle.login(
                role_id=role_id, secret_id=secret_id, use_token=False, mount_point=mount
            )

    else:
        jwt = own_secret(settings.jwt)
        told, hint = "role and jwt", "the role must be bound to the pod's service account"

        def question(client: Any) -> Any:
            return client.auth.kubernetes.login(
                role=settings.role, jwt=jwt, use_token=False, mount_point=mount
            )

    try:
        auth = data_of(put(question), "auth")
    except Refused:
        auth = {}
    issued = auth.get("client_token")
    if not isinstance(issued, str):
        raise VaultDeniedError(
            f"Vault at {settings.host} refuses the login at auth/{mount}.",
            f"Check vault.auth_mount and vault's {told}: {hint}.",
        )
    seconds = _seconds(auth, "lease_duration")
    return Login.granted_now(issued, seconds, renewable=bool(auth.get("renewable")))


def _of_a_token(token: str, put: Callable[[Callable[[Any], Any]], Any]) -> Login:
    """What Vault says of a token that somebody issued."""

    def question(client: Any) -> Any:
        client.token = token
        return client.auth.token.lookup_self()

    try:
        data = data_of(put(question))
    except Refused:
        # Its policies may forbid it to ask about itself, and yet grant the rest.
        return Login.granted_now(token, 0, renewable=False)
    renewable = bool(data.get("renewable"))
    return Login.granted_now(token, _seconds(data, "ttl"), renewable=renewable)


def _seconds(told: dict[str, Any], key: str) -> float:
    value = told.get(key)
    return float(value) if isinstance(value, int | float) else 0.0
