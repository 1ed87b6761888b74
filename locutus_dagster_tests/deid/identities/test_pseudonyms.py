"""Pseudonyms are keyed, stable, legal, and say nothing."""

from __future__ import annotations

import pickle
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from locutus_dagster.deid.faults import DeidError
from locutus_dagster.deid.identities.pseudonyms import Pseudonyms

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


def test_a_key_is_named_by_its_version_and_by_what_tells_it_from_other_keys() -> None:
    second = Pseudonyms(b"0123456789abcdef", version=2)
    assert A.key_id == "1-07b62fc7"
    assert second.key_id == "2-07b62fc7"
    assert re.fullmatch("1-[0-9a-f]{8}", B.key_id)


def test_the_version_of_a_key_changes_no_pseudonym() -> None:
    second = Pseudonyms(b"0123456789abcdef", version=2)
    assert second.uid("1.2.3") == A.uid("1.2.3")
    assert second.study_token("1.2.3") == A.study_token("1.2.3")
    assert second.subject("0010") == A.subject("0010")
    assert second.shift_days("S1", 1, 3650) == A.shift_days("S1", 1, 3650)


def test_a_negative_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version"):
        Pseudonyms(b"0123456789abcdef", version=-1)


def test_fresh_pseudonyms_are_linked_to_nothing() -> None:
    one, another = Pseudonyms.fresh(), Pseudonyms.fresh()
    assert one.uid("1.2.3") == one.uid("1.2.3")
    assert one.uid("1.2.3") != another.uid("1.2.3")
    assert one.subject("0010") != another.subject("0010")
    assert one.version == another.version == 0


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16"):
        Pseudonyms(b"fifteen bytes..")


def test_the_secret_is_never_shown() -> None:
    shown = repr(A) + str(A) + f"{A}"
    assert "0123456789" not in shown
    assert A.key_id in shown


def test_pseudonyms_travel_to_worker_processes() -> None:
    there = pickle.loads(pickle.dumps(Pseudonyms(b"0123456789abcdef", version=3)))
    assert there.uid("1.2.3") == A.uid("1.2.3")
    assert there.key_id == "3-07b62fc7"


@given(st.text(max_size=64).filter(lambda text: text.replace("\0", " ").strip()))
def test_a_subject_is_a_short_code_that_nobody_misreads(patient_id: str) -> None:
    assert re.fullmatch("S[0-9A-HJKMNP-TV-Z]{12}", A.subject(patient_id))


def test_a_patient_is_the_same_subject_in_every_process() -> None:
    # Fixed values: if they change, a person's old and new studies fall apart.
    assert A.subject("0010") == "S0150M51BEBS5"
    assert A.subject("0010", "ward") == "SBQ5Q9M22A9TY"
    assert B.subject("0010") != A.subject("0010")


@pytest.mark.parametrize(
    "spelling", ["mrn é 7", " MRN É 7 ", "MRN  é  7\0", "mrn e\u0301 7", "MRN E\u0301 7"]
)
def test_spelling_a_patient_id_differently_makes_no_other_subject(spelling: str) -> None:
    assert A.subject(spelling, " ward a") == A.subject("MRN É 7", "WARD A")


def test_small_and_capital_letters_with_several_accents_are_alike() -> None:
    small, capital = "\u0390", "\u0399\u0308\u0301"
    assert small.upper() == capital
    assert A.subject(small) == A.subject(capital)


@pytest.mark.parametrize(
    "other", [("10", ""), ("001", ""), ("0010", "ward"), ("00-10", ""), ("00 10", "")]
)
def test_another_patient_id_or_issuer_is_another_subject(other: tuple[str, str]) -> None:
    assert A.subject(*other) != A.subject("0010")


def test_an_issuer_never_runs_over_into_the_patient_id() -> None:
    assert A.subject("bc", "a") != A.subject("c", "ab")


@pytest.mark.parametrize("nothing", ["", "  ", "\0\0", " \0"])
def test_no_subject_is_made_up_for_a_study_without_a_patient_id(nothing: str) -> None:
    with pytest.raises(DeidError, match="without a Patient ID") as error:
        A.subject(nothing, "ward")
    assert error.value.hint
    assert "ward" not in str(error.value)


@given(st.text(max_size=64), st.integers(-5000, 5000), st.integers(0, 5000))
def test_a_shift_lies_in_its_range(subject: str, smallest: int, width: int) -> None:
    assert smallest <= A.shift_days(subject, smallest, smallest + width) <= smallest + width


def test_a_subject_shifts_alike_in_every_study_and_process() -> None:
    # A fixed value: if it changes, intervals between old and new studies are wrong.
    assert A.shift_days("SUBJ-001", 1, 3650) == 2596
    assert A.shift_days("SUBJ-001 ", 1, 3650) == A.shift_days("\0SUBJ-001", 1, 3650) == 2596


def test_subjects_keys_and_ranges_shift_differently() -> None:
    def shifts(key: Pseudonyms, largest: int) -> list[int]:
        return [key.shift_days(f"S{number}", 1, largest) % 365 for number in range(50)]

    assert len(set(shifts(A, 3650))) > 30
    # 3650 is a multiple of 365: without a draw of its own, each would follow from the other.
    assert sum(a == b for a, b in zip(shifts(A, 3650), shifts(A, 365), strict=True)) < 10
    assert sum(a == b for a, b in zip(shifts(A, 3650), shifts(B, 3650), strict=True)) < 10


def test_every_number_of_days_is_about_equally_likely() -> None:
    drawn = Counter(A.shift_days(f"S{number}", 3, 9) for number in range(7000))
    assert set(drawn) == set(range(3, 10))
    # Six standard deviations of a fair draw are 176.
    assert all(abs(count - 1000) < 176 for count in drawn.values())


def test_a_range_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(ValueError, match="smallest"):
        A.shift_days("S1", 5, 4)
