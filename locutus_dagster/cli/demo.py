"""`locutus demo`: the whole walk on a machine that has nothing.

What belongs here: the order of the demo's steps and what it tells. What does not: the PACS that it
builds (`demo/pacs.py`) and the run (`running.py`).
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from rich.console import Console

from locutus_dagster.cli.running import RunRequest, run_and_show
from locutus_dagster.errors import LocutusError

__all__ = ["show_demo"]

_MARKER = ".locutus-demo-home"
_MANIFEST = "demo"


def show_demo(folder: Path, out: Console, err: Console) -> int:
    """Build, load, run, show. Returns the exit code."""
    from locutus_dagster.defs.instance import open_instance
    from locutus_dagster.defs.partitions import register_partitions
    from locutus_dagster.demo.pacs import build_demo_pacs
    from locutus_dagster.ledger import Ledger
    from locutus_dagster.manifests import load_manifest
    from locutus_dagster.settings import load_settings

    folder = folder.absolute()
    home = _fresh_home(folder)
    with out.status("Building a research PACS out of real DICOM files …"):
        pacs = build_demo_pacs(folder)
    files = sum(1 for path in pacs.root.rglob("*") if path.is_file())
    out.print(f"Built a research PACS of {files} DICOM files in {_near(pacs.root)}/")
    delivered = folder / "delivered"
    delivered.mkdir()
    _write_settings(home, pacs.root, delivered)
    os.environ["LOCUTUS_HOME"] = str(home)
    for name in ("DAGSTER_HOME", "LOCUTUS_CONFIG"):
        os.environ.pop(name, None)
    settings = load_settings()
    ledger = Ledger.open(settings.find_ledger)
    report = load_manifest(ledger, pacs.manifest, workspace="default", name=_MANIFEST)
    ledger.close()
    with open_instance(settings) as instance:
        register_partitions(instance, "default", report.partition_keys)
    out.print(
        f"Loaded {_near(pacs.manifest)}: {report.rows} rows, {len(report.rejected)} rejected. "
        "One accession is not in the PACS, one study holds a damaged file.",
        soft_wrap=True,
    )
    code = run_and_show(
        settings, "default", RunRequest.of_manifest(_MANIFEST, accessions=True), out, err
    )
    out.print("\n[bold]Next[/bold]")
    for command, what in (
        ("make ui", "the run, the partitions and their metadata in Dagster's UI"),
        (f"unzip -l {_near(delivered)}/.TopLevel/…", "what was delivered"),
        ("locutus config init --help", "the same against your own Orthanc"),
    ):
        out.print(f"  {command:<40} {what}", highlight=False, soft_wrap=True)
    return code


def _fresh_home(folder: Path) -> Path:
    """Remove what an earlier demo made, and nothing else."""
    home = folder / "home"
    if home.exists():
        if not (home / _MARKER).exists():
            raise LocutusError(
                f"{home} exists and was not made by the demo.", "Choose another --folder."
            )
        shutil.rmtree(home)
        shutil.rmtree(folder / "delivered", ignore_errors=True)
    home.mkdir(mode=0o700, parents=True)
    (home / _MARKER).touch()
    return home


def _write_settings(home: Path, pacs: Path, delivered: Path) -> None:
    # JSON is YAML, and quotes any path correctly.
    workspace = {
        "source": {"kind": "folder", "path": str(pacs)},
        "target": {"kind": "share", "path": str(delivered)},
        "owners": ["team:demo"],
    }
    text = "# Made by `locutus demo`.\nworkspaces:\n  default: "
    (home / "locutus.yaml").write_text(text + json.dumps(workspace) + "\n", encoding="utf-8")


def _near(path: Path) -> Path:
    """The path as seen from here, where that is shorter."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path
