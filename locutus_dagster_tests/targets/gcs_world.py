"""What the tests of Google Cloud Storage share: a target on a store, files, and secrets."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from locutus_dagster.secret_refs import Secrets
from locutus_dagster.settings import GcsTargetSettings
from locutus_dagster.targets import Receipt, TargetContext
from locutus_dagster.targets.gcs import GcsTarget
from locutus_dagster.vault.options import VaultSettings
from locutus_dagster_tests.parts.gcs_servers import BUCKET

KEY = ".TopLevel/S1/CT/uuid_abc.zip"
URI = f"gs://{BUCKET}/{KEY}"
PART = 256 * 1024


class Answers(Secrets):
    """Secrets of the tests: one answer, and a new one each time that it is asked for afresh."""

    def __init__(self, first: str, afresh: str = "") -> None:
        super().__init__(VaultSettings())
        self._first, self._afresh = first, afresh or first
        self.asked_afresh = 0

    def resolve(self, reference: str, *, fresh: bool = False) -> str:
        self.asked_afresh += fresh
        return self._afresh + " " * self.asked_afresh if self.asked_afresh else self._first


@lru_cache(maxsize=1)
def _private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    none = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, none).decode()


def service_account(url: str, key_id: str) -> str:
    """A service account's key, as Google gives it out; tokens are given by the store at `url`."""
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "research",
            "private_key_id": key_id,
            "private_key": _private_key(),
            "client_email": "locutus@research.example",
            "token_uri": f"{url}/token",
        }
    )


def settings_for(url: str, **options: Any) -> GcsTargetSettings:
    given: dict[str, Any] = {
        "bucket": BUCKET,
        "endpoint_url": url,
        "anonymous": "credentials" not in options,
        "part_size": PART,
        "timeout": 5,
        "attempts": 4,
        **options,
    }
    return GcsTargetSettings(**given)


def target_on(url: str, secrets: Secrets | None = None, **options: Any) -> GcsTarget:
    """A target that does not wait between its attempts."""
    context = TargetContext("oncology", "bucket", secrets or Secrets(VaultSettings()))
    return GcsTarget(settings_for(url, **options), context, pause=lambda _: None)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def put(target: GcsTarget, source: Path, key: str = KEY) -> Receipt:
    return target.put(source, key, sha256=sha256(source.read_bytes()))
