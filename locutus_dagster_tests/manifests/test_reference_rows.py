"""The rows about which the reference's manifest has a rule of its own, one test for each.

The rules are those of the table "Input | Behaviour" of its specification. Each test says what the
reference did and holds what this system does instead.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from locutus_dagster.ledger import Ledger
from locutus_dagster.manifests import (
    MANIFEST_COLUMNS,
    LoadReport,
    ManifestError,
    ManifestFile,
    load_manifest,
    read_manifest,
)
from locutus_dagster.manifests.reading import RESOLVER_VERSION_COLUMN
from locutus_dagster_tests.manifests.files import GOOD_ROW, HEADER, row, write


def read(folder: Path, *rows: str, **how: object) -> ManifestFile:
    return read_manifest(write(folder, *rows, **how))  # type: ignore[arg-type]


def load(ledger: Ledger, folder: Path, *rows: str, **how: object) -> LoadReport:
    return load_manifest(ledger, write(folder, *rows), workspace="ws", **how)  # type: ignore[arg-type]


def accessions(folder: Path, *rows: str) -> list[str]:
    return [found.accession_number for found in read(folder, *rows).rows]


# -- the header --------------------------------------------------------------------------------


def test_a_bad_header_is_one_error_that_lists_every_fault(tmp_path: Path) -> None:
    """The reference printed one error for each wrong column and ended in a traceback."""
    with pytest.raises(ManifestError, match="no column IMAGING_TYPE; no column ACCESSION_NUM"):
        read(tmp_path, GOOD_ROW, header=f"SUBJECT_ID,{','.join(MANIFEST_COLUMNS[2:4])},a,b,c,d")


def test_columns_that_only_manual_qc_needed_are_kept_and_not_required(
    ledger: Ledger, tmp_path: Path
) -> None:
    """The reference required PROCESSED_STATUS and DEID_QC_STUDY_URL in some of its modes.

    Its output, which carries them, can be loaded as a manifest; without them one loads as well.
    """
    header = f"{HEADER},PROCESSED_STATUS,DEID_QC_STUDY_URL"
    (found,) = read(tmp_path, f"{GOOD_ROW},PROCESSED,http://qc/1", header=header).rows
    assert found.extra == {"PROCESSED_STATUS": "PROCESSED", "DEID_QC_STUDY_URL": "http://qc/1"}
    assert load(ledger, tmp_path, GOOD_ROW).accepted == 1


def test_both_of_the_reference_s_versions_for_dicom_are_known(tmp_path: Path) -> None:
    """The reference had another version of the format for its resolver; here either will do."""
    header = HEADER.replace(MANIFEST_COLUMNS[-1], RESOLVER_VERSION_COLUMN)
    assert len(read(tmp_path, GOOD_ROW, header=header).rows) == 1


# -- the rows of the table ---------------------------------------------------------------------


@pytest.mark.parametrize("line", ["", "   ", ",,,,,,", " , ,", "#", "# S2,CT,1,HEAD,ACC2,,"])
def test_blank_lines_and_comments_are_no_rows(tmp_path: Path, line: str) -> None:
    """The reference ignored them too, and echoed them into its output."""
    manifest = read(tmp_path, line, GOOD_ROW)
    assert (len(manifest.rows), len(manifest.rejected)) == (1, 0)


def test_a_row_with_an_empty_first_cell_is_rejected_and_does_not_vanish(
    ledger: Ledger, tmp_path: Path
) -> None:
    """The reference took a row without a subject for a comment: it silently vanished."""
    report = load(ledger, tmp_path, row(subject=""), row(accession="ACC2"))
    assert [(bad.line, bad.column, bad.reason) for bad in report.rejected] == [
        (2, "SUBJECT_ID", "empty")
    ]
    assert report.rows == 2
    assert [kept.line for kept in ledger.rejected_rows("ws", "study")] == [2]


def test_a_comment_may_be_indented(tmp_path: Path) -> None:
    """The reference took ` #` for data, with `#` for the subject; here it is a comment."""
    manifest = read(tmp_path, " # S2,CT,1,HEAD,ACC2,,", GOOD_ROW)
    assert (len(manifest.rows), len(manifest.rejected)) == (1, 0)


def test_quoted_values_and_spaces_around_values_are_read_as_the_reference_read_them(
    tmp_path: Path,
) -> None:
    """The reference read CSV quoting and trimmed every field; so does this system."""
    line = '  S1 ,"CT, low dose", 12\t,\tHEAD, "ACC1",,'
    (found,) = read(tmp_path, line).rows
    assert found.attributes == ("S1", "CT, low dose", "12", "HEAD")
    assert found.accession_number == "ACC1"


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    """The reference did not strip it, so that the header of a file from Excel failed."""
    assert len(read(tmp_path, GOOD_ROW, start=b"\xef\xbb\xbf").rows) == 1


def test_case_and_leading_zeros_of_an_accession_are_kept(tmp_path: Path) -> None:
    """The reference kept them, and matched exactly; so does this system."""
    rows = [row(accession=number) for number in ("00123", "123", "aBc", "abc")]
    assert accessions(tmp_path, *rows) == ["00123", "123", "aBc", "abc"]


def test_a_wildcard_in_an_accession_is_rejected(tmp_path: Path) -> None:
    """The reference passed `*` on as it was; in a query to a PACS it would match everything."""
    (bad,) = read(tmp_path, row(accession="ACC*")).rejected
    assert bad.column == "ACCESSION_NUM"


def test_alphanumeric_accessions_are_taken_as_written(tmp_path: Path) -> None:
    """The reference stripped letters until June 2025; since then it takes them verbatim."""
    rows = [row(accession=number) for number in ("CHOP-12a/3", "E 1234", "1234")]
    assert accessions(tmp_path, *rows) == ["CHOP-12a/3", "E 1234", "1234"]


def test_suffixed_splits_are_kept_verbatim(tmp_path: Path) -> None:
    """The reference turned 1234.010 into 1234.01 in its sweeps and in some of its output."""
    rows = [row(accession=number) for number in ("1234.001", "1234.010", "1234.01", "1234.1")]
    assert accessions(tmp_path, *rows) == ["1234.001", "1234.010", "1234.01", "1234.1"]


@pytest.mark.parametrize("several", ["ACC1;ACC2", '"ACC1,ACC2"', "ACC1\\ACC2"])
def test_several_accessions_in_one_row_are_rejected(tmp_path: Path, several: str) -> None:
    """The reference did not support them, and would have waited for such a study for ever."""
    (bad,) = read(tmp_path, row(accession=several)).rejected
    assert bad.column == "ACCESSION_NUM"


@pytest.mark.parametrize("cells", range(1, 5))
def test_a_row_that_ends_early_is_rejected_and_the_others_load(tmp_path: Path, cells: int) -> None:
    """The reference ended the whole batch in a traceback at a row of fewer than six fields."""
    short = ",".join(GOOD_ROW.split(",")[:cells])
    manifest = read(tmp_path, short, row(accession="ACC2"))
    (bad,) = manifest.rejected
    assert bad.column == MANIFEST_COLUMNS[cells]
    assert bad.reason == f"only {cells} fields; this column is missing"
    assert [found.accession_number for found in manifest.rows] == ["ACC2"]


def test_a_row_of_five_fields_has_all_that_is_needed(tmp_path: Path) -> None:
    """The reference ended the whole batch at it, because DEID_QC_STATUS is missing."""
    assert len(read(tmp_path, "S1,CT,4000,HEAD,ACC1").rows) == 1


def test_a_blank_accession_is_rejected(tmp_path: Path) -> None:
    """The reference accepted it as an accession without characters, pending for ever."""
    (bad,) = read(tmp_path, row(accession="  ")).rejected
    assert (bad.column, bad.reason) == ("ACCESSION_NUM", "empty")


def test_an_apostrophe_is_a_character_like_any_other(ledger: Ledger, tmp_path: Path) -> None:
    """In the reference an apostrophe in any value broke its SQL and ended the batch."""
    quoted = row(imaging_type="O'Brien's", position="'; DROP TABLE accession; --", accession="A'1")
    report = load(ledger, tmp_path, quoted, row(subject="O'Neil", accession="ACC2"))
    (item,) = ledger.manifest_items("ws", "study")
    assert (item.imaging_type, item.anatomical_position, item.accession_number) == (
        "O'Brien's",
        "'; DROP TABLE accession; --",
        "A'1",
    )
    # In a subject it is refused, as it is no character of an ID; the batch goes on.
    assert [(bad.line, bad.column) for bad in report.rejected] == [(3, "SUBJECT_ID")]


def test_an_age_that_is_no_number_is_rejected(tmp_path: Path) -> None:
    """The reference did not look at it, and it reached paths and output."""
    (bad,) = read(tmp_path, row(age="12 days")).rejected
    assert bad.column == "AGE_AT_IMAGING_(DAYS)"


def test_slashes_and_commas_in_attributes_are_kept_for_the_delivery_s_key_to_deal_with(
    tmp_path: Path,
) -> None:
    """In the reference they reached paths and an output that did not quote values.

    Here a folder's name is made of them by `targets/keys.py`, which leaves no slash.
    """
    (found,) = read(tmp_path, row(imaging_type='"MR, 3T"', position="HEAD/NECK")).rows
    assert (found.imaging_type, found.anatomical_position) == ("MR, 3T", "HEAD/NECK")


def test_a_duplicate_is_reported_with_both_places_and_not_processed_again(
    ledger: Ledger, tmp_path: Path
) -> None:
    """The reference skipped it with a log line only: no output row, no error, no count."""
    report = load(ledger, tmp_path, row(), row(accession="ACC2"), row())
    assert [(one.line, one.kind, one.place) for one in report.duplicates] == [
        (4, "manifest", "line 2")
    ]
    assert report.rejected == ()
    assert report.partition_keys == ("study~000001", "study~000002")


def test_a_duplicate_is_processed_again_where_that_is_asked_for(
    ledger: Ledger, tmp_path: Path
) -> None:
    """The reference had the same option, and went through its ladder again."""
    report = load(ledger, tmp_path, row(), row(), allow_duplicates=True)
    assert report.partition_keys == ("study~000001", "study~000002")
    items = ledger.manifest_items("ws", "study")
    assert [item.duplicate for item in items] == [False, True]
    assert len({item.accession_id for item in items}) == 1


@pytest.mark.parametrize("allow", [False, True])
def test_seven_equal_rows_in_a_row_do_not_stop_anything(
    ledger: Ledger, tmp_path: Path, allow: bool
) -> None:
    """The reference stopped after five, and left the rest of the manifest unprocessed in silence.

    It did so even where duplicates were allowed.
    """
    rows = [row()] * 7 + [row(accession="ACC2")]
    report = load(ledger, tmp_path, *rows, allow_duplicates=allow)
    assert (report.rows, report.accepted, report.counts["manifest"]) == (8, 2, 6)
    assert {one.place for one in report.duplicates} == {"line 2"}
    assert report.partition_keys[-1] == "study~000008"
    assert len(report.partition_keys) == (8 if allow else 2)
