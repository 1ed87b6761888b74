"""The sweeper beside others: what is not ours, who is at work, and real batches that crashed."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from locutus_dagster.interim import InterimStore
from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.inventory import lying
from locutus_dagster.pipeline.outcomes import Finished, Result
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.pipeline.sweep_report import SweepReport, Why
from locutus_dagster.pipeline.sweeping import sweep, sweep_finished
from locutus_dagster_tests.interim.holder import holding
from locutus_dagster_tests.pipeline.small_world import SmallWorld
from locutus_dagster_tests.pipeline.small_world import parts as small_parts
from locutus_dagster_tests.pipeline.sweeping_site import (
    DEIDENTIFIED,
    OLD,
    RAW,
    WS,
    Site,
    everything_in,
    why_left,
    why_removed,
)


@pytest.fixture
def site(tmp_path: Path, ledger: Ledger) -> Site:
    return Site.build(tmp_path / "home", ledger)


@pytest.fixture
def sqlite_site(tmp_path: Path) -> Iterator[Site]:
    """The same on SQLite alone, for what does not hang on the database."""
    made = Site.build(tmp_path / "home")
    yield made
    made.ledger.close()


# -- what is not ours ----------------------------------------------------------------------------


def test_what_is_not_ours_is_counted_and_neither_touched_nor_named(
    sqlite_site: Site, tmp_path: Path
) -> None:
    site = sqlite_site
    target = tmp_path / "precious.zip"
    target.write_text("precious")
    room = site.lay(site.item().accession_id).parent
    (room / RAW).unlink()
    (room / RAW).symlink_to(target)  # a link in the place of a file
    (room / DEIDENTIFIED).mkdir()  # a folder in the place of a file
    (room / "Doe^Jane.dcm").write_text("")
    (room / "notes.part").write_text("")
    (site.root / WS / "a1").mkdir()
    (site.root / WS / "a00000001x").mkdir()
    (site.root / WS / "a000000099").write_text("a file in the place of a room")
    (site.root / WS / "a000000098").symlink_to(tmp_path / "linked")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / RAW).write_text("precious")
    (site.root / "Doe_Jane").mkdir()
    (site.root / "backup").mkdir()
    (site.root / "linkedws").symlink_to(tmp_path / "linkedws")
    (tmp_path / "linkedws" / "a000000001").mkdir(parents=True)
    (tmp_path / "linkedws" / "a000000001" / RAW).write_text("precious")
    before = everything_in(tmp_path)

    found = site.sweep()

    assert everything_in(tmp_path) == before
    assert target.read_text() == "precious"
    assert found.removed == []
    counted = {swept.path: swept.more for swept in found.left}
    assert counted == {room: "4", site.root / WS: "4", site.root: "3"}
    assert {swept.why for swept in found.left} == {Why.FOREIGN}
    assert "Doe" not in str(found)
    assert found.identified_left == 0
    assert found.rooms == 1


def test_a_link_in_the_place_of_a_lock_locks_nothing_and_nothing_is_swept(
    sqlite_site: Site, tmp_path: Path
) -> None:
    path = sqlite_site.lay(sqlite_site.item().accession_id)
    (path.parent / ".lock").unlink()
    (path.parent / ".lock").symlink_to(tmp_path / "elsewhere")

    found = sqlite_site.sweep()

    assert [(swept.path, swept.why) for swept in found.stuck] == [(path.parent, Why.STUCK)]
    assert path.exists()
    assert not (tmp_path / "elsewhere").exists()


NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20
).filter(lambda name: name not in (".", "..", RAW, DEIDENTIFIED, RAW + ".part", ".lock"))
LIKE_OURS = st.sampled_from(
    ["raw.zip.part.bak", "RAW.ZIP", "raw.zip ", "deidentified.zip.old", "a000000001", "a12", "A1"]
)


@given(names=st.sets(NAMES | LIKE_OURS, max_size=6), level=st.integers(0, 2))
@examples(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_file_of_any_other_name_survives_a_sweep(
    sqlite_site: Site, names: set[str], level: int
) -> None:
    item = sqlite_site.item()
    room = sqlite_site.lay(item.accession_id).parent
    folder = (room, room.parent, sqlite_site.root)[level]
    made = []
    for name in names:
        path = folder / name
        if not path.exists() and name != ".budget" and len(name.encode()) < 256:
            path.write_text("precious")
            made.append(path)

    found = sqlite_site.sweep()

    assert all(path.read_text() == "precious" for path in made)
    foreign = [swept for swept in found.left if swept.why is Why.FOREIGN]
    assert [(swept.path, swept.more) for swept in foreign] == [(folder, str(len(made)))] * bool(
        made
    )
    assert not (room / RAW).exists()
    for path in made:
        path.unlink()
    sqlite_site.sweep()


# -- beside others at work -----------------------------------------------------------------------


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_room_that_another_process_holds_is_passed_by(sqlite_site: Site, dry_run: bool) -> None:
    site = sqlite_site
    item = site.item()
    limit = site.settings.scratch_limit
    with holding(site.root, limit, item.accession_id, reserve=50, lies=10) as holder:
        found = site.sweep(dry_run=dry_run)
        assert (found.rooms, found.in_use, found.removed, found.left) == (1, 1, [], [])
        assert site.store.usage() == (50, True)
        holder.kill()
        found = site.sweep()
    assert why_removed(found) == {RAW: Why.UNCLAIMED}
    assert site.store.usage() == (0, False)


def test_a_room_whose_accession_somebody_has_in_hand_is_passed_by(site: Site) -> None:
    item = site.item()
    path = site.lay(item.accession_id)
    assert site.ledger.claim(item.accession_id, "a worker on another host", 600)
    found = site.sweep()
    assert (found.in_use, found.removed) == (1, [])
    assert path.exists()

    site.ledger.release(item.accession_id, "a worker on another host")
    assert site.ledger.claim(item.accession_id, "a worker on another host", -1)  # it has ended
    assert why_removed(site.sweep()) == {RAW: Why.UNCLAIMED}


def test_the_claim_of_a_worker_that_died_here_protects_nothing(sqlite_site: Site) -> None:
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            "from locutus_dagster.pipeline.host import new_owner; print(new_owner())",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    item = sqlite_site.item()
    sqlite_site.lay(item.accession_id)
    assert sqlite_site.ledger.claim(item.accession_id, ended.stdout.strip(), 600)
    assert why_removed(sqlite_site.sweep()) == {RAW: Why.UNCLAIMED}


def test_a_dry_run_changes_nothing_and_tells_the_same(site: Site) -> None:
    orphan, old, done, lost = site.item(), site.item(), site.item(), site.item()
    site.lay(orphan.accession_id)
    site.lay(orphan.accession_id, RAW + ".part")
    site.lay(old.accession_id, age=OLD)
    site.claim(old)
    site.lay(done.accession_id, DEIDENTIFIED)
    site.finish(done, State.DELIVERED)
    site.claim(lost)
    site.lay(1, workspace="gone")
    before = everything_in(site.root)

    told = site.sweep(dry_run=True)

    assert everything_in(site.root) == before
    assert site.kinds(old) == site.kinds(lost) == ["raw"]
    found = site.sweep()
    assert told.removed == found.removed
    assert told.struck_off == found.struck_off
    assert {words.replace("would be ", "") for words, *_ in told.groups()} == {
        words for words, *_ in found.groups()
    }


# -- with real batches ---------------------------------------------------------------------------


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[SmallWorld]:
    """A small world with two workers and a dozen accessions."""
    made = SmallWorld.build(tmp_path / "crowd", workers=2)
    for number in range(12):
        made.put_study(f"ACC{number}", instances=3)
    yield made
    made.ledger.close()


def test_sweeping_over_and_over_disturbs_no_batch_at_work(crowd: SmallWorld) -> None:
    keys = crowd.load(*(f"ACC{number}" for number in range(12)))
    over = threading.Event()
    swept: list[SweepReport] = []

    def sweep_on() -> None:
        ledger = Ledger.open(crowd.settings.ledger_address)
        while not over.is_set():
            swept.append(sweep(crowd.settings, ledger, max_age=timedelta()))
        ledger.close()

    sweeper = threading.Thread(target=sweep_on)
    sweeper.start()
    try:
        outcomes = crowd.run(keys)
    finally:
        over.set()
        sweeper.join()
    ends = [outcome.result for outcome in outcomes if isinstance(outcome, Finished)]
    assert ends == [Result.DELIVERED] * 12
    assert any(found.rooms for found in swept)
    assert len(crowd.noted()) == 12
    assert all(found.removed == found.stuck == [] for found in swept)


@pytest.mark.parametrize(
    "place",
    ["extract:written", "extract:renamed", "extract:recorded", "transform:renamed",
     "transform:recorded", "deliver:put", "deliver:recorded"],
)  # fmt: skip
def test_what_a_crash_left_is_swept_and_a_rerun_delivers_once(
    small: SmallWorld, place: str
) -> None:
    small.put_study("ACC1")
    keys = small.load("ACC1")
    assert small.killed(keys, place)

    found = sweep(small.settings, small.ledger)

    if place.endswith((":written", ":renamed")):
        assert found.removed  # nobody can trust it
    if place in ("extract:recorded", "transform:recorded"):
        assert Why.RESUMABLE in why_left(found).values()
    if place == "deliver:recorded":
        assert set(why_removed(found).values()) == {Why.FINISHED}
        assert small.leftovers() == []
    sweep(small.settings, small.ledger, max_age=timedelta())
    assert RAW not in small.leftovers()

    small.run(keys)

    assert small.item(keys[0]).state is State.DELIVERED
    assert len(small.zips()) == 1
    assert small.leftovers() == []
    assert lying(small.ledger) == []


def test_what_a_process_left_of_finished_accessions_goes_at_the_start_of_a_batch(
    small: SmallWorld,
) -> None:
    for number in ("ACC1", "ACC2", "ACC3"):
        small.put_study(number)
    done, held, open_ = small.load("ACC1", "ACC2", "ACC3")
    small.run([done, held])
    store = InterimStore(small.settings.scratch_dir, small.settings.scratch_limit)
    for key in (done, held, open_):
        with store.claim("default", small.item(key).accession_id) as room:
            room.raw_zip.write_bytes(b"identified")
            (room.path / "deidentified.zip.part").write_bytes(b"half")

    def paths(key: str) -> set[str]:
        folder = store.folder("default", small.item(key).accession_id)
        return {path.name for path in folder.glob("*.zip*")}

    made: Parts = small_parts(small.settings, "default")
    with store.claim("default", small.item(held).accession_id):
        found = sweep_finished(made)
        assert (found.rooms, found.in_use) == (2, 1)
        assert paths(done) == set()
        assert paths(held) == paths(open_) == {RAW, "deidentified.zip.part"}
    sweep_finished(made)
    assert paths(held) == set()
    assert paths(open_) == {RAW, "deidentified.zip.part"}
    made.close()


def test_nothing_is_swept_at_the_start_of_a_batch_where_files_are_kept(small: SmallWorld) -> None:
    small.put_study("ACC1")
    (key,) = small.load("ACC1")
    small.settings = small.settings.model_copy(update={"keep_interim_files": True})
    small.run([key])
    assert small.leftovers() == [".lock", DEIDENTIFIED, RAW]
    made = small_parts(small.settings, "default")
    assert sweep_finished(made).rooms == 0
    assert small.leftovers() == [".lock", DEIDENTIFIED, RAW]
    made.settings = made.settings.model_copy(update={"keep_interim_files": False})
    assert set(why_removed(sweep_finished(made))) == {RAW, DEIDENTIFIED}
    assert lying(small.ledger) == []
    made.close()
