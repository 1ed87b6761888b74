"""A home with the demo's PACS, settings and manifest, and a Dagster instance of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from locutus_dagster.defs.partitions import register_partitions
from locutus_dagster.demo.pacs import DemoPacs, build_demo_pacs
from locutus_dagster.ledger import Ledger, WorkItem
from locutus_dagster.manifests import load_manifest
from locutus_dagster.settings import Settings, load_settings

MANIFEST = "batch"


class Home:
    """Where the settings, the ledger and Dagster's instance are."""

    def __init__(self, root: Path, pacs: DemoPacs, instance: dg.DagsterInstance) -> None:
        self.root = root
        self.pacs = pacs
        self.instance = instance
        self.settings: Settings = load_settings()
        self.ledger = Ledger.open(self.settings.ledger_address)

    def load(self) -> list[str]:
        """Load the demo's manifest; gives back its partition keys."""
        report = load_manifest(self.ledger, self.pacs.manifest, workspace="default", name=MANIFEST)
        register_partitions(self.instance, "default", report.partition_keys)
        return list(report.partition_keys)

    def item(self, accession_number: str) -> WorkItem:
        """The work item of one accession."""
        items = self.ledger.manifest_items("default", MANIFEST)
        return next(i for i in items if i.accession_number == accession_number)


@pytest.fixture(scope="session")
def demo_pacs(tmp_path_factory: pytest.TempPathFactory) -> DemoPacs:
    """The demo's PACS with the study that the gate must block."""
    return build_demo_pacs(tmp_path_factory.mktemp("pacs"), with_residue=True)


@pytest.fixture
def home(tmp_path: Path, demo_pacs: DemoPacs, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A fresh home; work happens in the test's own process."""
    root = tmp_path / "home"
    share = tmp_path / "share"
    root.mkdir()
    share.mkdir()
    (tmp_path / "dagster").mkdir()
    workspace = {
        "source": {"kind": "folder", "path": str(demo_pacs.root)},
        "target": {"kind": "share", "path": str(share)},
        "owners": ["team:imaging"],
    }
    (root / "locutus.yaml").write_text(json.dumps({"workspaces": {"default": workspace}}))
    monkeypatch.setenv("LOCUTUS_HOME", str(root))
    monkeypatch.setenv("LOCUTUS_WORKERS", "0")
    monkeypatch.delenv("LOCUTUS_CONFIG", raising=False)
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        yield Home(root, demo_pacs, instance)
