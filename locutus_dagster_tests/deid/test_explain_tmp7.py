"""An explanation says what the transformation does, to every element, and repeats no value."""

from __future__ import annotations

import csv
import re
import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_files
from pydicom.dataset import Dataset

from locutus_dagster.deid import DeidError, Policy, Pseudonyms, load_policy
from locutus_dagster.deid.cleaning.transform import StudyTransform
from locutus_dagster.deid.cleaning.values import Values
from locutus_dagster.deid.encoding.codec import Element, Walker
from locutus_dagster.deid.encoding.part10 import Instance, open_instance
from locutus_dagster.deid.explain import Explained, Explanation, Result, explain
from locutus_dagster.deid.faults import UnreadableError
from locutus_dagster.deid.identities.identifiers import Identifiers
from locutus_dagster_tests.deid.builders import (
    SECRET,
    SUBJECT,
    ct,
    encode,
    item,
    raw_element,
    sequence,
)

PSEUDONYMS = Pseudonyms(SECRET)
CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
POLICIES = ("basic", "research", "unlinkable", "locutus-bgd")


def explained(ds: Dataset | bytes, policy: Policy | str = "basic") -> Explanation:
    content = ds if isinstance(ds, bytes) else encode(ds)
    policy = load_policy(policy) if isinstance(policy, str) else policy
    return explain(content, policy, PSEUDONYMS, SUBJECT)


def row(explanation: Explanation, path: str) -> Explained:
    (found,) = (one for one in explanation.rows if one.path == path)
    return found


def site_policy(tmp_path: Path, text: str) -> Policy:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    return load_policy(path)


# --- the same as the transformation ---------------------------------------------------------


def transformed(data: bytes, policy: Policy, sop_class: str) -> Instance:
    """Return what the engine's transformation makes of a file, delivered or not."""
    instance = open_instance(data)
    identifiers = Identifiers((), policy)
    identifiers.add(instance)
    values = Values(policy, PSEUDONYMS, SUBJECT, identifiers)
    output = StudyTransform(policy, values, SUBJECT).apply(instance, sop_class)
    return open_instance(b"".join(output.parts))


def elements_of(instance: Instance, unknown: set[str]) -> dict[str, list[tuple[bytes, bool]]]:
    """Return path -> the bytes of values there, and whether it is a sequence.

    Args:
        instance: the data set.
        unknown: paths of values of VR UN that are sequences (PS3.5 6.2.2).
    """
    found: dict[str, list[tuple[bytes, bool]]] = defaultdict(list)

    def walk(elements: list[Element], prefix: str) -> None:
        for tag, vr, _, value, end, items in elements:
            path = f"{prefix}({tag >> 16:04x},{tag & 0xFFFF:04x})"
            if vr == "UN" and items is None and path in unknown:
                items = Walker(instance.buf, explicit=False, little=True).sequence(value, end)
            found[path].append((bytes(instance.buf[value:end]), bool(items)))
            for index, inside in enumerate(items or ()):
                walk(inside, f"{path}[{index}]>")

    walk(instance.elements, "")
    return found


class Renumbered:
    """Paths of the input as paths of the output, in which some content items are missing."""

    def __init__(self, rows: tuple[Explained, ...]) -> None:
        self._gone = {one.path for one in rows if one.path.endswith("]")}
        assert all(one.result is Result.REMOVED for one in rows if one.path in self._gone)

    def __call__(self, path: str) -> str:
        parts, before = [], ""
        for part in path.split(">"):
            sequence, _, index = part.rstrip("]").partition("[")
            if index:
                earlier = (f"{before}{sequence}[{n}]" for n in range(int(index)))
                shift = sum(one in self._gone for one in earlier)
                parts.append(f"{sequence}[{int(index) - shift}]")
            else:
                parts.append(sequence)
            before += f"{part}>"
        return ">".join(parts)


def check_agreement(data: bytes, policy: Policy) -> Explanation:
    """Compare an explanation with what really came out, element by element."""
    explanation = explain(data, policy, PSEUDONYMS, SUBJECT)
    try:
        output = transformed(data, policy, explanation.sop_class)
    except UnreadableError:
        assert explanation.reason.startswith("unreadable")
        return explanation
    renumbered = Renumbered(explanation.rows)
    opened = {one.path.rpartition("[")[0] for one in explanation.rows}
    before = elements_of(open_instance(data), opened)
    after = elements_of(output, {renumbered(path) for path in opened})
    results = defaultdict(list)
    for one in explanation.rows:
        results[one.path].append(one.result)
    for path, said in results.items():
        came = after.get(renumbered(path), [])
        if path.endswith("]"):
            continue  # a content item: its neighbours have moved up, if they agree it is gone
        added = said.count(Result.ADDED)
        assert len(came) == len(said) - said.count(Result.REMOVED), path
        assert len(before.get(path, ())) == len(said) - added, path
        if len(said) != 1 or added:
            continue
        (was,) = before[path]
        if said == [Result.KEPT]:
            assert came == [was], path
        elif said == [Result.EMPTIED]:
            assert not came[0][0], path
            assert was[0], path
        elif said == [Result.CHANGED]:
            assert came[0][0] != was[0], path
            assert came[0][0], path
    # Nothing is in the output that no row speaks of, and no element of the input is passed over.
    assert {renumbered(path) for path in results} >= inside_of_no_addition(after, results)
    gone = [path for path, said in results.items() if Result.REMOVED in said]
    untold = before.keys() - results.keys()
    emptied = [path for path, said in results.items() if Result.EMPTIED in said]
    assert all(path.startswith((*gone, *emptied)) for path in untold)
    return explanation


def inside_of_no_addition(
    after: dict[str, list[tuple[bytes, bool]]], results: dict[str, list[Result]]
) -> set[str]:
    added = tuple(path for path, said in results.items() if Result.ADDED in said)
    return {path for path in after if not any(path.startswith(f"{one}[") for one in added)}


def pydicom_files() -> list[Path]:
    paths = map(Path, map(str, get_testdata_files()))
    return [path for path in paths if path.is_file() and path.suffix not in (".zip", ".py")]


@pytest.mark.parametrize("name", POLICIES)
def test_every_element_of_real_files_fares_as_explained(name: str) -> None:
    policy = load_policy(name)
    seen: set[Result] = set()
    delivered = 0
    for path in pydicom_files():
        explanation = check_agreement(path.read_bytes(), policy)
        seen |= {one.result for one in explanation.rows}
        delivered += not explanation.reason
    assert seen == set(Result)
    assert delivered > 50


def corpus_files() -> Iterator[Path]:
    """Yield two files of each folder's SOP classes and encodings, small ones only."""
    with (CORPUS / "index.csv").open(newline="", encoding="utf-8") as stream:
        kinds: dict[tuple[str, ...], int] = defaultdict(int)
        for entry in csv.DictReader(stream):
            kind = (entry["source"], entry["sopclass"], entry["transfer_syntax"])
            kinds[kind] += 1
            if kinds[kind] <= 2 and int(entry["size"]) < 4_000_000:
                yield CORPUS / entry["path"]


@pytest.mark.parametrize("name", ["basic", "research"])
def test_every_element_of_the_corpus_fares_as_explained(name: str) -> None:
    if not CORPUS.is_dir():
        pytest.skip("the corpus of DICOM files is not on this machine")
    policy = load_policy(name)
    for path in corpus_files():
        check_agreement(path.read_bytes(), policy)


def report(*items: Dataset) -> Dataset:
    ds = Dataset()
    for keyword in ("SpecificCharacterSet", "PatientName", "PatientID", "StudyInstanceUID"):
        ds[keyword] = ct()[keyword]
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
    ds.SOPInstanceUID, ds.SeriesInstanceUID = "1.2.3.4.5.700", "1.2.3.4.5.701"
    ds.Modality = "SR"
    ds.ValueType = "CONTAINER"
    ds.ContinuityOfContent = "SEPARATE"
    ds.ContentSequence = sequence(*items)
    return ds


def content(value_type: str, code: str, scheme: str = "DCM", **attributes: object) -> Dataset:
    concept = item(CodeValue=code, CodingSchemeDesignator=scheme, CodeMeaning="a concept")
    return item(
        RelationshipType="CONTAINS",
        ValueType=value_type,
        ConceptNameCodeSequence=sequence(concept),
        **attributes,
    )


def old_age(years: str) -> Dataset:
    unit = item(CodeValue="a", CodingSchemeDesignator="UCUM", CodeMeaning="year")
    value = item(NumericValue=years, MeasurementUnitsCodeSequence=sequence(unit))
    return content("NUM", "121033", MeasuredValueSequence=sequence(value))


@pytest.mark.parametrize("name", ["research", "longitudinal-full-dates"])
@pytest.mark.parametrize("refers", [False, True])
def test_content_items_fare_as_explained(name: str, refers: bool) -> None:
    items = [
        content("TEXT", "121106", TextValue="seen by Dorothea Quimbleton"),
        content("PNAME", "121008", PersonName="Quimbleton^Dorothea"),
        content("TEXT", "121030", TextValue="Quimbleton"),
        old_age("93"),
        old_age("41"),
        content("UIDREF", "121018", UID="1.2.3.4.5.6.7.8.9.10"),
        content("DATE", "121125", Date="20240102"),
        content(
            "CONTAINER",
            "121028",
            ContentSequence=sequence(content("TEXT", "121106", TextValue="no finding")),
        ),
    ]
    if refers:
        items.append(item(RelationshipType="INFERRED FROM", ReferencedContentItemIdentifier=[1, 1]))
    explanation = check_agreement(encode(report(*items)), load_policy(name))
    assert explanation.reason == ""
    removed = [one for one in explanation.rows if one.path.endswith("]")]
    assert bool(removed) is not refers


def test_what_lies_below_a_removed_item_fares_as_explained() -> None:
    below = content("TEXT", "113012", TextValue="axial head")
    removed = content("TEXT", "121022", TextValue="ACC4711X", ContentSequence=sequence(below))
    refers = item(RelationshipType="INFERRED FROM", ReferencedContentItemIdentifier=[1, 1])
    explanation = check_agreement(encode(report(removed, refers)), load_policy("research"))
    path = "(0040,a730)[0]>(0040,a730)[0]>(0040,a160)"
    assert row(explanation, path)[4:6] == ("dummy", Result.CHANGED)
    assert "Basic; its place is kept" in row(explanation, path).source
    without = check_agreement(encode(report(removed, below)), load_policy("research"))
    assert row(without, "(0040,a730)[0]").result is Result.REMOVED
    assert row(without, "(0040,a730)[1]>(0040,a160)").result is Result.KEPT


def test_items_of_an_own_character_set_fare_as_explained() -> None:
    # As text of the data set's own character set, the bytes would make no word.
    inner = item(SpecificCharacterSet="ISO_IR 192", StudyDescription="Schädel axial")
    ds = ct(RequestAttributesSequence=sequence(inner, item(StudyDescription="Schädel")))
    explanation = check_agreement(encode(ds), load_policy("research"))
    assert row(explanation, "(0040,0275)[0]>(0008,1030)")[4:6] == ("clean", Result.KEPT)


def test_a_sequence_of_unknown_vr_fares_as_explained() -> None:
    accession = struct.pack("<HHL", 0x0008, 0x0050, 8) + b"ACC4711X"
    items = struct.pack("<HHL", 0xFFFE, 0xE000, len(accession)) + accession
    known = raw_element(0x00321064, "UN", items)
    content = encode(ct())
    at = content.index(struct.pack("<HH", 0x7FE0, 0x0010))
    explanation = check_agreement(content[:at] + known + content[at:], load_policy("basic"))
    found = row(explanation, "(0032,1064)[0]>(0008,0050)")
    assert (found.vr, found.result) == ("SH", Result.EMPTIED)


@pytest.mark.parametrize("syntax", ["explicit", "implicit", "big endian", "deflated"])
def test_all_encodings_fare_as_explained(syntax: str) -> None:
    nested = item(ScheduledProcedureStepDescription="Head Quimbleton", StudyInstanceUID="1.2.3.4.5")
    ds = ct(RequestAttributesSequence=sequence(nested), PatientComments="Quimbleton")
    for name in POLICIES:
        explanation = check_agreement(encode(ds.copy(), syntax), load_policy(name))
        assert explanation.reason == ""


NESTED = item(ScheduledProcedureStepDescription="Head Quimbleton", PatientID="PAT778899")
PLAIN = encode(ct(RequestAttributesSequence=sequence(NESTED), PatientComments="Quimbleton"))


@settings(max_examples=3000, deadline=None)
@given(
    changes=st.dictionaries(
        st.integers(min_value=128, max_value=len(PLAIN) - 1), st.integers(0, 255), max_size=4
    ),
    length=st.one_of(st.just(len(PLAIN)), st.integers(min_value=0, max_value=len(PLAIN))),
)
def test_a_damaged_file_is_explained_or_found_unreadable(
    changes: dict[int, int], length: int
) -> None:
    damaged = bytearray(PLAIN)
    for at, byte in changes.items():
        damaged[at] = byte
    explanation = check_agreement(bytes(damaged[:length]), load_policy("research"))
    assert explanation.rows or explanation.reason.startswith("unreadable")


# --- what is said ---------------------------------------------------------------------------


def test_a_row_names_path_attribute_vr_type_action_and_rule() -> None:
    nested = item(ScheduledProcedureStepDescription="Head Quimbleton")
    explanation = explained(ct(RequestAttributesSequence=sequence(nested)), "research")
    assert row(explanation, "(0040,0275)[0]>(0040,0007)") == Explained(
        path="(0040,0275)[0]>(0040,0007)",
        name="Scheduled Procedure Step Description",
        vr="LO",
        type=3,
        action="clean",
        result=Result.CHANGED,
        source="PS3.15 E.1-1, Clean Descriptors",
    )
    assert row(explanation, "(0008,0020)").action == "shift"
    assert row(explanation, "(0020,000d)")[3:6] == (1, "map-uid", Result.CHANGED)
    assert row(explanation, "(0008,0050)")[3:6] == (2, "empty", Result.EMPTIED)
    assert row(explanation, "(0028,0010)")[3:6] == (1, "keep", Result.KEPT)
    assert row(explanation, "(0012,0062)")[4:6] == ("add", Result.ADDED)


def test_the_rows_stand_in_the_order_of_the_tags() -> None:
    explanation = explained(ct(PatientIdentityRemoved="NO"))
    top = [one.path for one in explanation.rows if ">" not in one.path]
    assert top == sorted(top)
    assert [one.result for one in explanation.rows if one.path == "(0012,0062)"] == [
        Result.ADDED,
        Result.REMOVED,
    ]


def test_a_rule_of_a_site_is_named_with_its_line(tmp_path: Path) -> None:
    policy = site_policy(
        tmp_path,
        "name: site\noverrides:\n  - attribute: StudyDescription\n    action: keep\n",
    )
    found = row(explained(ct(), policy), "(0008,1030)")
    assert (found.action, found.result) == ("keep", Result.KEPT)
    assert found.source == "site.yaml, line 3"


def with_private(creator: str) -> Dataset:
    ds = ct()
    block = ds.private_block(0x0019, creator, create=True)
    block.add_new(0x0C, "IS", "1000")
    block.add_new(0x99, "LO", "Quimbleton Dorothea")
    return ds


def test_private_attributes_of_a_public_creator_are_named() -> None:
    ds = with_private("SIEMENS MR HEADER")
    kept = explained(ds, "research")
    assert row(kept, "(0019,0010)").name == "Private Creator: SIEMENS MR HEADER"
    assert row(kept, "(0019,0010)").result is Result.KEPT
    assert row(kept, "(0019,100c)").name.startswith("SIEMENS MR HEADER: B")
    assert row(kept, "(0019,100c)")[4:] == ("keep", Result.KEPT, "PS3.15 E.3.10-1")
    assert row(kept, "(0019,1099)").result is Result.REMOVED
    gone = explained(ds, "basic")
    assert {one.result for one in gone.rows if one.path.startswith("(0019")} == {Result.REMOVED}


def test_a_private_creator_that_no_list_has_is_not_repeated(tmp_path: Path) -> None:
    ds = with_private("QUIMBLETON DOROTHEA")
    explanation = explained(ds, "research")
    assert row(explanation, "(0019,0010)").name == "Private Creator: private creator not listed"
    assert row(explanation, "(0019,100c)").name == "private creator not listed"
    assert "quimbleton" not in str(explanation).casefold()


def test_a_private_creator_that_the_site_lists_is_named(tmp_path: Path) -> None:
    rule = "{private: ACME HEADER, element: '(0019,xx0C)', vr: IS, action: keep}"
    policy = site_policy(tmp_path, f"name: site\noverrides:\n  - {rule}\n")
    explanation = explained(with_private("ACME HEADER"), policy)
    assert row(explanation, "(0019,100c)").name == "ACME HEADER"
    assert row(explanation, "(0019,100c)").result is Result.KEPT
    assert row(explanation, "(0019,100c)").source == "site.yaml, line 3"


def test_an_instance_that_would_be_withheld_is_explained_all_the_same() -> None:
    explanation = explained(ct(BurnedInAnnotation="YES"))
    assert explanation.reason == "burned-in annotation"
    assert row(explanation, "(0010,0010)").result is Result.CHANGED


def test_a_leak_is_named_by_its_place() -> None:
    explanation = explained(ct(Manufacturer="Quimbleton"))
    assert explanation.reason == "identifier left in the output"
    assert explanation.residue == ("(0008,0070)",)
    assert row(explanation, "(0008,0070)").result is Result.KEPT


def test_an_unreadable_file_has_a_reason_and_no_rows() -> None:
    explanation = explained(encode(ct())[:-3])
    assert (explanation.reason, explanation.rows) == ("unreadable: truncated value", ())


def test_a_file_that_names_nobody_can_be_explained_without_a_subject_id() -> None:
    ds = ct(StudyInstanceUID="", PatientID="", PatientName="")
    explanation = explain(encode(ds), load_policy("basic"), PSEUDONYMS)
    assert explanation.reason == "no SOP, series or study instance UID"
    assert explanation.rows


def test_an_illegal_subject_id_is_refused() -> None:
    with pytest.raises(DeidError, match="subject ID is not legal"):
        explain(encode(ct()), load_policy("basic"), PSEUDONYMS, "a^b")


@pytest.mark.parametrize("name", POLICIES)
def test_no_value_is_repeated(name: str) -> None:
    nested = item(ScheduledProcedureStepDescription="Quimbleton", ScheduledProcedureStepID="SPS77")
    ds = ct(
        RequestAttributesSequence=sequence(nested),
        PatientComments="Dorothea Quimbleton",
        Manufacturer="Quimbleton Devices",
        SOPClassUID="1.2.3.4.5.999",
        Modality="QUIMBLETON",
    )
    told = str(explained(ds, name)).casefold()
    values = ("quimbleton", "dorothea", "rudolf", "pat778899", "sps77", "acc4711x", "19571231")
    assert [value for value in values if value in told] == []
    assert re.findall(r"1\.2\.3\.4\.5", told) == []
    assert [keyword for keyword in ("acme", "thorax", "20240102") if keyword in told] == []
