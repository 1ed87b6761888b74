"""The S3 target against SeaweedFS, and against a network that fails."""

from __future__ import annotations

import logging
import sys
import threading
import tracemalloc
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locutus_dagster.secret_refs import Secrets
from locutus_dagster.settings import S3TargetSettings
from locutus_dagster.targets.base import OccupiedError, TargetContext, TargetError
from locutus_dagster.targets.registry import open_target
from locutus_dagster.targets.s3_answers import RefusedError
from locutus_dagster.targets.s3_objects import METADATA
from locutus_dagster.targets.s3_upload import survey, upload
from locutus_dagster.vault.options import VaultSettings
from locutus_dagster_tests.parts import free_port
from locutus_dagster_tests.parts.fault_proxy import FaultProxy
from locutus_dagster_tests.parts.s3_servers import ADMIN, READER, SeaweedServer
from locutus_dagster_tests.targets.s3_world import (
    KEY,
    PART,
    Store,
    WatchedBucket,
    file_of,
    plain_environment,
    sha256_hex,
)

SMALL, LARGE = 10_000, PART + 1234


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain_environment(monkeypatch, tmp_path)


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedServer]:
    with SeaweedServer(tmp_path_factory.mktemp("weed")) as server:
        yield server


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return file_of(tmp_path_factory.mktemp("files"), SMALL)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return file_of(tmp_path_factory.mktemp("files"), LARGE)


@pytest.fixture
def store(weed: SeaweedServer) -> Store:
    return Store(weed.client(), weed.url)


@pytest.fixture
def proxied(weed: SeaweedServer) -> Iterator[tuple[Store, FaultProxy]]:
    with FaultProxy("127.0.0.1", weed.port) as proxy:
        yield Store(weed.client(), f"http://127.0.0.1:{proxy.port}"), proxy


# -- what lies there -----------------------------------------------------------------------------


def test_a_delivery_lies_there_whole_and_says_nothing_but_its_checksum(
    store: Store, small: Path
) -> None:
    receipt = store.put(small)
    assert store.bytes_of() == small.read_bytes()
    head = store.head()
    assert head["Metadata"] == {METADATA: sha256_hex(small)}
    assert head["ContentType"] == "application/zip"
    assert head["ServerSideEncryption"] == "AES256"
    assert receipt.uri == f"s3://{store.name}/{KEY}"
    assert (receipt.sha256, receipt.size) == (sha256_hex(small), SMALL)
    assert receipt.checksum == f"sha256:{sha256_hex(small)}"


@pytest.mark.parametrize(
    ("algorithm", "kind"), [("SHA256", "sha256-composite-2"), ("CRC64NVME", "crc64nvme")]
)
def test_a_large_file_goes_in_parts_and_its_checksum_is_confirmed(
    store: Store, large: Path, algorithm: str, kind: str
) -> None:
    receipt = store.put(large, checksum=algorithm)
    assert store.bytes_of() == large.read_bytes()
    assert store.head()["Metadata"] == {METADATA: sha256_hex(large)}
    with large.open("rb") as file:
        expected = survey(file, algorithm=algorithm, part_size=PART)
    assert receipt.checksum.partition(":")[0] == kind
    assert receipt.checksum in expected.checksums
    assert store.unfinished() == []


def test_the_same_file_is_not_sent_again_and_another_one_replaces_it(
    store: Store, small: Path, large: Path
) -> None:
    target, bucket = store.target()
    first = target.put(small, KEY, sha256=sha256_hex(small))
    bucket.asked.clear()
    assert target.put(small, KEY, sha256=sha256_hex(small)) == first
    assert bucket.asked == ["head_object"]
    assert target.put(large, KEY, sha256=sha256_hex(large)).size == LARGE
    assert store.bytes_of() == large.read_bytes()


def test_what_somebody_else_has_put_there_is_neither_replaced_nor_removed(
    store: Store, small: Path
) -> None:
    store.client.put_object(Bucket=store.name, Key=KEY, Body=b"theirs")
    target, _ = store.target()
    with pytest.raises(OccupiedError, match="Locutus has not put there"):
        target.put(small, KEY, sha256=sha256_hex(small))
    with pytest.raises(TargetError, match="Locutus has not put there"):
        target.withdraw(target.uri(KEY))
    assert store.bytes_of() == b"theirs"


def test_a_file_that_is_not_the_one_that_was_made_is_not_sent(store: Store, small: Path) -> None:
    target, _ = store.target()
    with pytest.raises(TargetError, match="not the one that was made"):
        target.put(small, KEY, sha256="0" * 64)
    assert store.keys() == []


@pytest.mark.parametrize(
    ("size", "algorithm"), [(SMALL, "SHA256"), (LARGE, "SHA256"), (LARGE, "CRC64NVME")]
)
def test_bytes_that_change_on_their_way_are_refused_by_the_store(
    store: Store, tmp_path: Path, size: int, algorithm: str
) -> None:
    meant, sent = file_of(tmp_path, size), file_of(tmp_path, size, "other")
    with meant.open("rb") as file:
        of = survey(file, algorithm=algorithm, part_size=PART)
    _, bucket = store.target()
    with sent.open("rb") as file, pytest.raises(RefusedError, match="got other bytes"):
        upload(bucket, KEY, file, of, condition={"IfNoneMatch": "*"}, about={}, connections=2)
    assert store.keys() == []
    assert store.unfinished() == []


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_of_several_writers_exactly_one_wins_and_the_others_know(
    store: Store, tmp_path: Path, size: int
) -> None:
    paths = [file_of(tmp_path, size, seed) for seed in ("one", "two", "three")]
    line = threading.Barrier(len(paths), timeout=20)

    def write(path: Path) -> Any:
        target, bucket = store.target()
        once = [True]

        def wait_for_the_others(operation: str, parameters: dict[str, Any]) -> None:
            if operation in ("put_object", "create_multipart_upload") and once:
                once.clear()
                line.wait()

        bucket.before = wait_for_the_others
        try:
            return target.put(path, KEY, sha256=sha256_hex(path))
        except TargetError as error:
            return error

    with ThreadPoolExecutor(len(paths)) as pool:
        outcomes = list(pool.map(write, paths))
    won = [path for path, one in zip(paths, outcomes, strict=True) if hasattr(one, "sha256")]
    assert len(won) == 1
    assert store.bytes_of() == won[0].read_bytes()
    assert sum("Another writer" in str(one) for one in outcomes) == len(paths) - 1
    assert store.unfinished() == []


def test_uploads_that_a_crash_left_are_aborted_for_this_key_alone(
    store: Store, small: Path
) -> None:
    def leave_two() -> None:
        for key in (KEY, KEY, KEY + "x"):
            store.client.create_multipart_upload(Bucket=store.name, Key=key)

    target, _ = store.target()
    leave_two()
    target.put(small, KEY, sha256=sha256_hex(small))
    assert store.unfinished() == [KEY + "x"]
    leave_two()
    target.withdraw(target.uri(KEY))
    assert set(store.unfinished()) == {KEY + "x"}


def test_a_delivery_is_held_read_and_withdrawn(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "study.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1.dcm", b"one" * 1000)
        archive.writestr("2.dcm", b"two" * 1000)
    target, _ = store.target()
    receipt = target.put(path, KEY, sha256=sha256_hex(path))
    assert target.holds(receipt.uri, size=receipt.size)
    assert not target.holds(receipt.uri, size=receipt.size + 1)
    target.close()
    with target.open(receipt.uri) as stream, zipfile.ZipFile(stream) as archive:
        assert archive.read("2.dcm") == b"two" * 1000
    gone = target.withdraw(receipt.uri)
    assert (gone.removed, gone.size) == (True, receipt.size)
    assert not target.holds(receipt.uri, size=receipt.size)
    assert not target.withdraw(receipt.uri).removed
    with pytest.raises(TargetError, match="not in the bucket"):
        target.open(receipt.uri)


def test_memory_does_not_grow_with_the_file(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "large.zip"
    with path.open("wb") as file:
        file.truncate(48 * 1024**2)
    sha256 = sha256_hex(path)
    target, _ = store.target()
    target.check()
    tracemalloc.start()
    try:
        target.put(path, KEY, sha256=sha256)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 * 1024**2, f"{peak / 1024**2:.1f} MiB"


# -- who asks, and where -------------------------------------------------------------------------


def test_check_takes_a_bucket_that_can_be_written_and_leaves_nothing(store: Store) -> None:
    store.target()[0].check()
    assert store.keys() == []
    assert store.unfinished() == []


def test_who_may_only_read_is_told_which_permission_is_missing(store: Store, small: Path) -> None:
    target, _ = store.target(access_key_id=READER[0], secret_access_key=READER[1])
    with pytest.raises(TargetError, match="s3:PutObject"):
        target.check()
    with pytest.raises(TargetError, match=r"refuses .*403 AccessDenied") as refusal:
        target.put(small, KEY, sha256=sha256_hex(small))
    assert READER[1] not in str(refusal.value)
    assert store.keys() == []


class RotatedSecrets(Secrets):
    """A secret that has been exchanged since it was fetched: whoever asks afresh gets `new`."""

    def __init__(self, old: str, new: str) -> None:
        super().__init__(VaultSettings())
        self._value, self._new = old, new
        self.fresh = 0

    def resolve(self, reference: str, *, fresh: bool = False) -> str:
        if reference != "vault:kv/s3#secret":
            return reference
        if fresh:
            self.fresh += 1
            self._value = self._new
        return self._value


def test_a_secret_that_was_rotated_is_fetched_anew_once(store: Store, large: Path) -> None:
    secrets = RotatedSecrets("a-former-secret", ADMIN[1])
    target, _ = store.target(secrets, secret_access_key="vault:kv/s3#secret")
    target.put(large, KEY, sha256=sha256_hex(large))
    assert secrets.fresh == 1
    assert store.bytes_of() == large.read_bytes()


def test_a_secret_that_stays_wrong_is_one_clear_error_without_the_secret(
    store: Store, small: Path
) -> None:
    secrets = RotatedSecrets("a-former-secret", "a-wrong-secret")
    target, bucket = store.target(secrets, secret_access_key="vault:kv/s3#secret")
    with pytest.raises(TargetError) as refusal:
        bucket.ask("put_object", Key=KEY)
    assert "does not accept the credentials" in str(refusal.value)
    assert secrets.fresh == 1
    with pytest.raises(TargetError) as other:
        target.put(small, KEY, sha256=sha256_hex(small))
    assert "secret" not in (str(refusal.value) + str(other.value) + repr(bucket)).replace(
        "secret_access_key", ""
    )


def test_no_log_holds_a_session_token_whatever_is_asked_of_the_loggers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("", "botocore", "botocore.auth", "botocore.endpoint", "botocore.retries.standard"):
        caplog.set_level(logging.DEBUG, logger=name)
    settings = S3TargetSettings(
        bucket="research",
        endpoint_url=f"http://127.0.0.1:{free_port()}",
        region="us-east-1",
        attempts=1,
        access_key_id="THE-KEY-ID",
        secret_access_key="the secret",
        session_token="THE-TOKEN",
    )
    target = open_target(settings, TargetContext("ws", "s3", Secrets(VaultSettings())))
    with pytest.raises(TargetError, match="does not answer"):
        target.check()
    assert "THE-" not in caplog.text


def test_a_bucket_that_is_not_there_is_not_taken_for_an_empty_one(
    store: Store, small: Path
) -> None:
    target, _ = store.target(bucket="nobodys-bucket")
    uri = target.uri(KEY)
    for attempt in (
        target.check,
        lambda: target.put(small, KEY, sha256=sha256_hex(small)),
        lambda: target.holds(uri, size=1),
        lambda: target.withdraw(uri),
        lambda: target.open(uri),
    ):
        with pytest.raises(TargetError, match="There is no bucket nobodys-bucket"):
            attempt()


def test_a_store_that_cannot_encrypt_as_it_is_told_says_which_setting(
    store: Store, small: Path
) -> None:
    with pytest.raises(TargetError, match="encryption: null"):
        store.put(small, encryption="aws:kms", kms_key_id="alias/nobodys", attempts=1)
    assert store.keys() == []


def test_without_boto3_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    context = TargetContext("project", "bucket", Secrets(VaultSettings()))
    with pytest.raises(TargetError, match=r"pip install 'locutus-dagster\[s3\]'"):
        open_target(store.settings(), context)


def test_the_registered_kind_opens_a_target_under_its_name(store: Store) -> None:
    context = TargetContext("project", "bucket", Secrets(VaultSettings()))
    target = open_target(store.settings(), context)
    target.check()
    assert target.name == "bucket"
    assert target.place == f"{store.url.removeprefix('http://')}/{store.name}"
    assert target.free_bytes() is None


def test_a_place_names_no_password() -> None:
    settings = S3TargetSettings(bucket="deliveries", endpoint_url="https://u:pass@s3.test:9000/x")
    context = TargetContext("project", "s3", Secrets(VaultSettings()))
    assert open_target(settings, context).place == "s3.test:9000/deliveries"


_TARGET = open_target(
    S3TargetSettings(bucket="deliveries"), TargetContext("p", "s3", Secrets(VaultSettings()))
)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_an_address_leads_back_to_its_key_whatever_that_is(key: str) -> None:
    uri = _TARGET.uri(key)
    assert uri.isascii()
    assert " " not in uri
    assert _TARGET._key(uri) == key  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "uri",
    ["s3://others/k", "s3://deliveries/", "s3://deliveries", "file:///k", "s3://deliveries/%ff"],
)
def test_an_address_that_lies_elsewhere_is_refused(uri: str) -> None:
    with pytest.raises(TargetError, match="does not lie in this bucket"):
        _TARGET.withdraw(uri)


# -- when the network fails ----------------------------------------------------------------------


def arm(proxy: FaultProxy, operation: str, fault: str, *values: Any) -> Any:
    """A hook that makes one fault when `operation` is asked for the first time."""
    armed = [True]

    def before(asked: str, parameters: dict[str, Any]) -> None:
        if asked == operation and armed:
            armed.clear()
            getattr(proxy, fault)(*values)

    return before


def send_at_once(bucket: WatchedBucket) -> None:
    """Send a body without waiting to be told to go on: that, too, would be an answer to lose."""

    def unhesitating(params: dict[str, Any], **_: Any) -> None:
        params["headers"].pop("Expect", None)

    bucket._connected().meta.events.register_last("before-call.s3", unhesitating)


LOST_ANSWER = ("cut_after", 0)
BROKEN_HEAD = ("cut_after", 30)  # it then looks like a whole answer that says little


@pytest.mark.parametrize(
    ("size", "operation", "fault"),
    [
        (SMALL, "head_object", ("reset", 1)),
        (SMALL, "list_multipart_uploads", BROKEN_HEAD),
        (SMALL, "put_object", ("answer_503", 1)),
        (SMALL, "put_object", ("cut_request_after", 3000)),
        (SMALL, "put_object", LOST_ANSWER),
        (SMALL, "put_object", BROKEN_HEAD),
        (LARGE, "create_multipart_upload", LOST_ANSWER),
        (LARGE, "create_multipart_upload", BROKEN_HEAD),
        (LARGE, "upload_part", BROKEN_HEAD),
        (LARGE, "upload_part", ("cut_request_after", 2_000_000)),
        (LARGE, "complete_multipart_upload", ("reset", 1)),
        (LARGE, "complete_multipart_upload", LOST_ANSWER),
    ],
)
def test_one_fault_of_the_network_is_survived(
    proxied: tuple[Store, FaultProxy],
    tmp_path: Path,
    size: int,
    operation: str,
    fault: tuple[Any, ...],
) -> None:
    store, proxy = proxied
    path = file_of(tmp_path, size)
    target, bucket = store.target()
    send_at_once(bucket)
    bucket.before = arm(proxy, operation, *fault)
    receipt = target.put(path, KEY, sha256=sha256_hex(path))
    assert proxy.faults == 1
    assert receipt.sha256 == sha256_hex(path)
    assert store.bytes_of() == path.read_bytes()
    assert store.unfinished() == []


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        ("head_object", BROKEN_HEAD),
        ("delete_object", BROKEN_HEAD),
        ("list_object_versions", BROKEN_HEAD),
        ("list_object_versions", ("cut_after", 500)),  # in the middle of its list
    ],
)
def test_a_broken_answer_is_not_taken_for_a_delivery_that_is_gone(
    proxied: tuple[Store, FaultProxy], small: Path, operation: str, fault: tuple[Any, ...]
) -> None:
    store, proxy = proxied
    receipt = store.put(small)
    target, bucket = store.target()
    bucket.before = arm(proxy, operation, *fault)
    assert target.withdraw(receipt.uri).size == SMALL
    assert proxy.faults == 1
    assert store.keys() == []


@pytest.mark.parametrize(
    ("size", "operation"), [(SMALL, "put_object"), (LARGE, "complete_multipart_upload")]
)
def test_a_delivery_whose_answer_was_lost_for_good_is_recognised_by_the_next_attempt(
    proxied: tuple[Store, FaultProxy], tmp_path: Path, size: int, operation: str
) -> None:
    store, proxy = proxied
    path = file_of(tmp_path, size)
    target, bucket = store.target(attempts=1)
    send_at_once(bucket)
    bucket.before = arm(proxy, operation, *LOST_ANSWER)
    with pytest.raises(TargetError, match="does not answer"):
        target.put(path, KEY, sha256=sha256_hex(path))
    bucket.asked.clear()
    receipt = target.put(path, KEY, sha256=sha256_hex(path))
    assert bucket.asked == ["head_object"]
    assert target.holds(receipt.uri, size=size)


@pytest.mark.parametrize(
    ("size", "operation", "fault"),
    [
        (SMALL, "put_object", ("delay", 1.0)),
        (SMALL, "put_object", ("answer_503", 99)),
        (LARGE, "upload_part", ("delay", 1.0)),
        (LARGE, "upload_part", ("reset", 99)),
    ],
)
def test_a_fault_that_lasts_is_one_clear_error_and_nothing_half_delivered(
    proxied: tuple[Store, FaultProxy],
    tmp_path: Path,
    size: int,
    operation: str,
    fault: tuple[Any, ...],
) -> None:
    store, proxy = proxied
    path = file_of(tmp_path, size)
    target, bucket = store.target(attempts=1, timeout=0.4)
    bucket.before = arm(proxy, operation, *fault)
    with pytest.raises(TargetError, match=r"keeps failing \(503\)|does not answer") as failure:
        target.put(path, KEY, sha256=sha256_hex(path))
    assert KEY not in str(failure.value)
    proxy.clear()
    # Whole, or not there: the answer alone may have been late.
    assert store.keys() == [] or store.bytes_of() == path.read_bytes()
    bucket.before = lambda operation, parameters: None
    assert target.put(path, KEY, sha256=sha256_hex(path)).size == size
    assert store.bytes_of() == path.read_bytes()
    assert store.unfinished() == []


def test_a_store_that_is_not_there_does_not_answer(store: Store) -> None:
    target, _ = store.target(endpoint_url=f"http://127.0.0.1:{free_port()}", attempts=1)
    with pytest.raises(TargetError, match="does not answer") as failure:
        target.holds(target.uri(KEY), size=1)
    assert KEY not in str(failure.value)


def test_reading_goes_on_where_the_connection_broke(
    proxied: tuple[Store, FaultProxy], large: Path
) -> None:
    store, proxy = proxied
    target, _ = store.target()
    receipt = target.put(large, KEY, sha256=sha256_hex(large))
    proxy.cut_after(2_000_000, times=2)
    with target.open(receipt.uri) as stream:
        assert stream.read() == large.read_bytes()
    assert proxy.faults == 2
    proxy.cut_after(200_000, times=99)  # from here on, but not to its end
    with target.open(receipt.uri) as stream:
        stream.seek(5_200_000)
        assert stream.read(100) == large.read_bytes()[5_200_000:5_200_100]


def test_what_is_replaced_while_it_is_read_is_not_mixed(
    store: Store, small: Path, large: Path
) -> None:
    target, _ = store.target()
    receipt = target.put(large, KEY, sha256=sha256_hex(large))
    with target.open(receipt.uri) as stream:
        stream.read(10)
        target.put(small, KEY, sha256=sha256_hex(small))
        stream.seek(5_000_000)
        with pytest.raises(TargetError, match="replaced or removed while"):
            stream.read(10)
