"""Studies in zip files, and beside a DICOMDIR, in a folder."""

from __future__ import annotations

import io
import random
import shutil
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from locutus_dagster.sources.base import FoundStudy, StudyChangedError, StudyIncompleteError
from locutus_dagster.sources.folder import FolderSource
from locutus_dagster.sources.folder_dicomdir import read_listing
from locutus_dagster.sources.folder_zip import UnreadableZipError, ZipArchive
from locutus_dagster_tests.sources.conftest import Told
from locutus_dagster_tests.sources.studies import (
    PATIENT_ID,
    PATIENT_NAME,
    PYDICOM_FILES,
    ROOT_UID,
    CollectingSink,
    MeasuringSink,
    digests,
    everything_said,
    instance,
    study_of,
)

MIB = 1024 * 1024
MEDIUM = PYDICOM_FILES / "dicomdirtests"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "archive"
    root.mkdir()
    return root


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "state" / "index.sqlite"


@pytest.fixture
def source(root: Path, index: Path) -> Iterator[FolderSource]:
    source = FolderSource(root, index_path=index)
    yield source
    source.close()


def zipped(path: Path, members: Mapping[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def named(instances: list[bytes], folder: str = "") -> dict[str, bytes]:
    return {f"{folder}IM{number}": data for number, data in enumerate(instances)}


def only(source: FolderSource, accession: str = "A1") -> FoundStudy:
    (study,) = source.find(accession)
    return study


def fetched(source: FolderSource, accession: str = "A1") -> list[bytes]:
    sink = CollectingSink()
    source.fetch(only(source, accession), sink)
    return sink.instances


# --- zip files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_members_of_a_zip_file_are_found_and_handed_out_unharmed(
    root: Path, source: FolderSource, how: int
) -> None:
    made = study_of("A1", 3)
    zipped(
        root / "in" / "Export.ZIP",
        {"../../etc/x": made[0], "/abs": made[1], "d/IM": made[2], "d/notes.txt": b"no", "e/": b""},
        how,
    )
    study = only(source)
    assert (study.instances, study.size) == (3, sum(map(len, made)))
    sink = CollectingSink()
    receipt = source.fetch(study, sink)
    assert digests(sink.instances) == digests(made)
    assert (receipt.size, receipt.fingerprint) == (study.size, study.fingerprint)
    assert source.overview(study).series == 1
    counts = source.check()
    assert [counts[one] for one in ("files", "studies", "unattributed", "unreadable")] == [
        *(3, 1, 1, 0)
    ]


def test_a_study_may_lie_in_several_zip_files_and_beside_them(
    root: Path, source: FolderSource
) -> None:
    made = study_of("A1", 24)
    for number in range(0, 22, 2):
        zipped(root / f"{number}.zip", named([made[number], made[number + 1]]))
    (root / "loose").write_bytes(made[22])
    (root / "loose.zip").write_bytes(made[23])  # a DICOM file, whatever it is called
    assert digests(fetched(source)) == digests(made)


def test_two_members_of_one_name_are_two(root: Path, source: FolderSource) -> None:
    made = study_of("A1", 2)
    with zipfile.ZipFile(root / "a.zip", "w") as archive:
        archive.writestr("IM", made[0])
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("IM", made[1])
    assert digests(fetched(source)) == digests(made)


def test_zip_files_are_read_once_and_again_when_they_change(
    root: Path, index: Path, source: FolderSource
) -> None:
    zipped(root / "a.zip", named(study_of("A1", 3)))
    zipped(root / "b.zip", named(study_of("A2", 2, study="2")))
    before, other = only(source), only(source, "A2")
    assert source.headers_read == 2
    again = FolderSource(root, index_path=index)
    assert (only(again), again.headers_read) == (before, 0)
    zipped(root / "a.zip", {**named(study_of("A1", 3)), "new": instance("A3", study="3")})
    (root / "b.zip").unlink()
    again.refresh()
    assert again.headers_read == 1
    assert only(again).fingerprint == before.fingerprint  # nothing has happened to this one
    assert only(again, "A3").instances == 1
    assert again.find("A2") == []
    shutil.rmtree(root)
    zipped(root / "a.zip" / "c.zip", named(study_of("A4", 1)))  # a folder where a file was
    again.refresh()
    assert (again.find("A1"), only(again, "A4").instances) == ([], 1)
    with pytest.raises(StudyChangedError):
        again.fetch(other, CollectingSink())
    again.close()


@pytest.mark.parametrize("when", ["before", "during"])
def test_a_zip_file_that_is_replaced_after_it_was_found_has_changed(
    root: Path, source: FolderSource, when: str
) -> None:
    path = zipped(root / "a.zip", named(study_of("A1", 3)))
    study = only(source)

    def replace(count: int = 1) -> None:
        if count == 1:
            changed = [*study_of("A1", 2), instance("A1", number=3, pixels=32768)]
            zipped(root.parent / "other.zip", named(changed)).replace(path)

    if when == "before":
        replace()
    with pytest.raises(StudyChangedError):
        source.fetch(study, CollectingSink(replace if when == "during" else lambda count: None))


def test_a_large_member_flows_through_in_chunks(root: Path, source: FolderSource) -> None:
    large = instance("A1", pixels=40 * MIB)
    zipped(root / "a.zip", {"IM": large})
    sink = MeasuringSink()
    source.fetch(only(source), sink)
    assert (sink.digests, sink.size) == (digests([large]), len(large))
    assert sink.largest_chunk <= MIB


def encrypted(path: Path) -> None:
    """Say of every member that it is encrypted."""
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        position = data.find(mark)
        while position >= 0:
            data[position + at] |= 1
            position = data.find(mark, position + 4)
    path.write_bytes(data)


def overlapping(path: Path) -> None:
    """Name the one member many times in the directory."""
    data = path.read_bytes()
    start = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    entry = data[start:end] * 300
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 300, 300, len(entry), start, 0)
    path.write_bytes(data[:start] + entry + tail)


def bomb(path: Path) -> None:
    """Hundreds of millions of zeros in a few hundred kilobytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("b", "w") as out:
        for _ in range(300):
            out.write(bytes(MIB))


BAD = {
    "encrypted": encrypted,
    "overlapping": overlapping,
    "bomb": bomb,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-30]),
    "no zip": lambda path: path.write_text("not a zip"),
    "empty": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_zip_file_unfit_to_be_read_is_counted_and_holds_up_what_lies_loose_beside_it(
    root: Path, source: FolderSource, kind: str, told: Told
) -> None:
    """It may hold a part of a study beside it; a study in another zip file is whole in itself."""
    bad = zipped(root / f"{PATIENT_NAME}.zip", {"IM": instance("A1", number=9)})
    BAD[kind](bad)
    zipped(root / "good.zip", named(study_of("A2", 2, study="2")))
    (root / "loose").write_bytes(instance("A1"))
    assert source.unreadable == 1
    assert len(fetched(source, "A2")) == 2
    with pytest.raises(StudyIncompleteError, match="cannot be read") as caught:
        fetched(source)
    bad.unlink()
    source.refresh()
    assert (source.unreadable, len(fetched(source))) == (0, 1)
    said = everything_said(caught.value) + str(told)
    assert PATIENT_NAME not in said
    assert ROOT_UID not in said


def test_a_member_that_cannot_be_read_holds_up_the_studies_of_its_folder_in_the_zip_file(
    root: Path, source: FolderSource
) -> None:
    path = zipped(
        root / "a.zip",
        {**named(study_of("A1", 2), "one/"), **named(study_of("A2", 2, study="2"), "two/")},
        zipfile.ZIP_STORED,
    )
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        data[archive.getinfo("one/IM1").header_offset] ^= 0xFF
    path.write_bytes(data)
    assert (source.unreadable, len(fetched(source, "A2"))) == (1, 2)
    with pytest.raises(StudyIncompleteError, match="cannot be read"):
        fetched(source)


def test_pixels_damaged_inside_a_zip_file_are_noticed_by_its_checksum(
    root: Path, source: FolderSource, told: Told
) -> None:
    made = [instance("A1", number=number, pixels=200_000) for number in (1, 2)]
    path = zipped(root / "a.zip", named(made), zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[100_000] ^= 0xFF
    path.write_bytes(data)
    assert only(source).instances == 2
    with pytest.raises(StudyIncompleteError, match="damaged") as caught:
        fetched(source)
    said = everything_said(caught.value) + str(told)
    for identifier in ("IM0", "a.zip", PATIENT_NAME, PATIENT_ID, ROOT_UID):
        assert identifier not in said


def test_a_zip_file_in_a_zip_file_is_not_entered(
    root: Path, source: FolderSource, tmp_path: Path
) -> None:
    inner = zipped(tmp_path / "inner.zip", {"IM": instance("A1")})
    zipped(root / "outer.zip", {"inner.zip": inner.read_bytes()})
    assert (source.find("A1"), source.unattributed) == ([], 1)


def test_a_member_with_a_long_header_is_read_to_where_it_says_what_it_is(
    root: Path, source: FolderSource
) -> None:
    long = instance("A1", changes={"ImageComments": "x" * 10_000, "StudyDescription": "y" * 64})
    dataset = pydicom.dcmread(io.BytesIO(long))
    dataset.add_new(0x00091010, "UN", bytes(200_000))
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    zipped(root / "a.zip", {"IM": buffer.getvalue()})
    assert source.overview(only(source)).series == 1


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.booleans())
def test_no_damage_makes_a_zip_file_do_more_than_fail(seed: int, flips: int, cut: bool) -> None:
    chance = random.Random(seed)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        originals = {f"d/{number}".encode(): bytes(range(200)) * 3 for number in range(3)}
        for name, original in originals.items():
            archive.writestr(name.decode(), original)
    data = bytearray(buffer.getvalue())
    for _ in range(flips):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    if cut:
        del data[chance.randrange(len(data)) :]
    try:
        opened = ZipArchive(io.BytesIO(bytes(data)))
    except UnreadableZipError:
        return
    for member in opened.members():
        opened.header(member)
        path = member.path_in(b"z")
        try:
            content = b"".join(opened.chunks(path, member.size))
        except UnreadableZipError:
            continue
        assert len(content) == member.size
        if not flips:
            assert content == originals[member.name]
    opened.close()


# --- DICOMDIR ------------------------------------------------------------------------------------


def medium_at(folder: Path) -> tuple[str, list[Path]]:
    """A copy of pydicom's medium with an accession number; one study's UID, and its files."""
    folder.mkdir()
    studies: dict[str, list[Path]] = {}
    for path in sorted(MEDIUM.rglob("*")):
        if path.is_file() and path.parent.name.startswith(("CT", "MR", "XA", "CR")):
            dataset = pydicom.dcmread(path)
            dataset.AccessionNumber = f"DISC-{dataset.StudyID or 'none'}"
            # Other letters than those in the DICOMDIR, as copies often have.
            to = folder / str(path.relative_to(MEDIUM)).lower()
            to.parent.mkdir(parents=True, exist_ok=True)
            dataset.save_as(to)
            studies.setdefault(str(dataset.StudyInstanceUID), []).append(to)
    shutil.copyfile(MEDIUM / "DICOMDIR", folder / "DICOMDIR")
    return max(studies.items(), key=lambda item: len(item[1]))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_a_dicomdir_lists_is_complete_or_the_study_is_not_handed_out(
    root: Path, source: FolderSource, told: Told
) -> None:
    uid, files = medium_at(root / "disc")
    accession = pydicom.dcmread(files[0]).AccessionNumber
    (study,) = (one for one in source.find(accession) if one.source_id.startswith(uid))
    assert study.instances == len(files)
    assert source.fetch(study, CollectingSink()).instances == len(files)
    files[0].unlink()
    source.refresh()
    (study,) = (one for one in source.find(accession) if one.source_id.startswith(uid))
    with pytest.raises(StudyIncompleteError, match="1 instances") as caught:
        source.fetch(study, CollectingSink())
    (root / "disc" / "DICOMDIR").unlink()
    source.refresh()
    (study,) = (one for one in source.find(accession) if one.source_id.startswith(uid))
    assert source.fetch(study, CollectingSink()).instances == len(files) - 1
    assert uid not in everything_said(caught.value) + str(told)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_dicomdir_inside_a_zip_file_is_minded_as_well(
    root: Path, source: FolderSource, tmp_path: Path
) -> None:
    uid, files = medium_at(tmp_path / "disc")
    accession = pydicom.dcmread(files[0]).AccessionNumber
    kept = {path for path in (tmp_path / "disc").rglob("*") if path.is_file()} - {files[0]}
    zipped(
        root / "disc.zip",
        {str(path.relative_to(tmp_path)): path.read_bytes() for path in sorted(kept)},
    )
    (study,) = (one for one in source.find(accession) if one.source_id.startswith(uid))
    with pytest.raises(StudyIncompleteError, match="1 instances"):
        source.fetch(study, CollectingSink())
    (root / "found").write_bytes(files[0].read_bytes())  # wherever it lies
    source.refresh()
    (study,) = (one for one in source.find(accession) if one.source_id.startswith(uid))
    assert source.fetch(study, CollectingSink()).instances == len(files)


def test_a_dicomdir_that_is_cut_holds_up_what_lies_beside_it(
    root: Path, source: FolderSource
) -> None:
    (root / "IM").write_bytes(instance("A1"))
    (root / "DICOMDIR").write_bytes((MEDIUM / "DICOMDIR").read_bytes()[:5000])
    assert (only(source).instances, source.unreadable) == (1, 1)
    with pytest.raises(StudyIncompleteError, match="cannot be read"):
        fetched(source)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_dicomdir_lists_every_instance_once_whatever_its_offsets_say() -> None:
    expected = {
        (str(one.StudyInstanceUID), str(one.SOPInstanceUID))
        for one in (
            pydicom.dcmread(path, specific_tags=["StudyInstanceUID", "SOPInstanceUID"])
            for path in MEDIUM.rglob("*")
            if path.is_file() and path.parent.parent.parent == MEDIUM
        )
    }
    whole = (MEDIUM / "DICOMDIR").read_bytes()
    listed = read_listing(io.BytesIO(whole))
    assert listed is not None
    assert listed == expected
    first = bytes.fromhex("04000012") + b"UL\x04\x00"
    at = whole.index(first) + 8
    moved = whole[:at] + struct.pack("<L", 7) + whole[at + 4 :]
    assert read_listing(io.BytesIO(moved)) == listed
    assert read_listing(io.BytesIO(b"nothing")) is None
