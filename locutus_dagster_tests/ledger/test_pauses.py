"""The pause switch: by system, host and module; what was never set runs."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from locutus_dagster.ledger import Ledger
from locutus_dagster.ledger.pauses import SYSTEM, holds_up, module_scope, node_scope
from locutus_dagster_tests.ledger.processes import Wait, at_once

HERE, THERE = node_scope("here"), node_scope("there")
PROCESSING, SUMMARIZER = module_scope("processing"), module_scope("summarizer")


def test_what_was_never_set_runs(ledger: Ledger) -> None:
    assert ledger.paused([SYSTEM, HERE, PROCESSING]) is None
    assert ledger.pauses() == []


def test_a_pause_says_what_why_when_and_who(ledger: Ledger) -> None:
    before = datetime.now(timezone.utc)
    ledger.set_pause(SYSTEM, True, reason="the share is moved", by="ann@ops")
    found = ledger.paused([SYSTEM, HERE])
    assert found is not None
    assert (found.scope, found.paused) == (SYSTEM, True)
    assert (found.reason, found.changed_by) == ("the share is moved", "ann@ops")
    assert before <= found.changed_at <= datetime.now(timezone.utc)
    assert ledger.pauses() == [found]


@pytest.mark.parametrize("scope", [SYSTEM, HERE, PROCESSING])
def test_a_switch_pauses_those_who_ask_about_it_and_nobody_else(ledger: Ledger, scope: str) -> None:
    ledger.set_pause(scope, True)
    assert ledger.paused([SYSTEM, HERE, PROCESSING]) is not None
    assert ledger.paused([one for one in (SYSTEM, HERE, PROCESSING) if one != scope]) is None
    assert ledger.paused([THERE, SUMMARIZER]) is None
    assert ledger.paused([]) is None


def test_a_switch_that_is_set_to_run_again_pauses_nothing_and_is_remembered(ledger: Ledger) -> None:
    ledger.set_pause(HERE, True, reason="disk is changed", by="ann@ops")
    ledger.set_pause(HERE, False, reason="done", by="bob@ops")
    assert ledger.paused([SYSTEM, HERE]) is None
    told = [(one.scope, one.paused, one.reason, one.changed_by) for one in ledger.pauses()]
    assert told == [(HERE, False, "done", "bob@ops")]


def test_each_switch_is_set_for_itself(ledger: Ledger) -> None:
    for scope in (SYSTEM, HERE, PROCESSING):
        ledger.set_pause(scope, True)
    ledger.set_pause(SYSTEM, False)
    told = {one.scope: one.paused for one in ledger.pauses()}
    assert told == {SYSTEM: False, HERE: True, PROCESSING: True}
    assert ledger.paused([SYSTEM, HERE]) is not None


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("processing", "module:processing"),
        ("DICOM_OnPrem", "module:processing"),
        ("onprem_dicom", "module:processing"),
        ("summarizer", "module:summarizer"),
        ("dicom_summarize_stats", "module:summarizer"),
        ("main_Locutus", "system"),
    ],
)
def test_a_module_is_known_by_our_name_and_by_the_reference_s(name: str, scope: str) -> None:
    assert module_scope(name) == scope


@pytest.mark.parametrize("name", ["", "Processing", "module:processing", "system", "gcp"])
def test_a_name_that_no_module_has_is_refused(name: str) -> None:
    with pytest.raises(KeyError):
        module_scope(name)


def test_hosts_and_modules_of_one_name_have_switches_of_their_own() -> None:
    assert len({SYSTEM, node_scope("system"), node_scope("processing"), PROCESSING}) == 4


def test_processing_is_held_up_by_the_system_by_itself_and_by_any_host() -> None:
    assert [holds_up(scope) for scope in (SYSTEM, HERE, THERE, PROCESSING)] == [True] * 4
    assert not holds_up(SUMMARIZER)
    assert holds_up(SUMMARIZER, "summarizer")


def set_beside_others(wait: Wait, url: str, paused: bool) -> str:
    ledger = Ledger.open(url)
    wait()
    for host in range(10):
        ledger.set_pause(node_scope(str(host)), paused)
    return "set"


def test_processes_that_set_one_switch_for_the_first_time_at_once_all_succeed(
    ledger: Ledger, ledger_url: str
) -> None:
    jobs = [(ledger_url, paused) for paused in (True, False, True, False)]
    assert at_once(set_beside_others, jobs) == ["set"] * 4
    assert len(ledger.pauses()) == 10
