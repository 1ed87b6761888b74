"""Plans for accessions with several studies: what they say, when they are refused, what they do."""

from __future__ import annotations

import csv
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import update

from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.claims import ClaimLostError
from locutus_dagster.ledger.resolutions import ResolutionRecord, ResolveCommand
from locutus_dagster.ledger.schema import ManifestRow
from locutus_dagster.ledger.work import WorkItem
from locutus_dagster.pipeline.parts import Parts, build_parts
from locutus_dagster.pipeline.resolution_commands import short_handle
from locutus_dagster.pipeline.resolution_files import PlanFileError, read_plan, write_plan
from locutus_dagster.pipeline.resolution_plans import (
    Applied,
    Plan,
    PlanEntry,
    PlanRow,
    apply_plan,
    make_plan,
)
from locutus_dagster.sources.base import (
    FetchReceipt,
    FoundStudy,
    InstanceSink,
    SourceError,
    SourceUnavailableError,
    StudyChangedError,
    StudyOverview,
)
from locutus_dagster_tests.ledger.rows import add_items, artifact
from locutus_dagster_tests.pipeline.small_world import SmallWorld

START = datetime(2026, 3, 1, 8, 15, tzinfo=timezone.utc)
CT = "1.2.840.10008.5.1.4.1.1.2"
ACC, OTHER = "ACC-4711-SECRET", "ACC-4712-SECRET"
MORE = [f"ACC-48{number:02d}-SECRET" for number in range(4)]
DROP = ResolveCommand.DROP.value
ONE, TWO, THREE = "pacs-handle-one", "pacs-handle-two", "pacs-handle-three"


def study(handle: str, day: int = 0, *, fingerprint: str = "") -> FoundStudy:
    return FoundStudy(handle, 3, 1_500_000, fingerprint or handle, START + timedelta(days=day))


class ScriptedSource:
    """A source that holds what a test says, and can be asked no more than it says."""

    def __init__(self) -> None:
        self.studies: dict[str, list[FoundStudy]] = {}
        self.overviews: dict[str, StudyOverview] = {}
        self.faults: dict[str, SourceError] = {}
        self.asked: list[str] = []

    def check(self) -> dict[str, str]:
        return {}

    def find(self, accession_number: str) -> list[FoundStudy]:
        self.asked.append(accession_number)
        if accession_number in self.faults:
            raise self.faults[accession_number]
        return list(self.studies.get(accession_number, []))

    def overview(self, found: FoundStudy) -> StudyOverview:
        if found.source_id in self.faults:
            raise self.faults[found.source_id]
        return self.overviews.get(found.source_id, StudyOverview(2, {(CT, "CT"): 3}, ("p1",)))

    def fetch(self, found: FoundStudy, sink: InstanceSink) -> FetchReceipt:
        raise AssertionError("nothing is fetched for a plan")

    def close(self) -> None:
        pass


@pytest.fixture
def world(tmp_path: Path) -> SmallWorld:
    made = SmallWorld.build(tmp_path / "world")
    made.load(ACC, OTHER, *MORE, name="batch")
    return made


@pytest.fixture
def source() -> ScriptedSource:
    """A source that holds two studies for each accession."""
    made = ScriptedSource()
    made.studies = {number: [study(ONE), study(TWO, 1)] for number in (ACC, OTHER, *MORE)}
    return made


@pytest.fixture
def parts(world: SmallWorld, source: ScriptedSource) -> Iterator[Parts]:
    made = build_parts(world.settings, "default")
    made.source = source
    yield made
    made.close()


def items(parts: Parts) -> list[WorkItem]:
    return parts.ledger.manifest_items("default", "batch")


def plan(parts: Parts, command: ResolveCommand | None = None, choose: str | None = None) -> Plan:
    """A plan for the first two accessions."""
    return make_plan(parts, items(parts)[:2], command, choose)


def first(parts: Parts, command: ResolveCommand | None = None, choose: str = "") -> PlanEntry:
    return make_plan(parts, items(parts)[:1], command, choose).entries[0]


def decide(parts: Parts, command: ResolveCommand, choose: str = "") -> Applied:
    """Plan a command for the first accession, and carry it out."""
    return apply_plan(parts, [first(parts, command, choose).row])[0]


def state(parts: Parts) -> State:
    return items(parts)[0].state


# -- what a plan says --------------------------------------------------------------------------


def test_a_plan_shows_the_studies_without_identifying_anybody(
    parts: Parts, source: ScriptedSource
) -> None:
    source.overviews[TWO] = StudyOverview(1, {(CT, "CT"): 2, ("", "DOE^JANE"): 1}, ("p1",))

    entry = first(parts)

    one, two = entry.candidates
    assert (one.handle_short, one.series, one.modalities) == (short_handle(ONE), 2, ("CT",))
    assert (one.instances, one.size, one.changed_at) == (3, 1_500_000, START)
    assert (one.newest, two.newest) == (False, True)
    assert two.modalities == ("CT", "other")
    assert entry.problem == "No command."
    for secret in (ACC, ONE, TWO, "DOE", "p1"):
        assert secret not in repr(entry)


def test_making_a_plan_changes_nothing(parts: Parts) -> None:
    before = items(parts)

    plan(parts, ResolveCommand.NEWEST)

    assert items(parts) == before
    assert parts.ledger.resolution(before[0].accession_id) is None


def test_two_patients_under_one_accession_are_said_and_the_newest_is_not_taken(
    parts: Parts, source: ScriptedSource
) -> None:
    source.overviews[TWO] = StudyOverview(1, {(CT, "CT"): 3}, ("p0",))
    entry = first(parts, ResolveCommand.NEWEST)

    assert entry.warning == "2 PATIENTS UNDER ONE ACCESSION"
    assert [one.patients for one in entry.candidates] == ["B", "A"]
    assert "different patients" in entry.problem
    refused = apply_plan(parts, [replace(entry.row, via="CONSOLIDATE_LOCALLY")])[0]
    assert refused.refused
    assert "different patients" in refused.why
    assert decide(parts, ResolveCommand.CHOOSE, short_handle(ONE)).done


def test_which_study_is_the_newest_is_never_guessed(parts: Parts, source: ScriptedSource) -> None:
    for other in (study(TWO, 1), replace(study(TWO), changed_at=None)):
        source.studies[ACC] = [study(ONE, 1), other]

        entry = first(parts, ResolveCommand.NEWEST)

        assert "undecided" in entry.problem
        assert not any(one.newest for one in entry.candidates)


def test_a_study_can_be_chosen_by_its_short_handle_or_by_the_source_s_own(parts: Parts) -> None:
    for written in (short_handle(TWO), short_handle(TWO).upper(), TWO):
        entry = first(parts, ResolveCommand.CHOOSE, written)
        assert entry.via == f"CHOOSE_LOCALLY:uuid={short_handle(TWO)}"
        assert TWO not in repr(entry)
    assert "not among those" in first(parts, ResolveCommand.CHOOSE, THREE).problem


def test_the_manifest_s_own_command_is_read_and_never_quoted(parts: Parts) -> None:
    for written, problem in (
        ("merge_AT_radiology", ""),
        (f"CHOOSE_LOCALLY : uuid = {ONE}", ""),
        ("CHOOSE_LOCALLY", "There is no such command."),
        (f"TAKE {ACC}", "There is no such command."),
        ("", "No command."),
    ):
        with parts.ledger.session() as session:
            session.execute(update(ManifestRow).values(resolve_via=written))

        entry = first(parts)

        assert entry.problem.startswith(problem)
        assert bool(entry.problem) == bool(problem)
        assert ACC not in repr(entry)
        assert ONE not in repr(entry)


def test_an_accession_with_no_more_than_one_study_needs_no_decision(
    parts: Parts, source: ScriptedSource
) -> None:
    for studies in ([], [study(ONE)]):
        source.studies[ACC] = studies
        for command in ResolveCommand:
            assert "nothing to decide" in first(parts, command, ONE).problem


def test_a_source_that_cannot_tell_about_one_accession_spoils_the_plan_of_no_other(
    parts: Parts, source: ScriptedSource
) -> None:
    source.faults[ACC] = SourceError("It stutters.", "Ask again.")
    source.studies[OTHER] = [study(ONE), study(THREE, 1)]

    one, other = plan(parts, ResolveCommand.NEWEST).entries
    assert (one.problem, one.command, one.candidates) == ("It stutters. Ask again.", None, ())
    assert other.command is ResolveCommand.NEWEST

    source.faults = {THREE: StudyChangedError("It has gone.")}
    assert plan(parts, ResolveCommand.NEWEST).entries[1].problem == "It has gone."
    source.faults = {ACC: SourceUnavailableError("The PACS has gone.")}
    with pytest.raises(SourceUnavailableError):
        plan(parts)


# -- carrying it out ---------------------------------------------------------------------------


def test_each_command_leads_to_its_state_and_twice_is_as_once(parts: Parts) -> None:
    led_to = {
        ResolveCommand.CHOOSE: State.REQUESTED,
        ResolveCommand.NEWEST: State.REQUESTED,
        ResolveCommand.MERGE: State.WAITING,
        ResolveCommand.RESEND: State.WAITING,
        ResolveCommand.DROP: State.DROPPED,
        ResolveCommand.DROP_FROM_STAGE: State.PENDING,
    }
    for command, item in zip(ResolveCommand, items(parts), strict=True):
        entry = make_plan(parts, [item], command, short_handle(ONE)).entries[0]

        done = apply_plan(parts, [entry.row])[0]

        assert (done.done, done.refused, done.why) == (True, False, entry.consequence)
        assert parts.ledger.state_of(item.accession_id) is led_to[command]
        again = apply_plan(parts, [entry.row])[0]
        assert (again.done, again.why) == (True, "It was applied before; nothing was changed.")
        assert len(parts.ledger.resolutions(item.accession_id)) == 1


def test_a_line_whose_studies_have_changed_is_refused_and_the_others_are_carried_out(
    parts: Parts, source: ScriptedSource
) -> None:
    rows = [entry.row for entry in plan(parts, ResolveCommand.NEWEST).entries]
    source.studies[ACC][0] = study(ONE, fingerprint="an instance more")

    stale, done = apply_plan(parts, rows)

    assert stale.refused
    assert "not those that the plan was made for" in stale.why
    assert done.done
    assert [item.state for item in items(parts)][:2] == [State.LOADED, State.REQUESTED]
    assert parts.ledger.resolution(items(parts)[0].accession_id) is None


def test_any_change_of_the_studies_makes_a_line_stale(parts: Parts, source: ScriptedSource) -> None:
    row = first(parts, ResolveCommand.MERGE).row
    for now in (
        [study(ONE)],
        [study(ONE), study(TWO, 1), study(THREE, 2)],
        [study(ONE), study(TWO, 2)],
        [study(ONE), study(THREE, 1)],
        [],
    ):
        source.studies[ACC] = now
        assert apply_plan(parts, [row])[0].refused
    source.studies[ACC] = [study(TWO, 1), study(ONE)]  # in another order they are the same
    assert apply_plan(parts, [row])[0].done


def test_a_line_is_stale_when_somebody_has_decided_since(parts: Parts) -> None:
    mine, theirs = first(parts, ResolveCommand.NEWEST), first(parts, ResolveCommand.DROP)
    assert apply_plan(parts, [theirs.row])[0].done

    refused = apply_plan(parts, [mine.row])[0]

    assert refused.refused
    assert "another command" in refused.why
    assert decide(parts, ResolveCommand.MERGE).done
    late = apply_plan(parts, [mine.row])[0]
    assert late.refused
    assert "Something else has been decided" in late.why
    assert state(parts) is State.WAITING


def test_a_line_of_another_accession_or_workspace_does_not_fit(parts: Parts) -> None:
    one, other = plan(parts, ResolveCommand.NEWEST).entries

    swapped = [replace(one.row, fingerprint=other.fingerprint), PlanRow("nosuch~000001", "", "")]
    swapped += [PlanRow("nosuch~000001", "DELETE_SCAN_LOCALLY", "plan:0-0")]

    refused, blank, unknown = apply_plan(parts, swapped)
    assert (refused.refused, unknown.refused) == (True, True)
    assert (blank.done, blank.refused) == (False, False)
    assert "no such partition" in unknown.why


def test_a_line_without_a_command_is_left_and_a_wrong_one_refused(
    parts: Parts, source: ScriptedSource
) -> None:
    entry = first(parts)

    blank, wrong, absent = apply_plan(
        parts,
        [
            entry.row,
            replace(entry.row, via=f"USE {ACC}"),
            replace(entry.row, via="CHOOSE_LOCALLY:uuid=00000000"),
        ],
    )

    assert (blank.done, blank.refused) == (False, False)
    assert wrong.refused
    assert ACC not in wrong.why
    assert absent.refused
    assert state(parts) is State.LOADED


def test_what_a_run_has_in_hand_is_not_decided(parts: Parts) -> None:
    row = first(parts, ResolveCommand.NEWEST).row
    parts.ledger.claim(items(parts)[0].accession_id, "another worker", 60)

    refused = apply_plan(parts, [row])[0]

    assert refused.refused
    assert "A run has it in hand." in refused.why
    assert state(parts) is State.LOADED


def test_a_decision_under_a_claim_that_was_lost_is_not_kept(parts: Parts) -> None:
    row = first(parts, ResolveCommand.NEWEST).row
    identity = items(parts)[0].accession_id
    find = parts.source.find

    def slow(accession_number: str) -> Sequence[FoundStudy]:
        parts.ledger.release(identity, parts.claimant.owner)
        parts.ledger.claim(identity, "another worker", 60)
        return find(accession_number)

    parts.source.find = slow  # type: ignore[method-assign,assignment]

    assert apply_plan(parts, [row])[0].refused
    assert parts.ledger.resolution(identity) is None
    assert state(parts) is State.LOADED


def test_nothing_is_decided_about_what_has_been_recalled(parts: Parts) -> None:
    row = first(parts, ResolveCommand.NEWEST).row
    parts.ledger.recall("default", "consent withdrawn", subject_id=items(parts)[0].subject_id)

    assert "It has been recalled." in first(parts, ResolveCommand.NEWEST).problem
    assert "It has been recalled." in apply_plan(parts, [row])[0].why
    assert parts.ledger.resolution(items(parts)[0].accession_id) is None


def test_a_source_that_has_gone_is_not_asked_about_every_line(
    parts: Parts, source: ScriptedSource
) -> None:
    rows = [entry.row for entry in plan(parts, ResolveCommand.NEWEST).entries]
    source.faults[ACC] = SourceUnavailableError("The PACS has gone.", "Look after it.")
    source.asked.clear()

    ended = apply_plan(parts, rows)

    assert [line.why for line in ended] == ["The PACS has gone. Look after it."] * 2
    assert all(line.refused for line in ended)
    assert source.asked == [ACC]


class CrashError(Exception):
    """Stands for the end of a process: nothing that handles errors catches it."""


def test_a_crash_between_the_decision_and_the_state_is_made_up_for(parts: Parts) -> None:
    def crash(place: str) -> None:
        if place == "resolve:recorded":
            raise CrashError

    carry_on = parts.checkpoint
    for command, item in zip(ResolveCommand, items(parts), strict=True):
        row = make_plan(parts, [item], command, short_handle(TWO)).entries[0].row
        parts.checkpoint = crash
        with pytest.raises(CrashError):
            apply_plan(parts, [row])
        assert parts.ledger.state_of(item.accession_id) is State.LOADED
        parts.checkpoint = carry_on

        again = apply_plan(parts, [row])[0]

        assert (again.done, again.why) == (True, "It was begun before, and is finished now.")
        assert parts.ledger.state_of(item.accession_id) is not State.LOADED
        assert len(parts.ledger.resolutions(item.accession_id)) == 1
        assert "applied before" in apply_plan(parts, [row])[0].why


def test_what_was_made_of_a_study_is_not_resumed_after_a_decision(parts: Parts) -> None:
    for command, item in zip(ResolveCommand, items(parts), strict=True):
        with parts.interim.claim("default", item.accession_id) as room:
            room.raw_zip.write_bytes(b"identified")
            room.deidentified_zip.write_bytes(b"of the wrong study")
        parts.ledger.record_extracted(
            item.accession_id, artifact(), source_study=ONE, source_fingerprint="1"
        )
        entry = make_plan(parts, [item], command, short_handle(TWO)).entries[0]

        assert apply_plan(parts, [entry.row])[0].done

        assert not parts.interim.folder("default", item.accession_id).exists()
        assert parts.ledger.artifacts(item.accession_id) == []


def test_of_two_rows_for_one_accession_the_first_decides(world: SmallWorld, parts: Parts) -> None:
    world.load(ACC, name="second")
    both = [items(parts)[0], parts.ledger.manifest_items("default", "second")[0]]
    assert both[0].accession_id == both[1].accession_id

    one, two = make_plan(parts, both, ResolveCommand.NEWEST).entries
    done, same, other = apply_plan(parts, [one.row, two.row, replace(two.row, via=DROP)])

    assert (done.done, same.done, other.refused) == (True, True, True)
    assert len(parts.ledger.resolutions(one.accession_id)) == 1
    assert state(parts) is State.REQUESTED


def test_a_decision_takes_the_place_of_the_one_before_it(ledger: Ledger) -> None:
    (item,) = add_items(ledger, ACC)
    assert ledger.claim(item.accession_id, "me", 60)
    for command in (ResolveCommand.MERGE, ResolveCommand.DROP):
        made = ResolutionRecord(command, None, {ONE: "1"}, "plan:x")
        ledger.resolve(item.accession_id, made, owner="me")
    with pytest.raises(ClaimLostError):
        ledger.resolve(item.accession_id, ResolutionRecord(ResolveCommand.RESEND), owner="you")

    standing = ledger.resolution(item.accession_id)

    assert standing is not None
    assert (standing.command, standing.passed_over) == (ResolveCommand.DROP, {ONE: "1"})
    assert [one.identity for one in ledger.resolutions(item.accession_id)][-1] == standing.identity


# -- as a file ---------------------------------------------------------------------------------


def test_a_plan_survives_its_file_and_is_its_owner_s_alone(parts: Parts, tmp_path: Path) -> None:
    made = plan(parts, ResolveCommand.CHOOSE, TWO)
    path = tmp_path / "plan.csv"

    write_plan(path, made)

    assert [replace(row, line=None) for row in read_plan(path)] == [e.row for e in made.entries]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    for secret in (ACC, OTHER, ONE, TWO):
        assert secret not in text
    row = next(csv.DictReader(text.splitlines()))
    assert row["STUDIES"] == f"{short_handle(ONE)} | {short_handle(TWO)}"
    assert row["LAST_CHANGES"] == "2026-03-01 08:15:00 UTC | 2026-03-02 08:15:00 UTC"
    assert row["CONSEQUENCE"] == made.entries[0].consequence


def test_a_plan_never_takes_the_place_of_a_file(parts: Parts, tmp_path: Path) -> None:
    path = tmp_path / "plan.csv"
    path.write_text("what somebody has edited")

    with pytest.raises(PlanFileError):
        write_plan(path, plan(parts))
    assert path.read_text() == "what somebody has edited"
    with pytest.raises(PlanFileError):
        write_plan(tmp_path / "nosuch" / "plan.csv", plan(parts))


def test_a_plan_that_a_spreadsheet_has_saved_is_read(parts: Parts, tmp_path: Path) -> None:
    entry = first(parts)
    saved = tmp_path / "saved.csv"
    saved.write_bytes(
        b"\xef\xbb\xbfFINGERPRINT;PARTITION_KEY;RESOLVE_VIA;NOTES\r\n"
        + f"{entry.fingerprint};{entry.partition_key}; CONSOLIDATE_LOCALLY ;a, b\r\n".encode()
        + b";;;\r\n"
    )

    rows = read_plan(saved)

    assert rows == [PlanRow(entry.partition_key, "CONSOLIDATE_LOCALLY", entry.fingerprint, 2)]
    assert apply_plan(parts, rows)[0].done


def test_what_is_no_plan_is_refused_without_quoting_it(tmp_path: Path) -> None:
    path = tmp_path / "plan.csv"
    with pytest.raises(PlanFileError):
        read_plan(path)
    for content in (
        b"",
        b"SUBJECT_ID,ACCESSION_NUM\nR1,ACC-4711-SECRET\n",
        b"PARTITION_KEY,RESOLVE_VIA\nbatch~000001,ACC-4711-SECRET\n",
        b"PARTITION_KEY,RESOLVE_VIA,FINGERPRINT\nACC-4711-SECRET\n",
        b'PARTITION_KEY,RESOLVE_VIA,FINGERPRINT\n"ACC-4711-SECRET"x,,\n',
        b"\xff\xfe\x00",
    ):
        path.write_bytes(content)
        with pytest.raises(PlanFileError) as failure:
            read_plan(path)
        assert ACC not in str(failure.value)
