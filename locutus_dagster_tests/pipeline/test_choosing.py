"""The words of a selection: what they mean, together and taken away, and what is refused."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locutus_dagster.errors import LocutusError
from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.reference_status import status
from locutus_dagster.ledger.resolutions import ResolveCommand
from locutus_dagster.ledger.selection import Selection, Standing
from locutus_dagster.pipeline.accession_list import AccessionListError, read_accessions
from locutus_dagster.pipeline.choosing import (
    STATUS_WORDS,
    ChoosingError,
    check_names,
    parse_since,
    selection,
    unknown_accessions,
)
from locutus_dagster_tests.ledger.rows import add_items

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)
SECRET = "ACC-4711-SECRET"

# -- words -------------------------------------------------------------------------------------

Case = tuple[State, int | None, ResolveCommand | None, bool, bool]
#: Every way in which an accession's row can stand, as far as words tell them apart.
CASES: list[Case] = [
    (state, phase, command, in_hand, changed)
    for state in State
    for phase in ((2, 3, 4, 5) if state is State.FAILED else (None,))
    for command in (None, *ResolveCommand)
    for in_hand in (False, True)
    for changed in (False, True)
]


def matches(chosen: Selection) -> frozenset[Case]:
    """The cases that a selection means, decided in Python."""

    def holds(one: Standing, case: Case) -> bool:
        state, phase, command, in_hand, changed = case
        return (
            (one.states is None or state in one.states)
            and (one.phases is None or state is not State.FAILED or phase in one.phases)
            and (one.commands is None or command in one.commands)
            and (not one.in_hand or in_hand)
            and (not one.changed or changed)
            and not one.on_deck  # which none of the cases is
        )

    common = Standing(chosen.states, chosen.phases, changed=chosen.changed)
    return frozenset(
        case
        for case in CASES
        if holds(common, case)
        and (not chosen.any_of or any(holds(one, case) for one in chosen.any_of))
        and not any(holds(one, case) for one in chosen.none_of)
    )


def meant(*words: str) -> frozenset[Case]:
    return matches(selection(statuses=words))


def states(*words: str) -> set[str]:
    """The states that words mean whatever else holds."""
    found = meant(*words)
    for state in State:
        of_state = {case for case in CASES if case[0] is state}
        assert not found & of_state or of_state <= found, state
    return {case[0].value for case in found}


@pytest.mark.parametrize("state", State)
def test_each_of_our_states_is_a_word_in_any_case(state: State) -> None:
    for word in (state.value, state.value.upper(), f" {state.value.title()} "):
        assert selection(statuses=[word]) == Selection(states=frozenset({state}))


def test_the_collective_words() -> None:
    everything = {state.value for state in State}
    assert states("all") == everything
    assert states("unfinished") == everything - {"delivered", "recalled", "dropped"}
    assert selection(statuses=["changed"]) == Selection(changed=True)
    assert meant("in-hand") == {case for case in CASES if case[3]}


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("PROCESSED", {"delivered"}),
        ("processed", {"delivered"}),
        ("PENDING_CHANGE", {"pending", "waiting"}),
        ("ERROR", {"failed", "ambiguous"}),
        ("ERROR_PHASE", {"failed"}),
        ("ERROR_MULTIPLE_CHANGE_UUIDS", {"ambiguous"}),
        ("ZZZ-ONDECK", {"loaded"}),
        ("RECALLED", {"recalled"}),
    ],
)
def test_the_beginning_of_a_reference_status_means_the_states_that_are_shown_so(
    word: str, found: set[str]
) -> None:
    assert states(word) == found


def test_an_error_of_a_phase_means_the_failures_of_that_phase_alone() -> None:
    failed = frozenset({State.FAILED})
    four = frozenset({4})
    assert selection(statuses=["ERROR_PHASE04"]) == Selection(states=failed, phases=four)
    assert selection(statuses=["error_phase04="]) == Selection(states=failed, phases=four)
    assert selection(statuses=["failed", "!ERROR_PHASE04"]) == Selection(
        states=failed, phases=frozenset({2, 3, 5})
    )
    assert selection(statuses=["ERROR_PHASE04", "failed"]) == Selection(states=failed)
    assert selection(statuses=["ERROR_PHASE04", "delivered"]) == Selection(
        states=failed | {State.DELIVERED}, phases=four
    )


def test_re_processing_means_what_was_asked_for_again_and_is_not_shown_as_resolved() -> None:
    resolved = (ResolveCommand.NEWEST, ResolveCommand.CHOOSE, ResolveCommand.DROP_FROM_STAGE)
    assert meant("RE-PROCESSING_CHANGE") == {
        case for case in CASES if case[0] is State.REQUESTED and case[2] not in resolved
    }


def test_what_a_resolution_decides_is_told_apart() -> None:
    assert meant("PENDING_CHANGE_RADIOLOGY_RESEND") == {
        case for case in CASES if case[0] is State.WAITING and case[2] is ResolveCommand.RESEND
    }


def test_processing_means_what_stands_in_the_middle_and_what_is_being_worked_at() -> None:
    found = meant("PROCESSING_CHANGE")
    middle = (State.EXTRACTED, State.DEIDENTIFIED)
    assert {case for case in CASES if case[0] in middle} <= found
    assert all(case[3] for case in found if case[0] not in middle)
    assert any(case[0] is State.LOADED for case in found)


def test_previous_processing_used_means_what_has_changed() -> None:
    assert selection(statuses=["PREVIOUS_PROCESSING_USED"]) == Selection(changed=True)


@pytest.mark.parametrize("state", State)
def test_whatever_status_is_shown_can_be_typed_to_find_it(state: State) -> None:
    for command, in_hand in itertools.product((None, *ResolveCommand), (False, True)):
        shown = status(state, 4, "the reason", command=command, in_hand=in_hand).partition("=")[0]
        phase = 4 if state is State.FAILED else None
        assert (state, phase, command, in_hand, False) in meant(shown), shown


def test_negations_alone_are_taken_away_from_everything() -> None:
    everything = {state.value for state in State}
    for word in ("!delivered", "not:delivered", "NOT: delivered", "! PROCESSED"):
        assert states(word) == everything - {"delivered"}
    assert meant("!changed") == {case for case in CASES if not case[4]}
    assert meant("delivered", "!changed") == {
        case for case in CASES if case[0] is State.DELIVERED and not case[4]
    }


def test_words_may_stand_in_one_with_commas_between_them() -> None:
    assert selection(statuses=["pending, failed,!ERROR_PHASE05"]) == selection(
        statuses=["pending", "failed", "!ERROR_PHASE05"]
    )


REFERENCE_WORDS = (
    "PROCESSED",
    "PENDING",
    "ERROR",
    "ERROR_PHASE04",
    "PROCESSING_CHANGE",
    "PREVIOUS",
    "RESOLVED",
    "PENDING_CHANGE_RADIOLOGY_RESEND",
)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from((*STATUS_WORDS, *REFERENCE_WORDS)), st.booleans()), min_size=1
    )
)
def test_several_words_are_united_and_negations_taken_away_in_whatever_order(
    words: list[tuple[str, bool]],
) -> None:
    expected: set[Case] = set()
    for word, negated in words:
        if not negated:
            expected |= meant(word)
    if all(negated for _, negated in words):
        expected = set(CASES)
    for word, negated in words:
        if negated:
            expected -= meant(word)
    typed = [("!" if negated else "") + word for word, negated in words]
    found: frozenset[Case] = frozenset()
    with suppress(ChoosingError):  # words that leave nothing are refused where that is seen
        found = meant(*typed)
    assert found == expected


def test_no_words_restrict_nothing_while_all_is_a_choice() -> None:
    assert selection().everything
    assert not selection(statuses=["all"]).everything


@pytest.mark.parametrize("word", ["", "!", "delivered,", "nosuch", "not:", "ERROR_PHASE04=[x]"])
def test_a_word_that_means_nothing_is_refused(word: str) -> None:
    with pytest.raises(ChoosingError, match="is no status") as failure:
        selection(statuses=[word])
    assert "PENDING_CHANGE" in (failure.value.hint or "")


def test_a_mistyped_word_is_named_and_a_near_one_suggested() -> None:
    with pytest.raises(ChoosingError, match=r"'deliverd' .* Did you mean 'delivered'\?"):
        selection(statuses=["pending", "deliverd"])


def test_words_that_leave_nothing_are_refused() -> None:
    with pytest.raises(ChoosingError, match="failed, !ERROR together choose nothing"):
        selection(statuses=["failed", "!ERROR"])


# -- times -------------------------------------------------------------------------------------


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A local time that is not UTC: five hours behind it in November."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_new_york")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20", "2026-11-20T05:00+00:00"),
        ("2026-11-20T14:30", "2026-11-20T19:30+00:00"),
        ("2026-11-20 14:30:10", "2026-11-20T19:30:10+00:00"),
        ("2026-11-20T14:30Z", "2026-11-20T14:30+00:00"),
        ("2026-11-20T14:30:00+02:00", "2026-11-20T12:30+00:00"),
        (" 2h ", "2026-11-22T10:00+00:00"),
        ("3d", "2026-11-19T12:00+00:00"),
        ("1W", "2026-11-15T12:00+00:00"),
        ("45 m", "2026-11-22T11:15+00:00"),
        ("30s", "2026-11-22T11:59:30+00:00"),
    ],
)
def test_a_time_is_a_date_a_time_of_day_or_an_age(text: str, expected: str) -> None:
    found = parse_since(text, NOW)
    assert found == datetime.fromisoformat(expected)
    assert found.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "-2h", "2", "h", "2y", "999999999w", "0001-01-01T00:00"]
)
@pytest.mark.usefixtures("in_new_york")
def test_what_is_no_time_is_refused_by_name(text: str) -> None:
    with pytest.raises(ChoosingError, match="is no time") as failure:
        selection(changed_since=text)
    assert f"'{text}'" in failure.value.message


def test_an_age_is_counted_back_from_now_by_default() -> None:
    chosen = selection(changed_since="2h").changed_since
    assert chosen is not None
    assert abs(datetime.now(timezone.utc) - timedelta(hours=2) - chosen) < timedelta(minutes=1)


# -- files of accession numbers ----------------------------------------------------------------

Write = Callable[[bytes | str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_it(content: bytes | str) -> Path:
        path = tmp_path / "list.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_it


def test_a_list_has_one_number_a_line_beside_comments_and_blank_lines(write: Write) -> None:
    content = b'\xef\xbb\xbf# whose\r\nA1\r\n\r\n  B 2 \n#A9\n \t\n00123\n"C,3"\rA1'
    path = write(content)
    assert read_accessions(path) == [(2, "A1"), (4, "B 2"), (7, "00123"), (8, "C,3"), (9, "A1")]
    chosen = selection(accession_file=path)
    assert chosen.accession_numbers == ("A1", "B 2", "00123", "C,3", "A1")
    assert "00123" not in repr(chosen)


def test_a_csv_names_its_column_wherever_it_stands(write: Write) -> None:
    path = write(f'# a comment\nNAME, accession_num ,X\n"Doe, John",{SECRET},1\n\n,B2\n"x"\n,,\n')
    # The row without a number is kept, to be told as one that nobody knows.
    assert read_accessions(path) == [(3, SECRET), (5, "B2"), (6, "")]


def test_a_whole_manifest_is_a_list(write: Write) -> None:
    header = (
        "SUBJECT_ID,IMAGING_TYPE,AGE_AT_IMAGING_(DAYS),ANATOMICAL_POSITION,ACCESSION_NUM,"
        "DEID_QC_STATUS,locutus_manifest_ver:locutus.onprem_dicom_deid_qc.2021march15"
    )
    path = write(f"{header}\nC1,MR,100,HEAD,A1,,\n# C2,MR,1,HEAD,A2,,\nC3,MR,1,HEAD,A3,,\n")
    assert read_accessions(path) == [(2, "A1"), (4, "A3")]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"A1\nB\xff2\n", "line 2: not UTF-8 text"),
        ("A1\n".encode("utf-16"), "line 1: not UTF-8 text"),
        (b"A1\nSECRET,SECRET\n", "line 2: several values, and no header"),
        (b"A1\nSEC\0RET\n", "line 2: a control character"),
        (b"A1\tSECRET\n", "line 1: a control character"),
        (b'A1\n"SECRET\n', "line 2: a quoted value does not end"),
        (b"ACCESSION_NUM,x,accession_num\nSECRET,,\n", "line 1: several columns ACCESSION_NUM"),
        (b"", "names no accession"),
        (b"# SECRET\n\n", "names no accession"),
        (b"ACCESSION_NUM\n", "names no accession"),
    ],
)
def test_a_file_that_cannot_be_understood_is_refused_by_line_without_its_values(
    write: Write, content: bytes, fault: str
) -> None:
    with pytest.raises(AccessionListError) as failure:
        selection(accession_file=write(content))
    assert fault in failure.value.message
    assert "SECRET" not in str(failure.value)


def test_only_the_first_faults_of_many_are_listed(write: Write) -> None:
    with pytest.raises(AccessionListError, match="line 10: not UTF-8 text; and 5 more"):
        selection(accession_file=write(b"\xff\n" * 15))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(AccessionListError, match="cannot be read"):
        selection(accession_file=tmp_path / "nosuch.txt")


def test_a_list_may_come_through_a_pipe_which_can_be_read_once() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as stream:
        stream.write(b"A1\nB2\n")
    try:
        chosen = selection(accession_file=Path(f"/dev/fd/{reader}"))
    finally:
        os.close(reader)
    assert chosen.accession_numbers == ("A1", "B2")
    assert chosen.accession_lines == (1, 2)


NUMBERS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), min_size=1
).filter(lambda text: not text.startswith(("#", "\ufeff")))


@settings(deadline=None)
@given(
    st.lists(NUMBERS, min_size=1),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.booleans(),
    st.data(),
)
def test_what_was_written_is_read_back_whole_whatever_the_numbers_are(
    tmp_path_factory: pytest.TempPathFactory,
    numbers: list[str],
    newline: str,
    with_header: bool,
    with_mark: bool,
    data: st.DataObject,
) -> None:
    lines = ["ACCESSION_NUM"] if with_header else []
    expected = []
    for number in numbers:
        lines += [""] * data.draw(st.integers(0, 2)) + ["# x"] * data.draw(st.integers(0, 1))
        lines.append('"' + number.replace('"', '""') + '"')
        expected.append((len(lines), number.strip()))
    if not with_header and numbers[0].strip().upper() == "ACCESSION_NUM":
        return
    path = tmp_path_factory.getbasetemp() / "numbers.txt"
    content = newline.join(lines).encode()
    path.write_bytes((b"\xef\xbb\xbf" if with_mark else b"") + content)
    assert read_accessions(path) == expected


@settings(deadline=None)
@given(st.binary() | st.text(max_size=60).map(str.encode))
def test_whatever_a_file_holds_is_read_or_refused_and_no_line_is_lost(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "anything.txt"
    path.write_bytes(content)
    try:
        found = read_accessions(path)
    except LocutusError:
        return
    lines = [line for line, _ in found]
    assert lines == sorted(set(lines))


def test_numbers_that_the_workspace_does_not_know_are_told_by_line(
    ledger: Ledger, write: Write
) -> None:
    add_items(ledger, "A1", "B2", name="one")
    add_items(ledger, "C3", name="two", workspace="other")
    chosen = selection(accession_file=write("A1\nC3\n\n# B2\nA9\nB2\nA1\nA9\n"))
    assert unknown_accessions(ledger, "ws", chosen) == [2, 5, 8]
    assert [i.partition_key for i in ledger.select("ws", chosen)] == ["one~000001", "one~000002"]
    assert unknown_accessions(ledger, "ws", selection()) == []


# -- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_names", "message"),
    [
        ({"manifests": ["one", "noone"]}, r"no manifest named 'noone' \(manifests: one\)"),
        ({"subjects": ["S1", "S8", "S9"]}, "knows no subject 'S8', nor 1 more"),
        ({"partitions": ["one~000001", "one~1"]}, "knows no partition 'one~1'"),
    ],
)
def test_names_that_the_workspace_does_not_know_are_refused(
    ledger: Ledger, given_names: dict[str, Sequence[str]], message: str
) -> None:
    add_items(ledger, "A1", name="one")
    check_names(
        ledger, "ws", selection(manifests=["one"], subjects=["S1"], partitions=["one~000001"])
    )
    with pytest.raises(ChoosingError, match=message):
        check_names(ledger, "ws", selection(**given_names))


def test_everything_that_is_given_goes_into_the_filter() -> None:
    chosen = selection(manifests=["m"], subjects=["S"], partitions=["m~000001"], statuses=["all"])
    assert chosen == Selection(
        manifests=("m",),
        subjects=("S",),
        partition_keys=("m~000001",),
        states=frozenset(State),
    )
