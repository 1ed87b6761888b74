"""A white list names values that somebody has read; how they are compared is fixed."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from locutus_dagster.deid.policies.problems import PolicyFileError
from locutus_dagster.deid.policies.white_lists import normalise, read_white_list


def written(folder: Path, text: str) -> Path:
    path = folder / "white.json"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    return path


def problems(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(PolicyFileError) as caught:
        read_white_list(written(folder, text))
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("  T1  AX ", "t1 ax"),
        ("T1_AX", "t1ax"),
        ("t1-a.x,", "t1ax"),
        ("T1 - AX", "t1 ax"),
        ("- T1", "t1"),
        ("Kopf^Ähnlich", "kopf^ähnlich"),
        ("ST_HEAD", "sthead"),
        ("ST HEAD", "st head"),
        ("-_,.", ""),
    ],
)
def test_case_spaces_and_four_signs_do_not_count(text: str, form: str) -> None:
    assert normalise(text) == form


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


def test_a_list_is_read_by_tag_and_normalised(tmp_path: Path) -> None:
    text = '{"0008,103e": ["T1 axial", "T1  AXIAL", "_"], "(0018,1030)": [], "0019,1010": ["x"]}'
    assert read_white_list(written(tmp_path, text)) == {
        0x0008103E: frozenset({"t1 axial"}),
        0x00181030: frozenset(),
        0x00191010: frozenset({"x"}),
    }


def test_all_problems_of_a_list_are_told_at_once(tmp_path: Path) -> None:
    text = (
        '{"StudyDescription": ["a"], "0008,1030": "a", "0018,1030": ["a", 5], '
        '"0008,103E": {"a": "b"}, "0020,4000": ["a"], "0020,4000": ["b"], "0018,1020": ["a\\nb"]}'
    )
    told = problems(tmp_path, text)
    assert [one.partition(": ")[0] for one in told] == ["white.json"] * 6
    for one, words in zip(
        told,
        [
            "entry 1",
            "(0008,1030): write a list",
            "(0018,1030): value 2",
            "(0008,103E): write a list",
            "(0020,4000) stands in the list twice",
            "(0018,1020): value 1",
        ],
        strict=True,
    ):
        assert words in one


def test_broken_json_is_told_with_its_line(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, '{\n"0008,1030": ["a"]\n"0018,1030": []}')
    assert told.startswith("white.json, line 3: cannot be read as JSON")


@pytest.mark.parametrize("text", ["[]", "5", '"x"', "null", "[" * 100_000, "9" * 10_000])
def test_a_file_without_an_object_is_refused(tmp_path: Path, text: str) -> None:
    (told,) = problems(tmp_path, text)
    assert "JSON" in told or "write one object" in told


def test_values_and_keys_of_a_list_are_not_quoted(tmp_path: Path) -> None:
    for text in ('{"SMITH JOHN": ["SMITH"]}', '{"0008,1030": {"SMITH": 1}}', '{"SMITH": SMITH}'):
        assert "SMITH" not in "".join(problems(tmp_path, text))


def test_a_missing_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyFileError, match="no such file"):
        read_white_list(tmp_path / "none.json")


KEYS = st.one_of(st.text(), st.sampled_from(["0008,1030", "(0018,1030)", "0008,103e"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(text=st.one_of(st.text(), st.dictionaries(KEYS, JSON, max_size=3).map(json.dumps)))
def test_any_text_is_a_list_or_a_policy_file_error(tmp_path: Path, text: str) -> None:
    with suppress(PolicyFileError):
        found = read_white_list(written(tmp_path, text))
        assert all(normalise(value) == value for values in found.values() for value in values)
