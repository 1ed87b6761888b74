"""What the demo's PACS promises to whoever processes it."""

from __future__ import annotations

import csv
import re
import stat
from collections import defaultdict
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataelem import DataElement

from locutus_dagster.deid.standard.table import load_table
from locutus_dagster.demo.pacs import MANIFEST_HEADER, DemoError, DemoPacs, build_demo_pacs

IMAGE_MODALITIES = {"CR", "CT", "DX", "MR", "NM", "OT", "RF", "US", "XA", "XR"}


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> DemoPacs:
    return build_demo_pacs(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def datasets(pacs: DemoPacs) -> dict[Path, Dataset]:
    return {path: dcmread(path) for path in _instances(pacs)}


def _instances(pacs: DemoPacs) -> list[Path]:
    return sorted(path for path in pacs.root.rglob("*") if path.is_file())


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _studies(datasets: dict[Path, Dataset]) -> dict[str, list[Dataset]]:
    studies: dict[str, list[Dataset]] = defaultdict(list)
    for dataset in datasets.values():
        studies[dataset.AccessionNumber].append(dataset)
    return studies


def _encodings(text: str) -> Iterator[bytes]:
    for encoding in ("utf-8", "latin-1", "iso2022_jp"):
        try:
            encoded = text.encode(encoding)
        except UnicodeEncodeError:
            continue
        yield encoded
        # DICOM and Python switch sets at different places: the characters themselves count.
        yield max(re.split(rb"\x1b[$(].", encoded), key=len)


def _manifest_rows(pacs: DemoPacs) -> list[dict[str, str]]:
    lines = [line for line in pacs.manifest.read_text("utf-8").splitlines() if line[:1] != "#"]
    return list(csv.DictReader(lines))


def _tags_that_basic_handles() -> set[str]:
    """Return the tags and patterns about which PS3.15 Table E.1-1 has a rule."""
    rows = load_table()
    handled = {row.pattern.lower() if row.tag is None else f"{row.tag:08x}" for row in rows}
    assert len(handled) > 400, "the table was not understood"
    return handled


def _kept_by_basic(dataset: Dataset, handled: set[str]) -> Iterator[DataElement]:
    for element in dataset:
        tag = f"{element.tag:08x}"
        repeating = f"{tag[:2]}xx{tag[4:]}" if tag[:2] == "60" else f"{tag[:2]}xxxxxx"
        if element.tag.is_private or tag in handled or repeating in handled:
            continue
        if element.VR == "SQ":
            for item in element.value:
                yield from _kept_by_basic(item, handled)
        elif element.tag != 0x7FE00010:
            yield element


def test_it_holds_at_least_six_studies_of_several_series_and_modalities(
    datasets: dict[Path, Dataset],
) -> None:
    studies = _studies(datasets)
    assert len(studies) >= 6
    for instances in studies.values():
        assert len({instance.SeriesInstanceUID for instance in instances}) >= 2
        assert len({instance.StudyInstanceUID for instance in instances}) == 1
    images = {instance.Modality for instance in datasets.values()} & IMAGE_MODALITIES
    assert len(images) >= 4
    assert 60 <= len(datasets) <= 110
    assert sum(path.stat().st_size for path in datasets) < 25_000_000


def test_every_instance_has_an_identity_of_its_own(datasets: dict[Path, Dataset]) -> None:
    uids = [dataset.SOPInstanceUID for dataset in datasets.values()]
    assert len(set(uids)) == len(uids)
    for dataset in datasets.values():
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
        assert dataset.file_meta.MediaStorageSOPClassUID == dataset.SOPClassUID


def test_it_speaks_several_transfer_syntaxes(datasets: dict[Path, Dataset]) -> None:
    syntaxes = {dataset.file_meta.TransferSyntaxUID.name for dataset in datasets.values()}
    assert {
        "Implicit VR Little Endian",
        "Explicit VR Little Endian",
        "Explicit VR Big Endian",
        "RLE Lossless",
        "JPEG Baseline (Process 1)",
        "JPEG 2000 Image Compression",
    } <= syntaxes


def test_pixel_data_is_that_of_the_files_in_pydicoms_wheel(datasets: dict[Path, Dataset]) -> None:
    wheel = files("pydicom.data").joinpath("test_files")
    with wheel.joinpath("MR_small_bigendian.dcm").open("rb") as file:
        original = dcmread(file).PixelData
    copies = [
        dataset.PixelData
        for dataset in datasets.values()
        if dataset.Modality == "MR"
        and dataset.file_meta.TransferSyntaxUID.name == "Explicit VR Big Endian"
    ]
    assert copies
    assert set(copies) == {original}


def test_one_patient_has_two_studies(datasets: dict[Path, Dataset]) -> None:
    accessions: dict[str, set[str]] = defaultdict(set)
    for dataset in datasets.values():
        accessions[dataset.PatientID].add(dataset.AccessionNumber)
    assert sorted(len(found) for found in accessions.values())[-2:] == [1, 2]


def test_names_read_back_in_every_script(datasets: dict[Path, Dataset]) -> None:
    names = {str(dataset.PatientName) for dataset in datasets.values()}
    assert "Éclairvoyançat^Zoë-Maëlys" in names
    assert "Неведомова^Аделаида^Фантазиевна" in names
    assert "Yumemizaka^Gennosuke=夢見坂^幻之介=ゆめみざか^げんのすけ" in names


def test_every_invented_identifier_really_is_in_the_pacs(pacs: DemoPacs) -> None:
    everything = b"\n".join(path.read_bytes() for path in _instances(pacs))
    absent = [
        value
        for value in pacs.invented_identifiers
        if not any(encoded in everything for encoded in _encodings(value))
    ]
    assert absent == []


def test_every_invented_identifier_is_too_long_to_turn_up_by_chance(pacs: DemoPacs) -> None:
    assert min(len(value.encode()) for value in pacs.invented_identifiers) >= 5


def test_names_numbers_and_uids_of_every_instance_are_declared(
    pacs: DemoPacs, datasets: dict[Path, Dataset]
) -> None:
    invented = set(pacs.invented_identifiers)
    for dataset in datasets.values():
        for keyword in ("PatientID", "AccessionNumber", "PatientBirthDate", "InstitutionName"):
            assert dataset[keyword].value in invented
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            assert dataset[keyword].value in invented
        assert set(str(dataset.PatientName).split("=")) <= invented


def test_identifiers_hide_in_nested_private_and_meta_elements_and_in_a_preamble(
    datasets: dict[Path, Dataset],
) -> None:
    for dataset in datasets.values():
        block = dataset.private_block(0x0077, "INVENTED PACS 1.0")
        # Implicit VR tells nobody what a private element is; the bytes are there all the same.
        assert dataset.PatientID.encode() in bytes(block[0x06].value)
        assert dataset.PatientID.encode() in dataset.file_meta.PrivateInformation
        operator = dataset.ContributingEquipmentSequence[0].OperatorIdentificationSequence[0]
        assert operator.PersonIdentificationCodeSequence[0].CodeValue == "BADGE-PW-77120"
        assert 0x00771001 in dataset.AnatomicRegionSequence[0]
    assert any(dataset.PatientID.encode() in dataset.preamble for dataset in datasets.values())


def test_nothing_is_planted_where_the_basic_profile_leaves_attributes_alone(
    pacs: DemoPacs, datasets: dict[Path, Dataset]
) -> None:
    handled = _tags_that_basic_handles()
    for dataset in datasets.values():
        for element in _kept_by_basic(dataset, handled):
            kept = str(element.value)
            assert not [v for v in pacs.invented_identifiers if v in kept], element.tag


def test_one_study_holds_what_must_be_withheld(
    pacs: DemoPacs, datasets: dict[Path, Dataset]
) -> None:
    for accession, instances in _studies(datasets).items():
        odd = [
            instance
            for instance in instances
            if instance.Modality == "SR" or instance.get("BurnedInAnnotation") == "YES"
        ]
        assert bool(odd) == (accession == pacs.withheld_accession)
        assert len(odd) < len(instances)
        if odd:
            assert {instance.Modality for instance in odd} == {"SR", "OT", "US"}


def test_one_file_is_cut_in_its_pixel_data_and_its_header_still_reads(
    pacs: DemoPacs, datasets: dict[Path, Dataset]
) -> None:
    damaged = [
        dataset
        for dataset in datasets.values()
        if dataset.file_meta.TransferSyntaxUID.name == "Explicit VR Little Endian"
        and "Rows" in dataset
        and len(dataset.PixelData)
        < dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * dataset.BitsAllocated // 8
    ]
    assert [dataset.AccessionNumber for dataset in damaged] == [pacs.damaged_accession]
    assert damaged[0].PixelData


def test_the_manifest_asks_for_every_study_and_for_one_that_is_missing(
    pacs: DemoPacs, datasets: dict[Path, Dataset]
) -> None:
    assert pacs.manifest.read_text("utf-8").startswith("#")
    rows = _manifest_rows(pacs)
    assert tuple(rows[0]) == MANIFEST_HEADER
    asked = [row["ACCESSION_NUM"] for row in rows]
    assert tuple(asked) == pacs.accessions
    assert set(asked) - set(_studies(datasets)) == {pacs.missing_accession}
    assert set(_studies(datasets)) <= set(asked)
    assert all(re.fullmatch(r"C9001\d\d", row["SUBJECT_ID"]) for row in rows)
    assert all(int(row["AGE_AT_IMAGING_(DAYS)"]) > 0 for row in rows)


def test_the_manifest_names_nobody(pacs: DemoPacs) -> None:
    text = pacs.manifest.read_text("utf-8")
    assert {value for value in pacs.invented_identifiers if value in text} <= set(pacs.accessions)


def test_building_again_gives_the_same_bytes_and_replaces_what_was_there(tmp_path: Path) -> None:
    first = build_demo_pacs(tmp_path)
    before = _contents(tmp_path)
    next(path for path in _instances(first) if path.suffix == ".dcm").write_bytes(b"spoilt")
    (first.root / "stray.dcm").write_bytes(b"stray")
    assert build_demo_pacs(tmp_path) == first
    assert _contents(tmp_path) == before


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    pacs = build_demo_pacs(tmp_path / "new")
    for path in (pacs.root, *pacs.root.rglob("*"), pacs.manifest, pacs.manifest.parent):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600)


@pytest.mark.parametrize("name", ["pacs", "manifest.csv"])
def test_it_never_replaces_what_the_demo_did_not_build(tmp_path: Path, name: str) -> None:
    if name == "pacs":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_text("somebody's manifest")
    with pytest.raises(DemoError, match="did not build"):
        build_demo_pacs(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_residue_is_planted_only_when_asked_for(tmp_path: Path, pacs: DemoPacs) -> None:
    assert pacs.residue_accession is None
    leaky = build_demo_pacs(tmp_path, with_residue=True)
    assert leaky.residue_accession == leaky.accessions[-1]
    assert leaky.accessions[:-1] == pacs.accessions
    found = [dcmread(path) for path in _instances(leaky)]
    leaks = [
        dataset for dataset in found if "Thistlewhistle" in dataset.get("SoftwareVersions", "")
    ]
    assert {dataset.AccessionNumber for dataset in leaks} == {leaky.residue_accession}
    handled = _tags_that_basic_handles()
    assert any(element.tag == 0x00181020 for element in _kept_by_basic(leaks[0], handled))
