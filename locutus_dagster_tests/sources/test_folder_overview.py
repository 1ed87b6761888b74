"""What a folder says about a study without giving it away: overview, and time of change."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from pydicom.uid import (
    ComprehensiveSRStorage,
    CTImageStorage,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)

from locutus_dagster.sources.base import FoundStudy, SourceUnavailableError, StudyChangedError
from locutus_dagster.sources.folder import FolderSource
from locutus_dagster_tests.sources.conftest import Told
from locutus_dagster_tests.sources.studies import (
    PATIENT_ID,
    ROOT_UID,
    CollectingSink,
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


def put(folder: Path, instances: list[bytes], at: datetime | None = None) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, data in enumerate(instances):
        paths.append(folder / f"IM{number:04d}")
        paths[-1].write_bytes(data)
        if at is not None:
            os.utime(paths[-1], (at.timestamp(), at.timestamp()))
    return paths


def only(source: FolderSource, accession: str = "A1") -> FoundStudy:
    (study,) = source.find(accession)
    return study


# --- the overview ------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_each_instance_counts_by_its_own_sop_class_and_modality(
    root: Path, source: FolderSource
) -> None:
    def made(series: int, number: int, sop_class: str, modality: str) -> bytes:
        changes = {"SOPClassUID": sop_class, "Modality": modality}
        return instance("A1", series=series, number=number, changes=changes)

    put(root / "ct", [made(1, number, CTImageStorage, "CT") for number in range(1, 6)])
    put(
        root / "other",
        [
            made(1, 6, SecondaryCaptureImageStorage, "CT"),
            made(2, 1, SecondaryCaptureImageStorage, "ot "),
            made(2, 2, MRImageStorage, "MR"),
            made(3, 1, ComprehensiveSRStorage, "SR"),
        ],
    )
    put(root / "another", study_of("A2", 3, study="2"))
    study = only(source)
    overview = source.overview(study)
    assert overview.series == 3
    assert overview.kinds == {
        (CTImageStorage, "CT"): 5,
        (SecondaryCaptureImageStorage, "CT"): 1,
        (SecondaryCaptureImageStorage, "OT"): 1,
        (MRImageStorage, "MR"): 1,
        (ComprehensiveSRStorage, "SR"): 1,
    }
    assert sum(overview.kinds.values()) == study.instances
    assert source.overview(only(source, "A2")).kinds == {(CTImageStorage, "CT"): 3}


def test_an_instance_without_a_series_belongs_to_none(root: Path, source: FolderSource) -> None:
    nowhere = {"SeriesInstanceUID": None}
    put(root, [instance("A1", number=1, changes=nowhere)])
    assert source.overview(only(source)).series == 0
    put(root / "more", [instance("A1", series=4, number=2), instance("A1", series=4, number=3)])
    source.refresh()
    overview = source.overview(only(source))
    assert (overview.series, overview.kinds) == (1, {(CTImageStorage, "CT"): 3})


def test_what_the_header_does_not_tell_is_empty(root: Path, source: FolderSource) -> None:
    unnamed = {"SOPClassUID": None, "Modality": None, "PatientID": None}
    (path,) = put(root, [instance("A1", changes=unnamed)])
    path.with_name("damaged").write_bytes(path.read_bytes()[:140])
    study = only(source)
    overview = source.overview(study)
    assert (overview.kinds, overview.patients) == ({("", ""): 2}, ())
    assert study.instances == 2


def test_two_patient_ids_are_two_patients_and_padding_and_case_are_none(
    root: Path, source: FolderSource
) -> None:
    def of(number: int, patient_id: str) -> bytes:
        return instance("A1", number=number, changes={"PatientID": patient_id})

    put(root / "one", [of(1, "mrn-1"), of(2, " MRN-1 "), of(3, "")])
    assert len(source.overview(only(source)).patients) == 1
    put(root / "two", [of(4, "MRN-2")])
    source.refresh()
    two = source.overview(only(source)).patients
    assert len(two) == 2
    assert list(two) == sorted(two)


def test_the_same_patient_has_the_same_digest_in_another_study(
    root: Path, source: FolderSource
) -> None:
    other = {"PatientID": "MRN-OTHER"}
    put(root, [instance("A1"), instance("A2", study="2"), instance("A3", study="3", changes=other)])
    first, second, third = (
        source.overview(only(source, accession)).patients for accession in ("A1", "A2", "A3")
    )
    assert first == second != third


@pytest.mark.parametrize("start", [b"\x08\x00\x60\x00CS", b"\x10\x00\x20\x00LO"])
@pytest.mark.parametrize("vr", [b"DS", b"US", b"AT", b"ZZ", b"SL"])
def test_a_value_of_a_wrong_kind_keeps_no_file_from_its_study(
    root: Path, source: FolderSource, start: bytes, vr: bytes
) -> None:
    data = instance("A1")
    odd = data.replace(start, start[:4] + vr, 1)
    assert odd != data
    put(root, [odd])
    overview = source.overview(only(source))
    assert overview.series == sum(overview.kinds.values()) == 1


def test_a_file_cut_anywhere_behind_its_study_uid_is_counted(
    root: Path, source: FolderSource
) -> None:
    whole = instance("A1", number=2)
    uid = f"{ROOT_UID}.1".encode()
    end = whole.index(b"\x20\x00\x0d\x00UI") + 8 + len(uid) + len(uid) % 2
    for cut in range(end, end + 60):
        put(root / str(cut), [whole[:cut]])
    study = only(source)
    assert study.instances == 60
    assert source.overview(study).kinds == {(CTImageStorage, "CT"): 60}


def test_files_that_came_and_went_since_are_seen(root: Path, source: FolderSource) -> None:
    paths = put(root, study_of("A1", 3))
    study = only(source)
    put(root, [*study_of("A1", 3), instance("A1", series=2, number=9)])
    assert source.overview(study).kinds == {(CTImageStorage, "CT"): 4}
    paths[0].unlink()
    assert source.overview(study).series == 2
    assert source.overview(study).kinds == {(CTImageStorage, "CT"): 3}


def test_a_study_that_vanished_has_changed(root: Path, source: FolderSource, told: Told) -> None:
    put(root / "study", study_of("A-VANISHED", 2))
    put(root / "other", [instance("A2", study="2")])
    study = only(source, "A-VANISHED")
    shutil.rmtree(root / "study")
    with pytest.raises(StudyChangedError) as caught:
        source.overview(study)
    said = everything_said(caught.value) + str(told)
    assert "A-VANISHED" not in said
    assert ROOT_UID not in said


def test_a_root_that_vanishes_is_not_taken_for_a_changed_study(
    root: Path, source: FolderSource
) -> None:
    put(root, study_of("A1", 2))
    study = only(source)
    root.rename(root.with_name("elsewhere"))
    with pytest.raises(SourceUnavailableError, match="mounted"):
        source.overview(study)


def test_an_overview_reads_no_file_again(root: Path, index: Path, source: FolderSource) -> None:
    put(root, study_of("A1", 20))
    before = source.overview(only(source))
    again = FolderSource(root, index_path=index)
    assert again.overview(only(again)) == before
    assert again.headers_read == 0
    again.close()


# --- the index -----------------------------------------------------------------------------------


def test_the_index_holds_neither_the_patient_id_nor_a_hash_that_could_be_looked_up(
    root: Path, index: Path, source: FolderSource
) -> None:
    put(root, [instance("A1")])
    assert len(source.overview(only(source)).patients) == 1
    source.close()
    kept = b"".join(path.read_bytes() for path in index.parent.iterdir())
    assert b"A1" in kept
    assert PATIENT_ID.encode() not in kept
    for digest in (hashlib.sha256, hashlib.sha1, hashlib.md5):
        assert digest(PATIENT_ID.encode()).hexdigest()[:16].encode() not in kept


def test_each_index_has_digests_of_its_own(root: Path, tmp_path: Path) -> None:
    put(root, [instance("A1")])
    kept = set()
    for name in ("one", "two"):
        source = FolderSource(root, index_path=tmp_path / name)
        source.find("A1")
        source.close()
        with sqlite3.connect(tmp_path / name) as database:
            kept |= set(database.execute("SELECT patient FROM files"))
        database.close()
    assert len(kept) == 2


def test_an_index_from_before_overviews_is_built_anew(root: Path, index: Path) -> None:
    put(root, [instance("A1")])
    index.parent.mkdir()
    with sqlite3.connect(index) as database:
        database.executescript(
            "CREATE TABLE files (path BLOB PRIMARY KEY, directory BLOB NOT NULL,"
            " size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, kind TEXT NOT NULL,"
            " accession TEXT NOT NULL DEFAULT '', study_uid TEXT NOT NULL DEFAULT '',"
            " sop_uid TEXT NOT NULL DEFAULT '') WITHOUT ROWID;"
            "CREATE TABLE directories (path BLOB PRIMARY KEY, mtime_ns INTEGER NOT NULL);"
            "CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL);"
            "PRAGMA user_version = 1;"
        )
        database.execute("INSERT INTO facts VALUES ('root', ?)", (os.fsencode(root),))
    database.close()
    source = FolderSource(root, index_path=index)
    assert source.overview(only(source)).kinds == {(CTImageStorage, "CT"): 1}
    source.close()


# --- the time of change --------------------------------------------------------------------------

LONG_AGO = datetime(2021, 3, 28, 1, 30, 0, 250_000, tzinfo=timezone.utc)


def test_the_time_of_change_is_that_of_the_newest_file(root: Path, source: FolderSource) -> None:
    put(root / "a", study_of("A1", 2), at=LONG_AGO)
    put(root / "b", [instance("A1", number=3)], at=LONG_AGO + timedelta(hours=3))
    put(root / "c", [instance("A2", study="2")], at=LONG_AGO + timedelta(days=3))
    changed_at = only(source).changed_at
    assert changed_at is not None
    assert changed_at.tzinfo is timezone.utc
    assert abs(changed_at - LONG_AGO - timedelta(hours=3)) < timedelta(milliseconds=1)


def test_the_time_of_change_moves_when_an_instance_is_added(
    root: Path, source: FolderSource
) -> None:
    put(root, study_of("A1", 2), at=LONG_AGO)
    before = only(source)
    put(root / "more", [instance("A1", number=3)])
    source.refresh()
    after = only(source)
    assert before.changed_at is not None
    assert after.changed_at is not None
    assert after.changed_at > before.changed_at
    assert after.version != before.version


def test_a_study_deleted_and_sent_again_has_another_version_unless_its_times_came_with_it(
    root: Path, source: FolderSource
) -> None:
    made = study_of("A1", 2)
    put(root / "other", [instance("A2", study="2")])
    put(root / "study", made, at=LONG_AGO)
    before = only(source)
    versions = []
    for at in (None, LONG_AGO):
        shutil.rmtree(root / "study")
        put(root / "study", made, at=at)
        source.refresh()
        versions.append(only(source).version)
    assert versions[0] != before.version
    assert versions[1] == before.version


def test_a_file_from_beyond_the_calendar_stops_nothing(tmp_path: Path) -> None:
    shared_memory = Path("/dev/shm")
    if not shared_memory.is_dir():
        pytest.skip("no file system here that keeps such times")
    root = shared_memory / f"locutus-{os.getpid()}"
    try:
        (path,) = put(root, [instance("A1")])
        for year in (300_000_000_000, -300_000_000_000):
            os.utime(path, (year, year))
            if abs(path.stat().st_mtime) < 200_000_000_000:
                pytest.skip("no file system here that keeps such times")
            source = FolderSource(root, index_path=tmp_path / "index")
            study = only(source)
            assert study.changed_at is not None
            assert source.fetch(study, CollectingSink()).instances == 1
            source.close()
    finally:
        shutil.rmtree(root)
