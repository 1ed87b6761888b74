"""De-identified instances are as valid as they were: an independent validator compares.

dciodvfy checks a file against the information object definitions of PS3.3. Real files are seldom
free of errors, so that what counts is which errors an output has that its input had not.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
import pytest
from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from locutus_dagster.deid import Policy, load_policy
from locutus_dagster_tests.deid import builders
from locutus_dagster_tests.parts.dciodvfy import Finding, Validation, require_dciodvfy, validate

PYDICOM_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
POLICIES = ("basic", "research")
#: So many files of one SOP class, transfer syntax and source are compared at once, the rest slowly.
ALIKE = 10


@dataclass
class Comparison:
    """What came of the comparison of inputs and outputs."""

    iods: Counter[str] = field(default_factory=Counter)
    new: dict[Finding, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def files(self) -> int:
        return self.iods.total()

    def add(self, name: str, before: Validation, after: Validation) -> None:
        """Compare one file, unless the validator could not read what came in."""
        if not before.readable:
            return
        self.iods[before.iod] += 1
        for finding in after.errors - before.errors:
            self.new[finding].append(name)

    def __str__(self) -> str:
        kinds = sorted(self.new.items(), key=lambda kind: (-len(kind[1]), kind[0]))
        return f"new errors in {self.files} files:\n" + "\n".join(
            f"  {len(names)} x {finding}; such as {', '.join(names[:3])}"
            for finding, names in kinds
        )


def validate_input(program: str, path: Path, copy: Path) -> Validation:
    """Validate a file as it came; the validator reads a deflated one only once it is inflated."""
    validation = validate(program, path)
    if validation.readable:
        return validation
    syntax = read_file_meta_info(path).get("TransferSyntaxUID")
    if syntax != DeflatedExplicitVRLittleEndian:
        return validation
    ds = pydicom.dcmread(path)
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.save_as(copy)
    return validate(program, copy)


def compare(tmp_path: Path, policy: Policy, paths: Iterable[Path]) -> Comparison:
    """De-identify each file on its own, and compare what was delivered with what came in."""
    program = require_dciodvfy()
    done: list[tuple[str, Future[Validation], Future[Validation]]] = []
    with ThreadPoolExecutor(2) as pool:
        for number, path in enumerate(paths):
            _, members = builders.run(tmp_path, [path.read_bytes()], policy=policy)
            for content in members.values():
                output, copy = tmp_path / f"{number}-out.dcm", tmp_path / f"{number}-in.dcm"
                output.write_bytes(content)
                before = pool.submit(validate_input, program, path, copy)
                done.append((path.name, before, pool.submit(validate, program, output)))
    comparison = Comparison()
    for name, future_before, future_after in done:
        comparison.add(name, future_before.result(), future_after.result())
    return comparison


def nothing_new(comparison: Comparison) -> None:
    """Fail, with the new errors by kind, if there are any."""
    if comparison.new:
        pytest.fail(str(comparison), pytrace=False)


def corpus() -> tuple[list[Path], list[Path]]:
    """Return a few files of every kind in the corpus, evenly picked, and the rest."""
    if not CORPUS.is_dir():
        pytest.skip("the corpus of real files (../shared/corpus) is not there")
    kinds: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    with (CORPUS / "index.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            kind = (row["sopclass"], row["transfer_syntax"], row["source"])
            kinds[kind].append(CORPUS / row["path"])
    few: list[Path] = []
    rest: list[Path] = []
    for paths in kinds.values():
        step = -(-len(paths) // ALIKE)
        for number, path in enumerate(sorted(paths)):
            (rest if number % step else few).append(path)
    return few, rest


@pytest.mark.parametrize("policy", POLICIES)
def test_no_file_of_pydicom_gets_an_error_that_it_did_not_have(policy: str, tmp_path: Path) -> None:
    paths = sorted(path for path in PYDICOM_FILES.rglob("*") if path.is_file())
    comparison = compare(tmp_path, load_policy(policy), paths)
    nothing_new(comparison)
    assert comparison.files >= 70
    assert comparison.iods.keys() >= {"CTImage", "MRImage", "SCImage", "USImage"}


@pytest.mark.parametrize("policy", POLICIES)
def test_no_kind_of_file_in_the_corpus_gets_a_new_error(policy: str, tmp_path: Path) -> None:
    comparison = compare(tmp_path, load_policy(policy), corpus()[0])
    nothing_new(comparison)
    assert comparison.files >= 90
    enhanced = {"EnhancedCTImage", "EnhancedMRImage", "Segmentation"}
    assert comparison.iods.keys() >= {"CTImage", "MRImage", "CRImage", "USImage"} | enhanced


@pytest.mark.soak
@pytest.mark.parametrize("policy", POLICIES)
def test_no_other_file_of_the_corpus_gets_a_new_error(policy: str, tmp_path: Path) -> None:
    comparison = compare(tmp_path, load_policy(policy), corpus()[1])
    nothing_new(comparison)
    assert comparison.files >= 500


def test_what_a_policy_could_break_would_be_noticed(tmp_path: Path) -> None:
    program = require_dciodvfy()
    source = PYDICOM_FILES / "CT_small.dcm"
    ds = pydicom.dcmread(source)
    del ds.ReferringPhysicianName  # Type 2
    ds.Rows = None  # Type 1
    ds.PatientSex = "REMOVED"  # an enumerated value
    ds.ReferencedStudySequence = []  # Type 3, but not without items
    ds.add_new("StudyTime", "TM", "101112")
    ds["StudyTime"]._value = "ten o'clock"
    broken = tmp_path / "broken.dcm"
    ds.save_as(broken)
    comparison = Comparison()
    comparison.add("broken.dcm", validate(program, source), validate(program, broken))
    found = {(finding.place.rpartition("/")[2], finding.module) for finding in comparison.new}
    assert found == {
        ("ReferringPhysicianName(0008,0090)", "GeneralStudy"),
        ("Rows(0028,0010)", "ImagePixelDescriptionMacro"),
        ("PixelData(7fe0,0010)", ""),  # whose length is wrong without Rows
        ("PatientSex(0010,0040)", ""),
        ("ReferencedStudySequence(0008,1110)", "GeneralStudy"),
        ("StudyTime(0008,0030)", ""),
    }
    assert "1 x Unrecognized enumerated value: /PatientSex(0010,0040); such as broken.dcm" in str(
        comparison
    )


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_errors_are_compared_by_kind_and_number_not_by_value_or_item(tmp_path: Path) -> None:
    program = require_dciodvfy()

    def referring_to(*uids: str) -> Validation:
        items = [
            builders.item(ReferencedSOPClassUID="1.2.3", ReferencedSOPInstanceUID=uid)
            for uid in uids
        ]
        content = builders.encode(builders.ct(ReferencedImageSequence=builders.sequence(*items)))
        path = tmp_path / "one.dcm"
        path.write_bytes(content)
        return validate(program, path)

    valid, wrong, other = "1.2.3.4", "1.2.03", "1.2.04"
    one, another = referring_to(valid, wrong), referring_to(other, valid)
    assert one.errors == another.errors != referring_to(valid, valid).errors
    more = referring_to(wrong, other).errors - one.errors
    assert {finding.place for finding in more} == {
        "/ReferencedImageSequence(0008,1140)/ReferencedSOPInstanceUID(0008,1155)"
    }


def test_a_file_that_the_validator_cannot_read_is_not_compared(tmp_path: Path) -> None:
    program = require_dciodvfy()
    whole = (PYDICOM_FILES / "CT_small.dcm").read_bytes()
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(whole[:2000])
    before = validate(program, cut)
    assert not before.readable
    comparison = Comparison()
    comparison.add("cut.dcm", before, validate(program, PYDICOM_FILES / "MR_small.dcm"))
    assert comparison.files == 0


def test_a_deflated_file_is_compared_all_the_same(tmp_path: Path) -> None:
    program = require_dciodvfy()
    path = PYDICOM_FILES / "image_dfl.dcm"
    assert not validate(program, path).readable
    validation = validate_input(program, path, tmp_path / "copy.dcm")
    assert validation.readable
    assert validation.iod == "SCImage"
