"""How Vault is reached.

What belongs here: the typed settings of the connection. What does not: using it (`client.py`).
The names that HashiCorp's own tools obey (VAULT_ADDR, VAULT_TOKEN, VAULT_NAMESPACE, VAULT_CACERT)
are the defaults, as in the reference system.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from locutus_dagster.strict_model import Location, Secret, Strict, is_http_address
from locutus_dagster.vault.faults import VaultError

__all__ = ["ENVIRONMENT", "VaultSettings"]

#: The variables that fill in what the settings leave open.
ENVIRONMENT = ("VAULT_ADDR", "VAULT_NAMESPACE", "VAULT_CACERT")

_ADDRESS = "not an address such as https://vault.example.org:8200, without user or password in it"


class VaultSettings(Strict):
    """A HashiCorp Vault, or OpenBao. Its own secrets may be `env:` or `file:` references."""

    address: str | None = Field(default=None, description="by default VAULT_ADDR")
    namespace: str | None = Field(default=None, description="by default VAULT_NAMESPACE")
    verify: bool | Location = Field(
        default=True,
        description="check the TLS certificate; or a file of authorities to trust, by default "
        "VAULT_CACERT",
    )
    use_proxies: bool = Field(
        default=False, description="go through the proxies that the environment names"
    )
    auth: Literal["token", "approle", "kubernetes"] = Field(
        default="token", description="how Locutus logs in"
    )
    token: Secret = Field(default="env:VAULT_TOKEN", description="for auth: token")
    role: str | None = Field(default=None, description="for auth: kubernetes")
    role_id: Secret | None = Field(default=None, description="for auth: approle")
    secret_id: Secret | None = Field(
        default=None, description="for auth: approle, unless the role asks for none"
    )
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
    attempts: int = Field(
        default=5, ge=1, description="to get an answer, with growing pauses in between"
    )
    refresh: float = Field(
        default=60.0, ge=0, description="seconds after which a secret is read again when used"
    )

    @field_validator("address")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        if value is not None and not _is_address(value):
            raise ValueError(_ADDRESS)
        return value

    @field_validator("token", "role_id", "secret_id", "jwt")
    @classmethod
    def _outside_vault(cls, value: str | None) -> str | None:
        if value is not None and value.startswith(("vault:", "transit:")):
            raise ValueError("what opens Vault cannot lie in Vault: use env:NAME or file:/path")
        return value

    @model_validator(mode="after")
    def _complete(self) -> VaultSettings:
        if self.auth == "approle" and not self.role_id:
            raise ValueError("auth: approle needs a role_id")
        if self.auth == "kubernetes" and not self.role:
            raise ValueError("auth: kubernetes needs a role")
        return self

    @property
    def host(self) -> str:
        """Host and port, as messages name this Vault."""
        return urlsplit(self.address or "").netloc or "(no address)"

    def with_environment(self) -> VaultSettings:
        """These settings, and what VAULT_ADDR, VAULT_NAMESPACE and VAULT_CACERT say beyond them.

        Raises:
            VaultError: VAULT_ADDR is no address.
        """
        told: dict[str, object] = {}
        if self.address is None and (address := os.environ.get("VAULT_ADDR")):
            if not _is_address(address):
                raise VaultError(f"VAULT_ADDR is {_ADDRESS}.", "Export it anew.")
            told["address"] = address
        if self.namespace is None and (namespace := os.environ.get("VAULT_NAMESPACE")):
            told["namespace"] = namespace
        if self.verify is True and (authorities := os.environ.get("VAULT_CACERT")):
            told["verify"] = Path(authorities)
        return self.model_copy(update=told)


def _is_address(text: str) -> bool:
    return is_http_address(text) and urlsplit(text).username is None
