"""Loading a manifest into the ledger: whole, once, and the same the second time; both databases."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.schema import Accession, Base, Manifest, ManifestRow
from locutus_dagster.manifests import LoadReport, ManifestError, load_manifest
from locutus_dagster_tests.ledger.processes import Wait, at_once
from locutus_dagster_tests.manifests.files import GOOD_ROW, HEADER, row, write

_NAMES = itertools.count(1)


def load(ledger: Ledger, path: Path, name: str | None = None, workspace: str = "ws") -> LoadReport:
    return load_manifest(ledger, path, workspace=workspace, name=name)


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
    report = load(ledger, write(tmp_path, *good_rows(range(1, 1502))))
    assert len(report.partition_keys) == 1501
    assert count(ledger, Accession) == count(ledger, ManifestRow) == 1501
    assert ledger.state_counts("ws", "study") == {State.LOADED: 1501}


def test_a_name_that_cannot_begin_a_partition_key_is_refused(
    ledger: Ledger, tmp_path: Path
) -> None:
    for name in ("a~b", "a/b", "a b", "-a", ".a", "ä", "a" * 61, "a\n", "..", "a,b", "\0"):
        with pytest.raises(ManifestError, match="name will not do"):
            load(ledger, write(tmp_path, GOOD_ROW), name=name)
    assert count(ledger, Manifest) == 0


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
    path = write(tmp_path, *lines, junk.decode("utf-8", "surrogateescape"), name=f"{name}.csv")
    report = load(ledger, path)
    accepted = ledger.manifest_items("ws", name)
    rejected = ledger.rejected_rows("ws", name)
    assert [item.partition_key for item in accepted] == list(report.partition_keys)
    assert [kept.line for kept in rejected] == [told.line for told in report.rejected]
    numbers = sorted([i.row_number for i in accepted] + [kept.row_number for kept in rejected])
    assert numbers == list(range(1, report.rows + 1))
    assert all(re.fullmatch(rf"{name}~\d{{6}}", key) for key in report.partition_keys)
