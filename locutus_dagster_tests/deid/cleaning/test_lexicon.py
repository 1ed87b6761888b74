"""The lexicon has the words of radiology and nobody's name."""

from __future__ import annotations

import re
import unicodedata
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locutus_dagster.deid.cleaning.folding import fold, fold_with_places, spellings
from locutus_dagster.deid.cleaning.lexicon import Lexicon

DATA = files("locutus_dagster.deid.cleaning") / "data"
STANDARD = Lexicon.standard()


def lines(*names: str) -> list[str]:
    text = "\n".join((DATA / name).read_text(encoding="utf-8") for name in names)
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def topics() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    topic = ""
    for line in lines("vocabulary.txt", "vocabulary_reports.txt", "vocabulary_scripts.txt"):
        if line.startswith("["):
            topic = line.strip("[]")
        else:
            found.setdefault(topic, []).extend(line.split())
    return found


@pytest.mark.parametrize(
    "word",
    """
    MPRAGE FLAIR HASTE TSE STIR DWI ADC SWI TOF VIBE DIXON sagittal axial contrast thorax abdomen
    skull Schädel Becken tête cráneo ginocchio hersenen joelho with mit avec con sin Somatom
    Aquilion fluorodeoxyglucose gadobutrol metatarsophalangeal
    """.split(),  # noqa: SIM905
)
def test_words_of_radiology_are_in_it(word: str) -> None:
    assert word in STANDARD


@pytest.mark.parametrize(
    "name",
    """
    Smith Müller García Rossi Dupont Jansen Silva Waters Towne Douglas Townsend Baker Caldwell Young
    Brown White Black Rose Judet Hodgkin Parkinson Anna Maria Peter Mohammed Fields Kim Nguyen June
    """.split(),  # noqa: SIM905
)
def test_names_are_not_in_it(name: str) -> None:
    assert name not in STANDARD


@pytest.mark.parametrize("word", ["SCHÄDEL", "schaedel", "Schadel", "Scha\u0308del"])
def test_neither_case_nor_the_way_of_writing_an_umlaut_counts(word: str) -> None:
    assert word in STANDARD


def test_a_word_with_hyphens_is_in_it_if_all_its_parts_are() -> None:
    assert "thoraco-abdominal" in STANDARD
    assert "post-contrast" in STANDARD
    assert "Smith-abdominal" not in STANDARD
    assert "-" not in STANDARD


def test_a_site_adds_words_and_the_digest_tells() -> None:
    site = STANDARD.with_words(["Gadoterate", "myproto v2", "Großhadern"])
    assert "MYPROTO" in site
    assert "v2" in site
    assert "grosshadern" in site
    assert "myproto" not in STANDARD
    assert site.digest != STANDARD.digest
    assert site.digest == STANDARD.with_words(["grosshadern", "v2", "myproto"]).digest


def test_adding_known_words_or_none_changes_nothing() -> None:
    assert STANDARD.with_words([]) is STANDARD
    assert STANDARD.with_words(["chest", " ", "--"]) is STANDARD


def test_the_file_is_sorted_and_in_lower_case_without_doubles() -> None:
    words = lines("lexicon.txt")
    assert words == sorted(set(words))
    # Vowels of Thai are marks.
    assert all(word == word.lower() for word in words)
    assert all(re.fullmatch(r"[^\W_](?:[^\W_]|[\u0e31-\u0e4e])*", word) for word in words)


def test_the_file_says_how_many_words_it_has() -> None:
    header = (DATA / "lexicon.txt").read_text(encoding="utf-8").splitlines()[0]
    assert header.startswith(f"# {len(lines('lexicon.txt'))} words")


def test_every_word_by_hand_is_in_the_file() -> None:
    missing = {word for words in topics().values() for word in words} - set(lines("lexicon.txt"))
    assert not missing, "run scripts/make_lexicon.py"


def test_words_that_are_also_names_stand_in_a_topic_of_their_own_and_in_another() -> None:
    found = topics()
    names = set(map(fold, found.pop("also a name")))
    others = {fold(word) for words in found.values() for word in words}
    assert {"hand", "dixon", "stone"} <= names
    assert names <= others


def test_its_repr_says_how_large_it_is() -> None:
    assert repr(STANDARD) == f"Lexicon({len(STANDARD)} words)"


@given(st.text(max_size=40))
def test_folding_a_text_is_folding_its_characters(text: str) -> None:
    folded, places = fold_with_places(text)
    assert folded == fold(text) == "".join(map(fold, text))
    if places is None:
        assert len(folded) == len(text)
    else:
        assert len(places) == len(folded) + 1
        assert all(fold(text[place]) for place in places[:-1])
        assert places == sorted(places)


@given(st.text(alphabet="abcäöüßéñøœÅçĄ", max_size=12))
def test_composed_and_decomposed_writing_fold_alike(text: str) -> None:
    forms = {fold(unicodedata.normalize(form, text)) for form in ("NFC", "NFD", "NFKC", "NFKD")}
    assert len(forms) == 1


def test_umlauts_are_spelled_in_the_usual_ways() -> None:
    assert spellings("Müller") == spellings("Mueller") == {"muller", "mueller"}
    assert spellings("Groß") == {"gross"}
    assert spellings("Sue") == {"sue"}
