"""Pseudonyms are keyed, stable, legal, and say nothing."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from locutus_dagster.deid import Pseudonyms

A, B = Pseudonyms(b"0123456789abcdef"), Pseudonyms(b"0123456789abcdeg")


@given(st.text(max_size=80))
def test_every_uid_is_legal_and_short_enough(original: str) -> None:
    uid = A.uid(original)
    assert UID(uid).is_valid
    assert uid.startswith("2.25.")
    assert len(uid) <= 64


def test_the_same_original_gives_the_same_uid_in_every_process() -> None:
    assert A.uid("1.2.3") == Pseudonyms(b"0123456789abcdef").uid("1.2.3")
    # A fixed value: if this changes, delivered studies cannot be linked to new deliveries.
    assert A.uid("1.2.3") == "2.25.145834515561447897872516408404604819882"


def test_padding_is_not_part_of_a_uid() -> None:
    assert A.uid("1.2.3\0") == A.uid("1.2.3") == A.uid("1.2.3 ")


def test_another_secret_gives_other_pseudonyms_and_another_key_id() -> None:
    assert A.uid("1.2.3") != B.uid("1.2.3")
    assert A.study_token("1.2.3") != B.study_token("1.2.3")
    assert A.key_id != B.key_id


def test_a_study_token_and_a_uid_of_the_same_original_share_nothing() -> None:
    number = f"{int(A.uid('1.2.3').removeprefix('2.25.')):032x}"
    token = A.study_token("1.2.3")
    assert len(token) == 32
    assert set(token) <= set("0123456789abcdef")
    assert token[:12] != number[:12]


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16"):
        Pseudonyms(b"fifteen bytes..")


def test_the_secret_is_never_shown() -> None:
    shown = repr(A) + str(A) + f"{A}"
    assert "0123456789" not in shown
    assert A.key_id in shown


def test_pseudonyms_travel_to_worker_processes() -> None:
    assert pickle.loads(pickle.dumps(A)).uid("1.2.3") == A.uid("1.2.3")
