"""Finding accessions by any of their names, and the facts that stand beside them."""

from __future__ import annotations

import pytest

from locutus_dagster.ledger import Ledger, LedgerError, State
from locutus_dagster.ledger.lookup import FoundBy
from locutus_dagster.ledger.schema import Manifest, ManifestRow
from locutus_dagster_tests.ledger.rows import add_items

SECRET = "ACC-4711-SECRET"


def add_row(ledger: Ledger, manifest: str, number: int, **values: object) -> int:
    """A further row of a manifest."""
    with ledger.session() as session:
        found = session.query(Manifest).filter_by(name=manifest).one()
        row = ManifestRow(
            manifest_id=found.id,
            workspace=found.workspace,
            row_number=number,
            line=number + 1,
            **{"extra": {}, **values},
        )
        session.add(row)
        session.flush()
        return row.id


def test_an_accession_is_found_by_its_number_its_partitions_and_its_subject(
    ledger: Ledger,
) -> None:
    first, second = add_items(ledger, SECRET, "B", name="one")
    for name, way, item in (
        (SECRET, FoundBy.ACCESSION, first),
        ("one~000002", FoundBy.PARTITION, second),
        ("S2", FoundBy.SUBJECT, second),
    ):
        (found,) = ledger.find([name], ["ws"])
        assert (found.accession_id, found.workspace, found.by) == (item.accession_id, "ws", (way,))
    for stranger in (SECRET.lower(), "one~2", "s2", ""):
        assert ledger.find([stranger], ["ws"]) == []


def test_a_name_may_mean_several_things_in_several_workspaces(ledger: Ledger) -> None:
    here, twin = add_items(ledger, "S2", "B", name="one")
    (there,) = add_items(ledger, "S2", name="one", workspace="other")
    found = ledger.find(["S2"], ["ws", "other"])
    assert {one.accession_id: one.by for one in found} == {
        here.accession_id: (FoundBy.ACCESSION,),
        twin.accession_id: (FoundBy.SUBJECT,),
        there.accession_id: (FoundBy.ACCESSION,),
    }
    assert [one.accession_id for one in ledger.find(["S2"], ["other"])] == [there.accession_id]
    assert ledger.workspaces() == ["other", "ws"]


def test_a_subject_leads_to_an_accession_once_however_many_rows_name_both(
    ledger: Ledger,
) -> None:
    (item,) = add_items(ledger, "A", name="one")
    add_row(ledger, "one", 2, subject_id="S1", accession_id=item.accession_id)
    (found,) = ledger.find(["S1"], ["ws"])
    assert found.by == (FoundBy.SUBJECT,)


def test_rejected_rows_are_found_by_number_and_subject_without_their_values(
    ledger: Ledger,
) -> None:
    add_items(ledger, "A", name="one")
    add_row(
        ledger,
        "one",
        2,
        subject_id="MRN-90",
        rejected="is the accession number itself",
        rejected_column="SUBJECT_ID",
        extra={"ACCESSION_NUM": SECRET, "NAME": "Doe"},
    )
    add_row(ledger, "one", 3, rejected="a quoted field does not end", extra={"line": SECRET})
    for name in (SECRET, "MRN-90"):
        (row,) = ledger.find_rejected([name], ["ws"])
        assert (row.manifest, row.row_number, row.line) == ("one", 2, 3)
        assert (row.column, row.reason) == ("SUBJECT_ID", "is the accession number itself")
        assert SECRET not in repr(row)
    assert ledger.find_rejected([SECRET], ["other"]) == []
    assert ledger.find_rejected(["S1"], ["ws"]) == []  # that one was accepted
    assert ledger.find(["MRN-90"], ["ws"]) == []  # a rejected row belongs to no accession


def test_the_rows_of_an_accession_say_which_is_a_duplicate_of_which(ledger: Ledger) -> None:
    (item,) = add_items(ledger, SECRET, name="one")
    add_row(
        ledger,
        "one",
        5,
        subject_id="T",
        accession_id=item.accession_id,
        duplicate_of=item.row_id,
        changed="subject,attributes",
    )
    first, second = ledger.rows_of(item.accession_id)
    assert (first.partition_key, first.duplicate_of, first.subject_id) == ("one~000001", None, "S1")
    assert (second.partition_key, second.duplicate_of, second.line) == (None, 1, 6)
    assert second.changed == "subject,attributes"


def test_the_facts_of_an_accession_name_who_has_it_in_hand_as_long_as_that_lasts(
    ledger: Ledger,
) -> None:
    (item,) = add_items(ledger, SECRET)
    ledger.record_state(
        item.accession_id, State.FAILED, phase=4, reason="x", values={"source_study": "HANDLE"}
    )
    ledger.claim(item.accession_id, "host|1", 60)
    held = ledger.accession_record(item.accession_id)
    assert (held.state, held.phase, held.reason) == (State.FAILED, 4, "x")
    assert held.accession_number == SECRET
    assert held.claimed_by == "host|1"
    assert held.claimed_until is not None
    assert "SECRET" not in repr(held)
    assert "HANDLE" not in repr(held)
    ledger.claim(item.accession_id, "host|1", -60)
    ended = ledger.accession_record(item.accession_id)
    assert (ended.claimed_by, ended.claimed_until) == (None, None)


def test_an_accession_that_is_not_there_is_said(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="does not know that accession"):
        ledger.accession_record(1)


def test_known_names_are_told_from_others_in_however_long_a_list(ledger: Ledger) -> None:
    numbers = [f"N{number}" for number in range(700)]
    add_items(ledger, *numbers, name="one")
    add_items(ledger, "ELSEWHERE", name="two", workspace="other")
    asked = ["ELSEWHERE", *(f"N{number}" for number in range(0, 2000, 2))]
    found = ledger.known("ws", FoundBy.ACCESSION, asked)
    assert found == set(numbers[::2])
    assert ledger.known("ws", FoundBy.PARTITION, ["one~000700", "one~000701"]) == {"one~000700"}
    assert ledger.known("ws", FoundBy.SUBJECT, ["S700", "S701"]) == {"S700"}
    assert ledger.known("ws", FoundBy.SUBJECT, []) == set()
