"""Artifacts as inputs: a downstream asset or a notebook gets the study."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from locutus_dagster.defs import build_defs
from locutus_dagster.defs.io_managers import ArtifactMissingError
from locutus_dagster.defs.names import TARGET, asset_key, io_keys
from locutus_dagster.defs.partitions import accession_partitions
from locutus_dagster.durable_files import VerifyError
from locutus_dagster.pipeline.outcomes import Artifact
from locutus_dagster.pipeline.study_zip import StudyZip
from locutus_dagster_tests.defs.conftest import Home


def _process(home: Home, key: str) -> None:
    job = build_defs(home.settings).resolve_job_def("process_manifest")
    job.execute_in_process(instance=home.instance, partition_key=key)


def _load(home: Home, artifact: Artifact, key: str) -> Any:
    return build_defs(home.settings).load_asset_value(
        asset_key("default", artifact), partition_key=key, instance=home.instance
    )


def test_a_downstream_asset_takes_the_delivered_study_as_its_input(home: Home) -> None:
    key = home.load()[0]
    _process(home, key)

    @dg.asset(
        partitions_def=accession_partitions("default"),
        ins={"study": dg.AssetIn(asset_key("default", Artifact.DELIVERED))},
    )
    def slices(study: StudyZip) -> list[str]:
        study.verify()
        return [dataset.PatientID for dataset in study.datasets()]

    defs = dg.Definitions.merge(build_defs(home.settings), dg.Definitions(assets=[slices]))
    result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=home.instance, partition_key=key, asset_selection=[slices.key]
    )

    item = home.item(home.pacs.accessions[0])
    assert result.output_for_node("slices") == [item.subject_id] * (item.delivered or 0)


def test_the_raw_zip_says_clearly_that_it_has_been_deleted(home: Home) -> None:
    key = home.load()[0]
    _process(home, key)

    with pytest.raises(ArtifactMissingError, match=r"has been deleted.*KEEP_INTERIM_FILES"):
        _load(home, Artifact.RAW, key)


def test_the_raw_zip_can_be_loaded_while_interim_files_are_kept(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCUTUS_KEEP_INTERIM_FILES", "true")
    key = home.load()[0]
    _process(home, key)

    study = _load(home, Artifact.RAW, key)

    study.verify()
    names = [name for name, _ in study.members()]
    assert names == [f"{n:06d}.dcm" for n in range(1, len(names) + 1)]


def test_an_undelivered_partition_says_so(home: Home) -> None:
    key = home.load()[0]

    with pytest.raises(ArtifactMissingError, match="has not been delivered"):
        _load(home, Artifact.DELIVERED, key)


def test_a_delivery_that_was_altered_is_noticed(home: Home) -> None:
    key = home.load()[0]
    _process(home, key)
    study = _load(home, Artifact.DELIVERED, key)
    path = Path(study.uri.removeprefix("file://"))
    path.write_bytes(path.read_bytes() + b"x")

    with pytest.raises(VerifyError):
        study.verify()


def test_the_summary_row_holds_no_accession_number(home: Home) -> None:
    key = home.load()[0]
    _process(home, key)

    row = _load(home, Artifact.SUMMARY, key)

    item = home.item(home.pacs.accessions[0])
    assert (row["state"], row["subject_id"]) == ("delivered", item.subject_id)
    assert item.accession_number not in str(row)


def test_a_derived_zip_goes_to_the_target_and_comes_back(home: Home, tmp_path: Path) -> None:
    key = home.load()[0]
    made = tmp_path / "derived.zip"
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("note.txt", "derived")

    @dg.asset(
        partitions_def=accession_partitions("default"),
        io_manager_key=io_keys("default")[TARGET],
    )
    def nifti() -> Path:
        return made

    defs = dg.Definitions.merge(build_defs(home.settings), dg.Definitions(assets=[nifti]))
    defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=home.instance, partition_key=key, asset_selection=[nifti.key]
    )

    study = defs.load_asset_value("nifti", partition_key=key, instance=home.instance)
    assert dict(study.members()) == {"note.txt": b"derived"}
