"""A policy file says what is meant, or all that is wrong with it, with lines and without quotes."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from locutus_dagster.deid.policies.model import Action, Option, PolicySpec
from locutus_dagster.deid.policies.reading import PolicyFileError, read_policy

FULL = Option.RETAIN_LONGITUDINAL_FULL_DATES
MODIFIED = Option.RETAIN_LONGITUDINAL_MODIFIED_DATES


def written(folder: Path, text: str, name: str = "site-a.yaml") -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def read(folder: Path, text: str) -> PolicySpec:
    return read_policy(written(folder, text))


def problems(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(PolicyFileError) as caught:
        read(folder, text)
    return caught.value.problems


def test_a_whole_policy_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    written(tmp_path / "lists", '{"0008,103E": ["T1 axial"]}', "white.json")
    spec = read(
        tmp_path,
        """\
        name: site-a
        extends: research
        options:
          add: [retain_institution_identity]
          remove: [retain_device_identity]
        uids: fresh
        shift_days: [30, 365]
        several_patients: allow
        modalities: [ct, MR]
        exclude_series_descriptions: [screen save, dose report]
        subject_id_preface: "PRJ_"
        lexicon: [Gadoterate, no]
        white_lists: [lists/white.json]
        overrides:
          - attribute: StudyDescription
            action: keep
            why: |
              free text is
              reviewed by our desk
          - attribute: PatientComments
            replace: withheld
        """,
    )
    research = read_policy("research").options
    assert spec.name == "site-a"
    assert spec.options == (research | {Option.RETAIN_INSTITUTION_IDENTITY}) - {
        Option.RETAIN_DEVICE_IDENTITY
    }
    assert spec.settings.identities == "fresh"
    assert spec.settings.shift_days == (30, 365)
    assert spec.settings.several_patients == "allow"
    assert spec.settings.modalities == {"CT", "MR"}
    assert spec.settings.excluded_series == ("screen save", "dose report")
    assert spec.settings.subject_preface == "PRJ_"
    assert spec.settings.words == {"gadoterate", "no"}
    assert spec.settings.white_lists == {0x0008103E: frozenset({"t1 axial"})}
    assert spec.overrides[:-2] == read_policy("research").overrides
    keep, withheld = spec.overrides[-2:]
    assert (keep.path, keep.action, keep.source) == (
        (0x00081030,),
        Action.KEEP,
        "site-a.yaml, line 15",
    )
    assert (withheld.action, withheld.text) == (Action.REPLACE, "withheld")


def test_a_file_that_says_nothing_is_the_basic_profile(tmp_path: Path) -> None:
    basic = read_policy("basic")
    spec = read(tmp_path, "name: plain")
    assert (spec.options, spec.overrides, spec.settings) == (frozenset(), (), basic.settings)


def test_a_list_of_options_takes_the_place_of_the_inherited_ones(tmp_path: Path) -> None:
    spec = read(tmp_path, "name: x\nextends: research\noptions: [retain_uids]")
    assert spec.options == {Option.RETAIN_UIDS}


def test_any_modality_can_be_let_through_again(tmp_path: Path) -> None:
    assert read(tmp_path, "name: x\nextends: locutus-bgd").settings.modalities
    again = read(tmp_path, "name: x\nextends: locutus-bgd\nmodalities: any")
    assert again.settings.modalities is None


def test_what_a_file_extends_comes_first_and_words_and_lists_add_up(tmp_path: Path) -> None:
    written(tmp_path, '{"0008,1030": ["One"], "0018,1030": ["A"]}', "one.json")
    written(tmp_path, '{"0008,1030": ["Two"]}', "two.json")
    written(
        tmp_path,
        """\
        name: parent
        several_patients: allow
        lexicon: [mprage]
        white_lists: [one.json]
        overrides:
          - {attribute: StudyDescription, action: keep}
        """,
        "parent.yml",
    )
    spec = read(
        tmp_path,
        """\
        name: child
        extends: parent.yml
        lexicon: [flair]
        white_lists: [two.json]
        overrides:
          - {attribute: StudyDescription, action: remove}
        """,
    )
    assert [one.action for one in spec.overrides] == [Action.KEEP, Action.REMOVE]
    assert [one.source for one in spec.overrides] == ["parent.yml, line 6", "site-a.yaml, line 6"]
    assert spec.settings.words == {"mprage", "flair"}
    assert spec.settings.white_lists == {
        0x00081030: frozenset({"one", "two"}),
        0x00181030: frozenset({"a"}),
    }
    assert spec.settings.several_patients == "allow"


def test_a_file_can_extend_a_specification_file(tmp_path: Path) -> None:
    written(tmp_path, "Study Description\t(0008,1030)\nN\tY\tK\n", "lab.dat")
    spec = read(tmp_path, "name: x\nextends: lab.dat\nmodalities: [CT]")
    assert [one.source for one in spec.overrides] == ["lab.dat, line 1"]
    assert spec.settings.excluded_series == ("patient protocol", "save")


def test_words_can_stand_in_a_file_of_their_own(tmp_path: Path) -> None:
    written(tmp_path, "# our protocols\nMyProto  # brain\n\nGadoterate\n", "words.txt")
    spec = read(tmp_path, "name: x\nlexicon: {file: words.txt}")
    assert spec.settings.words == {"myproto", "gadoterate"}


def test_a_name_is_a_name_only_without_separator_and_suffix(tmp_path: Path) -> None:
    assert read_policy("basic").name == "basic"
    path = written(tmp_path, "name: other", "basic.yaml")
    assert read_policy(path).name == "other"
    assert read_policy(str(path)).name == "other"
    for unknown in ("./basic", "basic.yaml", tmp_path / "basic", ""):
        with pytest.raises(PolicyFileError):
            read_policy(unknown)


def test_a_misspelt_name_of_a_policy_gets_a_suggestion() -> None:
    with pytest.raises(PolicyFileError, match="did you mean research"):
        read_policy("reserach")
    with pytest.raises(PolicyFileError, match="longitudinal-full-dates"):
        read_policy("something else")


def test_all_problems_of_a_file_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    text = """\
        name: a b
        extens: research
        options:
          add: [retain_uid]
        uids: random
        name: twice
        shift_days: [10]
        overrides:
          - attribute: StudyDescripton
            action: keep
          - attribute: StudyDate
            action: map-uid
        """
    told = problems(tmp_path, text)
    places = [problem.partition(":")[0] for problem in told]
    assert places == [f"site-a.yaml, line {line}" for line in (1, 2, 4, 5, 6, 7, 9, 11)]
    words = ("32 letters", "extends", "retain_uids", "keyed", "twice", "two", "Study", "shift")
    for problem, word in zip(told, words, strict=True):
        assert word in problem


def test_problems_of_an_extended_file_are_told_under_its_own_name(tmp_path: Path) -> None:
    written(tmp_path, "name: parent\nuids: x\n", "parent.yaml")
    told = problems(tmp_path, "name: child\nextends: parent.yaml\nuids: y\n")
    assert [problem.partition(":")[0] for problem in told] == [
        "parent.yaml, line 2",
        "site-a.yaml, line 3",
    ]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", None, "the file is empty"),
        ("# only a comment", None, "the file is empty"),
        ("uids: keyed", None, "add name:"),
        ("- name", 1, "mapping"),
        ("just text", 1, "mapping"),
        ("name: [a]", 1, "one value"),
        ("name:", 1, "missing"),
        ("name: basic", 1, "choose another"),
        ("name: x\nextends: research2", 2, "did you mean research"),
        ("name: x\nextends: gone.yaml", None, "there is no such file"),
        ("name: x\nextends: sub/other.yaml", 2, "beside this one"),
        ("name: x\nextends: /other.yaml", 2, "beside this one"),
        ("name: x\nextends: site-a.yaml", 2, "circle"),
        ("name: x\nextends: site-a.txt", None, ".yaml, .yml or .dat"),
        ("name: x\noptions: retain_uids", 2, "mapping"),
        ("name: x\noptions:\n  plus: [retain_uids]", 3, "there are add, remove"),
        ("name: x\noptions:\n  remove:\n  - retain_uids", 4, "not switched on"),
        ("name: x\noptions: [x]", 2, "there are retain_safe_private"),
        ("name: x\nshift_days: 30", 2, "list"),
        ("name: x\nshift_days: [30, 30]", 2, "two different numbers"),
        ("name: x\nshift_days: [0, 30]", 2, "two different numbers"),
        ("name: x\nshift_days: [60, 30]", 2, "two different numbers"),
        ("name: x\nshift_days: [1, 99999]", 2, "two different numbers"),
        ("name: x\nshift_days: [1, -5]", 2, "two different numbers"),
        ("name: x\nseveral_patients: yes", 2, "write allow or withhold"),
        ("name: x\nmodalities: []", 2, "no modality"),
        ("name: x\nmodalities: CT", 2, "write any"),
        ("name: x\nmodalities: [any, CT]", 2, "a modality is written"),
        ("name: x\nmodalities: [C T]", 2, "a modality is written"),
        ('name: x\nexclude_series_descriptions: [""]', 2, "1 to 64"),
        ("name: x\nsubject_id_preface: A^B", 2, "caret"),
        ("name: x\nlexicon: [two words]", 2, "single words"),
        ("name: x\nlexicon: ['1234']", 2, "single words"),
        ("name: x\nlexicon: {}", 2, "list of words"),
        ("name: x\nlexicon: {file: gone.txt}", 2, "no such file"),
        ("name: x\nwhite_lists: [gone.json]", None, "no such file"),
        ("name: x\nname: y", 2, "twice"),
        ("name: &a x\nuids: *a", 1, "anchor"),
        ("name: !!str x", 1, "leave out the tag"),
        ("name: x\n<<: {uids: fresh}", 2, "no such key"),
        ("name: x\n? [a]\n: b", 2, "no such key"),
        ("name: x\nuids: [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]", 2, "too deeply"),
        ("name: x\n---\nname: y", 2, "single document"),
        ("name: x\nuids: 'keyed", 2, "cannot be read as YAML"),
        ("name: x\n\tuids: keyed", 2, "cannot be read as YAML"),
        ("name: x\nuids: \x07", 2, "no text file"),
        ('name: "\\U00110000"', None, "cannot be read as YAML"),
        ('name: "\\ud800"', 1, "control characters"),
        ('name: "a\\nb"', 1, "control characters"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_what_to_write(
    tmp_path: Path, text: str, line: int | None, words: str
) -> None:
    told = problems(tmp_path, text)
    assert words in told[0]
    if line is not None:
        assert told[0].startswith(f"site-a.yaml, line {line}: ")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"name: x\nextends: research\noptions:\n  add:\n  - {FULL}", 5),
        (f"name: x\nextends: longitudinal-full-dates\noptions:\n  add: [{MODIFIED}]", 4),
        (f"name: x\noptions:\n- {MODIFIED}\n- {FULL}", 4),
        ("name: x\nextends: unlinkable\noptions:\n  add: [retain_uids]", 4),
        ("name: x\nuids: fresh\noptions: [retain_uids]", 3),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    tmp_path: Path, text: str, line: int
) -> None:
    (told,) = problems(tmp_path, text)
    assert told.startswith(f"site-a.yaml, line {line}: ")
    assert "contradict each other" in told


def test_an_option_cannot_be_added_and_removed(tmp_path: Path) -> None:
    text = "name: x\noptions:\n  add: [retain_uids]\n  remove: [retain_uids]"
    (told,) = problems(tmp_path, text)
    assert "added as well" in told


def test_policies_that_extend_each_other_in_a_circle_are_refused(tmp_path: Path) -> None:
    written(tmp_path, "name: b\nextends: site-a.yaml", "b.yaml")
    (told,) = problems(tmp_path, "name: a\nextends: b.yaml")
    assert told.startswith("b.yaml, line 2: ")
    assert "circle" in told


def test_a_long_chain_of_policies_is_refused(tmp_path: Path) -> None:
    for number in range(20):
        text = f"name: x\nextends: p{number + 1}.yaml"
        written(tmp_path, text, f"p{number}.yaml")
    with pytest.raises(PolicyFileError, match="more than 8 files"):
        read_policy(tmp_path / "p0.yaml")


def test_a_word_file_tells_its_own_lines(tmp_path: Path) -> None:
    written(tmp_path, "good\ntwo words\n", "words.txt")
    (told,) = problems(tmp_path, "name: x\nlexicon: {file: words.txt}")
    assert told.startswith("words.txt, line 2: ")


def test_a_file_that_is_no_text_or_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"name: \xff")
    with pytest.raises(PolicyFileError, match="UTF-8"):
        read_policy(path)
    path.write_bytes(b"#" * 300_000)
    with pytest.raises(PolicyFileError, match="larger"):
        read_policy(path)
    with pytest.raises(PolicyFileError, match="no such file"):
        read_policy(tmp_path / "none.yaml")
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(PolicyFileError, match="no such file"):
        read_policy(tmp_path / "folder.yaml")


def test_windows_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x\r\nuids: fresh\r\n")
    assert read_policy(path).settings.identities == "fresh"
