"""A scratch folder and a ledger that a test fills by hand, for the sweeper.

What belongs here: laying files, letting the ledger claim them, and asking a report. What does not:
assertions.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from locutus_dagster.interim import InterimStore
from locutus_dagster.ledger import Ledger, State, WorkItem
from locutus_dagster.ledger.inventory import lying
from locutus_dagster.pipeline.host import HOST
from locutus_dagster.pipeline.sweep_report import SweepReport, Why
from locutus_dagster.pipeline.sweeping import sweep
from locutus_dagster.settings import Settings
from locutus_dagster_tests.ledger.rows import add_items, artifact, report

WS = "ws"
RAW, DEIDENTIFIED = "raw.zip", "deidentified.zip"
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

    @classmethod
    def build(cls, home: Path, ledger: Ledger | None = None) -> Site:
        """A site whose scratch folder has been used once, and whose ledger knows a workspace."""
        settings = Settings(home=home, scratch_limit=10_000)
        made = cls(settings, ledger or Ledger.open(settings.ledger_address))
        made.ledger.ensure_workspace(WS)
        with made.store.claim("first", 1) as room:
            room.reserve(1)
        (made.root / "first").rmdir()
        return made

    def sweep(self, **options: object) -> SweepReport:
        return sweep(self.settings, self.ledger, **options)  # type: ignore[arg-type]

    def keep(self) -> None:
        """Switch LOCUTUS_KEEP_INTERIM_FILES on."""
        self.settings = self.settings.model_copy(update={"keep_interim_files": True})

    def kinds(self, item: WorkItem) -> list[str]:
        """What the ledger believes to lie somewhere of an accession."""
        return [row.kind for row in lying(self.ledger, accession_id=item.accession_id)]


def why_removed(found: SweepReport) -> dict[str, Why]:
    return {swept.path.name: swept.why for swept in found.removed}


def why_left(found: SweepReport) -> dict[str, Why]:
    return {swept.path.name: swept.why for swept in found.left}


def everything_in(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}
