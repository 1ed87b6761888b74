"""The S3 target where a bucket keeps versions, against moto; KMS, locks, and stores that know less.

moto echoes checksums without verifying them, so what rests on them is tested with SeaweedFS.
"""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_aws.s3 import S3Resource

from locutus_dagster.defs.cloud_resources import s3_resource
from locutus_dagster.secret_refs import Secrets
from locutus_dagster.settings import S3TargetSettings
from locutus_dagster.targets.base import TargetError
from locutus_dagster.targets.s3_answers import RefusedError
from locutus_dagster.targets.s3_client import client_for
from locutus_dagster.vault.options import VaultSettings
from locutus_dagster_tests.parts.s3_servers import ADMIN, MotoServer
from locutus_dagster_tests.targets.s3_world import (
    KEY,
    PART,
    Store,
    file_of,
    plain_environment,
    sha256_hex,
)


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain_environment(monkeypatch, tmp_path)


@pytest.fixture(scope="module")
def moto() -> Iterator[MotoServer]:
    with MotoServer() as server:
        yield server


@pytest.fixture
def store(moto: MotoServer) -> Store:
    return Store(moto.client(), moto.url)


@pytest.fixture
def versioned(moto: MotoServer) -> Store:
    return Store(moto.client(), moto.url, versions=True)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return file_of(tmp_path, 1000)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return file_of(tmp_path, 700, "other")


# -- versions ------------------------------------------------------------------------------------


def test_a_receipt_names_the_version_and_the_same_file_makes_no_second_one(
    versioned: Store, small: Path, other: Path
) -> None:
    first = versioned.put(small)
    assert versioned.versions() == [(KEY, first.version)]
    assert versioned.put(small) == first
    second = versioned.put(other)
    assert {first.version, second.version} == {version for _, version in versioned.versions()}
    target, _ = versioned.target()
    assert target.holds(first.uri, size=1000, version=first.version)
    assert not target.holds(first.uri, size=1000, version=second.version)
    assert not target.holds(first.uri, size=1000)


def test_withdrawing_removes_all_versions_and_markers_of_this_key_alone(
    versioned: Store, small: Path, other: Path
) -> None:
    receipt = versioned.put(small)
    versioned.put(other)
    versioned.client.delete_object(Bucket=versioned.name, Key=KEY)
    versioned.put(small)
    beside = versioned.put(small, KEY + "x")
    target, bucket = versioned.target()

    def one_at_a_time(operation: str, parameters: dict[str, Any]) -> None:
        if operation == "list_object_versions":
            parameters["MaxKeys"] = 1

    bucket.before = one_at_a_time
    gone = target.withdraw(receipt.uri)
    assert (gone.removed, gone.size) == (True, 2 * 1000 + 700)
    assert versioned.versions() == [(KEY + "x", beside.version)]
    assert bucket.asked.count("list_object_versions") > 3
    assert target.withdraw(receipt.uri) == type(gone)(receipt.uri, False, 0)


def test_what_lies_only_beneath_a_marker_is_removed_with_it(versioned: Store, small: Path) -> None:
    receipt = versioned.put(small)
    versioned.client.delete_object(Bucket=versioned.name, Key=KEY)
    target, _ = versioned.target()
    assert not target.holds(receipt.uri, size=1000)
    assert target.withdraw(receipt.uri).size == 1000
    assert versioned.versions() == []


def test_one_version_that_is_named_is_withdrawn_alone(
    versioned: Store, small: Path, other: Path
) -> None:
    first, second = versioned.put(small), versioned.put(other)
    target, _ = versioned.target()
    assert target.withdraw(first.uri, version=first.version).size == 1000
    assert versioned.versions() == [(KEY, second.version)]
    assert not target.withdraw(first.uri, version=first.version).removed


def test_where_one_version_is_somebody_elses_none_is_removed(versioned: Store, small: Path) -> None:
    versioned.client.put_object(Bucket=versioned.name, Key=KEY, Body=b"theirs")
    versioned.client.delete_object(Bucket=versioned.name, Key=KEY)
    receipt = versioned.put(small)
    before = versioned.versions()
    target, _ = versioned.target()
    with pytest.raises(TargetError, match="Locutus has not put there"):
        target.withdraw(receipt.uri)
    assert versioned.versions() == before


def test_a_locked_object_is_a_clear_error(moto: MotoServer, small: Path) -> None:
    locked = Store(moto.client(), moto.url, lock=True)
    receipt = locked.put(small)
    locked.client.put_object_retention(
        Bucket=locked.name,
        Key=KEY,
        VersionId=receipt.version,
        Retention={
            "Mode": "COMPLIANCE",
            "RetainUntilDate": datetime.datetime.now(datetime.timezone.utc)
            + datetime.timedelta(days=1),
        },
    )
    target, _ = locked.target()
    with pytest.raises(TargetError, match="object lock"):
        target.withdraw(receipt.uri)
    assert target.holds(receipt.uri, size=1000, version=receipt.version)


# -- encryption ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1000, PART + 1])
def test_a_kms_key_is_used_for_every_way_to_upload(store: Store, tmp_path: Path, size: int) -> None:
    path = file_of(tmp_path, size)
    store.put(path, encryption="aws:kms", kms_key_id="alias/research", checksum="CRC64NVME")
    head = store.head()
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/research")
    assert store.bytes_of() == path.read_bytes()


def test_without_encryption_the_bucket_decides(store: Store, small: Path) -> None:
    store.put(small, encryption=None)
    assert "ServerSideEncryption" not in store.head()


# -- stores that know less -----------------------------------------------------------------------


def forgetting(*fields: str) -> Any:
    """A store that does not state these things of an object."""

    def after(operation: str, answer: dict[str, Any]) -> None:
        if operation == "head_object":
            for name in fields:
                answer.pop(name, None)
                answer["Metadata"] = {} if name == "Metadata" else answer["Metadata"]

    return after


@pytest.mark.parametrize(
    ("field", "words"),
    [("Metadata", "does not keep metadata"), ("ServerSideEncryption", "did not encrypt")],
)
def test_a_store_that_leaves_out_what_was_asked_for_is_refused_and_keeps_nothing(
    versioned: Store, small: Path, field: str, words: str
) -> None:
    target, bucket = versioned.target()
    bucket.after = forgetting(field)
    with pytest.raises(TargetError, match=words):
        target.put(small, KEY, sha256=sha256_hex(small))
    assert versioned.versions() == []


def test_what_a_store_states_no_checksum_of_is_read_back(store: Store, small: Path) -> None:
    target, bucket = store.target()
    bucket.after = forgetting("ChecksumSHA256")
    receipt = target.put(small, KEY, sha256=sha256_hex(small))
    assert receipt.checksum == ""
    assert bucket.asked.count("get_object") == 1


def test_a_store_that_holds_other_bytes_is_refused_and_they_are_removed(
    versioned: Store, small: Path
) -> None:
    target, bucket = versioned.target()

    def damage(operation: str, parameters: dict[str, Any]) -> None:
        if operation == "put_object":  # moto verifies nothing
            parameters["Body"] = io.BytesIO(b"x" * 1000)

    bucket.after = forgetting("ChecksumSHA256")
    bucket.before = damage
    with pytest.raises(TargetError, match="other bytes than it was given"):
        target.put(small, KEY, sha256=sha256_hex(small))
    assert versioned.versions() == []


def test_a_store_that_lists_no_versions_is_withdrawn_from_all_the_same(
    store: Store, small: Path
) -> None:
    receipt = store.put(small)
    target, bucket = store.target()

    def unknown(operation: str, parameters: dict[str, Any]) -> None:
        if operation in ("list_object_versions", "list_multipart_uploads"):
            raise RefusedError("It does not know that.", "", 501, "NotImplemented")

    bucket.before = unknown
    assert target.withdraw(receipt.uri).size == 1000
    assert store.keys() == []


# -- Dagster's own resource ----------------------------------------------------------------------


def test_an_asset_reaches_the_same_bucket_through_dagsters_resource(
    store: Store, small: Path
) -> None:
    store.put(small)
    secrets = Secrets(VaultSettings())
    read: list[bytes] = []

    @dg.asset
    def downstream(s3: S3Resource) -> None:
        answer = s3.get_client().get_object(Bucket=store.name, Key=KEY)
        read.append(answer["Body"].read())

    resource = s3_resource(store.settings(), secrets)
    result = dg.materialize([downstream], resources={"s3": resource})
    assert result.success
    assert read == [small.read_bytes()]


def test_the_resource_shows_no_secret_and_is_set_up_as_dagster_aws_does(store: Store) -> None:
    settings = store.settings(verify="/etc/ca.pem", region="eu-central-1", attempts=4)
    secrets = Secrets(VaultSettings())
    resource = s3_resource(settings, secrets)
    shown = repr(resource) + str(resource._resolved_config_dict)
    assert ADMIN[0] not in shown
    assert ADMIN[1] not in shown
    theirs = S3Resource(
        region_name="eu-central-1", endpoint_url=store.url, max_attempts=3
    ).get_client()
    ours = client_for(settings, secrets)
    for wanted, made in ((theirs, ours), (theirs, resource.get_client())):
        for name in ("region_name", "endpoint_url"):
            assert getattr(made.meta, name) == getattr(wanted.meta, name)
        assert made.meta.config.retries == wanted.meta.config.retries
    assert ours._endpoint.http_session._verify == "/etc/ca.pem"


def test_parts_become_larger_where_there_would_be_too_many(tmp_path: Path) -> None:
    from locutus_dagster.targets.s3_upload import survey

    path = tmp_path / "sparse.zip"
    with path.open("wb") as file:
        file.truncate(11_000 * 1024)
    with path.open("rb") as file:
        of = survey(file, algorithm="CRC64NVME", part_size=1024)
    assert of.part_size == 1024**2
    assert len(of.parts) == 11


def test_settings_may_not_name_parts_that_s3_refuses() -> None:
    with pytest.raises(ValueError, match="part_size"):
        S3TargetSettings(bucket="deliveries", part_size="6GiB")
