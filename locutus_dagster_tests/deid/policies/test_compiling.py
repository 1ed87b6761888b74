"""Policies are compiled from the dated table, options and overrides, and fingerprinted."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from locutus_dagster.deid import DEFAULT_MODALITIES, Action, Option, basic_policy, compile_policy
from locutus_dagster.deid.encoding.encode import DUMMIES
from locutus_dagster.deid.policies import compiling
from locutus_dagster.deid.policies.model import Override, PolicySpec, PrivateElement, Settings
from locutus_dagster.deid.standard.dictionary import VR_OF
from locutus_dagster.deid.standard.table import OPTIONS, load_table

SPEC = PolicySpec("site", frozenset({Option.CLEAN_DESCRIPTORS}))
STUDY_DESCRIPTION, PATIENT_COMMENTS, KVP = 0x00081030, 0x00104000, 0x00180060


def override(tag: int, action: Action, line: int = 1, text: str = "") -> Override:
    return Override(f"site.yaml, line {line}", action, path=(tag,), text=text)


def with_overrides(*overrides: Override) -> PolicySpec:
    return replace(SPEC, overrides=overrides)


def test_the_table_is_complete() -> None:
    rows = load_table()
    assert len(rows) == 657
    assert sum(row.tag is None for row in rows) == 4
    assert len({row.tag for row in rows if row.tag is not None}) == 653
    assert {option for row in rows for option in row.options} == set(OPTIONS)
    assert set(OPTIONS) == {option.value for option in Option}


def test_attributes_that_the_dictionary_does_not_know_are_all_removals() -> None:
    # The engine removes unknown attributes whatever the table says: this is why it may.
    tags = [row for row in load_table() if row.tag is not None and row.tag >= 0x00080000]
    unknown = [row for row in tags if row.tag not in VR_OF]
    assert unknown
    assert {row.basic for row in unknown} == {"X"}


def test_there_is_a_dummy_for_every_attribute_that_may_need_one() -> None:
    for vr in set(VR_OF.values()) - {"SQ", "UI"}:
        assert DUMMIES[vr]


CHANGES = [
    replace(SPEC, name="other"),
    replace(SPEC, options=frozenset()),
    with_overrides(override(KVP, Action.REMOVE)),
    with_overrides(override(KVP, Action.REPLACE, text="a")),
    with_overrides(override(KVP, Action.REPLACE, text="b")),
    with_overrides(Override("", Action.REMOVE, path=(0x00400275, KVP))),
    with_overrides(Override("", Action.KEEP, private=PrivateElement("ACME", 0x0019, 1))),
    with_overrides(Override("", Action.KEEP, private=PrivateElement("ACME", 0x0019, 1), vr="LO")),
    replace(SPEC, settings=Settings(modalities=frozenset({"CT"}))),
    replace(SPEC, settings=Settings(excluded_series=("dose",))),
    replace(SPEC, settings=Settings(subject_preface="P_")),
    replace(SPEC, settings=Settings(identities="fresh")),
    replace(SPEC, settings=Settings(shift_days=(1, 2))),
    replace(SPEC, settings=Settings(several_patients="allow")),
    replace(SPEC, settings=Settings(words=frozenset({"gadoterate"}))),
    replace(SPEC, settings=Settings(white_lists={STUDY_DESCRIPTION: frozenset({"st head"})})),
]


def test_the_fingerprint_tells_apart_whatever_changes_the_output() -> None:
    fingerprints = [compile_policy(spec).fingerprint for spec in (SPEC, *CHANGES)]
    assert len(set(fingerprints)) == 1 + len(CHANGES)
    assert {len(fingerprint) for fingerprint in fingerprints} == {16}


@pytest.mark.parametrize("constant", ["ENGINE_VERSION", "EDITION"])
def test_the_fingerprint_depends_on_engine_and_edition(
    monkeypatch: pytest.MonkeyPatch, constant: str
) -> None:
    before = basic_policy().fingerprint
    monkeypatch.setattr(compiling, constant, "another")
    assert basic_policy().fingerprint != before


def test_the_fingerprint_does_not_depend_on_order_or_on_where_a_rule_is_written() -> None:
    assert basic_policy().fingerprint == basic_policy(reversed(DEFAULT_MODALITIES)).fingerprint
    one, two = (
        with_overrides(override(KVP, Action.REMOVE, line)) for line in (1, 2)
    )  # fmt: skip
    assert compile_policy(one) == compile_policy(two)


def test_modalities_are_folded_and_any_means_all() -> None:
    assert basic_policy([" ct", "Mr"]).settings.modalities == {"CT", "MR"}
    assert basic_policy(["any"]).settings.modalities is None


def test_a_policy_is_frozen_and_travels_to_worker_processes() -> None:
    policy = basic_policy()
    with pytest.raises(AttributeError):
        policy.name = "other"  # type: ignore[misc]
    copy = pickle.loads(pickle.dumps(policy))
    assert copy == policy
    assert copy.rules[0x00100010].actions == (Action.SUBJECT,)


def test_of_two_overrides_of_an_attribute_the_later_counts() -> None:
    spec = with_overrides(
        override(KVP, Action.REMOVE, 1), override(KVP, Action.EMPTY, 2)
    )  # fmt: skip
    rule = compile_policy(spec).rules[KVP]
    assert (rule.actions, rule.source) == ((Action.EMPTY,), "site.yaml, line 2")


@pytest.mark.parametrize(
    ("tag", "action", "departs"),
    [
        (STUDY_DESCRIPTION, Action.KEEP, True),  # C under Clean Descriptors
        (STUDY_DESCRIPTION, Action.CLEAN, False),
        (STUDY_DESCRIPTION, Action.REMOVE, False),
        (0x00080020, Action.SHIFT, True),  # Study Date: Z
        (0x00100040, Action.KEEP, True),  # Patient's Sex: Z
        (0x0020000D, Action.KEEP, True),  # Study Instance UID: U
        (0x00081115, Action.KEEP, False),  # Referenced Series Sequence: not in the table
        (0x00081140, Action.UID, False),  # Referenced Image Sequence: X/Z/U*
        (KVP, Action.REMOVE, False),
        (0x00209164, Action.KEEP, True),  # Dimension Organization UID
    ],
)
def test_what_keeps_more_than_the_profile_allows_is_counted_as_a_departure(
    tag: int, action: Action, departs: bool
) -> None:
    assert compile_policy(with_overrides(override(tag, action))).departures == int(departs)


def test_a_departure_that_is_taken_back_is_none() -> None:
    spec = with_overrides(
        override(STUDY_DESCRIPTION, Action.KEEP), override(STUDY_DESCRIPTION, Action.REMOVE)
    )
    assert compile_policy(spec).departures == 0
