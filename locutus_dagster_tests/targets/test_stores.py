"""In which store a target's deliveries lie: told apart, and never looked for in another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from locutus_dagster.secret_refs import Secrets
from locutus_dagster.settings import GcsTargetSettings, S3TargetSettings
from locutus_dagster.targets import TargetContext, TargetError, refuse_elsewhere, store_of
from locutus_dagster.targets.gcs import GcsTarget
from locutus_dagster.targets.s3 import S3Target, open_s3
from locutus_dagster.targets.share import ShareTarget
from locutus_dagster.targets.stores import address_of
from locutus_dagster.vault.options import VaultSettings
from locutus_dagster_tests.targets.s3_world import plain_environment

CONTEXT = TargetContext("project", "bucket", Secrets(VaultSettings()))
KEYS = {"access_key_id": "nobody", "secret_access_key": "nothing"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plain_environment(monkeypatch, tmp_path)
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


def s3(**told: object) -> S3Target:
    settings: dict[str, object] = {"bucket": "research", "region": "eu-west-1", "attempts": 1}
    return open_s3(S3TargetSettings.model_validate({**settings, **KEYS, **told}), CONTEXT)


def gcs(**told: object) -> GcsTarget:
    settings: dict[str, object] = {"bucket": "research", "anonymous": True, "attempts": 1}
    return GcsTarget(GcsTargetSettings.model_validate({**settings, **told}), CONTEXT)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://s3.amazonaws.com", "https://s3.eu-west-1.amazonaws.com"),
        ("https://s3.amazonaws.com", "https://bucket.vpce-1a2b.s3.us-east-1.vpce.amazonaws.com"),
        ("https://storage.googleapis.com", "https://storage.us-east1.rep.googleapis.com"),
        ("https://minio.test", "https://MINIO.test:443/"),
        ("http://user:password@minio.test:9000", "http://minio.test:9000"),
    ],
)
def test_one_store_has_one_name(one: str, other: str) -> None:
    assert address_of(one) == address_of(other)
    assert "password" not in address_of(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://minio.test:9000", "http://minio.test:9001"),
        ("https://gateway.test/one", "https://gateway.test/two"),
        ("https://s3.amazonaws.com", "https://s3.cn-north-1.amazonaws.com.cn"),
        ("https://s3.amazonaws.com", "https://s3.us-gov-west-1.amazonaws.com"),
        ("https://s3.amazonaws.com", "https://s3.compute-1.amazonaws.com:9000"),
        ("http://[::1]:9000", "http://[::2]:9000"),
    ],
)
def test_two_stores_have_two_names(one: str, other: str) -> None:
    assert address_of(one) != address_of(other)


def test_the_store_is_the_one_that_is_really_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert store_of(s3()) == "s3 at s3.amazonaws.com/research"
    assert store_of(gcs()) == "gcs at storage.googleapis.com/research"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://minio.test:9000")
    assert store_of(s3()) == "s3 at minio.test:9000/research"
    assert store_of(s3(endpoint_url="https://box.test/s3")) == "s3 at box.test/s3/research"
    assert store_of(gcs(endpoint_url="https://gate.test")) == "gcs at gate.test/research"


def test_a_share_s_addresses_say_it_all(tmp_path: Path) -> None:
    assert store_of(ShareTarget(tmp_path)) == ""


def test_a_delivery_is_not_looked_for_in_another_store() -> None:
    here, there = s3(endpoint_url="http://here.test"), s3(endpoint_url="http://there.test")
    refuse_elsewhere(here, store_of(here))
    refuse_elsewhere(here, "")  # nobody knows
    with pytest.raises(TargetError, match=r"lies in s3 at there\.test/research.*somewhere else"):
        refuse_elsewhere(here, store_of(there))


# -- what belongs to one target alone ------------------------------------------------------------


def test_a_secret_that_leads_nowhere_is_the_target_s_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    for target in (
        s3(secret_access_key="env:NOT_SET"),
        gcs(anonymous=False, credentials="env:NOT_SET"),
    ):
        with pytest.raises(TargetError, match="NOT_SET is not set"):
            target.check()
        with pytest.raises(TargetError, match="NOT_SET is not set"):
            target.store()
        with pytest.raises(TargetError, match="NOT_SET is not set"):
            target.withdraw(target.uri("a.zip"))


def test_a_file_of_this_machine_that_cannot_be_read_is_the_target_s_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nowhere = "https://127.0.0.1:9"
    with monkeypatch.context() as set_up:
        set_up.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "no.pem"))
        with pytest.raises(TargetError, match="REQUESTS_CA_BUNDLE"):
            gcs(endpoint_url=nowhere).check()
    with monkeypatch.context() as set_up:
        set_up.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path))
        with pytest.raises(TargetError, match="GOOGLE_APPLICATION_CREDENTIALS"):
            gcs(anonymous=False).check()
    with monkeypatch.context() as set_up:
        set_up.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "no.token"))
        set_up.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/deliveries")
        role = dict.fromkeys(KEYS)
        with pytest.raises(TargetError, match="FileNotFoundError"):
            s3(endpoint_url=nowhere, **role).check()
    with monkeypatch.context() as set_up:
        set_up.setenv("AWS_CA_BUNDLE", str(tmp_path / "no.pem"))
        with pytest.raises(TargetError):
            s3(endpoint_url=nowhere).check()
