"""`locutus status`: numbers that add up, a list, a pace, and a watch that Ctrl-C ends."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from locutus_dagster.ledger import Ledger, State, WorkItem
from locutus_dagster.ledger.schema import Accession, Event, Manifest, ManifestRow, now
from locutus_dagster_tests.cli.a_home import OTHER, SECRET, ask, lines, make_home
from locutus_dagster_tests.ledger.rows import LEGAL_WALK, add_items
from locutus_dagster_tests.pipeline.small_world import SmallWorld


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallWorld]:
    """A home with nothing in it."""
    made = make_home(tmp_path / "world", monkeypatch)
    yield made
    made.ledger.close()


@pytest.fixture
def items(world: SmallWorld) -> list[WorkItem]:
    """Two manifests: delivered, delivered and changed, pending, two failed alike; loaded."""
    ledger = world.ledger
    numbers = (SECRET, OTHER, "ACC-3-SECRET", "ACC-4-SECRET", "ACC-5-SECRET")
    found = add_items(ledger, *numbers, name="one", workspace="default")
    found += add_items(ledger, "ACC-6-SECRET", name="two", workspace="default")
    for item in found[:2]:
        for state in LEGAL_WALK:
            ledger.record_state(item.accession_id, state)
    ledger.note_changed(found[1].row_id, "subject,policy")
    ledger.record_state(found[2].accession_id, State.PENDING)
    for item in found[3:5]:
        ledger.record_state(item.accession_id, State.FAILED, phase=4, reason="no [b]room[/b]")
    with ledger.session() as session:
        manifest = session.query(Manifest).filter_by(name="one").one()
        common = {"manifest_id": manifest.id, "workspace": "default", "extra": {}}
        session.add(
            ManifestRow(**common, row_number=6, line=7, rejected="empty", rejected_column="X")
        )
        session.add(
            ManifestRow(
                **common,
                row_number=7,
                line=8,
                accession_id=found[0].accession_id,
                duplicate_of=found[0].row_id,
            )
        )
    return found


def facts(*arguments: object) -> dict[str, Any]:
    done = ask("status", *arguments, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.output)
    return found


@pytest.mark.usefixtures("items")
def test_the_numbers_of_each_manifest_add_up_to_its_rows_and_those_to_the_sum() -> None:
    done = ask("status")
    assert done.exit_code == 0, done.output
    head, one, two, together, *_ = lines(done.output)
    assert " ".join(head) == (
        "manifest loaded pending delivered failed rejected duplicates rows of which changed"
    )
    assert one == ["one", "-", "1", "2", "2", "1", "1", "7", "1"]
    assert two == ["two", "1", "-", "-", "-", "-", "-", "1", "-"]
    assert together == ["together", "1", "1", "2", "2", "1", "1", "8", "1"]
    for row in (one, two, together):
        *parts, rows = [int(cell.replace("-", "0")) for cell in row[1:8]]
        assert sum(parts) == rows


@pytest.mark.usefixtures("items")
def test_failures_are_grouped_by_phase_and_message() -> None:
    said = ask("status").output
    assert ["2", "ERROR_PHASE04", "no", "[b]room[/b]"] in lines(said)
    assert facts()["failures"] == [{"phase": 4, "reason": "no [b]room[/b]", "accessions": 2}]


@pytest.mark.usefixtures("items")
def test_json_says_the_same_and_adds_up() -> None:
    found = facts()
    one, two = found["manifests"]
    assert one["states"] == {"pending": 1, "delivered": 2, "failed": 2}
    assert sum(one["states"].values()) + one["rejected"] + one["duplicates"] == one["rows"] == 7
    assert (two["rows"], two["states"]) == (1, {"loaded": 1})
    assert found["open_accessions"] == 1
    assert "rows" not in found


@pytest.mark.usefixtures("items")
def test_one_manifest_may_be_named_and_an_unknown_one_is_said_with_those_that_are_known() -> None:
    assert [one["manifest"] for one in facts("two")["manifests"]] == ["two"]
    done = ask("status", "three")
    assert done.exit_code == 1
    assert "no manifest named 'three' (manifests: one, two)" in " ".join(done.output.split())


@pytest.mark.usefixtures("items")
def test_filters_restrict_what_is_counted_and_listed() -> None:
    assert [one["rows"] for one in facts("--status", "failed")["manifests"]] == [2]
    assert [one["rows"] for one in facts("--status", "!PROCESSED")["manifests"]] == [3, 1]
    assert [one["rows"] for one in facts("--subject", "S1")["manifests"]] == [1, 1]
    assert [one["rows"] for one in facts("--since", "1h")["manifests"]] == [5, 1]
    assert facts("--since", "2100-01-01")["manifests"] == []
    assert "No row stands so." in ask("status", "--status", "recalled").output
    for wrong in (("--status", "deliverd"), ("--since", "whenever"), ("--subject", "S99")):
        assert ask("status", *wrong).exit_code == 1


@pytest.mark.usefixtures("items")
def test_a_list_has_a_line_for_each_row_and_nothing_is_left_out() -> None:
    *rows, total = ask("status", "--list").output.splitlines()
    assert [row.split(maxsplit=2) for row in rows[:5]] == [
        ["one~000001", "PROCESSED"],
        [
            "one~000002",
            "PREVIOUS_PROCESSING_USED",
            "changed since it was delivered: subject, policy",
        ],
        ["one~000003", "PENDING_CHANGE"],
        ["one~000004", "ERROR_PHASE04", "no [b]room[/b]"],
        ["one~000005", "ERROR_PHASE04", "no [b]room[/b]"],
    ]
    assert " ".join(rows[5].split()) == "one, line 7 REJECTED X: empty"
    assert " ".join(rows[6].split()).startswith("one, line 8 DUPLICATE an earlier row")
    assert rows[7].split() == ["two~000001", "ZZZ-ONDECK-4-PROCESSING_CHANGE"]
    assert total == "8 rows"
    assert ask("status", "--list", "--status", "ERROR_PHASE04").output.splitlines()[-1] == "2 rows"


@pytest.mark.usefixtures("items")
def test_what_the_list_shows_can_be_typed_as_a_filter() -> None:
    everything = [row["status"] for row in facts("--list")["rows"] if row["partition"]]
    for shown in set(everything):
        found = facts("--list", "--status", shown)["rows"]
        assert {row["status"] for row in found} >= {shown}
        assert sum(row["status"] == shown for row in found) == everything.count(shown)


@pytest.mark.usefixtures("items")
def test_accession_numbers_are_shown_only_when_asked_for() -> None:
    for options in ((), ("--list",), ("--json",), ("--list", "--json"), ("--accessions",)):
        assert "SECRET" not in ask("status", *options).output, options
    assert ask("status", "--list", "--accessions").output.count("SECRET") == 7  # a duplicate too
    rows = facts("--list", "--accessions")["rows"]
    assert [row["accession_number"] for row in rows][:2] == [SECRET, OTHER]


def test_a_pace_and_the_time_to_the_end_are_told_while_somebody_works(
    world: SmallWorld, items: list[WorkItem]
) -> None:
    with world.ledger.session() as session:
        session.execute(update(Event).values(at=now() - timedelta(minutes=5)))
    pace = facts()["pace"]
    assert pace["delivered"] == 2
    assert pace["delivered_per_minute"] == pytest.approx(0.4, abs=0.02)
    assert pace["minutes_to_the_end"] is None
    assert "a minute" in ask("status").output
    assert "still to come" not in ask("status").output
    # Of what was open, two were delivered and three came to another end, in five minutes.
    assert world.ledger.claim(items[5].accession_id, "host|1", 60)
    found = facts()
    assert found["manifests"][1]["in_hand"] == 1
    assert found["pace"]["minutes_to_the_end"] == pytest.approx(1.0, abs=0.1)
    assert "1 accessions are still to come: about a minute" in ask("status").output


def test_what_was_delivered_long_ago_is_no_pace(world: SmallWorld, items: list[WorkItem]) -> None:
    with world.ledger.session() as session:
        session.execute(update(Event).values(at=now() - timedelta(minutes=11)))
    assert facts()["pace"]["delivered"] == 0
    assert "deliveries in the last" not in ask("status").output
    assert len(items) == 6


@pytest.mark.usefixtures("items")
def test_a_pause_is_told_first_and_one_that_was_lifted_is_not(world: SmallWorld) -> None:
    world.ledger.set_pause("system", True, reason="the share is moved", by="ada@host")
    world.ledger.set_pause("node:n1", False, reason="over")
    first, *rest = ask("status").output.splitlines()
    assert first.startswith("Paused: system, the share is moved (by ada@host, ")
    assert not any("n1" in line for line in rest)
    assert [one["scope"] for one in facts()["paused"]] == ["system"]


def test_a_workspace_without_manifests_is_told_what_to_do(world: SmallWorld) -> None:
    done = ask("status")
    assert done.exit_code == 0
    assert "locutus load-manifest" in done.output
    wrong = ask("status", "-w", "chip")
    assert wrong.exit_code == 1
    assert "no workspace 'chip' (known: default, spine)" in wrong.output
    assert world.zips() == []


@pytest.mark.usefixtures("items")
def test_a_watch_into_a_pipe_prints_once() -> None:
    done = ask("status", "--watch")
    assert done.exit_code == 0
    assert done.output == ask("status").output


@pytest.mark.usefixtures("items")
@pytest.mark.parametrize("other", ["--list", "--json"])
def test_a_watch_shows_tables_and_nothing_else(other: str) -> None:
    done = ask("status", "--watch", other)
    assert done.exit_code == 1
    assert "Leave one of them out" in done.output


def _read_until(terminal: int, text: bytes, seconds: float = 30.0) -> bytes:
    """What a program writes to its terminal until `text` is in it."""
    said = b""
    deadline = time.monotonic() + seconds
    while text not in said:
        assert time.monotonic() < deadline, said.decode(errors="replace")
        if select.select([terminal], [], [], 0.1)[0]:
            said += os.read(terminal, 65536)
    return said


def test_a_watch_follows_the_ledger_until_ctrl_c_and_ends_well(
    world: SmallWorld, items: list[WorkItem]
) -> None:
    terminal, theirs = pty.openpty()
    command = [sys.executable, "-m", "locutus_dagster_tests.cli.a_home", "status", "--watch"]
    watching = subprocess.Popen(
        [*command, "--every", "0.1"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={
            **os.environ,
            "TERM": "xterm",
            "COLUMNS": "200",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
    )
    os.close(theirs)
    try:
        _read_until(terminal, b"Ctrl-C ends it")
        world.ledger.record_state(items[5].accession_id, State.AMBIGUOUS)
        said = _read_until(terminal, b"ambiguous")
        assert b"SECRET" not in said
        watching.send_signal(signal.SIGINT)
        assert watching.wait(timeout=30) == 0
    finally:
        watching.kill()
        watching.wait()
        os.close(terminal)


def test_ten_thousand_rows_are_counted_and_listed_without_a_query_for_each(
    world: SmallWorld,
) -> None:
    ledger = world.ledger
    fill(ledger, 10_000)
    questions = 0
    original = Ledger.session

    def counted(self: Ledger, *, reads_only: bool = False) -> Any:
        nonlocal questions
        questions += 1
        return original(self, reads_only=reads_only)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Ledger, "session", counted)
        done = ask("status", "--list")
    assert done.output.splitlines()[-1] == "10,000 rows"
    assert questions < 20


def fill(ledger: Ledger, number: int) -> None:
    """A manifest with so many rows, put there in a moment."""
    ledger.ensure_workspace("default")
    with ledger.session() as session:
        session.add(Manifest(id=1, workspace="default", name="big", sha256="0" * 64, columns={}))
        session.flush()
        session.execute(
            insert(Accession),
            [
                {"id": n, "workspace": "default", "accession_number": f"A{n}", "state": "loaded"}
                for n in range(1, number + 1)
            ],
        )
        session.execute(
            insert(ManifestRow),
            [
                {
                    "manifest_id": 1,
                    "workspace": "default",
                    "row_number": n,
                    "line": n + 1,
                    "partition_key": f"big~{n:06d}",
                    "accession_id": n,
                    "extra": {},
                }
                for n in range(1, number + 1)
            ],
        )
