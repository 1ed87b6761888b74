"""The sweeper: what nobody needs goes, the rest stays, and what is not ours is not touched."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from locutus_dagster.interim import InterimStore
from locutus_dagster.ledger import Ledger, State, WorkItem
from locutus_dagster.ledger.inventory import lying
from locutus_dagster.pipeline.host import HOST
from locutus_dagster.pipeline.outcomes import Finished, Result
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.pipeline.sweep_report import SweepReport, Why
from locutus_dagster.pipeline.sweeping import SweepError, sweep, sweep_finished
from locutus_dagster.settings import Settings
from locutus_dagster_tests.interim.holder import holding
from locutus_dagster_tests.ledger.rows import add_items, artifact, report
from locutus_dagster_tests.pipeline.small_world import SmallWorld
from locutus_dagster_tests.pipeline.small_world import parts as small_parts

WS = "ws"
RAW, DEIDENTIFIED = "raw.zip", "deidentified.zip"
FINISHED = [State.DELIVERED, State.RECALLED, State.DROPPED]
OLD = timedelta(days=8)


@dataclass
class Site:
    """A scratch folder and a ledger, filled by hand."""

    settings: Settings
    ledger: Ledger
    numbers: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.settings.scratch_dir

    @property
    def store(self) -> InterimStore:
        return InterimStore(self.root, self.settings.scratch_limit)

    def item(self, workspace: str = WS) -> WorkItem:
        """An accession that a manifest has just named."""
        self.numbers.append(f"ACC{len(self.numbers)}")
        return add_items(self.ledger, self.numbers[-1], workspace=workspace)[0]

    def lay(
        self,
        accession_id: int,
        name: str = RAW,
        *,
        age: timedelta = timedelta(),
        workspace: str = WS,
    ) -> Path:
        """A file of ten bytes in an accession's room, in which nobody works."""
        with self.store.claim(workspace, accession_id) as room:
            path = room.path / name
            path.write_bytes(bytes(10))
            at = time.time() - age.total_seconds()
            os.utime(path, (at, at))
        return path

    def claim(self, item: WorkItem, name: str = RAW, *, host: str = HOST, path: str = "") -> None:
        """Let the ledger have a row for a file of the accession, which is on its way then."""
        where = path or str(self.store.folder(item.workspace, item.accession_id) / name)
        if name == RAW:
            record = artifact("raw", host=host, path=where, size=10)
            self.ledger.record_extracted(
                item.accession_id, record, source_study="handle", source_fingerprint="2" * 64
            )
        else:
            record = artifact("deidentified", host=host, path=where, size=10)
            if self.state(item) is State.LOADED:
                self.ledger.record_state(item.accession_id, State.EXTRACTED)
            self.ledger.record_deidentified(
                item.accession_id, record, [], report(), study_uid="2.25.1", study_token="t"
            )

    def finish(self, item: WorkItem, state: State) -> None:
        """Bring an accession to an end."""
        if state is State.DELIVERED and self.state(item) is not State.DEIDENTIFIED:
            if self.state(item) is not State.EXTRACTED:
                self.ledger.record_state(item.accession_id, State.EXTRACTED)
            self.ledger.record_state(item.accession_id, State.DEIDENTIFIED)
        self.ledger.record_state(item.accession_id, state)

    def state(self, item: WorkItem) -> State | None:
        return self.ledger.state_of(item.accession_id)

    def sweep(self, **options: object) -> SweepReport:
        return sweep(self.settings, self.ledger, **options)  # type: ignore[arg-type]

    def keep(self) -> None:
        """Switch LOCUTUS_KEEP_INTERIM_FILES on."""
        self.settings = self.settings.model_copy(update={"keep_interim_files": True})

    def kinds(self, item: WorkItem) -> list[str]:
        """What the ledger believes to lie somewhere of an accession."""
        return [row.kind for row in lying(self.ledger, accession_id=item.accession_id)]


def use_scratch(store: InterimStore) -> None:
    """Let the scratch folder have been used once."""
    with store.claim("first", 1) as room:
        room.reserve(1)
    (store.root / "first").rmdir()


@pytest.fixture
def site(tmp_path: Path, ledger: Ledger) -> Site:
    ledger.ensure_workspace(WS)
    made = Site(Settings(home=tmp_path / "home", scratch_limit=10_000), ledger)
    use_scratch(made.store)
    return made


@pytest.fixture
def sqlite_site(tmp_path: Path) -> Iterator[Site]:
    """The same on SQLite alone, for what does not hang on the database."""
    settings = Settings(home=tmp_path / "home", scratch_limit=10_000)
    ledger = Ledger.open(settings.ledger_address)
    ledger.ensure_workspace(WS)
    made = Site(settings, ledger)
    use_scratch(made.store)
    yield made
    ledger.close()


def why_removed(found: SweepReport) -> dict[str, Why]:
    return {swept.path.name: swept.why for swept in found.removed}


def why_left(found: SweepReport) -> dict[str, Why]:
    return {swept.path.name: swept.why for swept in found.left}


def everything_in(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


# -- what goes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [RAW, DEIDENTIFIED])
def test_a_file_that_the_ledger_does_not_claim_goes_and_its_room_with_it(
    site: Site, name: str
) -> None:
    path = site.lay(site.item().accession_id, name)

    found = site.sweep()

    assert why_removed(found) == {name: Why.UNCLAIMED}
    assert (found.rooms, found.in_use, found.removed_bytes, found.left) == (1, 0, 10, [])
    assert not path.parent.exists()


def test_half_written_files_go_and_what_a_rerun_resumes_from_stays(site: Site) -> None:
    item = site.item()
    path = site.lay(item.accession_id)
    site.lay(item.accession_id, RAW + ".part")
    site.lay(item.accession_id, DEIDENTIFIED + ".part")
    site.claim(item)

    found = site.sweep()

    assert set(why_removed(found).values()) == {Why.HALF_WRITTEN}
    assert why_left(found) == {RAW: Why.RESUMABLE}
    assert path.exists()
    assert len(found.removed) == 2
    assert site.kinds(item) == ["raw"]
    assert found.identified_left == 1


def test_a_row_that_was_struck_off_claims_nothing(site: Site) -> None:
    item = site.item()
    site.lay(item.accession_id)
    site.claim(item)
    site.ledger.record_deleted(item.accession_id, "raw")
    assert why_removed(site.sweep()) == {RAW: Why.UNCLAIMED}


def test_a_row_for_another_file_claims_nothing(site: Site) -> None:
    item = site.item()
    site.lay(item.accession_id, DEIDENTIFIED)
    site.lay(item.accession_id)
    site.claim(item)
    assert why_removed(site.sweep()) == {DEIDENTIFIED: Why.UNCLAIMED}


def test_an_identified_file_goes_when_it_is_too_old_and_a_de_identified_one_does_not(
    site: Site,
) -> None:
    item, other = site.item(), site.item()
    site.lay(item.accession_id, age=OLD)
    site.claim(item)
    site.lay(other.accession_id, DEIDENTIFIED, age=OLD)
    site.claim(other, DEIDENTIFIED)

    found = site.sweep()

    assert why_removed(found) == {RAW: Why.TOO_OLD}
    assert why_left(found) == {DEIDENTIFIED: Why.RESUMABLE}
    assert site.kinds(item) == []
    assert site.kinds(other) == ["deidentified"]
    assert site.state(item) is State.EXTRACTED  # a rerun begins with the first phase


@pytest.mark.parametrize("max_age", [timedelta(days=9), None])
def test_how_old_is_too_old_can_be_said(sqlite_site: Site, max_age: timedelta | None) -> None:
    item = sqlite_site.item()
    sqlite_site.lay(item.accession_id, age=OLD)
    sqlite_site.claim(item)
    assert why_left(sqlite_site.sweep(max_age=max_age)) == {RAW: Why.RESUMABLE}
    assert why_removed(sqlite_site.sweep(max_age=timedelta(days=7))) == {RAW: Why.TOO_OLD}


@pytest.mark.parametrize("state", FINISHED)
def test_what_is_left_of_a_finished_accession_goes_claimed_or_not(site: Site, state: State) -> None:
    item = site.item()
    site.lay(item.accession_id)
    site.lay(item.accession_id, DEIDENTIFIED)
    site.claim(item)
    site.finish(item, state)

    found = site.sweep()

    assert why_removed(found) == {RAW: Why.FINISHED, DEIDENTIFIED: Why.FINISHED}
    assert {swept.reason for swept in found.removed} == {
        f"its accession is finished ({state.value})"
    }
    assert site.kinds(item) == []
    assert found.struck_off == []
    assert site.store.rooms() == []


def test_rooms_of_accessions_that_the_workspace_does_not_have_go(site: Site) -> None:
    elsewhere = site.item("other")
    site.claim(elsewhere)
    site.lay(elsewhere.accession_id)  # in the folder of the wrong workspace
    site.lay(4711, DEIDENTIFIED)

    found = site.sweep()

    assert why_removed(found) == {RAW: Why.NO_ACCESSION, DEIDENTIFIED: Why.NO_ACCESSION}
    assert site.store.rooms() == []


def test_the_folder_of_a_workspace_that_the_ledger_does_not_know_goes(site: Site) -> None:
    site.lay(1, workspace="gone")
    site.lay(2, workspace="gone")

    found = site.sweep()

    assert [swept.why for swept in found.removed] == [Why.NO_WORKSPACE] * 2
    assert everything_in(site.root) == {".budget"}


def test_empty_rooms_go(sqlite_site: Site) -> None:
    sqlite_site.lay(sqlite_site.item().accession_id).unlink()
    found = sqlite_site.sweep()
    assert (found.rooms, found.removed) == (1, [])
    assert sqlite_site.store.rooms() == []


def test_a_ledger_that_knows_no_workspace_sweeps_no_rooms(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    ledger = Ledger.open(settings.ledger_address)
    assert sweep(settings, ledger).rooms == 0
    site = Site(settings, ledger)
    path = site.lay(1)
    with pytest.raises(SweepError, match="LOCUTUS_LEDGER_URL"):
        site.sweep()
    assert path.exists()
    ledger.close()


def test_one_workspace_can_be_swept_alone(site: Site) -> None:
    here, there = site.item(), site.item("other")
    site.lay(here.accession_id)
    kept = site.lay(there.accession_id, workspace="other")
    (site.root / "stray").write_text("")

    found = site.sweep(workspace=WS)

    assert [swept.path.parts[-3] for swept in found.removed] == [WS]
    assert kept.exists()
    assert (found.rooms, found.left) == (1, [])
    assert site.sweep(workspace="../" + WS).rooms == 0


# -- what is kept for debugging ------------------------------------------------------------------


def test_kept_files_stay_and_the_identified_ones_are_counted(site: Site) -> None:
    delivered, waiting = site.item(), site.item()
    site.lay(delivered.accession_id)
    site.lay(delivered.accession_id, DEIDENTIFIED)
    site.finish(delivered, State.DELIVERED)
    site.lay(waiting.accession_id, age=OLD)
    site.claim(waiting)
    site.keep()

    found = site.sweep()

    assert found.removed == []
    assert [swept.why for swept in found.left] == [Why.KEPT] * 3
    assert found.identified_left == 2


def test_what_is_recalled_goes_even_where_files_are_kept(site: Site) -> None:
    item = site.item()
    site.lay(item.accession_id)
    site.claim(item)
    site.finish(item, State.RECALLED)
    site.keep()
    assert why_removed(site.sweep()) == {RAW: Why.FINISHED}


def test_what_nobody_claims_goes_even_where_files_are_kept(sqlite_site: Site) -> None:
    sqlite_site.lay(sqlite_site.item().accession_id)
    sqlite_site.keep()
    assert why_removed(sqlite_site.sweep()) == {RAW: Why.UNCLAIMED}


# -- other hosts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("same_path", [True, False])
@pytest.mark.parametrize("finished", [True, False])
def test_what_a_row_of_another_host_claims_is_left_to_it_and_told(
    site: Site, same_path: bool, finished: bool
) -> None:
    item = site.item()
    path = site.lay(item.accession_id, age=OLD)
    site.claim(item, host="pacs2", path="" if same_path else "/elsewhere/raw.zip")
    if finished:
        site.finish(item, State.DELIVERED)

    found = site.sweep()

    assert path.exists()
    assert [swept.reason for swept in found.left] == ["belongs to host pacs2"]
    assert found.elsewhere == {"pacs2": 1}
    assert found.identified_left == 1
    assert site.kinds(item) == ["raw"]


def test_another_host_s_row_claims_its_own_kind_only(site: Site) -> None:
    item = site.item()
    site.lay(item.accession_id, DEIDENTIFIED)
    site.claim(item, host="pacs2")
    assert why_removed(site.sweep()) == {DEIDENTIFIED: Why.UNCLAIMED}


# -- the ledger's rows ---------------------------------------------------------------------------


def test_rows_of_this_host_whose_file_is_gone_are_struck_off(site: Site) -> None:
    item, other, elsewhere = site.item(), site.item(), site.item()
    site.claim(item)
    site.claim(other, DEIDENTIFIED)
    site.claim(elsewhere, host="pacs2")

    found = site.sweep()

    assert [swept.why for swept in found.struck_off] == [Why.GONE] * 2
    assert site.kinds(item) == site.kinds(other) == []
    assert site.kinds(elsewhere) == ["raw"]
    assert site.sweep().struck_off == []


def test_rows_stay_where_the_scratch_folder_is_not_there(site: Site) -> None:
    item = site.item()
    site.claim(item)
    (site.root / ".budget").unlink()

    found = site.sweep()

    assert why_left(found) == {RAW: Why.OUT_OF_SIGHT}
    assert site.kinds(item) == ["raw"]
    assert found.identified_left == 0  # nobody knows

    site.root.rmdir()
    assert why_left(site.sweep()) == {RAW: Why.OUT_OF_SIGHT}
    assert not site.root.exists()


def test_a_file_in_an_earlier_scratch_folder_is_told_and_left(site: Site, tmp_path: Path) -> None:
    item = site.item()
    path = site.lay(item.accession_id)
    site.claim(item)
    site.settings = site.settings.model_copy(update={"scratch": tmp_path / "new"})

    found = site.sweep()

    assert [(swept.path, swept.why) for swept in found.left] == [(path, Why.OUTSIDE)]
    assert found.identified_left == 1
    assert path.exists()

    path.unlink()
    assert [swept.why for swept in site.sweep().struck_off] == [Why.GONE]


def test_a_row_with_no_proper_path_is_left_alone(sqlite_site: Site) -> None:
    item = sqlite_site.item()
    sqlite_site.claim(item, path="raw.zip")
    assert why_left(sqlite_site.sweep()) == {RAW: Why.OUT_OF_SIGHT}


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
