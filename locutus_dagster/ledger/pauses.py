"""The pause switch: the system, a node of it, or a module, told to stop after the work at hand.

What belongs here: setting the switch, and the question whether one applies. What does not: who
asks and what stops (`pipeline/batch.py`). A missing row means running, unlike the reference's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from locutus_dagster.ledger.connection import LedgerConnection
from locutus_dagster.ledger.schema import Pause, now

__all__ = ["MODULES", "SYSTEM", "PauseRecord", "Pauses", "holds_up", "module_scope", "node_scope"]

SYSTEM = "system"
_NODE = "node:"
#: What can be paused by itself, and the reference's names for it.
MODULES: dict[str, tuple[str, ...]] = {
    "processing": ("DICOM_OnPrem", "onprem_dicom"),
    "summarizer": ("dicom_summarize_stats",),
}


def node_scope(host: str) -> str:
    """The switch of one host."""
    return f"{_NODE}{host}"


def module_scope(name: str) -> str:
    """The switch of one module, by our name or the reference's (`main_Locutus` is the system).

    Raises:
        KeyError: no module has that name.
    """
    if name == "main_Locutus":
        return SYSTEM
    for module, aliases in MODULES.items():
        if name == module or name in aliases:
            return f"module:{module}"
    raise KeyError(name)


def holds_up(scope: str, module: str = "processing") -> bool:
    """Whether the switch of `scope` holds up a module, be it on one of the hosts alone."""
    return scope in (SYSTEM, module_scope(module)) or scope.startswith(_NODE)


@dataclass(frozen=True)
class PauseRecord:
    """One switch, as it stands.

    Attributes:
        reason: free of identifiers.
        changed_at: when it was last set, to pause or to run.
        changed_by: user and host.
    """

    scope: str
    paused: bool
    reason: str
    changed_at: datetime
    changed_by: str


class Pauses(LedgerConnection):
    """The pause switch."""

    def set_pause(self, scope: str, paused: bool, *, reason: str = "", by: str = "") -> None:
        """Set the switch of `scope`; the last one who sets it is the one who is remembered.

        Args:
            reason: for everybody who looks; free of identifiers.
            by: user and host.
        """
        values = {"paused": paused, "reason": reason, "changed_at": now(), "changed_by": by}
        with self.session() as session:
            # Two people may set a switch that was never set before at the same moment.
            dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
            session.execute(
                dialect.insert(Pause)
                .values(scope=scope, **values)
                .on_conflict_do_update(index_elements=[Pause.scope], set_=values)
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
