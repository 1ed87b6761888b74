"""Buckets to deliver to, and files to deliver, for the tests of the S3 target."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from locutus_dagster.secret_refs import Secrets
from locutus_dagster.settings import S3TargetSettings
from locutus_dagster.targets.base import Receipt
from locutus_dagster.targets.s3 import S3Target
from locutus_dagster.targets.s3_client import Bucket
from locutus_dagster.vault.options import VaultSettings
from locutus_dagster_tests.parts.s3_servers import ADMIN

__all__ = ["KEY", "PART", "Store", "WatchedBucket", "file_of", "plain_environment", "sha256_hex"]

KEY = ".TopLevel/S-0001/MR/042Y/head/uuid_ab12.zip"
PART = 5 * 1024**2
_NUMBERS = itertools.count(1)


def plain_environment(monkeypatch: Any, tmp_path: Path) -> None:
    """Nothing of whoever runs the tests: no keys, no profiles, no proxies."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


class WatchedBucket(Bucket):
    """A bucket that notes what it is asked, and lets a test step in before and after."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.asked: list[str] = []
        self.before: Callable[[str, dict[str, Any]], None] = lambda operation, parameters: None
        self.after: Callable[[str, dict[str, Any]], None] = lambda operation, answer: None

    def ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        self.asked.append(operation)
        self.before(operation, parameters)
        answer = super().ask(operation, **parameters)
        self.after(operation, answer)
        return answer


class Store:
    """One new bucket behind `url`, with a client of the tests' own.

    Args:
        client: of the store itself.
        url: where targets ask, which may be a proxy before it.
    """

    def __init__(self, client: Any, url: str, *, versions: bool = False, lock: bool = False):
        self.client = client
        self.url = url
        self.name = f"deliveries-{next(_NUMBERS)}"
        more = {"ObjectLockEnabledForBucket": True} if lock else {}
        client.create_bucket(Bucket=self.name, **more)
        if versions:
            client.put_bucket_versioning(
                Bucket=self.name, VersioningConfiguration={"Status": "Enabled"}
            )

    def settings(self, **changes: Any) -> S3TargetSettings:
        return S3TargetSettings(
            **{
                "bucket": self.name,
                "endpoint_url": self.url,
                "region": "us-east-1",
                "access_key_id": ADMIN[0],
                "secret_access_key": ADMIN[1],
                "part_size": PART,
                "attempts": 3,
                "timeout": 10.0,
                **changes,
            }
        )

    def target(
        self, secrets: Secrets | None = None, **changes: Any
    ) -> tuple[S3Target, WatchedBucket]:
        settings = self.settings(**changes)
        bucket = WatchedBucket(settings, secrets or Secrets(VaultSettings()))
        return S3Target(settings, bucket), bucket

    def put(self, path: Path, key: str = KEY, **changes: Any) -> Receipt:
        return self.target(**changes)[0].put(path, key, sha256=sha256_hex(path))

    def head(self, key: str = KEY, **more: Any) -> dict[str, Any]:
        return dict(self.client.head_object(Bucket=self.name, Key=key, **more))

    def bytes_of(self, key: str = KEY) -> bytes:
        return bytes(self.client.get_object(Bucket=self.name, Key=key)["Body"].read())

    def keys(self) -> list[str]:
        return [
            one["Key"] for one in self.client.list_objects_v2(Bucket=self.name).get("Contents", ())
        ]

    def unfinished(self) -> list[str]:
        found = self.client.list_multipart_uploads(Bucket=self.name)
        return [one["Key"] for one in found.get("Uploads", ())]

    def versions(self) -> list[tuple[str, str]]:
        found = self.client.list_object_versions(Bucket=self.name)
        both = (*found.get("Versions", ()), *found.get("DeleteMarkers", ()))
        return [(one["Key"], one["VersionId"]) for one in both]


def file_of(folder: Path, size: int, seed: str = "study") -> Path:
    """A file of which no two parts are the same."""
    path = folder / f"{seed}-{size}.zip"
    path.write_bytes(random.Random(seed).randbytes(size))
    return path


def sha256_hex(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
