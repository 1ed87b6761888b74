"""Cleaning of text holds whatever the text is: made of names, of numbers, of anything at all."""

from __future__ import annotations

import re
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locutus_dagster.deid.cleaning.descriptors import TextCleaner
from locutus_dagster.deid.cleaning.folding import fold
from locutus_dagster.deid.cleaning.lexicon import Lexicon
from locutus_dagster.deid.identities.tokens import is_free_standing, name_tokens, rule_for

LEXICON = Lexicon.standard()
STUDY = TextCleaner(
    LEXICON,
    known=["MRN445", "00037241", "555-123-4567", "12 Main Street, Springfield", "A1234567"],
    names=["Doe^Jane^A", "Müller-Lüdenscheidt^Hans^^Dr.", "O'Brien^Patrick", "山田^太郎"],
)

PIECES = st.sampled_from(
    """
    Smith Doe doe JANE Müller Mu\u0308ller o'brien 山田 T1 MPRAGE ax brain w/o 5mm 1000 2019
    20190619 19.06.2019 12 345 MRN ID: #12 Dr. Frau M. 555-123-4567 00037241 A1234567 ( ) [ ] < >
    - _ / . , ; : ' " = + ^ 1.2.3.4 a@b.org http:// TR TE b x 3x L4
    \u0308 \u200b \x1b ß ŉ ﬁ ² ½ １２３
    """.split()  # noqa: SIM905
)
SENTENCES = st.lists(st.one_of(PIECES, st.sampled_from([" ", "\n", "\r\n", ""])), max_size=12).map(
    "".join
)
HOSTILE = st.one_of(st.text(max_size=60), SENTENCES, st.lists(PIECES, max_size=8).map(" ".join))


@given(HOSTILE)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    cleaned, scrubbed = STUDY.clean(text), STUDY.scrub(text)
    assert STUDY.clean(cleaned) == cleaned
    assert STUDY.scrub(scrubbed) == scrubbed


@given(HOSTILE)
def test_nothing_is_left_of_a_name_of_three_letters_or_more(text: str) -> None:
    for left in (STUDY.clean(text), STUDY.scrub(text)):
        words = set(re.findall(r"[^\W\d_]+", fold(left)))
        assert words.isdisjoint({"doe", "jane", "muller", "ludenscheidt", "hans", "brien"})
        assert "山田" not in left


NAMES = st.lists(
    st.one_of(
        st.text(alphabet="abBcdDeEäüÜßéñø\u041e\u0432\u0430'- 山田", min_size=1, max_size=9),
        st.sampled_from(["Doe", "Ana", "Smith-Jones", "O'Brien", "Li", "MRN", "Test", "McDonald"]),
    ),
    min_size=1,
    max_size=3,
).map("^".join)


@given(NAMES, st.data())
def test_nothing_is_left_that_the_residue_scan_would_find(name: str, data: st.DataObject) -> None:
    parts = [part for part in re.split(r"[\^ ]+", name) if part]
    words = st.sampled_from([*parts, *map(str.upper, parts), name, "T1", "mañana", "x", "é", "1"])
    separators = st.sampled_from(["", " ", "_", "-", ", ", "^", "'"])
    text = "".join(data.draw(st.lists(st.one_of(words, separators), max_size=8)))
    cleaner = TextCleaner(LEXICON, names=[name])
    for left in (cleaner.clean(text), cleaner.scrub(text)):
        written = left.encode().lower()
        for token in name_tokens(name):
            rule = rule_for(token)
            for case in (token, token.lower(), token.upper(), token.title()):
                wanted = case.encode().lower()
                start = written.find(wanted) if rule and wanted else -1
                while start >= 0:
                    assert rule is not None
                    assert not is_free_standing(rule, written, start, start + len(wanted), 1)
                    start = written.find(wanted, start + 1)


@given(HOSTILE)
def test_nothing_comes_out_that_did_not_go_in(text: str) -> None:
    for left in (STUDY.clean(text), STUDY.scrub(text)):
        assert len(left) <= len(text)
        assert not Counter("".join(left.split())) - Counter(text)


@given(HOSTILE)
def test_a_clean_description_has_words_of_the_lexicon_and_measurements_only(text: str) -> None:
    for word in re.findall(r"[^\W_]+", STUDY.clean(text)):
        if word.isalpha():
            parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", word)
            assert word in LEXICON or all(part in LEXICON for part in parts)
        else:
            # T1w, 5mm, L4, 1000 behind TR; at most four digits, or five before a unit.
            assert len(re.findall(r"\d", word)) <= 16
            assert not re.search(r"[0-9]{6}", word)


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "a",
            "1",
            "Smith ",
            "Dr. ",
            "1-",
            "(",
            "\u0308",
            "a.",
            "ab@",
            "12 34 ",
            "0",
            "doe",
            "Doe ",
        ),
        *("x1", "name: ", "a-", "aB", "1.1.", "Jan 1 ", "TR/TE ", "1x", "id ", "http://", "f nac "),
        *("müller ", "\n", "1234 Aaa ", "\\home\\", "J. ", "555-", "9 y ", "+1", "0/0", "山田"),
    ],
)
def test_the_time_grows_with_the_text_alone(piece: str) -> None:
    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        start = time.process_time()
        STUDY.clean(text)
        STUDY.scrub(text)
        return time.process_time() - start

    assert seconds(50_000) < 40 * seconds(5_000) + 0.5


def test_what_a_cleaner_knows_is_not_in_its_repr() -> None:
    text = repr(STUDY)
    assert "forms" in text
    assert all(secret not in text for secret in ("Doe", "doe", "37241", "Main", "445"))
