"""What an operator meets when something is wrong: one message, a way on, and nothing lost.

Each test runs the `locutus` command into the fault as a process of its own, as an operator or CI
does, mends the fault, and runs again.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from locutus_dagster.cli import app
from locutus_dagster.demo.pacs import DemoPacs, build_demo_pacs
from locutus_dagster_tests.parts import free_port
from locutus_dagster_tests.pipeline.arrivals import leaky_instance

LOCUTUS = Path(sys.executable).parent / "locutus"


class Site:
    """A home, a share and a manifest of three studies, for a command to work on."""

    def __init__(self, root: Path, pacs: DemoPacs) -> None:
        self.root, self.pacs = root, pacs
        self.home, self.share = root / "home", root / "share"
        self.manifest = root / "batch.csv"
        self.home.mkdir(parents=True)
        self.share.mkdir()
        lines = pacs.manifest.read_text(encoding="utf-8").splitlines()
        first = next(n for n, line in enumerate(lines) if line.startswith("C9"))
        self.manifest.write_text("\n".join(lines[: first + 3]) + "\n", encoding="utf-8")
        self.configure({"kind": "folder", "path": str(pacs.root)})

    def configure(self, source: dict[str, object], **more: object) -> None:
        """Write the settings."""
        own = {"source": source, "target": {"kind": "share", "path": str(self.share)}, **more}
        text = json.dumps({"workers": 1, "workspaces": {"default": own}})
        (self.home / "locutus.yaml").write_text(text, encoding="utf-8")

    def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """Run `locutus`; gives back exit code, standard output and standard error."""
        done = subprocess.run(
            [str(LOCUTUS), *arguments],
            env={**os.environ, "LOCUTUS_HOME": str(self.home), "COLUMNS": "300", **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr
        self.assert_no_identifier(done.stdout + done.stderr)
        return done.returncode, done.stdout, done.stderr

    def assert_no_identifier(self, said: str) -> None:
        """Nothing that the PACS knows of a patient is said."""
        said = said.casefold()
        assert [n for n in self.pacs.invented_identifiers if n.casefold() in said] == []

    def run_here(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Run `locutus` in this process, where what surrounds a fault is not what is tested.

        Starting a process for it takes longer than all that it does.
        """
        before = dict(os.environ)
        os.environ.update(LOCUTUS_HOME=str(self.home), COLUMNS="300", **environment)
        try:
            done = CliRunner().invoke(app, list(arguments))
        finally:
            os.environ.clear()
            os.environ.update(before)
        self.assert_no_identifier(done.output)
        return done.exit_code, done.output

    def load(self) -> None:
        """Load the manifest."""
        code, _ = self.run_here("load-manifest", str(self.manifest))
        assert code == 0

    def assert_nothing_moved(self) -> None:
        """All are as they were loaded; that a run takes them up from there, other tests show."""
        code, out = self.run_here("status")
        assert code == 0
        assert "batch 3 - " in " ".join(out.split())  # loaded, and delivered
        assert list(self.share.rglob("*")) == []

    def assert_finishes(self) -> None:
        """After the fault has been mended, one run delivers everything."""
        code, out = self.run_here("run", "batch")
        assert code == 0
        assert out.count("PROCESSED") == 3
        assert len(list(self.share.rglob("*.zip"))) == 3
        assert list(self.share.rglob("*.part")) == []


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> DemoPacs:
    """The demo's PACS."""
    return build_demo_pacs(tmp_path_factory.mktemp("pacs"))


@pytest.fixture
def site(tmp_path: Path, pacs: DemoPacs) -> Site:
    """A fresh site."""
    return Site(tmp_path / "site", pacs)


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A small file system of its own at `folder`; needs root."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        if os.environ.get("CI") == "true" and os.geteuid() == 0:
            pytest.fail("root could not mount a tmpfs")
        pytest.skip("mounting a small file system needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_bad_row_is_named_and_the_rest_loads(site: Site) -> None:
    text = site.manifest.read_text(encoding="utf-8")
    site.manifest.write_text(text + ",MRI,12,head,,,\n", encoding="utf-8")

    code, out, err = site.run("load-manifest", str(site.manifest))

    line = len(text.splitlines()) + 1
    assert code == 2
    assert f"batch.csv, line {line}, column SUBJECT_ID: empty" in err
    assert "4 rows, 3 accepted, 1 rejected" in out
    # Dagster keeps what a run was told; a label is looked at before there is a run.
    number = text.splitlines()[-1].split(",")[4]
    code, out = site.run_here("run", "batch", "--label", f"again {number}")
    assert code == 1
    assert "label holds an accession number" in out
    site.assert_nothing_moved()


def test_a_file_that_is_no_manifest_says_what_its_header_must_be(site: Site) -> None:
    site.manifest.write_text("SUBJECT_ID,ACCESSION_NUM\nC1,A1\n", encoding="utf-8")

    code, _, err = site.run("load-manifest", str(site.manifest))

    assert code == 1
    assert "line 1: the header does not fit" in err
    assert "AGE_AT_IMAGING_(DAYS)" in err


def test_an_unreachable_pacs_moves_nothing(site: Site) -> None:
    site.load()
    url = f"http://127.0.0.1:{free_port()}"
    site.configure({"kind": "orthanc", "url": url, "attempts": 2, "timeout": 1})

    code, out, err = site.run("run", "batch")

    assert code == 1
    assert f"Orthanc does not answer at {url}" in err
    assert "3 loaded" in out
    site.configure({"kind": "folder", "path": str(site.pacs.root)})
    site.assert_finishes()


def test_a_missing_folder_source_moves_nothing(site: Site) -> None:
    site.load()
    site.configure({"kind": "folder", "path": str(site.root / "nosuch")})

    code, _, err = site.run("run", "batch")

    assert code == 1
    assert f"The source folder {site.root / 'nosuch'} cannot be read" in err
    site.assert_nothing_moved()


def test_a_full_scratch_disk_fails_the_accessions_and_keeps_their_place(site: Site) -> None:
    site.load()
    scratch = site.root / "small"
    scratch.mkdir()
    with mounted(scratch, "size=64k"):
        code, out, err = site.run("run", "batch", LOCUTUS_SCRATCH=str(scratch))
        left = [path.name for path in scratch.rglob("*") if path.is_file()]

    assert code == 2
    assert "is full" in err
    assert "LOCUTUS_SCRATCH" in err
    assert "3 failed" in out
    assert left in ([], [".budget"])
    site.assert_finishes()


def test_a_scratch_budget_that_is_too_small_says_which_setting_to_raise(site: Site) -> None:
    site.load()

    code, _, err = site.run("run", "batch", LOCUTUS_SCRATCH_LIMIT="10kB")

    assert code == 2
    assert "Raise LOCUTUS_SCRATCH_LIMIT" in err
    site.assert_finishes()


def test_a_read_only_share_moves_nothing(site: Site) -> None:
    site.load()
    with mounted(site.share, "ro"):
        code, out, err = site.run("run", "batch")

    assert code == 1
    assert "does not take files (Read-only file system)" in err
    assert "3 loaded" in out
    site.assert_nothing_moved()


def test_a_share_that_fills_up_keeps_the_finished_work(site: Site) -> None:
    site.load()
    with mounted(site.share, "size=8k"):  # less than the smallest zip
        code, out, err = site.run("run", "batch")

    assert code == 2
    assert "does not take files (No space left on device)" in err
    assert "ERROR_PHASE05" in out
    site.assert_finishes()


def test_a_lost_secret_stops_the_run_and_is_not_replaced(site: Site) -> None:
    site.load()
    secret = site.home / "private" / "default.secret"
    code, out = site.run_here("run", "batch")
    assert code == 0
    assert "Back it up and guard it" in out
    kept = site.root / "backup"
    shutil.move(secret, kept)

    code, _, err = site.run("run", "batch")

    assert code == 1
    assert "Restore that file from your backup" in err
    assert not secret.exists()
    shutil.move(kept, secret)
    site.assert_finishes()


def test_a_secret_reference_that_leads_nowhere_names_the_variable(site: Site) -> None:
    site.load()
    folder = {"kind": "folder", "path": str(site.pacs.root)}
    site.configure(folder, secret="env:STUDY_SECRET")

    code, _, err = site.run("run", "batch")

    assert code == 1
    assert "Export STUDY_SECRET" in err
    code, _ = site.run_here("run", "batch", STUDY_SECRET="0123456789abcdef" * 4)
    assert code == 0


def test_a_policy_with_mistakes_moves_nothing_and_names_each_line(site: Site) -> None:
    site.load()
    policy = site.root / "site.yaml"
    policy.write_text("name: site-a\nuids: fresch\ncolour: red\n", encoding="utf-8")
    folder = {"kind": "folder", "path": str(site.pacs.root)}
    site.configure(folder, policy=str(policy))

    code, _, err = site.run("run", "batch")

    assert code == 1
    assert "of workspace 'default' cannot be used" in err
    assert "site.yaml, line 2" in err
    assert "site.yaml, line 3" in err
    assert not (site.home / "private" / "default.secret").exists()
    site.assert_nothing_moved()


def test_an_identifier_in_one_instance_is_said_and_costs_that_instance_alone(site: Site) -> None:
    site.load()
    with leaky_instance(site.pacs, site.pacs.accessions[0]):
        code, out, _ = site.run("run", "batch")

    assert code == 0
    assert out.count("PROCESSED") == 3
    assert "Withheld instances: 1 identifier left in the output." in out
    code, out = site.run_here("report", "batch~000001")
    assert code == 0
    assert "Identifiers were found in (0018,1020)." in out


def test_a_rotated_key_goes_on_and_keeps_what_was_delivered(site: Site) -> None:
    site.load()
    site.assert_finishes()
    code, _ = site.run_here("keys", "rotate", str(site.home / "private" / "default.secret"))
    assert code == 0

    site.assert_finishes()


def test_an_unknown_manifest_lists_those_that_are_known(site: Site) -> None:
    site.load()

    code, _, err = site.run("run", "nosuch")

    assert code == 1
    assert "manifests: batch" in err


def test_a_manifest_that_asks_for_what_was_delivered_otherwise_is_told_so(site: Site) -> None:
    site.load()
    site.assert_finishes()
    other = site.root / "other.csv"
    text = site.manifest.read_text(encoding="utf-8")
    other.write_text(text.replace("C9001", "C7001"), encoding="utf-8")
    site.run_here("load-manifest", str(other))

    code, out, _ = site.run("run", "other")

    assert code == 0
    assert out.count("PREVIOUS_PROCESSING_USED") == 3
    assert "3 accessions: 3 changed." in out
    assert len(list(site.share.rglob("*.zip"))) == 3


def test_faulty_settings_are_all_named_at_once(site: Site) -> None:
    (site.home / "locutus.yaml").write_text("workers: many\ncolour: red\n", encoding="utf-8")

    code, _, err = site.run("run", "batch")

    assert code == 1
    assert "workers" in err
    assert "colour" in err
