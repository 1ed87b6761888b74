"""A bucket of Google Cloud Storage: a delivery is there whole and compared, or it is refused."""

from __future__ import annotations

import logging
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import google_crc32c
import pytest
from dagster_gcp import GCSResource

from locutus_dagster.defs.gcs_resources import gcs_resource
from locutus_dagster.settings import GcsTargetSettings
from locutus_dagster.targets import TargetContext, TargetError
from locutus_dagster.targets.gcs import GcsTarget
from locutus_dagster.targets.gcs_upload import SHA256_KEY
from locutus_dagster.targets.registry import open_target
from locutus_dagster_tests.parts.gcs_servers import BUCKET, FakeGcsServer, StubGcs
from locutus_dagster_tests.targets.gcs_world import (
    KEY,
    PART,
    URI,
    Answers,
    put,
    service_account,
    settings_for,
    sha256,
    target_on,
)

SMALL, LARGE = 1000, 3 * PART + 17  # sent in one request, and in four parts


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def stub() -> Iterator[StubGcs]:
    with StubGcs() as store:
        yield store


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeGcsServer]:
    with FakeGcsServer(tmp_path_factory.mktemp("fake-gcs")) as store:
        yield store


def file_of(tmp_path: Path, size: int, seed: bytes = b"study") -> Path:
    path = tmp_path / "deidentified.zip"
    path.write_bytes((seed * (size // len(seed) + 1))[:size])
    return path


def crc32c(content: bytes) -> str:
    return f"{google_crc32c.value(content):08x}"


# -- on a real server ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, SMALL, LARGE])
def test_a_delivery_arrives_whole_is_read_and_withdrawn(
    server: FakeGcsServer, tmp_path: Path, size: int
) -> None:
    source, key = file_of(tmp_path, size), f"top dir/ä+b/{size}.zip"
    target = target_on(server.url)
    target.check()
    receipt = put(target, source, key)
    content = source.read_bytes()
    assert receipt.uri == target.uri(key) == f"gs://{BUCKET}/{key}"
    assert (receipt.sha256, receipt.size) == (sha256(content), size)
    assert receipt.checksum == f"crc32c:{crc32c(content)}"
    assert target.holds(receipt.uri, size=size, version=receipt.version)
    assert not target.holds(receipt.uri, size=size + 1)
    assert not target.holds(receipt.uri, size=size, version="1")
    with target.open(receipt.uri) as stream:
        assert stream.read() == content
    withdrawn = target.withdraw(receipt.uri)
    assert (withdrawn.removed, withdrawn.size) == (True, size)
    assert not target.holds(receipt.uri, size=size)
    assert not target.withdraw(receipt.uri).removed
    with pytest.raises(TargetError, match="not in gs://"):
        target.open(receipt.uri)
    target.close()
    target.close()


def test_the_same_file_again_is_harmless_and_another_one_replaces_it(
    server: FakeGcsServer, tmp_path: Path
) -> None:
    target, key = target_on(server.url), "again.zip"
    first = put(target, file_of(tmp_path, SMALL), key)
    assert put(target, file_of(tmp_path, SMALL), key) == first
    second = put(target, file_of(tmp_path, SMALL, b"newer"), key)
    assert second.version != first.version
    assert not target.holds(first.uri, size=SMALL, version=first.version)
    with target.open(first.uri) as stream:
        assert stream.read(5) == b"newer"


def test_a_second_writer_is_noticed_by_a_real_server(
    server: FakeGcsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, rival = target_on(server.url), target_on(server.url)
    look = target._look

    def look_too_early(name: str) -> object:
        """What the rival puts there comes right after the look."""
        seen = look(name)
        monkeypatch.setattr(target, "_look", look)
        put(rival, file_of(tmp_path, SMALL, b"rival"), "raced.zip")
        file_of(tmp_path, SMALL)
        return seen

    source = file_of(tmp_path, SMALL)
    monkeypatch.setattr(target, "_look", look_too_early)
    with pytest.raises(TargetError, match="Another writer"):
        put(target, source, "raced.zip")
    with target.open(f"gs://{BUCKET}/raced.zip") as stream:
        assert stream.read(5) == b"rival"


def test_a_bucket_that_is_gone_is_not_taken_for_one_without_the_delivery(
    server: FakeGcsServer, tmp_path: Path
) -> None:
    target = target_on(server.url, bucket="another-bucket")
    uri = "gs://another-bucket/a.zip"
    for act in (
        target.check,
        lambda: put(target, file_of(tmp_path, LARGE), "a.zip"),
        lambda: target.holds(uri, size=1),
        lambda: target.withdraw(uri),
    ):
        with pytest.raises(TargetError, match=r"another-bucket is not there \(404\)"):
            act()


def test_a_zip_is_read_in_place(server: FakeGcsServer, tmp_path: Path) -> None:
    source = tmp_path / "study.zip"
    with zipfile.ZipFile(source, "w") as archive:
        for number in range(3):
            archive.writestr(f"{number}.dcm", bytes([number]) * PART)
    target = target_on(server.url)
    uri = put(target, source, "read.zip").uri
    with target.open(uri) as stream, zipfile.ZipFile(stream) as archive:
        assert archive.testzip() is None
        assert archive.read("2.dcm") == b"\x02" * PART


# -- preconditions and what is compared ----------------------------------------------------------


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_what_is_sent_says_what_it_is(stub: StubGcs, tmp_path: Path, size: int) -> None:
    key = "projects/p/locations/eu/keyRings/r/cryptoKeys/k"
    source = file_of(tmp_path, size)
    receipt = put(target_on(stub.url, kms_key_name=key), source)
    stored = stub.live(KEY)
    assert stored is not None
    assert stored["data"] == source.read_bytes()
    resource = stored["resource"]
    assert resource["metadata"] == {SHA256_KEY: sha256(source.read_bytes())}
    assert resource["kmsKeyName"] == key
    assert receipt.version == resource["generation"]
    if size == LARGE:
        assert resource["contentType"] == "application/zip"


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("was_there", [False, True])
def test_of_two_writers_at_the_same_moment_one_is_refused(
    stub: StubGcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, was_there: bool
) -> None:
    if was_there:
        stub.add(KEY, b"before", {SHA256_KEY: sha256(b"before")})
    finish = stub.finish

    def finish_after_a_rival(*args: object) -> object:
        monkeypatch.setattr(stub, "finish", finish)
        stub.add(KEY, b"rival", {SHA256_KEY: sha256(b"rival")})
        return finish(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(stub, "finish", finish_after_a_rival)
    with pytest.raises(TargetError, match="Another writer"):
        put(target_on(stub.url), file_of(tmp_path, size))
    stored = stub.live(KEY)
    assert stored is not None
    assert stored["data"] == b"rival"
    assert stub.uploads == {}


def test_what_locutus_has_not_put_there_is_not_touched(stub: StubGcs, tmp_path: Path) -> None:
    stub.add(KEY, b"somebody's")
    with pytest.raises(TargetError, match="has not put there"):
        put(target_on(stub.url), file_of(tmp_path, SMALL))
    assert [one["data"] for one in stub.objects[KEY]] == [b"somebody's"]


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_other_bytes_than_were_sent_are_removed_and_not_delivered(
    stub: StubGcs, tmp_path: Path, size: int
) -> None:
    stub.corrupt = True
    with pytest.raises(TargetError, match="other bytes than it was given; they were removed"):
        put(target_on(stub.url), file_of(tmp_path, size))
    assert stub.live(KEY) is None
    put(target_on(stub.url), file_of(tmp_path, size))


def test_other_bytes_than_promised_are_not_sent(stub: StubGcs, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="other bytes than were de-identified"):
        target_on(stub.url).put(file_of(tmp_path, SMALL), KEY, sha256=sha256(b"what was meant"))
    assert stub.requests == []


def test_a_file_that_changes_while_it_is_sent_is_refused(
    stub: StubGcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, source = target_on(stub.url), file_of(tmp_path, LARGE)
    look = target._look

    def look_and_change(name: str) -> object:
        file_of(tmp_path, LARGE, b"changed")
        return look(name)

    monkeypatch.setattr(target, "_look", look_and_change)
    with pytest.raises(TargetError, match=r"other bytes than it was told of \(400\)"):
        put(target, source)
    assert stub.live(KEY) is None


def test_a_large_file_is_sent_with_flat_memory(stub: StubGcs, tmp_path: Path) -> None:
    """Counted in a process of its own, so that what the store keeps does not count."""
    source = tmp_path / "large.zip"
    with source.open("wb") as file:
        file.truncate(64 * 1024**2)
    program = """
import pathlib, resource, sys
from locutus_dagster_tests.targets.gcs_world import put, target_on
small, large = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
target = target_on(sys.argv[1], part_size=1024**2)
target.put(small, "small.zip", sha256=sys.argv[4])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
target.put(large, "large.zip", sha256=sys.argv[5])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    small = file_of(tmp_path, 2 * 1024**2)
    digests = [sha256(path.read_bytes()) for path in (small, source)]
    run = subprocess.run(
        [sys.executable, "-c", program, stub.url, str(small), str(source), *digests],
        capture_output=True,
        check=False,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 16 * 1024, "KiB more than for a small file"
    stored = stub.live("large.zip")
    assert stored is not None
    assert len(stored["data"]) == 64 * 1024**2


# -- versions ------------------------------------------------------------------------------------


def test_a_withdrawal_removes_every_version_and_nothing_beside_it(
    stub: StubGcs, tmp_path: Path
) -> None:
    stub.versioning = True
    target = target_on(stub.url)
    put(target, file_of(tmp_path, SMALL))
    put(target, file_of(tmp_path, LARGE))
    put(target, file_of(tmp_path, SMALL), f"{KEY}.other")
    assert len(stub.objects[KEY]) == 2
    withdrawn = target.withdraw(URI)
    assert (withdrawn.removed, withdrawn.size) == (True, SMALL + LARGE)
    assert stub.objects[KEY] == []
    assert stub.live(f"{KEY}.other") is not None


def test_a_withdrawal_of_one_version_leaves_the_others(stub: StubGcs, tmp_path: Path) -> None:
    stub.versioning = True
    target = target_on(stub.url)
    first = put(target, file_of(tmp_path, SMALL))
    second = put(target, file_of(tmp_path, LARGE))
    assert target.withdraw(URI, version=first.version).size == SMALL
    assert target.holds(URI, size=LARGE, version=second.version)
    assert not target.withdraw(URI, version=first.version).removed
    assert len(stub.objects[KEY]) == 1


@pytest.mark.parametrize("versioning", [False, True])
def test_an_object_of_somebody_else_is_not_removed_with_ours(
    stub: StubGcs, tmp_path: Path, versioning: bool
) -> None:
    stub.versioning = versioning
    target = target_on(stub.url)
    ours = put(target, file_of(tmp_path, SMALL))
    stub.add(KEY, b"somebody else's")
    before = len(stub.objects[KEY])
    with pytest.raises(TargetError, match="neither replaced nor removed"):
        target.withdraw(URI)
    assert len(stub.objects[KEY]) == before
    # The very version that was delivered is ours, whatever lies above it.
    assert target.withdraw(URI, version=ours.version).removed == versioning
    found = stub.live(KEY)
    assert found is not None
    assert found["data"] == b"somebody else's"


def test_what_a_retention_policy_keeps_is_said_to_be_kept(stub: StubGcs, tmp_path: Path) -> None:
    target = target_on(stub.url)
    put(target, file_of(tmp_path, SMALL))
    stub.kept = True
    with pytest.raises(TargetError, match="retention policy or a hold"):
        target.withdraw(URI)
    with pytest.raises(TargetError, match="retention policy or a hold"):
        put(target, file_of(tmp_path, LARGE))
    assert target.holds(URI, size=SMALL)


def test_what_is_put_back_after_a_withdrawal_is_noticed(
    stub: StubGcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, delete = target_on(stub.url), stub.delete
    put(target, file_of(tmp_path, SMALL))

    def delete_and_put_back(name: str, generation: str) -> object:
        answer = delete(name, generation)
        stub.add(name, b"put back")
        return answer

    monkeypatch.setattr(stub, "delete", delete_and_put_back)
    with pytest.raises(TargetError, match="still lies"):
        target.withdraw(URI)


# -- credentials ---------------------------------------------------------------------------------


def test_a_rotated_key_is_asked_for_afresh_once_and_the_delivery_goes_on(
    stub: StubGcs, tmp_path: Path
) -> None:
    stub.keys = {"old"}
    secrets = Answers(service_account(stub.url, "old"), service_account(stub.url, "new"))
    target = target_on(stub.url, secrets, credentials="vault:kv/gcs#key")
    put(target, file_of(tmp_path, SMALL), "first.zip")
    stub.keys = {"new"}
    assert put(target, file_of(tmp_path, LARGE)).size == LARGE
    assert secrets.asked_afresh == 1


def test_no_log_holds_a_token_or_the_address_of_an_upload(
    stub: StubGcs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("", "google.auth.transport.requests", "urllib3.connectionpool"):
        caplog.set_level(logging.DEBUG, logger=name)
    stub.keys = {"own"}
    secrets = Answers(service_account(stub.url, "own"))
    put(target_on(stub.url, secrets, credentials="vault:kv/gcs#key"), file_of(tmp_path, LARGE))
    for secret in ("token-own", "upload_id", "uuid_abc"):
        assert secret not in caplog.text


def test_a_key_that_stays_refused_is_one_clear_error(stub: StubGcs, tmp_path: Path) -> None:
    stub.keys = {"another"}
    secrets = Answers(service_account(stub.url, "old"))
    target = target_on(stub.url, secrets, credentials="vault:kv/gcs#key")
    with pytest.raises(TargetError, match="refuses the credentials") as refusal:
        put(target, file_of(tmp_path, SMALL))
    assert secrets.asked_afresh == 1
    assert "PRIVATE" not in repr(refusal.value) + str(refusal.value)
    with pytest.raises(TargetError, match=r"refuses the credentials \(no access token"):
        target_on(stub.url).check()


@pytest.mark.parametrize("secret", ["", "{", "[]", '{"type": "authorized_user"}', '"PRIVATE"'])
def test_what_is_no_service_accounts_key_is_refused_and_not_quoted(secret: str) -> None:
    target = target_on("http://127.0.0.1:1", Answers(secret), credentials="vault:kv/gcs#key")
    with pytest.raises(TargetError, match="not a service account's key") as refusal:
        target.check()
    assert "PRIVATE" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_rights_that_lack_are_named(stub: StubGcs) -> None:
    stub.granted = ["storage.objects.get", "storage.objects.list", "storage.objects.create"]
    with pytest.raises(TargetError, match=r"lacks storage\.objects\.delete\."):
        target_on(stub.url).check()


def test_credentials_and_none_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="leave one of the two out"):
        GcsTargetSettings(bucket=BUCKET, anonymous=True, credentials="env:KEY")


# -- places --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["", "/a", "a/../b", "../a", "a//b", ".", "a\nb", "a/", "ä" * 513, "a/./b"]
)
def test_a_key_that_is_no_name_of_an_object_is_refused(key: str) -> None:
    with pytest.raises(TargetError, match="cannot be the name"):
        target_on("http://127.0.0.1:1").uri(key)


@pytest.mark.parametrize(
    "uri", ["", "gs://", f"gs://{BUCKET}", f"gs://{BUCKET}/", "gs://other/a", "file:///a/b"]
)
def test_a_uri_of_another_place_is_refused(uri: str) -> None:
    target = target_on("http://127.0.0.1:1")
    for act in (target.open, target.withdraw):
        with pytest.raises(TargetError, match="does not lie"):
            act(uri)
    with pytest.raises(TargetError, match="does not lie"):
        target.holds(uri, size=1)


def test_the_place_names_the_bucket_and_no_secret(stub: StubGcs) -> None:
    settings = GcsTargetSettings(bucket=BUCKET, credentials="PRIVATE")
    target = open_target(settings, TargetContext("oncology", "bucket", Answers("PRIVATE")))
    assert isinstance(target, GcsTarget)
    assert (target.place, target.name, target.free_bytes()) == (f"gs://{BUCKET}", "bucket", None)
    assert target_on(stub.url).place == f"gs://{BUCKET} at {stub.url}"


# -- Dagster's resource --------------------------------------------------------------------------


def test_dagsters_own_resource_reaches_what_the_target_delivered(
    stub: StubGcs, tmp_path: Path
) -> None:
    stub.keys = {"key"}
    secrets = Answers(service_account(stub.url, "key"))
    settings = settings_for(stub.url, credentials="PRIVATE", project="research-project")
    source = file_of(tmp_path, SMALL)
    put(target_on(stub.url, secrets, credentials="PRIVATE"), source)

    @dg.asset
    def downstream(gcs: GCSResource) -> dg.MaterializeResult[None]:
        client = gcs.get_client()
        assert client.project == "research-project"
        data = client.bucket(BUCKET).blob(KEY).download_as_bytes()
        return dg.MaterializeResult(metadata={"sha256": sha256(data)})

    resource = gcs_resource(settings, secrets)
    result = dg.materialize([downstream], resources={"gcs": resource})
    [made] = result.asset_materializations_for_node("downstream")
    assert made.metadata["sha256"].value == sha256(source.read_bytes())
    assert "PRIVATE" not in repr(resource) + str(resource.model_dump())


def test_a_missing_package_is_named_with_its_remedy() -> None:
    program = """
import sys
sys.modules["google.cloud.storage"] = None
from locutus_dagster.targets.registry import open_target
from locutus_dagster.targets import TargetContext, TargetError
from locutus_dagster.settings import GcsTargetSettings
try:
    open_target(GcsTargetSettings(bucket="some-bucket"), TargetContext("w", "n", None))
except TargetError as error:
    print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, text=True
    )
    assert "pip install 'locutus-dagster[gcs]'" in run.stdout, run.stderr
