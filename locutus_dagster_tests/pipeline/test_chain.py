"""One accession's walk: what is delivered, what is not, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from locutus_dagster.errors import LocutusError
from locutus_dagster.ledger import Phase, State
from locutus_dagster.manifests import load_manifest
from locutus_dagster.pipeline.outcomes import Artifact, GateChecked, PhaseDone, Result
from locutus_dagster.pipeline.workspace_secret import secret_path
from locutus_dagster.secret_refs import SecretMissingError
from locutus_dagster.sources.base import SourceUnavailableError
from locutus_dagster.targets import TargetError
from locutus_dagster_tests.pipeline.arrivals import leaky_instance
from locutus_dagster_tests.pipeline.world import World, endings, results


def test_a_batch_says_how_every_accession_ended(world: World) -> None:
    ended = results(world.run())

    assert set(ended) == set(world.keys)
    assert ended[world.item(world.pacs.missing_accession).partition_key] is Result.PENDING
    assert ended[world.item(world.pacs.residue_accession or "").partition_key] is Result.FAILED
    assert list(ended.values()).count(Result.DELIVERED) == len(world.keys) - 2


def test_workers_give_the_same_deliveries_as_the_process_itself(
    tmp_path: Path, make_world: Callable[..., World], world: World
) -> None:
    # `world` and the pooled one are built from the same PACS, with the same secret.
    world.run()
    pooled = World.build(tmp_path / "pooled", world.pacs, workers=2)
    secret = secret_path(pooled.settings, "default")
    secret.write_bytes(secret_path(world.settings, "default").read_bytes())

    pooled.run()

    def contents(of: World) -> dict[str, bytes]:
        return {str(p.relative_to(of.share)): p.read_bytes() for p in of.delivered_zips()}

    assert contents(pooled) == contents(world)
    assert len(contents(world)) == len(world.keys) - 2


def test_each_phase_is_said_as_it_is_done_and_the_gate_between_them(world: World) -> None:
    outcomes = world.run([world.whole().partition_key])

    assert [type(o).__name__ for o in outcomes] == [
        "PhaseDone",
        "GateChecked",
        "PhaseDone",
        "PhaseDone",
        "PhaseDone",
        "Finished",
    ]
    assert [o.artifact for o in outcomes if isinstance(o, PhaseDone)] == list(Artifact)


def test_a_delivered_accession_leaves_nothing_interim(world: World) -> None:
    world.run()

    assert world.leftovers() == []
    for item in world.items():
        assert world.ledger.artifact(item.accession_id, "raw") is None
        assert world.ledger.artifact(item.accession_id, "deidentified") is None


def test_keeping_interim_files_keeps_them(make_world: Callable[..., World]) -> None:
    world = make_world(keep_interim_files=True)

    world.run([world.whole().partition_key])

    assert {"raw.zip", "deidentified.zip"} <= set(world.leftovers())


def test_a_damaged_file_is_withheld_and_counted_and_the_rest_delivered(world: World) -> None:
    key = world.item(world.pacs.damaged_accession).partition_key

    world.run([key])

    item = world.item(world.pacs.damaged_accession)
    assert item.state is State.DELIVERED
    assert item.withheld == 1
    assert item.delivered == (item.instances or 0) - 1
    (zipped,) = world.delivered_zips()
    assert world.members(zipped) == item.delivered


def test_every_instance_is_accounted_for_in_the_ledger(world: World) -> None:
    world.run()

    for item in world.items():
        counted = sum(d.instances for d in world.ledger.dispositions(item.accession_id))
        assert counted == (item.instances or 0)


def test_residue_blocks_the_delivery_and_names_the_place_but_not_the_value(world: World) -> None:
    item = world.item(world.pacs.residue_accession or "")

    outcomes = world.run([item.partition_key])

    (gate,) = [o for o in outcomes if isinstance(o, GateChecked)]
    assert (gate.passed, gate.anything_left) == (False, False)
    assert gate.metadata["instances searched"] == gate.metadata["instances withheld for residue"]
    end = endings(outcomes)[item.partition_key]
    assert end.reason.startswith("every instance was withheld: ")
    assert end.reason.endswith("identifiers were found in (0018,1020)")
    said = repr(outcomes).casefold()
    assert not [name for name in world.pacs.invented_identifiers if name.casefold() in said]
    assert world.delivered_zips() == []
    assert world.leftovers() == []
    after = world.item(world.pacs.residue_accession or "")
    assert (after.state, after.phase, after.delivered) == (State.FAILED, Phase.TRANSFORM, 0)


def test_an_instance_with_residue_is_withheld_and_the_rest_delivered(world: World) -> None:
    item = world.whole()
    with leaky_instance(world.pacs, item.accession_number):
        outcomes = world.run([item.partition_key])

    (gate,) = [o for o in outcomes if isinstance(o, GateChecked)]
    assert (gate.passed, gate.anything_left) == (False, True)
    after = world.whole()
    assert gate.metadata == {
        "instances searched": after.instances,
        "instances withheld for residue": 1,
        "places": "(0018,1020)",
    }
    assert (after.state, after.withheld, after.reason) == (State.DELIVERED, 1, "")
    assert after.delivered == (after.instances or 0) - 1
    (zipped,) = world.delivered_zips()
    assert world.members(zipped) == after.delivered
    deid = next(o for o in outcomes if getattr(o, "artifact", None) is Artifact.DEIDENTIFIED)
    assert deid.metadata["withheld: identifier left in the output"] == 1
    said = repr(outcomes).casefold()
    assert not [name for name in world.pacs.invented_identifiers if name.casefold() in said]


def test_a_resumed_delivery_says_again_what_the_gate_found(world: World) -> None:
    item = world.whole()
    blocker = world.share / ".TopLevel"
    blocker.write_text("a file where a folder should be")
    with leaky_instance(world.pacs, item.accession_number):
        first = next(o for o in world.run([item.partition_key]) if isinstance(o, GateChecked))
    blocker.unlink()

    again = next(o for o in world.run([item.partition_key]) if isinstance(o, GateChecked))

    assert (again.passed, again.anything_left) == (False, True)
    assert again.metadata == first.metadata | {"resumed": "yes"}


def test_the_gate_passes_where_everything_is_withheld_for_other_reasons(
    make_world: Callable[..., World],
) -> None:
    world = make_world(workspace={"modalities": ["XA"]})
    item = world.whole()

    outcomes = world.run([item.partition_key])

    (gate,) = [o for o in outcomes if isinstance(o, GateChecked)]
    assert (gate.passed, gate.anything_left) == (True, False)
    end = endings(outcomes)[item.partition_key]
    assert end.result is Result.FAILED
    assert end.reason.startswith("every instance was withheld: ")
    assert "identifiers were found" not in end.reason


def test_outcomes_carry_no_identifier(world: World) -> None:
    said = repr(world.run()).casefold()

    assert not [name for name in world.pacs.invented_identifiers if name.casefold() in said]


def test_a_pending_accession_is_delivered_once_its_study_arrives(
    world: World, tmp_path: Path
) -> None:
    item = world.item(world.pacs.missing_accession)
    world.run([item.partition_key])
    assert world.item(world.pacs.missing_accession).state is State.PENDING
    arrival = world.pacs.root / "arrival.dcm"
    try:
        _copy_with_accession(world, arrival, world.pacs.missing_accession)

        ended = results(world.run([item.partition_key]))
    finally:
        arrival.unlink()

    assert ended[item.partition_key] is Result.DELIVERED


def test_two_studies_under_one_accession_are_never_merged(world: World) -> None:
    item = world.whole()
    arrival = world.pacs.root / "arrival.dcm"
    try:
        _copy_with_accession(world, arrival, item.accession_number)

        end = endings(world.run([item.partition_key]))[item.partition_key]
    finally:
        arrival.unlink()

    assert end.result is Result.FAILED
    assert end.reason.startswith("ERROR_MULTIPLE_CHANGE_UUIDS")
    assert world.whole().state is State.AMBIGUOUS
    assert world.delivered_zips() == []


def test_a_second_run_changes_nothing(world: World) -> None:
    world.run()
    before = {path: path.stat().st_mtime_ns for path in world.delivered_zips()}
    events = {i.partition_key: len(world.ledger.events(i.accession_id)) for i in world.items()}

    ended = results(world.run())

    assert {path: path.stat().st_mtime_ns for path in world.delivered_zips()} == before
    delivered = [i for i in world.items() if i.state is State.DELIVERED]
    assert all(ended[i.partition_key] is Result.UNCHANGED for i in delivered)
    for item in delivered:
        assert len(world.ledger.events(item.accession_id)) == events[item.partition_key]


def test_an_accession_that_another_manifest_names_otherwise_is_said_to_have_changed(
    world: World, tmp_path: Path
) -> None:
    item = world.whole()
    world.run([item.partition_key])
    other = tmp_path / "other.csv"
    text = world.pacs.manifest.read_text(encoding="utf-8")
    other.write_text(text.replace(item.subject_id, "C777777"), encoding="utf-8")
    report = load_manifest(world.ledger, other, workspace="default")

    end = endings(world.run(report.partition_keys[:1]))[report.partition_keys[0]]

    assert end.result is Result.CHANGED
    assert len(world.delivered_zips()) == 1


def test_a_failed_delivery_keeps_the_finished_work_and_resumes_there(world: World) -> None:
    item = world.whole()
    blocker = world.share / ".TopLevel"
    blocker.write_text("a file where a folder should be")

    end = endings(world.run([item.partition_key]))[item.partition_key]

    assert end.result is Result.FAILED
    assert "does not take files" in end.reason
    assert "deidentified.zip" in world.leftovers()
    assert "raw.zip" not in world.leftovers()
    assert world.whole().phase == Phase.DELIVER

    blocker.unlink()
    outcomes = world.run([item.partition_key])

    assert results(outcomes)[item.partition_key] is Result.DELIVERED
    deid = next(o for o in outcomes if getattr(o, "artifact", None) is Artifact.DEIDENTIFIED)
    assert deid.metadata["resumed"] == "yes"
    assert world.leftovers() == []


def test_a_share_that_is_not_mounted_stops_the_run_before_anything_moves(world: World) -> None:
    world.share.rmdir()

    with pytest.raises(TargetError, match="Mount it"):
        world.run()

    assert {item.state for item in world.items()} == {State.LOADED}


def test_an_unreachable_source_stops_the_run_before_anything_moves(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    own = world.settings.workspaces["default"]
    orthanc = {"kind": "orthanc", "url": "http://127.0.0.1:9", "attempts": 2, "timeout": 1.0}
    broken = own.model_validate({**own.model_dump(), "source": orthanc})
    world.settings = world.settings.model_copy(update={"workspaces": {"default": broken}})

    with pytest.raises(SourceUnavailableError, match=r"127\.0\.0\.1:9"):
        world.run()

    assert {item.state for item in world.items()} == {State.LOADED}


def test_a_source_that_goes_away_stops_the_batch_and_keeps_the_rest_untouched(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = world.batch(parts_factory="locutus_dagster_tests.pipeline.vanishing:parts")

    outcomes = list(batch.run(world.keys))

    ended = results(outcomes)
    assert list(ended.values()) == [Result.DELIVERED, Result.FAILED]
    assert batch.not_attempted == world.keys[2:]
    untouched = [i for i in world.items() if i.partition_key in batch.not_attempted]
    assert {item.state for item in untouched} == {State.LOADED}


def test_a_study_larger_than_the_scratch_budget_says_which_setting_to_raise(
    make_world: Callable[..., World],
) -> None:
    world = make_world(scratch_limit=10_000)

    end = endings(world.run([world.whole().partition_key]))[world.whole().partition_key]

    assert end.result is Result.FAILED
    assert "LOCUTUS_SCRATCH_LIMIT" in end.reason
    assert world.leftovers() == []


def test_a_lost_secret_is_never_replaced_in_silence(world: World) -> None:
    world.run([world.whole().partition_key])
    secret = secret_path(world.settings, "default")
    secret.unlink()

    with pytest.raises(SecretMissingError, match="Restore that file"):
        world.run()

    assert not secret.exists()


def test_another_secret_in_its_place_is_noticed(world: World) -> None:
    world.run([world.whole().partition_key])
    secret_path(world.settings, "default").write_text("f" * 64)

    with pytest.raises(SecretMissingError, match="key identifier"):
        world.run()


def test_the_secret_is_made_for_its_owner_alone(world: World) -> None:
    batch = world.batch()
    list(batch.run(world.keys[:1]))

    assert batch.secret_created
    assert secret_path(world.settings, "default").stat().st_mode & 0o777 == 0o600
    again = world.batch()
    list(again.run(world.keys[:1]))
    assert not again.secret_created


def test_an_unknown_partition_is_an_error_before_anything_moves(world: World) -> None:
    with pytest.raises(LocutusError, match="load-manifest"):
        world.run(["batch~999999"])


def _copy_with_accession(world: World, path: Path, accession_number: str) -> None:
    import pydicom
    from pydicom.uid import generate_uid

    first = next(p for p in sorted(world.pacs.root.rglob("*")) if p.is_file())
    dataset = pydicom.dcmread(first)
    dataset.AccessionNumber = accession_number
    dataset.StudyInstanceUID = generate_uid()
    dataset.SOPInstanceUID = generate_uid()
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path)
