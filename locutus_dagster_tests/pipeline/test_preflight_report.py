"""Totals over a preflight: they add up, they keep nothing, and they warn of what is in the way."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locutus_dagster.ledger import Phase
from locutus_dagster.ledger.fingerprints import Kind
from locutus_dagster.ledger.pauses import SYSTEM
from locutus_dagster.pipeline.foreseen import Foreseen, Would
from locutus_dagster.pipeline.preflight_csv import PreflightCsv
from locutus_dagster.pipeline.preflight_report import (
    Circumstances,
    PreflightSummary,
    circumstances,
    in_words,
    summed,
    unplaced,
)
from locutus_dagster_tests.pipeline.looking import looking
from locutus_dagster_tests.pipeline.small_world import SmallWorld

GB = 10**9
AMPLE = Circumstances(scratch_limit=20 * GB, scratch_free=100 * GB, target_free=100 * GB, workers=4)


def work(**known: object) -> Foreseen:
    """An accession that would be processed, of 1 GB."""
    fields: dict[str, object] = {
        "phase": Phase.EXTRACT,
        "studies": 1,
        "instances": 100,
        "size": GB,
        "scratch": 2 * GB,
        "delivery": GB,
        "patients": 1,
        **known,
    }
    return Foreseen("m~000001", "S1", Would.PROCESS, "ACC1", **fields)  # type: ignore[arg-type]


def other(would: Would, **known: object) -> Foreseen:
    return Foreseen("m~000002", "S2", would, "ACC2", **known)  # type: ignore[arg-type]


counts = st.integers(0, 10**6)
records = st.builds(
    Foreseen,
    st.just("m~1"),
    st.just("S"),
    st.sampled_from(list(Would)),
    instances=counts,
    size=counts,
    delivery=counts,
    scratch=counts,
    patients=st.integers(0, 3),
    withheld=st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 9)),
        max_size=2,
        unique_by=lambda x: x[0],
    ).map(tuple),
    elsewhere=st.lists(st.sampled_from(["n1", "n2"]), unique=True).map(tuple),
    busy=st.booleans(),
)


@given(st.lists(records, max_size=30))
def test_the_totals_add_up_to_the_items(found: list[Foreseen]) -> None:
    summary = summed(found)
    assert summary.items == sum(summary.outcomes.values()) == len(found)
    working = [record for record in found if record.works]
    assert summary.size == sum(record.size for record in working)
    assert summary.delivery == sum(record.delivery for record in working)
    assert summary.instances == sum(record.instances for record in working)
    assert summary.instances_withheld == sum(record.instances_withheld for record in working)
    assert summary.attention == sum(bool(record.attention) for record in found)
    assert summary.needs_attention == any(record.attention for record in found)


def test_where_all_is_well_there_is_nothing_to_say() -> None:
    summary = summed([work(), work(), other(Would.UNCHANGED)], AMPLE)
    assert summary.warnings() == []
    assert not summary.needs_attention
    assert not summary.worth_a_line(work())


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (other(Would.PENDING), "1 accession has no study at the source."),
        (other(Would.AMBIGUOUS, studies=2), "1 accession has several studies at the source."),
        (other(Would.FAIL, why="it cannot be"), "1 accession has a failure to expect."),
        (work(withheld=(("a", 100),)), "a study of which every instance will be withheld."),
        (work(patients=2), "1 accession has studies of different patients."),
    ],
)
def test_what_a_person_must_look_at_is_counted_and_worth_a_line(
    record: Foreseen, said: str
) -> None:
    summary = summed([work(), record], AMPLE)
    assert [warning for warning in summary.warnings() if said in warning]
    assert summary.needs_attention
    assert summary.attention == 1
    assert summary.worth_a_line(record)


@pytest.mark.parametrize(
    "record",
    [
        other(Would.CHANGED, kinds=(Kind.SOURCE,), phase=Phase.EXTRACT),
        other(Would.REFUSE, why="it has been recalled"),
        other(Would.LEAVE),
        other(Would.WAITING),
        work(busy=True),
        work(elsewhere=("node7",)),
    ],
)
def test_what_is_good_to_know_is_worth_a_line_and_needs_no_attention(record: Foreseen) -> None:
    summary = summed([record], AMPLE)
    assert summary.worth_a_line(record)
    assert not summary.needs_attention


def test_a_study_that_does_not_fit_into_the_scratch_space_needs_attention() -> None:
    around = Circumstances(scratch_limit=3 * GB, scratch_free=100 * GB, workers=1)
    large = work(size=2 * GB, scratch=4 * GB)
    summary = summed([work(), large], around)
    assert summary.too_large == summary.attention == 1
    assert summary.needs_attention
    assert summary.attention_for(large) == ("4.0 GB of scratch space are too much",)
    assert summary.attention_for(work()) == ()
    (warning,) = summary.in_the_way()
    assert "1 accession needs more scratch space than LOCUTUS_SCRATCH_LIMIT" in warning


@pytest.mark.parametrize(
    ("free", "workers", "enough"),
    [(9 * GB, 4, True), (7 * GB, 4, False), (7 * GB, 3, True), (1 * GB, 1, False)],
)
def test_workers_with_the_largest_study_each_must_find_room_on_the_disk(
    free: int, workers: int, enough: bool
) -> None:
    summary = summed([work()], Circumstances(20 * GB, free, None, workers))
    assert summary.needs_attention != enough
    assert bool(summary.in_the_way()) != enough


def test_a_limit_that_makes_workers_wait_is_told_and_is_no_fault() -> None:
    summary = summed([work()], Circumstances(3 * GB, 100 * GB, None, workers=4))
    (warning,) = summary.warnings()
    assert "8.0 GB" in warning
    assert "wait for each other" in warning
    assert not summary.needs_attention


def test_a_target_without_room_for_the_sum_needs_attention() -> None:
    around = Circumstances(20 * GB, 100 * GB, target_free=2 * GB)
    assert not summed([work(), work()], around).needs_attention
    summary = summed([work(), work(), work()], around)
    assert summary.needs_attention
    assert "Up to 3.0 GB would be delivered" in summary.in_the_way()[0]


def test_files_on_other_hosts_are_named_with_their_hosts() -> None:
    summary = summed([work(elsewhere=("node7",)), work(elsewhere=("node7", "node8"))], AMPLE)
    first, second = summary.warnings()
    assert "2 accessions have interim files on host node7" in first
    assert "1 accession has interim files on host node8" in second


def test_lines_of_an_accession_file_are_named_up_to_a_number() -> None:
    assert unplaced([]) == []
    assert "line 2, 5." in unplaced([2, 5])[0]
    assert unplaced(list(range(1, 31)))[0].endswith("9, 10 and 20 more.")


def test_thousands_of_records_are_summed_and_written_without_being_kept() -> None:
    def many() -> Iterator[Foreseen]:
        for number in range(20_000):
            yield work(withheld=(("modality not allowed", number % 3),) if number % 3 else ())

    class Sink(io.RawIOBase):
        written = 0

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.written += data.count(b"\n")
            return len(data)

    sink = Sink()
    summary = PreflightSummary(AMPLE)
    tracemalloc.start()
    try:
        table = PreflightCsv(sink)  # type: ignore[arg-type]
        for record in many():
            summary.add(record)
            table.add(record, summary.attention_for(record))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (summary.items, sink.written) == (20_000, 20_001)
    assert peak < 1_000_000


def test_a_line_of_the_csv_says_all_that_is_foreseen() -> None:
    stream = io.BytesIO()
    table = PreflightCsv(stream)
    table.add(
        work(
            withheld=(("a", 3), ("b", 1)),
            resumable=("raw",),
            elsewhere=("node7",),
            kinds=(Kind.SOURCE, Kind.POLICY),
            why='so, and "so"',
        ),
        ("one", "two"),
    )
    (row,) = csv.DictReader(io.StringIO(stream.getvalue().decode()))
    assert "accession" not in row
    assert row["why"] == 'so, and "so"'
    assert row["changed"] == "source,policy"
    assert row["withheld_by_reason"] == "a: 3; b: 1"
    assert row["instances_withheld"] == "4"
    assert (row["resumable"], row["resumable_on_host"]) == ("raw", "node7")
    assert (row["all_withheld"], row["in_hand"]) == ("no", "no")
    assert row["attention"] == "one; two"


def test_the_circumstances_are_found_without_making_the_scratch_folder(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    world = SmallWorld.build(tmp_path_factory.mktemp("c") / "w", keep_interim_files=True)
    world.ledger.set_pause(SYSTEM, True, reason="maintenance")
    with looking(world.settings) as parts:
        around = circumstances(parts)
    assert not world.settings.scratch_dir.exists()
    assert around.scratch_free is not None
    assert around.scratch_free > 0
    assert around.target_free == pytest.approx(around.scratch_free, rel=0.2)
    assert around.scratch_limit == world.settings.scratch_limit
    assert around.workers == 1
    assert around.in_the_way == ()
    paused, secret, kept = around.notes
    assert "the system is paused: maintenance" in paused
    assert "no pseudonymisation secret yet" in secret
    assert "LOCUTUS_KEEP_INTERIM_FILES" in kept
    (world.root / "share").rmdir()
    with looking(world.settings) as parts:
        around = circumstances(parts)
    assert "is not there" in around.in_the_way[0]
    assert around.target_free is None


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (99_940, "99.9 kB"),
        (999_600, "1.0 MB"),
        (123_456_789, "123 MB"),
        (5 * 10**18, "5,000 PB"),
    ],
)
def test_sizes_are_said_in_units_of_1000(size: int, words: str) -> None:
    assert in_words(size) == words


def test_files_of_the_source_that_no_accession_leads_to_are_said() -> None:
    summary = PreflightSummary()
    summary.hear({"kind": "folder", "files": 7, "unattributed": 0, "unreadable": 1200})
    assert summary.warnings() == ["1,200 files of the source could not be read."]
    summary.hear({"kind": "orthanc"})
    assert summary.warnings() == []
