"""What can go wrong with Vault, as errors for people.

What belongs here: the classes. What does not: which answer of Vault is which of them
(`connection.py`, `client.py`). No message holds a token or a value; addresses are named by their
host, secrets by their path and key.
"""

from __future__ import annotations

from locutus_dagster.errors import LocutusError

__all__ = ["VaultDeniedError", "VaultError", "VaultMissingError", "VaultUnavailableError"]


class VaultError(LocutusError):
    """Vault cannot be used as it is set up."""


class VaultUnavailableError(VaultError):
    """Vault cannot be reached, is sealed or is in trouble, after bounded retries."""


class VaultDeniedError(VaultError):
    """Vault refuses the login, the token, or what was asked with it.

    Attributes:
        of_token: whether it is the token as such.
    """

    def __init__(self, message: str, hint: str = "", *, of_token: bool = False) -> None:
        super().__init__(message, hint)
        self.of_token = of_token


class VaultMissingError(VaultError):
    """There is no such engine, entry, key or key version in Vault."""
