"""Rooms in the scratch space: one holder at a time, a budget without deadlocks, private modes."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path
from typing import Any

import pytest

from locutus_dagster.interim import (
    InterimError,
    InterimStore,
    ScratchFullError,
    ScratchTooSmallError,
)
from locutus_dagster.interim.store import accession_of
from locutus_dagster_tests.interim.holder import holding

PATIENCE = 20.0  # seconds: far longer than anything here takes
A_MOMENT = 0.4  # seconds: longer than between two looks at the budget


@pytest.fixture
def store(tmp_path: Path) -> InterimStore:
    return InterimStore(tmp_path / "scratch", limit=1000)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def leave_behind(store: InterimStore, accession_id: int, size: int) -> Path:
    """Files of an accession that nobody is working on."""
    with store.claim("ws", accession_id) as room:
        room.raw_zip.write_bytes(bytes(size))
    return room.path


def beside(function: Callable[..., Any], *arguments: object) -> Future[Any]:
    """Run a function in a thread that a test which fails does not wait for."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def still_waits(future: Future[Any]) -> bool:
    try:
        future.result(A_MOMENT)
    except NotYet:
        return True
    return False


# -- claims ------------------------------------------------------------------------------------


def test_a_room_is_one_process_s_until_it_is_given_back(store: InterimStore) -> None:
    def claim() -> str:
        with store.claim("ws", 1):
            return "claimed"

    with holding(store.root, store.limit, 1) as holder:
        waiting = beside(claim)
        assert still_waits(waiting)
        holder.go_on()
        assert waiting.result(PATIENCE) == "claimed"


def test_two_rooms_are_held_side_by_side(store: InterimStore) -> None:
    with holding(store.root, store.limit, 1), store.claim("ws", 2), store.claim("other", 1):
        assert len(store.rooms()) == 3


def test_the_room_of_a_killed_process_is_free_and_keeps_its_files(store: InterimStore) -> None:
    with holding(store.root, store.limit, 1, lies=10) as holder:
        holder.kill()
        with store.claim("ws", 1) as room:
            assert room.raw_zip.stat().st_size == 10


def test_threads_that_claim_one_room_over_and_over_are_never_in_it_together(
    store: InterimStore,
) -> None:
    inside, seen = [], []

    def claim_often() -> None:
        for _ in range(50):
            with store.claim("ws", 1):
                inside.append(1)
                seen.append(len(inside))
                inside.pop()

    for future in [beside(claim_often) for _ in range(4)]:
        future.result(PATIENCE)
    assert seen == [1] * 200
    assert store.rooms() == []


def test_an_empty_room_is_removed_when_it_is_given_back(store: InterimStore) -> None:
    with store.claim("ws", 1) as room:
        assert room.path.is_dir()
    assert not room.path.exists()
    assert store.accessions("ws") == []


def test_a_room_with_files_stays(store: InterimStore) -> None:
    path = leave_behind(store, 7, 10)
    assert (path / "raw.zip").stat().st_size == 10
    assert store.accessions("ws") == [7]
    assert store.accessions("other") == []


def test_a_room_is_given_back_after_an_exception(store: InterimStore) -> None:
    with pytest.raises(ZeroDivisionError), store.claim("ws", 1):
        raise ZeroDivisionError
    assert store.rooms() == []


def test_rooms_and_locks_are_for_their_owner_alone(store: InterimStore) -> None:
    before = os.umask(0)
    try:
        with store.claim("ws", 1) as room:
            room.reserve(10)
            assert mode(store.root) == mode(room.path) == 0o700
            files = [path for path in store.root.rglob("*") if path.is_file()]
            assert {mode(path) for path in files} == {0o600}
            assert len(files) == 2
    finally:
        os.umask(before)


def test_a_root_that_was_open_to_others_is_closed(store: InterimStore) -> None:
    store.root.mkdir(mode=0o755)
    store.root.chmod(0o755)
    store.prepare()
    assert mode(store.root) == 0o700


def test_a_root_that_cannot_be_made_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InterimError, match="LOCUTUS_SCRATCH"):
        InterimStore(tmp_path / "file" / "scratch", 1000).prepare()


def test_names_in_the_store_come_from_the_ledger_s_numbers_only(store: InterimStore) -> None:
    with store.claim("ws", 4711) as room:
        names = {str(path.relative_to(store.root)) for path in store.root.rglob("*")}
        assert room.raw_zip.name == "raw.zip"
        assert room.deidentified_zip.name == "deidentified.zip"
    assert names == {"ws", "ws/a000004711", "ws/a000004711/.lock"}


def test_discarding_parts_keeps_what_is_whole(store: InterimStore) -> None:
    with store.claim("ws", 1) as room:
        room.raw_zip.write_bytes(b"whole")
        (room.path / "raw.zip.part").write_bytes(b"half")
        (room.path / "deidentified.zip.part").write_bytes(b"half")
        room.discard_parts()
        assert {path.name for path in room.path.iterdir()} == {".lock", "raw.zip"}


def test_free_space_is_that_of_the_file_system(store: InterimStore) -> None:
    store.prepare()
    assert store.free_bytes() > 0


# -- without waiting ---------------------------------------------------------------------------


def test_a_free_room_is_held_without_waiting_and_a_held_one_is_not(store: InterimStore) -> None:
    with holding(store.root, store.limit, 1, lies=10) as holder:
        with store.claim_if_free("ws", 1) as room:
            assert room is None
        assert store.in_use(store.folder("ws", 1))
        holder.kill()
        with store.claim_if_free("ws", 1) as room:
            assert room is not None
            assert room.raw_zip.exists()
            assert store.in_use(room.path)
            with store.claim_if_free("ws", 1) as another:
                assert another is None
    assert not store.in_use(store.folder("ws", 1))


def test_a_room_that_is_held_without_waiting_is_held_against_those_who_wait(
    store: InterimStore,
) -> None:
    leave_behind(store, 1, 10)

    def claim() -> str:
        with store.claim("ws", 1) as room:
            return "empty" if not room.raw_zip.exists() else "full"

    with store.claim_if_free("ws", 1) as room:
        assert room is not None
        waiting = beside(claim)
        assert still_waits(waiting)
        room.raw_zip.unlink()
    assert waiting.result(PATIENCE) == "empty"
    assert store.rooms() == []


def test_a_room_that_there_is_not_is_not_made(store: InterimStore) -> None:
    with store.claim_if_free("ws", 1) as room:
        assert room is None
    assert not store.root.exists()


def test_an_emptied_room_that_was_held_without_waiting_is_removed(store: InterimStore) -> None:
    path = leave_behind(store, 1, 10)
    with store.claim_if_free("ws", 1) as room:
        assert room is not None
        room.raw_zip.unlink()
    assert not path.exists()


def test_a_link_in_the_place_of_a_lock_is_not_followed(store: InterimStore, tmp_path: Path) -> None:
    path = leave_behind(store, 1, 10)
    (path / ".lock").unlink()
    (path / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError), store.claim_if_free("ws", 1):
        pytest.fail("it was locked")
    assert not store.in_use(path)
    assert not (tmp_path / "elsewhere").exists()


def test_what_somebody_else_has_put_into_the_scratch_folder_is_no_room(store: InterimStore) -> None:
    path = leave_behind(store, 7, 10)
    for name in ("archive", "a1", "a00000000x", "a0000000007"):
        (store.root / "ws" / name).mkdir()
    (store.root / "ws" / "a000000008").write_text("a file")
    (store.root / "attic.txt").write_text("a file")
    assert store.rooms() == [path]
    assert store.accessions("ws") == [7]
    assert store.usage() == (10, False)


@pytest.mark.parametrize(
    ("name", "accession_id"),
    [
        ("a000000007", 7),
        ("a123456789", 123456789),
        ("a1234567890", 1234567890),
        ("a0000000007", None),
        ("a7", None),
        ("b000000007", None),
        ("a00000000\u0667", None),  # an Arabic-Indic seven
        ("a000000007\n", None),
    ],
)
def test_the_name_of_a_room_says_whose_it_is(name: str, accession_id: int | None) -> None:
    assert accession_of(name) == accession_id


# -- the budget --------------------------------------------------------------------------------


def test_a_reservation_that_fits_is_taken_at_once(store: InterimStore) -> None:
    with store.claim("ws", 1) as one, store.claim("ws", 2) as other:
        one.reserve(600)
        other.reserve(400)
        assert store.usage() == (1000, True)


def test_a_reservation_ends_with_its_claim(store: InterimStore) -> None:
    with store.claim("ws", 1) as room:
        room.reserve(1000)
    assert store.usage() == (0, False)
    leave_behind(store, 2, 30)
    assert store.usage() == (30, False)


def test_a_study_that_is_larger_than_the_whole_budget_is_refused_with_both_sizes(
    store: InterimStore,
) -> None:
    with (
        store.claim("ws", 1) as room,
        pytest.raises(ScratchTooSmallError, match=r"1,001 bytes.*1,000.*LOCUTUS_SCRATCH_LIMIT"),
    ):
        room.reserve(1001)


def test_a_reservation_waits_for_another_process_and_then_goes_on(store: InterimStore) -> None:
    with holding(store.root, store.limit, 1, reserve=600) as holder, store.claim("ws", 2) as room:
        waiting = beside(room.reserve, 500)
        assert still_waits(waiting)
        holder.go_on()
        waiting.result(PATIENCE)
        assert store.usage() == (500, True)


def test_a_reservation_waits_no_longer_for_a_process_that_was_killed(store: InterimStore) -> None:
    with holding(store.root, store.limit, 1, reserve=600) as holder, store.claim("ws", 2) as room:
        waiting = beside(room.reserve, 500)
        assert still_waits(waiting)
        holder.kill()
        waiting.result(PATIENCE)


def test_what_a_killed_process_had_reserved_is_free_when_its_room_is_taken_again(
    store: InterimStore,
) -> None:
    with holding(store.root, store.limit, 1, reserve=450) as holder:
        holder.kill()
        with store.claim("ws", 1):
            assert store.usage() == (0, False)


def test_what_a_room_holds_counts_when_it_is_more_than_was_reserved(store: InterimStore) -> None:
    with store.claim("ws", 1) as room:
        room.reserve(100)
        room.raw_zip.write_bytes(bytes(300))
        assert store.usage() == (300, True)


def test_leftovers_that_fill_the_budget_while_nobody_works_are_an_error(
    store: InterimStore,
) -> None:
    leave_behind(store, 1, 700)
    with (
        store.claim("ws", 2) as room,
        pytest.raises(ScratchFullError, match=r"700 of 1,000 bytes.*400 more"),
    ):
        room.reserve(400)


def test_leftovers_of_the_room_itself_do_not_count_against_it(store: InterimStore) -> None:
    leave_behind(store, 1, 700)
    with store.claim("ws", 1) as room:
        room.reserve(1000)


def test_leftovers_beside_somebody_at_work_are_waited_for(store: InterimStore) -> None:
    leave_behind(store, 1, 300)
    with holding(store.root, store.limit, 2, reserve=400) as holder, store.claim("ws", 3) as room:
        waiting = beside(room.reserve, 600)
        assert still_waits(waiting)
        holder.go_on()
        waiting.result(PATIENCE)


def end_of(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except ScratchFullError:
        return "full"
    return "reserved"


def in_room(store: InterimStore, accession_id: int, size: int, met: threading.Barrier) -> str:
    """Claim a room, wait until the others have theirs, reserve."""
    with store.claim("ws", accession_id) as room:
        met.wait(PATIENCE)
        return end_of(lambda: room.reserve(size))


def test_rooms_that_wait_for_each_other_take_turns(store: InterimStore) -> None:
    met = threading.Barrier(4)
    futures = [beside(in_room, store, number, 600, met) for number in range(4)]
    assert [future.result(PATIENCE) for future in futures] == ["reserved"] * 4


def test_rooms_that_hold_leftovers_and_wait_for_each_other_do_not_wait_for_ever(
    store: InterimStore,
) -> None:
    for number in (1, 2):
        leave_behind(store, number, 500)
    met = threading.Barrier(2)
    futures = [beside(in_room, store, number, 600, met) for number in (1, 2)]
    assert [future.result(PATIENCE) for future in futures] == ["full"] * 2


def test_a_room_that_cannot_have_its_space_makes_room_for_one_that_waits(
    store: InterimStore,
) -> None:
    for number in (1, 2):
        leave_behind(store, number, 500)
    met = threading.Barrier(2)

    def give_up_cleanly(accession_id: int) -> str:
        with store.claim("ws", accession_id) as room:
            met.wait(PATIENCE)
            result = end_of(lambda: room.reserve(600))
            room.raw_zip.unlink()  # as the pipeline does with what is identified
            return result

    futures = [beside(give_up_cleanly, number) for number in (1, 2)]
    assert sorted(future.result(PATIENCE) for future in futures) == ["full", "reserved"]


def test_reservations_of_killed_processes_are_forgotten_when_their_rooms_are_taken_again(
    store: InterimStore,
) -> None:
    with (
        holding(store.root, store.limit, 1, reserve=450) as one,
        holding(store.root, store.limit, 2, reserve=450) as other,
    ):
        one.kill()
        other.kill()
    met = threading.Barrier(2)
    futures = [beside(in_room, store, number, 600, met) for number in (1, 2)]
    assert [future.result(PATIENCE) for future in futures] == ["reserved"] * 2


def test_a_room_that_goes_away_while_usage_is_counted_takes_nothing(
    store: InterimStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.prepare()
    gone = store.folder("ws", 1)
    monkeypatch.setattr(store, "rooms", lambda: [gone])

    assert store.usage() == (0, False)


def test_the_workspace_folder_is_for_its_owner_alone(store: InterimStore) -> None:
    with store.claim("ws", 1) as room:
        assert room.path.parent.stat().st_mode & 0o777 == 0o700
