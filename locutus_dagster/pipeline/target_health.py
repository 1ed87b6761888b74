"""Targets that are down: noticed once, and not asked again by every accession.

What belongs here: remembering, in this process and for a while, that a target as a whole cannot
be used. What does not: what follows for an accession (`deliver.py`) or for a batch (`chain.py`).

Where one of several targets is down, a batch goes on for the sake of the others. Without this,
each of its accessions would wait for that target's every attempt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from locutus_dagster.errors import LocutusError, describe_unexpected
from locutus_dagster.targets import Target, TargetError

__all__ = ["TargetHealth"]

_WHILE = 60.0  # seconds


@dataclass
class TargetHealth:
    """What this process knows of its targets.

    Attributes:
        clock: seconds that only grow.
    """

    targets: Callable[[], Mapping[str, Target]]
    clock: Callable[[], float] = time.monotonic
    _down: dict[str, tuple[float, TargetError]] = field(default_factory=dict)

    def failed(self, name: str) -> bool:
        """A target has just failed; returns whether it cannot be used as a whole."""
        if self._is_down(name):
            return True
        try:
            self.targets()[name].check()
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are to be asked
            self._down[name] = (self.clock() + _WHILE, _of_target(error))
            return True
        return False

    def refuse(self, name: str) -> None:
        """Raise what `check` said, if the target was down a moment ago and others are not.

        An only target is always asked: a batch stops by itself when that one is down.

        Raises:
            TargetError: it was down.
        """
        if len(self.targets()) > 1 and self._is_down(name):
            raise self._down[name][1]

    def any_usable(self) -> bool:
        """Whether anything can be delivered anywhere."""
        return not all([self.failed(name) for name in self.targets()])  # noqa: C419 - ask each

    def check(self) -> None:
        """Ask every target anew whether it can be used.

        Raises:
            TargetError: none can; what the first one said.
        """
        self._down.clear()
        if not self.any_usable():
            raise next(iter(self._down.values()))[1]

    def _is_down(self, name: str) -> bool:
        until, _ = self._down.get(name, (0.0, None))
        return self.clock() < until


def _of_target(error: Exception) -> TargetError:
    """What `check` raised, as a fault of the one target's: a secret that is missing is no more."""
    if isinstance(error, TargetError):
        return error
    if isinstance(error, LocutusError):
        return TargetError(error.message, error.hint)
    return TargetError(f"A target cannot be asked: {describe_unexpected(error)}.")
