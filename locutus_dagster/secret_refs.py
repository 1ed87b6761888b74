"""Secret references: a setting that names where a secret is kept instead of holding it.

What belongs here: the small language of references (`vault:mount/path#key`,
`transit:mount/key#name`, `env:NAME`, `file:/path`, or the plain value) and its resolution. What
does not: which setting holds which secret (`settings/`), and how Vault is asked (`vault/`).

A reference resolves late, at the moment of use, so that a secret is in no settings object, no
`repr` and no run configuration.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from locutus_dagster.errors import LocutusError
from locutus_dagster.vault.options import VaultSettings

__all__ = ["REFERENCES", "SecretMissingError", "Secrets", "resolve_secret", "secrets_for"]

#: What a reference begins with; anything else is taken for the secret itself.
REFERENCES = ("vault:", "transit:", "env:", "file:")


class SecretMissingError(LocutusError):
    """A secret reference leads nowhere."""


class Secrets:
    """Fetches what references lead to. Safe to use from several threads.

    Args:
        vault: how Vault is reached; it is only asked for `vault:` and `transit:` references.
    """

    def __init__(self, vault: VaultSettings) -> None:
        self._vault = vault

    def resolve(self, reference: str, *, fresh: bool = False) -> str:
        """Fetch the secret that `reference` points to.

        Args:
            reference: see the module; the value itself is returned as it is.
            fresh: ask Vault again, because the answer at hand has just been refused somewhere.

        Raises:
            SecretMissingError: it leads nowhere.
            LocutusError: Vault cannot be asked.
        """
        return resolve_secret(reference)


@lru_cache(maxsize=8)
def secrets_for(vault: VaultSettings) -> Secrets:
    """The one `Secrets` of this process for a Vault: logins and leases are shared."""
    return Secrets(vault)


def resolve_secret(reference: str) -> str:
    """Fetch the secret that `reference` points to.

    Args:
        reference: `env:NAME`, `file:/path` (trailing newline ignored), or the value itself.

    Raises:
        SecretMissingError: the variable is unset or empty, or the file cannot be read.
    """
    kind, _, rest = reference.partition(":")
    if kind == "env":
        value = os.environ.get(rest, "")
        if not value:
            raise SecretMissingError(
                f"The secret env:{rest} is not set.",
                f"Export {rest} in the environment that starts Locutus, or change the reference.",
            )
        return value
    if kind == "file":
        try:
            value = Path(rest).expanduser().read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, RuntimeError, UnicodeDecodeError) as error:
            # Neither a home folder that is unknown nor bytes that are no text have a `strerror`.
            why = getattr(error, "strerror", None) or "it is no text, or nobody has that home"
            raise SecretMissingError(
                f"The secret file:{rest} cannot be read ({why}).",
                "Create the file with mode 0600 for the user who runs Locutus.",
            ) from None
        if not value:
            raise SecretMissingError(f"The secret file:{rest} is empty.", "Write the secret to it.")
        return value
    return reference
