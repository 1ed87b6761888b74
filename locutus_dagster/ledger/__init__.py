"""The status database: what is known of every accession, and what may happen to it next."""

from locutus_dagster.ledger.states import Phase, State
from locutus_dagster.ledger.store import Ledger, LedgerError
from locutus_dagster.ledger.work import WorkItem

__all__ = ["Ledger", "LedgerError", "Phase", "State", "WorkItem"]
