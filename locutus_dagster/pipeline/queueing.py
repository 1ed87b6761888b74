"""What a batch takes in hand next, and when it takes nothing more.

What belongs here: the order, putting off what another run has in hand, the pause switch. What does
not: the workers (`batch.py`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable

from locutus_dagster.ledger import Ledger
from locutus_dagster.ledger.pauses import SYSTEM, module_scope, node_scope
from locutus_dagster.pipeline.host import HOST
from locutus_dagster.pipeline.outcomes import Finished, Outcome, Result

__all__ = ["PauseSwitch", "Queue"]

_LOOK_EVERY = 1.0  # seconds between two looks at the pause switch, or at who is busy elsewhere


class PauseSwitch:
    """Whether processing may go on here; looks at the ledger once a second at most."""

    def __init__(self, ledger: Ledger, module: str = "processing") -> None:
        self._ledger = ledger
        self._scopes = (SYSTEM, node_scope(HOST), module_scope(module))
        self._looked: float | None = None
        self._why = ""

    def why(self) -> str:
        """Why it is paused, in words; empty when it is not."""
        at = time.monotonic()
        if self._looked is None or at - self._looked >= _LOOK_EVERY:
            self._looked = at
            found = self._ledger.paused(self._scopes)
            self._why = "" if found is None else told(found.scope, found.reason)
        return self._why


def told(scope: str, reason: str) -> str:
    """A pause in words."""
    what = "the system" if scope == SYSTEM else scope.replace(":", " ", 1)
    return f"{what} is paused" + (f": {reason}" if reason else "")


class Queue:
    """Partition keys that wait.

    Attributes:
        waiting: in the order in which they will be taken.
        left: those that were never begun, once it has been stopped.
        paused: why it was stopped by the pause switch; empty when it was not.
    """

    def __init__(self, partition_keys: Iterable[str], switch: PauseSwitch) -> None:
        self.waiting = deque(partition_keys)
        self.left: list[str] = []
        self.paused = ""
        self._switch = switch
        self._stopped = False
        self._not_before: dict[str, float] = {}

    def take(self, *, patiently: bool = True) -> str | None:
        """The next key, None when there is none (now).

        Args:
            patiently: where every key that is left is in another run's hands, wait a moment and
                try again, rather than return None.
        """
        while self.waiting:
            # Also after each wait: a pause may have been set in the meantime.
            if self.look():
                return None
            # What was put off stands behind all others, the longest put off first.
            early = self._not_before.get(self.waiting[0], 0.0) - time.monotonic()
            if early <= 0:
                return self.waiting.popleft()
            if not patiently:
                return None
            time.sleep(early)
        return None

    def look(self) -> bool:
        """Look at the pause switch; whether it has stopped the queue now."""
        why = self._switch.why()
        if why:
            self.paused = why
            self.stop()
        return bool(why)

    def put_off(self, outcome: Outcome) -> bool:
        """Put a key at the end if another run has it in hand; whether that was so."""
        if not isinstance(outcome, Finished) or outcome.result is not Result.BUSY:
            return False
        if self._stopped:
            self.left.append(outcome.partition_key)
        else:
            self.waiting.append(outcome.partition_key)
            self._not_before[outcome.partition_key] = time.monotonic() + _LOOK_EVERY
        return True

    def stop(self) -> None:
        """Take nothing more; a key that turns out to be in another run's hands is left, too."""
        self._stopped = True
        self.left += self.waiting
        self.waiting.clear()
