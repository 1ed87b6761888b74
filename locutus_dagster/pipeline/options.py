"""How one run goes about its accessions.

What belongs here: the options of a run, as every part of it is told them. What does not: where
they come from by default (`settings.py`), or what they lead to (`deciding.py`, `batch.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from enum import Enum
from typing import Any, TypeVar

from locutus_dagster.errors import LocutusError
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
        """The settings' defaults, and over them what was asked for; None asks for nothing.

        Raises:
            LocutusError: a word is none of those that can be chosen from.
        """
        ours = {one.name for one in fields(cls)}
        known: dict[str, Any] = {
            name: getattr(settings.run, name) for name in RunSettings.model_fields if name in ours
        }
        known.update({name: value for name, value in asked.items() if value is not None})
        known["reprocess"] = _one_of(Reprocess, known["reprocess"])
        known["sweep"] = _one_of(Sweep, known["sweep"])
        return cls(**known)


_Choice = TypeVar("_Choice", bound=Enum)


def _one_of(choices: type[_Choice], word: object) -> _Choice:
    try:
        return choices(word)
    except ValueError:
        known = ", ".join(str(choice.value) for choice in choices)
        raise LocutusError(
            f"There is no way to {choices.__name__.lower()} called '{word}'.",
            f"Choose one of: {known}.",
        ) from None
