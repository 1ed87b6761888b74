"""Claims: one worker has an accession in hand, until it gives it back or is heard of no more."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from locutus_dagster.ledger import Ledger, State, WorkItem, claims
from locutus_dagster.ledger.claims import ClaimLostError
from locutus_dagster.ledger.states import Phase
from locutus_dagster.ledger.work import Attempt
from locutus_dagster_tests.ledger.processes import Wait, at_once
from locutus_dagster_tests.ledger.rows import (
    CT,
    accession,
    add_items,
    artifact,
    deidentify,
    extract,
    hand_over,
    report,
)

LEASE = 60.0
SHORT = 0.02
MINE, THEIRS = Attempt("run-1", owner="mine"), Attempt("run-2", owner="theirs")


@pytest.fixture
def item(ledger: Ledger) -> WorkItem:
    return add_items(ledger, "ACC1")[0]


def test_an_accession_is_claimed_by_one_worker_at_a_time(ledger: Ledger, item: WorkItem) -> None:
    assert ledger.claimed_by(item.accession_id) is None
    assert ledger.claim(item.accession_id, "mine", LEASE)
    assert not ledger.claim(item.accession_id, "theirs", LEASE)
    assert ledger.claimed_by(item.accession_id) == "mine"
    assert ledger.holds(item.accession_id, "mine")
    assert not ledger.holds(item.accession_id, "theirs")


def test_a_claim_on_one_accession_is_none_on_another(ledger: Ledger) -> None:
    one, other = add_items(ledger, "ACC1", "ACC2")
    assert ledger.claim(one.accession_id, "mine", LEASE)
    assert ledger.claimed_by(other.accession_id) is None
    assert ledger.claim(other.accession_id, "theirs", LEASE)


def test_an_accession_that_nobody_knows_cannot_be_claimed(ledger: Ledger) -> None:
    assert not ledger.claim(999_999, "mine", LEASE)
    assert ledger.claimed_by(999_999) is None
    assert not ledger.holds(999_999, "mine")


def test_what_is_given_back_may_be_claimed_by_another(ledger: Ledger, item: WorkItem) -> None:
    ledger.claim(item.accession_id, "mine", LEASE)
    ledger.release(item.accession_id, "mine")
    assert ledger.claimed_by(item.accession_id) is None
    assert not ledger.holds(item.accession_id, "mine")
    assert ledger.claim(item.accession_id, "theirs", LEASE)


def test_claiming_what_one_has_renews_the_lease(ledger: Ledger, item: WorkItem) -> None:
    ledger.claim(item.accession_id, "mine", SHORT)
    assert ledger.claim(item.accession_id, "mine", LEASE)
    time.sleep(2 * SHORT)
    assert ledger.holds(item.accession_id, "mine")


def test_renewing_extends_all_that_a_worker_has_and_nothing_else(ledger: Ledger) -> None:
    one, two, other = add_items(ledger, "ACC1", "ACC2", "ACC3")
    for found, owner in ((one, "mine"), (two, "mine"), (other, "theirs")):
        ledger.claim(found.accession_id, owner, SHORT)
    assert ledger.renew("mine", LEASE) == 2
    assert ledger.renew("nobody", LEASE) == 0
    time.sleep(2 * SHORT)
    assert ledger.holds(one.accession_id, "mine")
    assert ledger.holds(two.accession_id, "mine")
    assert ledger.claimed_by(other.accession_id) is None


def test_a_claim_that_is_not_renewed_ends_by_itself(ledger: Ledger, item: WorkItem) -> None:
    ledger.claim(item.accession_id, "mine", SHORT)
    time.sleep(2 * SHORT)
    assert ledger.claimed_by(item.accession_id) is None
    assert not ledger.holds(item.accession_id, "mine")
    assert ledger.claim(item.accession_id, "theirs", LEASE)
    assert ledger.claimed_by(item.accession_id) == "theirs"


def test_a_work_item_says_until_when_it_is_claimed(ledger: Ledger, item: WorkItem) -> None:
    assert item.claimed_until is None
    before = datetime.now(timezone.utc)
    ledger.claim(item.accession_id, "mine", LEASE)
    (found,) = ledger.work_items("ws", [item.partition_key])
    assert found.claimed_until is not None
    slack = timedelta(seconds=5)
    assert abs(found.claimed_until - before - timedelta(seconds=LEASE)) < slack


def test_who_has_lost_a_claim_releases_nothing(ledger: Ledger, item: WorkItem) -> None:
    ledger.claim(item.accession_id, "mine", SHORT)
    time.sleep(2 * SHORT)
    ledger.claim(item.accession_id, "theirs", LEASE)
    ledger.release(item.accession_id, "mine")
    assert ledger.claimed_by(item.accession_id) == "theirs"
    assert ledger.renew("mine", LEASE) == 0


# -- what a claim refuses -------------------------------------------------------------------------


def _record(state: State) -> Callable[[Ledger, WorkItem, Attempt], None]:
    return lambda ledger, item, by: ledger.record_state(item.accession_id, state, by=by)


#: Every change that may depend on a claim, and the state that it starts from.
CHANGES: dict[str, tuple[State, Callable[[Ledger, WorkItem, Attempt], object]]] = {
    "state": (State.LOADED, _record(State.PENDING)),
    "extracted": (State.LOADED, extract),
    "deidentified": (
        State.EXTRACTED,
        lambda ledger, item, by: deidentify(ledger, item, CT, by=by),
    ),
    "blocked": (
        State.EXTRACTED,
        lambda ledger, item, by: ledger.record_blocked(
            item.accession_id, [CT], report(), phase=Phase.TRANSFORM, reason="residue", by=by
        ),
    ),
    "delivered": (State.DEIDENTIFIED, hand_over),
    "again": (
        State.DEIDENTIFIED,
        lambda ledger, item, by: ledger.request_reprocessing(item.accession_id, "why", by=by),
    ),
    "retired": (
        State.DEIDENTIFIED,
        lambda ledger, item, by: ledger.request_reprocessing(
            item.accession_id, "why", retire=True, by=by
        ),
    ),
    "predeleted": (
        State.DEIDENTIFIED,
        lambda ledger, item, by: ledger.request_reprocessing(
            item.accession_id, "why", delete_record=True, by=by
        ),
    ),
}


def all_that_is_known(ledger: Ledger, item: WorkItem) -> tuple[object, ...]:
    identity = item.accession_id
    found = accession(ledger, identity)
    columns = tuple(getattr(found, column.key) for column in type(found).__table__.columns)
    return (
        columns,
        ledger.events(identity),
        ledger.artifacts(identity),
        ledger.dispositions(identity),
        ledger.deid_report(identity),
        ledger.deliveries(identity),
        ledger.retired(identity),
    )


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_by_who_has_lost_its_claim_is_refused_and_rolled_back(
    ledger: Ledger, item: WorkItem, change: str
) -> None:
    state, make = CHANGES[change]
    if state is not State.LOADED:
        extract(ledger, item)
    if state is State.DEIDENTIFIED:
        deidentify(ledger, item, CT)
    ledger.claim(item.accession_id, "mine", SHORT)
    time.sleep(2 * SHORT)
    ledger.claim(item.accession_id, "theirs", LEASE)
    before = all_that_is_known(ledger, item)
    with pytest.raises(ClaimLostError, match="taken this accession over"):
        make(ledger, item, MINE)
    assert all_that_is_known(ledger, item) == before
    make(ledger, item, THEIRS)
    assert all_that_is_known(ledger, item) != before


def test_a_change_by_who_never_claimed_it_is_refused(ledger: Ledger, item: WorkItem) -> None:
    with pytest.raises(ClaimLostError):
        extract(ledger, item, MINE)
    assert ledger.artifacts(item.accession_id) == []


def test_a_claim_that_has_ended_and_that_nobody_took_still_serves_its_worker(
    ledger: Ledger, item: WorkItem
) -> None:
    ledger.claim(item.accession_id, "mine", SHORT)
    time.sleep(2 * SHORT)
    extract(ledger, item, MINE)
    assert ledger.artifacts(item.accession_id) == [artifact()]


def test_a_change_that_depends_on_no_claim_is_not_held_up_by_one(
    ledger: Ledger, item: WorkItem
) -> None:
    ledger.claim(item.accession_id, "theirs", LEASE)
    ledger.record_state(item.accession_id, State.RECALLED, reason="consent was withdrawn")
    assert ledger.state_of(item.accession_id) is State.RECALLED
    assert ledger.claimed_by(item.accession_id) == "theirs"


# -- several processes ----------------------------------------------------------------------------


def claim_beside_others(wait: Wait, url: str, owner: str, accession_ids: list[int]) -> list[int]:
    ledger = Ledger.open(url)
    wait()
    return [one for one in accession_ids if ledger.claim(one, owner, LEASE)]


def test_of_processes_that_claim_at_once_exactly_one_wins_each_accession(
    ledger: Ledger, ledger_url: str
) -> None:
    ids = [item.accession_id for item in add_items(ledger, *(f"ACC{n}" for n in range(12)))]
    owners = [f"worker-{number}" for number in range(4)]
    orders = (ids, ids[::-1], ids, ids[::-1])
    jobs = [(ledger_url, owner, order) for owner, order in zip(owners, orders, strict=True)]
    won = at_once(claim_beside_others, jobs)
    assert sorted(identity for each in won for identity in each) == sorted(ids)
    for owner, each in zip(owners, won, strict=True):
        assert all(ledger.holds(identity, owner) for identity in each)


def take_over_beside_others(wait: Wait, url: str, owner: str, accession_id: int) -> bool:
    ledger = Ledger.open(url)
    wait()
    return ledger.claim(accession_id, owner, LEASE)


def test_of_processes_that_take_over_a_claim_that_has_ended_exactly_one_does(
    ledger: Ledger, ledger_url: str, item: WorkItem
) -> None:
    ledger.claim(item.accession_id, "silent", SHORT)
    time.sleep(2 * SHORT)
    jobs = [(ledger_url, f"worker-{number}", item.accession_id) for number in range(4)]
    assert sorted(at_once(take_over_beside_others, jobs)) == [False, False, False, True]


# -- whose clock ----------------------------------------------------------------------------------


@pytest.mark.postgres
def test_several_hosts_measure_a_lease_by_the_database_s_clock(
    postgres_ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger.open(postgres_ledger_url)
    (item,) = add_items(ledger, "ACC-CLOCK")
    with monkeypatch.context() as patch:
        # This host's clock is an hour ahead: it would keep its claims for an hour too long, and
        # take everybody else's away.
        patch.setattr(claims, "now", lambda: datetime.now(timezone.utc) + timedelta(hours=1))
        assert ledger.claim(item.accession_id, "mine", LEASE)
    found = accession(ledger, item.accession_id).claimed_until
    assert found is not None
    assert found - datetime.now(timezone.utc) < timedelta(seconds=2 * LEASE)
    assert ledger.renew("mine", SHORT) == 1
    time.sleep(2 * SHORT)
    assert ledger.claim(item.accession_id, "theirs", LEASE)
    ledger.close()
