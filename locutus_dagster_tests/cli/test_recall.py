"""`locutus recall`: a person sees what will go, agrees, and is told what went and what did not."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from locutus_dagster.cli.recall import recall_command
from locutus_dagster.ledger import State
from locutus_dagster.pipeline.outcomes import Finished
from locutus_dagster_tests.cli.a_home import make_home
from locutus_dagster_tests.pipeline.small_world import SmallWorld

ONE, TWO, THREE = "ACC-4711-X", "ACC-4712-X", "ACC-4713-X"
NUMBERS = (ONE, TWO, THREE)
WHY = ("--reason", "consent withdrawn")

app = typer.Typer()
app.command("recall")(recall_command)


@dataclass
class Desk:
    """A small world whose ledger and share the command works on."""

    world: SmallWorld
    keys: list[str]

    def __call__(self, *arguments: str) -> Result:
        """Run the command; nobody's accession number is ever said."""
        done = CliRunner().invoke(app, list(arguments))
        assert not done.exception or isinstance(done.exception, SystemExit), done.output
        self.names_nobody(done.output)
        return done

    def names_nobody(self, output: str) -> None:
        """No accession number stands in what was printed."""
        assert [n for n in NUMBERS if n.casefold() in output.casefold()] == []

    def states(self) -> list[State]:
        """Of the partitions."""
        return [self.world.item(key).state for key in self.keys]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Two accessions of subject P1 and one of P2, all delivered; and a second, empty workspace."""
    small = make_home(tmp_path / "desk", monkeypatch)
    for number in NUMBERS:
        small.put_study(number)
    keys = small.load(ONE, TWO, name="batch", subject="P1")
    keys += small.load(THREE, name="more", subject="P2")
    small.run(keys)
    yield Desk(small, keys)
    small.ledger.close()


# -- recalling -----------------------------------------------------------------------------


@pytest.mark.parametrize("what", [ONE, "batch~000001"])
def test_an_accession_is_recalled_by_its_number_or_its_partition(desk: Desk, what: str) -> None:
    first = desk.world.ledger.standing(desk.world.item(desk.keys[0]).accession_id)[0]

    done = desk(what, *WHY, "--yes")

    assert done.exit_code == 0, done.output
    assert "Recall of one accession in workspace 'default': 1 accession." in done.output
    assert "batch~000001" in done.output
    assert "batch~000002" not in done.output
    assert f"  {first.uri}\n" in done.output
    size = f"{first.size:,}"
    share = desk.world.root / "share"
    assert f"Removed 1 delivery, {size} bytes, from {share}." in done.output
    assert desk.states() == [State.RECALLED, State.DELIVERED, State.DELIVERED]
    assert len(desk.world.zips()) == 2


def test_a_subject_is_recalled_with_all_its_accessions(desk: Desk) -> None:
    done = desk("P1", *WHY, "--yes")

    assert done.exit_code == 0, done.output
    assert "Recall of subject P1 in workspace 'default': 2 accessions." in done.output
    assert "Recalled 2 of 2 accessions. Removed 2 deliveries" in done.output
    assert desk.states() == [State.RECALLED, State.RECALLED, State.DELIVERED]
    ends = [o for o in desk.world.run(desk.keys) if isinstance(o, Finished)]
    assert [end.result.value for end in ends] == ["refused", "refused", "unchanged"]


def test_the_same_again_finds_nothing_more_to_do(desk: Desk) -> None:
    desk("P1", *WHY, "--yes")
    done = desk("P1", *WHY, "--yes")
    assert done.exit_code == 0
    assert "Nothing was delivered that is still there." in done.output
    assert "Removed 0 deliveries, 0 bytes" in done.output


def test_what_cannot_be_removed_is_exit_code_2_and_the_same_again_finishes(desk: Desk) -> None:
    share, away = desk.world.root / "share", desk.world.root / "away"
    share.rename(away)

    done = desk("P1", *WHY, "--yes")

    assert done.exit_code == 2
    assert f"Not removed: The share {share} is not there. Mount it" in done.output
    assert done.output.count("Not removed") == 1
    assert done.output.count("file:///") == 4  # two before, two after
    assert "Run the same command again to go on" in done.output
    away.rename(share)
    assert desk("P1", *WHY, "--yes").exit_code == 0
    assert len(desk.world.zips()) == 1


def test_what_another_worker_has_in_hand_is_exit_code_2(desk: Desk) -> None:
    identity = desk.world.item("batch~000001").accession_id
    assert desk.world.ledger.claim(identity, "another host", 60.0)

    done = desk("P1", *WHY, "--yes", "--wait", "0.3")

    assert done.exit_code == 2
    assert "Another worker still has in hand: batch~000001." in done.output
    assert "Recalled 1 of 2 accessions." in done.output
    desk.world.ledger.release(identity, "another host")
    assert desk("P1", *WHY, "--yes").exit_code == 0
    assert desk.states()[:2] == [State.RECALLED, State.RECALLED]


# -- asking --------------------------------------------------------------------------------


def test_where_nobody_can_be_asked_nothing_happens_without_yes(desk: Desk) -> None:
    done = desk("P1", *WHY)

    assert done.exit_code == 1
    assert "Nobody can be asked here" in done.output
    assert "Say --yes" in done.output
    assert desk.world.ledger.recalls("default") == []
    assert len(desk.world.zips()) == 3


def test_on_a_terminal_a_person_is_asked_and_may_say_no(desk: Desk) -> None:
    def answered(word: str) -> tuple[int, str]:
        master, slave = pty.openpty()
        os.write(master, f"{word}\n".encode())
        code = "from locutus_dagster_tests.cli.test_recall import app; app()"
        done = subprocess.run(
            [sys.executable, "-c", code, "P1", *WHY],
            stdin=slave,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            timeout=60,
            check=False,
        )
        os.close(master)
        os.close(slave)
        desk.names_nobody(done.stdout + done.stderr)
        return done.returncode, done.stdout

    code, output = answered("n")
    assert code == 1
    assert "Remove 2 deliveries, and deliver nothing more? [y/N]" in output
    assert "Nothing was changed." in output
    assert len(desk.world.zips()) == 3
    code, output = answered("y")
    assert code == 0
    assert len(desk.world.zips()) == 1


# -- whom ----------------------------------------------------------------------------------


def test_a_name_that_could_mean_two_things_is_asked_about(desk: Desk) -> None:
    desk.world.put_study("P1")
    desk.world.load("P1", name="odd", subject="P3")  # an accession called as a subject

    done = desk("P1", *WHY, "--yes")

    assert done.exit_code == 1
    assert "That could be an accession number or a subject." in done.output
    assert "--accession or --subject" in done.output
    assert desk.world.ledger.recalls("default") == []
    done = desk("P1", *WHY, "--yes", "--accession")
    assert "odd~000001" in done.output
    assert desk.states() == [State.DELIVERED] * 3
    assert desk("P1", *WHY, "--yes", "--subject").exit_code == 0
    assert desk.states() == [State.RECALLED, State.RECALLED, State.DELIVERED]


@pytest.mark.parametrize(
    "arguments",
    [
        ["ACC-4711"],
        ["batch~000009"],
        ["p1"],
        ["P1", "-w", "spine"],
        ["P1", "--accession"],
        ["batch~000001", "--subject"],
    ],
)
def test_what_the_ledger_does_not_know_is_one_message(desk: Desk, arguments: list[str]) -> None:
    done = desk(*arguments, *WHY, "--yes")
    assert done.exit_code == 1
    assert "of that name" in done.output
    assert len(desk.world.zips()) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["P1", "--yes"], "A reason is missing."),
        (["P1", "--lift", "--yes"], "A reason is missing."),
        (["P1", "--yes", "--reason", f"wrong patient in {TWO.lower()}"], "holds an accession"),
        ([*WHY], "Nothing was named."),
        (["P1", *WHY, "--subject", "--accession"], "can only be one thing"),
        (["P1", *WHY, "-w", "nosuch"], "There is no workspace 'nosuch'"),
        (["P1", *WHY, "--lift", "--yes"], "No recall of exactly that stands."),
    ],
)
def test_what_cannot_be_done_changes_nothing(
    desk: Desk, arguments: list[str], message: str
) -> None:
    done = desk(*arguments)
    assert done.exit_code == 1
    assert message in done.output
    assert desk.world.ledger.recalls("default") == []
    assert len(desk.world.zips()) == 3


def test_a_recall_does_not_need_a_policy_that_can_be_used(desk: Desk) -> None:
    path = desk.world.settings.home / "locutus.yaml"
    content = json.loads(path.read_text())
    content["workspaces"]["default"]["policy"] = "nosuch"
    path.write_text(json.dumps(content))
    assert desk("P1", *WHY, "--yes").exit_code == 0
    assert len(desk.world.zips()) == 1


# -- lifting and listing -------------------------------------------------------------------


def test_a_lifted_recall_says_what_is_processed_anew(desk: Desk) -> None:
    desk("P1", *WHY, "--yes")
    desk(ONE, *WHY, "--yes")

    done = desk("P1", "--lift", "--reason", "another form", "--yes")

    assert done.exit_code == 0, done.output
    assert "The recall is lifted; the next run processes 1 accession anew." in done.output
    assert "Another recall stands for batch~000001." in done.output
    assert desk.states() == [State.RECALLED, State.LOADED, State.DELIVERED]


def test_lifting_asks_too(desk: Desk) -> None:
    desk("P1", *WHY, "--yes")
    done = desk("P1", "--lift", *WHY)
    assert done.exit_code == 1
    assert desk.states()[0] is State.RECALLED


def test_the_list_names_partitions_and_subjects_and_says_what_was_lifted(desk: Desk) -> None:
    assert "Workspace 'default' has no recalls." in desk("--list").output
    desk(ONE, *WHY, "--yes")
    desk("P2", *WHY, "--yes")
    desk("P2", "--lift", "--reason", "another form", "--yes")

    done = desk("--list")

    assert done.exit_code == 0
    header, first, second = done.output.splitlines()
    assert header.split() == ["recalled", "what", "reason", "lifted", "why"]
    assert "batch~000001" in first
    assert first.rstrip().endswith("consent withdrawn")
    assert "subject P2" in second
    assert second.rstrip().endswith("another form")


def test_the_command_starts_without_dagster() -> None:
    code = "import sys, locutus_dagster.cli.recall; print([m for m in sys.modules if m in "
    code += "('dagster', 'sqlalchemy', 'pydicom')])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert done.stdout.strip() == "[]"
