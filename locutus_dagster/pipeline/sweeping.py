"""Sweeping the scratch folder: what nobody needs any more goes, and everything else is told of.

What belongs here: which files of the interim store are removed and which stay, and striking off
the ledger's rows whose file is gone. What does not: when it happens (`defs/sweeper.py`,
`cli/sweep.py`), and the rooms themselves (`interim/`).

It is safe beside batches at work: a room is looked at only while nobody holds it and nobody has
its accession in hand. Only files of our own names are ever removed; links are not followed. What
else lies there is counted and not named, because a foreign name may say who somebody is.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from locutus_dagster.durable_files import PART_SUFFIX
from locutus_dagster.errors import LocutusError
from locutus_dagster.interim import InterimStore
from locutus_dagster.interim.store import BUDGET, LOCK, accession_of
from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.inventory import (
    Lying,
    known_workspaces,
    lying,
    record_gone,
    standing,
)
from locutus_dagster.pipeline.extract import RAW
from locutus_dagster.pipeline.host import HOST, known_dead
from locutus_dagster.pipeline.sweep_report import SweepReport, Swept, Why
from locutus_dagster.pipeline.transform import DEIDENTIFIED
from locutus_dagster.settings import Settings

if TYPE_CHECKING:
    from locutus_dagster.pipeline.parts import Parts

__all__ = ["MAX_AGE", "SweepError", "sweep", "sweep_finished"]

#: How long an identified file may wait for a rerun.
MAX_AGE = timedelta(days=7)

_KINDS = {"raw.zip": RAW, "deidentified.zip": DEIDENTIFIED}
_PARTS = {name + PART_SUFFIX: kind for name, kind in _KINDS.items()}
_WORKSPACE = re.compile(r"[a-z][a-z0-9_]{0,40}")
_FINISHED = frozenset({State.DELIVERED, State.RECALLED, State.DROPPED})


class SweepError(LocutusError):
    """Nothing can be swept; nothing was removed."""


def sweep(
    settings: Settings,
    ledger: Ledger,
    *,
    workspace: str | None = None,
    dry_run: bool = False,
    max_age: timedelta | None = MAX_AGE,
) -> SweepReport:
    """Remove from this host's scratch folder what nobody needs any more.

    Args:
        workspace: sweep this one alone; it need not be configured any more.
        dry_run: change nothing, say what would be done.
        max_age: identified files that wait for a rerun are removed when they are older; None for
            never.

    Raises:
        SweepError: there are rooms, and the ledger knows no workspace at all: it must be another
            ledger than theirs.
        LedgerError: the ledger does not answer.
    """
    store = InterimStore(settings.scratch_dir, settings.scratch_limit)
    report = SweepReport(store.root, workspace, dry_run)
    sweeper = _Sweeper(store, ledger, report, settings.keep_interim_files, max_age)
    sweeper.folders(set(settings.workspaces), workspace)
    sweeper.rows(workspace)
    return report


def sweep_finished(parts: Parts) -> SweepReport:
    """Remove what earlier, crashed runs left of a workspace's accessions that are finished since.

    The part of a sweep that is quick enough for the start of every batch.
    """
    report = SweepReport(parts.interim.root, parts.workspace)
    if parts.settings.keep_interim_files:
        return report
    # A link in the place of a room is not ours.
    rooms = [
        accession_id
        for accession_id in parts.interim.accessions(parts.workspace)
        if not parts.interim.folder(parts.workspace, accession_id).is_symlink()
    ]
    sweeper = _Sweeper(parts.interim, parts.ledger, report, keep=False, max_age=None)
    for accession_id, state in standing(parts.ledger, parts.workspace, rooms).items():
        if state in _FINISHED:
            sweeper.room(parts.workspace, accession_id)
    return report


@dataclass
class _Sweeper:
    store: InterimStore
    ledger: Ledger
    report: SweepReport
    keep: bool
    max_age: timedelta | None

    def folders(self, configured: set[str], only: str | None) -> None:
        """Sweep the folders of the workspaces, and count what else lies beside them."""
        known = known_workspaces(self.ledger)
        foreign = 0
        try:
            entries = _entries(self.store.root)
        except OSError as error:
            raise SweepError(
                f"The scratch folder {self.store.root} cannot be read ({error.strerror}).",
                "Sweep as the user who runs Locutus.",
            ) from None
        for entry in entries:
            ours = entry.name in known | configured
            inner = self._inside(entry)
            if inner is None:
                foreign += entry.name != BUDGET
                continue
            rooms, others, unreadable = inner
            if not rooms and not ours:
                foreign += 1
            elif only in (None, entry.name):
                self._folder(entry.name, rooms, known)
                self._foreign(self.store.root / entry.name, others)
                if unreadable:
                    self._stuck(self.store.root / entry.name, 0, unreadable)
        if only is None:
            self._foreign(self.store.root, foreign)

    def _inside(self, entry: os.DirEntry[str]) -> tuple[list[int], int, str] | None:
        """What a workspace's folder holds: rooms, a number of other things, or why nobody can say.

        None where it is no workspace's folder.
        """
        if not _WORKSPACE.fullmatch(entry.name) or not entry.is_dir(follow_symlinks=False):
            return None
        rooms: list[int] = []
        others = 0
        try:
            inner = _entries(self.store.root / entry.name)
        except OSError as error:
            return [], 0, error.strerror or "unreadable"
        for found in inner:
            accession_id = accession_of(found.name)
            if accession_id is not None and found.is_dir(follow_symlinks=False):
                rooms.append(accession_id)
            else:
                others += 1
        return rooms, others, ""

    def _folder(self, workspace: str, rooms: list[int], known: set[str]) -> None:
        if rooms and not known:
            raise SweepError(
                f"Rooms lie in {self.store.root}, and the ledger knows no workspace.",
                "Check that LOCUTUS_LEDGER_URL and LOCUTUS_SCRATCH belong together; nothing was "
                "removed.",
            )
        for accession_id in rooms:
            self.room(workspace, accession_id, known=workspace in known)
        if rooms and workspace not in known and not self.report.dry_run:
            with suppress(OSError):  # something is left in it, or somebody has just begun there
                (self.store.root / workspace).rmdir()

    def room(self, workspace: str, accession_id: int, *, known: bool = True) -> None:
        """Sweep one room, unless somebody works in it."""
        self.report.rooms += 1
        path = self.store.folder(workspace, accession_id)
        try:
            if self.report.dry_run:
                if self.store.in_use(path):
                    self.report.in_use += 1
                else:
                    self._look(path, workspace, accession_id, known)
                return
            with self.store.claim_if_free(workspace, accession_id) as room:
                if room is None:
                    self.report.in_use += 1
                else:
                    self._look(path, workspace, accession_id, known)
        except OSError as error:
            self._stuck(path, 0, error.strerror)

    def _look(self, path: Path, workspace: str, accession_id: int, known: bool) -> None:
        state = standing(self.ledger, workspace, [accession_id]).get(accession_id)
        rows: list[Lying] = []
        if state is not None:
            # Who claims an accession waits for its room, and looks what lies there only then.
            holder = self.ledger.claimed_by(accession_id)
            if holder is not None and not known_dead(holder):
                self.report.in_use += 1
                return
            rows = lying(self.ledger, accession_id=accession_id)
        foreign = 0
        for entry in _entries(path):
            kind = _KINDS.get(entry.name) or _PARTS.get(entry.name)
            if not entry.is_file(follow_symlinks=False) or (kind is None and entry.name != LOCK):
                foreign += 1
            elif kind is not None:
                self._file(path / entry.name, kind, state, rows, known)
        self._foreign(path, foreign)

    def _file(
        self, path: Path, kind: str, state: State | None, rows: list[Lying], known: bool
    ) -> None:
        try:
            found = path.lstat()
        except FileNotFoundError:  # in a dry run nothing keeps it there
            return
        of_kind = [row for row in rows if row.kind == kind]
        claims = [row for row in of_kind if row.host == HOST and row.path == str(path)]
        others = [row.host for row in of_kind if row.host != HOST]
        age = timedelta(seconds=time.time() - found.st_mtime)
        remove, more = True, ""
        if path.name in _PARTS:
            why, claims = Why.HALF_WRITTEN, []
        elif not known:
            why = Why.NO_WORKSPACE
        elif state is None:
            why = Why.NO_ACCESSION
        elif others and not claims:
            remove, why, more = False, Why.ELSEWHERE, others[0]
        elif state in _FINISHED:
            # What is recalled must not lie anywhere, for debugging neither.
            remove = not self.keep or state is State.RECALLED
            why, more = (Why.FINISHED, state.value) if remove else (Why.KEPT, "")
        elif not claims:
            why = Why.UNCLAIMED
        elif kind == RAW and self.max_age is not None and age > self.max_age:
            remove, why = (False, Why.KEPT) if self.keep else (True, Why.TOO_OLD)
        else:
            remove, why = False, Why.RESUMABLE
        swept = Swept(path, found.st_size, why, more)
        if not remove:
            self.report.left.append(swept)
        elif self.report.dry_run:
            self.report.removed.append(swept)
        else:
            self._remove(swept, claims)

    def _remove(self, swept: Swept, claims: list[Lying]) -> None:
        try:
            swept.path.unlink(missing_ok=True)
        except OSError as error:
            self._stuck(swept.path, swept.size, error.strerror)
            return
        # In this order: a row without its file is noticed, a file without its row may not be.
        if claims:
            record_gone(self.ledger, [row.identity for row in claims])
        self.report.removed.append(swept)

    def rows(self, workspace: str | None) -> None:
        """Strike off what the ledger has of this host and the disk has not; count other hosts'."""
        gone = []
        for row in lying(self.ledger, workspace=workspace):
            if row.host != HOST:
                self.report.elsewhere[row.host] += 1
                continue
            path = Path(row.path)
            if os.path.lexists(path):
                if not path.is_relative_to(self.store.root):
                    self.report.left.append(Swept(path, row.size, Why.OUTSIDE))
            elif len(path.parents) > 2 and (path.parents[2] / BUDGET).exists():
                self.report.struck_off.append(Swept(path, row.size, Why.GONE))
                gone.append(row.identity)
            else:  # a disk that is not mounted, perhaps
                self.report.left.append(Swept(path, row.size, Why.OUT_OF_SIGHT))
        if gone and not self.report.dry_run:
            record_gone(self.ledger, gone)

    def _stuck(self, path: Path, size: int, why: str | None) -> None:
        self.report.left.append(Swept(path, size, Why.STUCK, why or ""))

    def _foreign(self, folder: Path, count: int) -> None:
        if count:
            self.report.left.append(Swept(folder, 0, Why.FOREIGN, str(count)))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name; nothing where there is no such folder."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
