"""Secret references: a setting that names where a secret is kept instead of holding it.

What belongs here: the small language of references (`vault:mount/path#key`,
`transit:mount/key#name`, `env:NAME`, `file:/path`, or the plain value) and its resolution. What
does not: which setting holds which secret (`settings/`), and how Vault is asked (`vault/`).

A reference resolves late, at the moment of use, so that a secret is in no settings object, no
`repr` and no run configuration.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path

from locutus_dagster.errors import LocutusError
from locutus_dagster.vault.client import VaultClient
from locutus_dagster.vault.faults import VaultMissingError
from locutus_dagster.vault.options import ENVIRONMENT, VaultSettings

__all__ = ["REFERENCES", "SecretMissingError", "Secrets", "resolve_secret", "secrets_for"]

#: What a reference begins with; anything else is taken for the secret itself.
REFERENCES = ("vault:", "transit:", "env:", "file:")


class SecretMissingError(LocutusError):
    """A secret reference leads nowhere."""


class Secrets:
    """Fetches what references lead to. Safe to use from several threads.

    It can be handed to another process, which then logs in to Vault by itself.

    Args:
        vault: how Vault is reached; it is only asked for `vault:` and `transit:` references.
    """

    def __init__(self, vault: VaultSettings) -> None:
        self._settings = vault
        self._opened: dict[str, VaultClient] = {}

    def __repr__(self) -> str:
        return "Secrets()"

    def __reduce__(self) -> tuple[object, ...]:
        return secrets_for, (self._settings,)

    @property
    def vault(self) -> VaultClient:
        """The connection to Vault, which is opened when something is asked of it.

        Raises:
            VaultError: VAULT_ADDR is no address.
        """
        if not self._opened:
            # Of several threads one wins, without a lock that a forked process might find closed.
            self._opened.setdefault("it", VaultClient(self._settings, resolve_secret))
        return self._opened["it"]

    def resolve(self, reference: str, *, fresh: bool = False) -> str:
        """Fetch the secret that `reference` points to.

        Args:
            reference: see the module; the value itself is returned as it is.
            fresh: ask Vault again, because the answer at hand has just been refused somewhere.

        Raises:
            SecretMissingError: it leads nowhere.
            VaultError: Vault cannot be asked, or refuses (see its subclasses).
        """
        kind, _, rest = reference.partition(":")
        ask = {"vault": "value", "transit": "key_ring"}.get(kind)
        if ask is None:
            return resolve_secret(reference)
        try:
            value: str = getattr(self.vault, ask)(rest, fresh=fresh)
            return value
        except VaultMissingError as error:
            missing = SecretMissingError(error.message, error.hint)
        raise missing

    def read_entry(self, path: str, *, fresh: bool = False) -> dict[str, str]:
        """All keys of an entry in Vault; what is no text there is given as JSON.

        Args:
            path: `mount/path`, or the reference system's `namespace:/rootpath/path`.

        Raises:
            SecretMissingError: there is no such entry.
            VaultError: Vault cannot be asked, or refuses.
        """
        try:
            entry = self.vault.entry(path, fresh=fresh)
        except VaultMissingError as error:
            missing = SecretMissingError(error.message, error.hint)
        else:
            return {
                key: value if isinstance(value, str) else json.dumps(value)
                for key, value in entry.items()
            }
        raise missing


def secrets_for(vault: VaultSettings) -> Secrets:
    """The one `Secrets` of this process for a Vault: logins and leases are shared."""
    return _shared(vault, *map(os.environ.get, ENVIRONMENT))


@lru_cache(maxsize=8)
def _shared(vault: VaultSettings, *environment: str | None) -> Secrets:
    return Secrets(vault)


def resolve_secret(reference: str) -> str:
    """Fetch the secret that `reference` points to.

    Args:
        reference: `env:NAME`, `file:/path` (trailing newline ignored), or the value itself.

    Raises:
        SecretMissingError: the variable is unset or empty, the file cannot be read, or it is a
            reference into Vault, which has to be asked (`Secrets`).
    """
    kind, _, rest = reference.partition(":")
    if kind in ("vault", "transit"):
        raise SecretMissingError(
            f"A {kind}: reference stands where Vault is not asked.", "Use env:NAME or file:/path."
        )
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
