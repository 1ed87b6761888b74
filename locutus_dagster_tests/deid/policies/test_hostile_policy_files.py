"""Whatever stands in a policy file: it ends soon, in a policy or in an error without quotes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from locutus_dagster.deid.policies.reading import NAMED, PolicyFileError, read_policy


def problems(folder: Path, text: str) -> tuple[str, ...]:
    path = folder / "site.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PolicyFileError) as caught:
        read_policy(path)
    return caught.value.problems


@pytest.mark.parametrize(
    "text",
    [
        "SMITH JOHN,12345678,1957-12-31\nSMITH JANE,87654321,1960-01-01",
        "SMITH: 12345678",
        "name: x\noverrides:\n- attribute: SMITH\n  action: 12345678",
        "name: SMITH JOHN 12345678",
        "name: x\noptions: [SMITH, 12345678]",
        "name: x\nextends: SMITH-12345678",
        "name: x\nlexicon: [SMITH 12345678]",
        "*SMITH12345678",
        "&SMITH12345678 x",
        "!SMITH!12345678 x",
        "%TAG !SMITH! 12345678\n%TAG !SMITH! 12345678\n--- x",
    ],
)
def test_a_patient_list_that_is_taken_for_a_policy_is_not_quoted(tmp_path: Path, text: str) -> None:
    told = "".join(problems(tmp_path, text))
    assert "SMITH" not in told
    assert "12345678" not in told


def test_a_file_full_of_mistakes_is_soon_given_up(tmp_path: Path) -> None:
    rules = "".join(f"- {{attribute: StudyDescripto{i}, action: keep}}\n" for i in range(5000))
    told = problems(tmp_path, "name: x\noverrides:\n" + rules)
    assert len(told) < 100
    assert "more problems" in told[-1]


PIECES = """\
name: x|extends: |research|basic|site-a.yaml|options:|  add: |[|]|{|}|, |- |? |&a |*a |!!int |<<: |
overrides:|attribute: |StudyDate|(0008,0020)|/|private: |element: |(0019,xx0C)|action: |keep|clean|
vr: |IS|replace: |lexicon: |white_lists: |file: |shift_days: |[1, 2]|uids: |fresh|modalities: |any|
'|"|\\x|\\U00110000|#|: |~|>""".replace("\n", "")
BREAKS = [
    "\n",
    "\n- ",
    "\n  ",
    "\n    ",
    "\r",
    "\t",
    "\n---\n",
    "\n...\n",
    "%YAML 1.1\n",
    "\x85",
    "\x00",
]
YAML_PIECES = st.lists(
    st.one_of(st.sampled_from(PIECES.split("|")), st.sampled_from(BREAKS), st.text(max_size=8)),
    max_size=40,
).map("".join)


@settings(max_examples=300, deadline=20_000, suppress_health_check=list(HealthCheck))
@given(text=st.one_of(st.text(), YAML_PIECES))
def test_any_text_is_a_policy_or_a_policy_file_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "any.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
    with suppress(PolicyFileError):
        assert read_policy(path).name not in ("", *NAMED)


@settings(max_examples=100, deadline=20_000, suppress_health_check=list(HealthCheck))
@given(content=st.binary())
def test_any_bytes_are_a_policy_or_a_policy_file_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.yaml"
    path.write_bytes(content)
    with suppress(PolicyFileError):
        assert read_policy(path).name


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, "{" * 200_000, "- " * 100_000, "? " * 100_000, "a: " * 80_000, '"\\' * 100_000],
)
def test_hostile_nesting_ends_soon(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text)
