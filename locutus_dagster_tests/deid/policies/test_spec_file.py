"""The reference system's specification files load, and what cannot be the same is told."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from locutus_dagster.deid.policies.model import Action, Override
from locutus_dagster.deid.policies.problems import PolicyFileError
from locutus_dagster.deid.policies.reading import NAMED, read_policy
from locutus_dagster.deid.policies.spec_file import SpecFile, convert_spec_file, read_spec_file


def row(basic: str, clean: str = "") -> str:
    """Return a line of codes in the columns of 2011."""
    return "\t".join(["N", "Y", basic, "", "", "", "", "", "", clean, "", ""])


#: Made up in the format of the reference system's files.
LAB = "\n".join(
    [
        "# The specification of a lab that does not exist",
        "",
        "Study Description\t(0008,1030)",
        row("K"),
        "Series Description\t(0008,103E)",
        row("X", "C"),
        "Referring Physician's Name\t(0008,0090)",
        row("Z"),
        "Institution Name\t(0008,0080)",
        row("X/Z/D"),
        "Content Date\t(0008,0023)",
        "N\tY\tZ/D",  # most lines of real files have no more cells than this
        "Person Name\t(0040,A123)",
        "N\tY\tD",
        "Patient's Name\t(0010,0010)",
        row("R"),
        "Patient ID\t(0010,0020)",
        row("R"),
        "Frame of Reference UID\t(0020,0052)",
        row("U"),
        "Failed SOP Instance UID List\t(0008,0058)",
        row("D"),
        "Other Patient IDs Sequence\t(0010,1002)",
        row("X"),
        "Reason for Performed Procedure Code Sequence\t(0040,1012)",
        row("K"),
        "Derivation Description\t(0008,2111)",
        row("X"),
        "Deviation Description\t(0008,2111)",
        row("Z"),
        "B value\t(0019,100C)",
        row("K"),
        "Another number\t(0019,100D)",
        row("K"),
        "Overlay Data\t(6000,3000)",
        row("K"),
        "Curve Data\t(50xx,3000)",
        row("X"),
        "Media Storage SOP Instance UID\t(0002,0003)",
        row("U"),
        "No such attribute\t(0038,1234)",
        row("K"),
        "No such attribute either\t(0040,0248)",
        row("X"),
        "SOP Class UID\t(0008,0016)",
        row("X"),
        "Specific Character Set\t(0008,0005)",
        row("X"),
        "",
    ]
)


def written(folder: Path, text: str, name: str = "lab.dat") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def convert(folder: Path, text: str) -> SpecFile:
    return convert_spec_file(written(folder, text))


def rules(found: SpecFile) -> dict[int, Override]:
    assert all(one.private is None and len(one.path) == 1 for one in found.spec.overrides)
    return {one.path[0]: one for one in found.spec.overrides}


def problems(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(PolicyFileError) as caught:
        convert(folder, text)
    return caught.value.problems


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_the_codes_of_a_file_take_effect(tmp_path: Path, ending: str) -> None:
    found = rules(convert(tmp_path, LAB.replace("\n", ending)))
    assert {tag: one.action for tag, one in found.items()} == {
        0x00081030: Action.KEEP,
        0x0008103E: Action.CLEAN,
        0x00080090: Action.EMPTY,
        0x00080080: Action.REMOVE,  # the first letter of X/Z/D counts
        0x00080023: Action.EMPTY,
        0x0040A123: Action.DUMMY,
        0x00100010: Action.SUBJECT,
        0x00100020: Action.SUBJECT,
        0x00200052: Action.UID,
        0x00080058: Action.UID,  # there is no dummy UID
        0x00101002: Action.REMOVE,
        0x00401012: Action.KEEP,
        0x00082111: Action.EMPTY,  # the later of two
    }
    assert found[0x00081030].source == "lab.dat, line 3"
    assert found[0x00082111].source == "lab.dat, line 29"


def test_everything_else_is_the_basic_profile_and_the_built_in_bouncers(tmp_path: Path) -> None:
    spec = read_spec_file(written(tmp_path, LAB))
    assert spec == convert(tmp_path, LAB).spec == read_policy(tmp_path / "lab.dat")
    assert spec.options == frozenset()
    assert spec.settings.excluded_series == ("patient protocol", "save")
    assert spec.settings.modalities is None


def test_what_is_done_differently_is_told(tmp_path: Path) -> None:
    notes = convert(tmp_path, LAB).notes
    for words, places in {
        "cleaned, as the tenth column asks": ["line 5 (0008,103E)"],
        "private: CREATOR": ["line 31 (0019,100C)", "line 33 (0019,100D)"],
        "always removed": ["line 35 (6000,3000)"],
        "patterns": ["line 37 (50XX,3000)"],
        "written anew": ["line 39 (0002,0003)"],
        "no such attribute": ["line 41 (0038,1234)"],
        "names a class": ["line 45 (0008,0016)"],
        "cannot be delivered without": ["line 47 (0008,0005)"],
        "named twice": ["line 29 (0008,2111)"],
        "each of its items is cleaned": ["line 25 (0040,1012)"],
    }.items():
        (note,) = [one for one in notes if words in one]
        assert note.startswith("lab.dat: ")
        assert note.endswith(": " + ", ".join(places))
    assert len(notes) == 10  # a removal that needs no rule is worth no note


def test_many_places_are_counted(tmp_path: Path) -> None:
    text = "".join(f"a\t(0019,10{number:02X})\n{row('K')}\n" for number in range(10))
    (note,) = convert(tmp_path, text).notes
    assert note.endswith("line 11 (0019,1005) and 4 more")


def test_a_shifted_line_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    told = problems(
        tmp_path,
        "\n".join(
            [
                "Study Description\t(0008,1030)",
                row("K"),
                "a stray line",
                "Series Description\t(0008,103E)",
                "Protocol Name\t(0018,1030)",
                row("K"),
                "Study ID\t(0020,0010)",
                row("Q"),
                "Patient's Name\t(0010,0010)",
            ]
        ),
    )
    assert [one.partition(":")[0] for one in told] == [
        f"lab.dat, line {line}" for line in (3, 4, 8, 9)
    ]
    assert "stands alone" in told[0]
    assert "codes of this attribute is missing" in told[1]
    assert "write K, X, Z, D, U or R" in told[2]
    assert "codes of this attribute is missing" in told[3]


@pytest.mark.parametrize("code", ["", "k", "Q", "Keep", "XZ", "X/Q", "C", "K X", "/X"])
def test_an_unknown_code_is_refused(tmp_path: Path, code: str) -> None:
    (told,) = problems(tmp_path, f"Study ID\t(0020,0010)\n{row(code)}\n")
    assert told.startswith("lab.dat, line 2: the third column")


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        ("K", "the third is needed"),
        ("N Y K", "with tabs"),
        (row("K", "X"), "the tenth column"),
    ],
)
def test_a_line_of_codes_has_columns(tmp_path: Path, codes: str, words: str) -> None:
    (told,) = problems(tmp_path, f"Study ID\t(0020,0010)\n{codes}\n")
    assert words in told


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("Study ID\t(0020,0010)", "U"),
        ("Study Date\t(0008,0020)", "R"),
        ("Rows\t(0028,0010)", "U"),
        ("Referenced Image Sequence\t(0008,1140)", "R"),
    ],
)
def test_a_code_that_does_not_fit_is_refused(tmp_path: Path, header: str, code: str) -> None:
    (told,) = problems(tmp_path, f"{header}\n{row(code)}\n")
    assert told.startswith("lab.dat, line 1: ")
    assert "write X, Z, D or K" in told


def test_cleaning_is_for_text_only(tmp_path: Path) -> None:
    found = convert(tmp_path, f"Rows\t(0028,0010)\n{row('X', 'C')}\n")
    assert rules(found)[0x00280010].action is Action.REMOVE
    assert "for text and sequences" in found.notes[0]


def test_a_file_without_attributes_is_refused(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, "# nothing\n\n")
    assert "there is no attribute" in told
    with pytest.raises(PolicyFileError, match="no such file"):
        read_spec_file(tmp_path / "none.dat")


def test_a_policy_is_named_after_the_file_but_never_as_a_shipped_one(tmp_path: Path) -> None:
    text = f"Study ID\t(0020,0010)\n{row('Z')}\n"
    names = {
        name: read_spec_file(written(tmp_path, text, f"{name}.dat")).name
        for name in ("basic", "BGD may 2025", "ä", "x" * 80)
    }
    assert names["BGD may 2025"] == "BGD-may-2025-dat"
    assert names["ä"] == "spec-file-dat"
    assert len(names["x" * 80]) <= 32
    assert not set(names.values()) & set(NAMED)


def test_latin_1_is_read(tmp_path: Path) -> None:
    path = tmp_path / "lab.dat"
    path.write_bytes(b"Untersuchung \xfcber alles\x85\t(0020,0010)\nN\tY\tZ\n")
    assert len(read_spec_file(path).overrides) == 1


def test_a_patient_list_that_is_taken_for_a_specification_is_not_quoted(tmp_path: Path) -> None:
    text = "SMITH\tJOHN\t12345678\nSMITH (0020,0010)\nSMITH\tY\t12345678\nSMITH\t(0010,0010)"
    assert "SMITH" not in "".join(problems(tmp_path, text))
    assert "12345678" not in "".join(problems(tmp_path, text))


LINES = st.lists(
    st.one_of(
        st.text(max_size=12),
        st.builds(
            "name\t({},{})".format,
            st.sampled_from(["0008", "0010", "0019", "60xx", "0002", "7FE0", "0040"]),
            st.sampled_from(["0010", "1030", "0020", "0000", "a730", "xxxx", "0016"]),
        ),
        st.builds(
            row,
            st.sampled_from(["K", "X", "Z", "D", "U", "R", "X/Z/D", "Q"]),
            st.sampled_from(["", "C"]),
        ),
    ),
    max_size=20,
).map("\n".join)


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(text=st.one_of(st.text(), LINES))
def test_any_text_is_a_specification_or_a_policy_file_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lab.dat"
    path.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
    with suppress(PolicyFileError):
        found = convert_spec_file(path)
        assert found.spec.overrides or found.notes or "X" in text
