"""Studies that arrive by themselves: a real Orthanc is fed while Dagster's servers run.

Two workspaces watch one Orthanc. `asked` processes only what its manifest names, and reports what
changes afterwards; `arriving` takes whatever its rule accepts, and delivers a changed study again.
"""

from __future__ import annotations

import io
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
import yaml
from pydicom.uid import generate_uid

from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.work import DeliveryRecord, WorkItem
from locutus_dagster.manifests.reading import MANIFEST_COLUMNS
from locutus_dagster_tests.e2e.research_site import environment
from locutus_dagster_tests.parts.dagster_processes import daemon, program, webserver
from locutus_dagster_tests.parts.orthanc import OrthancServer
from locutus_dagster_tests.pipeline.small_world import tiny_instance

ACCESSION = "ACC-4711-WATCHED"
SLICES, BETWEEN = 9, 2.3  # a study that takes some 20 seconds to arrive
STABLE_AGE = 4
FOREGROUND_BATCH = 12

pytestmark = pytest.mark.slow


def slice_of(number: int, *, late_series: bool = False) -> bytes:
    """An instance of the study; of a series that comes after everything else, if that is asked."""
    content = tiny_instance(ACCESSION, "one", number)
    if not late_series:
        return content
    made = pydicom.dcmread(io.BytesIO(content))
    made.SeriesInstanceUID = generate_uid(entropy_srcs=[ACCESSION, "late"])
    made.SOPInstanceUID = generate_uid(entropy_srcs=[ACCESSION, "late", str(number)])
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@dataclass
class Site:
    folder: Path
    orthanc: OrthancServer

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def ledger(self) -> Ledger:
        return Ledger.open_existing(f"sqlite:///{self.home / 'private' / 'ledger.sqlite'}")

    def item(self, workspace: str) -> WorkItem | None:
        """The accession in a workspace, once it is there."""
        ledger = self.ledger()
        try:
            found = ledger.find([ACCESSION], [workspace])
            if not found:
                return None
            (row,) = ledger.rows_of(found[0].accession_id)
            return ledger.work_items(workspace, [str(row.partition_key)])[0]
        finally:
            ledger.close()

    def deliveries(self, workspace: str) -> list[DeliveryRecord]:
        item = self.item(workspace)
        ledger = self.ledger()
        try:
            return ledger.deliveries(item.accession_id) if item else []
        finally:
            ledger.close()

    def wait(self, what: Callable[[], bool], seconds: float, name: str) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, f"{name} did not happen within {seconds:g} s"
            time.sleep(0.3)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("arrivals")
    with OrthancServer(folder / "orthanc", options={"StableAge": STABLE_AGE}) as orthanc:
        made = Site(folder, orthanc)
        made.home.mkdir()
        workspaces = {
            name: {
                "source": {"kind": "orthanc", "url": orthanc.url, "attempts": 2},
                "target": {"path": str(folder / name)},
                "watch": {"interval": 2, **watch},
                # Every minute, so that the daemon is seen to keep a schedule.
                "reports": {"overview": {"cron": "* * * * *"}} if name == "asked" else {},
            }
            for name, watch in (
                ("asked", {"mode": "manifest"}),
                (
                    "arriving",
                    {
                        "mode": "changes",
                        "rule": {"modalities": "CT"},
                        "redeliver_changed": True,
                        "batch_size": FOREGROUND_BATCH,
                    },
                ),
            )
        }
        for name in workspaces:
            (folder / name).mkdir()
        text = yaml.safe_dump({"workspaces": workspaces, "workers": 1})
        (made.home / "locutus.yaml").write_text(text)
        (made.home / "private").mkdir(mode=0o700)
        Ledger.open(f"sqlite:///{made.home / 'private' / 'ledger.sqlite'}").close()
        yield made


def test_a_study_is_processed_once_it_is_whole_and_again_when_it_has_changed(site: Site) -> None:
    env = environment(LOCUTUS_HOME=str(site.home), DAGSTER_HOME=str(site.home / "dagster"))
    manifest = site.folder / "batch.csv"
    row = f"C0001,CT,12,head,{ACCESSION},,"
    manifest.write_text(",".join(MANIFEST_COLUMNS) + f"\n{row}\n")
    load = [program("locutus"), "load-manifest", str(manifest), "-w", "asked"]
    subprocess.run(load, check=True, env=env, capture_output=True)
    logs = site.folder / "logs"
    logs.mkdir()
    with daemon(env, logs), webserver(env, logs) as dagster:
        _arrives_slowly_and_is_processed_once(site)
        _an_orthanc_that_was_away_is_followed_again(site)
        _a_late_series_is_delivered_as_a_new_version(site)
        _a_report_was_written_on_schedule(site)
        runs = dagster.runs()
        assert all(ACCESSION not in str(run) for run in runs)
    for log in logs.rglob("*"):
        if log.is_file():
            assert ACCESSION not in log.read_text(errors="replace")


def _arrives_slowly_and_is_processed_once(site: Site) -> None:
    for number in range(1, SLICES + 1):
        site.orthanc.upload(slice_of(number))
        for workspace in ("asked", "arriving"):
            item = site.item(workspace)
            assert item is None or item.state is State.LOADED
        time.sleep(BETWEEN)
    for workspace in ("asked", "arriving"):
        site.wait(lambda w=workspace: bool(site.deliveries(w)), 60, f"{workspace}'s delivery")
    time.sleep(6)  # further ticks find nothing to do
    for workspace in ("asked", "arriving"):
        item, (delivery,) = site.item(workspace), site.deliveries(workspace)
        assert item is not None
        assert (item.state, item.instances) == (State.DELIVERED, SLICES)
        assert Path(delivery.uri.removeprefix("file://")).exists()
    arrived = site.item("arriving")
    assert arrived is not None
    assert arrived.manifest.startswith("arrived-")


def _an_orthanc_that_was_away_is_followed_again(site: Site) -> None:
    site.orthanc.stop()
    time.sleep(5)
    site.orthanc.start()


def _a_late_series_is_delivered_as_a_new_version(site: Site) -> None:
    before = site.item("arriving")
    for number in (1, 2):
        site.orthanc.upload(slice_of(number, late_series=True))
    site.wait(lambda: len(site.deliveries("arriving")) == 2, 60, "the second version")
    first, second = site.deliveries("arriving")
    after = site.item("arriving")
    assert before is not None
    assert after is not None
    assert after.instances == SLICES + 2
    assert (first.stands, second.stands) == (False, True)
    assert first.superseded_at is not None
    assert before.study_uid == after.study_uid  # the same pseudonyms
    # The other workspace was not told to deliver again: it says so and leaves it.
    site.wait(lambda: "source" in (_asked(site).changed), 30, "the note of the change")
    assert len(site.deliveries("asked")) == 1


def _a_report_was_written_on_schedule(site: Site) -> None:
    folder = site.home / "reports" / "asked"
    site.wait(lambda: len(list(folder.glob("asked-overview-*.html"))) == 1, 90, "a report")
    (table,) = folder.glob("asked-overview-*.csv")
    assert "PROCESSED" in table.read_text()
    assert ACCESSION not in table.read_text()


def _asked(site: Site) -> WorkItem:
    item = site.item("asked")
    assert item is not None
    return item


def test_in_the_foreground_sigterm_ends_it_in_the_middle_of_a_run_and_the_next_goes_on(
    site: Site,
) -> None:
    numbers = [f"FOREGROUND-{number:03d}" for number in range(FOREGROUND_BATCH + 4)]
    for number in numbers:
        site.orthanc.upload(tiny_instance(number, "one", 1))
    env = environment(LOCUTUS_HOME=str(site.home), DAGSTER_HOME=str(site.home / "dagster2"))
    watch = [program("locutus"), "watch", "-w", "arriving", "--interval", "1"]
    process = subprocess.Popen(watch, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        site.wait(lambda: _delivered(site, numbers) >= 1, 90, "the first delivery")
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, said.decode()
    assert b"Ended" in said
    assert b"FOREGROUND" not in said
    _, _, after = said.partition(b"look at them with: locutus status")
    assert b" accessions: " not in after, "another run was begun after the signal"
    begun = _delivered(site, numbers)
    assert begun < FOREGROUND_BATCH, "the signal came too late to show anything"

    ledger = site.ledger()
    left = ledger.stage_count("arriving")
    ledger.close()
    assert left.due >= len(numbers) - begun, "what is left is still known"
    deadline = time.monotonic() + 120
    while _delivered(site, numbers) < len(numbers) and time.monotonic() < deadline:
        done = subprocess.run([*watch, "--looks", "1"], env=env, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr
    assert _delivered(site, numbers) == len(numbers)


def _delivered(site: Site, numbers: list[str]) -> int:
    ledger = site.ledger()
    try:
        found = ledger.find(numbers, ["arriving"])
        return sum(bool(ledger.standing(one.accession_id)) for one in found)
    finally:
        ledger.close()
