"""A home with a ledger that a test fills, and the two commands that look into it.

What belongs here: what the tests of `locutus show` and `locutus status` share. What does not:
assertions.
"""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from locutus_dagster.cli.show import show_command
from locutus_dagster.cli.status import status_command
from locutus_dagster.ledger import Ledger
from locutus_dagster_tests.pipeline.small_world import SmallWorld

SECRET = "ACC-4711-SECRET"
OTHER = "ACC-4712-SECRET"

app = typer.Typer(pretty_exceptions_enable=False)
app.command("show")(show_command)
app.command("status")(status_command)


def make_home(root: Path, monkeypatch: pytest.MonkeyPatch) -> SmallWorld:
    """A small world whose home is the one that commands find, with the workspace `spine` beside."""
    home = root / "home"
    (home / "private").mkdir(parents=True, mode=0o700)
    (home / "private" / "ledger.sqlite").write_bytes(_blank_ledger())
    world = SmallWorld.build(root)
    own = {
        "source": {"kind": "folder", "path": str(root / "pacs")},
        "target": {"path": str(root / "share")},
    }
    text = json.dumps(
        {"workspaces": {"default": own, "spine": {**own, "target": {"path": str(root / "spine")}}}}
    )
    (home / "locutus.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("LOCUTUS_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "80")
    return world


@cache
def _blank_ledger() -> bytes:
    """The file of a ledger with nothing in it: copying it is quicker than making one each time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        Ledger.open(f"sqlite:///{path}").close()
        return path.read_bytes()


def ask(*arguments: object) -> Result:
    """Run one of the commands."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def lines(text: str) -> list[list[str]]:
    """The words of each line, so that the layout does not matter."""
    return [line.split() for line in text.splitlines() if line.strip()]


if __name__ == "__main__":
    app()
