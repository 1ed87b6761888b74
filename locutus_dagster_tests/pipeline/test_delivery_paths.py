"""A delivery's path never names its accession, and is not refused for what does not name it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from locutus_dagster.pipeline.deliver import key_of
from locutus_dagster.pipeline.foreseen import Would
from locutus_dagster.pipeline.outcomes import Result
from locutus_dagster.pipeline.preflight import preflight
from locutus_dagster.targets import TargetError
from locutus_dagster_tests.pipeline.small_world import SmallWorld, parts

KeyOf = Callable[..., str]


@pytest.fixture
def key(small: SmallWorld) -> Iterator[KeyOf]:
    """The key of an accession whose row has these values."""
    (partition,) = small.load("ACC1")
    item, made = small.item(partition), parts(small.settings, "default")
    token = "0123456789abcdef" * 2

    def of(accession_number: str, **values: str) -> str:
        told = replace(item, accession_number=accession_number, **values)  # type: ignore[arg-type]
        return key_of(told, token, made, "share")

    yield of
    made.close()


def test_a_number_that_is_rewritten_for_the_path_is_not_delivered_in_it(small: SmallWorld) -> None:
    small.put_study("RAD 123456")
    (partition,) = small.load("RAD 123456", imaging_type="CT RAD 123456")
    made = parts(small.settings, "default")
    (foreseen,) = preflight([small.item(partition)], made, small.options())
    made.close()
    assert (foreseen.would, "the accession number" in foreseen.why) == (Would.FAIL, True)
    end = small.end(partition)
    assert (end.result, "would carry the accession number" in end.reason) == (Result.FAILED, True)
    assert "123456" not in end.reason
    assert small.zips() == []


@pytest.mark.parametrize(
    ("accession_number", "column", "value"),
    [
        ("RAD#123456", "imaging_type", "CT of RAD#123456"),
        ("RAD#123456", "imaging_type", "CT of rad_123456"),
        ("RAD-123456", "anatomical_position", "head RAD123456"),
        ("RAD 123456", "imaging_type", "CT  RAD  123456"),
        ("RAD123456", "imaging_type", "CT \uff32\uff21\uff24\uff11\uff12\uff13\uff14\uff15\uff16"),
        ("\u00c4B-1234", "imaging_type", "CT \u00e4b 1234"),
        ("R#123", "imaging_type", "CT R 123"),
        ("C123456", "subject_id", "C123456x"),
        ("123456", "anatomical_position", "123456"),
        ("4000", "age", "4000"),
        ("12", "imaging_type", "CT 12"),
        ("A7", "anatomical_position", "head a7"),
    ],
)
def test_a_path_that_names_the_accession_in_any_spelling_is_refused(
    key: KeyOf, accession_number: str, column: str, value: str
) -> None:
    with pytest.raises(TargetError, match="would carry the accession number"):
        key(accession_number, **{column: value})


@pytest.mark.parametrize(
    ("accession_number", "column", "value"),
    [
        ("12", "age", "12"),
        ("12", "age", "12.5"),
        ("#12", "age", "12"),
        ("7", "subject_id", "7"),
        ("12", "imaging_type", "CT120"),
        ("89ab", "imaging_type", "CT"),  # the study's pseudonym holds it by chance
        ("###", "imaging_type", ""),
    ],
)
def test_a_short_number_is_not_taken_for_an_age_nor_for_a_piece_of_another_word(
    key: KeyOf, accession_number: str, column: str, value: str
) -> None:
    assert key(accession_number, **{column: value}).endswith(".zip")
