"""The report of one study: what stands in it, and what must not."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from locutus_dagster.deid import (
    ENGINE_VERSION,
    RESIDUE,
    Action,
    Disposition,
    InstanceDisposition,
    ResidueHit,
    StudyDisposition,
    basic_policy,
)
from locutus_dagster.pipeline.deid_report import (
    ReportError,
    report_csv,
    report_record,
    summarise,
)
from locutus_dagster_tests.e2e.leaks import IdentifierSearch
from locutus_dagster_tests.pipeline.world import World

CT = "1.2.840.10008.5.1.4.1.1.2"
LEAKY = InstanceDisposition("2.25.3", CT, "CT", Disposition.WITHHELD, RESIDUE, {"X": 40, "U": 9})
STUDY = StudyDisposition(
    study_uid="2.25.1",
    study_token="token",
    policy_fingerprint="0123456789abcdef",
    key_id="2-0a1b2c3d",
    subject_id="C1",
    instances=(
        InstanceDisposition("2.25.2", CT, "CT", Disposition.CLEAN, "", {"X": 3, "shift": 2}),
        LEAKY,
        InstanceDisposition("2.25.3", CT, "CT", Disposition.WITHHELD, "duplicate instance"),
        InstanceDisposition("000004.dcm", "", "", Disposition.WITHHELD, "unreadable file"),
        InstanceDisposition("2.25.5", CT, "CT", Disposition.CLEAN, "", {"X": 1}),
    ),
    residue=(
        ResidueHit("2.25.3", "(0040,0275)[0]>(0040,0007)"),
        ResidueHit("2.25.3", "(0018,1020)"),
    ),
    size_in=10,
    size_out=5,
)
RECORD = report_record(STUDY, basic_policy())


def rows(table: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.decode("ascii"))))


def test_each_instance_has_a_line_in_the_order_of_the_study() -> None:
    found = rows(report_csv(RECORD))
    assert [row["position"] for row in found] == ["1", "2", "3", "4", "5"]
    assert [row["instance"] for row in found] == [one.instance for one in STUDY.instances]
    assert [row["disposition"] for row in found] == [str(i.disposition) for i in STUDY.instances]
    assert [row["reason"] for row in found] == [one.reason for one in STUDY.instances]
    assert (found[0]["sop_class"], found[0]["modality"]) == (CT, "CT")


def test_places_of_residue_stand_beside_the_instance_that_was_searched_alone() -> None:
    found = [row["residue"] for row in rows(report_csv(RECORD))]
    assert found == ["", "(0018,1020) (0040,0275)[0]>(0040,0007)", "", "", ""]


def test_there_is_a_column_for_each_action_and_counts_are_of_what_is_delivered() -> None:
    found = rows(report_csv(RECORD))
    assert {action.name.lower() for action in Action if action is not Action.KEEP} <= set(found[0])
    assert [row["remove"] for row in found] == ["3", "0", "0", "0", "1"]
    assert [row["shift"] for row in found] == ["2", "0", "0", "0", "0"]


def test_the_record_says_what_the_study_was_made_with() -> None:
    assert (RECORD.policy_name, RECORD.policy_fingerprint) == ("basic", "0123456789abcdef")
    assert (RECORD.key_id, RECORD.engine_version) == ("2-0a1b2c3d", ENGINE_VERSION)


def test_the_same_study_gives_the_same_bytes() -> None:
    assert RECORD.table[4:8] == bytes(4)  # the time of compression (RFC 1952)
    assert report_record(STUDY, basic_policy()) == RECORD


def test_a_summary_counts_what_the_table_says() -> None:
    found = summarise(RECORD)
    assert found.fates == {
        ("clean", ""): 2,
        ("withheld", "duplicate instance"): 1,
        ("withheld", RESIDUE): 1,
        ("withheld", "unreadable file"): 1,
    }
    assert found.actions == {"remove": 4, "shift": 2}
    assert (found.residue, found.searched) == (1, 3)
    assert found.places == ("(0018,1020)", "(0040,0275)[0]>(0040,0007)")


@pytest.mark.parametrize("table", [b"no gzip at all", RECORD.table[:-9]])
def test_a_damaged_table_is_an_error_for_people(table: bytes) -> None:
    with pytest.raises(ReportError, match="damaged"):
        report_csv(replace(RECORD, table=table))


def test_every_study_that_was_de_identified_has_a_report_that_agrees_with_the_ledger(
    world: World,
) -> None:
    world.run()

    for item in world.items():
        record = world.ledger.deid_report(item.accession_id)
        assert (record is None) == (item.accession_number == world.pacs.missing_accession)
        if record is None:
            continue
        found = rows(report_csv(record))
        assert len(found) == item.instances
        assert sum(row["disposition"] == "withheld" for row in found) == item.withheld
        assert record.key_id == world.ledger.workspace_key_id("default")


def test_a_blocked_study_s_report_names_the_places(world: World) -> None:
    item = world.item(world.pacs.residue_accession or "")

    world.run([item.partition_key])

    record = world.ledger.deid_report(item.accession_id)
    assert record is not None
    found = summarise(record)
    assert found.places == ("(0018,1020)",)
    assert found.fates == {("withheld", RESIDUE): found.residue}


def test_no_report_holds_an_identifier(world: World) -> None:
    world.run()

    search = IdentifierSearch((*world.pacs.invented_identifiers, *world.pacs.accessions))
    for item in world.items():
        record = world.ledger.deid_report(item.accession_id)
        if record is not None:
            assert search.in_bytes("the report", record.table) == []
            assert search.in_bytes("the table", report_csv(record)) == []
