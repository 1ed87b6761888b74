"""Where results go: the `Target` protocol, its kinds, and the keys that deliveries get."""

from locutus_dagster.targets.base import (
    OccupiedError,
    Receipt,
    Target,
    TargetContext,
    TargetError,
    Withdrawal,
)
from locutus_dagster.targets.keys import delivery_key
from locutus_dagster.targets.stores import refuse_elsewhere, store_of

__all__ = [
    "OccupiedError",
    "Receipt",
    "Target",
    "TargetContext",
    "TargetError",
    "Withdrawal",
    "delivery_key",
    "refuse_elsewhere",
    "store_of",
]
