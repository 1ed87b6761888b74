"""`locutus run` as a person or a CI job meets it: exit codes, totals, filters and passes."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import text

from locutus_dagster.cli.running import RunRequest, run_and_show
from locutus_dagster.defs.names import DEFAULT_WORKSPACE as WS
from locutus_dagster.defs.partitions import register_partitions
from locutus_dagster.ledger import State
from locutus_dagster.ledger.selection import Selection
from locutus_dagster.manifests import load_manifest
from locutus_dagster.manifests.reading import MANIFEST_COLUMNS
from locutus_dagster.settings import load_settings
from locutus_dagster_tests.defs.conftest import Home

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a request in this process; gives back its exit code and all that was printed."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster-home"))

    def go(request: RunRequest) -> tuple[int, str]:
        shown = io.StringIO()
        console = Console(file=shown, width=300)
        code = run_and_show(load_settings(), WS, request, console, console)
        return code, shown.getvalue()

    return go


def load(home: Home, accessions: Sequence[str], name: str, ages: Sequence[str] = ()) -> None:
    """Load a manifest of these accessions; an age that is no number makes its row a bad one."""
    path = home.root / f"{name}.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(MANIFEST_COLUMNS)
        for number, accession in enumerate(accessions):
            age = ages[number] if ages else "12"
            writer.writerow([f"C{number:05d}", "CT", age, "head", accession, "", ""])
    report = load_manifest(home.ledger, path, workspace=WS, name=name)
    register_partitions(home.instance, WS, report.partition_keys)


def of_manifest(name: str, *, force_success: bool = False, **config: object) -> RunRequest:
    """A request for one manifest."""
    return RunRequest(
        Selection(manifests=(name,)), {"manifest": name, **config}, force_success=force_success
    )


def test_a_batch_of_which_one_fails_exits_with_2_and_with_0_only_when_that_is_forced(
    home: Home, run: Run
) -> None:
    load(home, [str(home.pacs.residue_accession), home.pacs.missing_accession], "blocked")
    code, shown = run(of_manifest("blocked"))
    assert code == 2
    assert "1 of 2 accessions failed" in shown
    code, shown = run(of_manifest("blocked", force_success=True))
    assert code == 0
    assert "1 of 2 accessions failed" in shown


def test_a_batch_that_merely_waits_exits_with_0(home: Home, run: Run) -> None:
    load(home, [home.pacs.missing_accession], "waits")
    assert run(of_manifest("waits"))[0] == 0


def test_a_run_that_cannot_work_exits_with_1_whatever_is_forced(home: Home, run: Run) -> None:
    load(home, [home.pacs.accessions[0]], "gone")
    home.settings.workspace(WS).targets["share"].path.rmdir()
    code, shown = run(of_manifest("gone", force_success=True))
    assert code == 1
    assert "The share" in shown
    assert home.ledger.manifest_items(WS, "gone")[0].state is State.LOADED


def test_a_batch_is_not_named_after_an_accession(home: Home, run: Run) -> None:
    load(home, [home.pacs.missing_accession], "named")
    code, shown = run(of_manifest("named", label=f"again {home.pacs.missing_accession.lower()}"))
    assert code == 1
    assert "The batch's label holds an accession number" in shown
    assert home.pacs.missing_accession not in shown
    assert [one.label for one in home.ledger.select(WS, Selection())] == [""]


def test_a_paused_run_exits_with_130_whatever_is_forced_and_begins_nothing(
    home: Home, run: Run
) -> None:
    load(home, [home.pacs.accessions[0]], "held")
    home.ledger.set_pause("system", True, reason="the PACS is being moved")
    code, shown = run(of_manifest("held", force_success=True))
    assert code == 130
    assert "the PACS is being moved" in shown
    assert "locutus resume" in shown
    assert home.ledger.manifest_items(WS, "held")[0].state is State.LOADED
    home.ledger.set_pause("system", False)
    assert run(of_manifest("held"))[0] == 0
    assert home.ledger.manifest_items(WS, "held")[0].state is State.DELIVERED


def test_totals_add_up_to_the_rows_of_the_manifest(home: Home, run: Run) -> None:
    first, second = home.pacs.accessions[0], home.pacs.missing_accession
    load(home, [first, second, first, "ACC-9"], "mixed", ["12", "13", "12", "old"])
    _, shown = run(of_manifest("mixed"))
    assert "2 accessions: 1 delivered, 1 pending." in shown
    assert "4 rows: 2 accessions, 1 rejected, 1 duplicates." in shown


def test_a_run_by_filter_needs_no_manifest_and_takes_what_it_asks_for(home: Home, run: Run) -> None:
    load(home, [home.pacs.accessions[0], home.pacs.missing_accession], "one")
    load(home, [home.pacs.accessions[1]], "two")
    run(of_manifest("one"))
    pending = RunRequest(Selection(states=frozenset({State.PENDING})), {"status": ["pending"]})
    code, shown = run(pending)
    assert code == 0
    assert "1 accessions: 1 pending." in shown
    rest = RunRequest(Selection(states=frozenset({State.LOADED})), {"status": ["loaded"]})
    assert "1 accessions: 1 delivered." in run(rest)[1]
    assert "Nothing to run" in run(rest)[1]


def test_an_unknown_manifest_exits_with_1_and_names_those_that_are_known(
    home: Home, run: Run
) -> None:
    load(home, [home.pacs.accessions[0]], "one")
    code, shown = run(of_manifest("other"))
    assert code == 1
    assert "manifests: one" in shown


def test_each_pass_is_reported(home: Home, run: Run) -> None:
    load(home, [home.pacs.missing_accession], "waits")
    _, shown = run(of_manifest("waits", until_converged=True, pass_wait=0.0))
    assert [line for line in shown.splitlines() if line.startswith("Pass")] == [
        "Pass 1: 1 pending; 1 are left for the next pass",
        "Pass 2: 1 pending; 1 are left for the next pass",
        "Pass 3: 1 pending; 3 passes have ended alike",
    ]


def test_what_was_delivered_from_other_attributes_is_shown_as_the_reference_says_it(
    home: Home, run: Run
) -> None:
    load(home, [home.pacs.accessions[0]], "first")
    load(home, [home.pacs.missing_accession, home.pacs.accessions[0]], "later")
    run(of_manifest("first"))
    code, shown = run(of_manifest("later"))
    assert code == 0
    assert "PREVIOUS_PROCESSING_USED" in shown
    assert "changed since it was delivered: subject" in shown
    assert "2 accessions: 1 pending, 1 changed." in shown


def test_deliveries_that_could_not_be_withdrawn_are_said(home: Home, run: Run) -> None:
    load(home, [home.pacs.accessions[0]], "first")
    run(of_manifest("first"))
    (item,) = home.ledger.manifest_items(WS, "first")
    home.ledger.ask_withdrawal(item.accession_id, "superseded by a later delivery")
    with home.ledger.session() as session:  # as of a target that is configured no more
        session.execute(text("UPDATE delivery SET target = 'elsewhere'"))
    _, shown = run(of_manifest("first"))
    assert "1 deliveries are still to be withdrawn" in shown
