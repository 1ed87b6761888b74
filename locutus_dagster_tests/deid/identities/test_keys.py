"""A key ring keeps old keys, names the faults of its file by line, and never shows a secret."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locutus_dagster.deid.identities.keys import KeyFileError, KeyRing, new_secret, rotated
from locutus_dagster.deid.identities.pseudonyms import Pseudonyms

FIRST, SECOND, THIRD = "a1" * 32, "b2" * 32, "c3" * 32
TWO_KEYS = f"# keys of the trial\n\n1 {FIRST}\n2 {SECOND}\n"


def test_a_secret_alone_is_the_key_that_it_always_was() -> None:
    ring = KeyRing.parse(f"{FIRST}\n")
    assert ring.key_ids == (Pseudonyms(FIRST.encode()).key_id,)
    assert ring.current.uid("1.2.3") == Pseudonyms(FIRST.encode()).uid("1.2.3")


def test_the_highest_version_is_the_current_key_and_older_ones_are_found() -> None:
    ring = KeyRing.parse(TWO_KEYS)
    old, new = Pseudonyms(FIRST.encode(), 1), Pseudonyms(SECOND.encode(), 2)
    assert ring.current.key_id == new.key_id
    assert ring.key_ids == (old.key_id, new.key_id)
    found = ring.find(old.key_id)
    assert found is not None
    assert found.uid("1.2.3") == old.uid("1.2.3")


def test_a_key_that_is_not_in_the_ring_is_not_found() -> None:
    ring = KeyRing.parse(TWO_KEYS)
    assert ring.find(Pseudonyms(THIRD.encode(), 1).key_id) is None
    assert ring.find(Pseudonyms(FIRST.encode(), 2).key_id) is None
    assert ring.find(Pseudonyms.fresh().key_id) is None


def test_comments_blank_lines_gaps_in_versions_and_windows_line_ends_are_fine() -> None:
    text = f"# one\r\n\r\n   # two\r\n3 {FIRST}\r\n \r\n7\t{SECOND}"
    assert [key_id.split("-")[0] for key_id in KeyRing.parse(text).key_ids] == ["3", "7"]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 0, "no key"),
        ("# only a comment\n\n", 0, "no key"),
        ("too-short\n", 1, "fewer than 16 bytes"),
        ("\n1 short\n", 2, "fewer than 16 bytes"),
        (f" {FIRST}", 1, "white space"),
        (f"1 {FIRST} ", 1, "white space"),
        (f"1 {FIRST} {SECOND}", 1, "more than"),
        ("four words one phrase", 1, "more than"),
        (f"0 {FIRST}", 1, "more than"),
        (f"-1 {FIRST}", 1, "more than"),
        (f"01 {FIRST}", 1, "more than"),
        (f"{FIRST}\u200b", 1, "more than"),
        (f"\ufeff{FIRST}", 1, "more than"),
        (f"1 {FIRST}\u2028{SECOND}", 1, "more than"),
        (f"1 {FIRST}\n1 {SECOND}", 2, "not higher"),
        (f"2 {FIRST}\n#\n1 {SECOND}", 3, "not higher"),
        (f"1 {FIRST}\n2 {FIRST}", 2, "repeats"),
        (f"{FIRST}\n{SECOND}", 2, "no version"),
        (f"{FIRST}\n2 {SECOND}", 2, "no version"),
        (f"1 {FIRST}\n{SECOND}", 2, "no version"),
    ],
)
def test_a_fault_is_named_by_its_line_and_not_quoted(text: str, line: int, says: str) -> None:
    with pytest.raises(KeyFileError, match=says) as error:
        KeyRing.parse(text)
    assert error.value.line == line
    assert line == 0 or str(error.value).startswith(f"Line {line} ")
    assert error.value.hint
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)
    for word in text.split():
        assert len(word) < 6 or word not in str(error.value)


@given(st.text(max_size=200))
def test_any_text_is_a_key_ring_or_a_key_file_error(text: str) -> None:
    try:
        ring = KeyRing.parse(text)
    except KeyFileError:
        return
    assert ring.key_ids


def test_a_ring_of_no_keys_or_in_disorder_cannot_be_built() -> None:
    first, second = Pseudonyms(FIRST.encode(), 1), Pseudonyms(SECOND.encode(), 2)
    for keys in ((), (second, first), (first, first)):
        with pytest.raises(ValueError, match="ascending"):
            KeyRing(*keys)


def test_no_secret_is_shown_and_the_ring_travels_to_worker_processes() -> None:
    ring = pickle.loads(pickle.dumps(KeyRing.parse(TWO_KEYS)))
    assert ring.key_ids == KeyRing.parse(TWO_KEYS).key_ids
    assert ring.current.uid("1") == Pseudonyms(SECOND.encode()).uid("1")
    assert FIRST not in repr(ring)
    assert ring.current.key_id in repr(ring)


def test_a_private_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "trial.secret"
    path.touch(mode=0o600)
    path.write_text(TWO_KEYS)
    assert KeyRing.read(path).key_ids == KeyRing.parse(TWO_KEYS).key_ids


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "trial.secret"
    path.write_text(TWO_KEYS)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match="chmod 600") as error:
        KeyRing.read(path)
    assert FIRST not in str(error.value)


def test_a_file_that_cannot_be_read_is_a_key_file_error(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        KeyRing.read(tmp_path / "nowhere")
    with pytest.raises(KeyFileError, match="directory"):
        KeyRing.read(tmp_path)
    binary = tmp_path / "binary"
    binary.touch(mode=0o600)
    binary.write_bytes(b"\xff\xfe" + FIRST.encode("utf-16"))
    with pytest.raises(KeyFileError, match="no text"):
        KeyRing.read(binary)


def test_a_new_secret_is_sixty_four_hexadecimal_digits_and_never_the_same() -> None:
    assert re.fullmatch("[0-9a-f]{64}", new_secret())
    assert new_secret() != new_secret()


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\r\n"])
@pytest.mark.parametrize("before", ["", "# keep me\n"])
def test_a_secret_alone_stays_the_same_key_when_a_second_one_comes(before: str, end: str) -> None:
    text = f"{before}{FIRST}{end}"
    ring = KeyRing.parse(rotated(text))
    assert ring.key_ids[0] == KeyRing.parse(text).current.key_id
    assert len(ring.key_ids) == 2
    assert ring.current.version == 2
    assert ring.current.uid("1") != KeyRing.parse(text).current.uid("1")


def test_rotating_keeps_everything_that_is_there_and_adds_one_line() -> None:
    text = f"{TWO_KEYS}# the end"
    lines = rotated(text).splitlines()
    assert lines[:-1] == text.splitlines()
    assert re.fullmatch("3 [0-9a-f]{64}", lines[-1])


def test_a_file_with_a_fault_is_not_rotated() -> None:
    with pytest.raises(KeyFileError, match="Line 2 "):
        rotated(f"1 {FIRST}\n1 {SECOND}")
