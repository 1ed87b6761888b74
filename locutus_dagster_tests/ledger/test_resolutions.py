"""Resolutions: what a person decided about several studies of one accession; the last stands."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from locutus_dagster.ledger import Ledger, WorkItem
from locutus_dagster.ledger.claims import ClaimLostError
from locutus_dagster.ledger.resolutions import ResolutionRecord, ResolveCommand
from locutus_dagster_tests.ledger.rows import add_items, history

CHOSEN = ResolutionRecord(
    ResolveCommand.CHOOSE,
    chosen="handle-1",
    passed_over={"handle-2": "v7", "handle-3": "v1"},
    reason="plan of 22 November",
)
MERGE = ResolutionRecord(ResolveCommand.MERGE)


@pytest.fixture
def item(ledger: Ledger) -> WorkItem:
    return add_items(ledger, "ACC1")[0]


def known(found: ResolutionRecord | None) -> tuple[object, ...] | None:
    """A decision without its time and number."""
    return found and (found.command, found.chosen, found.passed_over, found.reason)


def test_nothing_stands_where_nobody_has_decided(ledger: Ledger, item: WorkItem) -> None:
    assert ledger.resolution(item.accession_id) is None
    assert ledger.resolutions(item.accession_id) == []


@pytest.mark.parametrize("command", ResolveCommand)
def test_each_of_the_reference_s_commands_is_kept(
    ledger: Ledger, item: WorkItem, command: ResolveCommand
) -> None:
    ledger.resolve(item.accession_id, ResolutionRecord(command, reason="so it was decided"))
    assert known(ledger.resolution(item.accession_id)) == (command, None, {}, "so it was decided")


def test_a_decision_is_kept_whole_with_its_time(ledger: Ledger, item: WorkItem) -> None:
    before = datetime.now(timezone.utc)
    ledger.resolve(item.accession_id, CHOSEN, "run-1")
    found = ledger.resolution(item.accession_id)
    assert found is not None
    assert known(found) == known(CHOSEN)
    assert found.resolved_at is not None
    assert before <= found.resolved_at <= datetime.now(timezone.utc)
    assert found.identity


def test_a_later_decision_stands_and_the_earlier_one_is_remembered(
    ledger: Ledger, item: WorkItem
) -> None:
    for decision in (MERGE, CHOSEN, MERGE):
        ledger.resolve(item.accession_id, decision)
    assert known(ledger.resolution(item.accession_id)) == known(MERGE)
    told = [known(found) for found in ledger.resolutions(item.accession_id)]
    assert told == [known(MERGE), known(CHOSEN), known(MERGE)]


def test_a_decision_about_one_accession_is_none_about_another(ledger: Ledger) -> None:
    one, other = add_items(ledger, "ACC1", "ACC2")
    ledger.resolve(one.accession_id, CHOSEN)
    ledger.resolve(other.accession_id, MERGE)
    assert known(ledger.resolution(one.accession_id)) == known(CHOSEN)
    assert known(ledger.resolution(other.accession_id)) == known(MERGE)


def test_a_decision_by_who_has_lost_the_claim_is_refused(ledger: Ledger, item: WorkItem) -> None:
    ledger.resolve(item.accession_id, MERGE)
    ledger.claim(item.accession_id, "theirs", 60)
    with pytest.raises(ClaimLostError):
        ledger.resolve(item.accession_id, CHOSEN, owner="mine")
    assert [known(found) for found in ledger.resolutions(item.accession_id)] == [known(MERGE)]
    ledger.resolve(item.accession_id, CHOSEN, owner="theirs")
    assert known(ledger.resolution(item.accession_id)) == known(CHOSEN)


def test_a_decision_does_not_show_the_source_s_handles() -> None:
    assert "handle" not in repr(CHOSEN)


def test_deciding_is_no_change_of_state(ledger: Ledger, item: WorkItem) -> None:
    ledger.resolve(item.accession_id, CHOSEN)
    assert history(ledger, item.accession_id) == []
