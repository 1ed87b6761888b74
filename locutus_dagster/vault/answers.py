"""What Vault's answers mean, and what it means when there is none.

What belongs here: translating the exceptions of hvac and requests, which carry requests and
answers, into errors that hold neither. What does not: what was asked (`client.py`), trying again
(`connection.py`).
"""

from __future__ import annotations

import importlib
from typing import Any, Literal

from locutus_dagster.vault.faults import VaultError, VaultUnavailableError
from locutus_dagster.vault.options import VaultSettings

__all__ = ["Refused", "data_of", "libraries", "translated", "unlike_vault"]


class Refused(Exception):  # noqa: N818 - it becomes an error where the path is known
    """Vault's answer to a question is no; holds nothing of either.

    Attributes:
        why: `denied` by a policy, the `token` is not valid, `missing`, or `invalid` as a question.
    """

    def __init__(self, why: Literal["denied", "token", "missing", "invalid"]) -> None:
        super().__init__(why)
        self.why = why


def libraries() -> tuple[Any, Any]:
    """The modules hvac and requests: not every installation has them, and few commands need them.

    Raises:
        VaultError: they are not installed.
    """
    try:
        return importlib.import_module("hvac"), importlib.import_module("requests")
    except ImportError:
        pass
    raise VaultError(
        "A package that Vault needs is not installed.",
        "Install it with: pip install 'locutus-dagster[vault]'",
    )


def data_of(answer: Any, part: Literal["data", "auth"] = "data") -> dict[str, Any]:
    """The named part of an answer.

    Raises:
        VaultUnavailableError: it has none; something else than Vault may have answered.
    """
    found = answer.get(part) if isinstance(answer, dict) else None
    if not isinstance(found, dict):
        raise unlike_vault()
    return found


def unlike_vault() -> VaultUnavailableError:
    """The error for an answer that Vault does not give."""
    return VaultUnavailableError(
        "What answers at Vault's address does not answer like Vault.",
        "Check vault.address (VAULT_ADDR); a proxy or another server may stand there.",
    )


def translated(error: Exception, settings: VaultSettings) -> Exception:
    """What an exception says, in words of our own; one that is not about Vault as it is."""
    hvac, requests = libraries()
    vault, http = hvac.exceptions, requests.exceptions
    host = settings.host
    tried = f" (asked {settings.attempts} times)" if settings.attempts > 1 else ""
    if isinstance(error, vault.Forbidden | vault.Unauthorized):
        return Refused("denied")
    if isinstance(error, vault.InvalidPath):
        return Refused("missing")
    if isinstance(error, vault.InvalidRequest):
        return Refused("invalid")
    if isinstance(error, vault.VaultDown) and "sealed" in str(error.errors or "").lower():
        return VaultUnavailableError(
            f"Vault at {host} is sealed{tried}.",
            "Ask those who hold its keys to unseal it, then run this again.",
        )
    if isinstance(error, vault.VaultError):
        return VaultUnavailableError(
            f"Vault at {host} is in trouble{tried}.",
            "Look at its log and its health; run this again when it answers.",
        )
    if isinstance(error, http.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return VaultError(
            f"The certificate of Vault at {host} is not trusted.",
            "Name a file with the authority that issued it: vault.verify, or VAULT_CACERT.",
        )
    if isinstance(error, http.InvalidSchema):
        return VaultError(
            f"Vault at {host} sends its visitors on to an address without TLS.",
            "Set Vault's api_addr to an https address.",
        )
    if isinstance(error, http.InvalidHeader | UnicodeError):
        return VaultError(
            f"What is to be sent to Vault at {host} holds characters that cannot be sent.",
            "Check vault.namespace, and the secret that opens Vault, for stray characters.",
        )
    if isinstance(error, http.RequestException):
        return VaultUnavailableError(
            f"Vault at {host} cannot be reached{tried}.",
            "Check vault.address (VAULT_ADDR), the network, and that Vault is running.",
        )
    return error
