"""`locutus report`: what became of each instance, for whoever answers for a delivery."""

from __future__ import annotations

import csv
import json
import stat
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from locutus_dagster.cli import app
from locutus_dagster.deid import (
    RESIDUE,
    Disposition,
    InstanceDisposition,
    ResidueHit,
    StudyDisposition,
    basic_policy,
)
from locutus_dagster.ledger import Ledger, WorkItem
from locutus_dagster.pipeline.deid_report import report_record
from locutus_dagster.settings import load_settings
from locutus_dagster_tests.ledger.rows import add_items, artifact

CT = "1.2.840.10008.5.1.4.1.1.2"
ACCESSION = "ACC-4711-SECRET"
STUDY = StudyDisposition(
    study_uid="2.25.1",
    study_token="token",
    policy_fingerprint=basic_policy().fingerprint,
    key_id="2-0a1b2c3d",
    subject_id="C1",
    instances=(
        InstanceDisposition("2.25.2", CT, "CT", Disposition.CLEAN, "", {"X": 31, "U": 7}),
        InstanceDisposition("2.25.3", CT, "CT", Disposition.WITHHELD, RESIDUE),
        InstanceDisposition("000003.dcm", "", "", Disposition.WITHHELD, "unreadable file"),
    ),
    residue=(ResidueHit("2.25.3", "(0018,1020)"),),
    size_in=10,
    size_out=5,
)


@pytest.fixture(autouse=True)
def item(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkItem:
    """A home whose ledger knows two accessions, of which the first has been de-identified."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("LOCUTUS_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "200")
    own = {"source": {"kind": "folder", "path": "/in"}, "target": {"path": "/out"}}
    text = json.dumps(
        {
            "workspaces": {
                "default": own,
                "spine": {**own, "target": {"path": str(tmp_path / "spine")}},
            }
        }
    )
    (home / "locutus.yaml").write_text(text, encoding="utf-8")
    ledger = Ledger.open(load_settings().ledger_address)
    first, _ = add_items(ledger, ACCESSION, "ACC2", name="batch", workspace="default")
    ledger.record_extracted(
        first.accession_id, artifact(), source_study="handle", source_fingerprint="2" * 64
    )
    ledger.record_deidentified(
        first.accession_id,
        artifact("deidentified"),
        [],
        report_record(STUDY, basic_policy()),
        study_uid=STUDY.study_uid,
        study_token=STUDY.study_token,
    )
    ledger.close()
    return first


def report(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_a_report_says_with_what_and_what_became_of_the_instances(item: WorkItem) -> None:
    done = report(item.partition_key)
    assert done.exit_code == 0, done.output
    said = lines(done.output)
    assert ["partition", item.partition_key] in said
    assert ["policy", "basic", f"({basic_policy().fingerprint})"] in said
    assert ["key", "2-0a1b2c3d"] in said
    assert ["1", "clean"] in said
    assert ["1", "withheld", *RESIDUE.split()] in said
    assert ["1", "withheld", "unreadable", "file"] in said
    assert ["31", "remove"] in said
    assert ["7", "uid"] in said
    assert "Identifiers were found in (0018,1020)." in done.output
    assert ACCESSION not in done.output


def test_the_csv_has_a_line_for_each_instance_and_is_its_owner_s_alone(
    item: WorkItem, tmp_path: Path
) -> None:
    path = tmp_path / "study.csv"
    path.write_text("an older one")
    done = report(item.partition_key, "--csv", path)
    assert done.exit_code == 0, done.output
    assert f"Wrote {path}" in done.output
    with path.open(encoding="ascii", newline="") as stream:
        found = list(csv.DictReader(stream))
    assert [row["instance"] for row in found] == ["2.25.2", "2.25.3", "000003.dcm"]
    assert [row["residue"] for row in found] == ["", "(0018,1020)", ""]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(one.name for one in tmp_path.iterdir()) == ["home", "study.csv"]


def test_a_csv_that_cannot_be_written_is_one_message(item: WorkItem, tmp_path: Path) -> None:
    done = report(item.partition_key, "--csv", tmp_path / "nosuch" / "study.csv")
    assert done.exit_code == 1
    assert "cannot be written (No such file or directory)" in done.output


def test_an_accession_that_was_not_de_identified_yet_has_none() -> None:
    done = report("batch~000002")
    assert done.exit_code == 1
    assert "Partition batch~000002 has no report (loaded)." in done.output


def test_a_partition_of_another_workspace_is_unknown(item: WorkItem) -> None:
    done = report(item.partition_key, "--workspace", "spine")
    assert done.exit_code == 1
    assert "knows no manifest row" in done.output


def test_an_unknown_workspace_is_told_with_those_that_are_known(item: WorkItem) -> None:
    done = report(item.partition_key, "-w", "chip")
    assert done.exit_code == 1
    assert "known: default, spine" in done.output
