"""Deliveries over time: one stands, another takes its place, and a place has one owner."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from locutus_dagster.ledger import Ledger, LedgerError, State, WorkItem
from locutus_dagster.ledger.claims import ClaimLostError
from locutus_dagster.ledger.schema import Delivery
from locutus_dagster.ledger.work import Announced, Attempt, DeliveryRecord, Place
from locutus_dagster_tests.ledger.processes import Wait, at_once
from locutus_dagster_tests.ledger.rows import (
    CT,
    add_items,
    deidentify,
    delivery,
    extract,
    hand_over,
    history,
    walk,
)

ONE, TWO, THREE = (f"file:///share/{number}.zip" for number in ("one", "two", "three"))
OVERWRITTEN = "overwritten by the delivery that followed it"


@pytest.fixture
def item(ledger: Ledger) -> WorkItem:
    return add_items(ledger, "ACC1")[0]


def again(
    ledger: Ledger, item: WorkItem, uri: str, withdraw: str = "", **of_delivery: object
) -> DeliveryRecord:
    """Process a finished accession again, and deliver it to `uri`."""
    ledger.request_reprocessing(item.accession_id, "asked for")
    return walk(ledger, item, withdraw=withdraw, uri=uri, **of_delivery)


def to_withdraw(ledger: Ledger, *asked: WorkItem) -> list[tuple[int, str]]:
    """What is to be removed: accession and place."""
    ids = [item.accession_id for item in asked] if asked else None
    return [(identity, record.uri) for identity, record in ledger.to_withdraw("ws", ids)]


# -- superseding --------------------------------------------------------------------------------


def test_an_accession_that_was_never_delivered_has_no_deliveries(
    ledger: Ledger, item: WorkItem
) -> None:
    assert ledger.deliveries(item.accession_id) == []
    assert ledger.standing(item.accession_id) == []


def test_a_delivery_to_another_place_takes_the_place_of_the_one_before(
    ledger: Ledger, item: WorkItem
) -> None:
    first = walk(ledger, item, uri=ONE)
    before = datetime.now(timezone.utc)
    second = again(ledger, item, TWO)
    told = ledger.deliveries(item.accession_id)
    assert told[0] == replace(first, superseded_at=told[0].superseded_at)
    assert told[0].superseded_at is not None
    assert before <= told[0].superseded_at <= datetime.now(timezone.utc)
    assert [one.stands for one in told] == [False, True]
    assert ledger.standing(item.accession_id) == [second]
    with ledger.session(reads_only=True) as session:
        assert session.get_one(Delivery, first.identity).superseded_by == second.identity
        assert session.get_one(Delivery, second.identity).superseded_by is None


def test_what_is_superseded_stays_on_its_target_unless_it_is_to_be_withdrawn(
    ledger: Ledger, item: WorkItem
) -> None:
    walk(ledger, item, uri=ONE)
    again(ledger, item, TWO)
    assert to_withdraw(ledger) == []
    again(ledger, item, THREE, withdraw="superseded")
    assert to_withdraw(ledger) == [(item.accession_id, TWO)]
    told = ledger.deliveries(item.accession_id)
    assert [one.withdrawal for one in told] == ["", "superseded", ""]
    assert all(one.withdrawn_at is None for one in told)


def test_a_delivery_to_the_same_place_has_overwritten_the_one_before(
    ledger: Ledger, item: WorkItem
) -> None:
    walk(ledger, item, uri=ONE, sha256="a" * 64)
    second = again(ledger, item, ONE, withdraw="superseded", sha256="b" * 64)
    told = ledger.deliveries(item.accession_id)
    assert [one.stands for one in told] == [False, True]
    assert (told[0].withdrawn, told[0].withdrawal) == (OVERWRITTEN, "")
    assert told[0].superseded_at == told[0].withdrawn_at is not None
    assert to_withdraw(ledger) == []
    assert ledger.standing(item.accession_id) == [second]


def test_another_target_s_delivery_stands_beside(ledger: Ledger, item: WorkItem) -> None:
    walk(ledger, item, uri=ONE)
    again(ledger, item, ONE, target="archive")
    assert [one.target for one in ledger.standing(item.accession_id)] == ["share", "archive"]


def test_a_place_to_be_withdrawn_from_is_kept_when_it_is_delivered_to_again(
    ledger: Ledger, item: WorkItem
) -> None:
    # A crash has kept the first one from being removed; then the settings were changed back.
    walk(ledger, item, uri=ONE)
    again(ledger, item, TWO, withdraw="superseded")
    assert to_withdraw(ledger) == [(item.accession_id, ONE)]
    third = again(ledger, item, ONE, withdraw="superseded")
    assert to_withdraw(ledger) == [(item.accession_id, TWO)]
    assert ledger.deliveries(item.accession_id)[0].withdrawn == OVERWRITTEN
    assert ledger.standing(item.accession_id) == [third]


# -- one place, one owner ------------------------------------------------------------------------


def test_a_place_where_another_accession_s_delivery_stands_is_elsewhere(ledger: Ledger) -> None:
    one, other = add_items(ledger, "ACC1", "ACC2")
    walk(ledger, one, uri=ONE)
    assert ledger.delivered_elsewhere(other.accession_id, "share", ONE)
    assert not ledger.delivered_elsewhere(one.accession_id, "share", ONE)
    assert not ledger.delivered_elsewhere(other.accession_id, "another share", ONE)
    assert not ledger.delivered_elsewhere(other.accession_id, "share", TWO)


def test_a_second_accession_is_refused_at_a_place_that_is_taken(ledger: Ledger) -> None:
    one, other = add_items(ledger, "ACC1", "ACC2")
    first = walk(ledger, one, uri=ONE)
    with pytest.raises(LedgerError, match=r"Another accession .* same place"):
        walk(ledger, other, uri=ONE)
    assert ledger.state_of(other.accession_id) is State.DEIDENTIFIED
    assert history(ledger, other.accession_id)[-1] == (State.EXTRACTED, State.DEIDENTIFIED)
    assert ledger.deliveries(other.accession_id) == []
    assert ledger.standing(one.accession_id) == [first]
    hand_over(ledger, other, uri=TWO)
    assert ledger.state_of(other.accession_id) is State.DELIVERED


def test_the_same_place_on_another_target_is_another_place(ledger: Ledger) -> None:
    one, other = add_items(ledger, "ACC1", "ACC2")
    walk(ledger, one, uri=ONE)
    walk(ledger, other, uri=ONE, target="archive")
    assert [len(ledger.standing(item.accession_id)) for item in (one, other)] == [1, 1]


def test_a_place_that_was_withdrawn_from_may_be_another_accession_s(ledger: Ledger) -> None:
    one, other = add_items(ledger, "ACC1", "ACC2")
    first = walk(ledger, one, uri=ONE)
    ledger.ask_withdrawal(one.accession_id, "recalled")
    assert ledger.delivered_elsewhere(other.accession_id, "share", ONE)
    ledger.record_withdrawn(first.identity, "12 bytes")
    assert not ledger.delivered_elsewhere(other.accession_id, "share", ONE)
    second = walk(ledger, other, uri=ONE)
    assert ledger.standing(other.accession_id) == [second]
    assert ledger.standing(one.accession_id) == []


def test_a_superseded_delivery_that_another_accession_overwrites_is_not_withdrawn_later(
    ledger: Ledger,
) -> None:
    one, other = add_items(ledger, "ACC1", "ACC2")
    walk(ledger, one, uri=ONE)
    again(ledger, one, TWO)
    assert not ledger.delivered_elsewhere(other.accession_id, "share", ONE)
    walk(ledger, other, uri=ONE)
    ledger.ask_withdrawal(one.accession_id, "recalled")
    assert to_withdraw(ledger) == [(one.accession_id, TWO)]
    assert ledger.deliveries(one.accession_id)[0].withdrawn == OVERWRITTEN


def test_a_place_that_is_about_to_be_removed_from_is_not_delivered_to(ledger: Ledger) -> None:
    # What would be removed is the new delivery.
    one, other = add_items(ledger, "ACC1", "ACC2")
    first = walk(ledger, one, uri=ONE)
    again(ledger, one, TWO, withdraw="superseded")
    assert ledger.delivered_elsewhere(other.accession_id, "share", ONE)
    extract(ledger, other)
    deidentify(ledger, other, CT)
    with pytest.raises(LedgerError, match="same place"):
        hand_over(ledger, other, uri=ONE)
    ledger.record_withdrawn(first.identity, "12 bytes")
    hand_over(ledger, other, uri=ONE)
    assert ledger.state_of(other.accession_id) is State.DELIVERED


def deliver_beside_others(wait: Wait, url: str, accession_id: int) -> str:
    ledger = Ledger.open(url)
    wait()
    try:
        ledger.record_delivered(accession_id, delivery(uri=ONE))
    except LedgerError:
        return "refused"
    return "delivered"


def test_of_processes_that_deliver_to_one_place_at_once_one_does(
    ledger: Ledger, ledger_url: str
) -> None:
    items = add_items(ledger, "ACC1", "ACC2", "ACC3")
    for item in items:
        extract(ledger, item)
        deidentify(ledger, item, CT)
    jobs = [(ledger_url, item.accession_id) for item in items]
    assert sorted(at_once(deliver_beside_others, jobs)) == ["delivered", "refused", "refused"]
    assert sum(len(ledger.deliveries(item.accession_id)) for item in items) == 1
    states = sorted(found.state for found in ledger.manifest_items("ws", items[0].manifest))
    assert states == [State.DEIDENTIFIED, State.DEIDENTIFIED, State.DELIVERED]


# -- withdrawing ---------------------------------------------------------------------------------


def test_a_withdrawal_is_asked_for_and_then_confirmed(ledger: Ledger, item: WorkItem) -> None:
    made = walk(ledger, item, uri=ONE)
    assert ledger.ask_withdrawal(item.accession_id, "consent was withdrawn") == 1
    ((identity, asked),) = ledger.to_withdraw("ws")
    assert (identity, asked) == (
        item.accession_id,
        replace(made, withdrawal="consent was withdrawn"),
    )
    assert asked.stands
    before = datetime.now(timezone.utc)
    ledger.record_withdrawn(asked.identity, "12 bytes, sha256 abc")
    (gone,) = ledger.deliveries(item.accession_id)
    assert not gone.stands
    assert (gone.withdrawal, gone.withdrawn) == ("consent was withdrawn", "12 bytes, sha256 abc")
    assert gone.withdrawn_at is not None
    assert before <= gone.withdrawn_at <= datetime.now(timezone.utc)
    assert ledger.to_withdraw("ws") == []
    assert ledger.standing(item.accession_id) == []


def test_everything_that_may_still_lie_on_a_target_is_asked_for(
    ledger: Ledger, item: WorkItem
) -> None:
    first = walk(ledger, item, uri=ONE)
    again(ledger, item, TWO)
    again(ledger, item, THREE)
    ledger.record_withdrawn(first.identity, "12 bytes")
    assert ledger.ask_withdrawal(item.accession_id, "recalled") == 2
    assert to_withdraw(ledger) == [(item.accession_id, TWO), (item.accession_id, THREE)]
    assert ledger.ask_withdrawal(item.accession_id, "recalled again") == 2
    assert to_withdraw(ledger) == [(item.accession_id, TWO), (item.accession_id, THREE)]


def test_nothing_is_asked_for_where_nothing_was_delivered(ledger: Ledger, item: WorkItem) -> None:
    assert ledger.ask_withdrawal(item.accession_id, "recalled") == 0
    assert ledger.to_withdraw("ws") == []


def test_what_is_to_be_withdrawn_is_told_for_the_accessions_and_the_workspace_asked_for(
    ledger: Ledger,
) -> None:
    one, other = add_items(ledger, "ACC1", "ACC2")
    (elsewhere,) = add_items(ledger, "ACC1", workspace="other")
    for item, uri in ((one, ONE), (other, TWO), (elsewhere, THREE)):
        walk(ledger, item, uri=uri)
        ledger.ask_withdrawal(item.accession_id, "recalled")
    assert to_withdraw(ledger) == [(one.accession_id, ONE), (other.accession_id, TWO)]
    assert to_withdraw(ledger, other) == [(other.accession_id, TWO)]
    assert ledger.to_withdraw("ws", []) == []
    assert [record.uri for _, record in ledger.to_withdraw("other")] == [THREE]


def test_an_accession_whose_delivery_is_withdrawn_can_be_delivered_there_again(
    ledger: Ledger, item: WorkItem
) -> None:
    first = walk(ledger, item, uri=ONE)
    ledger.ask_withdrawal(item.accession_id, "recalled")
    ledger.record_withdrawn(first.identity, "12 bytes")
    second = again(ledger, item, ONE)
    assert ledger.standing(item.accession_id) == [second]
    told = ledger.deliveries(item.accession_id)
    assert (told[0].withdrawn, told[0].superseded_at) == ("12 bytes", None)


def test_which_row_was_delivered_is_remembered_when_it_stands_no_more(ledger: Ledger) -> None:
    (first,) = add_items(ledger, "ACC1", name="first")
    (second,) = add_items(ledger, "ACC1", name="second")
    walk(ledger, first, by=Attempt(row_id=first.row_id), uri=ONE)
    assert not ledger.row_was_delivered(second.accession_id, second.row_id)
    ledger.request_reprocessing(first.accession_id, "a further row names it")
    walk(ledger, second, by=Attempt(row_id=second.row_id), uri=TWO)
    assert ledger.row_was_delivered(first.accession_id, first.row_id)
    assert ledger.row_was_delivered(second.accession_id, second.row_id)


# -- announcing ----------------------------------------------------------------------------------


def test_a_delivery_that_was_announced_is_unknown_until_it_is_recorded(
    ledger: Ledger, item: WorkItem
) -> None:
    extract(ledger, item)
    deidentify(ledger, item, CT)
    for uri in (ONE, TWO, ONE):
        ledger.announce_delivery(item.accession_id, "share", uri)
    assert sorted(ledger.announced(item.accession_id)) == [Place("share", ONE), Place("share", TWO)]
    assert not ledger.recorded_at("share", ONE)
    assert ledger.deliveries(item.accession_id) == []
    hand_over(ledger, item, uri=ONE)
    assert ledger.recorded_at("share", ONE)
    assert ledger.announced(item.accession_id) == [Place("share", TWO)]
    ledger.forget_announced(item.accession_id, Place("share", TWO))
    assert ledger.announced(item.accession_id) == []


def test_a_delivery_that_is_refused_stays_announced(ledger: Ledger) -> None:
    one, other = add_items(ledger, "ACC1", "ACC2")
    walk(ledger, one, uri=ONE)
    ledger.announce_delivery(other.accession_id, "share", ONE)
    with pytest.raises(LedgerError, match="same place"):
        walk(ledger, other, uri=ONE)
    assert ledger.announced(other.accession_id) == [Place("share", ONE)]
    assert ledger.announced(one.accession_id) == []


def test_what_was_withdrawn_is_recorded_there_no_more(ledger: Ledger, item: WorkItem) -> None:
    made = walk(ledger, item, uri=ONE)
    assert not ledger.recorded_at("archive", ONE)
    ledger.record_withdrawn(made.identity, "12 bytes")
    assert not ledger.recorded_at("share", ONE)


def test_who_has_lost_the_claim_announces_nothing(ledger: Ledger, item: WorkItem) -> None:
    ledger.claim(item.accession_id, "theirs", 60)
    with pytest.raises(ClaimLostError):
        ledger.announce_delivery(item.accession_id, "share", ONE, owner="mine")
    assert ledger.announced(item.accession_id) == []
    ledger.announce_delivery(item.accession_id, "share", ONE, owner="theirs")
    assert ledger.announced(item.accession_id) == [Place("share", ONE)]


def test_a_place_is_announced_by_one_accession_and_remembered_when_it_comes_again(
    ledger: Ledger,
) -> None:
    one, other = add_items(ledger, "ACC1", "ACC2")
    assert ledger.announce_delivery(one.accession_id, "share", ONE) is Announced.NEW
    assert ledger.announce_delivery(one.accession_id, "share", ONE) is Announced.AGAIN
    assert ledger.announce_delivery(other.accession_id, "share", ONE) is Announced.TAKEN
    assert ledger.announced(other.accession_id) == []


def test_who_has_lost_the_claim_forgets_no_announcement(ledger: Ledger, item: WorkItem) -> None:
    ledger.claim(item.accession_id, "theirs", 60)
    ledger.announce_delivery(item.accession_id, "share", ONE, owner="theirs")
    ledger.forget_announced(item.accession_id, Place("share", ONE), owner="mine")
    assert ledger.announced(item.accession_id) == [Place("share", ONE)]
    ledger.forget_announced(item.accession_id, Place("share", ONE), owner="theirs")
    assert ledger.announced(item.accession_id) == []


# -- one address in two stores -------------------------------------------------------------------

OBJECT, HERE, THERE = "s3://research/one.zip", "s3 at here/research", "s3 at there/research"


def test_what_lies_in_another_store_is_not_overwritten_by_what_takes_its_place(
    ledger: Ledger, item: WorkItem
) -> None:
    walk(ledger, item, uri=OBJECT, store=THERE)
    again(ledger, item, OBJECT, store=HERE)
    again(ledger, item, OBJECT, store=HERE)
    told = [(one.store, one.stands, one.withdrawn) for one in ledger.deliveries(item.accession_id)]
    assert told == [(THERE, False, ""), (HERE, False, OVERWRITTEN), (HERE, True, "")]
    assert ledger.ask_withdrawal(item.accession_id, "recalled") == 2


def test_a_later_version_in_another_store_lies_above_nothing(
    ledger: Ledger, item: WorkItem
) -> None:
    first = walk(ledger, item, uri=OBJECT, store=THERE, version="1")
    again(ledger, item, OBJECT, store=HERE, version="2")
    assert not ledger.lies_beneath(first)
    again(ledger, item, OBJECT, store=THERE, version="3")
    assert ledger.lies_beneath(first)


def test_what_was_begun_in_two_stores_is_known_of_each(ledger: Ledger, item: WorkItem) -> None:
    for store in (HERE, THERE):
        announced = ledger.announce_delivery(item.accession_id, "share", OBJECT, store=store)
        assert announced is Announced.NEW
    walk(ledger, item, uri=OBJECT, store=HERE)
    assert ledger.announced(item.accession_id) == [Place("share", OBJECT, THERE)]
    assert ledger.recorded_at("share", OBJECT, HERE)
    assert not ledger.recorded_at("share", OBJECT, THERE)
