"""Secrets out of HashiCorp Vault or OpenBao; see `client.py`.

Through `secret_refs.Secrets`, not from here: what opens Vault is a reference as well.
"""

from locutus_dagster.vault.faults import (
    VaultDeniedError,
    VaultError,
    VaultMissingError,
    VaultUnavailableError,
)
from locutus_dagster.vault.options import VaultSettings

__all__ = [
    "VaultDeniedError",
    "VaultError",
    "VaultMissingError",
    "VaultSettings",
    "VaultUnavailableError",
]
