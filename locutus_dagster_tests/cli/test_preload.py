"""`locutus preload` and `locutus preset`: dry by default, counted, free of accession numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from locutus_dagster.cli.preload import preload_command, preset_command
from locutus_dagster.ledger import State, WorkItem
from locutus_dagster_tests.cli.a_home import OTHER, SECRET, ask, make_home
from locutus_dagster_tests.ledger.rows import add_items, bring_to
from locutus_dagster_tests.pipeline.small_world import SmallWorld

app = typer.Typer(pretty_exceptions_enable=False)
app.command("preload")(preload_command)
app.command("preset")(preset_command)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallWorld]:
    """A home with nothing in it."""
    made = make_home(tmp_path / "world", monkeypatch)
    yield made
    made.ledger.close()


@pytest.fixture
def items(world: SmallWorld) -> list[WorkItem]:
    """Loaded, delivered, pending; and one more in another manifest."""
    found = add_items(world.ledger, SECRET, OTHER, "ACC-3-SECRET", name="one", workspace="default")
    add_items(world.ledger, "ACC-4-SECRET", name="two", workspace="default")
    bring_to(world.ledger, found[1], State.DELIVERED)
    bring_to(world.ledger, found[2], State.PENDING)
    return found


def do(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def said(done: Result) -> str:
    assert "SECRET" not in done.output
    return " ".join(done.output.split())


def listed(*arguments: str) -> dict[str, str]:
    rows = json.loads(ask("status", "--list", "--json", *arguments).output)["rows"]
    return {row["partition"]: row["status"] for row in rows}


@pytest.mark.usefixtures("items")
def test_without_apply_a_table_says_what_would_be_done_and_nothing_is(world: SmallWorld) -> None:
    before = listed()
    done = do("preload", "one")
    assert done.exit_code == 0, done.output
    text = said(done)
    assert "Preload in workspace 'default': 3 accessions, suffix 'summarizerPreLoaded'." in text
    assert "1 loaded on deck ZZZ-ONDECK-PENDING_CHANGE:summarizerPreLoaded" in text
    assert "1 delivered untouched: finished as it is" in text
    assert "Dry run: nothing was changed." in text
    assert listed() == before


@pytest.mark.usefixtures("items")
def test_with_apply_the_batch_is_followed_by_its_suffix_and_again_it_changes_nothing() -> None:
    done = do("preload", "one", "--suffix", "night 7", "--apply")
    assert done.exit_code == 0, done.output
    assert "Marked: 2. Marked so before: 0." in said(done)
    assert "locutus status -w default --label 'night 7'" in said(done)
    assert listed("--label", "night 7") == {
        "one~000001": "ZZZ-ONDECK-PENDING_CHANGE:night 7",
        "one~000003": "ZZZ-ONDECK-PENDING_CHANGE:night 7",
    }
    assert listed("--label", "another") == {}
    table = " ".join(ask("status", "--label", "night 7").output.split())
    assert "of which on deck" in table
    assert "Marked: 0. Marked so before: 2." in said(
        do("preload", "one", "--suffix", "night 7", "--apply")
    )


@pytest.mark.usefixtures("items")
def test_finished_ones_are_asked_for_again_only_when_told() -> None:
    assert do("preload", "one", "--force-reprocess", "--suffix", "b", "--apply").exit_code == 0
    assert listed()["one~000002"] == "ZZZ-ONDECK-4-RE-PROCESSING_CHANGE:b"
    shown = ask("show", "one~000002").output
    assert "ZZZ-ONDECK-4-RE-PROCESSING_CHANGE:b" in shown


@pytest.mark.usefixtures("items")
def test_a_preset_asks_again_with_the_reference_s_words() -> None:
    done = do("preset", "one", "--apply")
    assert done.exit_code == 0, done.output
    words = "RE-PROCESSING_CHANGE_MOMENTARILY:reprocessing in 3... 2... 1..."
    assert listed("one") == {
        "one~000001": "ZZZ-ONDECK-4-PROCESSING_CHANGE:reprocessing in 3... 2... 1...",
        "one~000002": words,
        "one~000003": "PENDING_CHANGE",
    }
    assert f"1 delivered to be processed again {words}" in said(done)
    assert "1 pending untouched: waits for its study as it is" in said(done)


def test_what_is_in_hand_is_said_and_the_exit_code_tells(
    world: SmallWorld, items: list[WorkItem]
) -> None:
    world.ledger.claim(items[0].accession_id, "worker", 60)
    done = do("preload", "one", "--apply")
    assert done.exit_code == 2, done.output
    assert "1 loaded skipped: a worker has it in hand" in said(done)
    assert "Not marked: 1" in said(done)


@pytest.mark.usefixtures("items")
def test_a_file_of_accessions_chooses_and_unknown_lines_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text(f"{SECRET}\nACC-UNKNOWN-SECRET\n")
    done = do("preload", "--accession-file", file)
    assert done.exit_code == 2, done.output
    assert "1 of the file's accessions are in no manifest" in said(done)
    assert "1 accession, suffix" in said(done)


@pytest.mark.usefixtures("items")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("preload",), "Nothing was selected."),
        (("preset",), "Nothing was selected."),
        (("preload", "three"), "no manifest named 'three'"),
        (("preload", "--all", "--suffix", f"for {OTHER}", "--apply"), "holds an accession number"),
        (("preload", "--all", "--suffix", ""), "printable characters"),
        (("preload", "-w", "nowhere", "--all"), "nowhere"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_changes_nothing(
    arguments: tuple[str, ...], message: str
) -> None:
    before = listed()
    done = do(*arguments)
    assert done.exit_code == 1, done.output
    assert message in said(done)
    assert listed() == before
