"""The sweeper: what nobody needs goes, and what somebody needs stays and is told of."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from locutus_dagster.ledger import Ledger, State
from locutus_dagster.pipeline.sweep_report import Why
from locutus_dagster.pipeline.sweeping import SweepError, sweep
from locutus_dagster.settings import Settings
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

FINISHED = [State.DELIVERED, State.RECALLED, State.DROPPED]


@pytest.fixture
def site(tmp_path: Path, ledger: Ledger) -> Site:
    return Site.build(tmp_path / "home", ledger)


@pytest.fixture
def sqlite_site(tmp_path: Path) -> Iterator[Site]:
    """The same on SQLite alone, for what does not hang on the database."""
    made = Site.build(tmp_path / "home")
    yield made
    made.ledger.close()


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


def test_a_row_for_a_file_in_another_place_claims_nothing(site: Site) -> None:
    item = site.item()
    site.lay(item.accession_id)
    site.claim(item, path=str(site.root.parent / "earlier" / "raw.zip"))
    assert why_removed(site.sweep()) == {RAW: Why.UNCLAIMED}


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
