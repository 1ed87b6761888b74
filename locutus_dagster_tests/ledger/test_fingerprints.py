"""What a delivery was made from: differences by kind, and the phase that each leads back to."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locutus_dagster.ledger import Phase
from locutus_dagster.ledger.fingerprints import (
    CONFIGURATION,
    Kind,
    changes,
    digest,
    fingerprint_of,
    phase_of,
)

MADE = {kind.value: f"fingerprint of {kind.value}" for kind in Kind}
KINDS = st.sampled_from([kind.value for kind in Kind])
MADE_FROM = st.dictionaries(KINDS, st.sampled_from(["a", "b", ""]))

BACK_TO = {
    Kind.SOURCE: Phase.EXTRACT,
    Kind.SUBJECT: Phase.TRANSFORM,
    Kind.POLICY: Phase.TRANSFORM,
    Kind.ENGINE: Phase.TRANSFORM,
    Kind.KEY: Phase.TRANSFORM,
    Kind.ATTRIBUTES: Phase.DELIVER,
    Kind.TARGET: Phase.DELIVER,
    Kind.DELIVERY: Phase.DELIVER,
}


@pytest.mark.parametrize("kind", Kind)
def test_a_difference_of_one_kind_is_told_and_leads_back_to_its_phase(kind: Kind) -> None:
    found = changes(MADE, {**MADE, kind.value: "another"})
    assert found == (kind,)
    assert phase_of(found) is BACK_TO[kind]


def test_several_differences_lead_back_to_the_earliest_of_their_phases() -> None:
    assert phase_of([Kind.TARGET, Kind.POLICY]) is Phase.TRANSFORM
    assert phase_of([Kind.DELIVERY, Kind.KEY, Kind.SOURCE]) is Phase.EXTRACT
    assert phase_of([Kind.TARGET, Kind.ATTRIBUTES]) is Phase.DELIVER


def test_no_difference_leads_back_nowhere() -> None:
    assert changes(MADE, dict(MADE)) == ()
    assert phase_of(()) is None


def test_what_either_of_them_does_not_say_is_no_difference() -> None:
    assert changes({}, MADE) == ()
    assert changes(MADE, {}) == ()
    assert changes({"source": "a"}, {"policy": "b"}) == ()


def test_a_kind_that_a_later_version_has_added_is_no_difference() -> None:
    assert changes({**MADE, "pixels": "a"}, {**MADE, "pixels": "b"}) == ()


def test_the_operator_s_kinds_are_none_of_the_manifest_s_or_the_source_s() -> None:
    assert {Kind.POLICY, Kind.ENGINE, Kind.KEY, Kind.TARGET} == CONFIGURATION


@given(before=MADE_FROM, now=MADE_FROM)
def test_differences_are_those_that_both_know_in_the_order_of_the_kinds(
    before: dict[str, str], now: dict[str, str]
) -> None:
    found = changes(before, now)
    assert set(found) == {
        Kind(kind) for kind in before.keys() & now.keys() if before[kind] != now[kind]
    }
    assert list(found) == [kind for kind in Kind if kind in found]
    assert set(found) == set(changes(now, before))
    phases = [BACK_TO[kind] for kind in found]
    assert phase_of(found) == (min(phases) if phases else None)


@given(made_from=MADE_FROM, seed=st.randoms())
def test_one_fingerprint_over_several_does_not_depend_on_their_order(
    made_from: dict[str, str], seed: random.Random
) -> None:
    pairs = list(made_from.items())
    seed.shuffle(pairs)
    assert fingerprint_of(dict(pairs)) == fingerprint_of(made_from)


@given(one=MADE_FROM, other=MADE_FROM)
def test_two_fingerprints_are_equal_only_over_the_same_values(
    one: dict[str, str], other: dict[str, str]
) -> None:
    assert (fingerprint_of(one) == fingerprint_of(other)) == (one == other)


def test_a_fingerprint_stays_what_it_was_in_earlier_ledgers() -> None:
    assert fingerprint_of({"source": "1", "key": "2"}) == digest("source=1", "key=2")
    assert fingerprint_of({Kind.SOURCE: "1"}) == digest("source=1")


def test_a_digest_knows_where_each_part_ends() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("ab") != digest("ab", "")
    assert digest("ä") == digest("ä")
    assert len(digest()) == 64
