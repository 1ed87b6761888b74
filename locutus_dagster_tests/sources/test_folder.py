"""Finding and fetching studies in a folder."""

from __future__ import annotations

import io
import multiprocessing
import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest

from locutus_dagster.sources.base import (
    SourceError,
    SourceUnavailableError,
    StudyChangedError,
    StudyIncompleteError,
)
from locutus_dagster.sources.folder import FolderSource
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


def put(folder: Path, instances: Iterable[bytes]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, data in enumerate(instances):
        paths.append(folder / f"IM{number:04d}")
        paths[-1].write_bytes(data)
    return paths


# --- finding -----------------------------------------------------------------------------------


def test_a_study_is_found_wherever_its_files_lie(root: Path, source: FolderSource) -> None:
    made = study_of("A1", 5)
    put(root / "disk1", made[:2])
    put(root / "disk2" / "deep" / "down", made[2:])
    put(root, [instance("A2", study="2")])
    (study,) = source.find(" A1 ")
    assert (study.instances, study.size) == (5, sum(map(len, made)))
    sink = CollectingSink()
    receipt = source.fetch(study, sink)
    assert digests(sink.instances) == digests(made)
    assert (receipt.instances, receipt.size) == (5, study.size)
    assert receipt.fingerprint == study.fingerprint


def test_accession_numbers_match_exactly(root: Path, source: FolderSource) -> None:
    put(root, [instance("Abc")])
    assert [len(source.find(wanted)) for wanted in ("Abc", "abc", "Ab*", "Ab", "Abcd")] == [
        *(1, 0, 0, 0, 0)
    ]
    with pytest.raises(SourceError, match="empty"):
        source.find(" ")


def test_two_studies_under_one_accession_number_are_two(root: Path, source: FolderSource) -> None:
    put(root, [*study_of("A1", 2, study="1"), *study_of("A1", 3, study="2")])
    assert [study.instances for study in source.find("A1")] == [2, 3]


def test_instances_of_the_study_without_an_accession_number_belong_to_it(
    root: Path, source: FolderSource
) -> None:
    put(root, [instance("A1", number=1), instance("", number=2), instance(None, number=3)])
    assert source.find("A1")[0].instances == 3


def test_instances_of_the_study_with_another_accession_number_do_not_belong_to_it(
    root: Path, source: FolderSource
) -> None:
    put(root, [instance("A1", number=1), instance("A2", number=2)])
    assert [source.find(wanted)[0].instances for wanted in ("A1", "A2")] == [1, 1]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_odd_files_of_pydicom_are_attributed(root: Path, source: FolderSource) -> None:
    """Every transfer syntax, deflated and big endian, with and without preamble."""
    expected = 0
    for path in sorted(PYDICOM_FILES.glob("*.dcm")):
        try:
            dataset = pydicom.dcmread(path, force=True)
            if "StudyInstanceUID" not in dataset:
                continue
            dataset.AccessionNumber = "ODD"
            dataset.save_as(root / path.name)
        except (ValueError, AttributeError, NotImplementedError, TypeError):
            (root / path.name).unlink(missing_ok=True)
            continue
        expected += 1
    bare = io.BytesIO()
    plain = pydicom.Dataset(pydicom.dcmread(io.BytesIO(instance("ODD", study="9"))))
    pydicom.dcmwrite(bare, plain, implicit_vr=True, little_endian=True)
    (root / "bare").write_bytes(bare.getvalue())
    assert expected > 60
    assert sum(study.instances for study in source.find("ODD")) == expected + 1


def test_what_belongs_to_no_accession_number_is_counted(root: Path, source: FolderSource) -> None:
    put(root / "studies", [instance("A1"), instance(None, study="2")])
    (root / "notes.txt").write_text("no DICOM")
    (root / "empty").write_bytes(b"")
    (root / "stub").write_bytes(instance("A1")[:140])
    shutil.copyfile(PYDICOM_FILES / "dicomdirtests" / "DICOMDIR", root / "DICOMDIR")
    assert source.check() == {
        "kind": "folder",
        "files": 2,
        "studies": 2,
        "unattributed": 4,
        "unreadable": 0,
    }
    assert source.unattributed == 4


def test_a_file_cut_in_its_pixel_data_still_belongs_to_its_study(
    root: Path, source: FolderSource
) -> None:
    """It is for the engine to withhold it; a study that silently lacks it would be worse."""
    whole = instance("A1", number=2)
    put(root, [instance("A1", number=1), whole[: len(whole) - 5000]])
    (study,) = source.find("A1")
    assert study.instances == 2
    sink = CollectingSink()
    source.fetch(study, sink)
    assert sink.instances[1] == whole[:-5000]


def test_a_file_cut_before_its_study_uid_belongs_to_the_one_study_there_is(
    root: Path, source: FolderSource
) -> None:
    whole = instance("A1", number=2)
    put(root, [instance("A1", number=1), whole[: whole.index(PATIENT_NAME.encode())]])
    (study,) = source.find("A1")
    assert study.instances == 2


def test_links_are_not_followed(tmp_path: Path, root: Path, source: FolderSource) -> None:
    outside = put(tmp_path / "outside", [instance("A1", study="2")])
    inside = put(root / "studies", [instance("A1")])
    (root / "file").symlink_to(outside[0])
    (root / "folder").symlink_to(outside[0].parent)
    (root / "again").symlink_to(inside[0])
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "pipe")
    (study,) = source.find("A1")
    assert study.instances == 1


def test_a_root_that_is_not_there_says_what_to_do(tmp_path: Path, index: Path) -> None:
    for wrong in (tmp_path / "absent", tmp_path / "file"):
        (tmp_path / "file").write_text("")
        source = FolderSource(wrong, index_path=index)
        with pytest.raises(SourceUnavailableError, match="mounted"):
            source.find("A1")
        source.close()


def test_a_share_that_is_no_longer_mounted_is_not_an_empty_archive(
    root: Path, index: Path, source: FolderSource
) -> None:
    (path,) = put(root, [instance("A1")])
    assert source.find("A1")
    path.unlink()
    again = FolderSource(root, index_path=index)
    with pytest.raises(SourceUnavailableError, match="mounted"):
        again.find("A1")
    again.close()


def test_an_empty_folder_holds_nothing(source: FolderSource) -> None:
    assert source.find("A1") == []


# --- the index ---------------------------------------------------------------------------------


def test_a_known_file_is_not_read_again(root: Path, index: Path, source: FolderSource) -> None:
    paths = put(root, study_of("A1", 20))
    first = source.find("A1")
    assert source.headers_read == 20
    paths[0].unlink()
    paths[1].write_bytes(instance("A1", number=2, pixels=64))
    put(root / "more", [instance("A3", study="3")])
    again = FolderSource(root, index_path=index)
    (study,) = again.find("A1")
    assert again.headers_read == 2
    assert study.instances == 19
    assert study.fingerprint != first[0].fingerprint
    assert len(again.find("A3")) == 1
    again.close()


def test_an_unchanged_tree_costs_no_header_and_keeps_its_fingerprints(
    root: Path, index: Path, source: FolderSource
) -> None:
    put(root / "a", study_of("A1", 5))
    found = source.find("A1")
    again = FolderSource(root, index_path=index)
    assert again.find("A1") == found
    assert again.headers_read == 0
    again.close()


def test_a_folder_that_was_removed_is_forgotten(root: Path, source: FolderSource) -> None:
    put(root / "a" / "b", study_of("A1", 2))
    put(root / "c", [instance("A2", study="2")])
    assert source.find("A1")
    shutil.rmtree(root / "a")
    source.refresh()
    assert source.find("A1") == []
    assert source.find("A2")


def test_a_study_that_arrives_later_is_found_after_a_refresh(
    root: Path, source: FolderSource
) -> None:
    put(root / "a", [instance("A1")])
    assert source.find("A2") == []
    put(root / "b", [instance("A2", study="2")])
    source.refresh()
    assert len(source.find("A2")) == 1


def test_the_index_is_for_its_owner_only(root: Path, index: Path, source: FolderSource) -> None:
    put(root, [instance("A1")])
    source.find("A1")
    assert stat.S_IMODE(index.parent.stat().st_mode) == 0o700
    for path in index.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_index_inside_the_folder_does_not_index_itself(root: Path) -> None:
    put(root, [instance("A1")])
    source = FolderSource(root, index_path=root / "index.sqlite")
    source.find("A1")
    source.refresh()
    assert source.unattributed == 0
    source.close()


def test_an_index_of_another_folder_is_built_anew(tmp_path: Path, index: Path) -> None:
    for name in ("one", "two"):
        put(tmp_path / name, [instance(name)])
    one = FolderSource(tmp_path / "one", index_path=index)
    assert one.find("one")
    one.close()
    two = FolderSource(tmp_path / "two", index_path=index)
    assert two.find("one") == []
    assert two.find("two")
    two.close()


def test_an_index_that_is_no_database_says_what_to_do(root: Path, index: Path) -> None:
    index.parent.mkdir()
    index.write_bytes(b"this is no database, and long enough to be taken for a damaged one" * 20)
    source = FolderSource(root, index_path=index)
    with pytest.raises(SourceError, match="may be deleted"):
        source.find("A1")


def test_an_index_of_another_format_is_built_anew(
    root: Path, index: Path, source: FolderSource
) -> None:
    put(root, [instance("A1")])
    source.find("A1")
    source.close()
    with sqlite3.connect(index) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    assert source.find("A1")
    assert source.headers_read == 2


def _open_and_count(root: Path, index: Path, start: object, answers: object) -> None:
    source = FolderSource(root, index_path=index)
    start.wait()  # type: ignore[attr-defined]
    studies = [len(source.find(f"A{number}")) for number in range(10)]
    answers.put((studies, source.headers_read))  # type: ignore[attr-defined]
    source.close()


def test_processes_that_open_an_index_together_read_each_header_once(
    root: Path, index: Path
) -> None:
    for number in range(10):
        put(root / str(number), study_of(f"A{number}", 20, study=str(number + 1)))
    spawning = multiprocessing.get_context("spawn")
    start, answers = spawning.Barrier(3), spawning.Queue()
    processes = [
        spawning.Process(target=_open_and_count, args=(root, index, start, answers))
        for _ in range(3)
    ]
    for process in processes:
        process.start()
    results = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(10)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert [studies for studies, _ in results] == [[1] * 10] * 3
    assert sum(read for _, read in results) == 200


# --- fetching ----------------------------------------------------------------------------------


def test_the_order_is_that_of_the_uids_whatever_the_names(root: Path, source: FolderSource) -> None:
    made = study_of("A1", 12)
    put(root, reversed(made))
    sink = CollectingSink()
    source.fetch(source.find("A1")[0], sink)
    assert digests(sink.instances) == digests(made)


def test_a_large_file_flows_through_in_chunks(root: Path, source: FolderSource) -> None:
    data = instance("A1", pixels=40 * 1024 * 1024)
    put(root, [data])
    sink = MeasuringSink()
    source.fetch(source.find("A1")[0], sink)
    assert sink.digests == digests([data])
    assert sink.largest_chunk <= 1024 * 1024


def test_a_file_changed_removed_or_added_since_the_study_was_found_has_changed_it(
    root: Path, source: FolderSource
) -> None:
    def touched(paths: list[Path]) -> None:
        os.utime(paths[1], ns=(1, 1))

    def rewritten(paths: list[Path]) -> None:
        paths[1].write_bytes(instance("A1", number=2, pixels=100))

    def removed(paths: list[Path]) -> None:
        paths[1].unlink()

    def added(paths: list[Path]) -> None:
        (paths[1].parent / "late").write_bytes(instance("A1", number=50))

    for change in (touched, rewritten, removed, added):
        folder = root / change.__name__
        paths = put(folder, study_of("A1", 3))
        source.refresh()
        (study,) = source.find("A1")
        change(paths)
        with pytest.raises(StudyChangedError):
            source.fetch(study, CollectingSink())
        shutil.rmtree(folder)
        put(root / "other", [instance("A2", study="2")])


def test_a_change_during_the_download_is_no_success(root: Path, source: FolderSource) -> None:
    paths = put(root, study_of("A1", 3))
    late = instance("A1", number=60)
    (study,) = source.find("A1")
    sink = CollectingSink(lambda number: (root / "late").write_bytes(late) if number == 3 else None)
    with pytest.raises(StudyChangedError):
        source.fetch(study, sink)
    source.refresh()
    (study,) = source.find("A1")
    sink = CollectingSink(lambda number: paths[2].unlink() if number == 1 else None)
    with pytest.raises(StudyChangedError):
        source.fetch(study, sink)


def test_a_large_file_that_grows_while_it_is_read_has_changed(
    root: Path, source: FolderSource
) -> None:
    (path,) = put(root, [instance("A1", pixels=40 * 1024 * 1024)])

    class Grower(MeasuringSink):
        def add(self, data: bytes | Iterable[bytes]) -> None:
            assert not isinstance(data, bytes)
            next(iter(data))
            with path.open("ab") as file:
                file.write(b"more")
            super().add(data)

    with pytest.raises(StudyChangedError):
        source.fetch(source.find("A1")[0], Grower())


def test_a_root_that_vanishes_is_not_taken_for_a_changed_study(
    root: Path, source: FolderSource
) -> None:
    put(root, study_of("A1", 2))
    (study,) = source.find("A1")
    root.rename(root.with_name("elsewhere"))
    with pytest.raises(SourceUnavailableError, match="mounted"):
        source.fetch(study, CollectingSink())


# --- damage ---------------------------------------------------------------------------------------


def test_a_file_too_damaged_to_attribute_is_part_of_the_study_whose_folder_it_lies_in(
    root: Path, source: FolderSource
) -> None:
    first, *_ = put(root, study_of("A1", 2))
    (first.parent / "damaged.dcm").write_bytes(first.read_bytes()[:140])

    (study,) = source.find("A1")

    assert study.instances == 3
    assert source.fetch(study, CollectingSink()).instances == 3


def test_a_damaged_file_among_several_studies_blocks_none_of_them_and_is_counted(
    root: Path, source: FolderSource
) -> None:
    first, *_ = put(root, [*study_of("A1", 2), *study_of("A2", 2, study="2")])
    (first.parent / "damaged.dcm").write_bytes(first.read_bytes()[:140])

    for accession in ("A1", "A2"):
        (study,) = source.find(accession)
        assert source.fetch(study, CollectingSink()).instances == 2
    assert source.unattributed == 1


# --- permissions -------------------------------------------------------------------------------


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A directory that a user without privileges may use; pytest's own are closed to others."""
    directory = Path(tempfile.mkdtemp(prefix="locutus-folder-"))
    directory.chmod(0o777)
    yield directory
    shutil.rmtree(directory)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Permissions mean nothing to root, so act as nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_may_not_be_read_keeps_the_study_beside_it_from_being_fetched(
    open_to_all: Path, told: Told
) -> None:
    paths = put(open_to_all / "study", study_of("A1", 3))
    put(open_to_all / "another", [instance("A2", study="2")])
    paths[1].chmod(0)
    with unprivileged():
        source = FolderSource(open_to_all, index_path=open_to_all / "state" / "index")
        assert source.unreadable == 1
        (study,) = source.find("A1")
        with pytest.raises(StudyIncompleteError, match="cannot be read") as caught:
            source.fetch(study, CollectingSink())
        source.fetch(source.find("A2")[0], CollectingSink())
    paths[1].chmod(0o644)
    with unprivileged():
        source.refresh()
        assert source.unreadable == 0
        assert source.find("A1")[0].instances == 3
        source.close()
    said = everything_said(caught.value) + str(told)
    for identifier in ("A1", paths[1].name, str(open_to_all), PATIENT_NAME, ROOT_UID):
        assert identifier not in said


@pytest.mark.parametrize("closed", ["file", "folder"])
def test_what_becomes_unreadable_makes_its_study_incomplete_and_not_smaller(
    open_to_all: Path, closed: str
) -> None:
    paths = put(open_to_all / "study" / "series", study_of("A1", 3))
    with unprivileged():
        source = FolderSource(open_to_all, index_path=open_to_all / "state" / "index")
        (before,) = source.find("A1")
    target = paths[1] if closed == "file" else open_to_all / "study"
    mode = stat.S_IMODE(target.stat().st_mode)
    target.chmod(0)
    try:
        with unprivileged():
            with pytest.raises(StudyIncompleteError) as caught:
                source.fetch(before, CollectingSink())
            source.refresh()
            (study,) = source.find("A1")
            assert study == before
            with pytest.raises(StudyIncompleteError):
                source.fetch(study, CollectingSink())
    finally:
        target.chmod(mode)
    with unprivileged():
        source.refresh()
        source.fetch(source.find("A1")[0], CollectingSink())
        source.close()
    assert paths[1].name not in everything_said(caught.value)


# --- privacy -----------------------------------------------------------------------------------


def test_odd_values_and_names_are_neither_logged_nor_warned_about(
    root: Path, index: Path, told: Told
) -> None:
    data = instance("A1", study="7777777777777").replace(b"7777777777777", b"SECRET-NO-UID")
    (root / "SMITH^JOHN.dcm").write_bytes(data)
    (root / "DOE^JANE.dcm").write_bytes(data[: data.index(PATIENT_ID.encode()) + 3])
    (root / "elsewhere").mkdir()
    (root / "elsewhere" / "ROE^RICHARD.dcm").write_bytes(data[:400])
    source = FolderSource(root, index_path=index)
    for study in source.find("A1"):
        source.fetch(study, CollectingSink())
    source.close()
    for identifier in ("SMITH", "DOE", "ROE", "SECRET-NO-UID", PATIENT_NAME, PATIENT_ID):
        assert identifier not in str(told)
