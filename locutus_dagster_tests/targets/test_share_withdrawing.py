"""A share: a delivery that is withdrawn is gone, and one that only cannot be seen is not."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from locutus_dagster.targets import TargetError
from locutus_dagster.targets.share import MARKER, ShareTarget
from locutus_dagster_tests.targets.conftest import mounted
from locutus_dagster_tests.targets.test_share import KEY, files, put

OTHER = ".TopLevel/S2/CT/uuid_def.zip"


def everything(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


@contextmanager
def as_nobody() -> Iterator[None]:
    """Work as a user whom the modes of files bind."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_share() -> Iterator[ShareTarget]:
    """A share that any user can reach."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o777)
    yield ShareTarget(root)
    for folder in root.rglob("*/"):
        folder.chmod(0o777)
    shutil.rmtree(root)


# -- withdrawing ---------------------------------------------------------------------------


def test_a_withdrawn_delivery_is_gone_with_the_folders_that_held_it_alone(
    share: ShareTarget, source: Path
) -> None:
    uri = put(share, source)
    put(share, source, OTHER)

    gone = share.withdraw(uri)

    assert (gone.uri, gone.removed, gone.size) == (uri, True, 7000)
    assert everything(share.root) == [".TopLevel", ".TopLevel/S2", ".TopLevel/S2/CT", OTHER]
    assert not share.holds(uri, size=7000)


def test_withdrawing_what_is_gone_is_harmless(share: ShareTarget, source: Path) -> None:
    uri = put(share, source)
    put(share, source, OTHER)
    share.withdraw(uri)

    again = share.withdraw(uri)

    assert (again.removed, again.size) == (False, 0)
    assert files(share.root) == [OTHER]


def test_folders_that_a_crash_left_empty_go_with_the_next_attempt(
    share: ShareTarget, source: Path
) -> None:
    uri = put(share, source)
    put(share, source, OTHER)
    (share.root / KEY).unlink()  # and then it was killed

    assert not share.withdraw(uri).removed

    assert not (share.root / ".TopLevel/S1").exists()


def test_the_root_itself_stays_and_is_not_as_empty_as_one_that_is_not_mounted(
    share: ShareTarget, source: Path
) -> None:
    uri = put(share, source)

    share.withdraw(uri)

    assert everything(share.root) == [MARKER]
    assert not share.withdraw(uri).removed  # a rerun after a crash can still tell
    assert not share.holds(uri, size=7000)


def test_a_delivery_that_lies_in_the_root_leaves_it_recognisable_too(
    share: ShareTarget, source: Path
) -> None:
    uri = put(share, source, "uuid_abc.zip")
    assert share.withdraw(uri).removed
    assert everything(share.root) == [MARKER]


def test_what_a_crash_left_half_copied_is_withdrawn_too(share: ShareTarget, source: Path) -> None:
    put(share, source, OTHER)
    path = share.root / KEY
    path.parent.mkdir(parents=True)
    (path.parent / f".{path.name}.part").write_bytes(b"half of a study")

    gone = share.withdraw(share.uri(KEY))

    assert (gone.removed, gone.size) == (True, 15)
    assert not (share.root / ".TopLevel/S1").exists()


def test_what_else_lies_in_a_folder_keeps_it(share: ShareTarget, source: Path) -> None:
    uri = put(share, source)
    notes = share.root / ".TopLevel/S1/notes.txt"
    notes.write_text("a researcher's own")

    share.withdraw(uri)

    assert files(share.root) == [".TopLevel/S1/notes.txt"]


# -- what only seems to be gone ------------------------------------------------------------


def test_a_share_that_is_not_there_has_not_lost_its_deliveries(
    share: ShareTarget, source: Path
) -> None:
    uri = put(share, source)
    share.root.rename(share.root.with_name("away"))

    with pytest.raises(TargetError, match=r"is not there.*Mount it"):
        share.withdraw(uri)
    with pytest.raises(TargetError, match="is not there"):
        share.holds(uri, size=7000)
    assert not share.root.exists()


def test_a_folder_on_which_nothing_is_mounted_has_not_lost_its_deliveries(
    tmp_path: Path, source: Path
) -> None:
    root = tmp_path / "mount"
    if not mounted(root, "size=1m"):
        pytest.skip("mounting a small file system is not permitted here (it takes root)")
    share = ShareTarget(root)
    uri = put(share, source)
    subprocess.run(["umount", str(root)], check=True)
    assert list(root.iterdir()) == []

    with pytest.raises(TargetError, match=r"holds nothing at all.*nothing is mounted"):
        share.withdraw(uri)
    with pytest.raises(TargetError, match="holds nothing at all"):
        share.holds(uri, size=7000)

    (root / ".locutus-probe-1.part").touch()  # a run looks at this moment whether it can write
    with pytest.raises(TargetError, match="holds nothing at all"):
        share.withdraw(uri)
    (root / MARKER).touch()  # somebody says that it has been emptied
    assert not share.withdraw(uri).removed


def test_what_may_not_be_looked_at_is_not_gone(open_share: ShareTarget, source: Path) -> None:
    uri = put(open_share, source)
    folder = open_share.root / ".TopLevel/S1"
    folder.chmod(0o000)

    with as_nobody():
        with pytest.raises(TargetError, match=r"cannot be asked \(Permission denied\)"):
            open_share.withdraw(uri)
        with pytest.raises(TargetError, match="cannot be asked"):
            open_share.holds(uri, size=7000)

    folder.chmod(0o755)
    assert open_share.holds(uri, size=7000)


def test_what_may_not_be_removed_is_said_to_be_kept(open_share: ShareTarget, source: Path) -> None:
    uri = put(open_share, source)
    folder = open_share.root / ".TopLevel/S1/CT"
    folder.chmod(0o555)

    with as_nobody(), pytest.raises(TargetError, match=r"does not let a delivery be removed \(P"):
        open_share.withdraw(uri)

    assert open_share.holds(uri, size=7000)


def test_a_folder_that_may_not_be_removed_is_not_passed_over(
    open_share: ShareTarget, source: Path
) -> None:
    uri = put(open_share, source)
    put(open_share, source, OTHER)
    (open_share.root / ".TopLevel/S1/CT").chmod(0o777)
    (open_share.root / ".TopLevel/S1").chmod(0o555)

    with as_nobody(), pytest.raises(TargetError, match="does not let a delivery be removed"):
        open_share.withdraw(uri)

    (open_share.root / ".TopLevel/S1").chmod(0o777)
    assert not open_share.withdraw(uri).removed
    assert not (open_share.root / ".TopLevel/S1").exists()


def test_a_share_that_became_read_only_keeps_what_it_has(
    small_share: ShareTarget, source: Path
) -> None:
    uri = put(small_share, source)
    subprocess.run(["mount", "-o", "remount,ro", str(small_share.root)], check=True)

    with pytest.raises(TargetError, match=r"Read-only file system.*mounted writable"):
        small_share.withdraw(uri)

    assert small_share.holds(uri, size=7000)


# -- what is not a delivery ----------------------------------------------------------------


def test_a_folder_in_the_place_of_a_delivery_is_not_removed(
    share: ShareTarget, source: Path
) -> None:
    uri = put(share, source)
    (share.root / KEY).unlink()
    (share.root / KEY).mkdir()
    (share.root / KEY / "theirs").touch()

    with pytest.raises(TargetError, match="Something that is no file"):
        share.withdraw(uri)

    assert files(share.root) == [f"{KEY}/theirs"]
    assert not share.holds(uri, size=7000)


def test_a_link_in_the_place_of_a_delivery_does_not_count_as_its_removal(
    share: ShareTarget, source: Path, tmp_path: Path
) -> None:
    uri = put(share, source)
    moved = tmp_path / "archive.zip"
    (share.root / KEY).rename(moved)
    (share.root / KEY).symlink_to(moved)

    with pytest.raises(TargetError, match="Something that is no file"):
        share.withdraw(uri)

    assert moved.exists()
    assert not share.holds(uri, size=7000)


def test_a_folder_that_leads_out_of_the_share_is_not_followed(
    share: ShareTarget, source: Path, tmp_path: Path
) -> None:
    uri = put(share, source)
    elsewhere = tmp_path / "elsewhere"
    (share.root / ".TopLevel/S1").rename(elsewhere)
    (share.root / ".TopLevel/S1").symlink_to(elsewhere)

    for ask in (share.withdraw, share.open, lambda uri: share.holds(uri, size=7000)):
        with pytest.raises(TargetError, match="leads out of it"):
            ask(uri)
    with pytest.raises(TargetError, match="leads out of it"):
        put(share, source)

    assert files(elsewhere) == ["CT/uuid_abc.zip"]


def test_links_that_go_round_in_circles_are_a_clear_error(share: ShareTarget, source: Path) -> None:
    put(share, source, OTHER)
    (share.root / ".TopLevel/S1").symlink_to(share.root / ".TopLevel/S1")
    with pytest.raises(TargetError, match="leads out of it"):
        share.withdraw(share.uri(KEY))


def test_links_within_the_share_and_to_its_root_are_fine(tmp_path: Path, source: Path) -> None:
    (tmp_path / "disk/big").mkdir(parents=True)
    (tmp_path / "share").symlink_to(tmp_path / "disk")
    (tmp_path / "disk/.TopLevel").symlink_to("big")
    share = ShareTarget(tmp_path / "share")
    uri = put(share, source)
    assert share.holds(uri, size=7000)

    assert share.withdraw(uri).removed

    assert files(tmp_path / "disk/big") == []


def test_a_root_that_is_written_with_dots_works(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "share").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    share = ShareTarget(Path("../share"))
    uri = put(share, source)
    assert share.holds(uri, size=7000)
    assert share.withdraw(uri).removed


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "file://",
        "file:///",
        "file:///etc/passwd",
        "{other}/.TopLevel/S1/CT/uuid_abc.zip",
        "{root}",
        "{root}/",
        "{root}/../deidentified.zip",
        "{root}/%2e%2e/deidentified.zip",
        "{root}/a/%2E%2E/%2E./deidentified.zip",
        "{root}/a%00b.zip",
        "{root}x/uuid_abc.zip",
        "{path}/.TopLevel/S1/CT/uuid_abc.zip",
        "http:{root}/.TopLevel/S1/CT/uuid_abc.zip",
    ],
)
def test_nothing_outside_of_the_share_is_ever_removed(
    share: ShareTarget, source: Path, tmp_path: Path, uri: str
) -> None:
    put(share, source)
    other = ShareTarget(tmp_path / "other")
    other.root.mkdir()
    put(other, source)
    root = share.root.as_uri()
    uri = uri.format(root=root, other=other.root.as_uri(), path=share.root)

    with pytest.raises(TargetError, match="does not lie on this share"):
        share.withdraw(uri)
    with pytest.raises(TargetError, match="does not lie on this share"):
        share.holds(uri, size=7000)

    assert source.exists()
    assert files(other.root) == files(share.root) == [KEY]


_PARTS = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12
).filter(lambda part: part not in (".", ".."))


@settings(max_examples=30, suppress_health_check=list(HealthCheck), deadline=None)
@given(parts=st.lists(_PARTS, min_size=1, max_size=3))
def test_whatever_a_key_is_made_of_its_uri_leads_back_to_it(
    share: ShareTarget, source: Path, parts: list[str]
) -> None:
    uri = put(share, source, "/".join(["d", *parts]))
    assert share.holds(uri, size=7000)
    assert share.withdraw(uri).removed
    assert files(share.root) == [MARKER]


@settings(max_examples=80, suppress_health_check=list(HealthCheck), deadline=None)
@given(uri=st.one_of(st.text(), st.text("./%2e0afile:S1").map(lambda tail: f"file:///{tail}")))
def test_a_hostile_uri_removes_nothing_and_is_one_clear_error(
    share: ShareTarget, source: Path, uri: str
) -> None:
    put(share, source)
    with pytest.raises(TargetError, match="does not lie on this share"):
        share.withdraw(uri)
    assert files(share.root) == [KEY]


# -- delivering beside withdrawing ---------------------------------------------------------


def test_a_delivery_survives_that_its_folders_are_removed_while_it_begins(
    share: ShareTarget, source: Path
) -> None:
    put(share, source, ".TopLevel/keep.zip")
    over = threading.Event()

    def withdraw_all_the_time() -> None:
        while not over.is_set():
            for name in ("a", "b"):
                share.withdraw(share.uri(f".TopLevel/S1/CT/{name}.zip"))

    thread = threading.Thread(target=withdraw_all_the_time)
    thread.start()
    try:
        for number in range(60):
            uri = put(share, source, f".TopLevel/S1/CT/c{number}.zip")
            assert share.holds(uri, size=7000)
            share.withdraw(uri)
    finally:
        over.set()
        thread.join()
    assert files(share.root) == [".TopLevel/keep.zip"]


def test_a_worker_that_is_still_copying_cannot_spoil_the_delivery_of_its_successor(
    share: ShareTarget, source: Path
) -> None:
    path = share.root / KEY
    path.parent.mkdir(parents=True)
    with (path.parent / f".{path.name}.part").open("wb") as slow:
        slow.write(b"an older ")
        slow.flush()
        put(share, source)
        slow.write(b"version, still being written")
    assert path.read_bytes() == source.read_bytes()
    assert files(share.root) == [KEY]


def test_a_share_that_goes_away_is_not_made_anew(share: ShareTarget, source: Path) -> None:
    share.root.rmdir()
    with pytest.raises(TargetError, match="is not there"):
        put(share, source)
    assert not share.root.exists()
