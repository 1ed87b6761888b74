"""The search in windows finds what a search of the whole finds, and gives crowded texts up."""

from __future__ import annotations

import pytest
from ahocorasick_rs import AhoCorasick, BytesAhoCorasick
from hypothesis import given
from hypothesis import strategies as st

from locutus_dagster.deid.identities import searching
from locutus_dagster.deid.identities.searching import CrowdedError, matches

WORDS = st.lists(st.text("abc", min_size=1, max_size=9), min_size=1, max_size=6, unique=True)


@given(WORDS, st.text("abc ", max_size=200), st.integers(1, 12))
def test_windows_of_any_size_find_the_same(words: list[str], text: str, window: int) -> None:
    automaton = AhoCorasick(words)
    whole = automaton.find_matches_as_indexes(text, overlapping=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(searching, "_WINDOW", window)
        assert list(matches(automaton, text, max(map(len, words)))) == whole


def test_bytes_are_searched_as_well() -> None:
    text = b"-" * 1022 + b"smith" + b"-" * 2000 + b"smithson"
    patterns = [b"smith", b"smithson"]
    found = list(matches(BytesAhoCorasick(patterns), text, 8))
    assert [(patterns[at], text[start:end]) for at, start, end in found] == [
        (b"smith", b"smith"),
        (b"smith", b"smith"),
        (b"smithson", b"smithson"),
    ]


def test_no_pattern_is_found_nowhere() -> None:
    assert list(matches(AhoCorasick([]), "any text", 0)) == []


def test_a_text_that_matches_everywhere_is_given_up_early() -> None:
    names = ["xy" * half for half in range(3, 400)]
    with pytest.raises(CrowdedError):
        list(matches(AhoCorasick(names), "xy" * 1_000_000, 800))


def test_a_text_of_nothing_but_names_is_not_crowded() -> None:
    names = ["doe", "jane", "doejane", "janedoe", "doej", "jdoe", "doe jane", "jane doe"]
    text = "doejanedoe jane doe " * 5000
    assert len(list(matches(AhoCorasick(names), text, 8))) > 40_000
