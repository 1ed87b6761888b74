"""pydicom is the arbiter: input and output are compared element by element.

The rules are implemented a second time here, slowly, with pydicom and straight from the table's
file, so that an error in the engine's reading of either does not go unnoticed.
"""

from __future__ import annotations

import csv
import io
import warnings
from collections import defaultdict
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pydicom
import pytest
from pydicom._dicom_dict import DicomDictionary
from pydicom._uid_dict import UID_dictionary
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from locutus_dagster.deid import Pseudonyms
from locutus_dagster_tests.deid import builders

PYDICOM_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
CORPUS = Path(__file__).parents[3] / "shared" / "corpus"

STATED = {0x00120062, 0x00120063, 0x00120064, 0x00280303}
PIXELS = {0x7FE00008, 0x7FE00009, 0x7FE00010}
CLASS_WORDS = ("SOPClass", "CodingSchemeUID", "ContextUID", "MappingResourceUID", "DeviceClassUID")
CLASS_WORDS += ("TransferSyntaxUID", "SOPClassesIn")
DUMMY_TEXT = {"PN": "Anonymous", "DA": "19000101", "TM": "000000", "AS": "000Y", "DS": "0"}
DUMMY_TEXT |= {"DT": "19000101000000", "IS": "0", "UR": ""}
PSEUDONYMS = Pseudonyms(builders.SECRET)


def table() -> dict[int, str]:
    source = files("locutus_dagster.deid.standard") / "data" / "table_e_1_1_2026d.csv"
    with source.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(line for line in lines if line[0] != "#"))
    return {
        int(row["tag"], 16): row["basic"]
        for row in rows
        if len(row["tag"].strip("x")) == 8 and row["tag"] != "PRIVATE" and "x" not in row["tag"]
    }


TABLE = table()


def expectation(tag: int, raw_vr: str | None) -> str:
    """Return same, gone, empty, dummy, uid, subject or inside."""
    group = tag >> 16
    if group % 2 or tag & 0xFFFF == 0 or group < 8 or group >> 8 in (0x50, 0x60):
        return "gone"
    if tag in STATED or tag not in DicomDictionary:
        return "gone"
    vrs = DicomDictionary[tag][0].split(" or ")
    action = TABLE.get(tag, "")
    fits = raw_vr is None or raw_vr in vrs or raw_vr == "UN" or (raw_vr == "OW" and "OB" in vrs)
    if tag in (0x00100010, 0x00100020):
        return "subject"
    if action == "X":
        return "gone"
    if action in ("Z", "X/Z"):
        return "empty"
    if vrs == ["SQ"]:
        return "inside" if fits else "gone"
    if action == "U":
        return "uid"
    if vrs == ["UI"] and not class_like(tag):
        return "uid"
    if action:
        return "dummy"
    return "same" if fits else "gone"


def class_like(tag: int) -> bool:
    return any(word in DicomDictionary[tag][4] for word in CLASS_WORDS)


def check(
    before: Dataset, after: Dataset, top: bool, path: str = "", inside_dummy: bool = False
) -> Iterator[str]:
    """Yield what is wrong with an output."""
    expected = set()
    for tag in list(before.keys()):
        raw = before.get_item(tag)
        raw_vr = None if getattr(raw, "is_implicit_VR", False) else raw.VR
        wanted = expectation(int(tag), raw_vr)
        if wanted == "same" and inside_dummy and not class_like(int(tag)):
            wanted = "dummy"  # of a dummy sequence nothing that it says may survive
        place = f"{path}{tag}"
        if wanted == "gone":
            if tag in after and not (top and tag in STATED):
                yield f"{place} survived"
            continue
        expected.add(int(tag))
        if tag not in after:
            yield f"{place} is missing"
            continue
        new = after.get_item(tag)
        if wanted == "same":
            # Reading one element may make pydicom convert another, such as Pixel Representation.
            both_raw = isinstance(raw, RawDataElement) and isinstance(new, RawDataElement)
            old_value, new_value = (raw.value, new.value) if both_raw else (before[tag], after[tag])
            if (old_value or b"") != (new_value or b""):
                yield f"{place} changed"
        elif wanted == "empty":
            if after[tag].value:
                yield f"{place} is not empty"
        elif wanted == "subject":
            if str(after[tag].value) != builders.SUBJECT:
                yield f"{place} is not the subject"
        elif wanted == "dummy":
            value, vr = after[tag].value, after[tag].VR
            texts = vr in DUMMY_TEXT or vr in ("LO", "SH", "ST", "LT", "UT", "UC", "CS", "AE")
            shown = "" if value is None else str(value)
            if texts and shown != DUMMY_TEXT.get(vr, "REMOVED"):
                yield f"{place} is no dummy"
            if not texts and any(bytes(str(value), "utf-8").replace(b"0", b"")) and vr[0] != "O":
                yield f"{place} is no zero"
        elif wanted == "uid":
            old, now = before[tag].value or [], after[tag].value or []
            old = [old] if isinstance(old, str) else list(old)
            now = [now] if isinstance(now, str) else list(now)
            mapped = [
                uid if uid in UID_dictionary or not uid else PSEUDONYMS.uid(uid) for uid in old
            ]
            if mapped != now:
                yield f"{place} is not mapped"
        else:
            olds, news = list(before[tag].value or []), list(after[tag].value or [])
            if len(olds) != len(news):
                yield f"{place} has another number of items"
            for number, (old_item, new_item) in enumerate(zip(olds, news, strict=False)):
                dummy = inside_dummy or "D" in TABLE.get(int(tag), "")
                yield from check(old_item, new_item, False, f"{place}[{number}]>", dummy)
    added = {int(tag) for tag in after.keys()} - expected  # noqa: SIM118 - a dataset yields elements
    if added != ((STATED | {0x00100010, 0x00100020}) - expected if top else set()):
        yield f"{path} has unexpected elements"


def read_completely(source: Path) -> Dataset | None:
    """Return a dataset, None where pydicom cannot read every element of it."""
    try:
        for _ in (ds := pydicom.dcmread(source, force=True)).iterall():
            pass
    except Exception:
        return None
    return pydicom.dcmread(source, force=True) if ds else None


def compare(tmp_path: Path, paths: list[Path]) -> int:
    """De-identify each file on its own, compare, and return how many were delivered."""
    accepted = 0
    problems = []
    for path in paths:
        disposition, members = builders.run(tmp_path, [path.read_bytes()])
        assert disposition.total == 1
        if not disposition.delivered:
            assert disposition.instances[0].reason
            continue
        accepted += 1
        before = read_completely(path)
        after = pydicom.dcmread(io.BytesIO(next(iter(members.values()))))
        for _ in pydicom.dcmread(io.BytesIO(next(iter(members.values())))).iterall():
            pass
        if before is None:
            continue
        problems += [f"{path.name}: {text}" for text in check(before, after, True)]
        pixels = [tag for tag in PIXELS if tag in before]
        problems += [
            f"{path.name}: pixel data differs"
            for tag in pixels
            if bytes(before[tag].value) != bytes(after[tag].value)
        ]
        if not pixels:
            problems.append(f"{path.name}: delivered without pixel data")
        if list(after.keys()) != sorted(after.keys()):
            problems.append(f"{path.name}: elements out of order")
    assert not problems, "\n".join(problems)
    return accepted


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_every_file_of_pydicom_is_cleaned_by_the_rules_or_withheld(tmp_path: Path) -> None:
    paths = sorted(path for path in PYDICOM_FILES.rglob("*") if path.is_file())
    assert compare(tmp_path, paths) >= 60


def test_every_file_of_the_corpus_is_cleaned_by_the_rules_or_withheld(tmp_path: Path) -> None:
    if not CORPUS.is_dir():
        pytest.skip("the corpus of real files (../shared/corpus) is not there")
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in sorted(CORPUS.rglob("*")):
        if path.is_file() and path.suffix not in (".csv", ".md"):
            by_folder[path.parent].append(path)
    # Files of one folder are alike: a few of each keep the test short.
    paths = [path for group in by_folder.values() for path in group[:3]]
    paths += [path for group in by_folder.values() if len(group) < 60 for path in group[3:]]
    assert compare(tmp_path, paths) >= 80


@pytest.mark.parametrize("syntax", builders.SYNTAXES)
@pytest.mark.parametrize("undefined_length", [False, True])
def test_every_encoding_is_cleaned_by_the_same_rules(
    tmp_path: Path, syntax: str, undefined_length: bool
) -> None:
    inner = builders.item(
        ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2",
        ReferencedSOPInstanceUID="1.2.3.4.5.300.9",
        PurposeOfReferenceCodeSequence=builders.sequence(
            builders.item(CodeValue="121311", CodeMeaning="Localizer")
        ),
    )
    ds = builders.ct(
        ReferencedImageSequence=builders.sequence(inner, inner),
        InstitutionCodeSequence=builders.sequence(builders.item(CodeMeaning="Acme Hospital")),
        RequestAttributesSequence=builders.sequence(builders.item(RequestedProcedureID="RP1234")),
        ReferencedStudySequence=builders.sequence(inner),
        DataCollectionDiameter="500",
        PatientComments="says hello",
        LargestImagePixelValue=9,
    )
    ds.private_block(0x0029, "QUIMBLETON 1", create=True).add_new(1, "PN", "Quimbleton^Dorothea")
    content = builders.encode(ds, syntax, undefined_length=undefined_length)
    path = tmp_path / "one.dcm"
    path.write_bytes(content)
    assert compare(tmp_path, [path]) == 1
    after = builders.clean(tmp_path, content)
    assert len(after.ReferencedImageSequence) == 2
    assert after.ReferencedImageSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue == "121311"
    was_deflated = syntax == "deflated"
    assert (
        after.file_meta.TransferSyntaxUID
        == builders.SYNTAXES["explicit" if was_deflated else syntax]
    )
