"""Reports of what is loaded: rows, counts, the past, the pace, and the source's side."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.resolutions import ResolutionRecord, ResolveCommand
from locutus_dagster.ledger.schema import Manifest
from locutus_dagster.ledger.selection import Selection
from locutus_dagster.ledger.stage_records import Sighting
from locutus_dagster.sources.base import FoundStudy, SourceUnavailableError, StudyChangedError
from locutus_dagster.sources.base import StudyOverview as Overview
from locutus_dagster.summarizer.expanding import expand
from locutus_dagster.summarizer.gathering import SummaryError, summarize
from locutus_dagster.summarizer.history import MOST_POINTS
from locutus_dagster.summarizer.model import Failure, Line, Summary
from locutus_dagster_tests.ledger.rows import add_items
from locutus_dagster_tests.manifests.files import row
from locutus_dagster_tests.summarizer.site import bring, deliver, item, load, move_events

_NUMBERS = itertools.count(1)


def buckets(summary: Summary) -> dict[str, int]:
    """The buckets that are not empty."""
    return {one.label: one.count for one in summary.buckets if one.count}


def add_up(summary: Summary) -> bool:
    """Whether every row is counted once."""
    counted = sum(one.count for one in summary.buckets) + len(summary.not_found)
    return counted == summary.rows == sum(one.count for one in summary.grouped)


def counts(summary: Summary) -> dict[str, object]:
    """All that a detailed report and an overview must agree about."""
    names = ("rows", "duplicates", "with_text", "workspace_accessions", "rejected", "grouped")
    more = ("states", "failures", "history", "work", "work_width", "pace", "eta", "manifests")
    found = {name: getattr(summary, name) for name in (*names, *more)}
    return {**found, "buckets": [(one.label, one.count) for one in summary.buckets]}


def line(summary: Summary, accession_number: str) -> Line:
    return next(one for one in summary.lines if one.accession_number == accession_number)


@pytest.fixture
def every_state(ledger: Ledger, tmp_path: Path) -> Ledger:
    """A manifest with an accession in every state, a duplicate, and a row that was rejected."""
    rows = [row(subject=f"S{n}", accession=f"A{n}") for n, _ in enumerate(State)]
    items = load(
        ledger,
        tmp_path,
        *rows,
        row(subject="S0", accession="A0", position="CHEST"),
        row(subject="S99", accession="A99", age="12 years"),
        name="all",
    )
    for one, state in zip(items, State, strict=True):
        bring(ledger, one, state, reason="two patients in one study")
    return ledger


def test_every_state_is_told_and_counted_in_the_references_words(every_state: Ledger) -> None:
    made = summarize(every_state, "ws")
    assert buckets(made) == {
        "PENDING_CHANGE": 1,
        "PENDING_CHANGE_RADIOLOGY_MERGE": 1,
        "PROCESSED": 1,
        "PROCESSING_CHANGE[*]": 2,
        "ZZZ-ONDECK-4-PROCESSING_CHANGE[*]": 2,
        "ERROR_MULTIPLE_CHANGE_UUIDS[*]": 1,
        "ERROR[*] (other errors)": 1,
        "RE-PROCESSING_CHANGE[*]": 1,
        "RESOLVED_MULTIUUIDS[*]": 1,
        "RECALLED": 1,
        "REJECTED": 1,
    }
    assert (made.rows, made.duplicates, made.rejected) == (13, 1, 1)
    assert made.with_text == 12
    assert made.workspace_accessions == 11
    assert made.states == {**dict.fromkeys(State, 1), State.LOADED: 2}
    assert made.failures == (Failure(4, "two patients in one study", 1),)
    assert made.title == "Workspace ws"
    assert add_up(made)


def test_an_overview_counts_what_the_lines_of_a_detailed_report_add_up_to(
    every_state: Ledger,
) -> None:
    at = datetime.now(timezone.utc)
    detailed = summarize(every_state, "ws", now=at)
    overview = summarize(every_state, "ws", detailed=False, now=at)
    assert counts(overview) == counts(detailed)
    assert overview.lines == ()
    assert Counter(one.bucket for one in detailed.lines) == buckets(detailed)
    errors = next(one for one in overview.buckets if one.label.startswith("ERROR[*]"))
    assert errors.note == "ERROR_PHASE04=[two patients in one study]"


def test_a_line_says_what_stands_in_the_row_and_what_became_of_it(every_state: Ledger) -> None:
    made = summarize(every_state, "ws")
    first, *_, repeated, bad = made.lines
    assert (first.manifest, first.row_number, first.line) == ("all", 1, 2)
    assert first.partition_key == "all~000001"
    assert (first.subject_id, first.imaging_type, first.age) == ("S0", "CT", "4000")
    assert (repeated.accession_number, repeated.duplicate) == ("A0", True)
    assert repeated.partition_key is None
    assert repeated.status == first.status == "ZZZ-ONDECK-4-PROCESSING_CHANGE"
    assert bad.status == "REJECTED=[AGE_AT_IMAGING_(DAYS): not a number of days]"
    assert (bad.accession_number, bad.state, bad.line) == ("A99", None, 14)
    delivered = next(one for one in made.lines if one.state is State.DELIVERED)
    assert delivered.status == "PROCESSED"
    assert delivered.targets[0].endswith(f"/{delivered.file_name}")
    assert delivered.file_name.endswith(".zip")
    assert delivered.target_names == ("share",)
    assert (delivered.instances, delivered.delivered, delivered.withheld) == (3, 5, 2)
    assert delivered.processed_at is not None
    assert abs(made.as_of - delivered.processed_at) < timedelta(minutes=1)
    assert delivered.last_change is not None
    assert list(made.lines) == list(made.lines)  # each form reads them again
    assert "A99" not in repr(made)


def test_attributes_that_differ_from_the_delivery_are_told_before_a_run_notes_them(
    ledger: Ledger, tmp_path: Path
) -> None:
    first = load(ledger, tmp_path, row(accession="A1"), row(subject="S2", accession="A2"))
    for one in first:
        deliver(ledger, one)
    again = (
        row(subject="S9", accession="A1"),
        row(subject="S2", accession="A2", position="CHEST"),
        row(subject="S2", accession="A2"),
    )
    second = load(ledger, tmp_path, *again, name="again")
    ledger.note_changed(second[0].row_id, "subject,policy")
    made = summarize(ledger, "ws", manifests=["again"])
    one, two, three = made.lines
    assert one.changed == ("subject", "policy")
    assert one.status == (
        "PREVIOUS_PROCESSING_USED_[S1/CT/4000/HEAD]_PRERETIRE_OR_PREDELETE_TO_REPROCESS_"
        "[S9/CT/4000/HEAD/CFGs:policy]"
    )
    assert two.changed == ("attributes",)
    assert two.status.endswith("[S2/CT/4000/CHEST]")
    assert (three.changed, three.status, three.duplicate) == ((), "PROCESSED", True)
    assert buckets(made) == {"PREVIOUS_PROCESSING_USED_[*]": 2, "PROCESSED": 1}
    assert counts(summarize(ledger, "ws", manifests=["again"], detailed=False, now=made.as_of)) == (
        counts(made)
    )
    assert not any("S9" in group.label for group in made.grouped)  # a text for each row else


def test_what_a_run_noted_of_attributes_is_over_when_a_delivery_settles_it(
    ledger: Ledger, tmp_path: Path
) -> None:
    first, second = (load(ledger, tmp_path, row(accession="A1"))[0] for _ in range(2))
    deliver(ledger, first)
    ledger.note_changed(second.row_id, "attributes,key")
    assert {one.changed for one in summarize(ledger, "ws").lines} == {(), ("key",)}


def test_pending_commands_labels_and_work_in_hand_show_in_the_status(
    ledger: Ledger, tmp_path: Path
) -> None:
    rows = [row(accession=f"{n}") for n in range(4)]
    waiting, busy, labelled, _ = load(ledger, tmp_path, *rows, row(accession="007"))[:4]
    bring(ledger, waiting, State.WAITING)
    ledger.resolve(waiting.accession_id, ResolutionRecord(ResolveCommand.RESEND))
    ledger.claim(busy.accession_id, "here|1", 60)
    bring(ledger, labelled, State.REQUESTED, label="week 3")
    made = summarize(ledger, "ws")
    assert [one.status for one in made.lines[:3]] == [
        "PENDING_CHANGE_RADIOLOGY_RESEND",
        "PROCESSING_CHANGE_at_PHASE03c_Downloading_from_Orthanc",
        "RE-PROCESSING_CHANGE_MOMENTARILY:week 3",
    ]
    assert made.lines[2].label == "week 3"
    assert made.with_text == 1  # leading zeros
    overview = summarize(ledger, "ws", detailed=False, now=made.as_of)
    assert (overview.grouped, overview.with_text) == (made.grouped, 1)


def test_a_report_is_about_the_manifests_and_the_selection_that_are_named(
    every_state: Ledger, tmp_path: Path
) -> None:
    load(every_state, tmp_path, row(accession="B1"), row(accession="B1"), name="other")
    other = summarize(every_state, "ws", manifests=["other"])
    assert (other.rows, other.duplicates, other.workspace_accessions) == (2, 1, 12)
    assert other.manifests == ("other",)
    assert other.title == "Manifest other of workspace ws"
    assert sum(other.history[-1].states.values()) == 1
    failed = Selection(states=frozenset({State.FAILED}))
    for detailed in (True, False):
        some = summarize(every_state, "ws", selection=failed, detailed=detailed)
        assert (some.rows, some.states, some.title) == (
            1,
            {State.FAILED: 1},
            "Workspace ws, filtered",
        )
        assert sum(some.history[-1].states.values()) == 1
    with pytest.raises(SummaryError, match=r"no manifest named 'spring' \(manifests: all, other\)"):
        summarize(every_state, "ws", manifests=["spring"])


def test_the_past_ends_with_how_accessions_stand_and_shows_how_they_came_there(
    ledger: Ledger, tmp_path: Path
) -> None:
    rows = [row(subject=f"S{n}", accession=f"A{n}") for n in range(3)]
    delivered, failed, _ = load(ledger, tmp_path, *rows)
    now = datetime(2026, 11, 22, 12, 30, tzinfo=timezone.utc)
    with ledger.session() as session:
        session.execute(update(Manifest).values(loaded_at=now - timedelta(hours=50)))
    deliver(ledger, delivered)
    hours = (timedelta(hours=n) for n in (20.2, 20.1, 20))
    move_events(ledger, delivered, *(now - ago for ago in hours))
    for _ in range(3):
        bring(ledger, failed, State.FAILED, reason="x")
    hours = (timedelta(hours=n) for n in (40, 1.1, 1.05))  # twice in one hour, which counts once
    move_events(ledger, failed, *(now - ago for ago in hours))
    made = summarize(ledger, "ws", detailed=False, now=now)
    assert made.history[0].states == {}
    assert made.history[1].states == {State.LOADED: 3}
    assert (made.history[-1].at, made.history[-1].states) == (now, made.states)
    assert [one.at for one in made.history] == sorted(one.at for one in made.history)
    assert len(made.history) <= MOST_POINTS + 1
    before = [one for one in made.history if one.at <= now - timedelta(hours=30)][-1]
    assert before.states == {State.LOADED: 2, State.FAILED: 1}
    assert made.work_width == timedelta(hours=1)
    worked = {one.at: (one.delivered, one.failed) for one in made.work}
    assert len(worked) == 41  # hours without work are told, too
    assert {at.hour: done for at, done in worked.items() if any(done)} == {
        20: (0, 1),
        16: (1, 0),
        11: (0, 1),
    }


@pytest.mark.parametrize("days", [0.001, 0.4, 3, 45, 400, 12_000])
def test_a_plot_has_a_bounded_number_of_points_however_long_the_past(
    ledger: Ledger, tmp_path: Path, days: float
) -> None:
    one = load(ledger, tmp_path, row(accession="A1"))[0]
    bring(ledger, one, State.FAILED, reason="x")
    now = datetime.now(timezone.utc)
    move_events(ledger, one, now - timedelta(days=days))
    made = summarize(ledger, "ws", detailed=False, now=now)
    assert 2 <= len(made.history) <= MOST_POINTS + 1
    assert 1 <= len(made.work) <= MOST_POINTS
    assert sum(one.failed for one in made.work) == 1
    assert made.history[-1].states == {State.FAILED: 1}


def test_pace_and_end_are_told_only_while_somebody_works(ledger: Ledger, tmp_path: Path) -> None:
    rows = [row(subject=f"S{n}", accession=f"A{n}") for n in range(4)]
    done, busy, *_ = load(ledger, tmp_path, *rows)
    deliver(ledger, done)
    idle = summarize(ledger, "ws", detailed=False)
    assert (idle.pace, idle.eta) == (None, None)
    ledger.claim(busy.accession_id, "here|1", 60)
    for detailed in (True, False):
        made = summarize(ledger, "ws", detailed=detailed)
        assert made.pace == pytest.approx(60)  # one, in what counts as a minute at least
        assert made.eta == timedelta(minutes=3)


def test_the_sources_side_is_told_where_somebody_watches_it(ledger: Ledger, tmp_path: Path) -> None:
    load(ledger, tmp_path, row(accession="A1"), row(accession="A2"), name="m")
    assert summarize(ledger, "ws").stage is None
    at = datetime.now(timezone.utc)
    seen = [Sighting(f"handle{n}", n, "", 1, 1, ("CT",), "v", True) for n in ("A1", "B7")]
    ledger.record_poll("ws", since=0, seq=2, mark=None, at=at, sightings=seen)
    found = summarize(ledger, "ws").stage
    assert found is not None
    assert (found.studies, found.unnamed, found.lacking) == (2, ("B7",), ("m~000002",))
    assert found.polled_at == at
    assert "B7" not in repr(found)
    assert summarize(ledger, "ws", stage=False).stage is None
    pending = Selection(states=frozenset({State.PENDING}))
    narrow = summarize(ledger, "ws", selection=pending).stage
    assert narrow is not None
    assert narrow.lacking == ()


# -- whatever a workspace looks like -----------------------------------------------------------


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """One ledger for many examples, each with a workspace of its own."""
    path = tmp_path_factory.mktemp("shared") / "ledger.sqlite"
    opened = Ledger.open(f"sqlite:///{path}")
    yield opened
    opened.close()


lives = st.lists(
    st.tuples(
        st.sampled_from(State),
        st.sampled_from(["", "week 3"]),
        st.sampled_from(["residue", "too large"]),
        st.sampled_from(["", "policy", "subject,key"]),
        st.integers(1, 3),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lives)
def test_counts_add_up_and_do_not_depend_on_the_kind_of_report(
    shared: Ledger, lived: list[tuple[State, str, str, str, int]]
) -> None:
    workspace = f"w{next(_NUMBERS)}"
    numbers = [f"{workspace}-{n}" for n, life in enumerate(lived) for _ in range(life[4])]
    items = add_items(shared, *numbers, workspace=workspace, subjects=[n[-1] for n in numbers])
    for n, (state, label, reason, changed, _) in enumerate(lived):
        one = item(items, f"{workspace}-{n}")
        bring(shared, one, state, label, reason)
        shared.note_changed(one.row_id, changed)
    at = datetime.now(timezone.utc)
    detailed = summarize(shared, workspace, now=at)
    overview = summarize(shared, workspace, detailed=False, now=at)
    assert counts(detailed) == counts(overview)
    assert add_up(detailed)
    assert detailed.rows == len(numbers) == sum(detailed.states.values())
    expected = Counter(life[0] for life in lived)
    assert detailed.history[-1].states == expected
    by_reason = Counter(life[2] for life in lived if life[0] is State.FAILED)
    assert {one.reason: one.accessions for one in detailed.failures} == by_reason


# -- several studies ---------------------------------------------------------------------------


class TwoStudies:
    """A source that holds two studies of everything; the second one is hard to look at."""

    def __init__(self, second: Exception | None = None) -> None:
        self.asked: list[str] = []
        self._second = second

    def check(self) -> dict[str, object]:
        return {}

    def find(self, accession_number: str) -> list[FoundStudy]:
        self.asked.append(accession_number)
        at = datetime(2026, 11, 1, 8, 0, tzinfo=timezone.utc)
        return [FoundStudy(f"secret-{n}", n * 10, 1, "f" * 64, at) for n in (1, 2)]

    def overview(self, study: FoundStudy) -> Overview:
        if study.instances == 20 and self._second is not None:
            raise self._second
        return Overview(3, {("1.2", "CT"): 7, ("1.3", "DOE^JOHN"): 2, ("1.4", "SEG"): 1}, ("p",))

    def fetch(self, study: FoundStudy, sink: object) -> None:
        raise AssertionError("nothing is fetched for a report")

    def close(self) -> None:
        pass


@pytest.fixture
def ambiguous(ledger: Ledger, tmp_path: Path) -> Summary:
    """A report with an accession for which there are several studies, named twice."""
    items = load(ledger, tmp_path, row(accession="A1"), row(accession="A2"), row(accession="A1"))
    bring(ledger, items[0], State.AMBIGUOUS)
    return summarize(ledger, "ws")


def test_several_studies_are_told_by_numbers_and_kinds_alone(ambiguous: Summary) -> None:
    source = TwoStudies()
    first, second, third = expand(ambiguous, source).lines  # type: ignore[arg-type]
    assert source.asked == ["A1"]
    assert (second.studies, third.studies) == ((), ())
    assert [one.number for one in first.studies] == [1, 2]
    assert first.studies[0].facts == {
        "Instances": "10",
        "Last change": "2026-11-01 08:00:00 UTC",
        "Series": "3",
        "Modalities": "CT 7, other 2, SEG 1",
    }
    assert "secret" not in repr(first)


def test_a_study_that_goes_away_meanwhile_costs_the_report_nothing(ambiguous: Summary) -> None:
    source = TwoStudies(StudyChangedError("It has changed.", ""))
    first = expand(ambiguous, source).lines[0]  # type: ignore[arg-type]
    assert "went away" in first.studies[1].facts["Note"]


def test_a_source_that_cannot_be_asked_is_an_error(ambiguous: Summary) -> None:
    source = TwoStudies(SourceUnavailableError("Orthanc does not answer.", ""))
    with pytest.raises(SourceUnavailableError):
        expand(ambiguous, source)  # type: ignore[arg-type]
