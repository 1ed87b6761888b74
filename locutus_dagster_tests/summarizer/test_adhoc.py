"""Reports about a file that need not be loaded: a manifest, or a list of accession numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.selection import Selection
from locutus_dagster.manifests import ManifestError
from locutus_dagster.summarizer.adhoc import SummaryFileError
from locutus_dagster.summarizer.gathering import SummaryError, summarize
from locutus_dagster.summarizer.model import Summary
from locutus_dagster_tests.ledger.rows import add_items
from locutus_dagster_tests.manifests.files import HEADER, row, write
from locutus_dagster_tests.summarizer.site import bring, deliver, load


@pytest.fixture
def known(ledger: Ledger, tmp_path: Path) -> Ledger:
    """A delivered, a pending and a failed accession, D1, P1 and F1."""
    rows = [row(subject=f"S{n}", accession=n) for n in ("D1", "P1", "F1")]
    delivered, pending, failed = load(ledger, tmp_path, *rows, name="loaded")
    deliver(ledger, delivered)
    bring(ledger, pending, State.PENDING)
    bring(ledger, failed, State.FAILED, reason="residue")
    return ledger


def report(ledger: Ledger, path: Path, **asked: object) -> Summary:
    made = summarize(ledger, "ws", file=path, **asked)  # type: ignore[arg-type]
    assert sum(one.count for one in made.buckets) + len(made.not_found) == made.rows
    return made


def test_a_manifest_is_held_against_the_ledger_row_by_row(known: Ledger, tmp_path: Path) -> None:
    path = write(
        tmp_path,
        row(subject="SD1", accession="D1", position="CHEST", qc="pass"),
        row(subject="SX", accession="P1"),
        row(subject="SF1", accession="F1"),
        row(subject="SN", accession="NEW"),
        row(subject="SF1", accession="F1"),
        row(subject="SB", accession="BAD", age="12 years"),
        row(subject="SN", accession="NEW"),
        before=["# a comment", ""],
    )
    made = report(known, path)
    delivered, pending, failed, new, _, bad, new_again = made.lines
    assert delivered.status == (
        "PREVIOUS_PROCESSING_USED_[SD1/CT/4000/HEAD]_PRERETIRE_OR_PREDELETE_TO_REPROCESS_"
        "[SD1/CT/4000/CHEST]"
    )
    assert (delivered.changed, delivered.qc_status) == (("attributes",), "pass")
    assert (delivered.manifest, delivered.partition_key) == ("loaded", "loaded~000001")
    assert delivered.file_name.endswith(".zip")
    assert (pending.status, pending.changed) == ("PENDING_CHANGE", ("subject",))
    assert (failed.status, failed.changed) == ("ERROR_PHASE04=[residue]", ())
    assert (new.status, new.bucket, new.manifest) == ("NOT_FOUND", "NOT_FOUND", "")
    assert [one.duplicate for one in made.lines] == [False] * 4 + [True, False, True]
    assert bad.status == "REJECTED=[AGE_AT_IMAGING_(DAYS): not a number of days]"
    assert [one.row_number for one in made.lines] == [1, 2, 3, 4, 5, 6, 7]
    assert (delivered.line, bad.line) == (4, 9)
    assert new_again.state is None
    assert made.not_found == ("NEW", "NEW")
    assert (made.rows, made.duplicates, made.rejected) == (7, 2, 1)
    assert made.failures[0].accessions == 1
    assert made.manifests == ("loaded",)
    assert made.workspace_accessions == 3
    assert sum(made.history[-1].states.values()) == 3
    assert "study.csv" in made.title


@pytest.mark.parametrize(
    ("header", "lines"),
    [
        (["ACCESSION_NUM"], ["P1", "", "# D1", "NEW", "P1"]),
        (["note,accession_num"], ["x,P1", "y,NEW", "z,P1"]),
        ([], ["P1", "NEW", "P1"]),
    ],
)
def test_a_list_of_accession_numbers_is_enough(
    known: Ledger, tmp_path: Path, header: list[str], lines: list[str]
) -> None:
    path = tmp_path / "list.csv"
    path.write_text("\r\n".join([*header, *lines]), encoding="utf-8-sig")
    made = report(known, path)
    assert [one.status for one in made.lines] == ["PENDING_CHANGE", "NOT_FOUND", "PENDING_CHANGE"]
    assert [one.duplicate for one in made.lines] == [False, False, True]
    first = made.lines[0]
    assert (first.subject_id, first.imaging_type, first.changed) == ("SP1", "CT", ())
    assert first.partition_key == "loaded~000002"


def test_lines_that_cannot_be_asked_with_are_told_with_their_place(
    known: Ledger, tmp_path: Path
) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(b'ACCESSION_NUM,note\n,empty\nP1,fine\n"P1,quote\n\xff,bytes\n')
    made = report(known, path)
    assert [(one.line, one.reason) for one in made.lines if one.bucket == "REJECTED"] == [
        (2, "ACCESSION_NUM: empty"),
        (4, "a quoted field does not end on its line, or not before a comma"),
        (5, "ACCESSION_NUM: a control character, or not UTF-8 text"),
    ]
    assert made.rejected == 3


def test_an_overview_of_a_file_counts_its_rows_and_lists_none(
    known: Ledger, tmp_path: Path
) -> None:
    path = write(tmp_path, row(accession="P1"), row(accession="NEW"))
    made = report(known, path, detailed=False)
    assert (made.rows, made.lines, made.not_found) == (2, (), ("NEW",))


def test_nothing_of_a_file_is_kept(known: Ledger, tmp_path: Path) -> None:
    path = write(tmp_path, row(subject="OTHER", accession="D1"), row(accession="NEW"))
    report(known, path)
    after = summarize(known, "ws")
    assert (after.rows, after.manifests, after.workspace_accessions) == (3, ("loaded",), 3)
    assert not any(one.changed for one in after.lines)


def test_a_file_that_says_nothing_is_an_error_that_quotes_nothing(
    known: Ledger, tmp_path: Path
) -> None:
    for content, kind in (
        ("", SummaryFileError),
        ("ACCESSION_NUM\n", SummaryFileError),
        ("SECRET-1,SECRET-2\n", SummaryFileError),
        (HEADER.replace("SUBJECT_ID", "SECRET-3"), ManifestError),
    ):
        path = tmp_path / "list.csv"
        path.write_text(content, encoding="utf-8")
        with pytest.raises(kind) as refused:
            report(known, path)
        assert "list.csv" in str(refused.value)
        assert "SECRET" not in str(refused.value)
    with pytest.raises(ManifestError, match="cannot be read"):
        report(known, tmp_path / "missing.csv")


def test_a_report_is_about_a_file_or_about_manifests(known: Ledger, tmp_path: Path) -> None:
    path = write(tmp_path, row(accession="P1"))
    for asked in ({"manifests": ["loaded"]}, {"selection": Selection(changed=True)}):
        with pytest.raises(SummaryError, match="about a file, or about manifests"):
            report(known, path, **asked)


def test_a_long_list_is_asked_in_pieces_and_its_pace_measured_over_all(
    ledger: Ledger, tmp_path: Path
) -> None:
    numbers = [str(n) for n in range(5001)]
    items = add_items(ledger, *numbers)
    deliver(ledger, items[0])
    ledger.claim(items[5000].accession_id, "here|1", 60)
    path = tmp_path / "list.csv"
    path.write_text("\n".join(["ACCESSION_NUM", *numbers, "unknown"]), encoding="utf-8")
    made = report(ledger, path)
    assert made.states == {State.LOADED: 5000, State.DELIVERED: 1}
    assert made.not_found == ("unknown",)
    assert made.pace == pytest.approx(60, rel=0.2)
    assert made.eta is not None
    assert made.history[-1].states == made.states
