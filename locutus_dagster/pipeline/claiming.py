"""Holding accessions: a claim in the ledger that lives as long as its worker does.

What belongs here: taking a claim, the thread that renews it, giving it back. What does not: how a
claim is kept and what it refuses (`ledger/claims.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from locutus_dagster.ledger import Ledger, LedgerError
from locutus_dagster.pipeline.host import known_dead

__all__ = ["Claimant"]

_RENEWALS = 3  # in the time of a lease, so that one that fails is made up for


class Claimant:
    """One worker's claims.

    Args:
        owner: the worker's name in the ledger.
        lease: seconds that a claim lasts without being renewed.
    """

    def __init__(self, ledger: Ledger, owner: str, lease: float) -> None:
        self.owner = owner
        self._ledger = ledger
        self._lease = lease
        self._holding = 0
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def hold(self, accession_id: int) -> Iterator[bool]:
        """Claim an accession for the time of the block; False when another worker has it."""
        if not self._take(accession_id):
            yield False
            return
        self._holding += 1
        if self._thread is None:
            self._thread = threading.Thread(target=self._renew, name="claims", daemon=True)
            self._thread.start()
        try:
            yield True
        finally:
            self._holding -= 1
            with suppress(LedgerError):  # then it ends by itself
                self._ledger.release(accession_id, self.owner)

    def _take(self, accession_id: int) -> bool:
        if self._ledger.claim(accession_id, self.owner, self._lease):
            return True
        holder = self._ledger.claimed_by(accession_id)
        if holder is None or not known_dead(holder):
            return False
        # It died on this host: there is no need to wait until its lease ends.
        self._ledger.release(accession_id, holder)
        return self._ledger.claim(accession_id, self.owner, self._lease)

    def _renew(self) -> None:
        while not self._over.wait(self._lease / _RENEWALS):
            if self._holding:
                with suppress(LedgerError):  # the next change will say what is wrong
                    self._ledger.renew(self.owner, self._lease)

    def close(self) -> None:
        """Stop renewing."""
        self._over.set()
