"""Splitting a manifest's file: nothing dropped, nothing changed, nothing overwritten."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from locutus_dagster.manifests import ManifestError, SplitPart, read_manifest, split_manifest
from locutus_dagster.manifests.lines import fields_of, physical_lines
from locutus_dagster_tests.manifests.files import GOOD_ROW, HEADER, row, write

BOM = b"\xef\xbb\xbf"
in_one_folder = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150
)


def rows(count: int) -> list[str]:
    return [row(subject=f"S{n}", accession=f"ACC{n}") for n in range(1, count + 1)]


def split(path: Path, **how: object) -> tuple[SplitPart, ...]:
    how = {"suffix": "s", **how}
    return split_manifest(path, path.parent / "parts", **how)  # type: ignore[arg-type]


def data_lines(content: bytes) -> list[bytes]:
    """The lines that carry data, as they are, without the header."""
    _, lines = physical_lines(content)
    return [line for line in lines if fields_of(line) is not None][1:]


def texts(parts: tuple[SplitPart, ...]) -> list[list[str]]:
    return [part.path.read_text(encoding="utf-8").splitlines() for part in parts]


@pytest.mark.parametrize(
    ("count", "parts", "sizes"),
    [
        (10, 3, [4, 3, 3]),
        (9, 3, [3, 3, 3]),
        (5, 4, [2, 1, 1, 1]),
        (3, 5, [1, 1, 1]),
        (4, 1, [4]),
        (1, 1, [1]),
    ],
)
def test_parts_are_of_sizes_that_differ_by_one_at_most_and_none_is_empty(
    tmp_path: Path, count: int, parts: int, sizes: list[int]
) -> None:
    made = split(write(tmp_path, *rows(count)), parts=parts)
    assert [part.rows for part in made] == sizes
    assert [len(lines) for lines in texts(made)] == [size + 1 for size in sizes]


@pytest.mark.parametrize(
    ("count", "at_most", "sizes"),
    [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 10, [3]), (2, 1, [1, 1])],
)
def test_no_part_has_more_rows_than_asked_for(
    tmp_path: Path, count: int, at_most: int, sizes: list[int]
) -> None:
    assert [part.rows for part in split(write(tmp_path, *rows(count)), max_rows=at_most)] == sizes


def test_names_sort_in_the_order_of_the_file(tmp_path: Path) -> None:
    two = split(write(tmp_path, *rows(2)), parts=2, suffix="mon")
    assert [part.path.name for part in two] == [
        "study.mon_subbatch01.csv",
        "study.mon_subbatch02.csv",
    ]
    many = split(write(tmp_path, *rows(120)), max_rows=1)
    names = [part.path.name for part in many]
    assert names == sorted(names)
    assert names[-1] == "study.s_subbatch120.csv"


def test_header_and_first_comments_are_in_every_part(tmp_path: Path) -> None:
    before = ["# made by hand", "", '"# quoted, as Excel does",,']
    made = split(write(tmp_path, *rows(4), before=before), parts=2)
    for lines in texts(made):
        assert lines[:4] == [*before, HEADER]
    assert [len(lines) for lines in texts(made)] == [6, 6]


def test_comments_and_blank_lines_stay_with_the_row_that_follows(tmp_path: Path) -> None:
    one, two, three = rows(3)
    path = write(tmp_path, "# of one", one, "", "# of two", two, "# of three", three, "", "# end")
    assert [lines[1:] for lines in texts(split(path, parts=3))] == [
        ["# of one", one],
        ["", "# of two", two],
        ["# of three", three, "", "# end"],
    ]


def test_rows_that_cannot_be_accepted_are_carried_along(tmp_path: Path) -> None:
    bad = [row(subject=""), row(position='"HEAD'), row(), row(), "S1", f"{GOOD_ROW},more", "\udcff"]
    path = write(tmp_path, *bad)
    made = split(path, parts=3)
    assert sum(part.rows for part in made) == len(bad)
    parts = [read_manifest(part.path) for part in made]
    assert sum(len(p.rejected) + len(p.rows) + len(p.duplicates) for p in parts) == len(bad)


def test_each_part_says_which_lines_it_holds(tmp_path: Path) -> None:
    one, two, three = rows(3)
    made = split(write(tmp_path, one, "", two, "# x", three, before=["# about"]), max_rows=2)
    assert [(part.rows, part.first_line, part.last_line) for part in made] == [(2, 3, 5), (1, 7, 7)]


@pytest.mark.parametrize("start", [b"", BOM], ids=["plain", "with BOM"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_line_ends_and_byte_order_mark_are_kept_in_every_part(
    tmp_path: Path, newline: str, start: bytes
) -> None:
    path = write(tmp_path, *rows(4), newline=newline, start=start)
    made = split(path, parts=2)
    for part, its in zip(made, (rows(4)[:2], rows(4)[2:]), strict=True):
        assert part.path.read_bytes() == start + (newline.join([HEADER, *its]) + newline).encode()


def test_an_upper_case_header_is_a_header_and_no_row(tmp_path: Path) -> None:
    made = split(write(tmp_path, *rows(4), header=HEADER.upper()), parts=2)
    assert [part.rows for part in made] == [2, 2]


def test_blank_lines_truncate_nothing(tmp_path: Path) -> None:
    lines = [line for one in rows(10) for line in (one, "", "", "", "")]
    assert [part.rows for part in split(write(tmp_path, *lines), parts=2)] == [5, 5]


def test_a_last_line_without_an_end_is_kept_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "study.csv"
    path.write_text("\n".join([HEADER, *rows(2)]), encoding="utf-8")
    last = split(path, parts=2)[-1].path.read_text(encoding="utf-8")
    assert last == f"{HEADER}\n{rows(2)[1]}"


def test_a_part_loads_as_a_manifest(tmp_path: Path) -> None:
    made = split(write(tmp_path, *rows(5)), parts=2)
    found = [one.accession_number for part in made for one in read_manifest(part.path).rows]
    assert found == [f"ACC{n}" for n in range(1, 6)]


def test_parts_are_their_owner_s_alone(tmp_path: Path) -> None:
    (part,) = split(write(tmp_path, GOOD_ROW), parts=1)
    assert stat.S_IMODE(part.path.stat().st_mode) == 0o600


# -- refusals ----------------------------------------------------------------------------------


def test_earlier_parts_are_replaced_only_when_forced(tmp_path: Path) -> None:
    first = split(write(tmp_path, *rows(4)), parts=4)
    before = [part.path.read_bytes() for part in first]
    path = write(tmp_path, *rows(2))
    with pytest.raises(ManifestError, match=r"4 file\(s\) of an earlier splitting.*--force"):
        split(path, parts=2)
    assert [part.path.read_bytes() for part in first] == before
    made = split(path, parts=2, force=True)
    assert [part.path for part in made] == [part.path for part in first[:2]]
    assert [lines[1:] for lines in texts(made)] == [[line] for line in rows(2)]


def test_parts_of_another_suffix_or_manifest_are_in_nobody_s_way(tmp_path: Path) -> None:
    split(write(tmp_path, *rows(2)), parts=2)
    assert len(split(write(tmp_path, *rows(2)), parts=2, suffix="t")) == 2
    assert len(split(write(tmp_path, *rows(2), name="other.csv"), parts=2)) == 2


@pytest.mark.parametrize("how", [{}, {"parts": 2, "max_rows": 2}])
def test_it_is_either_parts_or_rows(tmp_path: Path, how: dict[str, int]) -> None:
    with pytest.raises(ManifestError, match="either how many parts or how many rows"):
        split(write(tmp_path, GOOD_ROW), **how)


@pytest.mark.parametrize("how", [{"parts": 0}, {"max_rows": 0}, {"parts": -1}, {"max_rows": -5}])
def test_numbers_begin_at_one(tmp_path: Path, how: dict[str, int]) -> None:
    with pytest.raises(ManifestError, match="from 1"):
        split(write(tmp_path, GOOD_ROW), **how)


@pytest.mark.parametrize("suffix", ["", "../x", "a/b", "a b", ".x", "x" * 41, "ä"])
def test_a_suffix_that_is_no_part_of_a_file_name_is_refused(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(ManifestError, match="suffix will not do"):
        split(write(tmp_path, GOOD_ROW), parts=1, suffix=suffix)
    assert [one.name for one in tmp_path.iterdir()] == ["study.csv"]


@pytest.mark.parametrize("lines", [[], ["# nothing"], ["", ",,,"]])
def test_a_file_without_rows_is_told(tmp_path: Path, lines: list[str]) -> None:
    with pytest.raises(ManifestError, match="no data rows"):
        split(write(tmp_path, *lines), parts=2)


def test_a_file_that_is_no_manifest_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="header does not fit"):
        split(write(tmp_path, GOOD_ROW, header="a,b,c"), parts=2)
    assert not (tmp_path / "parts").exists()


def test_a_folder_that_cannot_be_one_is_told(tmp_path: Path) -> None:
    (tmp_path / "parts").write_text("a file")
    with pytest.raises(ManifestError, match="cannot be made"):
        split(write(tmp_path, GOOD_ROW), parts=1)


# -- hostile files -----------------------------------------------------------------------------

text = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=30)
line = st.one_of(
    st.just(GOOD_ROW),
    st.sampled_from(["", "", "", "  ", "\t", ",,,", '"# a, b"', '"# a, b",,,', "# c", " # d", "#"]),
    st.builds(lambda cell: row(position=f'"{cell}, b"'), text.map(lambda t: t.replace('"', '""'))),
    st.sampled_from([row(position='"a"b'), row(position='"open'), row(subject=""), HEADER]),
    text,
    st.text(st.sampled_from('a,"# \t\0\x0b\x0c\x1c\x85\u2028\ufeff\udcff'), max_size=12),
)


@in_one_folder
@given(
    before=st.lists(st.sampled_from(["", "# about", '"# a, b"', "   "]), max_size=3),
    lines=st.lists(line, max_size=25),
    header=st.sampled_from([HEADER, HEADER.upper(), HEADER.lower()]),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    start=st.sampled_from([b"", BOM]),
    end=st.booleans(),
    by=st.sampled_from(["parts", "max_rows"]),
    number=st.integers(1, 8),
)
def test_the_data_lines_of_the_parts_are_those_of_the_file_in_order(
    tmp_path: Path,
    before: list[str],
    lines: list[str],
    header: str,
    newline: str,
    start: bytes,
    end: bool,
    by: str,
    number: int,
) -> None:
    path = write(
        tmp_path, *lines, GOOD_ROW, before=before, header=header, newline=newline, start=start
    )
    if not end:
        path.write_bytes(path.read_bytes()[: -len(newline)])
    whole = path.read_bytes()
    made = split(path, **{by: number}, force=True)
    pieces = [part.path.read_bytes() for part in made]

    assert [one for piece in pieces for one in data_lines(piece)] == data_lines(whole)
    assert [len(data_lines(piece)) for piece in pieces] == [part.rows for part in made]
    # Nothing at all is lost: without the top that each repeats, the parts are the file.
    top = start + newline.join([*before, header, ""]).encode()
    assert all(piece.startswith(top) for piece in pieces)
    assert top + b"".join(piece[len(top) :] for piece in pieces) == whole
    sizes = [part.rows for part in made]
    if by == "parts":
        assert len(made) == min(number, sum(sizes))
        assert max(sizes) - min(sizes) <= 1
    else:
        assert max(sizes) <= number
        assert set(sizes[:-1]) <= {number}


@in_one_folder
@given(content=st.binary(max_size=200))
def test_lines_that_end_in_any_mixture_of_ways_keep_their_bytes(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "mixed.csv"
    path.write_bytes(HEADER.encode() + b"\r" + re.sub(b"^\n", b"", content) + b"\nx\n")
    made = split(path, max_rows=2, force=True)
    found = [one for part in made for one in data_lines(part.path.read_bytes())]
    assert found == data_lines(path.read_bytes())
