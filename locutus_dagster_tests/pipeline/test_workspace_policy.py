"""Which policy a workspace has, and what its settings change about it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from locutus_dagster.deid import DEFAULT_MODALITIES, Policy, basic_policy, load_policy
from locutus_dagster.ledger import State
from locutus_dagster.pipeline.outcomes import Artifact, PhaseDone, Result
from locutus_dagster.pipeline.workspace_policy import PolicyUnusableError, workspace_policy
from locutus_dagster.settings import Settings, SettingsError
from locutus_dagster_tests.pipeline.world import World, results


def policy_of(**own: object) -> Policy:
    workspace = {
        "source": {"kind": "folder", "path": "/in"},
        "target": {"kind": "share", "path": "/out"},
        **own,
    }
    return workspace_policy(Settings(workspaces={"spine": workspace}), "spine")


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(("name: site-a", *lines, "")), encoding="utf-8")
    return path


def test_a_workspace_has_the_basic_policy_unless_it_names_another() -> None:
    assert policy_of() == basic_policy()
    assert policy_of().settings.modalities == frozenset(DEFAULT_MODALITIES)


def test_a_workspace_may_name_a_shipped_policy() -> None:
    assert policy_of(policy="research") == load_policy("research", modalities=DEFAULT_MODALITIES)


def test_a_path_is_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "site.yaml")
    monkeypatch.chdir(tmp_path)
    assert policy_of(policy="site.yaml") == policy_of(policy=str(path))


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "site.yaml")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert policy_of(policy="~/site.yaml") == policy_of(policy=str(path))


def test_modalities_are_the_workspace_s_or_else_the_policy_s(tmp_path: Path) -> None:
    path = str(write(tmp_path / "site.yaml", "modalities: [CT, SR]"))
    assert policy_of(policy=path).settings.modalities == {"CT", "SR"}
    assert policy_of(policy=path, modalities=["mr"]).settings.modalities == {"MR"}


@pytest.mark.parametrize("given", ["any", ["Any"], "CT, any"])
def test_a_workspace_that_says_any_lets_every_modality_through(given: object) -> None:
    assert policy_of(modalities=given).settings.modalities is None


def test_studies_of_several_patients_are_treated_as_the_workspace_says(tmp_path: Path) -> None:
    path = str(write(tmp_path / "site.yaml", "several_patients: allow"))
    allowed, withheld = policy_of(policy=path), policy_of(policy=path, several_patients="withhold")
    assert allowed.settings.several_patients == "allow"
    assert withheld.settings.several_patients == "withhold"
    assert allowed.fingerprint != withheld.fingerprint
    assert policy_of(policy=path, several_patients="allow") == allowed


def test_editing_a_policy_file_changes_the_fingerprint(tmp_path: Path) -> None:
    path = write(tmp_path / "site.yaml")
    before = policy_of(policy=str(path)).fingerprint
    write(path, "lexicon: [gadoterate]")
    assert policy_of(policy=str(path)).fingerprint != before


def test_a_policy_that_nobody_knows_is_told_with_its_workspace() -> None:
    with pytest.raises(PolicyUnusableError, match="policy 'reserch' of workspace 'spine'") as told:
        policy_of(policy="reserch")
    assert "research" in told.value.hint


def test_mistakes_in_a_policy_file_are_told_with_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "site.yaml", "uids: fresch", "colour: red")
    with pytest.raises(PolicyUnusableError, match="has 2 problems") as told:
        policy_of(policy=str(path))
    assert "site.yaml, line 2" in told.value.hint
    assert "site.yaml, line 3" in told.value.hint


def test_an_unknown_workspace_is_not_blamed_on_the_policy() -> None:
    with pytest.raises(SettingsError, match="no workspace 'chip'"):
        workspace_policy(Settings(), "chip")


def test_a_policy_with_a_mistake_stops_the_run_before_anything_moves(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    path = write(tmp_path / "site.yaml", "uids: fresch")
    world = make_world(workspace={"policy": str(path)})

    with pytest.raises(PolicyUnusableError, match=r"site\.yaml, line 2"):
        world.run()

    assert {item.state for item in world.items()} == {State.LOADED}
    assert not (world.settings.private_dir / "default.secret").exists()


def test_files_path_and_summary_carry_the_subject_with_the_policy_s_preface(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    path = write(tmp_path / "site.yaml", "subject_id_preface: PRJ_")
    world = make_world(workspace={"policy": str(path)})
    item = world.whole()

    outcomes = world.run([item.partition_key])

    (zipped,) = world.delivered_zips()
    assert f"PRJ_{item.subject_id}" in zipped.parts
    with zipfile.ZipFile(zipped) as archive:
        subjects = {pydicom.dcmread(BytesIO(archive.read(n))).PatientID for n in archive.namelist()}
    assert subjects == {f"PRJ_{item.subject_id}"}
    said = {o.artifact: o.metadata for o in outcomes if isinstance(o, PhaseDone)}
    assert said[Artifact.SUMMARY]["subject"] == f"PRJ_{item.subject_id}"
    assert said[Artifact.DEIDENTIFIED]["policy"] == "site-a"
    assert results(world.run([item.partition_key]))[item.partition_key] is Result.UNCHANGED


def test_an_edited_policy_leaves_a_delivery_standing_and_says_so(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    path = write(tmp_path / "site.yaml")
    world = make_world(workspace={"policy": str(path)})
    key = world.whole().partition_key
    world.run([key])
    write(path, "extends: research")

    assert results(world.run([key]))[key] is Result.CHANGED
    assert len(world.delivered_zips()) == 1
