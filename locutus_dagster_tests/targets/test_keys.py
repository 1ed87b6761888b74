"""The key of a delivery: whatever the values, one harmless path under the operator's prefix."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from locutus_dagster.settings import DEFAULT_KEY_TEMPLATE
from locutus_dagster.settings.key_templates import PLACEHOLDERS
from locutus_dagster.targets import TargetError, delivery_key
from locutus_dagster.targets.keys import safe_part

VALUES = {
    "top": ".TopLevel",
    "subject_id": "S1",
    "imaging_type": "CT",
    "age": "4000",
    "anatomical_position": "HEAD",
    "study": "abc",
}


def key(template: str = DEFAULT_KEY_TEMPLATE, **values: str) -> str:
    return delivery_key(template, **{**VALUES, **values})


def test_the_default_key_is_the_reference_s() -> None:
    assert key() == ".TopLevel/S1/CT/4000/HEAD/uuid_abc.zip"


def test_every_placeholder_may_be_used() -> None:
    template = "/".join(f"{{{name}}}" for name in PLACEHOLDERS)
    assert key(template) == ".TopLevel/S1/CT/4000/HEAD/abc"


def test_empty_values_become_a_part_that_says_so() -> None:
    assert key(age="", anatomical_position=" ") == ".TopLevel/S1/CT/none/none/uuid_abc.zip"


def test_an_empty_prefix_leaves_no_empty_part() -> None:
    assert key(top="") == "S1/CT/4000/HEAD/uuid_abc.zip"
    assert key(top="/a//b/../c/") == "a/b/c/S1/CT/4000/HEAD/uuid_abc.zip"


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("HEAD, NECK", "HEAD_NECK"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..", "none"),
        (".hidden", "hidden"),
        ("-rf", "rf"),
        ("", "none"),
        ("a\0b\n", "a_b"),
        ("Käthe", "K_the"),
        ("A.B-C+D_E", "A.B-C+D_E"),
    ],
)
def test_a_value_becomes_one_safe_part(value: str, part: str) -> None:
    assert safe_part(value) == part


hostile = st.one_of(st.text(max_size=150), st.text(st.sampled_from("./\\_- ~ab\0{}"), max_size=8))


@given(hostile)
@example("." * 200)
@example("-._")
def test_a_safe_part_is_never_empty_hidden_or_a_way_out(value: str) -> None:
    part = safe_part(value)
    assert part
    assert part[0] not in ".-"
    assert len(part) <= 100
    assert not set(part) & set("/\\\0 \n")
    assert part.isascii()


@given(hostile, hostile, hostile, hostile, hostile)
def test_no_value_changes_the_depth_of_a_key_or_leads_out_of_it(
    subject: str, imaging_type: str, age: str, position: str, study: str
) -> None:
    made = key(
        subject_id=subject,
        imaging_type=imaging_type,
        age=age,
        anatomical_position=position,
        study=study,
    )
    parts = made.split("/")
    assert len(parts) == 6
    assert parts[0] == ".TopLevel"
    assert all(part and part[0] != "." for part in parts[1:])


@given(top=hostile, template=st.text(st.sampled_from("./ab{}"), max_size=10))
def test_no_prefix_or_template_of_an_operator_leads_out(top: str, template: str) -> None:
    try:
        made = key(template + "/{study}.zip", top=top)
    except TargetError:
        return
    assert not PurePosixPath(made).is_absolute()
    assert not {"", ".", ".."} & set(made.split("/"))


@pytest.mark.parametrize("template", ["{study}/{accession}", "{study}/{}", "{study.__class__}"])
def test_an_unknown_placeholder_is_refused_with_those_that_may_be_used(template: str) -> None:
    with pytest.raises(TargetError, match="It may use top, subject_id"):
        key(template)


def test_a_template_without_the_study_is_refused() -> None:
    with pytest.raises(TargetError, match="overwrite each other"):
        key("{top}/{subject_id}.zip")


@pytest.mark.parametrize(
    "template", ["{study", "study}", "{study:d}", "{study:.0}", "{study!r}", "{study:{age}}"]
)
def test_a_template_that_is_malformed_or_formats_its_values_is_refused(template: str) -> None:
    with pytest.raises(TargetError):
        key(template)
