"""The Basic Profile is compiled from the dated table, completely."""

from __future__ import annotations

import pickle

import pytest

from locutus_dagster.deid import DEFAULT_MODALITIES, Action, basic_policy
from locutus_dagster.deid.encoding.encode import DUMMIES
from locutus_dagster.deid.policies import model as policy_module
from locutus_dagster.deid.standard.dictionary import VR_OF
from locutus_dagster.deid.standard.table import OPTIONS, load_table


def test_the_table_is_complete() -> None:
    rows = load_table()
    assert len(rows) == 657
    assert sum(row.tag is None for row in rows) == 4
    assert len({row.tag for row in rows if row.tag is not None}) == 653
    assert {option for row in rows for option in row.options} == set(OPTIONS)


@pytest.mark.parametrize(
    ("tag", "action"),
    [
        (0x00080050, Action.EMPTY),  # Accession Number: Z
        (0x00081030, Action.REMOVE),  # Study Description: X
        (0x0020000D, Action.UID),  # Study Instance UID: U
        (0x00080080, Action.DUMMY),  # Institution Name: X/Z/D
        (0x00080022, Action.EMPTY),  # Acquisition Date: X/Z
        (0x00181400, Action.DUMMY),  # Acquisition Device Processing Description: X/D
        (0x00081140, Action.KEEP),  # Referenced Image Sequence: X/Z/U*
        (0x00100010, Action.SUBJECT),
        (0x00100020, Action.SUBJECT),
        (0x00280010, None),  # Rows: not in the table
        (0x00091001, Action.REMOVE),  # private
        (0x50020010, Action.REMOVE),  # curve
        (0x60020010, Action.REMOVE),  # overlay
        (0x00100000, Action.REMOVE),  # group length
        (0x00020010, Action.REMOVE),  # file meta in a data set
    ],
)
def test_an_action_is_the_one_that_is_valid_for_any_type(tag: int, action: Action | None) -> None:
    assert basic_policy().action(tag) is action


def test_attributes_that_the_dictionary_does_not_know_are_all_removals() -> None:
    # The transformation removes unknown attributes whatever the table says: this is why it may.
    tags = [row for row in load_table() if row.tag is not None and row.tag >= 0x00080000]
    unknown = [row for row in tags if row.tag not in VR_OF]
    assert unknown
    assert {row.basic for row in unknown} == {"X"}


def test_there_is_a_dummy_for_every_attribute_that_needs_one() -> None:
    for tag, action in basic_policy().rules.items():
        if action is Action.DUMMY and VR_OF[tag] not in ("SQ", "UI"):
            assert VR_OF[tag] in DUMMIES


def test_the_fingerprint_depends_on_what_changes_the_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    basic = basic_policy()
    assert len(basic.fingerprint) == 16
    assert basic.fingerprint == basic_policy(reversed(DEFAULT_MODALITIES)).fingerprint
    assert basic.fingerprint != basic_policy(["CT"]).fingerprint
    monkeypatch.setattr(policy_module, "ENGINE_VERSION", "another")
    assert basic.fingerprint != basic_policy().fingerprint


def test_modalities_are_folded_to_upper_case() -> None:
    assert basic_policy([" ct", "Mr"]).modalities == {"CT", "MR"}


def test_a_policy_is_frozen_and_travels_to_worker_processes() -> None:
    policy = basic_policy()
    with pytest.raises(AttributeError):
        policy.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        policy.rules[0x00100010] = Action.KEEP  # type: ignore[index]
    copy = pickle.loads(pickle.dumps(policy))
    assert copy == policy
    assert copy.action(0x00100010) is Action.SUBJECT
