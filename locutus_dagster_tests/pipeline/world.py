"""A small world to run batches in: a demo PACS, a home, a share, and a look at what is left.

What belongs here: building it and asking it questions. What does not: assertions.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from locutus_dagster.demo.pacs import DemoPacs
from locutus_dagster.ledger import Ledger, WorkItem
from locutus_dagster.manifests import load_manifest
from locutus_dagster.pipeline.batch import Batch
from locutus_dagster.pipeline.outcomes import Finished, Outcome, Result
from locutus_dagster.settings import Settings

MANIFEST = "batch"
FAULTS = "locutus_dagster_tests.pipeline.faults:parts"


@dataclass
class World:
    """A workspace `default` over a folder source, with the demo's manifest loaded."""

    root: Path
    pacs: DemoPacs
    settings: Settings
    ledger: Ledger

    @classmethod
    def build(
        cls,
        root: Path,
        pacs: DemoPacs,
        *,
        workspace: Mapping[str, object] | None = None,
        **settings: object,
    ) -> World:
        """Make the world under `root`.

        Args:
            workspace: further settings of the workspace, such as its policy.
            settings: override those that belong to no workspace.
        """
        share = root / "share"
        share.mkdir(parents=True)
        made = Settings(
            home=root / "home",
            workers=0,
            workspaces={
                "default": {
                    "source": {"kind": "folder", "path": str(pacs.root)},
                    "target": {"kind": "share", "path": str(share)},
                    **(workspace or {}),
                }
            },
        ).model_copy(update=settings)
        ledger = Ledger.open(made.ledger_address)
        load_manifest(ledger, pacs.manifest, workspace="default", name=MANIFEST)
        return cls(root, pacs, made, ledger)

    @property
    def share(self) -> Path:
        """Where deliveries go."""
        return self.root / "share"

    @property
    def keys(self) -> list[str]:
        """The manifest's partitions."""
        return [item.partition_key for item in self.items()]

    def items(self) -> list[WorkItem]:
        """The manifest's work items as they stand."""
        return self.ledger.manifest_items("default", MANIFEST)

    def item(self, accession_number: str) -> WorkItem:
        """The work item of one accession."""
        return next(i for i in self.items() if i.accession_number == accession_number)

    def whole(self) -> WorkItem:
        """The first accession of which everything is delivered."""
        return self.item(self.pacs.accessions[0])

    def batch(self, **options: object) -> Batch:
        """A batch to run here."""
        return Batch(self.settings, "default", "run-1", **options)  # type: ignore[arg-type]

    def run(self, keys: Sequence[str] | None = None, **options: object) -> list[Outcome]:
        """Run a batch here and give back all that it said."""
        return list(self.batch(**options).run(self.keys if keys is None else keys))

    def run_elsewhere(self, environment: dict[str, str], workers: int = 0) -> int:
        """Run the batch in a process of its own, with faults; gives back its return code."""
        settings = self.settings.model_copy(update={"workers": workers})
        command = [sys.executable, "-m", "locutus_dagster_tests.pipeline.faults"]
        completed = subprocess.run(
            [*command, settings.model_dump_json(), json.dumps(self.keys)],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                **environment,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )
        return completed.returncode

    def delivered_zips(self) -> list[Path]:
        """Every zip on the share."""
        return sorted(self.share.rglob("*.zip"))

    def members(self, path: Path) -> int:
        """How many instances a delivered zip holds; raises when it is no whole zip."""
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            return len(archive.namelist())

    def leftovers(self) -> list[str]:
        """Files in the scratch space, and unfinished files on the share."""
        scratch = [p for p in self.settings.scratch_dir.rglob("*") if p.is_file()]
        parts = self.share.rglob("*.part")
        return sorted(p.name for p in [*scratch, *parts] if p.name != ".budget")


def endings(outcomes: Sequence[Outcome]) -> dict[str, Finished]:
    """The last word on each partition; each has exactly one."""
    ends = [outcome for outcome in outcomes if isinstance(outcome, Finished)]
    assert len({end.partition_key for end in ends}) == len(ends)
    return {end.partition_key: end for end in ends}


def results(outcomes: Sequence[Outcome]) -> dict[str, Result]:
    """How each partition ended."""
    return {key: end.result for key, end in endings(outcomes).items()}
