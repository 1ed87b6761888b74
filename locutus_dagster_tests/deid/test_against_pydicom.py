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
from pydicom.tag import BaseTag

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
#: Not in Table E.1-1, and void after de-identification.
VOID = {0x00080300, 0x4FFE0001}


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


def expectation(tag: int, raw_vr: str | None) -> set[str]:
    """Return what may happen: same, gone, empty, dummy, uid, subject or inside.

    Which of a composite action's alternatives applies depends on Types; here each is right.
    """
    group = tag >> 16
    if group % 2 or tag & 0xFFFF == 0 or group < 8 or group >> 8 in (0x50, 0x60):
        return {"gone"}
    if tag in STATED or tag in VOID or tag not in DicomDictionary:
        return {"gone"}
    vrs = DicomDictionary[tag][0].split(" or ")
    action = TABLE.get(tag, "")
    fits = raw_vr is None or raw_vr in vrs or raw_vr == "UN" or (raw_vr == "OW" and "OB" in vrs)
    if tag in (0x00100010, 0x00100020):
        return {"subject"}
    if action == "X":
        return {"gone"}
    if action == "Z":
        return {"empty", "dummy"}
    if not fits or (not action and vrs[0] in ("DA", "DT", "TM", "PN")):
        return {"gone", "empty", "dummy"}
    if action:
        sequence = vrs == ["SQ"]
        means = {"X": "gone", "Z": "empty", "D": "dummy", "U": "uid", "U*": "inside"}
        return {"inside" if sequence and a == "D" else means[a] for a in action.split("/")}
    if vrs == ["SQ"]:
        return {"inside"}
    return {"uid"} if vrs == ["UI"] and not class_like(tag) else {"same"}


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
        if inside_dummy and not class_like(int(tag)):
            # Of a dummy sequence nothing that it says may survive.
            wanted = {"dummy" if one == "same" else one for one in wanted}
        place = f"{path}{tag}"
        stated = top and tag in STATED
        if tag not in after or (wanted == {"gone"} and stated):
            if "gone" not in wanted:
                yield f"{place} is missing"
            continue
        expected.add(int(tag))
        wanted.discard("gone")
        if "inside" in wanted and (len(wanted) == 1 or after[tag].value):
            olds, news = list(before[tag].value or []), list(after[tag].value or [])
            if len(olds) != len(news):
                yield f"{place} has another number of items"
            for number, (old_item, new_item) in enumerate(zip(olds, news, strict=False)):
                dummy = inside_dummy or "D" in TABLE.get(int(tag), "")
                yield from check(old_item, new_item, False, f"{place}[{number}]>", dummy)
        elif not any(happened(one, before, after, tag) for one in wanted):
            yield f"{place} is not {' or '.join(sorted(wanted)) or 'gone'}"
    added = {int(tag) for tag in after.keys()} - expected  # noqa: SIM118 - a dataset yields elements
    if added != ((STATED | {0x00100010, 0x00100020}) - expected if top else set()):
        yield f"{path} has unexpected elements"


def happened(what: str, before: Dataset, after: Dataset, tag: BaseTag) -> bool:
    """Tell whether that became of an attribute which is in both."""
    if what == "same":
        # Reading one element may make pydicom convert another, such as Pixel Representation.
        raw, new = before.get_item(tag), after.get_item(tag)
        both_raw = isinstance(raw, RawDataElement) and isinstance(new, RawDataElement)
        old_value, new_value = (raw.value, new.value) if both_raw else (before[tag], after[tag])
        return (old_value or b"") == (new_value or b"")
    value = after[tag].value
    if what == "empty":
        return not value
    if what == "subject":
        return str(value) == builders.SUBJECT
    if what == "uid":
        olds, news = (
            [v] if isinstance(v, str) else list(v or []) for v in (before[tag].value, value)
        )
        return news == [
            uid if uid in UID_dictionary or not uid else PSEUDONYMS.uid(uid) for uid in olds
        ]
    vr = after[tag].VR
    shown = "" if value is None else str(value)
    if vr in DUMMY_TEXT or vr in ("LO", "SH", "ST", "LT", "UT", "UC", "CS", "AE"):
        return what == "dummy" and shown == DUMMY_TEXT.get(vr, "REMOVED")
    return what == "dummy" and (vr[0] == "O" or not shown.strip("0.[], "))


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
        ReferencedInstanceSequence=builders.sequence(inner, inner),
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
    assert len(after.ReferencedInstanceSequence) == 2
    assert (
        after.ReferencedInstanceSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue == "121311"
    )
    was_deflated = syntax == "deflated"
    assert (
        after.file_meta.TransferSyntaxUID
        == builders.SYNTAXES["explicit" if was_deflated else syntax]
    )
