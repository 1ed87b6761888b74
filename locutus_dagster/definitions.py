"""The code location: `dagster … -m locutus_dagster.definitions`.

What belongs here: one name for Dagster to find.
"""

from locutus_dagster.defs import build_defs

defs = build_defs()
