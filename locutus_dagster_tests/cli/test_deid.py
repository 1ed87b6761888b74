"""`locutus deid`: one command, no pipeline; what it says, what it leaves and how it exits."""

from __future__ import annotations

import csv
import io
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pydicom
import pytest
from click.testing import Result
from typer.testing import CliRunner

from locutus_dagster.cli import app
from locutus_dagster.deid.identities.keys import KeyRing
from locutus_dagster_tests.deid.builders import ct, encode, item, sequence, write_raw_zip

#: The command, also where a shell in the background has switched Ctrl-C off.
LOCUTUS = """
import signal
from locutus_dagster.cli import app
signal.signal(signal.SIGINT, signal.default_int_handler)
app()
"""
IDENTIFIERS = ("quimbleton", "dorothea", "pat778899", "acc4711x", "rudolf", "19571231", "1.2.3.4.5")
OTHER_PATIENT = {
    "StudyInstanceUID": "1.2.3.4.6.100",
    "SeriesInstanceUID": "1.2.3.4.6.200",
    "PatientID": "PAT990011",
    "PatientName": "Brandywine^Hector",
    "PatientBirthDate": "19600117",
}


def deid(*arguments: object) -> Result:
    """Run `locutus deid`; whatever it says identifies nobody."""
    done = CliRunner().invoke(app, ["deid", *map(str, arguments)], env={"COLUMNS": "300"})
    said = (done.stdout + done.stderr).casefold()
    assert "traceback" not in said
    assert [value for value in IDENTIFIERS if value in said] == []
    return done


def folder_of(tmp_path: Path, *files: bytes) -> Path:
    """A folder whose names identify, as they do."""
    folder = tmp_path / "Quimbleton"
    folder.mkdir()
    for number, content in enumerate(files):
        (folder / f"dorothea{number}").write_bytes(content)
    return folder


def outputs(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.rglob("*.dcm"))]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    assert CliRunner().invoke(app, ["keys", "new", str(path)]).exit_code == 0
    return path


# --- what goes in and comes out -------------------------------------------------------------


def test_a_file_becomes_a_file(tmp_path: Path) -> None:
    source = tmp_path / "Quimbleton"
    source.write_bytes(encode(ct()))
    done = deid(source, tmp_path / "out.dcm", "--subject-id", "SUBJ-7")
    assert done.exit_code == 0, done.output
    assert pydicom.dcmread(tmp_path / "out.dcm").PatientID == "SUBJ-7"
    assert "1 of 1 files of 1 study de-identified: policy basic" in done.stdout


def test_a_folder_becomes_a_folder(tmp_path: Path) -> None:
    done = deid(folder_of(tmp_path, encode(ct(1)), encode(ct(2))), tmp_path / "out")
    assert done.exit_code == 0, done.output
    one, two = outputs(tmp_path / "out")
    assert one.StudyInstanceUID == two.StudyInstanceUID
    assert one.PatientID == two.PatientID != "PAT778899"


def test_a_folder_with_several_studies_becomes_one_zip(tmp_path: Path) -> None:
    source = folder_of(tmp_path, encode(ct(1)), encode(ct(1, **OTHER_PATIENT)), encode(ct(2)))
    done = deid(source, tmp_path / "out.zip")
    assert done.exit_code == 0, done.output
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        folders = {name.split("/")[0] for name in archive.namelist()}
        members = [pydicom.dcmread(io.BytesIO(archive.read(n))) for n in archive.namelist()]
    assert len(members) == 3
    assert len(folders) == 2
    assert len({ds.PatientID for ds in members}) == 2
    assert "3 of 3 files of 2 studies" in done.stdout


def test_a_zip_becomes_a_folder(tmp_path: Path) -> None:
    source = write_raw_zip(tmp_path / "in.zip", [encode(ct(1))], zipfile.ZIP_DEFLATED)
    assert deid(source, tmp_path / "out").exit_code == 0
    assert len(outputs(tmp_path / "out")) == 1


def test_with_a_key_file_two_runs_give_the_same_bytes(tmp_path: Path, key: Path) -> None:
    source = folder_of(tmp_path, encode(ct(1)), encode(ct(2)))
    for name in ("one.zip", "two.zip"):
        done = deid(source, tmp_path / name, "--key-file", key)
        assert done.exit_code == 0, done.output
        assert KeyRing.read(key).current.key_id in done.stdout
        assert "this run only" not in done.stderr
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_without_a_key_file_no_two_runs_can_be_linked(tmp_path: Path) -> None:
    source = folder_of(tmp_path, encode(ct(1)))
    for name in ("one", "two"):
        done = deid(source, tmp_path / name)
        assert "a key of this run only" in done.stderr
        assert "locutus keys new" in done.stderr
    (one,), (two,) = outputs(tmp_path / "one"), outputs(tmp_path / "two")
    for keyword in ("PatientID", "StudyInstanceUID", "SOPInstanceUID"):
        assert one[keyword].value != two[keyword].value


def test_a_policy_can_be_named_or_be_a_file(tmp_path: Path) -> None:
    source = folder_of(tmp_path, encode(ct(1)))
    policy = tmp_path / "site.yaml"
    policy.write_text("name: site\noverrides:\n  - {attribute: StudyDescription, action: keep}\n")
    for name, number in (("research", 1), (policy, 2)):
        done = deid(source, tmp_path / f"out{number}", "--policy", name)
        assert done.exit_code == 0, done.output
    (one,), (two,) = outputs(tmp_path / "out1"), outputs(tmp_path / "out2")
    assert "Clean Descriptors Option" in str(one.DeidentificationMethodCodeSequence)
    assert two.StudyDescription == "CT of the thorax"


def test_a_spec_file_of_the_reference_system_is_a_policy_and_what_differs_is_said(
    tmp_path: Path,
) -> None:
    spec = tmp_path / "lab.dat"
    spec.write_text("Study Description\t(0008,1030)\nN\tY\tK\nB value\t(0019,100C)\nN\tY\tK\n")
    done = deid(folder_of(tmp_path, encode(ct(1))), tmp_path / "out", "--policy", spec)
    assert done.exit_code == 0, done.output
    assert "lab.dat" in done.stderr
    assert "private" in done.stderr
    (one,) = outputs(tmp_path / "out")
    assert one.StudyDescription == "CT of the thorax"


# --- what is withheld -----------------------------------------------------------------------


def test_something_withheld_is_exit_code_3_and_a_line_of_the_table(tmp_path: Path) -> None:
    source = folder_of(
        tmp_path, encode(ct(1)), encode(ct(2, BurnedInAnnotation="YES")), b"this is no DICOM file"
    )
    done = deid(source, tmp_path / "out")
    assert done.exit_code == 3
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "1 clean - CT Image Storage" in lines
    assert "1 withheld burned-in annotation CT Image Storage" in lines
    assert "1 withheld unreadable: not DICOM -" in lines
    assert "1 of 3 files of 1 study de-identified" in done.stdout
    assert len(outputs(tmp_path / "out")) == 1


def test_an_identifier_that_would_be_left_is_named_by_its_place(tmp_path: Path) -> None:
    source = folder_of(tmp_path, encode(ct(1, Manufacturer="Quimbleton")))
    done = deid(source, tmp_path / "out")
    assert done.exit_code == 3
    assert "(0008,0070)  in 1 files" in done.stdout
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_withheld_leaves_no_output(tmp_path: Path) -> None:
    source = tmp_path / "one"
    source.write_bytes(b"this is no DICOM file")
    for name in ("out.dcm", "out.zip"):
        assert deid(source, tmp_path / name).exit_code == 3
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


# --- the report -----------------------------------------------------------------------------


def test_the_report_lists_each_file_by_its_position(tmp_path: Path, key: Path) -> None:
    source = folder_of(tmp_path, encode(ct(1)), b"this is no DICOM file", encode(ct(2)))
    report = tmp_path / "report.csv"
    done = deid(source, tmp_path / "out", "--report", report, "--key-file", key)
    assert done.exit_code == 3
    assert report.stat().st_mode & 0o777 == 0o600
    text = report.read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["position"], row["disposition"]) for row in rows] == [
        ("1", "clean"),
        ("2", "withheld"),
        ("3", "clean"),
    ]
    delivered = {str(ds.SOPInstanceUID) for ds in outputs(tmp_path / "out")}
    assert {row["instance"] for row in rows} - {""} == delivered
    assert rows[0]["key_id"] == KeyRing.read(key).current.key_id
    assert [value for value in IDENTIFIERS if value in text.casefold()] == []


def test_a_report_is_not_written_over_anything(tmp_path: Path) -> None:
    source = folder_of(tmp_path, encode(ct(1)))
    there = tmp_path / "report.csv"
    there.write_text("precious")
    for report in (there, source / "dorothea0", source / "new.csv", tmp_path / "out.zip"):
        done = deid(source, tmp_path / "out.zip", "--report", report)
        assert done.exit_code == 1
        assert done.stderr
        assert not (tmp_path / "out.zip").exists()
    assert there.read_text() == "precious"
    assert [path.name for path in source.iterdir()] == ["dorothea0"]


# --- errors ---------------------------------------------------------------------------------


def test_a_subject_id_for_two_patients_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    source = folder_of(tmp_path, encode(ct(1)), encode(ct(1, **OTHER_PATIENT)))
    report = tmp_path / "report.csv"
    done = deid(source, tmp_path / "out", "--subject-id", "SUBJ-7", "--report", report)
    assert done.exit_code == 1
    assert "more than one patient" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["Quimbleton"]


def test_what_is_wrong_with_a_policy_is_said_with_its_lines(tmp_path: Path) -> None:
    policy = tmp_path / "site.yaml"
    policy.write_text("name: site\noverrides:\n  - {attribute: StudyDescriptoin, action: keep}\n")
    done = deid(folder_of(tmp_path, encode(ct(1))), tmp_path / "out", "--policy", policy)
    assert done.exit_code == 1
    assert "site.yaml, line 3" in done.stderr
    assert not (tmp_path / "out").exists()


def test_errors_say_what_to_do_and_name_no_input(tmp_path: Path, key: Path) -> None:
    source = folder_of(tmp_path, encode(ct(1)))
    broken = tmp_path / "Quimbleton.zip"
    broken.write_bytes(b"PK\3\4")
    out = tmp_path / "out"
    refused: list[tuple[tuple[object, ...], str]] = [
        ((tmp_path / "dorothea", out), "INPUT does not exist"),
        ((broken, out), "not a readable zip"),
        ((source, source / "out"), "OUTPUT lies in INPUT"),
        ((source, source), "OUTPUT lies in INPUT"),
        ((source, tmp_path), "OUTPUT is not empty"),
        ((source, broken), "OUTPUT exists already"),
        ((source / "dorothea0", source / "dorothea0"), "OUTPUT exists already"),
        ((source, out, "--subject-id", "a^b"), "subject ID is not legal"),
        ((source, out, "--policy", "nosuch"), "research, "),
        ((source, out, "--key-file", tmp_path / "nokey"), "openssl rand -hex 32 > key"),
    ]
    for arguments, said in refused:
        done = deid(*arguments)
        assert (done.exit_code, said in done.stderr) == (1, True), (arguments, done.stderr)
        assert not out.exists()
    key.chmod(0o644)
    done = deid(source, out, "--key-file", key)
    assert done.exit_code == 1
    assert "chmod 600" in done.stderr


def test_a_missing_output_is_a_usage_error(tmp_path: Path) -> None:
    done = deid(folder_of(tmp_path, encode(ct(1))))
    assert done.exit_code == 2
    assert "OUTPUT is missing" in done.stderr


# --- explaining -----------------------------------------------------------------------------


def test_explaining_prints_a_line_for_each_element_and_writes_nothing(tmp_path: Path) -> None:
    nested = item(ScheduledProcedureStepDescription="Head Quimbleton")
    source = tmp_path / "one"
    source.write_bytes(encode(ct(RequestAttributesSequence=sequence(nested))))
    done = deid(source, "--explain", "--policy", "research")
    assert done.exit_code == 0, done.output
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[0].startswith("CT Image Storage, policy research")
    assert lines[1] == "de-identified and delivered"
    assert (
        "(0040,0275)[0]>(0040,0007) Scheduled Procedure Step Description LO 3 clean changed "
        "PS3.15 E.1-1, Clean Descriptors"
    ) in lines
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_explaining_says_first_that_a_file_would_be_withheld(tmp_path: Path) -> None:
    source = tmp_path / "one"
    source.write_bytes(encode(ct(BurnedInAnnotation="YES")))
    done = deid(source, "--explain")
    assert done.exit_code == 3
    assert done.stdout.splitlines()[1] == "withheld: burned-in annotation"
    assert "(0010,0010)" in done.stdout
    source.write_bytes(b"this is no DICOM file")
    done = deid(source, "--explain")
    assert done.exit_code == 3
    assert done.stdout.splitlines() == [
        done.stdout.splitlines()[0],
        "withheld: unreadable: not DICOM",
    ]


def test_explaining_wants_a_file(tmp_path: Path) -> None:
    done = deid(folder_of(tmp_path, encode(ct(1))), "--explain")
    assert done.exit_code == 1
    assert "Only single files can be explained" in done.stderr


# --- as a process ---------------------------------------------------------------------------


def test_the_command_needs_nothing_of_the_pipeline(tmp_path: Path) -> None:
    source = folder_of(tmp_path, encode(ct(1)))
    program = f"""
import sys
from locutus_dagster.cli import app
for arguments in ({[str(source), str(tmp_path / "out")]!r},
                  {[str(source / "dorothea0"), "--explain"]!r}):
    try:
        app(["deid", *arguments])
    except SystemExit as done:
        assert done.code == 0, done.code
loaded = {{name.split(".")[0] for name in sys.modules}}
rooms = {{name.split(".")[1] for name in sys.modules if name.startswith("locutus_dagster.")}}
print("unwanted:", loaded & {{"dagster", "pyorthanc", "httpx", "sqlalchemy", "pydantic_settings"}})
print("rooms:", sorted(rooms))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "unwanted: set()" in done.stdout
    assert "rooms: ['cli', 'deid', 'durable_files', 'errors', 'run_modes']" in done.stdout


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, name: str) -> None:
    one = encode(ct(1000))
    uids = (f"1.2.3.4.5.300.{number}".encode() for number in range(1000, 2500))
    source = folder_of(tmp_path, *(one.replace(b"1.2.3.4.5.300.1000", uid) for uid in uids))
    there = {path.name for path in tmp_path.iterdir()}
    process = subprocess.Popen(
        [sys.executable, "-c", LOCUTUS, "deid", str(source), str(tmp_path / name)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while {path.name for path in tmp_path.iterdir()} == there and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stdout + stderr
    assert "Interrupted" in stderr
    assert {path.name for path in tmp_path.iterdir()} == there
