"""Reading a manifest: its header by name, every row judged, nothing dropped, nothing quoted."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from locutus_dagster.ledger.resolutions import ResolveCommand
from locutus_dagster.manifests import MANIFEST_COLUMNS, ManifestError, ManifestFile, read_manifest
from locutus_dagster.manifests.reading import RESOLVER_VERSION_COLUMN
from locutus_dagster_tests.manifests.files import GOOD_ROW, HEADER, row, write

VERSION = MANIFEST_COLUMNS[-1]
in_one_folder = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150
)


def read(folder: Path, *rows: str, **how: object) -> ManifestFile:
    return read_manifest(write(folder, *rows, **how))  # type: ignore[arg-type]


def header_error(folder: Path, header: str, **how: object) -> str:
    with pytest.raises(ManifestError) as refusal:
        read(folder, GOOD_ROW, header=header, **how)
    return str(refusal.value)


# -- the header --------------------------------------------------------------------------------


def test_a_row_is_read_with_its_number_and_its_line(tmp_path: Path) -> None:
    manifest = read(tmp_path, GOOD_ROW, before=["# a comment", ""])
    (found,) = manifest.rows
    assert (found.number, found.line) == (1, 4)
    assert (found.subject_id, found.imaging_type, found.age) == ("S1", "CT", "4000")
    assert (found.anatomical_position, found.accession_number) == ("HEAD", "ACC1")
    assert manifest.rejected == ()


def test_the_checksum_is_of_the_bytes_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD_ROW, newline="\r\n")
    assert read_manifest(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("seed", range(5))
def test_columns_are_found_by_name_in_any_order(tmp_path: Path, seed: int) -> None:
    order = random.Random(seed).sample(range(7), 7)
    cells = ["S1", "CT", "4000", "HEAD", "ACC1", "ok", ""]
    manifest = read(
        tmp_path,
        ",".join(cells[place] for place in order),
        header=",".join(MANIFEST_COLUMNS[place] for place in order),
    )
    (found,) = manifest.rows
    assert (found.subject_id, found.imaging_type, found.age) == ("S1", "CT", "4000")
    assert (found.anatomical_position, found.accession_number) == ("HEAD", "ACC1")
    assert found.deid_qc_status == "ok"


@pytest.mark.parametrize("header", [HEADER.lower(), HEADER.upper(), HEADER.replace(",", " , ")])
def test_case_and_spaces_of_column_names_do_not_matter(tmp_path: Path, header: str) -> None:
    assert len(read(tmp_path, GOOD_ROW, header=header).rows) == 1


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "with BOM"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("before", [[], ["# about", "", '"# quoted, with a comma",,']], ids=len)
def test_line_ends_byte_order_mark_and_leading_comments_do_not_matter(
    tmp_path: Path, start: bytes, newline: str, before: list[str]
) -> None:
    manifest = read(tmp_path, GOOD_ROW, start=start, newline=newline, before=before)
    assert [found.line for found in manifest.rows] == [len(before) + 2]
    assert manifest.columns == MANIFEST_COLUMNS


def test_comments_and_blank_lines_between_rows_are_not_rows(tmp_path: Path) -> None:
    manifest = read(
        tmp_path,
        "",
        GOOD_ROW,
        "# S2,CT,1,HEAD,ACC2,,",
        "   ",
        '"# S3",CT,1,HEAD,ACC3,,',
        "  # indented",
        ",,,,,,",
        row(accession="ACC4"),
    )
    assert [(found.number, found.line) for found in manifest.rows] == [(1, 3), (2, 9)]
    assert manifest.rejected == ()


def test_a_quoted_value_may_hold_a_comma_and_a_quote(tmp_path: Path) -> None:
    (found,) = read(tmp_path, row(position='"HEAD, ""NECK"""')).rows
    assert found.anatomical_position == 'HEAD, "NECK"'


def test_further_columns_are_kept_under_their_names(tmp_path: Path) -> None:
    manifest = read(tmp_path, f"north,{GOOD_ROW},a note", header=f"Site,{HEADER},Note")
    (found,) = manifest.rows
    assert found.extra == {"Site": "north", "Note": "a note"}
    assert manifest.columns[0] == "Site"


def test_further_columns_of_one_name_both_keep_their_values(tmp_path: Path) -> None:
    (found,) = read(tmp_path, f"{GOOD_ROW},first,second", header=f"{HEADER},Note,Note").rows
    assert sorted(found.extra.values()) == ["first", "second"]


def test_no_cell_is_lost_however_columns_are_named(tmp_path: Path) -> None:
    names = ["Note", "Note column 10", "Note", "column 11", "", "column 14"]
    header = ",".join([HEADER, *names])
    (found,) = read(tmp_path, f"{GOOD_ROW},a,b,c,d,e,f", header=header).rows
    assert sorted(found.extra.values()) == list("abcdef")
    (rejected,) = read(tmp_path, f"{GOOD_ROW},a,b,c,d,e,f,g", header=header).rejected
    assert sorted(rejected.values.values())[-7:] == list("abcdefg")


def test_every_fault_of_a_header_is_told_at_once_with_file_and_line(tmp_path: Path) -> None:
    header = "SUBJECT_ID,subject_id,IMAGING_TYPE,locutus_manifest_ver:of.tomorrow"
    message = header_error(tmp_path, header, before=["# about"])
    assert "study.csv, line 2" in message
    assert "column 2 repeats SUBJECT_ID" in message
    assert "column 4 names another format version" in message
    for missing in MANIFEST_COLUMNS[2:]:
        assert f"no column {missing}" in message
    assert HEADER in message


@pytest.mark.parametrize("column", MANIFEST_COLUMNS)
def test_each_missing_column_is_named_with_the_right_header(tmp_path: Path, column: str) -> None:
    header = ",".join(name for name in MANIFEST_COLUMNS if name != column)
    message = header_error(tmp_path, header)
    assert f"no column {column}" in message
    assert message.count("no column") == 1
    assert HEADER in message


@pytest.mark.parametrize("column", MANIFEST_COLUMNS)
def test_each_repeated_column_is_named_with_its_place(tmp_path: Path, column: str) -> None:
    assert f"column 8 repeats {column}" in header_error(tmp_path, f"{HEADER},{column.lower()}")


def test_a_file_without_a_header_is_told_what_a_header_is(tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_text("# nothing but a comment\n\n")
    with pytest.raises(ManifestError, match=r"empty\.csv: no header found") as refusal:
        read_manifest(path)
    assert HEADER in str(refusal.value)


def test_a_first_row_in_the_place_of_the_header_is_not_quoted(tmp_path: Path) -> None:
    message = header_error(tmp_path, row(accession="ACC-SECRET", subject="S-SECRET"))
    assert "line 1" in message
    assert "SECRET" not in message


def test_a_file_that_is_not_there_is_a_manifest_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"nowhere\.csv: cannot be read"):
        read_manifest(tmp_path / "nowhere.csv")


# -- rows --------------------------------------------------------------------------------------

BAD_ROWS = {
    "empty subject": (row(subject=""), "SUBJECT_ID", "empty"),
    "blank subject": (row(subject='"  "'), "SUBJECT_ID", "empty"),
    "empty accession": (row(accession=""), "ACCESSION_NUM", "empty"),
    "long subject": (row(subject="S" * 65), "SUBJECT_ID", "longer than 64"),
    "long type": (row(imaging_type="T" * 65), "IMAGING_TYPE", "longer than 64"),
    "long position": (row(position="P" * 65), "ANATOMICAL_POSITION", "longer than 64"),
    "long accession": (row(accession="9" * 65), "ACCESSION_NUM", "longer than 64"),
    "subject with a slash": (row(subject="S/1"), "SUBJECT_ID", "only letters"),
    "subject with a caret": (row(subject="DOE^JANE"), "SUBJECT_ID", "only letters"),
    "subject of dots": (row(subject=".."), "SUBJECT_ID", "only letters"),
    "subject with an umlaut": (row(subject="Käthe"), "SUBJECT_ID", "only letters"),
    "accession with a star": (row(accession="ACC*"), "ACCESSION_NUM", "wildcard"),
    "accession with a question mark": (row(accession="ACC?"), "ACCESSION_NUM", "wildcard"),
    "accession with a backslash": (row(accession="A\\B"), "ACCESSION_NUM", "backslash"),
    "subject is the accession": (row(subject="acc1"), "SUBJECT_ID", "accession number itself"),
    "age in words": (row(age="old"), "AGE_AT_IMAGING_(DAYS)", "not a number of days"),
    "negative age": (row(age="-4"), "AGE_AT_IMAGING_(DAYS)", "not a number of days"),
    "age in other digits": (row(age="\u0664\u0665"), "AGE_AT_IMAGING_(DAYS)", "not a number"),
    "too many fields": (f"{GOOD_ROW},more", "", "8 fields under a header of 7"),
    "too few fields": ("S1,CT,4000,HEAD", "ACCESSION_NUM", "only 4 fields"),
    "one field": ("S1", "IMAGING_TYPE", "only 1 fields"),
    "a NUL": (row(position="HE\0AD"), "ANATOMICAL_POSITION", "a control character"),
    "a tab": (row(imaging_type="C\tT"), "IMAGING_TYPE", "a control character"),
    "an escape": (row(qc="\x1b[31m!"), "DEID_QC_STATUS", "a control character"),
    "not UTF-8": (row(position="K\udcf6pf"), "ANATOMICAL_POSITION", "not UTF-8 text"),
    "an unclosed quote": (row(position='"HEAD'), "", "quote"),
    "text after a quote": (row(position='"HEAD"x'), "", "quote"),
    "two accessions": (row(accession="ACC1;ACC2"), "ACCESSION_NUM", "its own row"),
    "two quoted accessions": (row(accession='"ACC1,ACC2"'), "ACCESSION_NUM", "its own row"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_rejected_with_line_column_and_reason_while_the_others_load(
    tmp_path: Path, case: str
) -> None:
    line, column, reason = BAD_ROWS[case]
    good = [row(subject=f"G{n}", accession=f"GOOD-{n}") for n in (1, 2)]
    manifest = read(tmp_path, good[0], line, good[1])
    (rejected,) = manifest.rejected
    assert (rejected.number, rejected.line, rejected.column) == (2, 3, column)
    assert reason in rejected.reason
    assert [found.accession_number for found in manifest.rows] == ["GOOD-1", "GOOD-2"]


@pytest.mark.parametrize(
    "good",
    [
        row(age=""),
        row(age="12.5"),
        row(subject="A.B-C_D+E F"),
        row(accession="2021/04 17"),
        "S1,CT,4000,HEAD,ACC1",
        row(subject="S" * 64, accession="A" * 64),
        row(imaging_type="", position=""),
    ],
)
def test_what_is_unusual_but_harmless_is_accepted(tmp_path: Path, good: str) -> None:
    manifest = read(tmp_path, good)
    assert manifest.rejected == ()
    assert len(manifest.rows) == 1


def test_an_unclosed_quote_spoils_its_own_line_only(tmp_path: Path) -> None:
    rows = [row(accession=f"ACC{n}") for n in range(1, 6)]
    rows[1] = row(accession='"ACC2')
    manifest = read(tmp_path, *rows)
    assert [found.line for found in manifest.rows] == [2, 4, 5, 6]
    assert [found.line for found in manifest.rejected] == [3]
    assert manifest.rejected[0].values == {"line": rows[1]}


def test_a_row_with_the_accession_of_an_earlier_one_is_a_duplicate_of_the_first(
    tmp_path: Path,
) -> None:
    manifest = read(tmp_path, row(subject="FIRST"), row(subject="SECOND"), row(subject="THIRD"))
    assert [found.subject_id for found in manifest.rows] == ["FIRST"]
    assert [found.subject_id for found in manifest.duplicates] == ["SECOND", "THIRD"]
    assert [found.duplicate_of for found in manifest.duplicates] == [1, 1]
    assert manifest.rejected == ()


def test_a_duplicate_that_is_no_acceptable_row_is_rejected(tmp_path: Path) -> None:
    manifest = read(tmp_path, row(), row(age="old"), row())
    assert [found.line for found in manifest.rejected] == [3]
    assert [(found.line, found.duplicate_of) for found in manifest.duplicates] == [(4, 1)]


def test_a_rejected_row_does_not_take_an_accession_from_a_good_one(tmp_path: Path) -> None:
    manifest = read(tmp_path, row(age="old"), row())
    assert [found.line for found in manifest.rows] == [3]


def test_values_of_a_rejected_row_are_kept_by_column(tmp_path: Path) -> None:
    (rejected,) = read(tmp_path, row(subject="DOE^JANE") + ",left,over").rejected
    assert rejected.values["SUBJECT_ID"] == "DOE^JANE"
    assert rejected.values["ACCESSION_NUM"] == "ACC1"
    assert list(rejected.values.values()).count("over") == 1


@pytest.mark.parametrize("case", BAD_ROWS)
def test_neither_reason_nor_representation_quotes_a_value(tmp_path: Path, case: str) -> None:
    line = BAD_ROWS[case][0].replace("ACC1", "ACC-SECRET").replace("S1", "S-SECRET")
    manifest = read(tmp_path, row(subject="G1", accession="GOOD-1"), line)
    for rejected in manifest.rejected:
        for cell in line.split(","):
            assert len(cell) < 4 or cell not in rejected.reason
        assert "SECRET" not in repr(rejected)
    assert "GOOD-1" not in repr(manifest)


# -- RESOLVE_VIA -------------------------------------------------------------------------------

RESOLVER_HEADER = HEADER.replace(VERSION, RESOLVER_VERSION_COLUMN)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("", ""),
        ("  ", ""),
        *((command.value, command.value) for command in ResolveCommand if "CHOOSE" not in command),
        ("merge_AT_radiology", "MERGE_at_RADIOLOGY"),
        (" consolidate_locally ", "CONSOLIDATE_LOCALLY"),
        ("CHOOSE_LOCALLY:uuid=0a1B-2c", "CHOOSE_LOCALLY:uuid=0a1B-2c"),
        ("choose_locally : UUID = 0a1B-2c", "CHOOSE_LOCALLY:uuid=0a1B-2c"),
    ],
)
def test_a_command_is_kept_in_one_way_of_writing(tmp_path: Path, written: str, kept: str) -> None:
    (found,) = read(tmp_path, f"{GOOD_ROW},{written}", header=f"{HEADER},resolve_via").rows
    assert found.resolve_via == kept
    assert found.extra == {}


@pytest.mark.parametrize(
    "written",
    ["MERGE", "CHOOSE_LOCALLY", "CHOOSE_LOCALLY:uuid=", "CHOOSE_LOCALLY:uuid=a b", "uuid=a", "-"],
)
def test_what_is_no_command_rejects_the_row_and_names_the_commands(
    tmp_path: Path, written: str
) -> None:
    manifest = read(tmp_path, f"{GOOD_ROW},{written}", header=f"{HEADER},RESOLVE_VIA")
    (rejected,) = manifest.rejected
    assert rejected.column == "RESOLVE_VIA"
    for command in ResolveCommand:
        assert command.value in rejected.reason
    assert rejected.values["RESOLVE_VIA"] == written


def test_the_column_may_stand_anywhere_and_a_row_may_end_before_it(tmp_path: Path) -> None:
    first = read(
        tmp_path, f"RESEND_RADIOLOGY,{GOOD_ROW}", header=f"RESOLVE_VIA,{HEADER}", name="first.csv"
    )
    last = read(tmp_path, GOOD_ROW, header=f"{HEADER},RESOLVE_VIA", name="last.csv")
    assert [found.resolve_via for found in first.rows] == ["RESEND_RADIOLOGY"]
    assert [found.resolve_via for found in last.rows] == [""]


def test_the_reference_s_manifest_for_its_resolver_is_read(tmp_path: Path) -> None:
    manifest = read(
        tmp_path, f"{GOOD_ROW},DELETE_SCAN_LOCALLY", header=f"{RESOLVER_HEADER},RESOLVE_VIA"
    )
    assert [found.resolve_via for found in manifest.rows] == ["DELETE_SCAN_LOCALLY"]
    assert manifest.rows[0].accession_number == "ACC1"


def test_a_header_has_one_version_only(tmp_path: Path) -> None:
    message = header_error(tmp_path, f"{HEADER},{RESOLVER_VERSION_COLUMN}")
    assert f"column 8 repeats {VERSION}" in message


def test_the_study_that_a_command_names_is_not_shown(tmp_path: Path) -> None:
    header = f"{HEADER},RESOLVE_VIA"
    line = f"{GOOD_ROW},CHOOSE_LOCALLY:uuid=SECRET"
    manifest = read(tmp_path, line, row() + ",SECRET", header=header)
    assert "SECRET" not in repr(manifest)
    assert "SECRET" not in manifest.rejected[0].reason


# -- hostile files -----------------------------------------------------------------------------

no_line_end = st.text(
    st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=40
)
cells = st.text(st.sampled_from('ab1,"#\t\0 .;^*?\\é\x85\u2028'), max_size=30)
skipped_lines = st.one_of(
    no_line_end.map(lambda text: f"#{text.replace(chr(34), '')}"),
    no_line_end.map(lambda text: f'  "#{text.replace(chr(34), chr(34) * 2)}",,'.lstrip()),
    st.sampled_from(["", "   ", "\t", ",,,,,,", '"",,', " , "]),
)
data_lines = st.one_of(
    st.just(GOOD_ROW),
    st.builds(lambda cell, n: row(position=cell, accession=f"A{n}"), cells, st.integers(0, 5)),
    st.builds(lambda text: f"x{text}", cells),
    st.builds(lambda text: f"x{text}", no_line_end),
    st.builds(lambda cell: row(subject=cell, accession="B"), cells.map(lambda c: f"x{c}")),
    st.just(row(subject="", accession="C")),
)


@in_one_folder
@given(
    lines=st.lists(
        st.one_of(skipped_lines.map(lambda t: (0, t)), data_lines.map(lambda t: (1, t)))
    ),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    start=st.sampled_from([b"", b"\xef\xbb\xbf"]),
)
def test_every_data_line_is_accounted_for_exactly_once(
    tmp_path: Path, lines: list[tuple[int, str]], newline: str, start: bytes
) -> None:
    manifest = read(tmp_path, *(text for _, text in lines), newline=newline, start=start)
    judged = sorted(
        [*manifest.rows, *manifest.duplicates, *manifest.rejected], key=lambda one: one.line
    )
    expected = [line for line, (is_data, _) in enumerate(lines, start=2) if is_data]
    assert [one.line for one in judged] == expected
    assert [one.number for one in judged] == list(range(1, len(expected) + 1))


@in_one_folder
@given(content=st.binary(max_size=300), with_header=st.booleans())
def test_random_bytes_are_read_or_refused_but_never_crash(
    tmp_path: Path, content: bytes, with_header: bool
) -> None:
    path = tmp_path / "random.csv"
    path.write_bytes((HEADER.encode() + b"\n" if with_header else b"") + content)
    try:
        manifest = read_manifest(path)
    except ManifestError:
        assert not with_header
        return
    judged = [one.line for one in [*manifest.rows, *manifest.duplicates, *manifest.rejected]]
    assert len(set(judged)) == len(judged)
    for rejected in manifest.rejected:
        for text in (*rejected.values, *rejected.values.values()):
            text.encode("utf-8")
