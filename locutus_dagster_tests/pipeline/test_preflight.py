"""What a run would do about each accession: it is what the run then does, and nothing changes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import generate_uid

from locutus_dagster.ledger import Phase, State
from locutus_dagster.ledger.fingerprints import Kind
from locutus_dagster.ledger.resolutions import ResolutionRecord, ResolveCommand
from locutus_dagster.ledger.selection import Selection
from locutus_dagster.pipeline.extract import scratch_need
from locutus_dagster.pipeline.forecasting import TWO_PATIENTS
from locutus_dagster.pipeline.foreseen import Foreseen, Would
from locutus_dagster.pipeline.host import HOST
from locutus_dagster.pipeline.options import RunOptions
from locutus_dagster.pipeline.outcomes import Finished, PhaseDone, Result
from locutus_dagster.pipeline.preflight import chosen, preflight
from locutus_dagster.settings import OrthancSourceSettings, Reprocess, Sweep
from locutus_dagster.sources.base import (
    SourceError,
    SourceUnavailableError,
    StudyChangedError,
    StudyOverview,
)
from locutus_dagster_tests.ledger.rows import artifact
from locutus_dagster_tests.parts.orthanc import OrthancServer
from locutus_dagster_tests.parts.photograph import photograph
from locutus_dagster_tests.pipeline.looking import (
    CT,
    MR,
    SR,
    TellingSource,
    foretold,
    looking,
    study,
)
from locutus_dagster_tests.pipeline.small_world import SmallSource, SmallWorld
from locutus_dagster_tests.pipeline.world import World, results

#: How a run ends where it was foreseen that it would do this.
ENDS = {
    Would.PROCESS: Result.DELIVERED,
    Would.AGAIN: Result.DELIVERED,
    Would.UNCHANGED: Result.UNCHANGED,
    Would.CHANGED: Result.CHANGED,
    Would.LEAVE: Result.LEFT,
    Would.REFUSE: Result.REFUSED,
    Would.PENDING: Result.PENDING,
    Would.WAITING: Result.PENDING,
    Would.AMBIGUOUS: Result.FAILED,
    Would.FAIL: Result.FAILED,
}
DECIDED = ResolutionRecord(ResolveCommand.MERGE)


@pytest.fixture
def small(tmp_path: Path) -> SmallWorld:
    return SmallWorld.build(tmp_path / "w")


def ahead(world: SmallWorld, keys: list[str], **asked: object) -> dict[str, Foreseen]:
    """What is foreseen for partitions of a small world."""
    items = world.ledger.work_items("default", keys)
    source = SmallSource(world.root / "pacs")
    return foretold(world.settings, items, world.options(**asked), source)


def told(world: SmallWorld, source: TellingSource, **asked: object) -> list[Foreseen]:
    """What is foreseen for a manifest of all that a source was told of, in that order."""
    keys = world.load(*source.holds)
    items = world.ledger.work_items("default", keys)
    return list(foretold(world.settings, items, world.options(**asked), source).values())


# -- each fate ---------------------------------------------------------------------------------


def test_an_accession_whose_study_is_there_would_be_processed_from_the_source(
    small: SmallWorld,
) -> None:
    (record,) = told(small, TellingSource({"ACC1": [study("a", {CT: 100})]}))
    assert record.words == "process from phase 03"
    assert (record.studies, record.instances, record.size) == (1, 100, 100_000)
    assert record.scratch == scratch_need(100_000)
    assert record.delivery == 100_000
    assert record.attention == ()
    assert record.patients == 1


def test_a_study_that_is_missing_or_there_twice_needs_attention(small: SmallWorld) -> None:
    two = [study("a", {CT: 10}, "one"), study("b", {CT: 5}, "one")]
    missing, ambiguous = told(small, TellingSource({"ACC1": [], "ACC2": two}))
    assert (missing.words, missing.attention) == ("pending", ("no study at the source",))
    assert ambiguous.words == "ambiguous (2 studies)"
    assert ambiguous.attention == ("2 studies at the source",)
    assert (ambiguous.instances, ambiguous.size, ambiguous.scratch) == (15, 0, 0)


def test_studies_of_different_patients_under_one_accession_are_told_apart(
    small: SmallWorld,
) -> None:
    source = TellingSource({"ACC1": [study("a", {CT: 1}, "one"), study("b", {CT: 1}, "other")]})
    (record,) = told(small, source)
    assert record.patients == 2
    assert record.attention == ("2 studies at the source", "2 patients")


def test_what_is_certain_to_be_withheld_is_counted_by_reason(small: SmallWorld) -> None:
    (record,) = told(small, TellingSource({"ACC1": [study("a", {CT: 60, SR: 30, ("", "SR"): 10})]}))
    assert dict(record.withheld) == {
        "modality not allowed": 10,
        "structured report without Clean Structured Content": 30,
    }
    assert record.instances_withheld == 40
    assert record.delivery == 60_000
    assert not record.all_withheld


def test_a_study_of_which_nothing_can_be_delivered_needs_attention(small: SmallWorld) -> None:
    (record,) = told(small, TellingSource({"ACC1": [study("a", {SR: 3})]}))
    assert record.words == "process from phase 03"
    assert record.all_withheld
    assert record.delivery == 0
    assert record.attention == ("every instance will be withheld",)


@pytest.mark.parametrize(("setting", "withheld"), [("withhold", 7), ("allow", 2)])
def test_a_study_of_two_patients_is_withheld_unless_the_policy_allows_it(
    small: SmallWorld, setting: str, withheld: int
) -> None:
    own = small.settings.workspace("default").model_copy(update={"several_patients": setting})
    small.settings = small.settings.model_copy(update={"workspaces": {"default": own}})
    (record,) = told(small, TellingSource({"A1": [study("a", {CT: 5, SR: 2}, "one", "two")]}))
    assert record.patients == 2
    assert record.instances_withheld == withheld
    assert record.all_withheld == (setting == "withhold")
    assert "2 patients" in record.attention


def test_an_error_about_one_accession_is_recorded_and_the_rest_goes_on(small: SmallWorld) -> None:
    broken = SourceError("It contains a wildcard.", "Correct the manifest.")
    source = TellingSource({"ACC1": broken, "ACC2": [study("a", {CT: 1})]})
    failed, fine = told(small, source)
    assert failed.words == "fail"
    assert failed.attention == ("It contains a wildcard. Correct the manifest.",)
    assert fine.words == "process from phase 03"


def test_a_source_that_is_gone_ends_it(small: SmallWorld) -> None:
    gone = SourceUnavailableError("Orthanc does not answer.", "Start it.")
    with pytest.raises(SourceUnavailableError, match="does not answer"):
        told(small, TellingSource({"ACC1": [study("a", {CT: 1})], "ACC2": gone}))


def test_a_study_that_goes_away_between_two_questions_does_not_end_it(small: SmallWorld) -> None:
    class Leaky(TellingSource):
        def overview(self, study: object) -> StudyOverview:
            raise StudyChangedError("The study has gone.", "Run it again.")

    two = [study("b", {CT: 1}), study("c", {CT: 1})]
    alone, ambiguous = told(small, Leaky({"ACC1": [study("a", {CT: 1})], "ACC2": two}))
    assert alone.words == "fail"
    assert (ambiguous.words, ambiguous.patients) == ("ambiguous (2 studies)", 0)


def test_a_subject_that_no_file_could_carry_is_foreseen_to_fail(small: SmallWorld) -> None:
    (key,) = small.load("ACC1", subject="R1")
    items = [replace(small.item(key), subject_id="R\\1")]
    source = TellingSource({"ACC1": [study("a", {CT: 1})]})
    (record,) = foretold(small.settings, items, None, source).values()
    assert record.would is Would.FAIL


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (ResolutionRecord(ResolveCommand.MERGE), "waiting"),
        (ResolutionRecord(ResolveCommand.DROP), "leave as it stands"),
        (ResolutionRecord(ResolveCommand.CHOOSE, "b", {"a": "x"}), "process from phase 03"),
    ],
)
def test_what_a_person_has_decided_about_several_studies_counts(
    small: SmallWorld, decision: ResolutionRecord, words: str
) -> None:
    source = TellingSource({"ACC1": [study("a", {CT: 1}), study("b", {CT: 2})]})
    (key,) = small.load("ACC1")
    item = small.item(key)
    small.ledger.resolve(item.accession_id, decision)
    (record,) = foretold(small.settings, [item], None, source).values()
    assert (record.words, record.attention) == (words, ())


def test_a_recalled_subject_would_be_refused(small: SmallWorld) -> None:
    small.put_study("ACC1")
    keys = small.load("ACC1", subject="R1")
    small.ledger.recall("default", "consent withdrawn", subject_id="R1")
    assert ahead(small, keys)[keys[0]].words == "refuse"


def test_an_accession_that_another_run_has_in_hand_is_marked(small: SmallWorld) -> None:
    small.put_study("ACC1")
    keys = small.load("ACC1")
    assert not ahead(small, keys)[keys[0]].busy
    small.ledger.claim(small.item(keys[0]).accession_id, "another", 60)
    assert ahead(small, keys)[keys[0]].busy


# -- interim files -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "words", "resumable"),
    [
        ("extract:recorded", "process from phase 04", ("raw",)),
        ("transform:recorded", "process from phase 05", ("deidentified",)),
    ],
)
def test_a_run_would_go_on_from_what_a_crash_has_left(
    small: SmallWorld, place: str, words: str, resumable: tuple[str, ...]
) -> None:
    small.put_study("ACC1", instances=3)
    keys = small.load("ACC1")
    assert small.killed(keys, place)

    record = ahead(small, keys)[keys[0]]
    assert (record.words, record.resumable, record.elsewhere) == (words, resumable, ())
    assert record.instances == 3
    assert record.size > 0
    assert record.delivery > 0
    assert ahead(small, keys, reprocess="force")[keys[0]].words == "process again from phase 03"
    assert ahead(small, keys, sweep="off")[keys[0]].words == "leave as it stands"

    done = [one for one in small.run(keys) if isinstance(one, PhaseDone)]
    resumed = [one.artifact.value for one in done if "resumed" in one.metadata]
    assert resumed == (["raw_dicom_zip"] if place[0] == "e" else ["raw_dicom_zip", *resumed[1:]])
    assert small.item(keys[0]).state is State.DELIVERED


def test_a_raw_zip_serves_when_the_source_has_forgotten_the_study(small: SmallWorld) -> None:
    small.put_study("ACC1", instances=2)
    keys = small.load("ACC1")
    assert small.killed(keys, "extract:recorded")
    small.drop_study("ACC1")
    record = ahead(small, keys)[keys[0]]
    assert (record.words, record.instances, record.studies) == ("process from phase 04", 2, 0)
    assert results(small.run(keys)) == {keys[0]: Result.DELIVERED}


def test_a_file_that_is_gone_or_was_cut_does_not_count(small: SmallWorld) -> None:
    small.put_study("ACC1")
    keys = small.load("ACC1")
    assert small.killed(keys, "extract:recorded")
    (raw,) = small.settings.scratch_dir.rglob("raw.zip")
    raw.write_bytes(raw.read_bytes()[:-1])
    assert ahead(small, keys)[keys[0]].words == "process from phase 03"
    raw.unlink()
    assert ahead(small, keys)[keys[0]].words == "process from phase 03"


def test_a_zip_that_was_made_under_other_settings_does_not_count(small: SmallWorld) -> None:
    small.put_study("ACC1")
    keys = small.load("ACC1")
    assert small.killed(keys, "transform:recorded")
    own = small.settings.workspace("default").model_copy(update={"policy": "research"})
    small.settings = small.settings.model_copy(update={"workspaces": {"default": own}})
    assert ahead(small, keys)[keys[0]].words == "process from phase 03"


def test_files_of_another_host_are_pointed_out(small: SmallWorld) -> None:
    small.put_study("ACC1")
    keys = small.load("ACC1")
    there = artifact(host="node7", made_from={"source": "x"})
    small.ledger.record_extracted(
        small.item(keys[0]).accession_id, there, source_study="a", source_fingerprint="f"
    )
    assert there.host != HOST
    record = ahead(small, keys)[keys[0]]
    assert (record.words, record.elsewhere) == ("process from phase 03", ("node7",))


# -- deliveries --------------------------------------------------------------------------------


def test_a_delivery_would_be_reported_as_done_or_as_changed_with_its_kinds(
    small: SmallWorld,
) -> None:
    for number in ("ACC1", "ACC2", "ACC3"):
        small.put_study(number)
    keys = small.load("ACC1", "ACC2", "ACC3")
    small.run(keys)
    small.put_study("ACC2", instances=2)
    for path in small.zips():
        if path == small.zips()[-1]:
            path.unlink()
            gone = path

    found = ahead(small, keys)
    assert sorted(record.words for record in found.values()) == [
        "report as changed (delivery; phase 05)",
        "report as changed (source; phase 03)",
        "report as done",
    ]
    assert found[keys[1]].kinds == (Kind.SOURCE,)
    assert found[keys[1]].phase is Phase.EXTRACT
    assert not gone.exists()
    assert all(record.size == record.scratch == 0 for record in found.values())

    found = ahead(small, keys, reprocess="preretire-only-changed")
    assert [record.words for record in found.values()].count("process again from phase 03") == 2
    found = ahead(small, keys, reprocess="force")
    assert {record.words for record in found.values()} == {"process again from phase 03"}


def test_a_finished_study_is_asked_for_once(small: SmallWorld) -> None:
    source = TellingSource({"ACC1": [study("a", {CT: 1})]})
    small.put_study("ACC1")
    keys = small.load("ACC1")
    small.run(keys)
    items = small.ledger.work_items("default", keys)
    (record,) = foretold(small.settings, items, small.options(reprocess="force"), source).values()
    assert record.would is Would.AGAIN
    assert source.asked == {"ACC1": 1}


# -- several rows that name one accession ------------------------------------------------------


@pytest.mark.parametrize("duplicates", [False, True])
@pytest.mark.parametrize("mode", [Reprocess.NONE, Reprocess.FORCE])
def test_rows_that_name_one_accession_are_seen_one_after_the_other(
    small: SmallWorld, mode: Reprocess, duplicates: bool
) -> None:
    small.put_study("ACC1")
    keys = [
        *small.load("ACC1", subject="R1"),
        *small.load("ACC1", subject="R1"),
        *small.load("ACC1", subject="R2"),
        *small.load("ACC1", subject="R1", imaging_type="MR"),
    ]
    options = small.options(reprocess=mode.value, allow_processing_of_duplicates=duplicates)
    found = ahead_with(small, keys, options)
    assert_as_foreseen(small, keys, options, found)
    if not duplicates:
        assert [found[key].would for key in keys] == [
            Would.PROCESS,
            Would.UNCHANGED,
            Would.CHANGED,
            Would.CHANGED,
        ]
        assert found[keys[3]].kinds == (Kind.ATTRIBUTES,)


def test_after_a_row_that_must_fail_the_next_one_is_tried(small: SmallWorld) -> None:
    source = TellingSource({"ACC1": [study("a", {SR: 1})]})
    keys = [*small.load("ACC1", subject="R1"), *small.load("ACC1", subject="R1")]
    items = small.ledger.work_items("default", keys)
    found = foretold(small.settings, items, None, source)
    assert {record.words for record in found.values()} == {"process from phase 03"}


# -- the same decision -------------------------------------------------------------------------


def ahead_with(world: SmallWorld, keys: list[str], options: RunOptions) -> dict[str, Foreseen]:
    items = world.ledger.work_items("default", keys)
    return foretold(world.settings, items, options, SmallSource(world.root / "pacs"))


def assert_as_foreseen(
    world: SmallWorld, keys: list[str], options: RunOptions, found: dict[str, Foreseen]
) -> None:
    """Run, and hold what happens against what was foreseen."""
    batch = world.batch()
    batch.options = options
    outcomes = list(batch.run(keys))
    expected = {key: ENDS[record.would] for key, record in found.items()}
    assert results(outcomes) == expected
    for end in outcomes:
        if isinstance(end, Finished) and end.result in (Result.CHANGED, Result.REFUSED):
            assert end.reason == found[end.partition_key].why


numbers = st.sampled_from(["ACC1", "ACC2", "ACC3"])
steps = st.one_of(
    st.tuples(st.just("arrives"), numbers, st.integers(1, 3)),
    st.tuples(st.just("second"), numbers, st.just(1)),
    st.tuples(st.just("goes"), numbers, st.just(1)),
    st.tuples(st.just("runs"), numbers, st.just(1)),
    st.tuples(st.just("killed"), numbers, st.integers(0, 3)),
    st.tuples(st.just("loads"), numbers, st.integers(1, 2)),
    st.tuples(st.just("recalls"), numbers, st.just(1)),
    st.tuples(st.just("resolves"), numbers, st.sampled_from([1, 2])),
)
PLACES = ("extract:recorded", "transform:recorded", "deliver:put", "deliver:recorded")


@given(
    history=st.lists(steps, max_size=7),
    mode=st.sampled_from(list(Reprocess)),
    sweep=st.sampled_from([Sweep.MANIFEST, Sweep.OFF]),
    duplicates=st.booleans(),
)
@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_after_any_history_a_run_does_what_was_foreseen(
    tmp_path_factory: pytest.TempPathFactory,
    history: list[tuple[str, str, int]],
    mode: Reprocess,
    sweep: Sweep,
    duplicates: bool,
) -> None:
    root = tmp_path_factory.mktemp("history") / "w"
    world = SmallWorld.build(root)
    keys = world.load("ACC1", "ACC2", "ACC3")
    for number in ("ACC1", "ACC2"):
        world.put_study(number)
    for what, number, count in history:
        _happens(world, keys, what, number, count)
    options = world.options(
        reprocess=mode.value, sweep=sweep.value, allow_processing_of_duplicates=duplicates
    )
    before = photograph(world.root / "pacs", world.root / "share", world.settings.scratch_dir)

    found = ahead_with(world, keys, options)

    after = photograph(world.root / "pacs", world.root / "share", world.settings.scratch_dir)
    assert after == before
    assert_as_foreseen(world, keys, options, found)
    world.ledger.close()
    shutil.rmtree(root)


def _happens(world: SmallWorld, keys: list[str], what: str, number: str, count: int) -> None:
    identity = next(
        item.accession_id
        for item in world.ledger.work_items("default", keys)
        if item.accession_number == number
    )
    match what:
        case "arrives":
            world.put_study(number, instances=count)
        case "second":
            world.put_study(number, "two")
        case "goes" if (world.root / "pacs" / number / "one").exists():
            world.drop_study(number)
        case "runs":
            world.run(keys)
        case "killed":
            world.killed(keys, PLACES[count])
        case "loads":
            keys += world.load(number, subject=f"R{count}")
        case "recalls":
            world.ledger.recall("default", "asked for", accession_id=identity)
        case "resolves":
            command = ResolveCommand.MERGE if count == 1 else ResolveCommand.DROP
            world.ledger.resolve(identity, ResolutionRecord(command))


def test_the_demo_s_studies_meet_the_fate_that_was_foreseen(world: World) -> None:
    """With the real source: what it says of its studies is what the engine then finds."""
    found = foretold(world.settings, world.items())

    ends = results(world.run())

    for item in world.items():
        record, end = found[item.partition_key], ends[item.partition_key]
        if item.accession_number == world.pacs.residue_accession:
            assert (record.would, end) == (Would.PROCESS, Result.FAILED)  # nobody could know
            continue
        assert ENDS[record.would] is end
        if end is not Result.DELIVERED:
            continue
        assert record.instances == item.instances
        withheld = world.ledger.withheld_by_reason([item.accession_id])
        assert {reason: withheld.get(reason) for reason, _ in record.withheld} == dict(
            record.withheld
        )
    item = world.item(world.pacs.withheld_accession)
    assert found[item.partition_key].instances_withheld > 0


def test_a_real_study_of_two_patients_is_withheld_as_foreseen(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    world = make_world()
    root = tmp_path / "pacs"
    shutil.copytree(world.pacs.root, root)
    own = world.settings.workspace("default")
    source = own.source.model_copy(update={"path": root})
    own = own.model_copy(update={"source": source})
    world.settings = world.settings.model_copy(update={"workspaces": {"default": own}})
    item = world.whole()
    dataset = pydicom.dcmread(min(root.glob(f"*/{item.accession_number}_*/**/*.dcm")))
    dataset.PatientID = "ANOTHER"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.save_as(root / "of-another.dcm")

    record = foretold(world.settings, [item])[item.partition_key]
    assert record.patients == 2
    assert record.all_withheld
    ends = results(world.run([item.partition_key]))
    assert ends == {item.partition_key: Result.FAILED}
    withheld = world.ledger.withheld_by_reason([item.accession_id])
    assert dict(record.withheld) == withheld
    assert TWO_PATIENTS in withheld


@pytest.mark.orthanc
def test_orthanc_says_beforehand_what_the_engine_then_finds(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    """By several threads, each with a source of its own."""
    world = make_world()
    with OrthancServer(tmp_path / "orthanc") as orthanc:
        orthanc.upload_folder(world.pacs.root)
        own = world.settings.workspace("default")
        own = own.model_copy(update={"source": OrthancSourceSettings(url=orthanc.url)})
        world.settings = world.settings.model_copy(update={"workspaces": {"default": own}})
        found = foretold(world.settings, world.items())
        chosen_ones = [world.pacs.withheld_accession, world.pacs.missing_accession]
        keys = [world.item(number).partition_key for number in chosen_ones]
        ends = results(world.run(keys))
    assert {key: ENDS[found[key].would] for key in keys} == ends
    withheld = world.item(world.pacs.withheld_accession)
    assert found[keys[0]].instances == withheld.instances
    assert dict(found[keys[0]].withheld)
    counted = world.ledger.withheld_by_reason([withheld.accession_id])
    assert dict(found[keys[0]].withheld).items() <= counted.items()
    assert {record.patients for record in found.values() if record.works} == {1}


# -- many --------------------------------------------------------------------------------------


def test_several_threads_give_the_same_answers_in_the_same_order(small: SmallWorld) -> None:
    holds = {f"ACC{n:03d}": [study(str(n), {CT: n % 7, MR: 1})] if n % 5 else [] for n in range(60)}
    keys = small.load(*holds)
    items = small.ledger.work_items("default", keys)
    made: list[TellingSource] = []

    def another() -> TellingSource:
        made.append(TellingSource(holds))
        return made[-1]

    with looking(small.settings, TellingSource(holds)) as parts:
        alone = list(preflight(items, parts, small.options()))
        parts.another_source = another
        together = list(preflight(items, parts, small.options(), threads=3))
    assert together == alone
    assert [record.partition_key for record in together] == keys
    assert 1 <= len(made) <= 3
    assert all(len(source.threads) == 1 and source.closed for source in made)
    assert sum(sum(source.asked.values()) for source in made) == len(items)


def test_a_source_that_goes_away_ends_all_threads(small: SmallWorld) -> None:
    gone = SourceUnavailableError("Orthanc does not answer.", "Start it.")
    source = TellingSource({f"ACC{n}": gone for n in range(30)})
    items = small.ledger.work_items("default", small.load(*source.holds))
    with looking(small.settings, source) as parts:
        parts.another_source = lambda: source
        with pytest.raises(SourceUnavailableError):
            list(preflight(items, parts, small.options(), threads=3))
    assert sum(source.asked.values()) < 30


def test_what_is_chosen_holds_what_a_run_would_go_on_with(small: SmallWorld) -> None:
    small.put_study("ACC1")
    first, second = small.load("ACC1", name="first"), small.load("ACC2", name="second")
    assert small.killed(first, "extract:recorded")
    wanted = Selection(manifests=("second",))
    with looking(small.settings) as parts:
        items, unknown = chosen(parts, wanted, small.options())
        assert [item.partition_key for item in items] == second
        assert unknown == []
        items, _ = chosen(parts, wanted, small.options(sweep="workspace"))
        assert [item.partition_key for item in items] == [*second, *first]


def test_a_record_shows_no_accession_number_of_its_own_accord(small: SmallWorld) -> None:
    (record,) = told(small, TellingSource({"ACC4711X": [study("a", {CT: 1})]}))
    assert "4711" not in repr(record)
    assert record.accession_number == "ACC4711X"
