"""`locutus preflight` and a dry run: a person sees what a run would do, and nothing changes."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from click.testing import Result
from rich.console import Console
from typer.testing import CliRunner

from locutus_dagster.cli.preflight import preflight_command, show_dry_run
from locutus_dagster.ledger import Ledger
from locutus_dagster.ledger.selection import Selection
from locutus_dagster.pipeline.options import RunOptions
from locutus_dagster.settings import load_settings
from locutus_dagster_tests.parts.photograph import photograph
from locutus_dagster_tests.pipeline.small_world import SmallWorld

app = typer.Typer()
app.command("preflight")(preflight_command)


class Site:
    """A home, a folder of DICOM files as the PACS, and a share; settings are in a file."""

    def __init__(self, root: Path) -> None:
        self.root, self.home, self.pacs = root, root / "home", root / "w" / "pacs"
        self.home.mkdir()
        self.pacs.mkdir(parents=True)
        (root / "w" / "share").mkdir()
        own = {
            "source": {"kind": "folder", "path": str(self.pacs)},
            "target": {"kind": "share", "path": str(root / "w" / "share")},
        }
        text = json.dumps({"workers": 0, "workspaces": {"default": own}})
        (self.home / "locutus.yaml").write_text(text, encoding="utf-8")
        # Opened when a manifest is loaded; until then there is none.
        self.world = SmallWorld(root / "w", load_settings(), Ledger("sqlite://"))

    def load(self, *numbers: str, **options: str) -> list[str]:
        """Load a manifest called m1, m2 …; the ledger is closed again."""
        self.world.ledger = Ledger.open(load_settings().ledger_address)
        keys = self.world.load(*numbers, **options)
        self.world.ledger.close()
        return keys

    def run(self, keys: list[str]) -> None:
        """Process partitions, with the real parts."""
        from locutus_dagster.pipeline.batch import Batch

        list(Batch(load_settings(), "default").run(keys))

    def put(self, number: str, instances: int = 1) -> None:
        """Let the PACS hold a study."""
        self.world.put_study(number, instances=instances)

    def photograph(self) -> dict[str, tuple[int, int, int, str]]:
        """Everything: home, share, PACS."""
        return photograph(self.root)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("LOCUTUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "250")
    return Site(tmp_path)


def preflight(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def dry_run(wanted: Selection, **asked: object) -> tuple[int, str]:
    """The exit code and what is printed."""
    settings = load_settings()
    out = Console(file=io.StringIO(), width=250)
    options = RunOptions.of(settings, **asked)
    code = show_dry_run(settings, "default", wanted, options, out, out)
    assert isinstance(out.file, io.StringIO)
    return code, out.file.getvalue()


def lines_of(text: str, *words: str) -> list[str]:
    return [line for line in text.splitlines() if all(word in line for word in words)]


# -- what is shown -----------------------------------------------------------------------------


def test_what_will_just_be_processed_is_counted_and_not_listed(site: Site) -> None:
    for number in ("ACC1", "ACC2"):
        site.put(number, 3)
    site.load("ACC1", "ACC2")

    result = preflight("m1")

    assert result.exit_code == 0, result.output
    assert lines_of(result.output, "2", "process")
    assert "6 instances" in result.output
    assert "m1~" not in result.output
    assert "no pseudonymisation secret yet" in result.output


def test_what_needs_attention_is_listed_and_makes_the_exit_code_2(site: Site) -> None:
    site.put("ACC1", 2)
    _, missing = site.load("ACC1", "ACC-GONE")

    result = preflight("m1")

    assert result.exit_code == 2, result.output
    (line,) = lines_of(result.output, missing)
    assert "pending" in line
    assert "no study at the source" in line
    assert "1 accession has no study at the source." in result.output
    assert "m1~000001" not in result.output


def test_totals_add_up_to_the_rows(site: Site) -> None:
    site.put("ACC1")
    site.put("ACC2")
    site.run(site.load("ACC1", "ACC2"))
    site.put("ACC3")
    site.load("ACC1", "ACC2", "ACC3", "ACC4")

    result = preflight("m2")

    table = {
        words: int(count)
        for count, words in re.findall(r"^ *(\d+)  ([a-z][a-z ]+?) *$", result.output, re.MULTILINE)
    }
    assert table.pop("in all") == sum(table.values()) == 4
    assert table == {"report as done": 2, "process": 1, "pending": 1}


def test_with_details_every_accession_has_a_line(site: Site) -> None:
    site.put("ACC1")
    keys = site.load("ACC1", "ACC2")
    result = preflight("m1", "--details")
    assert all(lines_of(result.output, key) for key in keys)
    assert lines_of(result.output, keys[0], "process from phase 03")


def test_accession_numbers_are_shown_where_they_are_asked_for(site: Site) -> None:
    site.load("ACC4711X")
    shown = site.root / "shown.csv"
    hidden = site.root / "hidden.csv"
    assert "ACC4711X" not in preflight("m1", "--details", "--csv", str(hidden)).output
    assert "ACC4711X" in preflight("m1", "--accessions", "--csv", str(shown)).output
    assert "ACC4711X" not in hidden.read_text()
    assert "ACC4711X" in shown.read_text()


def test_the_csv_has_one_line_for_each_accession(site: Site) -> None:
    site.put("ACC1", 2)
    keys = site.load("ACC1", "ACC2")
    path = site.root / "ahead.csv"

    result = preflight("m1", "--csv", str(path))

    assert str(path) in result.output
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first, second = csv.DictReader(io.StringIO(path.read_text()))
    assert [first["partition"], second["partition"]] == keys
    assert (first["outcome"], first["phase"], first["instances"]) == ("process", "03", "2")
    assert int(first["scratch_bytes"]) > 2 * int(first["bytes"]) > 0
    assert (second["outcome"], second["attention"]) == ("pending", "no study at the source")


def test_a_csv_that_cannot_be_written_is_said_so(site: Site) -> None:
    site.load("ACC1")
    result = preflight("m1", "--csv", str(site.root / "nowhere" / "ahead.csv"))
    assert result.exit_code == 1
    assert "cannot be written" in result.output


def test_a_long_list_is_cut_and_says_how_to_see_the_rest(site: Site) -> None:
    site.load(*(f"ACC{n}" for n in range(230)))
    result = preflight("m1")
    assert len(lines_of(result.output, "m1~")) == 200
    assert "and 30 more" in result.output
    assert len(lines_of(preflight("m1", "--details").output, "m1~")) == 230


def test_finished_accessions_are_seen_as_the_mode_would_have_them(site: Site) -> None:
    site.put("ACC1")
    site.run(site.load("ACC1"))
    assert lines_of(preflight("m1").output, "1", "report as done")
    again = preflight("m1", "--reprocess", "preretire").output
    assert lines_of(again, "1", "process again")


def test_filters_choose_as_a_run_would(site: Site) -> None:
    site.put("ACC1")
    site.run(site.load("ACC1"))
    site.load("ACC2")
    result = preflight("--status", "delivered")
    assert lines_of(result.output, "1", "in all")
    assert preflight("--all").output.count("report as done") == 1
    nothing = preflight("--status", "failed")
    assert nothing.exit_code == 0
    assert "Nothing to do" in nothing.output
    unrestricted = preflight()
    assert unrestricted.exit_code == 1
    assert "--all" in unrestricted.output


def test_lines_of_an_accession_file_that_nobody_knows_need_attention(site: Site) -> None:
    site.put("ACC1")
    site.load("ACC1")
    listed = site.root / "list.txt"
    listed.write_text("ACC1\nACC-UNKNOWN\n")
    result = preflight("--accession-file", str(listed))
    assert result.exit_code == 2
    assert "in line 2" in result.output
    assert "ACC-UNKNOWN" not in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nosuch"], "no manifest named 'nosuch'"),
        (["m1", "-w", "nosuch"], "no workspace 'nosuch'"),
        (["m1", "--status", "nosuch"], "'nosuch' is no status"),
    ],
)
def test_what_does_not_exist_is_said_so(site: Site, arguments: list[str], said: str) -> None:
    site.load("ACC1")
    result = preflight(*arguments)
    assert result.exit_code == 1
    assert said in result.output


def test_a_source_that_is_not_there_ends_it_with_what_to_do(site: Site) -> None:
    site.load("ACC1")
    site.pacs.rmdir()
    result = preflight("m1")
    assert result.exit_code == 1
    assert "cannot be read" in result.output
    assert "mounted" in result.output


def test_a_share_that_is_not_there_needs_attention(site: Site) -> None:
    site.put("ACC1")
    site.load("ACC1")
    (site.root / "w" / "share").rmdir()
    result = preflight("m1")
    assert result.exit_code == 2
    assert "The share" in result.output
    assert "is not there" in result.output


def test_a_scratch_space_that_is_too_small_needs_attention(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put("ACC1", 2)
    (key,) = site.load("ACC1")
    monkeypatch.setenv("LOCUTUS_SCRATCH_LIMIT", "1MB")
    result = preflight("m1")
    assert result.exit_code == 2
    assert lines_of(result.output, key, "scratch space")
    assert "LOCUTUS_SCRATCH_LIMIT" in result.output


# -- nothing changes ---------------------------------------------------------------------------


def test_where_there_is_nothing_yet_nothing_is_made(site: Site) -> None:
    before = site.photograph()
    result = preflight("m1")
    assert result.exit_code == 1
    assert "There is no ledger" in result.output
    assert site.photograph() == before


def test_the_first_dry_run_ever_creates_nothing(site: Site) -> None:
    site.put("ACC1", 2)
    (key,) = site.load("ACC1")
    before = site.photograph()
    assert not list(site.home.rglob("*.secret"))

    code, text = dry_run(Selection(manifests=("m1",)))

    assert code == 0
    assert "nothing is changed" in text
    assert lines_of(text, key, "process from phase 03")
    assert "kept nowhere" in text
    assert site.photograph() == before


def test_no_later_dry_run_or_preflight_changes_anything_either(site: Site) -> None:
    for number in ("ACC1", "ACC2", "ACC3"):
        site.put(number, 2)
    keys = site.load("ACC1", "ACC2", "ACC3", "ACC4")
    site.run(keys[:2])
    site.put("ACC2", 3)  # it has changed since
    site.put("ACC5")  # and the index knows nothing of this one
    before = site.photograph()
    names = "\n".join(before)
    assert "default.secret" in names
    assert "folder-index.sqlite" in names

    code, text = dry_run(Selection(manifests=("m1",)), reprocess="preretire-only-changed")
    assert code == 2
    assert [line.split("  ")[1].strip() if line else "" for line in lines_of(text, "m1~")] == [
        "report as done",
        "process again from phase 03",
        "process from phase 03",
        "pending",
    ]
    assert "secret" not in text
    assert site.photograph() == before

    assert preflight("--all", "--details").exit_code == 2
    assert site.photograph() == before

    site.run(keys[1:2])
    assert site.photograph() != before  # a run does change things, and the photograph shows it


def test_a_dry_run_reads_only_the_files_that_the_index_does_not_know(site: Site) -> None:
    from locutus_dagster.pipeline.parts import build_parts

    site.put("ACC1", 3)
    site.run(site.load("ACC1"))
    site.put("ACC2", 2)
    parts = build_parts(load_settings(), "default", look_only=True)
    parts.source.check()
    assert parts.source.headers_read == 2  # type: ignore[attr-defined]
    assert len(parts.source.find("ACC2")) == 1
    parts.close()


def test_another_secret_is_noticed_and_not_noted(site: Site) -> None:
    site.put("ACC1")
    site.run(site.load("ACC1"))
    secret = site.home / "private" / "default.secret"
    kept = secret.read_text()
    secret.write_text("0" * 64 + "\n")
    before = site.photograph()
    result = preflight("m1")
    assert result.exit_code == 1
    assert "Restore the secret" in result.output
    secret.unlink()
    assert "is missing" in preflight("m1").output
    assert not secret.exists()
    secret.write_text(kept)
    assert preflight("m1").exit_code == 0
    assert site.photograph().keys() == before.keys()


def test_the_command_starts_without_the_orchestrator(site: Site) -> None:
    site.put("ACC1")
    site.load("ACC1")
    program = (
        "import sys\n"
        "from locutus_dagster_tests.cli.test_preflight import app\n"
        "from typer.testing import CliRunner\n"
        "result = CliRunner().invoke(app, ['m1'])\n"
        "assert result.exit_code == 0, result.output\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'dagster'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.stdout.strip() == "[]"
