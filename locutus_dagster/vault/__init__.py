"""Secrets out of HashiCorp Vault or OpenBao; see `client.py`."""

from locutus_dagster.vault.options import VaultSettings

__all__ = ["VaultSettings"]
