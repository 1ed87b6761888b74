"""How Vault is reached.

What belongs here: the typed settings of the connection. What does not: using it (`client.py`).
The names that HashiCorp's own tools obey (VAULT_ADDR, VAULT_TOKEN, VAULT_NAMESPACE, VAULT_CACERT)
are the defaults, as in the reference system.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from locutus_dagster.strict_model import Secret, Strict

__all__ = ["VaultSettings"]


class VaultSettings(Strict):
    """A HashiCorp Vault, or OpenBao. Its own secrets may be `env:` or `file:` references."""

    address: str | None = Field(default=None, description="by default VAULT_ADDR")
    namespace: str | None = Field(default=None, description="by default VAULT_NAMESPACE")
    verify: bool | Path = Field(
        default=True, description="check the TLS certificate; or a file of authorities to trust"
    )
    auth: Literal["token", "approle", "kubernetes"] = "token"
    token: Secret = Field(default="env:VAULT_TOKEN", description="for auth: token")
    role: str | None = Field(default=None, description="for auth: kubernetes")
    role_id: Secret | None = Field(default=None, description="for auth: approle")
    secret_id: Secret | None = Field(default=None, description="for auth: approle")
    jwt: Secret = Field(
        default="file:/var/run/secrets/kubernetes.io/serviceaccount/token",
        description="for auth: kubernetes",
    )
    auth_mount: str | None = Field(
        default=None, description="where the auth method is mounted; by default as it is called"
    )
    kv_version: Literal[1, 2] | None = Field(
        default=None, description="of the key-value engine; by default Vault is asked"
    )
    timeout: float = Field(default=10.0, gt=0, description="seconds for one answer")
    attempts: int = Field(default=5, ge=1)
    refresh: float = Field(
        default=60.0, ge=0, description="seconds after which a secret is read again when used"
    )
