"""A share: a delivery is there whole and read back, or nothing of it is."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.parse import unquote

import pytest

from locutus_dagster.durable_files import sync_folder
from locutus_dagster.targets import TargetError
from locutus_dagster.targets.share import ShareTarget

KEY = ".TopLevel/S1/CT/uuid_abc.zip"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def put(share: ShareTarget, source: Path, key: str = KEY) -> str:
    return share.put(source, key, sha256=sha256(source.read_bytes())).uri


def test_a_delivery_arrives_whole_with_a_receipt(share: ShareTarget, source: Path) -> None:
    receipt = share.put(source, KEY, sha256=sha256(source.read_bytes()))
    assert files(share.root) == [KEY]
    assert (share.root / KEY).read_bytes() == source.read_bytes()
    assert (receipt.sha256, receipt.size) == (sha256(source.read_bytes()), 7000)
    assert receipt.uri == share.uri(KEY)
    assert source.exists()


def test_every_folder_that_is_made_for_a_delivery_survives_a_power_cut(
    share: ShareTarget, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def sync(folder: Path) -> None:
        synced.append(str(folder.relative_to(share.root)))
        sync_folder(folder)

    monkeypatch.setattr("locutus_dagster.targets.share.sync_folder", sync)
    put(share, source, "a/b/one.zip")
    assert synced == [".", "a", "a/b"]
    synced.clear()
    put(share, source, "a/b/two.zip")
    assert synced == ["a/b"]


def test_putting_twice_is_harmless(share: ShareTarget, source: Path) -> None:
    assert put(share, source) == put(share, source)
    assert files(share.root) == [KEY]


def test_what_a_crash_left_half_copied_does_not_stand_in_the_way(
    share: ShareTarget, source: Path
) -> None:
    path = share.root / KEY
    path.parent.mkdir(parents=True)
    (path.parent / f".{path.name}.part").write_bytes(b"half" * 5000)
    put(share, source)
    assert files(share.root) == [KEY]
    assert path.read_bytes() == source.read_bytes()


def test_other_bytes_than_promised_are_not_delivered(share: ShareTarget, source: Path) -> None:
    with pytest.raises(TargetError, match="other bytes"):
        share.put(source, KEY, sha256=sha256(b"what was meant"))
    assert files(share.root) == []


def test_a_failed_second_delivery_leaves_the_first(share: ShareTarget, source: Path) -> None:
    put(share, source)
    first = source.read_bytes()
    source.write_bytes(b"another")
    with pytest.raises(TargetError):
        share.put(source, KEY, sha256=sha256(b"not that"))
    assert (share.root / KEY).read_bytes() == first
    assert files(share.root) == [KEY]


def test_a_share_that_is_not_mounted_is_noticed_and_not_filled_in(
    tmp_path: Path, source: Path
) -> None:
    share = ShareTarget(tmp_path / "not mounted")
    with pytest.raises(TargetError, match=r"is not there.*Mount it"):
        share.check()
    with pytest.raises(TargetError, match="is not there"):
        put(share, source)
    assert not share.root.exists()


def test_a_share_that_works_passes_its_check_and_is_left_as_it_was(share: ShareTarget) -> None:
    share.check()
    assert list(share.root.iterdir()) == []


def test_a_share_that_is_a_file_is_not_there(tmp_path: Path, source: Path) -> None:
    share = ShareTarget(source)
    with pytest.raises(TargetError, match="is not there"):
        share.check()


def test_a_file_in_the_place_of_a_folder_is_a_clear_error(share: ShareTarget, source: Path) -> None:
    (share.root / ".TopLevel").write_text("in the way")
    with pytest.raises(TargetError, match="does not take files"):
        put(share, source)
    assert files(share.root) == [".TopLevel"]


def test_a_folder_in_the_place_of_the_delivery_is_a_clear_error(
    share: ShareTarget, source: Path
) -> None:
    (share.root / KEY).mkdir(parents=True)
    with pytest.raises(TargetError, match="does not take files"):
        put(share, source)
    assert files(share.root) == []


def test_a_read_only_share_is_a_clear_error(read_only_share: ShareTarget, source: Path) -> None:
    with pytest.raises(TargetError, match=r"does not take files.*mounted writable"):
        read_only_share.check()
    with pytest.raises(TargetError, match="does not take files"):
        put(read_only_share, source)
    assert list(read_only_share.root.iterdir()) == []


def test_a_full_share_is_a_clear_error_and_keeps_nothing_of_the_delivery(
    small_share: ShareTarget, source: Path
) -> None:
    put(small_share, source, "first.zip")
    source.write_bytes(os.urandom(2 * 1024 * 1024))
    with pytest.raises(TargetError, match=r"No space left.*finished work is kept"):
        put(small_share, source)
    assert files(small_share.root) == ["first.zip"]
    source.write_bytes(b"small enough")
    put(small_share, source)
    assert files(small_share.root) == [KEY, "first.zip"]


@pytest.mark.parametrize("key", ["../out.zip", "a/../../out.zip", "/etc/out.zip", "", ".", "a/.."])
def test_a_key_that_leads_out_of_the_share_is_refused(
    share: ShareTarget, source: Path, key: str
) -> None:
    with pytest.raises(TargetError, match="leads out"):
        put(share, source, key)
    with pytest.raises(TargetError, match="leads out"):
        share.uri(key)
    assert files(share.root) == []


@pytest.mark.parametrize("key", [KEY, "A+B/C D.zip", "100%/ä.zip", "a%20b.zip", "#1?.zip"])
@pytest.mark.parametrize("folder", ["share", "my share (100%)"])
def test_a_delivery_is_read_back_by_its_uri(
    tmp_path: Path, source: Path, folder: str, key: str
) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    share = ShareTarget(tmp_path / folder)
    uri = put(share, source, key)
    assert uri.startswith("file:///")
    with share.open(uri) as stream:
        assert stream.read() == source.read_bytes()


@pytest.mark.parametrize("way", ["{root}/../deidentified.zip", "{root}/%2e%2e/deidentified.zip"])
def test_what_lies_outside_the_share_is_not_read(
    share: ShareTarget, source: Path, way: str
) -> None:
    uri = "file://" + way.format(root=share.root)
    assert (share.root / unquote(uri.removeprefix("file://"))).resolve() == source.resolve()
    with pytest.raises(TargetError, match="does not lie on this share"):
        share.open(uri)


@pytest.mark.parametrize("uri", ["", "file://", "file:///etc/passwd", "s3://bucket/key"])
def test_a_uri_of_another_place_is_refused(share: ShareTarget, uri: str) -> None:
    with pytest.raises(TargetError, match="does not lie on this share"):
        share.open(uri)


def test_a_delivery_that_is_gone_is_a_clear_error(share: ShareTarget, source: Path) -> None:
    uri = put(share, source)
    (share.root / KEY).unlink()
    with pytest.raises(TargetError, match="cannot be read"):
        share.open(uri)
