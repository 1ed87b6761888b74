"""The pause switch: the system, a node of it, or a module, told to stop after the work at hand.

What belongs here: setting the switch, and the question whether one applies. What does not: who
asks and what stops (`pipeline/batch.py`). A missing row means running, unlike the reference's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from locutus_dagster.ledger.connection import LedgerConnection
from locutus_dagster.ledger.schema import Pause, now

__all__ = ["MODULES", "PauseRecord", "Pauses", "module_scope", "node_scope"]

SYSTEM = "system"
#: What can be paused by itself, and the reference's names for it.
MODULES: dict[str, tuple[str, ...]] = {
    "processing": ("DICOM_OnPrem", "onprem_dicom"),
    "summarizer": ("dicom_summarize_stats",),
}


def node_scope(host: str) -> str:
    """The switch of one host."""
    return f"node:{host}"


def module_scope(name: str) -> str:
    """The switch of one module, by our name or the reference's (`main_Locutus` is the system)."""
    if name == "main_Locutus":
        return SYSTEM
    for module, aliases in MODULES.items():
        if name == module or name in aliases:
            return f"module:{module}"
    raise KeyError(name)


@dataclass(frozen=True)
class PauseRecord:
    """One switch, as it stands."""

    scope: str
    paused: bool
    reason: str
    changed_at: datetime
    changed_by: str


class Pauses(LedgerConnection):
    """The pause switch."""

    def set_pause(self, scope: str, paused: bool, *, reason: str = "", by: str = "") -> None:
        """Set the switch of `scope`."""
        with self.session() as session:
            session.merge(
                Pause(scope=scope, paused=paused, reason=reason, changed_at=now(), changed_by=by)
            )

    def pauses(self) -> list[PauseRecord]:
        """Every switch that was ever set, by scope."""
        with self.session(reads_only=True) as session:
            return [_record(row) for row in session.scalars(select(Pause).order_by(Pause.scope))]

    def paused(self, scopes: Iterable[str]) -> PauseRecord | None:
        """The first switch of `scopes` that is set to pause, None when all of them run."""
        with self.session(reads_only=True) as session:
            row = session.scalars(
                select(Pause)
                .where(Pause.scope.in_(list(scopes)), Pause.paused.is_(True))
                .order_by(Pause.scope)
                .limit(1)
            ).first()
            return _record(row) if row else None


def _record(row: Pause) -> PauseRecord:
    return PauseRecord(row.scope, row.paused, row.reason, row.changed_at, row.changed_by)
