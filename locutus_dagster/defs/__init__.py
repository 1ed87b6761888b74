"""Everything that knows Dagster, and nothing that does the work.

Each module turns one part of the house into its Dagster form; what an accession goes through is
`pipeline/`, what is known of it is `ledger/`.
"""

from locutus_dagster.defs.build import build_defs

__all__ = ["build_defs"]
