"""How one run goes about its accessions.

What belongs here: the options of a run, as every part of it is told them. What does not: where
they come from by default (`settings.py`), or what they lead to (`deciding.py`, `batch.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from typing import Any

from locutus_dagster.settings import Reprocess, RunSettings, Settings, Sweep

__all__ = ["RunOptions"]


@dataclass(frozen=True)
class RunOptions:
    """What a run was asked to do; it can be pickled.

    Attributes:
        label: of the batch, kept with each accession that the run touches; None changes nothing.
        started_at: what was delivered since then is not processed again, whatever `reprocess`
            says; so a second pass, or another run beside this one, repeats nothing.
        pass_wait: seconds.
    """

    reprocess: Reprocess = Reprocess.NONE
    withdraw: bool = False
    sweep: Sweep = Sweep.MANIFEST
    until_converged: bool = False
    max_passes: int = 11
    pass_wait: float = 45.0
    allow_processing_of_duplicates: bool = False
    check_source: bool = True
    label: str | None = None
    started_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    @classmethod
    def of(cls, settings: Settings, **asked: Any) -> RunOptions:
        """The settings' defaults, and over them what was asked for; None asks for nothing."""
        ours = {one.name for one in fields(cls)}
        known: dict[str, Any] = {
            name: getattr(settings.run, name) for name in RunSettings.model_fields if name in ours
        }
        known.update({name: value for name, value in asked.items() if value is not None})
        return cls(**known)
