"""Blank ledgers in a fraction of the time, as in the ledger's own room."""

from __future__ import annotations

from locutus_dagster_tests.ledger.conftest import (
    _close_in_the_end,
    ledger,
    ledger_url,
    sqlite_ledger_url,
)

__all__ = ["_close_in_the_end", "ledger", "ledger_url", "sqlite_ledger_url"]
