"""Every form of a report: held against a file that was looked at, fed back in, and searched.

With REWRITE_GOLDEN=1 in the environment the files are written anew; look at them before they are
committed.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locutus_dagster.ledger import Ledger, State
from locutus_dagster.manifests import load_manifest
from locutus_dagster.manifests.reading import fault_of_values, read_manifest
from locutus_dagster.summarizer.forms import (
    FORMS,
    ReportError,
    report_name,
    report_schema,
    write_report,
)
from locutus_dagster.summarizer.forms import csv as csv_form
from locutus_dagster.summarizer.forms.table import (
    failure_rows,
    line_rows,
    overview_rows,
    state_rows,
)
from locutus_dagster_tests.summarizer.reports import (
    HOSTILE,
    IDENTIFIERS,
    a_line,
    a_summary,
    many_lines,
)

GOLDEN = Path(__file__).with_name("golden")
_FORMULA = tuple("=+-@")


def written(form: str, folder: Path, **kind: bool) -> Path:
    """The report in a form, of the kind that is asked for."""
    summary = a_summary(**kind)  # type: ignore[arg-type]
    path = folder / report_name(summary, form)
    write_report(summary, form, path)
    return path


def shown(path: Path) -> str:
    """A file's text; of a workbook, its cells."""
    if path.suffix != ".xlsx":
        return path.read_text(encoding="utf-8")
    lines = []
    for sheet in openpyxl.load_workbook(path):
        lines.append(f"== {sheet.title}, {sheet.freeze_panes}, {sheet.auto_filter.ref}")
        lines += (
            "\t".join("" if cell is None else str(cell) for cell in row).rstrip()
            for row in sheet.iter_rows(values_only=True)
        )
    return "\n".join(lines) + "\n"


def rows_of(path: Path) -> Iterator[list[str]]:
    """The rows of a CSV that are no comments."""
    with path.open(encoding="utf-8", newline="") as stream:
        yield from (row for row in csv.reader(stream) if not row[0].startswith("#"))


@pytest.mark.parametrize("detailed", [True, False], ids=["detailed", "overview"])
@pytest.mark.parametrize("form", FORMS)
def test_a_report_looks_as_it_was_approved(form: str, detailed: bool, tmp_path: Path) -> None:
    found = shown(written(form, tmp_path, detailed=detailed))
    kind = "detailed" if detailed else "overview"
    ending = {"xlsx": "xlsx.txt"}.get(form, FORMS[form].extension)
    golden = GOLDEN / f"{kind}.{ending}"
    if os.environ.get("REWRITE_GOLDEN"):
        golden.write_text(found, encoding="utf-8")
    assert found == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("detailed", [True, False], ids=["detailed", "overview"])
@pytest.mark.parametrize("form", FORMS)
def test_a_redacted_report_names_nobody_in_any_form(
    form: str, detailed: bool, tmp_path: Path
) -> None:
    path = written(form, tmp_path, detailed=detailed, redacted=True)
    content = path.read_bytes()
    if form == "xlsx":
        with zipfile.ZipFile(path) as book:
            content = b"".join(book.read(name) for name in book.namelist())
    for identifier in IDENTIFIERS:
        assert identifier.encode() not in content
        assert identifier not in path.name


@pytest.mark.parametrize("form", FORMS)
def test_a_redacted_report_lists_no_accessions_even_if_it_is_given_them(
    form: str, tmp_path: Path
) -> None:
    full, redacted = a_summary(detailed=False), a_summary(detailed=False, redacted=True)
    careless = dataclasses.replace(redacted, not_found=full.not_found, stage=full.stage)
    write_report(careless, form, tmp_path / "report")
    text = (tmp_path / "report").read_bytes()
    assert b"NOWHERE" not in text
    assert b"UNNAMED" not in text


def test_a_file_is_its_owner_s_and_named_by_workspace_kind_and_day(tmp_path: Path) -> None:
    path = written("html", tmp_path, detailed=False)
    assert path.name == "neuro-overview-2026-11-22.html"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_cannot_be_written_is_one_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="cannot be written"):
        write_report(a_summary(), "csv", tmp_path / "nowhere" / "report.csv")
    with pytest.raises(ReportError, match="There is no form 'pdf'"):
        write_report(a_summary(), "pdf", tmp_path / "report.pdf")
    assert list(tmp_path.iterdir()) == []


def test_the_csv_has_the_reference_s_columns_in_its_order_and_then_ours(tmp_path: Path) -> None:
    header, *rows = rows_of(written("csv", tmp_path))
    assert ",".join(header[7:20]) == (
        "DUPLICATE_ACCESSIONS_IN_MANIFEST,STATUS,LAST_DATETIME_PROCESSED,TARGET,ONPREM-XTRAS:,"
        "filename4local,flywheel_group,flywheel_project,flywheel_subject_import_arg,"
        "flywheel_session_import_arg,ONPREM-XTRAS:DEID_QC_STATUS,DEID_QC_STUDY_URL,"
        "SUMMARIZED_AS_OF:=2026-11-22 06:30:00 (UTC)"
    )
    assert {len(row) for row in rows} == {len(header)}
    delivered = dict(zip(header, rows[7], strict=True))
    assert delivered["filename4local"] == "SUBJ-8_4008d_BRAIN.zip"
    assert delivered["flywheel_session_import_arg"] == "4008d_BRAIN"
    assert delivered["HOURS_SINCE_LAST_CHANGE"] == "40.0"


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_a_csv_report_loads_as_a_manifest_and_means_the_same_rows(
    ledger: Ledger, tmp_path: Path
) -> None:
    path = written("csv", tmp_path)
    report = load_manifest(ledger, path, workspace="neuro", name="again")
    lines = [line for line in a_summary().lines if line.subject_id]
    assert report.accepted == sum(not line.duplicate for line in lines)
    assert [one.line for one in report.duplicates] == [36]
    assert [bad.reason for bad in report.rejected] == ["empty"]
    loaded = read_manifest(path)
    assert {
        (row.accession_number, *row.attributes) for row in (*loaded.rows, *loaded.duplicates)
    } == {
        (
            line.accession_number,
            line.subject_id,
            line.imaging_type,
            line.age,
            line.anatomical_position,
        )
        for line in lines
    }


_CELL = st.builds(
    str.__add__,
    st.sampled_from(["", "", "=", "+", "-", "@", " =", "\uff1d", '"', ",", "#", "\n", "\t="]),
    st.text(max_size=12),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(_CELL, _CELL, _CELL), min_size=1, max_size=4))
def test_no_value_breaks_the_csv_becomes_a_formula_or_changes_when_it_is_loaded(
    values: list[tuple[str, str, str]],
) -> None:
    lines = tuple(
        a_line(
            number,
            imaging_type=imaging.strip(),
            anatomical_position=reason,
            accession_number=accession.strip(),
            reason=reason,
            status=reason,
        )
        for number, (imaging, accession, reason) in enumerate(values, start=1)
    )
    stream = io.BytesIO()
    csv_form.write(a_summary(lines=lines), stream)
    text = stream.getvalue().decode("utf-8")
    header, *rows = (row for row in csv.reader(io.StringIO(text, "")) if row[0][:1] != "#")
    assert len(rows) == len(lines)
    for row, line in zip(rows, lines, strict=True):
        assert len(row) == len(header)
        assert not any(cell.startswith(_FORMULA) for cell in row)
        told = dict(zip(header, map(str.strip, row), strict=True))
        if fault_of_values(told) is None and line.accession_number.isprintable():
            assert told["ACCESSION_NUM"] == line.accession_number
        if line.imaging_type.isprintable():
            assert told["IMAGING_TYPE"] == line.imaging_type


def test_a_formula_is_text_in_the_workbook_and_stays_what_it_was(tmp_path: Path) -> None:
    book = openpyxl.load_workbook(written("xlsx", tmp_path))
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value]
    assert {cell.data_type for cell in cells} == {"s", "n", "d"}
    (hostile,) = (cell for cell in cells if cell.value == HOSTILE)
    assert hostile.quotePrefix
    assert book.sheetnames == ["Overview", "Rows", "Failures"]
    assert book["Rows"].freeze_panes == "A2"
    assert book["Rows"].auto_filter.ref == "A1:AH18"
    assert book["Rows"]["J9"].is_date


def test_json_is_as_its_schema_says_and_no_field_is_missing_from_it(tmp_path: Path) -> None:
    schema = report_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for detailed in (True, False):
        report = json.loads(written("json", tmp_path, detailed=detailed).read_bytes())
        jsonschema.Draft202012Validator(schema).validate(report)
        assert set(report) == set(schema["properties"])
        for line in report["lines"]:
            assert set(line) == set(schema["properties"]["lines"]["items"]["properties"])
        counted = sum(bucket["count"] for bucket in report["buckets"])
        assert counted + report["not_found_count"] == report["rows"] == 17


def test_a_form_with_fewer_rows_says_so_and_names_the_csv_that_lies_beside_it(
    tmp_path: Path,
) -> None:
    lines = (*many_lines(2500), a_line(2501, State.AMBIGUOUS))
    summary = a_summary(lines=lines)
    for form in ("html", "markdown"):
        write_report(summary, form, tmp_path / "alone" if form == "html" else tmp_path / "a.md")
    assert "The CSV form of this report has all of them." in (tmp_path / "alone").read_text()
    assert "first 1,000 of 2,501 rows; the CSV form has all" in (tmp_path / "a.md").read_text()
    for form in ("csv", "html"):
        write_report(summary, form, tmp_path / report_name(summary, form))
    page = (tmp_path / "neuro-detailed-2026-11-22.html").read_text()
    assert 'href="neuro-detailed-2026-11-22.csv"' in page
    assert page.count('<tr><td class="w">autumn~') == 2000
    assert "autumn~002501" in page  # what needs a person is never among those left out


def test_what_dagster_is_shown_names_no_accession_and_no_file() -> None:
    summary = a_summary()
    rows = [*overview_rows(summary), *state_rows(summary), *failure_rows(summary)]
    rows += line_rows(summary)
    told = json.dumps(rows)
    for identifier in ("ACC0", HOSTILE, "-77X", "NOWHERE", "UNNAMED", "s3://", ".zip"):
        assert identifier not in told
    assert {"status": "NOT_FOUND", "rows": 1} in rows
    assert {"state": "delivered", "rows": 2} in rows
    assert sum(int(row["rows"]) for row in overview_rows(summary)) == summary.rows
    assert [set(map(type, row.values())) <= {str, int} for row in rows] == [True] * len(rows)
