"""Loading a manifest into the ledger: whole, once, and the same the second time; both databases."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, func, select

from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.schema import Accession, Base, Manifest, ManifestRow
from locutus_dagster.manifests import Duplicate, LoadReport, ManifestError, load_manifest
from locutus_dagster.manifests.reading import RESOLVER_VERSION_COLUMN, VERSION_COLUMN
from locutus_dagster_tests.ledger.processes import Wait, at_once
from locutus_dagster_tests.manifests.files import GOOD_ROW, HEADER, row, write

_NAMES = itertools.count(1)


def load(
    ledger: Ledger, path: Path, name: str | None = None, workspace: str = "ws", **how: bool
) -> LoadReport:
    return load_manifest(ledger, path, workspace=workspace, name=name, **how)


def everything(ledger: Ledger) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table of the ledger."""
    with ledger.session(reads_only=True) as session:
        return {
            table.name: sorted((tuple(found) for found in session.execute(select(table))), key=repr)
            for table in Base.metadata.sorted_tables
        }


def count(ledger: Ledger, table: type[Base]) -> int:
    with ledger.session(reads_only=True) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def stored(ledger: Ledger, manifest: str) -> list[ManifestRow]:
    """Every row of a manifest as the ledger has it, in the file's order."""
    with ledger.session(reads_only=True) as session:
        return list(
            session.scalars(
                select(ManifestRow)
                .join(Manifest, Manifest.id == ManifestRow.manifest_id)
                .where(Manifest.workspace == "ws", Manifest.name == manifest)
                .order_by(ManifestRow.row_number)
            )
        )


def good_rows(numbers: range | list[int]) -> list[str]:
    return [row(subject=f"S{n}", accession=f"ACC{n}") for n in numbers]


def test_accepted_rows_become_work_items_with_their_values(ledger: Ledger, tmp_path: Path) -> None:
    report = load(ledger, write(tmp_path, *good_rows([1, 2])))
    items = ledger.manifest_items("ws", "study")
    assert [item.partition_key for item in items] == list(report.partition_keys)
    assert [item.accession_number for item in items] == ["ACC1", "ACC2"]
    assert [item.subject_id for item in items] == ["S1", "S2"]
    assert [(item.age, item.anatomical_position) for item in items] == [("4000", "HEAD")] * 2
    assert {item.state for item in items} == {State.LOADED}


def test_partition_keys_are_manifest_and_row_and_carry_no_accession_number(
    ledger: Ledger, tmp_path: Path
) -> None:
    rows = [row(accession="777001"), row(accession="777002", age="old"), row(accession="777003")]
    report = load(ledger, write(tmp_path, *rows), name="spring")
    assert report.partition_keys == ("spring~000001", "spring~000003")
    assert not any("777" in key for key in report.partition_keys)


def test_partition_keys_sort_in_the_order_of_the_file(ledger: Ledger, tmp_path: Path) -> None:
    keys = load(ledger, write(tmp_path, *good_rows(range(1, 120)))).partition_keys
    assert sorted(keys) == list(keys)


def test_further_columns_are_kept_in_the_ledger(ledger: Ledger, tmp_path: Path) -> None:
    load(ledger, write(tmp_path, f"{GOOD_ROW},Köln", header=f"{HEADER},Site"))
    with ledger.session(reads_only=True) as session:
        found = session.scalars(select(ManifestRow)).one()
        columns = session.scalars(select(Manifest)).one().columns
    assert found.extra == {"Site": "Köln"}
    assert columns == {"columns": [*HEADER.split(","), "Site"]}


def test_rejected_rows_are_kept_with_values_column_and_reason(
    ledger: Ledger, tmp_path: Path
) -> None:
    line = row(subject="DOE^JANE", accession="A9", age="12", position="CHEST")
    report = load(ledger, write(tmp_path, GOOD_ROW, f"{line},x", header=f"{HEADER},Site"))
    (kept,) = ledger.rejected_rows("ws", "study")
    (told,) = report.rejected
    assert (kept.row_number, kept.line, kept.partition_key, kept.accession_id) == (2, 3, None, None)
    assert (kept.subject_id, kept.age, kept.anatomical_position) == ("DOE^JANE", "12", "CHEST")
    assert kept.extra == {"ACCESSION_NUM": "A9", "Site": "x"}
    assert (kept.rejected, kept.rejected_column) == (told.reason, "SUBJECT_ID")


def test_a_line_that_is_no_csv_is_kept_as_it_stands(ledger: Ledger, tmp_path: Path) -> None:
    line = row(position='"HEAD')
    load(ledger, write(tmp_path, line))
    (kept,) = ledger.rejected_rows("ws", "study")
    assert kept.extra["line"] == line


@pytest.mark.parametrize(
    "line",
    [
        row(position="HE\0AD"),
        row(position="K\udcf6pf"),
        row(subject="\0"),
        row(accession="\0"),
        row(position='"\0\udcff'),
        f"{GOOD_ROW},\0,\udcff",
    ],
    ids=["NUL", "not UTF-8", "NUL subject", "NUL accession", "unclosed", "too many"],
)
def test_rows_that_no_database_takes_as_they_are_are_rejected_and_kept(
    ledger: Ledger, tmp_path: Path, line: str
) -> None:
    report = load(ledger, write(tmp_path, line, row(accession="ACC2")))
    assert (len(report.partition_keys), len(report.rejected)) == (1, 1)
    assert [kept.line for kept in ledger.rejected_rows("ws", "study")] == [2]


def test_column_names_that_no_database_takes_as_they_are_load(
    ledger: Ledger, tmp_path: Path
) -> None:
    load(ledger, write(tmp_path, f"{GOOD_ROW},a,b", header=f"{HEADER},S\0te,K\udcf6ln"))
    with ledger.session(reads_only=True) as session:
        assert sorted(session.scalars(select(ManifestRow)).one().extra.values()) == ["a", "b"]


def test_loading_twice_changes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    path = write(tmp_path, *good_rows([1, 2]), row(age="old"))
    first = load(ledger, path)
    before = everything(ledger)
    second = load(ledger, path)
    assert everything(ledger) == before
    assert (first.new, second.new) == (True, False)
    assert second.partition_keys == first.partition_keys
    assert second.rejected == first.rejected


def test_another_file_under_a_name_that_is_taken_is_refused_and_changes_nothing(
    ledger: Ledger, tmp_path: Path
) -> None:
    load(ledger, write(tmp_path, *good_rows([1])))
    before = everything(ledger)
    with pytest.raises(ManifestError, match=r"already has a manifest named 'study'.*--name"):
        load(ledger, write(tmp_path, *good_rows([1, 2])))
    assert everything(ledger) == before


def test_a_file_that_is_no_manifest_leaves_no_trace(ledger: Ledger, tmp_path: Path) -> None:
    before = everything(ledger)
    with pytest.raises(ManifestError):
        load(ledger, write(tmp_path, GOOD_ROW, header="a,b,c"))
    assert everything(ledger) == before


def test_two_manifests_that_name_one_accession_share_its_row(
    ledger: Ledger, tmp_path: Path
) -> None:
    load(ledger, write(tmp_path, *good_rows([1, 2]), name="a.csv"))
    report = load(ledger, write(tmp_path, *good_rows([2, 3]), name="b.csv"))
    first = {i.accession_number: i.accession_id for i in ledger.manifest_items("ws", "a")}
    second = {i.accession_number: i.accession_id for i in ledger.manifest_items("ws", "b")}
    assert first["ACC2"] == second["ACC2"]
    assert report.shared == 1
    assert count(ledger, Accession) == 3


def test_a_second_manifest_leaves_the_state_of_a_shared_accession_alone(
    ledger: Ledger, tmp_path: Path
) -> None:
    load(ledger, write(tmp_path, *good_rows([1]), name="a.csv"))
    (item,) = ledger.manifest_items("ws", "a")
    ledger.record_state(item.accession_id, State.FAILED, phase=3, reason="gone")
    load(ledger, write(tmp_path, *good_rows([1]), name="b.csv"))
    (again,) = ledger.manifest_items("ws", "b")
    assert (again.state, again.phase, again.reason) == (State.FAILED, 3, "gone")


def test_workspaces_share_neither_names_nor_accessions(ledger: Ledger, tmp_path: Path) -> None:
    path = write(tmp_path, *good_rows([1]))
    reports = [load(ledger, path, workspace=workspace) for workspace in ("one", "two")]
    assert [report.new for report in reports] == [True, True]
    ids = [ledger.manifest_items(ws, "study")[0].accession_id for ws in ("one", "two")]
    assert ids[0] != ids[1]
    assert ledger.manifest_names("one") == ["study"]


def test_a_manifest_of_many_chunks_loads_whole(ledger: Ledger, tmp_path: Path) -> None:
    report = load(ledger, write(tmp_path, *good_rows(range(1, 5_003))))
    assert len(report.partition_keys) == 5_002
    assert count(ledger, Accession) == count(ledger, ManifestRow) == 5_002
    assert ledger.state_counts("ws", "study") == {State.LOADED: 5_002}


def test_the_number_of_statements_hardly_grows_with_the_number_of_rows(
    ledger: Ledger, tmp_path: Path
) -> None:
    path = write(tmp_path, *good_rows(range(1, 2_000)), *good_rows(range(1, 2_000)))
    load(ledger, path, name="first")
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    with ledger.session(reads_only=True) as session:
        engine = session.get_bind().engine
    event.listen(engine, "before_cursor_execute", note)
    load(ledger, path, name="second", allow_duplicates=True)
    assert len(statements) < 25


def test_a_name_that_cannot_begin_a_partition_key_is_refused(
    ledger: Ledger, tmp_path: Path
) -> None:
    for name in ("a~b", "a/b", "a b", "-a", ".a", "ä", "a" * 61, "a\n", "..", "a,b", "\0"):
        with pytest.raises(ManifestError, match="name will not do"):
            load(ledger, write(tmp_path, GOOD_ROW), name=name)
    assert count(ledger, Manifest) == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ACC-9999", "holds an accession number"),
        ("again-acc_9999.b", "holds an accession number"),
        ("arrived-2026-11-22", "begins with 'arrived-'"),
    ],
)
def test_a_name_that_identifies_or_is_not_one_s_own_to_give_is_refused(
    ledger: Ledger, tmp_path: Path, name: str, said: str
) -> None:
    path = write(tmp_path, row(accession="ACC-9999"), name="m.csv")
    with pytest.raises(ManifestError, match=said) as refused:
        load_manifest(ledger, path, workspace="ws", name=name)
    assert "9999" not in str(refused.value)
    assert ledger.manifest_names("ws") == []


def test_the_rows_of_a_redacted_report_are_refused_with_a_reason(
    ledger: Ledger, tmp_path: Path
) -> None:
    rows = [row(subject="REDACTED_SUBJECT", accession="REDACTED_ACCESSION")] * 2
    report = load_manifest(ledger, write(tmp_path, *rows, name="m.csv"), workspace="ws")
    assert (report.accepted, len(report.rejected)) == (0, 2)
    assert "without redaction" in report.rejected[0].reason


def test_a_name_of_letters_digits_dot_dash_and_underscore_will_do(
    ledger: Ledger, tmp_path: Path
) -> None:
    for name in ("a", "2024-01", "a" * 60, "A.b_c-9"):
        report = load(ledger, write(tmp_path, GOOD_ROW), name=name)
        assert report.partition_keys == (f"{name}~000001",)


def test_the_name_is_the_file_s_without_its_ending_unless_told(
    ledger: Ledger, tmp_path: Path
) -> None:
    assert load(ledger, write(tmp_path, GOOD_ROW, name="spring.v2.csv")).manifest == "spring.v2"


def load_beside_others(wait: Wait, url: str, path: Path, name: str) -> tuple[bool, int]:
    ledger = Ledger.open(url)
    wait()
    report = load(ledger, path, name)
    return report.new, report.rows


def test_processes_that_load_one_manifest_at_once_load_it_once(
    ledger: Ledger, ledger_url: str, tmp_path: Path
) -> None:
    path = write(tmp_path, *good_rows(range(300)))
    answers = at_once(load_beside_others, [(ledger_url, path, "m")] * 3)
    assert sorted(answers) == [(False, 300), (False, 300), (True, 300)]
    assert count(ledger, ManifestRow) == count(ledger, Accession) == 300


def test_processes_that_load_overlapping_manifests_at_once_share_the_accessions(
    ledger: Ledger, ledger_url: str, tmp_path: Path
) -> None:
    up = write(tmp_path, *good_rows(range(300)), name="up.csv")
    down = write(tmp_path, *reversed(good_rows(range(100, 400))), name="down.csv")
    jobs = [(ledger_url, path, path.stem) for path in (up, down)]
    assert at_once(load_beside_others, jobs) == [(True, 300), (True, 300)]
    assert count(ledger, ManifestRow) == 600
    assert count(ledger, Accession) == 400


# -- duplicates --------------------------------------------------------------------------------


def test_a_duplicate_is_kept_beside_the_row_that_it_repeats(ledger: Ledger, tmp_path: Path) -> None:
    report = load(ledger, write(tmp_path, GOOD_ROW, row(accession="ACC2"), row(subject="S9")))
    assert report.duplicates == (Duplicate(4, "manifest", "line 2", attributes_differ=True),)
    assert (report.accepted, report.rejected, report.rows) == (2, (), 3)
    first, _, kept = stored(ledger, "study")
    assert kept.duplicate_of == first.id
    assert kept.accession_id == first.accession_id
    assert (kept.rejected, kept.partition_key, kept.subject_id) == ("", None, "S9")
    assert ledger.rejected_rows("ws", "study") == []


def test_a_duplicate_with_the_same_attributes_is_told_from_one_with_others(
    ledger: Ledger, tmp_path: Path
) -> None:
    others = [row(subject="S9"), row(imaging_type="MR"), row(age="1"), row(position="KNEE")]
    report = load(ledger, write(tmp_path, GOOD_ROW, row(qc="ok"), *others))
    assert [one.attributes_differ for one in report.duplicates] == [False, True, True, True, True]


def test_duplicates_get_partitions_of_their_own_when_the_file_is_loaded_again_with_that_option(
    ledger: Ledger, tmp_path: Path
) -> None:
    path = write(tmp_path, GOOD_ROW, row(accession="ACC2"), row(subject="S9"))
    first = load(ledger, path)
    assert [item.partition_key for item in ledger.manifest_items("ws", "study")] == [
        "study~000001",
        "study~000002",
    ]
    again = load(ledger, path, allow_duplicates=True)
    assert (again.new, again.added, again.duplicates) == (False, 1, first.duplicates)
    assert again.partition_keys == (*first.partition_keys, "study~000003")
    before = everything(ledger)
    # What has a partition keeps it.
    third = load(ledger, path)
    assert (third.added, third.partition_keys) == (0, again.partition_keys)
    assert everything(ledger) == before
    item = ledger.manifest_items("ws", "study")[-1]
    assert (item.subject_id, item.duplicate) == ("S9", True)


def test_an_accession_of_another_manifest_is_reported_with_its_partition_and_accepted(
    ledger: Ledger, tmp_path: Path
) -> None:
    load(ledger, write(tmp_path, *good_rows([1, 2, 3]), name="a.csv"))
    report = load(
        ledger,
        write(tmp_path, row(subject="S2", accession="ACC2"), row(accession="ACC3"), name="b.csv"),
    )
    assert report.duplicates == (
        Duplicate(2, "manifests", "a~000002", attributes_differ=False),
        Duplicate(3, "manifests", "a~000003", attributes_differ=True),
    )
    assert (report.accepted, report.shared, report.rows) == (2, 2, 2)


def test_an_accession_of_several_manifests_is_reported_once_with_the_first_of_them(
    ledger: Ledger, tmp_path: Path
) -> None:
    for name, subject in (("a", "S1"), ("b", "S9"), ("c", "S1")):
        load(ledger, write(tmp_path, row(subject=subject), name=f"{name}.csv"))
    report = load(ledger, write(tmp_path, row(), name="d.csv"))
    assert report.duplicates == (Duplicate(2, "manifests", "a~000001 and 2 more", True),)


def test_an_accession_of_another_workspace_is_reported_with_the_workspace_and_accepted(
    ledger: Ledger, tmp_path: Path
) -> None:
    load(ledger, write(tmp_path, *good_rows([1, 2]), name="a.csv"), workspace="spine")
    report = load(ledger, write(tmp_path, row(accession="ACC2"), name="b.csv"), workspace="ws")
    assert report.duplicates == (
        Duplicate(2, "workspaces", "workspace spine: a~000002", attributes_differ=True),
    )
    assert (report.accepted, report.shared) == (1, 0)


def test_no_place_of_a_duplicate_holds_an_accession_number(ledger: Ledger, tmp_path: Path) -> None:
    rows = [row(accession="777001"), row(accession="777001")]
    load(ledger, write(tmp_path, *rows, name="a.csv"), workspace="spine")
    load(ledger, write(tmp_path, *rows, name="b.csv"))
    report = load(ledger, write(tmp_path, *rows, name="c.csv"))
    assert [one.kind for one in report.duplicates] == ["manifests", "workspaces", "manifest"]
    assert "777001" not in repr(report)


def test_loading_again_reports_the_same_whatever_was_loaded_in_between(
    ledger: Ledger, tmp_path: Path
) -> None:
    load(ledger, write(tmp_path, *good_rows([1]), name="a.csv"), workspace="spine")
    load(ledger, write(tmp_path, *good_rows([1, 2]), name="a.csv"))
    path = write(tmp_path, *good_rows([1, 2, 3]), row(), row(age="old"), name="b.csv")
    first = load(ledger, path)
    load(ledger, write(tmp_path, *good_rows([2, 3]), name="c.csv"))
    load(ledger, write(tmp_path, *good_rows([3]), name="c.csv"), workspace="spine")
    again = load(ledger, path)
    assert again == replace(first, new=False, added=0)
    assert {one.kind for one in first.duplicates} == {"manifest", "manifests", "workspaces"}


def test_a_manifest_of_which_every_accession_is_known_loads_under_its_own_name(
    ledger: Ledger, tmp_path: Path
) -> None:
    load(ledger, write(tmp_path, *good_rows([1, 2]), name="a.csv"))
    header = f"{HEADER},RESOLVE_VIA".replace(VERSION_COLUMN, RESOLVER_VERSION_COLUMN)
    rows = [f"{line},CONSOLIDATE_LOCALLY" for line in good_rows([1, 2])]
    report = load(ledger, write(tmp_path, *rows, header=header, name="resolve.csv"))
    assert (report.new, report.accepted, report.shared) == (True, 2, 2)
    items = ledger.manifest_items("ws", "resolve")
    assert [item.resolve_via for item in items] == ["CONSOLIDATE_LOCALLY"] * 2
    assert count(ledger, Accession) == 2


def test_a_rejected_row_commands_nothing(ledger: Ledger, tmp_path: Path) -> None:
    header = f"{HEADER},RESOLVE_VIA"
    lines = [f"{row(age='old')},DELETE_SCAN_LOCALLY", f"{GOOD_ROW},delete everything"]
    load(ledger, write(tmp_path, *lines, header=header))
    kept = stored(ledger, "study")
    assert [one.resolve_via for one in kept] == ["", ""]
    assert [one.extra["RESOLVE_VIA"] for one in kept] == [
        "DELETE_SCAN_LOCALLY",
        "delete everything",
    ]


def test_what_an_earlier_version_rejected_as_a_duplicate_becomes_one(
    ledger: Ledger, tmp_path: Path
) -> None:
    path = write(tmp_path, GOOD_ROW, GOOD_ROW)
    first = load(ledger, path)
    kept = stored(ledger, "study")[1]
    with ledger.session() as session:
        old = session.get_one(ManifestRow, kept.id)
        old.rejected, old.rejected_column = "the same accession as in line 2", "ACCESSION_NUM"
        old.accession_id = old.duplicate_of = None
        old.extra = {"ACCESSION_NUM": "ACC1"}
    again = load(ledger, path)
    assert again == replace(first, new=False, added=0)
    found = stored(ledger, "study")[1]
    assert (found.rejected, found.rejected_column, found.extra) == ("", "", {})
    assert (found.duplicate_of, found.accession_id) == (kept.duplicate_of, kept.accession_id)


def test_what_an_earlier_version_accepted_stays_accepted(ledger: Ledger, tmp_path: Path) -> None:
    path = write(tmp_path, *good_rows([1]), row(accession="ACC;2"))
    load(ledger, path)
    with ledger.session() as session:
        old = session.get_one(ManifestRow, stored(ledger, "study")[1].id)
        old.rejected, old.rejected_column, old.partition_key = "", "", "study~000002"
    report = load(ledger, path)
    assert (report.accepted, report.rejected, report.rows) == (2, (), 2)
    assert report.partition_keys == ("study~000001", "study~000002")


# -- recalled subjects -------------------------------------------------------------------------


def recall(ledger: Ledger, subject: str, workspace: str = "ws") -> None:
    ledger.ensure_workspace(workspace)
    ledger.recall(workspace, "consent withdrawn", subject_id=subject)


def lift(ledger: Ledger, workspace: str = "ws") -> None:
    for standing in ledger.recalls(workspace, standing_only=True):
        ledger.lift_recall(standing.identity, "a mistake")


def test_a_recalled_subject_is_refused_until_the_recall_is_lifted(
    ledger: Ledger, tmp_path: Path
) -> None:
    recall(ledger, "S2")
    path = write(tmp_path, *good_rows([1, 2, 3]))
    for new in (True, False):
        report = load(ledger, path)
        assert report.new is new
        assert [(bad.line, bad.column, bad.reason) for bad in report.rejected] == [
            (3, "SUBJECT_ID", "the subject has been recalled; lift the recall first")
        ]
        assert report.partition_keys == ("study~000001", "study~000003")
    (kept,) = ledger.rejected_rows("ws", "study")
    assert (kept.accession_id, kept.extra) == (None, {"ACCESSION_NUM": "ACC2"})
    assert count(ledger, Accession) == 2

    lift(ledger)
    report = load(ledger, path)
    assert (report.new, report.added, report.rejected) == (False, 1, ())
    assert report.partition_keys == ("study~000001", "study~000002", "study~000003")
    item = ledger.manifest_items("ws", "study")[1]
    assert (item.accession_number, item.subject_id, item.state) == ("ACC2", "S2", State.LOADED)
    found = stored(ledger, "study")[1]
    assert (found.rejected, found.rejected_column, found.extra) == ("", "", {})
    assert load(ledger, path) == replace(report, added=0)


def test_what_was_accepted_before_the_recall_stays_accepted(ledger: Ledger, tmp_path: Path) -> None:
    path = write(tmp_path, *good_rows([1]), row(subject="S1", accession="ACC1"))
    first = load(ledger, path)
    recall(ledger, "S1")
    before = everything(ledger)
    assert load(ledger, path, allow_duplicates=True) == replace(first, new=False, added=0)
    assert everything(ledger) == before


def test_a_recall_of_another_workspace_or_of_another_case_refuses_nothing(
    ledger: Ledger, tmp_path: Path
) -> None:
    recall(ledger, "S1", workspace="spine")
    recall(ledger, "s1")
    assert load(ledger, write(tmp_path, *good_rows([1]))).rejected == ()


@pytest.mark.parametrize("allow", [False, True])
def test_no_row_gets_the_accession_of_a_row_that_was_refused(
    ledger: Ledger, tmp_path: Path, allow: bool
) -> None:
    recall(ledger, "S1")
    path = write(tmp_path, row(subject="S1"), row(subject="S2"), row(subject="S1"))
    report = load(ledger, path, allow_duplicates=allow)
    assert [(bad.line, bad.column) for bad in report.rejected] == [
        (2, "SUBJECT_ID"),
        (3, "ACCESSION_NUM"),
        (4, "SUBJECT_ID"),
    ]
    assert report.rejected[1].reason == "the same accession as in line 2, which is refused"
    assert (report.partition_keys, report.duplicates) == ((), ())

    lift(ledger)
    report = load(ledger, path, allow_duplicates=allow)
    assert report.accepted == 1
    assert [(one.line, one.place) for one in report.duplicates] == [(3, "line 2"), (4, "line 2")]
    assert report.added == len(report.partition_keys) == (3 if allow else 1)
    first, *repeated = stored(ledger, "study")
    assert [kept.duplicate_of for kept in repeated] == [first.id] * 2
    assert load(ledger, path, allow_duplicates=allow) == replace(report, added=0)


def test_a_row_that_is_accepted_late_is_held_against_every_other_manifest(
    ledger: Ledger, tmp_path: Path
) -> None:
    recall(ledger, "S1")
    path = write(tmp_path, *good_rows([1]), name="a.csv")
    load(ledger, path)
    load(ledger, write(tmp_path, row(subject="S9"), name="b.csv"))
    lift(ledger)
    report = load(ledger, path)
    assert report.duplicates == (Duplicate(2, "manifests", "b~000001", attributes_differ=True),)


# -- dry runs ----------------------------------------------------------------------------------


def test_a_dry_run_reports_what_loading_does_and_writes_nothing(
    ledger: Ledger, tmp_path: Path
) -> None:
    load(ledger, write(tmp_path, *good_rows([1]), name="a.csv"), workspace="spine")
    load(ledger, write(tmp_path, *good_rows([2]), name="a.csv"))
    recall(ledger, "S3")
    path = write(tmp_path, *good_rows([1, 2, 3]), row(), row(age="old"), name="b.csv")
    for change in (lambda: None, lambda: None, lambda: lift(ledger)):
        change()
        for allow in (False, True):
            before = everything(ledger)
            foreseen = load(ledger, path, dry_run=True, allow_duplicates=allow)
            assert everything(ledger) == before
            assert foreseen.dry_run
            done = load(ledger, path, allow_duplicates=allow)
            assert replace(foreseen, dry_run=False) == done


def test_a_dry_run_needs_no_more_than_to_look(
    ledger: Ledger, ledger_url: str, tmp_path: Path
) -> None:
    path = write(tmp_path, *good_rows([1]))
    looking = Ledger.open_existing(ledger_url)
    assert load(looking, path, dry_run=True).new
    looking.close()
    assert count(ledger, Manifest) == 0


def test_a_dry_run_for_a_workspace_that_is_not_known_does_not_make_it(
    ledger: Ledger, tmp_path: Path
) -> None:
    assert load(ledger, write(tmp_path, GOOD_ROW), workspace="new", dry_run=True).accepted == 1
    assert everything(ledger)["workspace"] == []


def test_a_dry_run_refuses_another_file_under_a_name_that_is_taken(
    ledger: Ledger, tmp_path: Path
) -> None:
    load(ledger, write(tmp_path, *good_rows([1])))
    with pytest.raises(ManifestError, match="already has a manifest"):
        load(ledger, write(tmp_path, *good_rows([1, 2])), dry_run=True)


def test_without_a_ledger_a_dry_run_judges_the_file_alone(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD_ROW, GOOD_ROW, row(age="old"))
    report = load_manifest(None, path, workspace="ws", dry_run=True)
    assert (report.new, report.accepted, report.rows) == (True, 1, 3)
    assert [one.place for one in report.duplicates] == ["line 2"]
    with pytest.raises(ValueError, match="without a ledger"):
        load_manifest(None, path, workspace="ws")


awkward = st.text(
    st.one_of(st.sampled_from('a1,"#\t\0 \\\n\r'), st.characters(exclude_categories=["Cs"])),
    max_size=60,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(lines=st.lists(awkward, max_size=6), junk=st.binary(max_size=40))
def test_what_can_be_read_can_be_loaded_and_every_row_is_in_the_ledger(
    ledger: Ledger, tmp_path: Path, lines: list[str], junk: bytes
) -> None:
    name = f"m{next(_NAMES)}"
    twice = [row(accession="A1"), row(accession="A1")]
    path = write(
        tmp_path,
        *lines,
        *twice,
        *lines,
        junk.decode("utf-8", "surrogateescape"),
        name=f"{name}.csv",
    )
    foreseen = load(ledger, path, dry_run=True)
    report = load(ledger, path)
    assert replace(foreseen, dry_run=False) == report
    accepted = ledger.manifest_items("ws", name)
    rejected = ledger.rejected_rows("ws", name)
    assert [item.partition_key for item in accepted] == list(report.partition_keys)
    assert [kept.line for kept in rejected] == [told.line for told in report.rejected]
    repeated = [one.line for one in report.duplicates if one.kind == "manifest"]
    assert report.rows == len(accepted) + len(rejected) + len(repeated)
    assert sorted(kept.row_number for kept in stored(ledger, name)) == list(
        range(1, report.rows + 1)
    )
    assert all(re.fullmatch(rf"{name}~\d{{6}}", key) for key in report.partition_keys)
