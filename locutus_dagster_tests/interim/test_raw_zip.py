"""The raw zip: names that identify nobody, stored bytes, the same file for the same study."""

from __future__ import annotations

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor

from locutus_dagster.interim import RawZipWriter


def written(*instances: bytes) -> bytes:
    stream = io.BytesIO()
    writer = RawZipWriter(stream)
    for instance in instances:
        writer.add(instance)
    writer.close()
    return stream.getvalue()


def test_members_are_numbered_stored_and_whole() -> None:
    instances = [b"first" * 100, b"", b"third"]
    archive = zipfile.ZipFile(io.BytesIO(written(*instances)))
    assert archive.namelist() == ["000001.dcm", "000002.dcm", "000003.dcm"]
    assert [archive.read(name) for name in archive.namelist()] == instances
    assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    assert archive.testzip() is None


def test_the_same_instances_give_the_same_bytes() -> None:
    assert written(b"one", b"two") == written(b"one", b"two")


def test_members_carry_no_time_and_are_for_their_owner_alone() -> None:
    (info,) = zipfile.ZipFile(io.BytesIO(written(b"one"))).infolist()
    assert info.date_time == (1980, 1, 1, 0, 0, 0)
    assert info.external_attr >> 16 & 0o777 == 0o600


def test_chunks_are_joined_in_their_order_and_counted() -> None:
    stream = io.BytesIO()
    writer = RawZipWriter(stream)
    writer.add(iter([b"a", b"", bytes(70_000), b"z"]))
    writer.add(bytearray(b"bytes that change"))
    writer.add(memoryview(b"bytes in place"))
    writer.close()
    archive = zipfile.ZipFile(stream)
    assert archive.read("000001.dcm") == b"a" + bytes(70_000) + b"z"
    assert archive.read("000002.dcm") == b"bytes that change"
    assert archive.read("000003.dcm") == b"bytes in place"
    assert (writer.instances, writer.size) == (3, 70_002 + 17 + 14)


def test_threads_may_add_at_the_same_time() -> None:
    stream = io.BytesIO()
    writer = RawZipWriter(stream)
    instances = [bytes([number]) * (1000 + number) for number in range(200)]

    def in_chunks(data: bytes) -> None:
        writer.add(data[start : start + 100] for start in range(0, len(data), 100))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(in_chunks, instances))
    writer.close()
    archive = zipfile.ZipFile(stream)
    assert archive.namelist() == [f"{number:06d}.dcm" for number in range(1, 201)]
    assert sorted(archive.read(name) for name in archive.namelist()) == sorted(instances)
    assert writer.size == sum(map(len, instances))


def test_without_its_end_it_is_no_zip() -> None:
    stream = io.BytesIO()
    writer = RawZipWriter(stream)
    writer.add(b"one")
    assert not zipfile.is_zipfile(stream)
    writer.close()
    assert zipfile.is_zipfile(stream)
