"""Collections: a file, a folder or a zip goes in; everything or nothing comes out."""

from __future__ import annotations

import csv
import io
import os
import resource
import stat
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.data import get_testdata_file

from locutus_dagster.deid import DeidError, Delivered, Policy, Pseudonyms, basic_policy
from locutus_dagster.deid.collections.inputs import InputKind, input_kind, open_input
from locutus_dagster.deid.collections.outputs import (
    OutputKind,
    check_new_file,
    check_output,
    open_output,
    output_kind,
)
from locutus_dagster.deid.collections.report import COLUMNS, report_csv
from locutus_dagster.deid.collections.work import CollectionWork, Outcome
from locutus_dagster.deid.faults import UnreadableError
from locutus_dagster.deid.policies.compiling import compile_policy
from locutus_dagster.deid.policies.model import PolicySpec, Settings
from locutus_dagster_tests.deid.builders import SECRET, ct, encode, write_raw_zip

PSEUDONYMS = Pseudonyms(SECRET)
OTHER = {
    "StudyInstanceUID": "1.2.3.4.6.100",
    "SeriesInstanceUID": "1.2.3.4.6.200",
    "AccessionNumber": "ACC4712X",
}
SOMEBODY_ELSE = {
    **OTHER,
    "PatientID": "PAT990011",
    "PatientName": "Brandywine^Hector",
    "PatientBirthDate": "19600117",
}


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class Listed:
    """Files in memory, as `Members`; None is one that cannot be read."""

    def __init__(self, *files: bytes | None) -> None:
        self.files = list(files)
        self.size = sum(len(one or b"") for one in files)

    def __len__(self) -> int:
        return len(self.files)

    def read(self, index: int) -> memoryview:
        content = self.files[index]
        if content is None:
            raise UnreadableError("file cannot be read")
        return memoryview(content)


def work_through(
    *files: bytes | None, policy: Policy | None = None, subject_id: str | None = None
) -> tuple[list[pydicom.Dataset], list[Outcome]]:
    work = CollectionWork(Listed(*files), policy or basic_policy(), PSEUDONYMS, subject_id)
    work.survey()
    delivered = [pydicom.dcmread(io.BytesIO(b"".join(one.parts))) for one in work.deliver()]
    return delivered, work.outcomes


# --- inputs ---------------------------------------------------------------------------------


def test_a_file_of_any_name_is_a_collection_of_one(tmp_path: Path) -> None:
    path = write(tmp_path / "IM-0001.zipped", encode(ct()))
    assert input_kind(path) is InputKind.FILE
    with open_input(path) as files:
        assert len(files) == 1
        assert files.size == path.stat().st_size
        assert files.read(0) == path.read_bytes()


def test_a_zip_is_known_by_its_content(tmp_path: Path) -> None:
    path = write_raw_zip(tmp_path / "study", [encode(ct(1)), encode(ct(2))])
    assert input_kind(path) is InputKind.ZIP
    with open_input(path) as files:
        assert [bytes(files.read(n)) for n in (0, 1)] == [encode(ct(1)), encode(ct(2))]


def test_a_dicom_file_whose_preamble_looks_like_a_zip_is_a_dicom_file(tmp_path: Path) -> None:
    path = write(tmp_path / "one", b"PK\3\4" + encode(ct())[4:])
    assert input_kind(path) is InputKind.FILE


def test_a_folder_is_read_at_all_depths_in_the_order_of_its_paths(tmp_path: Path) -> None:
    for name in ("b/2", "a/z/1", "c", "a/1"):
        write(tmp_path / name, name.encode())
    with open_input(tmp_path) as files:
        assert [bytes(files.read(n)) for n in range(len(files))] == [b"a/1", b"a/z/1", b"b/2", b"c"]


def test_hidden_files_and_folders_do_not_count(tmp_path: Path) -> None:
    for name in (".DS_Store", ".git/index", "one"):
        write(tmp_path / name, name.encode())
    with open_input(tmp_path) as files:
        assert [bytes(files.read(n)) for n in range(len(files))] == [b"one"]


def test_links_are_not_followed_but_counted(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside" / "secret", b"secret")
    folder = tmp_path / "in"
    write(folder / "one", b"one")
    (folder / "file").symlink_to(outside)
    (folder / "folder").symlink_to(outside.parent, target_is_directory=True)
    (folder / "round").symlink_to(folder, target_is_directory=True)
    with open_input(folder) as files:
        assert [bytes(files.read(n)) for n in range(len(files))] == [b"one"]
        assert files.links == 3


def test_what_is_no_regular_file_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "one", b"one")
    os.mkfifo(tmp_path / "pipe")
    with open_input(tmp_path) as files:
        assert len(files) == 1


def test_an_input_that_is_not_there_says_so_without_its_name(tmp_path: Path) -> None:
    with pytest.raises(DeidError, match="INPUT does not exist") as caught:
        open_input(tmp_path / "Quimbleton")
    assert "Quimbleton" not in str(caught.value)


def test_an_empty_folder_and_an_empty_zip_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", write_raw_zip(tmp_path / "empty.zip", [])):
        with pytest.raises(DeidError, match="no files"):
            open_input(path)


def test_a_broken_zip_gets_a_hint_that_fits(tmp_path: Path) -> None:
    path = write(tmp_path / "Quimbleton.zip", b"PK\3\4 and nothing more")
    with pytest.raises(DeidError, match="INPUT is not a readable zip") as caught:
        open_input(path)
    assert "interim" not in str(caught.value)
    assert "Quimbleton" not in str(caught.value)


def test_a_file_that_has_gone_is_unreadable_and_nothing_worse(tmp_path: Path) -> None:
    path = write(tmp_path / "one", b"one")
    write(tmp_path / "two", b"two")
    with open_input(tmp_path) as files:
        path.unlink()
        with pytest.raises(UnreadableError):
            files.read(0)
        assert files.size == 3


def test_bytes_stay_valid_as_long_as_they_are_held(tmp_path: Path) -> None:
    content = os.urandom(200_000)
    with open_input(write(tmp_path / "one", content)) as files:
        view = files.read(0)[1000:]
    del files
    assert view == content[1000:]


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_files_that_nobody_holds_are_not_open(tmp_path: Path) -> None:
    for number in range(20):
        write(tmp_path / f"{number}", bytes(100_000))
    before = open_files()
    with open_input(tmp_path) as files:
        held = [files.read(number) for number in range(20)]
        assert open_files() > before
        del held
        assert open_files() == before


def test_more_files_can_be_held_than_a_process_may_open(tmp_path: Path) -> None:
    contents = [os.urandom(70_000) for _ in range(300)]
    for number, content in enumerate(contents):
        write(tmp_path / f"{number:03d}", content)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        with open_input(tmp_path) as files:
            held = [files.read(number) for number in range(len(files))]
            assert all(view == content for view, content in zip(held, contents, strict=True))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- outputs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "source", "kind"),
    [
        ("out.zip", InputKind.FILE, OutputKind.ZIP),
        ("out.ZIP", InputKind.FOLDER, OutputKind.ZIP),
        ("out.dcm", InputKind.FILE, OutputKind.FILE),
        ("folder", InputKind.FILE, OutputKind.FOLDER),
        ("out", InputKind.FOLDER, OutputKind.FOLDER),
        ("out", InputKind.ZIP, OutputKind.FOLDER),
    ],
)
def test_the_kind_of_output_follows_from_name_and_input(
    tmp_path: Path, name: str, source: InputKind, kind: OutputKind
) -> None:
    (tmp_path / "folder").mkdir()
    assert output_kind(tmp_path / name, source) is kind


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    there = write(tmp_path / "Quimbleton" / "one", b"")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    refused = [
        (there, OutputKind.FILE),
        (there, OutputKind.ZIP),
        (there, OutputKind.FOLDER),
        (there.parent, OutputKind.FOLDER),
        (tmp_path / "link", OutputKind.FILE),
        (tmp_path / "link", OutputKind.FOLDER),
        (tmp_path / "nowhere" / "out", OutputKind.FOLDER),
        (tmp_path / "nowhere" / "out.zip", OutputKind.ZIP),
    ]
    for path, kind in refused:
        with pytest.raises(DeidError) as caught:
            check_output(path, kind, source)
        assert caught.value.hint
        assert "Quimbleton" not in str(caught.value)
    (tmp_path / "empty").mkdir()
    check_output(tmp_path / "empty", OutputKind.FOLDER, source)
    check_output(tmp_path / "new", OutputKind.FOLDER, source)
    check_output(tmp_path / "new.zip", OutputKind.ZIP, source)


def test_the_output_must_not_lie_in_the_input(tmp_path: Path) -> None:
    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    (tmp_path / "alias").symlink_to(source / "deep")
    for path in (source, source / "out", source / "deep" / "out", tmp_path / "alias" / "out"):
        with pytest.raises(DeidError, match="lies in INPUT"):
            check_output(path, OutputKind.FOLDER, source)
    for path in (source / "out.zip", tmp_path / "in" / ".." / "in" / "deep" / "x"):
        with pytest.raises(DeidError, match="lies in INPUT"):
            check_new_file(path, "The report", source)


def deliveries(count: int = 2) -> Iterator[Delivered]:
    for number in range(count):
        name = f"study{number % 2}/series/{number}.dcm"
        yield Delivered(number, name, [b"first ", memoryview(b"second")])


def failing(error: BaseException) -> Iterator[Delivered]:
    yield from deliveries()
    raise error


def written(path: Path, kind: OutputKind, instances: Iterable[Delivered]) -> int:
    with open_output(path, kind, expected_size=1000, expected_members=10) as writer:
        return writer(instances)


def test_a_folder_holds_a_file_for_each_instance_for_nobody_else_to_read(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert written(out, OutputKind.FOLDER, deliveries(3)) == 3
    assert names(out) == ["study0/series/0.dcm", "study0/series/2.dcm", "study1/series/1.dcm"]
    assert (out / "study1/series/1.dcm").read_bytes() == b"first second"
    assert {mode(path) for path in out.rglob("*.dcm")} == {0o600}
    assert {mode(path) for path in (out, *out.rglob("*")) if path.is_dir()} == {0o700}


def test_no_study_can_be_seen_in_a_folder_before_all_are_written(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def watched() -> Iterator[Delivered]:
        for one in deliveries(3):
            yield one
            assert [path.name for path in out.iterdir() if not path.name.startswith(".")] == []

    assert written(out, OutputKind.FOLDER, watched()) == 3


def test_a_file_and_a_zip_are_for_nobody_else_to_read(tmp_path: Path) -> None:
    assert written(tmp_path / "out.dcm", OutputKind.FILE, deliveries(1)) == 1
    assert (tmp_path / "out.dcm").read_bytes() == b"first second"
    assert written(tmp_path / "out.zip", OutputKind.ZIP, deliveries(3)) == 3
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert len(archive.namelist()) == 3
        assert archive.testzip() is None
    assert {mode(path) for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("kind", list(OutputKind))
@pytest.mark.parametrize("error", [KeyboardInterrupt(), DeidError("no"), ValueError("bug")])
def test_after_an_error_nothing_is_left(
    tmp_path: Path, kind: OutputKind, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        written(tmp_path / "out", kind, failing(error))
    assert list(tmp_path.iterdir()) == []


def test_after_an_error_a_folder_that_was_there_stays_and_is_empty(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o755)
    with pytest.raises(KeyboardInterrupt):
        written(out, OutputKind.FOLDER, failing(KeyboardInterrupt()))
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("kind", list(OutputKind))
def test_an_error_after_writing_takes_everything_back(tmp_path: Path, kind: OutputKind) -> None:
    out = tmp_path / "out"

    def interrupted() -> None:
        with open_output(out, kind, expected_size=1000, expected_members=10) as writer:
            writer(deliveries())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", list(OutputKind))
def test_where_nothing_is_delivered_nothing_is_made(tmp_path: Path, kind: OutputKind) -> None:
    assert written(tmp_path / "out", kind, []) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", list(OutputKind))
def test_an_output_that_cannot_be_written_is_an_error_for_people(
    tmp_path: Path, kind: OutputKind
) -> None:
    with pytest.raises(DeidError, match=r"OUTPUT cannot be written \(No such file") as caught:
        written(tmp_path / "Quimbleton" / "out", kind, deliveries())
    assert "Quimbleton" not in str(caught.value)


# --- work -----------------------------------------------------------------------------------


def test_each_study_of_a_collection_is_delivered_for_itself() -> None:
    delivered, outcomes = work_through(
        encode(ct(1)), encode(ct(1, **SOMEBODY_ELSE)), encode(ct(2)), encode(ct(2, **SOMEBODY_ELSE))
    )
    assert len({ds.StudyInstanceUID for ds in delivered}) == 2
    assert len({ds.PatientID for ds in delivered}) == 2
    assert [one.position for one in outcomes] == [1, 2, 3, 4]
    assert [one.study_uid for one in outcomes] == [
        PSEUDONYMS.uid(uid) for uid in (ct().StudyInstanceUID, OTHER["StudyInstanceUID"]) * 2
    ]
    assert not any(one.withheld for one in outcomes)


def test_a_delivery_names_the_file_that_it_was_made_from() -> None:
    files = Listed(encode(ct(1)), encode(ct(1, **OTHER)), b"none", encode(ct(2)))
    work = CollectionWork(files, basic_policy(), PSEUDONYMS)
    work.survey()
    assert [one.index for one in work.deliver()] == [0, 3, 1]


def test_the_studies_of_one_patient_get_one_research_identity() -> None:
    delivered, _ = work_through(encode(ct(1)), encode(ct(1, **OTHER)))
    assert len({ds.StudyInstanceUID for ds in delivered}) == 2
    assert {ds.PatientID for ds in delivered} == {PSEUDONYMS.subject("PAT778899")}


def test_a_subject_id_is_given_to_all_studies_of_one_patient() -> None:
    delivered, _ = work_through(encode(ct(1)), encode(ct(1, **OTHER)), subject_id="SUBJ-7")
    assert [ds.PatientID for ds in delivered] == ["SUBJ-7", "SUBJ-7"]


def test_a_subject_id_for_two_patients_is_refused_before_anything_is_done() -> None:
    files = Listed(encode(ct(1)), encode(ct(1, **SOMEBODY_ELSE)))
    work = CollectionWork(files, basic_policy(), PSEUDONYMS, "SUBJ-7")
    with pytest.raises(DeidError, match="more than one patient") as caught:
        work.survey()
    assert "PAT" not in str(caught.value)


def test_a_subject_id_for_a_study_that_names_two_patients_is_refused() -> None:
    other = ct(2, PatientID="PAT990011")
    work = CollectionWork(
        Listed(encode(ct(1)), encode(other)), basic_policy(), PSEUDONYMS, "SUBJ-7"
    )
    with pytest.raises(DeidError, match="more than one patient"):
        work.survey()


def test_a_site_that_allows_several_patients_in_a_study_may_give_a_subject_id() -> None:
    policy = compile_policy(PolicySpec("site", settings=Settings(several_patients="allow")))
    delivered, _ = work_through(
        encode(ct(1)), encode(ct(2, PatientID="PAT990011")), policy=policy, subject_id="SUBJ-7"
    )
    assert [ds.PatientID for ds in delivered] == ["SUBJ-7", "SUBJ-7"]


def test_one_way_of_writing_a_patient_id_or_another_is_one_patient() -> None:
    files = Listed(encode(ct(1)), encode(ct(1, **{**OTHER, "PatientID": " pat778899"})))
    work = CollectionWork(files, basic_policy(), PSEUDONYMS, "SUBJ-7")
    work.survey()
    assert len(list(work.deliver())) == 2


def test_an_illegal_subject_id_is_refused_at_once() -> None:
    with pytest.raises(DeidError, match="subject ID is not legal"):
        CollectionWork(Listed(b""), basic_policy(), PSEUDONYMS, "SUBJ^7").survey()


def test_every_file_is_accounted_for() -> None:
    dicomdir = Path(get_testdata_file("DICOMDIR", download=False) or "").read_bytes()
    delivered, outcomes = work_through(
        b"Quimbleton: this is no DICOM file",
        encode(ct(1)),
        None,
        dicomdir,
        encode(ct(2, StudyInstanceUID="")),
        encode(ct(1)),
        encode(ct(3, BurnedInAnnotation="YES")),
        encode(ct(4))[:-3],
        b"",
    )
    assert len(delivered) == 1
    assert [one.instance.reason for one in outcomes] == [
        "unreadable: not DICOM",
        "",
        "unreadable file",
        "no SOP class",
        "no SOP, series or study instance UID",
        "duplicate instance",
        "burned-in annotation",
        "unreadable: truncated value",
        outcomes[8].instance.reason,
    ]
    assert outcomes[8].instance.reason.startswith("unreadable")
    assert [one.position for one in outcomes] == list(range(1, 10))
    assert [one.withheld for one in outcomes] == [n != 1 for n in range(9)]


def test_nothing_but_files_without_a_study_is_no_error() -> None:
    dicomdir = Path(get_testdata_file("DICOMDIR", download=False) or "").read_bytes()
    delivered, outcomes = work_through(dicomdir)
    assert (delivered, len(outcomes)) == ([], 1)
    assert outcomes[0].withheld


def test_progress_counts_all_files_of_all_studies_twice() -> None:
    calls: list[tuple[str, int, int]] = []
    files = Listed(encode(ct(1)), encode(ct(1, **OTHER)), b"none", encode(ct(2)))
    work = CollectionWork(
        files, basic_policy(), PSEUDONYMS, progress=lambda *seen: calls.append(seen)
    )
    work.survey()
    list(work.deliver())
    assert calls[:4] == [("reading", n, 4) for n in range(1, 5)]
    assert calls[4:] == [("de-identifying", n, 4) for n in range(2, 5)]


def test_residue_is_told_of_the_file_that_holds_it_and_not_of_its_duplicate() -> None:
    # Manufacturer stays under the basic profile, whoever wrote a patient's name into it.
    leaking = encode(ct(1, Manufacturer="Quimbleton"))
    delivered, outcomes = work_through(leaking, leaking)
    assert delivered == []
    assert [one.residue for one in outcomes] == [("(0008,0070)",), ()]


# --- report ---------------------------------------------------------------------------------


def report_of(*files: bytes | None, **options: Any) -> tuple[str, list[dict[str, str]]]:
    policy = options.get("policy") or basic_policy()
    _, outcomes = work_through(*files, **options)
    text = report_csv(outcomes, policy)
    return text, list(csv.DictReader(io.StringIO(text)))


def test_the_report_has_a_row_for_each_file() -> None:
    policy = basic_policy()
    _, (first, second, third) = report_of(
        encode(ct(1)), b"not DICOM", encode(ct(2, BurnedInAnnotation="YES")), policy=policy
    )
    assert tuple(first) == COLUMNS
    assert first["position"] == "1"
    assert first["study"] == PSEUDONYMS.uid(ct().StudyInstanceUID)
    assert first["instance"] == PSEUDONYMS.uid(ct(1).SOPInstanceUID)
    assert first["sop_class"] == ct().SOPClassUID
    assert first["sop_class_name"] == "CT Image Storage"
    assert first["modality"] == "CT"
    assert (first["disposition"], first["reason"], first["residue"]) == ("clean", "", "")
    assert (first["policy"], first["policy_fingerprint"]) == ("basic", policy.fingerprint)
    assert first["key_id"] == PSEUDONYMS.key_id
    assert int(first["uid"]) >= 4
    assert int(first["subject"]) == 2
    assert int(first["remove"]) > 0
    assert (second["disposition"], second["instance"], second["study"]) == ("withheld", "", "")
    assert second["reason"] == "unreadable: not DICOM"
    assert (third["disposition"], third["reason"]) == ("withheld", "burned-in annotation")
    assert {third[action] for action in ("uid", "remove", "empty")} == {"0"}


def test_the_report_of_a_leak_names_the_place() -> None:
    text, (row,) = report_of(encode(ct(1, Manufacturer="Quimbleton")))
    assert row["residue"] == "(0008,0070)"
    assert "Quimbleton" not in text


def test_the_report_identifies_nobody() -> None:
    text, _ = report_of(
        encode(ct(1, Modality="QUIMBLETON")),
        encode(ct(2, SOPClassUID="1.2.3.4.5.600")),
        encode(ct(1, **SOMEBODY_ELSE)),
        b"Quimbleton^Dorothea",
        encode(ct(3, StudyInstanceUID="", SOPClassUID="1.2.3.4.5.601")),
    )
    folded = text.casefold()
    for value in ("quimbleton", "pat778899", "brandywine", "1.2.3.4", "acc471", "1957"):
        assert value not in folded
