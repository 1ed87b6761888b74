"""A redacted report names nobody, wherever an identifier may have slipped in."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.schema import Manifest, ManifestRow
from locutus_dagster.summarizer.gathering import summarize
from locutus_dagster.summarizer.model import Stage, StudyOfSeveral, Summary
from locutus_dagster.summarizer.redacting import redacted
from locutus_dagster_tests.manifests.files import row, write
from locutus_dagster_tests.summarizer.site import bring, deliver, item, load

_NUMBERS = itertools.count(1)


def everything_in(summary: Summary) -> str:
    """All that any form could show of a report, in the lower case."""
    fields = dataclasses.asdict(summary)
    return (repr(summary) + repr(fields)).lower()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """One ledger for many examples, each with a workspace of its own."""
    path = tmp_path_factory.mktemp("shared") / "ledger.sqlite"
    opened = Ledger.open(f"sqlite:///{path}")
    yield opened
    opened.close()


# Free of the words that a report has anyway, as an accession number of any length would not be.
_IDENTIFIERS = st.lists(
    st.text("QJZqjz789", min_size=5, max_size=9), min_size=6, max_size=6, unique_by=str.lower
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_IDENTIFIERS, st.booleans())
def test_no_identifier_of_the_ledger_is_left_anywhere(
    shared: Ledger, tmp_path_factory: pytest.TempPathFactory, known: list[str], detailed: bool
) -> None:
    workspace = f"w{next(_NUMBERS)}"
    folder = tmp_path_factory.mktemp("files")
    one, two, three, *subjects = known
    rows = [
        row(subject=subject, accession=number, position=one, qc=f"see {two.swapcase()}")
        for subject, number in zip(subjects, (one, two, three), strict=True)
    ]
    rows.append(row(subject=subjects[0], accession=three, age=one))  # which is no age
    items = load(shared, folder, *rows, workspace=workspace, name="batch")
    deliver(shared, item(items, one))
    again = row(subject=subjects[1], accession=one)  # changed: quoted in its status
    load(shared, folder, again, workspace=workspace, name="again")
    reason = f"as {three.lower()} was:{subjects[2]}"
    bring(shared, item(items, two), State.FAILED, label=one, reason=reason)
    bring(shared, item(items, three), State.REQUESTED, label=f"x{subjects[0]}y")
    asked = write(
        folder, *rows, again, row(subject="NewQJZ", accession="QJZ-new"), name=f"{one}.csv"
    )
    for file in (None, asked):
        whole = summarize(shared, workspace, detailed=detailed, file=file, settings={"of": two})
        for made in (
            redacted(whole),
            summarize(
                shared, workspace, detailed=detailed, file=file, settings={"of": two}, redact=True
            ),
        ):
            shown = everything_in(made)
            for identifier in (*known, "NewQJZ", "QJZ-new"):
                assert identifier.lower() not in shown
            assert made.redacted
            assert made.rows == whole.rows
            assert [b.count for b in made.buckets] == [b.count for b in whole.buckets]


def test_what_takes_the_place_of_identifiers(shared: Ledger, tmp_path: Path) -> None:
    rows = [row(subject="SUBJ1", accession="ACC1"), row(subject="SUBJ2", accession="ACC2")]
    first, second = load(shared, tmp_path, *rows, workspace="said", name="batch")
    deliver(shared, first)
    changed = row(subject="SUBJ9", accession="ACC1")
    load(shared, tmp_path, changed, workspace="said", name="again")
    bring(shared, second, State.FAILED, reason="SUBJ2 and acc2/ACC1")
    made = summarize(shared, "said", redact=True)
    delivered, failed, differs = made.lines
    assert delivered.accession_number == "REDACTED_ACCESSION"
    assert delivered.subject_id == "REDACTED_SUBJECT"
    assert (delivered.targets, delivered.file_name) == (("share",), "")
    assert delivered.partition_key == "batch~000001"
    reason = "REDACTED_SUBJECT and REDACTED_ACCESSION/REDACTED_ACCESSION"
    assert (failed.reason, made.failures[0].reason) == (reason, reason)
    assert failed.status == f"ERROR_PHASE04=[{reason}]"
    assert differs.status == (
        "PREVIOUS_PROCESSING_USED_[…]_PRERETIRE_OR_PREDELETE_TO_REPROCESS_[…]"
    )
    assert differs.changed == ("subject",)


def test_a_manifest_that_was_once_named_after_an_accession_is_not_named(
    shared: Ledger, tmp_path: Path
) -> None:
    load(shared, tmp_path, row(accession="ACC-4711"), workspace="named", name="before")
    with shared.session() as session:
        session.execute(update(Manifest).where(Manifest.name == "before").values(name="ACC-4711"))
        session.execute(
            update(ManifestRow)
            .where(ManifestRow.workspace == "named")
            .values(partition_key="ACC-4711~000001")
        )
    shown = redacted(summarize(shared, "named", manifests=("ACC-4711",)))
    assert "4711" not in everything_in(shown)
    assert shown.lines[0].partition_key == "REDACTED_ACCESSION~000001"


def test_statuses_and_failures_that_are_alike_then_are_counted_together(
    shared: Ledger, tmp_path: Path
) -> None:
    rows = [row(subject=f"SUBJ{n}", accession=f"ACC{n}") for n in range(3)]
    for one in load(shared, tmp_path, *rows, workspace="alike", name="batch"):
        bring(shared, one, State.FAILED, reason=f"it is {one.accession_number}")
    made = summarize(shared, "alike", detailed=False, redact=True)
    assert [(one.reason, one.accessions) for one in made.failures] == [
        ("it is REDACTED_ACCESSION", 3)
    ]
    assert [(one.label, one.count) for one in made.grouped] == [
        ("ERROR_PHASE04=[it is REDACTED_ACCESSION]", 3)
    ]


def test_a_short_identifier_is_taken_out_where_it_stands_alone(
    shared: Ledger, tmp_path: Path
) -> None:
    one = load(shared, tmp_path, row(accession="7"), workspace="short", name="batch")[0]
    bring(shared, one, State.FAILED, reason="study 7, 17 instances of 70")
    made = summarize(shared, "short", redact=True)
    assert made.lines[0].reason == "study REDACTED_ACCESSION, 17 instances of 70"
    assert made.lines[0].status.startswith("ERROR_PHASE04=")


def test_the_stage_and_several_studies_are_told_without_names(
    shared: Ledger, tmp_path: Path
) -> None:
    load(shared, tmp_path, row(accession="ACC1"), workspace="stage", name="batch")
    made = summarize(shared, "stage")
    several = (StudyOfSeveral(1, {"Note": "was ACC1"}),)
    lines = tuple(dataclasses.replace(one, studies=several) for one in made.lines)
    stage = Stage(3, ("B7SECRET",), ("batch~000001",))
    told = redacted(
        dataclasses.replace(made, lines=lines, stage=stage, title="Of B7SECRET and acc1")
    )
    assert told.title == "Of REDACTED_ACCESSION and REDACTED_ACCESSION"
    assert told.lines[0].studies[0].facts == {"Note": "was REDACTED_ACCESSION"}
    assert told.stage == Stage(3, ("",), ("batch~000001",))
    assert redacted(told) == told
