"""One manifest to a share, S3 and Google Cloud Storage in one run, with keys out of Vault.

The stores are real servers (SeaweedFS, fake-gcs-server, OpenBao); S3 is reached through a proxy
that makes the network fail.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from locutus_dagster.durable_files import sha256_of
from locutus_dagster.ledger import State
from locutus_dagster.ledger.work import DeliveryRecord
from locutus_dagster.pipeline.outcomes import Finished, Result
from locutus_dagster.pipeline.recall_parts import recall_parts
from locutus_dagster.pipeline.recalling import recall
from locutus_dagster.targets import Target
from locutus_dagster_tests.parts.fault_proxy import FaultProxy
from locutus_dagster_tests.parts.gcs_servers import BUCKET, FakeGcsServer, direct
from locutus_dagster_tests.parts.openbao import OpenBaoServer
from locutus_dagster_tests.parts.s3_servers import ADMIN, SeaweedServer
from locutus_dagster_tests.pipeline.small_world import SmallWorld
from locutus_dagster_tests.targets.s3_world import plain_environment

ACCESSIONS = [f"ACC{number}" for number in range(6)]


class Stores:
    """The servers, and a proxy before S3."""

    def __init__(
        self, s3: SeaweedServer, proxy: FaultProxy, gcs: FakeGcsServer, bao: OpenBaoServer
    ):
        self.s3, self.proxy, self.gcs, self.bao = s3, proxy, gcs, bao


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    root = tmp_path_factory.mktemp("stores")
    with (
        SeaweedServer(root / "s3") as s3,
        FaultProxy("127.0.0.1", s3.port) as proxy,
        FakeGcsServer(root / "gcs") as gcs,
        OpenBaoServer(root / "bao") as bao,
    ):
        yield Stores(s3, proxy, gcs, bao)


@pytest.fixture
def world(
    small: SmallWorld, stores: Stores, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[SmallWorld]:
    plain_environment(monkeypatch, tmp_path)
    bucket = f"b{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}"
    stores.s3.client().create_bucket(Bucket=bucket)
    stores.bao.put("secret/locutus/s3", id=ADMIN[0], key=ADMIN[1])
    monkeypatch.setenv("VAULT_ADDR", stores.bao.url)
    monkeypatch.setenv("VAULT_TOKEN", stores.bao.root_token)
    made = small.delivering_to(
        {
            "share": {
                "kind": "share",
                "path": str(small.root / "share"),
                "key_template": "share",
            },
            "amazon": {
                "kind": "s3",
                "bucket": bucket,
                "endpoint_url": f"http://127.0.0.1:{stores.proxy.port}",
                "region": "us-east-1",
                "access_key_id": "vault:secret/locutus/s3#id",
                "secret_access_key": "vault:secret/locutus/s3#key",
                "encryption": None,
                "attempts": 4,
                "timeout": 10,
            },
            "google": {
                "kind": "gcs",
                "bucket": BUCKET,
                "endpoint_url": stores.gcs.url,
                "anonymous": True,
                "top": tmp_path.name,
                "timeout": 10,
            },
        }
    )
    for number in ACCESSIONS:
        made.put_study(number)
    yield made
    stores.proxy.clear()


def opened(world: SmallWorld) -> dict[str, Target]:
    return dict(recall_parts(world.settings, "default").targets)


def test_the_same_manifest_lies_on_all_three_as_the_receipts_say(
    world: SmallWorld, stores: Stores
) -> None:
    stores.proxy.reset(2)  # the network fails now and then
    keys = world.load(*ACCESSIONS)
    ends = [o for o in world.run(keys) if isinstance(o, Finished)]
    assert [end.result for end in ends] == [Result.DELIVERED] * len(keys)
    bucket = world.settings.workspace("default").targets["amazon"].bucket  # type: ignore[union-attr]
    for key in keys:
        by_target = {one.target: one for one in world.ledger.standing(world.item(key).accession_id)}
        assert set(by_target) == {"share", "amazon", "google"}
        assert len({one.sha256 for one in by_target.values()}) == 1
        _share_has(by_target["share"])
        _amazon_has(by_target["amazon"], stores, bucket)
        _google_has(by_target["google"], stores)


def _share_has(one: DeliveryRecord) -> None:
    path = Path(one.uri.removeprefix("file://"))
    assert sha256_of(path) == (one.sha256, one.size)
    assert one.checksum == f"sha256:{one.sha256}"
    assert path.parent.name.count("_") >= 3  # the reference's joined folder


def _amazon_has(one: DeliveryRecord, stores: Stores, bucket: str) -> None:
    key = one.uri.removeprefix(f"s3://{bucket}/")
    found = stores.s3.client().get_object(Bucket=bucket, Key=key)
    content = found["Body"].read()
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (one.sha256, one.size)
    assert one.checksum.startswith("sha256")
    assert key.startswith(".TopLevel/")


def _google_has(one: DeliveryRecord, stores: Stores) -> None:
    name = one.uri.removeprefix(f"gs://{BUCKET}/").replace("/", "%2F")
    with direct() as session:
        where = f"{stores.gcs.url}/storage/v1/b/{BUCKET}/o/{name}"
        content = session.get(where, params={"alt": "media"}, timeout=10).content
        told = session.get(where, timeout=10).json()
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (one.sha256, one.size)
    assert one.version == told["generation"]
    assert one.checksum.startswith("crc32c:")


def test_a_store_that_is_away_fails_for_itself_and_is_made_up_for(
    world: SmallWorld, stores: Stores
) -> None:
    keys = world.load(*ACCESSIONS[:2])
    stores.proxy.answer_503(10_000)
    ends = [o for o in world.run(keys) if isinstance(o, Finished)]
    assert [end.result for end in ends] == [Result.FAILED] * 2
    assert all("target 'amazon'" in end.reason and "ACC" not in end.reason for end in ends)
    for key in keys:
        item = world.item(key)
        assert (item.state, item.phase) == (State.FAILED, 5)
        standing = {one.target for one in world.ledger.standing(item.accession_id)}
        assert standing == {"share", "google"}
    stores.proxy.clear()
    ends = [o for o in world.run(keys) if isinstance(o, Finished)]
    assert [end.result for end in ends] == [Result.DELIVERED] * 2
    assert len(world.noted()) == 2  # the share was asked once for each


def test_a_recall_empties_all_three(world: SmallWorld) -> None:
    (key,) = world.load("ACC0")
    world.run([key])
    identity = world.item(key).accession_id
    before = world.ledger.standing(identity)
    targets = opened(world)
    assert all(targets[one.target].holds(one.uri, size=one.size) for one in before)
    parts = recall_parts(world.settings, "default")
    assert recall(parts, reason="consent withdrawn", accession_id=identity).complete
    assert not any(targets[one.target].holds(one.uri, size=one.size) for one in before)


def test_no_secret_stands_in_what_is_kept_or_said(world: SmallWorld, stores: Stores) -> None:
    keys = world.load(*ACCESSIONS[:1])
    stores.proxy.answer_503(10_000)
    said = repr(world.run(keys)) + repr(world.settings) + repr(opened(world))
    said += json.dumps(world.settings.model_dump(mode="json"))
    stores.proxy.clear()
    for secret in (ADMIN[1], stores.bao.root_token):
        assert secret not in said
