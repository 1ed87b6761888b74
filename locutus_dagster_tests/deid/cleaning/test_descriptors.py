"""Descriptions keep what radiology says and lose who it was about."""

from __future__ import annotations

import logging
import warnings
from contextlib import suppress
from pathlib import Path

import pydicom
import pytest

from locutus_dagster.deid.cleaning.descriptors import TextCleaner
from locutus_dagster.deid.cleaning.lexicon import Lexicon
from locutus_dagster_tests.deid.cleaning.descriptions import DESCRIPTIONS

CORPUS = Path(__file__).parents[4] / "shared" / "corpus"
LEXICON = Lexicon.standard()
#: Of a study that says nothing about anybody.
STRANGER = TextCleaner(LEXICON)
STUDY = TextCleaner(
    LEXICON,
    known=["MRN445", "00037241", "555-123-4567", "12 Main Street, Springfield", "A1234567"],
    names=["Doe^Jane^A", "Müller-Lüdenscheidt^Hans^^Dr.", "O'Brien^Patrick", "山田^太郎", "Hand^B"],
)


# --- What stays -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", DESCRIPTIONS)
def test_a_description_of_an_examination_stays_as_it_is(text: str) -> None:
    assert STRANGER.clean(text) == text
    assert STRANGER.scrub(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  T1  ",
        "MR\n\nCT\r\n",
        "CHEST, (PA)",
        "- T2 -",
        "5mm",
        "1000 ms",
        "100 mA",
        "TE=30",
        "b=0,50,800",
        "C3-C4, L4/5, Th12, S1",
        "B30f Br40d I31f H70h FC51",
        "T2*",
        "0.625",
        "90Y SIRT",
        "x2 3x",
        "1st 2nd 3rd",
        "FOV 1024",
    ],
)
def test_a_text_that_is_fine_comes_back_character_by_character(text: str) -> None:
    assert STUDY.clean(text) == text


def test_every_word_of_the_lexicon_stays_in_every_writing() -> None:
    changed = set()
    words = (
        Path(__file__).parents[3] / "locutus_dagster/deid/cleaning/data/lexicon.txt"
    ).read_text(encoding="utf-8")
    for word in words.splitlines()[1:]:
        for text in (word, word.upper(), f"MR {word.title()}, 3T", f"{word} 512x512"):
            if STRANGER.clean(text) != text:
                changed.add(text)
    assert not changed


def test_most_descriptions_of_the_corpus_stay_as_they_are() -> None:
    if not CORPUS.is_dir():
        pytest.skip("the corpus of real files (../shared/corpus) is not there")
    keywords = ["SeriesDescription", "StudyDescription", "ProtocolName"]
    texts: set[str] = set()
    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in CORPUS.rglob("*"):
            if path.is_file() and path.suffix not in (".csv", ".md"):
                with suppress(Exception):  # some of the files are broken on purpose
                    ds = pydicom.dcmread(path, specific_tags=keywords)
                    texts |= {str(ds[keyword].value or "") for keyword in keywords if keyword in ds}
    logging.disable(logging.NOTSET)
    texts -= {""}
    stayed = {text for text in texts if STRANGER.clean(text) == text}
    assert len(texts) > 100
    # What goes: names of hospitals and projects, nonsense, and a few words joined into one.
    assert len(stayed) / len(texts) > 0.85


# --- What goes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("T1 MPRAGE SMITH 20190619", "T1 MPRAGE"),
        ("Pat. Müller, geb. 3.4.1950", ""),
        ("MRI Brain w/o - John Smith 555-123-4567", "MRI Brain w/o"),
        ("Untersuchung Frau Schmidt", "Untersuchung"),
        ("untersuchung frau schmidt", "untersuchung"),
        ("Dr. Young brain", "brain"),
        ("DR. STRANGELOVE CHEST", "CHEST"),
        ("Prof Stone MRI knee", "MRI knee"),
        ("Mr Sharp chest", "chest"),
        ("Mrs. Long, chest", "chest"),
        ("MRS. SMITH, CHEST", "CHEST"),
        ("chest, Zappa, F., MD", "chest"),
        ("Frau Kopf Becken", "Becken"),
        ("Herr Dr. Kiefer Thorax", "Thorax"),
        ("M. Dupont IRM tête", "IRM tête"),
        ("IRM cérébrale Mme de la Tour, née le 12/03/1944", "IRM cérébrale"),
        ("TC cráneo Sra. García López", "TC cráneo"),
        ("RM ginocchio Signora Rossi", "RM ginocchio"),
        ("MRI knie mevr. van der Berg", "MRI knie"),
        ("t1_mprage_smith", "t1_mprage"),
        ("t1_smith_mprage", "t1_mprage"),
        ("Knee (Smith) right", "Knee right"),
        ("Knee, Smith, right", "Knee, right"),
        ("(Smith Brain)", "(Brain)"),
        ("[Brain Smith] left", "[Brain] left"),
        ("Brain (Smith", "Brain"),
        ("Smith) Brain", "Brain"),
        ("Smith - Brain - Smith", "Brain"),
        ("Smith\nBrain\nJones\nleft", "Brain\n\nleft"),
        ("CT Abd/Pel MRN: 12345 w contrast", "CT Abd/Pel w contrast"),
        ("brain_MRN_12345_t1", "brain_t1"),
        ("Acc# 77 CHEST", "CHEST"),
        ("ID 4711 head", "head"),
        ("#123456 head", "head"),
        ("head DOB 1/2/50", "head"),
        ("head geb. am 03.04.50", "head"),
        ("2019-06-19 chest 10:11:12", "chest"),
        ("chest 19.6.2019 left", "chest left"),
        ("chest Jun 19, 2019", "chest"),
        ("chest 3.4.50", "chest"),
        ("age 93 chest", "chest"),
        ("93 y/o male", "male"),
        ("101-year-old female", "female"),
        ("45 y/o male", "45 y/o male"),
        ("jane.smith@example.org knee", "knee"),
        ("knee http://pacs.example.org/a?b=c", "knee"),
        ("192.168.1.20 CT", "CT"),
        ("10.1.2.3 CT", "CT"),
        ("CT 123-45-6789", "CT"),
        ("CT Tel. 030/1234567", "CT"),
        ("CT +49 30 1234567", "CT"),
        ("IRM 01 23 45 67 89", "IRM"),
        ("CT (555) 123-4567 left", "CT left"),
        ("brain 12 Baker Street left", "brain left"),
        ("Kopf Musterstraße 5 a", "Kopf"),
        ("12345 chest", "chest"),
        ("A1234567 chest", "chest"),
        ("chest MRN445", "chest"),
        ("SmithT1 brain", "brain"),
        ("DeLong brain", "brain"),
        ("Untersuchung 山田太郎", "Untersuchung"),
        ("chest \U0001f600", "chest"),
        ("प्रिया chest", "chest"),
        ("()", ""),
        (" -- ", ""),
    ],
)
def test_who_it_was_goes_from_a_description(text: str, cleaned: str) -> None:
    assert STRANGER.clean(text) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "T1 DOE JANE",
        "T1 Jane Doe",
        "T1 JANE A. DOE",
        "T1 DoeJane",
        "T1 doejane",
        "T1 JDoe",
        "T1 DoeJA",
        "T1 Doe's",
        "T1 Doe, J.",
        "T1 J. Doe",
        "T1 (DOE)",
        "T1_DOE",
        "T1 MUELLER LUEDENSCHEIDT",
        "T1 Muller-Ludenscheidt",
        "T1 Mu\u0308ller",
        "T1 ＭＵＬＬＥＲ",
        "T1 Müllers",
        "T1 O'Brien",
        "T1 OBrien",
        "T1 Obrien-Patrick",
        "T1 MRN445",
        "T1 mrn445",
        "T1 37241",
        "T1 00037241",
        "T1 000037241",
        "T1 5551234567",
        "T1 (555) 123 4567",
        "T1 555.123.4567",
        "T1 12 Main Street, Springfield",
        "T1 Springfield",
        "T1 a1234567",
        "T1 山田太郎",
        "T1 太郎山田",
    ],
)
def test_the_studys_own_identifiers_go_however_they_are_written(text: str) -> None:
    assert STUDY.clean(text) == "T1"
    assert STUDY.scrub(text) == "T1"


def test_a_name_joined_with_a_number_goes_and_the_number_is_judged_for_itself() -> None:
    assert STUDY.scrub("zebrafish DOE2019") == "zebrafish 2019"
    assert STUDY.clean("T1 DOE12") == "T1 12"
    assert STUDY.clean("T1 DOE2019") == "T1"


def test_an_initial_goes_with_the_name_and_a_side_stays() -> None:
    assert STUDY.scrub("DOE J VE11C") == "VE11C"
    assert STUDY.scrub("A. DOE VE11C") == "VE11C"
    assert STUDY.scrub("DOE R KNEE") == "R KNEE"


def test_a_patient_called_like_a_body_part_does_not_take_it_from_every_description() -> None:
    phantom = TextCleaner(LEXICON, names=["HEAD^TEST", "Phantom^Left", "Knee^QA"])
    assert phantom.clean("HEAD left knee test") == "HEAD left knee test"


def test_a_patient_called_like_another_word_of_radiology_does() -> None:
    short = TextCleaner(LEXICON, names=["Short^Bone"])
    assert short.clean("short bone axial") == "axial"


def test_a_word_of_an_address_that_is_also_one_of_radiology_stays() -> None:
    assert STUDY.clean("Main bronchus") == "Main bronchus"


def test_a_short_number_of_the_study_is_no_identifier() -> None:
    one = TextCleaner(LEXICON, known=["1", "12", "CT", "123"])
    assert one.clean("CT 12 123 1") == "CT 12 123 1"


def test_a_number_inside_a_longer_one_is_another_number() -> None:
    assert STUDY.scrub("V9000372419") == "V9000372419"


def test_a_name_in_the_middle_of_a_word_takes_the_word_with_it() -> None:
    patrick = TextCleaner(LEXICON, names=["Doe^Patrick"])
    assert patrick.scrub("St Patricks ward") == "St ward"
    assert patrick.scrub("BrainPatrickT1") == "Brain T1"


def test_a_short_name_inside_a_word_is_not_a_name() -> None:
    assert STUDY.scrub("Doent DOEX") == "Doent DOEX"
    assert TextCleaner(LEXICON, names=["Li^Wei"]).clean("MRI Limb") == "MRI Limb"


# --- Other text -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Br40d",
        "syngo MR E11",
        "VE11C",
        "4.3.2.1",
        "10.6.1.0",
        "5.4.1\\5.4.1.2",
        "SIGNA Architect",
        "Ingenuity Flex 128",
        "GENESIS_ZEUS",
        "27\\LX\\MR Software release:14.0_M5_0737.f",
        "3.5.7.23",
        "1.2.840.10008.5.1.4.1.1.4",
        "-0.5/1.25/-180",
        "{SUVbw}g/ml",
        "DCMTK 3.6.7",
        "3 Phase Abdomen CT",
        "MR Brain. DR CHEST. MRS Liver. Knee, RT. Hand, MD map",
        "Prostate profile",
        "\x00\x1b",
        "---",
    ],
)
def test_text_without_identifiers_is_not_touched_by_scrubbing(text: str) -> None:
    assert STUDY.scrub(text) == text


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("Vendor tool v2, Doe J, 2019-06-19", "Vendor tool v2"),
        ("Zebrafish of Dr. Doolittle", "Zebrafish of"),
        ("Patient: John Q. Public; zebrafish", "zebrafish"),
        ("Performed by: Nurse Ratched, zebrafish", "zebrafish"),
        ("zebrafish, call 555-987-6543", "zebrafish, call"),
        ("zebrafish 172.16.254.1 port", "zebrafish port"),
        ("ip 10.1.2.3 zebrafish", "zebrafish"),
        ("zebrafish D-26121 Oldenburg", "zebrafish"),
        ("from 1.3.12.2.1107.5.2.6.14119.30000006052316364151500000062", "from"),
        ("C:\\Users\\jroe\\zebrafish", "C:zebrafish"),
    ],
)
def test_scrubbing_takes_identifiers_and_leaves_unknown_words(text: str, scrubbed: str) -> None:
    assert STUDY.scrub(text) == scrubbed


def test_a_version_with_leading_zeros_is_no_address() -> None:
    cleaner = TextCleaner(Lexicon.standard())
    assert cleaner.scrub("51.80.108.010") == "51.80.108.010"
    assert cleaner.scrub("51.80.108.110") == ""
    assert cleaner.scrub("host 51.80.108.010") == ""
