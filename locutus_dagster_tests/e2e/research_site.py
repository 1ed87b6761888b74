"""A site for end-to-end tests: a research PACS, a share, and a home that knows both.

What belongs here: building it, adding to it, and calling `locutus` in it as a person would.
What does not: Dagster's servers (`parts/dagster_processes.py`), and what is expected of them.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pydicom
import yaml
from pydicom.uid import generate_uid

from locutus_dagster.demo.pacs import DemoPacs, build_demo_pacs
from locutus_dagster_tests.parts.dagster_processes import program

__all__ = [
    "ASSETS",
    "DEIDENTIFIED",
    "DELIVERED",
    "GATE",
    "RAW",
    "SUMMARY",
    "Line",
    "Site",
    "build_site",
    "closing_table",
    "delivered_file",
    "environment",
    "members",
]

RAW, DEIDENTIFIED, DELIVERED, SUMMARY = ASSETS = (
    "default/raw_dicom_zip",
    "default/deidentified_zip",
    "default/delivered_object",
    "default/summary_row",
)
GATE = "no_identifier_left"
_REPOSITORY = Path(__file__).resolve().parents[2]


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without what a developer has set for Locutus and Dagster."""
    ours = ("LOCUTUS_", "DAGSTER_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "DAGSTER_DISABLE_TELEMETRY": "1", **variables}


@dataclass(frozen=True)
class Site:
    """A PACS, a share and a home folder, in one folder."""

    folder: Path
    pacs: DemoPacs
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def dagster_home(self) -> Path:
        return self.home / "dagster"

    @property
    def delivered(self) -> Path:
        """The share."""
        return self.folder / "delivered"

    @property
    def logs(self) -> Path:
        """Where the standard output and error of every process go."""
        return self.folder / "logs"

    @property
    def env(self) -> dict[str, str]:
        """What a process of this site is started with."""
        return environment(
            LOCUTUS_HOME=str(self.home),
            DAGSTER_HOME=str(self.dagster_home),
            LOCUTUS_WORKERS="2",
            COLUMNS="250",
            **self.variables,
        )

    def call(self, *command: str, log: str) -> subprocess.CompletedProcess[str]:
        """Run a program of this installation to its end; its output is kept among the logs."""
        name, *arguments = command
        done = subprocess.run(
            [program(name), *arguments],
            check=False,
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=self.env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            timeout=240,
        )
        for stream, text in (("out", done.stdout), ("err", done.stderr)):
            (self.logs / f"{log}.{stream}").write_text(text, encoding="utf-8")
        return done

    def load(self, manifest: Path, name: str) -> list[str]:
        """`locutus load-manifest`; returns the partition keys in the manifest's order."""
        done = self.call("locutus", "load-manifest", str(manifest), "--name", name, log="load")
        assert done.returncode == 0, done.stderr
        return [f"{name}~{number:06d}" for number in range(1, len(_rows(manifest)))]

    def manifest_of(self, name: str, accessions: Iterable[str]) -> Path:
        """A manifest of some of the PACS's accessions; one that the PACS lacks gets any row."""
        header, *rows = _rows(self.pacs.manifest)
        by_accession = {row[4]: row for row in rows}
        path = self.folder / f"{name}.csv"
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(header)
            for accession in accessions:
                row = by_accession.get(accession, rows[0])
                writer.writerow([*row[:4], accession, *row[5:]])
        return path

    def partition_of(self, accession: str, name: str) -> str:
        """The partition key of an accession of the whole manifest, loaded under `name`."""
        return f"{name}~{self.pacs.accessions.index(accession) + 1:06d}"

    def arrive(self, accession: str, like: str) -> int:
        """Let a study arrive in the PACS: another one's images, under UIDs of its own."""
        uids: dict[str, str] = {}
        folder = self.pacs.root / f"arrived-{len(list(self.pacs.root.iterdir()))}"
        folder.mkdir()
        instances = 0
        for path in sorted(self.pacs.root.glob(f"*/{like}_*/**/*.dcm")):
            dataset = pydicom.dcmread(path)
            dataset.AccessionNumber = accession
            for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
                old = str(dataset[keyword].value)
                setattr(dataset, keyword, uids.setdefault(old, generate_uid(None)))
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            instances += 1
            dataset.save_as(folder / f"{instances}.dcm")
        return instances

    def instances_of(self, accession: str) -> int:
        """How many files the PACS holds of an accession."""
        return len(list(self.pacs.root.glob(f"*/{accession}_*/**/*.dcm")))


@dataclass(frozen=True)
class Line:
    """One line of the table that `locutus run` and `locutus demo` end with."""

    partition: str
    accession: str
    status: str
    delivered: int | None
    withheld: int | None
    where: str


def closing_table(output: str) -> list[Line]:
    """Read the closing table, accession numbers included."""
    lines = []
    for text in output.splitlines():
        cells = re.split(r"\s{2,}", text.rstrip())
        if "~" not in cells[0] or len(cells) < 5:
            continue
        partition, accession, status, delivered, withheld, *where = cells
        counts = [None if count == "-" else int(count) for count in (delivered, withheld)]
        lines.append(Line(partition, accession, status, *counts, "".join(where)))
    return lines


def delivered_file(uri: str) -> Path:
    """The file behind a `file:` URI."""
    return Path(unquote(urlsplit(uri).path))


def members(path: Path) -> list[str]:
    """The names in a zip."""
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def build_site(
    folder: Path,
    *,
    with_residue: bool = True,
    source: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    variables: Mapping[str, str] | None = None,
    postgres: bool = False,
) -> Site:
    """Build a site in an empty folder.

    Args:
        source: the workspace's source; by default the PACS's folder.
        settings: further entries of `locutus.yaml`.
        variables: further environment variables of its processes.
        postgres: give Dagster the configuration for PostgreSQL, as it is shipped.
    """
    site = Site(folder, build_demo_pacs(folder, with_residue=with_residue), variables or {})
    for new in (site.home, site.dagster_home, site.delivered, site.logs):
        new.mkdir(mode=0o700)
    workspace = {
        "source": source or {"kind": "folder", "path": str(site.pacs.root)},
        "target": {"kind": "share", "path": str(site.delivered)},
    }
    content = {"workspaces": {"default": workspace}, **(settings or {})}
    # JSON is YAML.
    (site.home / "locutus.yaml").write_text(json.dumps(content), encoding="utf-8")
    (site.dagster_home / "dagster.yaml").write_text(_dagster_yaml(postgres), encoding="utf-8")
    return site


def _dagster_yaml(postgres: bool) -> str:
    """The instance's configuration as shipped, but quicker to take a run from the queue."""
    if postgres:
        shipped = (_REPOSITORY / "dagster.postgres.yaml").read_text(encoding="utf-8")
    else:
        template = resources.files("locutus_dagster.defs").joinpath("dagster.yaml")
        shipped = template.read_text(encoding="utf-8")
    content = yaml.safe_load(shipped)
    content.setdefault("run_queue", {})["dequeue_interval_seconds"] = 1
    return str(yaml.safe_dump(content))


def _rows(manifest: Path) -> list[list[str]]:
    lines = manifest.read_text(encoding="utf-8").splitlines()
    return [row for row in csv.reader(lines) if row and not row[0].startswith("#")]
